"""Tables of scores: models, contrasts, people, tissues, comparisons with verdicts, tests.

Each is computed from the table of `bids_dtg.contrasts.judging.scores`. Its columns are declared
here once, for the file, its data dictionary and the page.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bids_dtg.array_types import Float64, Indices
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.contrasts.judging.scores import (
    ALL_PLACES,
    ANOTHER,
    BEFORE,
    GROUP_AVERAGE,
    LEFT_RIGHT,
    LINEAR,
    OWN_MEAN,
    RETEST,
    Scores,
)
from bids_dtg.contrasts.people import Person
from bids_dtg.files.columns import Column
from bids_dtg.stats.metrics import relative_gain
from bids_dtg.stats.paired import (
    Interval,
    cliffs_delta,
    false_discovery_rate,
    sign_flip_test,
    t_interval,
    wilson_interval,
)
from bids_dtg.stats.verdict import (
    BETTER,
    RULE,
    Verdict,
    corrected,
    family_means,
    judge_differences,
    spread_as_learnt,
)

Row = dict[str, Any]

INDIVIDUAL, WORTH_USING = "individual", "worth using"
# Beating the group average may only show that it comes from few people, so there is no verdict.
NO_VERDICT = "above, no verdict"
_COMPARED = ("r", "residual_r", "identification")
# Serin et al. 2025 test the first three; for the fingerprinting score they only count contrasts.
_TESTED = {
    "r": "r",
    "dice": "dice",
    "product": "own_product",
    "fingerprint": "fingerprint",
}
_CONTRAST_SCORES = (
    "r",
    "own_mean_r",
    "index",
    "residual_r",
    "identification",
    "fingerprint",
)
_PART_SCORES = ("r", "r_minus_group_average", "index", "residual_r", "identification")

_WILSON = "95 % interval (Wilson)"
_R = "Correlation over voxels, or parcels, of a predicted with a measured map"
_INDEX = (
    "r minus the mean r with the model's predictions for participants of other families"
)
_RESIDUAL = (
    "r of deviations from the mean: predictions and measured maps each minus their mean over the "
    "test participants; n/a if all predictions are the same for everybody; if only those of some "
    "contrasts are, these count as 0"
)
_IDENTIFIED = (
    "Share of measured maps that are most similar to their own prediction, one contrast at a time; "
    "k tied maps count as 1 / k, chance is 1 / participants"
)
_CEILING = "r of a perfect prediction: the square root of the retest r, per contrast"
_PEOPLE = Column("people", "Participants with both maps; a family counts as one")
_P = Column("p", "Two-sided p by sign flips over participants; n/a if they are too few")


def _mean(name: str, meaning: str, heading: str = "") -> Column:
    """Return a score's column: a mean over participants and contrasts with its interval."""
    of = "95 % interval over participants (Student's t with the jackknife)"
    return Column(name, meaning, heading, interval=of)


