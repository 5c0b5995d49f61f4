"""Rows that compare models: scores with intervals, comparisons with verdicts, tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.judging.ceilings import Ceilings
from bids_dtg.contrasts.judging.model_scores import ANOTHER, OWN_MEAN, ModelScores, mean_over
from bids_dtg.stats.paired import (
    Interval,
    cliffs_delta,
    false_discovery_rate,
    jackknife_shares,
    sign_flip_test,
    t_interval,
    wilson_interval,
)
from bids_dtg.stats.verdict import (
    BETTER,
    RULE,
    corrected,
    family_means,
    judge_differences,
    judge_each,
    spread_as_learnt,
)

Values = NDArray[np.float64]

CEILING = "noise ceiling"
ALL_PLACES = "all places"
INDIVIDUAL, WORTH_USING = "individual", "worth using"
# Any better average beats an average of few people: this gets no verdict.
NO_VERDICT = "above, no verdict"
_OF_PARTS = ("r", "r_minus_group_average", "index", "residual_r", "identification")
_COMPARED = ("r", "residual_r", "identification")
# Serin et al. 2025 test these three; for the fingerprinting score they count contrasts.
_TESTED = ("r", "dice", "product", "fingerprint")
_INDIVIDUALITY = ("index", "product", "residual_r", "residual_r_training_mean", "fingerprint")

# Definitions of scores and rows; means are over participants and contrasts.
DEFINITIONS = {
    "r": "correlation over voxels of a predicted with a measured map, mean over participants and "
    "contrasts, as all scores; voxels that somebody's map lacks are left out",
    "own mean prediction": "the mean of the model's predictions for all test participants, one "
    "map for everybody; each participant is in it, which favours it",
    "another person's prediction": "r of the model's predictions for all participants of other "
    "families with a participant's map, mean over them; r minus it is the index",
    "residual r": "predictions minus their mean over the test participants, correlated with "
    "measured maps minus "
    "theirs; n/a where the prediction is the same for everybody, and 0 for such a contrast where "
    "others have one",
    "residual r, training mean": "the older form: both minus the training participants' mean; "
    "a better mean map raises it",
    "identified": "share of measured maps most similar to the own prediction, one contrast at a "
    "time; k tied maps count 1 / k, chance is 1 / participants",
    "fingerprint": "as published: share identified, where a tie is a miss, times mean r, of each "
    "contrast",
    "product": "as published: index times r, a participant",
    "ratio": "index / r",
    "explained variance": "1 - squared error / variance over voxels",
    "noise ceiling": "the root of the retest's r, a contrast, mean over contrasts: the r of a "
    "prediction of the true map; of residual r, the root of the retest's residual r. n/a where "
    "nobody was measured twice",
    "typical": "the half of the participants whose measured maps are most like the group average",
    "intervals": "95 %, Student's t with the jackknife's standard error, each participant left "
    "out as measured and as predicted; Wilson's for identification",
    "verdicts": RULE,
    "simple models fitted on all the others": "have no scores of individuality, and a model above "
    "them gets no verdict",
    "matrices": "measured maps in rows, predictions in columns",
}
# What differs where groups of people were left out in turn.
WITHIN_GROUPS = {
    "test participants": "those of a participant's group: means over them, and another person's "
    "prediction, are of one fit. Chance of identified is 1 / participants of the group; the "
    "smaller a group, the lower residual r",
    "intervals of differences, and p": "each participant is tested, and trains the others' "
    "predictions: as if differences varied \N{SQUARE ROOT}2 times as much as they do",
}
CONVENTIONS = "; ".join(f"{name}: {text}" for name, text in DEFINITIONS.items())


def summary_row(
    one: ModelScores, group: ModelScores | None = None, retest: ModelScores | None = None
) -> dict[str, Any]:
    """Return a model's row of the table, as stored in a bundle's card.

    Parameters
    ----------
    one, group, retest
        The model; group average and retest on the same people.

    Returns
    -------
    dict
        By column: a number, or [mean, low, high]; None if not known. Columns that do not apply are
        missing.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.contrasts.judging.model_scores import score_maps
    >>> measured = np.random.default_rng(0).standard_normal((8, 2, 500))
    >>> summary_row(score_maps("itself", measured, measured))["identification"]
    [1.0, 0.6756, 1.0]
    """
    r = one.by_person("r")
    by_contrast = mean_over(one.scores["r"], axis=1)
    known = by_contrast[np.isfinite(by_contrast)]
    row: dict[str, Any] = {"model": one.name, "r": cells(t_interval(r))}
    row["r_sd_over_contrasts"] = number(float(known.std())) if len(known) else None
    if retest is not None:
        row["r_over_ceiling"] = cells(t_interval(_over_ceiling(one, retest)))
    for key in ("dice", "explained"):
        if key in one.scores:
            row[key] = cells(t_interval(one.by_person(key)))
    if group is not None and group is not one:
        above = _difference(one, group, "r")
        row["r_minus_group_average"] = cells(t_interval(_spread(one, above)))
        known = above[np.isfinite(above)]
        row["above_group_average"] = number(float((known > 0).mean())) if len(known) else None
    if not one.has_individuality:
        return row
    if one.name != OWN_MEAN:
        above = mean_over(one.scores["r"] - one.scores["own_mean_r"], axis=0)
        row["r_minus_own_mean"] = cells(t_interval(_spread(one, above)))
    for key in _INDIVIDUALITY:
        values = one.by_person(key)
        row[key] = cells(t_interval(_spread(one, values) if key == "index" else values))
    mean_r, index = _mean(r), _mean(one.by_person("index"))
    row["ratio"] = number(index / mean_r) if mean_r else None
    identified = one.by_person("identification")
    people = int(np.isfinite(identified).sum())
    row["identification"] = cells(wilson_interval(_mean(identified), people))
    return row


def ceiling_row(retest: ModelScores) -> dict[str, Any]:
    """Return the row of the highest r that any prediction can be expected to reach.

    Parameters
    ----------
    retest
        Scores of the retest maps as predictions of the first ones: their r is
        the reliability, and a prediction of the true map has r up to its root.

    Returns
    -------
    dict
        As `summary_row`, with r alone. It is the root of the mean over people for each contrast (of
        0, if that is below 0), averaged over contrasts: single people's values are too noisy for
        a root.
    """
    return {"model": CEILING, "r": cells(t_interval(jackknife_shares(*_ceiling(retest))))}


def comparison_rows(model: ModelScores, opponents: Sequence[ModelScores]) -> list[dict[str, Any]]:
    """Return how much better a model is than others, with verdicts.

    Parameters
    ----------
    model
        Scores of the evaluated model.
    opponents
        Simple models on the same people. Scores of individuality are compared only if both models
        have them.

    Returns
    -------
    list of dict
        First the two questions: is the model *individual* (against another person's prediction)
        and *worth using* (against its own mean prediction); then r, residual r and
        identification against each opponent. `difference` is [mean, low, high] over people.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.contrasts.judging.model_scores import score_maps
    >>> measured = np.random.default_rng(0).standard_normal((8, 2, 500))
    >>> rows = comparison_rows(score_maps("itself", measured, measured), [])
    >>> [(row["question"], row["verdict"]) for row in rows]
    [('individual', 'better'), ('worth using', 'better')]
    """
    own_mean = mean_over(model.scores["r"] - model.scores["own_mean_r"], axis=0)
    rows = [
        _comparison(model, INDIVIDUAL, "r", ANOTHER, model.by_person("index")),
        _comparison(model, WORTH_USING, "r", OWN_MEAN, own_mean),
    ]
    for score in _COMPARED:
        for other in opponents:
            if score != "r" and not other.has_individuality:
                continue
            differences = _difference(model, other, score)
            if not np.isfinite(differences).any():
                continue
            row = _comparison(model, None, score, other.name, differences)
            if other.leave_one_out and row["verdict"] == BETTER:
                row["verdict"] = NO_VERDICT
            rows.append(row)
    return rows


def contrast_rows(
    models: Sequence[ModelScores],
    against: ModelScores,
    labels: Sequence[str],
    ceilings: Ceilings | None = None,
) -> list[dict[str, Any]]:
    """Return scores of each contrast and model, and r compared with that of one model.

    p is of sign flips over people; q is adjusted for all contrasts of a model; same_for_all says
    that the predicted map is the same for everybody. Ceilings of a contrast follow, if known.
    """
    rows = []
    measured = {row["contrast"]: row for row in (ceilings.rows(labels) if ceilings else ())}
    for one in models:
        if one is against:
            continue
        difference = one.scores["r"] - against.scores["r"]
        p = sign_flip_test(_spread(one, difference))
        q = false_discovery_rate(p)
        for n, label in enumerate(labels):
            row = {
                "contrast": label,
                "model": one.name,
                "against": against.name,
                "people": _people(one, difference[n]),
                "r": number(_mean(one.scores["r"][n])),
                "difference": number(_mean(difference[n])),
                "p": number(float(p[n]), 5),
                "q": number(float(q[n]), 5),
                "cliffs_delta": number(cliffs_delta(one.scores["r"][n], against.scores["r"][n])),
            }
            for key in ("own_mean_r", "index", "residual_r", "identification", "fingerprint"):
                row[key] = number(_mean(one.scores[key][n])) if one.has_individuality else None
            row["same_for_all"] = bool(one.same_for_all[n])
            rows.append({**row, **measured.get(label, {})})
    return rows


def tissue_rows(
    model: ModelScores, group: ModelScores, ceilings: Mapping[str, Ceilings]
) -> list[dict[str, Any]]:
    """Return the scores of a model over all places, and over those of each tissue.

    Parameters
    ----------
    model, group
        The evaluated model and the group average, on the same people.
    ceilings
        Of all places (`ALL_PLACES`) and of tissues, as far as they are known.
    """
    rows = []
    for part, scores in {ALL_PLACES: model, **model.tissues}.items():
        others = group if part == ALL_PLACES else group.tissues.get(part)
        found = summary_row(scores, others)
        row = {name: found.get(name) for name in _OF_PARTS}
        row |= {"part": part, "people": int(scores.measured.any(axis=0).sum())}
        row["places"] = scores.places or None
        if part in ceilings:
            of = ceilings[part]
            row["ceiling"], row["residual_ceiling"] = number(of.mean), number(of.residual_mean)
        rows.append(row)
    return rows


def predictability_rows(model: ModelScores, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return, by contrast, whether a model's predictions are individual and worth using.

    Parameters
    ----------
    model
        Scores of its predictions, with those of individuality if it has any.
    labels
        Labels of the contrasts, in the order of the scores.

    Returns
    -------
    list of dict
        A row a contrast: r and residual r; by how much r is above another person's prediction
        (*individual*) and above the model's own mean prediction (*worth_using*), as
        [mean, low, high] over people, with verdicts. p of sign flips is adjusted for all contrasts
        (false discovery rate), so that few of many contrasts are called predictable by chance. No
        rows of a model that has no scores of individuality.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.contrasts.judging.model_scores import score_maps
    >>> measured = np.random.default_rng(0).standard_normal((8, 1, 500))
    >>> (row,) = predictability_rows(score_maps("itself", measured, measured), ["faces"])
    >>> row["contrast"], row["people"], row["individual"], row["worth_using"]
    ('faces', 8, 'better', 'better')
    """
    if not model.has_individuality:
        return []
    compared = {
        "individual": ("above_another", model.scores["index"]),
        "worth_using": ("above_own_mean", model.scores["r"] - model.scores["own_mean_r"]),
    }
    verdicts = {
        question: corrected(
            judge_each(differences, model.families, cross_validated=model.groups is not None)
        )
        for question, (_, differences) in compared.items()
    }
    rows = []
    for n, label in enumerate(labels):
        row: dict[str, Any] = {
            "contrast": label,
            "people": _people(model, model.scores["r"][n]),
            "r": number(_mean(model.scores["r"][n])),
            "residual_r": number(_mean(model.scores["residual_r"][n])),
            "same_for_all": bool(model.same_for_all[n]),
        }
        for question, (name, _) in compared.items():
            found = verdicts[question][n]
            row[name] = cells(found.difference)
            row[question] = found.word
        rows.append(row)
    return rows


def published_tests(
    model: ModelScores, opponents: Sequence[ModelScores], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the published tests: a row a contrast, score and opponent.

    Parameters
    ----------
    model
        Scores of the evaluated model.
    opponents
        Those of the publication that are present: group average, linear model, retest.
    labels
        Labels of the contrasts, in the order of the scores.

    Returns
    -------
    list of dict
        r, Dice and product with p of sign flips over people and q, the false discovery rate over
        all rows; the fingerprinting score, which is one figure for all people, without.

    Notes
    -----
    Serin et al. 2025 test r, Dice and product against the three opponents, and count the
    contrasts with a higher fingerprinting score.
    """
    rows: list[dict[str, Any]] = []
    differences = []
    for score in _TESTED:
        for other in opponents:
            if score in ("product", "fingerprint") and not other.has_individuality:
                continue
            ours, theirs = (_published(one, score) for one in (model, other))
            for n, label in enumerate(labels):
                known = np.isfinite(ours[n]) & np.isfinite(theirs[n])
                ours_n, theirs_n = ours[n][known], theirs[n][known]
                tested = score != "fingerprint"
                differences.append(np.where(known, ours[n] - theirs[n], np.nan))
                if not tested:
                    differences[-1] = np.full(len(known), np.nan)
                rows.append(
                    {
                        "contrast": label,
                        "score": score,
                        "against": other.name,
                        "people": _people(model, np.where(known, ours[n], np.nan)),
                        "model": number(_mean(ours_n)),
                        "other": number(_mean(theirs_n)),
                        "difference": number(_mean(ours_n - theirs_n)),
                        "cliffs_delta": number(cliffs_delta(ours_n, theirs_n)) if tested else None,
                    }
                )
    if not rows:
        return []
    p = sign_flip_test(_spread(model, np.stack(differences)))
    for row, one, adjusted in zip(rows, p, false_discovery_rate(p), strict=True):
        row["p"], row["q"] = number(float(one), 5), number(float(adjusted), 5)
    return rows


def number(value: float, digits: int = 4) -> float | None:
    """Return a number for JSON: rounded, None if it is not finite."""
    return round(float(value), digits) if np.isfinite(value) else None


def _comparison(
    model: ModelScores, question: str | None, score: str, against: str, differences: Values
) -> dict[str, Any]:
    found = judge_differences(differences, model.families, cross_validated=model.groups is not None)
    return {
        "question": question,
        "score": score,
        "against": against,
        "people": found.people,
        "difference": cells(found.difference),
        "p": number(found.p, 5),
        "verdict": found.word,
    }


def _people(one: ModelScores, values: Values) -> int:
    """Return how many people have a value; a family counts as one."""
    return int(np.isfinite(family_means(values, one.families)).sum())


def _spread(one: ModelScores, differences: Values) -> Values:
    """Return families' differences; if folds judge, their spread counts who was trained on, too."""
    own = family_means(differences, one.families)
    return own if one.groups is None else spread_as_learnt(own)


def _difference(one: ModelScores, other: ModelScores, score: str) -> Values:
    """Return the difference of a score, (people,), mean over contrasts that both models have."""
    return mean_over(one.counted(score) - other.counted(score), axis=0)


def _published(one: ModelScores, score: str) -> Values:
    """Return a score as defined in the publication, (contrasts, people)."""
    if score != "product":
        return one.scores[score]
    found = np.full(one.measured.shape, np.nan)
    for q, matrix in one.matrices.items():
        there = one.measured[q]
        group = np.zeros(there.sum()) if one.groups is None else one.groups[there]
        among = group[:, None] == group
        r = np.where(among, np.nan_to_num(matrix), 0.0)
        own = np.diagonal(r)
        index = own - (r.sum(axis=1) - own) / np.maximum(among.sum(axis=1) - 1, 1)
        found[q, there] = index * own
    return found


def _ceiling(retest: ModelScores) -> tuple[float, Values]:
    """Return the mean root of reliability; and without each person, (people,)."""
    r = retest.scores["r"]
    r = r[np.isfinite(r).any(axis=1)]

    def of(r: Values) -> float:
        return _mean(np.sqrt(mean_over(r, axis=1).clip(min=0)))

    return of(r), np.array([of(np.delete(r, n, axis=1)) for n in range(r.shape[1])])


def _over_ceiling(one: ModelScores, retest: ModelScores) -> Values:
    """Return jackknife shares (people,) in mean r over the ceiling, of contrasts with a retest."""
    again = np.isfinite(retest.scores["r"])
    r = mean_over(np.where(again, one.scores["r"], np.nan), axis=0)
    ceiling, without = _ceiling(retest)
    fewer = np.array([_mean(np.delete(r, n)) for n in range(len(r))])
    return jackknife_shares(
        _mean(r) / ceiling if ceiling > 0 else float("nan"),
        np.where(without > 0, fewer / np.where(without > 0, without, 1.0), np.nan),
    )


def cells(found: Interval) -> list[float | None] | None:
    """Return a mean and its interval for JSON; None if there is no mean."""
    if not np.isfinite(found.mean):
        return None
    return [number(x) for x in (found.mean, found.low, found.high)]


def _mean(values: Values) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
