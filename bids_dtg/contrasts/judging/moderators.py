"""Who is predicted well: scores of each person, and what they go with.

A person is typical whose measured maps resemble the group average: the half of the people above the
median (Serin et al. 2025 compare such halves).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.judging.model_scores import ModelScores
from bids_dtg.contrasts.judging.model_table import cells, number
from bids_dtg.contrasts.people import Person
from bids_dtg.stats.correlation import weighted_correlation
from bids_dtg.stats.paired import t_interval, wilson_interval
from bids_dtg.stats.verdict import (
    FEWEST,
    TOO_FEW,
    Verdict,
    corrected,
    judge_scores,
    not_computable,
)

Values = NDArray[np.float64]
TYPICAL, ATYPICAL = "typical half", "atypical half"
# Scores of a person, and where `ModelScores` has them.
SCORES: Mapping[str, str] = {
    "r": "r",
    "residual_r": "own_residual_r",
    "index": "own_index",
    "identification": "own_identification",
}
MODERATORS = ("fd_mean", "minutes", "residual_dof", "typicality")
NOT_KNOWN, ALIKE = not_computable("not known"), not_computable("the same for everybody")


def person_rows(
    model: ModelScores, group: ModelScores, people: Sequence[Person]
) -> list[dict[str, Any]]:
    """Return a row a person: scores, means over contrasts, and what may go with them.

    Parameters
    ----------
    model, group
        The evaluated model; the group average on the same people, whose r is how typical they are.
    people
        They, in the order of the scores.
    """
    scores = {name: model.by_person(key) for name, key in SCORES.items() if key in model.scores}
    typicality = group.by_person("r")
    halves = _halves(typicality)
    return [
        {
            "participant_id": f"sub-{person.label}",
            "contrasts": int(model.measured[:, n].sum()),
            **{name: number(values[n]) for name, values in scores.items()},
            "typicality": number(typicality[n]),
            "half": halves[n],
            "fd_mean": number(person.fd_mm),
            "minutes": number(person.minutes),
            "residual_dof": number(person.residual_dof),
        }
        for n, person in enumerate(people)
    ]


def moderator_rows(
    people: Sequence[Mapping[str, Any]],
    families: Mapping[str, str],
    *,
    cross_validated: bool = False,
) -> list[dict[str, Any]]:
    """Return Spearman's correlation of each score with each moderator, over people.

    Parameters
    ----------
    people
        Rows of `person_rows`.
    families
        Label -> family, of people who are related: they are drawn together.
    cross_validated
        Whether people were judged by fits to the others.

    Returns
    -------
    list of dict
        With BCa's interval, p by sign flips that is adjusted for all rows (false discovery rate),
        and a verdict: higher or lower scores with more of it; else what is missing for one.

    Examples
    --------
    >>> rows = [
    ...     {"participant_id": f"sub-{n}", "r": 0.1 * n, "fd_mean": 0.3 - 0.01 * n}
    ...     for n in range(12)
    ... ]
    >>> found = moderator_rows(rows, {})[0]
    >>> found["moderator"], found["score"], found["rho"][0], found["verdict"]
    ('fd_mean', 'r', -1.0, 'lower')
    """
    labels = [str(row["participant_id"]).removeprefix("sub-") for row in people]
    related = np.array([f"family {families[x]}" if x in families else x for x in labels])
    rows: list[dict[str, Any]] = []
    verdicts: dict[int, Verdict] = {}
    for moderator in MODERATORS:
        for score in SCORES:
            x, y = (_numbers(people, key) for key in (moderator, score))
            known = np.isfinite(x) & np.isfinite(y)
            row: dict[str, Any] = {"moderator": moderator, "score": score}
            row["people"] = int(known.sum())
            x, y, own = x[known], y[known], related[known]
            if not known.any():
                row["verdict"] = NOT_KNOWN
            elif len(x) < FEWEST:
                row["verdict"] = TOO_FEW
            elif np.ptp(x) == 0 or np.ptp(y) == 0:
                row["verdict"] = ALIKE
            elif found := _judge(x, y, own, cross_validated=cross_validated):
                verdicts[len(rows)] = found
            else:
                row["verdict"] = ALIKE
            rows.append(row)
    for n, verdict in zip(verdicts, corrected(tuple(verdicts.values())), strict=True):
        rows[n]["rho"] = cells(verdict.difference)
        rows[n]["p"] = number(verdict.p, 5)
        rows[n]["verdict"] = verdict.named("higher", "lower")
    return rows


def half_rows(people: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return scores of the typical and of the atypical half of the people.

    Parameters
    ----------
    people
        Rows of `person_rows`.
    """
    rows = []
    for half in (TYPICAL, ATYPICAL):
        own = [row for row in people if row["half"] == half]
        if not own:
            continue
        r, typicality = (_numbers(own, key) for key in ("r", "typicality"))
        identified = _numbers(own, "identification")
        known = identified[np.isfinite(identified)]
        rows.append(
            {
                "part": half,
                "people": len(own),
                "r": cells(t_interval(r)),
                "r_minus_group_average": cells(t_interval(r - typicality)),
                "residual_r": cells(t_interval(_numbers(own, "residual_r"))),
                "index": cells(t_interval(_numbers(own, "index"))),
                "identification": cells(
                    wilson_interval(float(known.mean()) if len(known) else np.nan, len(known))
                ),
            }
        )
    return rows


def _halves(typicality: Values) -> list[str | None]:
    known = typicality[np.isfinite(typicality)]
    if len(known) < 2:
        return [None] * len(typicality)
    middle = np.median(known)
    return [
        None if not np.isfinite(own) else TYPICAL if own >= middle else ATYPICAL
        for own in typicality
    ]


def _judge(x: Values, y: Values, related: NDArray[Any], *, cross_validated: bool) -> Verdict | None:
    """Judge Spearman's correlation against none."""
    from scipy.stats import rankdata

    ranks = rankdata(x), rankdata(y)
    return judge_scores(
        lambda weights: weighted_correlation(*ranks, weights),
        len(x),
        families=related,
        cross_validated=cross_validated,
    )


def _numbers(rows: Sequence[Mapping[str, Any]], key: str) -> Values:
    found = [row.get(key) for row in rows]
    return np.array([np.nan if value is None else float(value) for value in found], np.float64)