MODEL_COLUMNS = (
    Column("model", "Name of the model"),
    _mean("r", _R),
    _mean(
        "r_minus_group_average",
        "r minus that of the group average",
        "r minus group average",
    ),
    _mean(
        "r_minus_own_mean",
        "r minus that of the mean of the model's predictions for all test participants, one map "
        "for everybody",
        "r minus own mean prediction",
    ),
    _mean("index", _INDEX, "r minus another person's (index)"),
    _mean("residual_r", _RESIDUAL, "residual r"),
    Column("identification", _IDENTIFIED, "identified", interval=_WILSON),
    _mean(
        "dice",
        "Area under the curve of Dice overlap of the strongest voxels",
        "Dice AUC",
    ),
    _mean(
        "fingerprint",
        "Share identified (a tie is a miss) times mean r, per contrast, as published",
        "fingerprint (as published)",
    ),
    _mean("product", "Index times r, per participant", "product (as published)"),
    Column("ratio", "index / r"),
    _mean(
        "residual_r_training_mean",
        "r of deviations from the training participants' mean map; a better mean map raises it",
        "residual r, training mean",
    ),
)
CONTRAST_COLUMNS = (
    Column("contrast", "Label of the contrast"),
    Column("model", "Name of the model"),
    _PEOPLE,
    Column("r", f"{_R}, mean over participants"),
    Column(
        "relative_gain",
        "Mean r divided by that of the linear model (Tavor et al. 2016), minus 1; n/a if that is 0 "
        "or below",
    ),
    Column("own_mean_r", "r of the model's own mean prediction"),
    Column("index", _INDEX),
    Column("residual_r", _RESIDUAL),
    Column("identification", _IDENTIFIED),
    Column("fingerprint", "Share identified (a tie is a miss) times mean r"),
    Column("same_for_all", "Whether the predicted map is the same for everybody"),
    Column("retest_people", "Participants measured twice in the contrast; n/a: none"),
    Column(
        "reliability", "r between the two measured maps, mean over those participants"
    ),
    Column("ceiling", _CEILING),
    Column(
        "residual_reliability",
        "reliability of the maps minus their means over participants",
    ),
    Column(
        "residual_ceiling", "Its square root: the residual r of a perfect prediction"
    ),
)
PERSON_COLUMNS = (
    Column("participant_id", "Participant"),
    Column("contrasts", "Contrasts with both maps; scores are means over them"),
    Column("r", _R),
    Column("residual_r", _RESIDUAL),
    Column("index", _INDEX),
    Column("identification", _IDENTIFIED),
    Column("typicality", "Correlation of the measured maps with the group average"),
    Column("fd_mean", "Mean framewise displacement of the rest", unit="mm"),
    Column("minutes", "Rest left after cleaning", unit="min"),
    Column("residual_dof", "Degrees of freedom left after cleaning"),
)
PART_COLUMNS = (
    Column("part", "All voxels (or parcels), or those of a tissue"),
    Column("places", "Number of voxels or parcels there", "voxels or parcels"),
    Column("people", "Participants"),
    *(column for column in MODEL_COLUMNS if column.name in _PART_SCORES),
    Column("ceiling", f"{_CEILING}, mean over contrasts", "noise ceiling"),
    Column(
        "residual_ceiling", "The same for residual r", "noise ceiling of residual r"
    ),
)
COMPARISON_COLUMNS = (
    Column("against", "What the model is compared with"),
    Column("score", "Score that is compared"),
    _PEOPLE,
    Column(
        "difference",
        "The model's score minus the other's, mean over participants",
        interval="95 % interval",
    ),
    _P,
    Column("verdict", RULE),
    Column("question", "Question that the comparison answers"),
)
TEST_COLUMNS = (
    Column("contrast", "Label of the contrast"),
    Column("score", "Score that is compared"),
    Column("against", "Model that it is compared with"),
    _PEOPLE,
    Column("model", "Mean score of the model"),
    Column("other", "Mean score of the other model"),
    Column("difference", "The model's score minus the other's, mean over participants"),
    Column("cliffs_delta", "Cliff's delta of the two models' scores"),
    _P,
    Column("q", "p adjusted for all rows (false discovery rate)"),
)

_EACH = "Contrast; the first rows are means over the contrasts that were, or were not, tuned"
TRANSFER_COLUMNS = (
    Column("contrast", _EACH),
    Column("tuned", "Whether the model was tuned to it"),
    _PEOPLE,
    Column("before", "r of the model before tuning"),
    Column("after", "r of the tuned model", "tuned model"),
    Column("group_average", "r of the group average of the training participants"),
    Column(
        "linear",
        "r of the linear model of Tavor et al. 2016, fitted to the same people",
    ),
    Column(
        "difference",
        "r after tuning minus r before, mean over participants",
        interval="95 % interval",
    ),
    Column(
        "p", "Two-sided p by sign flips over participants; FDR-corrected over contrasts"
    ),
    Column("verdict", RULE),
)


