"""Whether a contrast can be predicted, according to the model's evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_dtg.notices import counted
from bids_dtg.report.contents import MapFile
from bids_dtg.report.numbers import figure
from bids_dtg.stats.verdict import BETTER, TOO_FEW, too_few

KEY = "Predictability"  # in the sidecars of maps
_SAME = "Not predicted: the map is the same for everybody"


@dataclass(frozen=True)
class Predictability:
    """The evaluation of one contrast in the model's card."""

    people: int  # number of people it was evaluated on
    r: float | None  # of predicted with measured maps, mean over them
    same_for_all: bool  # whether everybody was given the same map
    individual: str  # verdict against another person's prediction
    worth_using: str  # verdict against the model's own mean prediction
    above_another: tuple[float, float, float] | None  # difference in r, and its 95 % interval
    above_own_mean: tuple[float, float, float] | None
    ceiling: float | None = None  # r of a prediction of the true maps; None: not measured

    @property
    def found(self) -> bool:
        """Whether differences between people can be predicted; also true if not evaluated."""
        return not self.same_for_all and self.individual in (BETTER, TOO_FEW)

    @property
    def words(self) -> str:
        """A sentence for the map, without a full stop."""
        if self.same_for_all:
            return f"{_SAME} (evaluation)"
        if self.individual == TOO_FEW:
            return too_few(self.people)
        r = f"r {figure(self.r, 2)}" if self.r is not None else "r n/a"
        if self.ceiling is not None:
            r += f" (noise ceiling {figure(self.ceiling, 2)})"
        if self.individual != BETTER:
            none = f"{r}, but no more than another person's prediction"
            return f"Not predicted: {none}{_by(self.above_another)}"
        mean = "" if self.worth_using == BETTER else ", no more than the mean prediction"
        return f"Evaluation: {r}{mean}; {_above(self.above_another)} above another person's"


def predictability_facts(
    evaluation: Mapping[str, Any] | None, label: str
) -> dict[str, Mapping[str, Any]]:
    """Return the predictability for the sidecar of a map; nothing without an evaluation."""
    found: dict[str, Any] = {}
    for table in ("contrasts", "ceilings"):
        rows = (evaluation or {}).get(table)
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and row.get("contrast") == label:
                found |= row
    names = {name: "".join(map(str.capitalize, name.split("_"))) for name in found}
    facts = {names[name]: found[name] for name in found if name != "contrast"}
    return {KEY: facts} if facts else {}


def read_predictability(sidecar: Mapping[str, Any]) -> Predictability | None:
    """Read the predictability in a map's sidecar; None if there is none that can be read."""
    facts = sidecar.get(KEY)
    if not isinstance(facts, dict) or not isinstance(facts.get("People"), int):
        return None
    r, ceiling = facts.get("R"), facts.get("Ceiling")
    return Predictability(
        people=facts["People"],
        r=float(r) if isinstance(r, int | float) else None,
        same_for_all=facts.get("SameForAll") is True,
        individual=str(facts.get("Individual")),
        worth_using=str(facts.get("WorthUsing")),
        above_another=_interval(facts.get("AboveAnother")),
        above_own_mean=_interval(facts.get("AboveOwnMean")),
        ceiling=float(ceiling) if isinstance(ceiling, int | float) else None,
    )


def not_predicted(shown: MapFile) -> str:
    """Return why a map must not be interpreted individually; empty if it may be."""
    if shown.sidecar.get("Individual") is False:
        return f"{_SAME}, as the model found nothing of it in rest"
    found = read_predictability(shown.sidecar)
    return "" if found is None or found.found else found.words


def lead(maps: Sequence[MapFile]) -> str:
    """Say how many contrasts of a set of maps can be predicted."""
    judged = [found for shown in maps if (found := read_predictability(shown.sidecar))]
    faded = sum(bool(not_predicted(shown)) for shown in maps)
    grey = f"{faded} of {counted(len(maps), 'contrast')} cannot be predicted and stand in grey. "
    if not judged:
        unknown = (
            "The model carries no evaluation by contrast: it is not known which contrasts it can "
            "predict. "
        )
        return unknown + (grey if faded else "")
    people = max(found.people for found in judged)
    by = f"By the model's evaluation on {counted(people, 'participant')}, "
    by += grey if faded else "all contrasts are above another person's prediction. "
    if all(found.ceiling is None for found in judged):
        by += "Noise ceiling n/a: none of them was measured twice. "
    return by


def _interval(values: object) -> tuple[float, float, float] | None:
    if not isinstance(values, list) or len(values) != 3:
        return None
    if not all(isinstance(value, int | float) for value in values):
        return None
    mean, low, high = map(float, values)
    return mean, low, high


def _by(difference: tuple[float, float, float] | None) -> str:
    if difference is None:
        return ""
    mean, low, high = (figure(value) for value in difference)
    return f" (difference {mean}, 95 % {low} to {high})"


def _above(difference: tuple[float, float, float] | None) -> str:
    return figure(difference[0]) if difference else "n/a"
