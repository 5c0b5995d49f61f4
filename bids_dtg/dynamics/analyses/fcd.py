"""Dynamics of functional connectivity (FCD) of simulated sessions, compared with measured ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import BY_PEOPLE, T_INTERVAL, Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.judging.predictive import FCD_STRIDE
from bids_dtg.dynamics.measures import FCD_FRAMES, fcd_shares, ks_distance
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.report.pages.analysis import PageSection
from bids_dtg.stats.paired import bootstrap_interval
from bids_dtg.stats.splits import family_numbers
from bids_dtg.stats.verdict import RULE, WORSE, judge_differences

Row = dict[str, Any]
Values = NDArray[np.floating[Any]]

SIMULATIONS = 5  # of each person
_FEWEST_FRAMES = FCD_FRAMES + FCD_STRIDE + 1
_RETEST, _OTHER = "retest", "other_person"
_MEASURED = {
    _RETEST: "the person's own other session",
    _OTHER: "another person's session, mean over all of other families",
}
_COLUMNS = (
    Column("name", "Name of the model, or of measured sessions"),
    Column("words", "Description of it"),
    Column("what", "model, baseline, or measured"),
)
_OF_SESSION = (
    Column("people_{}", "Number of people with {}"),
    Column(
        "distance_{}",
        "Kolmogorov-Smirnov distance between the distributions of FCD of a person's {} and of the "
        "session of the row, mean over simulations, then over people; 0: the same",
        "{}",
        interval=BY_PEOPLE,
    ),
    Column(
        "advantage_{}",
        "This distance less the model's, mean over people; above 0: the model is better",
        interval=T_INTERVAL,
    ),
    Column("advantage_{}_p", "Two-sided p of that, by sign flips over people"),
    Column("verdict_{}", f"Verdict on the model compared with this: {RULE}"),
)


class FcdDistances:
    """Distributions of people's FCD, to which those of simulations are added person by person.

    Parameters
    ----------
    sessions
        People's measured sessions by name; those with too few frames for an FCD are left out.
    """

    def __init__(self, sessions: Mapping[str, PeopleSeries]) -> None:
        self.sessions = sessions
        self._measured = {
            name: dict(zip(own.people, _shares(own.series), strict=True))
            for name, own in sessions.items()
            if own.frames >= _FEWEST_FRAMES
        }
        self._simulated: dict[str, dict[str, Values]] = {}
        self._words: dict[str, tuple[str, str]] = {}

    def add(self, name: str, words: str, what: str, label: str, simulated: Values) -> None:
        """Add a person's simulations (simulations, regions, frames); those that diverged are not.

        Parameters
        ----------
        name, words, what
            Of the row.
        label
            Of the person.
        simulated
            The first `SIMULATIONS` of them are used.
        """
        used = simulated[:SIMULATIONS]
        used = used[np.isfinite(used).all(axis=(1, 2))]
        if self._measured and len(used):
            self._words[name] = words, what
            self._simulated.setdefault(name, {})[label] = _shares(used)

    def table(self, model: str) -> ResultTable:
        """Return distances to people's own sessions, a row a model; `model` is judged."""
        rows = [
            self._row(name, *self._words[name], self._of_simulations(name), model)
            for name in self._simulated
        ]
        for name, words in _MEASURED.items():
            of = self._of_retest if name == _RETEST else self._of_others
            if any(of(session) for session in self._measured):
                rows.append(self._row(name, words, "measured", of, model))
        columns = (
            *_COLUMNS,
            *(column.of(name) for name in self._measured for column in _OF_SESSION),
        )
        return ResultTable(columns, rows, "Dynamics of functional connectivity: a row a model")

    def _row(
        self, name: str, words: str, what: str, of: Callable[[str], dict[str, float]], model: str
    ) -> Row:
        row: Row = {"name": name, "words": words, "what": what}
        for session in self._measured:
            own = of(session)
            row[f"people_{session}"] = len(own)
            if own:
                row[f"distance_{session}"] = bootstrap_interval(np.array([*own.values()]))
            if name != model:
                judged = self._of_simulations(model)(session)
                both = [label for label in own if label in judged]
                gains = np.array([own[label] - judged[label] for label in both])
                families = family_numbers(both, self.sessions[session].families)
                found = judge_differences(gains, families)
                row |= found.columns(f"advantage_{session}")
                row[f"verdict_{session}"] = found.word
        return row

    def _of_simulations(self, name: str) -> Callable[[str], dict[str, float]]:
        found = self._simulated.get(name, {})

        def of(session: str) -> dict[str, float]:
            measured = self._measured[session]
            return {
                label: float(ks_distance(shares, measured[label]).mean())
                for label, shares in found.items()
                if label in measured
            }

        return of

    def _of_retest(self, session: str) -> dict[str, float]:
        measured = self._measured[session]
        others = [own for name, own in self._measured.items() if name != session]
        return _between(measured, others[0]) if others else {}

    def _of_others(self, session: str) -> dict[str, float]:
        measured, found = self._measured[session], {}
        for (label, own), others in zip(
            measured.items(), self.sessions[session].others, strict=True
        ):
            if others.any():
                apart = ks_distance(np.stack([*measured.values()])[others], own)
                found[label] = float(apart.mean())
        return found


def fcd_section(table: ResultTable, sessions: Iterable[str], model: str) -> PageSection:
    """Return the page's section; a row is marked where it is closer to people than the model."""
    rows = [{**row, "name": row["words"]} for row in table.rows]
    columns = [f"distance_{name}" for name in sessions]
    columns = [name for name in columns if any(name in row for row in rows)]
    others = [row for row in rows if row["what"] != "model"]
    return PageSection(
        title="Dynamics of functional connectivity",
        text=(
            f"How alike functional connectivity is in any two windows of {FCD_FRAMES} frames, "
            f"every {FCD_STRIDE} frames: distance of the distributions of a person's session and "
            f"of others (0: the same, 1: apart), over {SIMULATIONS} simulations of each person. "
            f"Marked where they are closer than the model's: {RULE}.",
        ),
        tables=(
            ResultTable(table.columns, rows).on_page(
                "Distance to the person's own session",
                ("name", *columns),
                highlight=[row["words"] for row in others],
                model=model,
                better=[
                    (row["words"], column)
                    for row in others
                    for column in columns
                    if row.get(column.replace("distance", "verdict", 1)) == WORSE
                ],
            ),
        ),
    )


def _shares(sessions: Values) -> Values:
    return fcd_shares(sessions, stride=FCD_STRIDE)


def _between(one: Mapping[str, Values], other: Mapping[str, Values]) -> dict[str, float]:
    return {
        label: float(ks_distance(own, other[label])) for label, own in one.items() if label in other
    }