def score_tables(
    scores: Scores,
    model: str,
    people: Sequence[Person],
    places: Mapping[str, int],
    ceilings: Mapping[str, pd.DataFrame],
) -> dict[str, ResultTable]:
    """Return all tables by name.

    Parameters
    ----------
    scores, model
        Scores of models, and the name of the evaluated one.
    people
        Everybody, with motion and amount of rest.
    places, ceilings
        Number of voxels or parcels, and noise ceilings, overall and for each tissue.
    """
    return {
        "models": ResultTable(
            MODEL_COLUMNS,
            [summary_row(scores, name) for name in scores.models],
            "Scores: one row per model",
        ),
        "contrasts": ResultTable(
            CONTRAST_COLUMNS,
            contrast_rows(scores, ceilings[ALL_PLACES]),
            "Scores: one row per contrast and model",
        ),
        "tests": ResultTable(
            TEST_COLUMNS,
            published_tests(scores, model),
            "The published tests: one row per contrast, score and opponent",
        ),
        "people": ResultTable(
            PERSON_COLUMNS,
            person_rows(scores, model, people),
            "Scores: one row per participant",
        ),
        "parts": ResultTable(
            PART_COLUMNS,
            part_rows(scores, model, places, ceilings),
            "Scores by tissue",
        ),
        "comparisons": ResultTable(
            COMPARISON_COLUMNS, comparison_rows(scores, model), ""
        ),
    }


def summary_row(scores: Scores, model: str, part: str = ALL_PLACES) -> Row:
    """Return a model's row of the table, in the form of a bundle's card.

    Returns
    -------
    dict
        By column: a number, or [mean, low, high]; None if not known. Columns that do not apply are
        missing.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.contrasts.judging.scores import score_maps
    >>> measured = np.random.default_rng(0).standard_normal((8, 2, 500))
    >>> summary_row(score_maps("itself", measured, measured), "itself")["identification"]
    [1.0, 0.6756, 1.0]
    """
    table, group_average = scores.of(model, part), scores.of(GROUP_AVERAGE, part)
    r = by_person(table, "r")
    row: Row = {"model": model, "r": _interval(r, -1.0, 1.0)}
    if table["dice"].notna().any():
        row["dice"] = _interval(by_person(table, "dice"), 0.0, 1.0)
    if len(group_average) and model != GROUP_AVERAGE:
        difference = _difference(table, group_average, "r")
        row["r_minus_group_average"] = _interval(_spread(table, difference))
    if not _is_individual(table):
        return row
    row["r_minus_own_mean"] = _interval(_spread(table, _r_minus_own_mean(table)))
    row["index"] = _interval(_spread(table, by_person(table, "index")))
    for key in ("product", "residual_r", "residual_r_training_mean", "fingerprint"):
        most = 1.0 if key.startswith("residual_r") else np.inf
        row[key] = _interval(by_person(table, key), -most, most)
    mean_r, index = r.mean(), by_person(table, "index").mean()
    row["ratio"] = number(index / mean_r) if mean_r else None
    identified = by_person(table, "identification")
    people = int(identified.notna().sum())
    row["identification"] = cells(wilson_interval(float(identified.mean()), people))
    return row


def comparison_rows(scores: Scores, model: str) -> list[Row]:
    """Return how much better a model is than others, with verdicts.

    Returns
    -------
    list of dict
        First two questions: is the model *individual* (compared with another person's prediction)
        and *worth using* (compared with its own mean prediction). Then comparisons of r, residual
        r and identification with the group average, the linear model and the model before tuning,
        where both have the score.
        `difference` is [mean, low, high] over people.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.contrasts.judging.scores import score_maps
    >>> measured = np.random.default_rng(0).standard_normal((8, 2, 500))
    >>> rows = comparison_rows(score_maps("itself", measured, measured), "itself")
    >>> [(row["question"], row["verdict"]) for row in rows]
    [('individual', 'better'), ('worth using', 'better')]
    """
    table = scores.of(model)
    comparisons = [
        (INDIVIDUAL, "r", ANOTHER, by_person(table, "index")),
        (WORTH_USING, "r", OWN_MEAN, _r_minus_own_mean(table)),
    ]
    for score in _COMPARED:
        for name in scores.models:
            if name not in (GROUP_AVERAGE, LINEAR, BEFORE) or name == model:
                continue
            difference = _difference(table, scores.of(name), score)
            if difference.notna().any():
                comparisons.append(("", score, name, difference))
    rows = []
    for question, score, name, difference in comparisons:
        verdict = judged(table, difference)
        word: str = verdict.word
        fitted_to_others = not question and not _is_individual(scores.of(name))
        if fitted_to_others and word == BETTER:
            word = NO_VERDICT
        rows.append(
            {
                "question": question or None,
                "score": score,
                "against": name,
                **verdict_cells(verdict),
                "verdict": word,
            }
        )
    return rows


