"""Who is predicted well: scores of each person, and of the typical and the atypical half.

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
from bids_dtg.stats.paired import t_interval, wilson_interval

Values = NDArray[np.float64]
TYPICAL, ATYPICAL = "typical half", "atypical half"
# Scores of a person, and where `ModelScores` has them.
SCORES: Mapping[str, str] = {
    "r": "r",
    "residual_r": "own_residual_r",
    "index": "own_index",
    "identification": "own_identification",
}


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


def _numbers(rows: Sequence[Mapping[str, Any]], key: str) -> Values:
    found = [row.get(key) for row in rows]
    return np.array([np.nan if value is None else float(value) for value in found], np.float64)
