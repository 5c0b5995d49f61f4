"""What scores side by side say: where simple models win, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bids_dtg.report.flags import Flag

# Of fewer people percentile intervals are too narrow.
_ENOUGH = 10
_SCORES = {"r": "r", "residual_r": "residual r", "identified": "identification"}
# Of models that do not contain the training people's mean map.
_WITHOUT_MEAN = ("linear (Tavor)", "before tuning")


def verdicts(judged: str, paired: Sequence[Mapping[str, Any]], people: int) -> list[Flag]:
    """Say in a sentence a score what the judged model is better and worse than.

    Parameters
    ----------
    judged
        Name of the model that the page is about.
    paired
        A row a simple model: `model`, and a score's mean difference (judged less simple) with
        its interval, where both have the score.
    people
        How many were scored.
    """
    flags = []
    for key, word in _SCORES.items():
        told = [(str(row["model"]), row[key]) for row in paired if _known(row.get(key))]
        worse = [one for one in told if one[1][2] < 0]
        better = [one for one in told if one[1][1] > 0]
        level = [one for one in told if one not in worse and one not in better]
        parts = [
            *_part("worse than", worse),
            *_part("not to be told from", level),
            *_part("better than", better),
        ]
        if parts:
            text = f"In {word}, {judged} is {'; '.join(parts)}"
            flags.append(Flag("warning" if worse else "note" if level else "good", text))
        wins = [name for name, _ in worse if name in _WITHOUT_MEAN]
        if key == "residual_r" and wins:
            flags.append(Flag("note", _too_high(wins)))
    if people < _ENOUGH:
        flags.append(Flag("note", f"Intervals over {people} people are too narrow"))
    return flags


def figure(value: float, digits: int = 3) -> str:
    """Write a score with some decimals, a minus sign, and no sign before zero."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _too_high(names: Sequence[str]) -> str:
    return (
        f"Residual r of {' and '.join(names)} is too high where few people were trained on: such "
        "models do not contain the training people's mean map, whose error is then in both "
        "deviations"
    )


def _part(words: str, told: Sequence[tuple[str, Sequence[float]]]) -> list[str]:
    named = []
    for name, interval in told:
        # A small difference may be a sure one.
        digits = 4 if max(map(abs, interval)) < 0.01 else 3
        mean, low, high = (figure(value, digits) for value in interval)
        named.append(f"{name} ({mean}, 95 % from {low} to {high})")
    return [f"{words} {', '.join(named)}"] if named else []


def _known(value: object) -> bool:
    return isinstance(value, Sequence) and len(value) == 3 and None not in value