def contrast_rows(scores: Scores, ceilings: pd.DataFrame) -> list[Row]:
    """Return mean scores over people of each model and contrast, and the contrast's ceilings."""
    table = scores.table[scores.table["part"] == ALL_PLACES]
    grouped = table.groupby(["model", "contrast"], sort=False)
    people = grouped["family"].nunique().to_frame("people")
    means = people.join(grouped[[*_CONTRAST_SCORES]].mean())
    linear_r = means["r"].get(LINEAR, pd.Series(dtype=float))
    linear_r = linear_r.reindex(means.index.get_level_values("contrast")).to_numpy()
    means["relative_gain"] = relative_gain(means["r"].to_numpy(), linear_r)
    for model in scores.models:
        model_scores = scores.of(model)
        same = None
        if _is_individual(model_scores):
            same = means.loc[model].index.isin(same_for_all(model_scores))
        index = means.loc[[model]].index
        means.loc[[model], "same_for_all"] = pd.Series(same, index, object)
    return records(means.reset_index().merge(ceilings, "left", "contrast"))


def person_rows(scores: Scores, model: str, people: Sequence[Person]) -> list[Row]:
    """Return one row per person: mean scores over contrasts, motion and amount of rest."""
    table = scores.of(model)
    means = pd.DataFrame(
        {
            "contrasts": table.groupby(level="person", sort=False).size(),
            "r": by_person(table, "r"),
            "residual_r": by_person(table, "own_residual_r"),
            "index": by_person(table, "own_index"),
            "identification": by_person(table, "own_identification"),
        }
    )
    typicality = by_person(scores.of(GROUP_AVERAGE), "r").rename("typicality")
    rest = pd.DataFrame(
        [(person.fd_mm, person.minutes, person.residual_dof) for person in people],
        [person.label for person in people],
        ["fd_mean", "minutes", "residual_dof"],
    )
    rows = rest.join(means.join(typicality), how="inner")
    rows.insert(0, "participant_id", "sub-" + rows.index)
    return records(rows)


def part_rows(
    scores: Scores,
    model: str,
    places: Mapping[str, int],
    ceilings: Mapping[str, pd.DataFrame],
) -> list[Row]:
    """Return the scores of a model over all voxels or parcels, and over each tissue's.

    `places` and `ceilings` are by part, for the parts where they are known.
    """
    rows = []
    for part in scores.table["part"].unique():
        if part == LEFT_RIGHT:
            continue
        summary = summary_row(scores, model, part)
        people = scores.of(model, part).index.get_level_values("person")
        row = {
            "part": part,
            "places": places.get(part),
            "people": people.nunique(),
            **{name: summary.get(name) for name in _PART_SCORES},
        }
        if part in ceilings and len(ceilings[part]):
            for key in ("ceiling", "residual_ceiling"):
                row[key] = number(ceilings[part][key].mean())
        rows.append(row)
    return rows


