"""Which prediction is best at each figure, and where the twin is beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bids_dtg.report.numbers import figure
from bids_dtg.stats.verdict import BETTER, WORSE
from bids_dtg.twin.judging.cohort import EFFECT, RT
from bids_dtg.twin.judging.evaluation import FIGURES, TWIN, Evaluation, Score

_EQUAL = 1e-6  # a simpler prediction that is as good is the best
_MS = 1000.0


@dataclass(frozen=True)
class _Group:
    """What figures are of: how its sentence begins, and how its numbers are written."""

    words: str
    digits: int
    factor: float = 1.0
    unit: str = ""

    def written(self, score: Score) -> str:
        return f"{figure(self.factor * score.value.mean, self.digits)}{self.unit}"


_GROUPS: Mapping[str, _Group] = MappingProxyType(
    {
        RT: _Group("Mean response times (r over people)", 2),
        EFFECT: _Group("Condition effects (r over people)", 2),
        "crps": _Group("Distributions of response times (CRPS)", 1, _MS, " ms"),
        "brier": _Group("Correct, wrong and missed trials (Brier score)", 3),
        "choice": _Group("Choices (share of trials with the person's button)", 3),
    }
)


@dataclass(frozen=True)
class Standing:
    """Which prediction is best at a figure of a task, and the twin beside its best rival."""

    twin: Score
    rival: Score  # the best of the others

    @property
    def best(self) -> Score:
        """The best of all; of two that are equal, the one without a network."""
        sign = 1.0 if FIGURES[self.twin.figure].more_is_better else -1.0
        twin, rival = (sign * score.value.mean for score in (self.twin, self.rival))
        return self.twin if np.isfinite(twin) and not rival >= twin - _EQUAL else self.rival

    @property
    def verdict(self) -> str:
        """The verdict on the twin against its best rival, in a word or a few."""
        assert self.rival.verdict is not None  # a prediction with a value is compared
        return self.rival.verdict.named(BETTER, WORSE)


def standings(found: Evaluation, name: str) -> list[Standing]:
    """Return who is best at a figure, by task and condition.

    Parameters
    ----------
    found
        An evaluation.
    name
        Of the figure, a row of `FIGURES`.
    """
    scores = [score for score in found.scores if score.figure == name]
    sign = 1.0 if FIGURES[name].more_is_better else -1.0
    standing = []
    for twin in (score for score in scores if score.name == TWIN):
        rivals = [
            score
            for score in scores
            if (score.task, score.condition) == (twin.task, twin.condition)
            and score.name != TWIN
            and np.isfinite(score.value.mean)
        ]
        if rivals:
            best = max(rivals, key=lambda score: sign * score.value.mean)
            standing.append(Standing(twin, best))
    return standing


def winner_sentences(found: Evaluation) -> tuple[str, ...]:
    """Return a sentence a group of figures: which prediction is best, and where the twin is.

    Parameters
    ----------
    found
        An evaluation; figures without a baseline have no sentence.
    """
    sentences = []
    for name, group in _GROUPS.items():
        clauses: dict[tuple[str, str], list[str]] = {}
        for each in standings(found, name):
            clauses.setdefault((each.best.name, each.verdict), []).append(_values(each, group))
        if clauses:
            listed = "; ".join(_clause(*key, places) for key, places in clauses.items())
            sentences.append(f"{group.words}: {listed}.")
    return tuple(sentences)


def _values(standing: Standing, group: _Group) -> str:
    """Return where it is, and the values of the best and of the twin or its best rival."""
    twin, rival = standing.twin, standing.rival
    where = " ".join(part for part in (twin.task, twin.condition) if part)
    if standing.best is twin:
        return f"{where} ({group.written(twin)}, {_name(rival.name)} {group.written(rival)})"
    own = group.written(twin) if np.isfinite(twin.value.mean) else "has none"
    return f"{where} ({group.written(rival)}, twin {own})"


def _clause(best: str, verdict: str, places: list[str]) -> str:
    name = "the twin" if best == TWIN else _name(best)
    on_twin = "the twin is worse" if verdict == WORSE else verdict
    return f"{name} is best in {', '.join(places)}: {on_twin}"


def _name(name: str) -> str:
    return name.replace("_", " ")