def published_tests(scores: Scores, model: str) -> list[Row]:
    """Return the published tests: one row per contrast, score and opponent.

    Returns
    -------
    list of dict
        r, Dice and product with p by sign flips over people, and q (false discovery rate over all
        rows). The fingerprinting score is one number for all people and has no p or q.

    Notes
    -----
    Serin et al. 2025 test r, Dice and product against group average, linear model and retest, and
    count the contrasts with a higher fingerprinting score.
    """
    table = scores.of(model)
    contrasts = table.index.unique("contrast")
    opponents = [
        name for name in (GROUP_AVERAGE, LINEAR, RETEST) if name in scores.models
    ]
    tables, differences = [], []
    for score, column in _TESTED.items():
        for name in opponents:
            pairs = table[["family"]].assign(
                model=table[column], other=scores.of(name)[column]
            )
            if score in ("product", "fingerprint") and pairs["other"].isna().all():
                continue
            pairs["difference"] = pairs["model"] - pairs["other"]
            by_contrast = pairs.dropna().groupby(level="contrast", sort=False)
            means = by_contrast[["model", "other", "difference"]].mean()
            means["people"] = by_contrast["family"].nunique()
            if score != "fingerprint":
                means["cliffs_delta"] = [
                    cliffs_delta(*contrast_pairs[["model", "other"]].to_numpy().T)
                    for _, contrast_pairs in by_contrast
                ]
            else:  # one number for all people: not tested
                pairs["difference"] = np.nan
            differences.append(_wide(pairs["difference"]))
            tables.append(means.reindex(contrasts).assign(score=score, against=name))
    p = sign_flip_test(_spread(table, np.concatenate(differences)))
    q = false_discovery_rate(p)
    rows = records(pd.concat(tables).reset_index())
    return [
        {**row, "p": number(row_p, 5), "q": number(row_q, 5)}
        for row, row_p, row_q in zip(rows, p, q, strict=True)
    ]


def transfer_rows(scores: Scores, model: str, tuned: Collection[str]) -> list[Row]:
    """Return r before and after tuning and of simple models, by contrast and over contrasts.

    `tuned` are the contrasts that the model was tuned to. The mean over all others comes first,
    because it shows whether tuning to one contrast helps the others. Contrasts that the model
    lacked before have no r before tuning, no difference and no verdict.
    """
    after, before = scores.of(model), scores.of(BEFORE)
    old_contrasts = before.index.unique("contrast")
    is_new = ~after.index.isin(old_contrasts, level="contrast")
    after = after[after.index.isin(before.index) | is_new]
    names = {
        "before": BEFORE,
        "after": model,
        "group_average": GROUP_AVERAGE,
        "linear": LINEAR,
    }
    r = pd.DataFrame(
        {key: scores.of(name)["r"].reindex(after.index) for key, name in names.items()}
    )
    contrasts = list(after.index.unique("contrast"))
    sets = _transfer_sets(contrasts, tuned, old_contrasts)
    rows, verdicts = [], []
    for title, labels in sets.items():
        in_set = after.index.isin(labels, level="contrast")
        means = r[in_set].groupby(level="person", sort=False).mean()
        verdict = Verdict.unknown(len(means))
        if labels[0] in old_contrasts:
            verdict = judged(after[in_set], means["after"] - means["before"])
        verdicts.append(verdict)
        rows.append(
            {
                "contrast": title,
                "tuned": labels[0] in tuned,
                **{key: number(means[key].mean()) for key in names},
            }
        )
    mean_rows = len(rows) - len(contrasts)
    verdicts = [*verdicts[:mean_rows], *corrected(verdicts[mean_rows:])]
    for row, verdict in zip(rows, verdicts, strict=True):
        row |= verdict_cells(verdict)
        if row["before"] is None:
            row["verdict"] = None
    return rows


def _transfer_sets(
    contrasts: Sequence[str], tuned: Collection[str], old_contrasts: Collection[str]
) -> dict[str, list[str]]:
    """Return the sets of contrasts whose mean r has a row, by the row's name; each alone last."""
    # New contrasts beside old ones would be in the mean after tuning only.
    all_new = not len(old_contrasts)
    not_tuned, tuned_labels = [], []
    for label in contrasts:
        if label in tuned and (label in old_contrasts or all_new):
            tuned_labels.append(label)
        elif label in old_contrasts and label not in tuned:
            not_tuned.append(label)
    sets = {}
    if not_tuned:
        sets[f"mean of {len(not_tuned)} not tuned"] = not_tuned
    if tuned_labels:
        sets[f"mean of {len(tuned_labels)} tuned"] = tuned_labels
    return sets | {label: [label] for label in contrasts}


def records(table: pd.DataFrame) -> list[Row]:
    """Return the rows of a table as written in bundles: four decimals, None where not known."""
    rounded = table.round(4).astype(object).where(table.notna(), None)
    return [
        {str(key): value for key, value in row.items()}
        for row in rounded.to_dict("records")
    ]


def same_for_all(table: pd.DataFrame) -> list[str]:
    """Return the contrasts in which all people (two or more) have the same predicted map.

    Empty for models without scores of individuality. `table` is as of `Scores.of`, here and below.
    """
    if not _is_individual(table):
        return []
    by_contrast = table["residual_r"].groupby(level="contrast", sort=False)
    sizes = by_contrast.agg(["size", "count"])
    return list(sizes.index[(sizes["size"] > 1) & (sizes["count"] == 0)])


def by_person(table: pd.DataFrame, score: str) -> pd.Series[float]:
    """Return a score's means over contrasts, by person.

    A contrast without residual r, because everybody's prediction is the same, counts as 0; if no
    contrast has one, all are NaN.
    """
    return _person_means(_counted(table, score))


def number(value: float, digits: int = 4) -> float | None:
    """Return a number for JSON: rounded, None if it is not finite."""
    return round(float(value), digits) if np.isfinite(value) else None


def cells(interval: Interval) -> list[float | None] | None:
    """Return a mean and its interval for JSON; None if there is no mean."""
    if not np.isfinite(interval.mean):
        return None
    return [number(interval.mean), number(interval.low), number(interval.high)]


def verdict_cells(verdict: Verdict) -> Row:
    """Return the cells of a table on a verdict."""
    return {
        "people": verdict.people,
        "difference": cells(verdict.difference),
        "p": number(verdict.table_p, 5),
        "verdict": verdict.word,
    }


def _interval(
    values: pd.Series[float] | Float64, least: float = -np.inf, most: float = np.inf
) -> list[float | None] | None:
    """Return the mean of a score over people and its interval, inside the range of the score."""
    return cells(t_interval(np.asarray(values)).within(least, most))


def _counted(table: pd.DataFrame, score: str) -> pd.Series[float]:
    values = table[score]
    return values.fillna(0.0) if values.notna().any() else values


def _is_individual(table: pd.DataFrame) -> bool:
    """Return whether a model has scores that compare a person with others."""
    return any(table[score].notna().any() for score in ("index", "identification"))


def _r_minus_own_mean(table: pd.DataFrame) -> pd.Series[float]:
    """Return each person's r minus that of the model's mean prediction, mean over contrasts."""
    return _person_means(table["r"] - table["own_mean_r"])


def _difference(
    table: pd.DataFrame, opponent: pd.DataFrame, score: str
) -> pd.Series[float]:
    """Return each person's difference in a score, averaged over contrasts that both models have."""
    opponent_score = _counted(opponent, score).reindex(table.index)
    return _person_means(_counted(table, score) - opponent_score)


def _wide(values: pd.Series[float]) -> Float64:
    """Return values by contrast and person as (contrasts, people); NaN: no map."""
    contrasts, people = values.index.unique("contrast"), values.index.unique("person")
    wide = values.unstack("person").reindex(index=contrasts, columns=people)
    return wide.to_numpy(np.float64)


def _person_means(values: pd.Series[float]) -> pd.Series[float]:
    """Return means over contrasts, by person."""
    return values.groupby(level="person", sort=False).mean()


def families_of(table: pd.DataFrame) -> Indices:
    """Return the number of each person's family, (people,)."""
    return table["family"].groupby(level="person", sort=False).first().to_numpy()


def is_folded(table: pd.DataFrame) -> bool:
    """Return whether people were scored by cross-validation."""
    return bool((table["group"] > 0).any())


def judged(table: pd.DataFrame, differences: pd.Series[float]) -> Verdict:
    """Judge differences by person; those of a cross-validation spread more, see `judge_scores`."""
    return judge_differences(
        differences.to_numpy(), families_of(table), cross_validated=is_folded(table)
    )


def _spread(table: pd.DataFrame, differences: pd.Series[float] | Float64) -> Float64:
    """Return families' differences, widened for cross-validation (`spread_as_learnt`)."""
    family_differences = family_means(np.asarray(differences), families_of(table))
    if is_folded(table):
        return spread_as_learnt(family_differences)
    return family_differences
