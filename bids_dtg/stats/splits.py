"""Splits into training, validation and test people; each person is in one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# What people are for. Validation people choose the epoch, offsets and gains: they tune.
SETS = ("training", "validation", "calibration", "test")
DRAWN = ("training", "validation", "test")  # by `split_people`


@dataclass(frozen=True)
class Split:
    """Participants' labels by what they are for."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    calibration: tuple[str, ...] = ()  # kept apart; a split that is drawn has none

    def __post_init__(self) -> None:
        count = Counter(self.everybody)
        twice = sorted(label for label, times in count.items() if times > 1)
        if twice:
            raise ValueError(f"participants are on two sides of the split: {', '.join(twice)}")

    @property
    def everybody(self) -> tuple[str, ...]:
        """All people of the three sets."""
        return tuple(label for name in SETS for label in getattr(self, name))

    def require_whole_families(self, families: Mapping[str, str]) -> None:
        """Refuse a family that is on two sides.

        Raises
        ------
        ValueError
            Naming such families.
        """
        sides: dict[str, set[str]] = {}
        for name in SETS:
            for label in getattr(self, name):
                if label in families:
                    sides.setdefault(families[label], set()).add(name)
        torn = sorted(family for family, found in sides.items() if len(found) > 1)
        if torn:
            raise ValueError(f"families are on two sides of the split: {', '.join(torn)}")


def split_people(
    labels: Sequence[str],
    *,
    validation: float,
    test: float,
    seed: int,
    families: Mapping[str, str] | None = None,
) -> Split:
    """Draw who is in which set; families stay together.

    Parameters
    ----------
    labels
        Labels of all people, each once.
    validation, test
        Shares of the people, reached as nearly as families allow; each set with a share above
        0 has one person at least, and two where there are six people or more: fewer cannot be
        compared with each other.
    seed
        The same labels and seed give the same sets, in whatever order the labels come.
    families
        Family by label; who is not in it is a family alone.

    Raises
    ------
    ValueError
        If a label comes twice, shares leave nobody to train on, or there are too few families.

    Examples
    --------
    >>> split = split_people(list("abcdefgh"), validation=0.25, test=0.25, seed=0)
    >>> len(split.training), len(split.validation), len(split.test)
    (4, 2, 2)
    """
    if len(set(labels)) != len(labels):
        raise ValueError("a participant is listed twice")
    if min(validation, test) < 0 or validation + test >= 1:
        raise ValueError(f"shares of {validation:g} and {test:g} leave nobody to train on")
    groups = _whole_families(labels, families)
    order = np.random.default_rng(seed).permutation(sorted(groups))
    wanted = {"test": test * len(labels), "validation": validation * len(labels)}
    sets: dict[str, list[str]] = {name: [] for name in DRAWN}
    waiting = [str(key) for key in order]
    least = 1 if len(labels) < 6 else 2
    for name, people in wanted.items():
        while people and waiting and len(sets[name]) < max(least, round(people)):
            sets[name] += groups[waiting.pop()]
    sets["training"] = [label for key in waiting for label in groups[key]]
    if not sets["training"]:
        raise ValueError(f"{len(groups)} families are too few to be divided")
    return Split(**{name: tuple(sorted(labels)) for name, labels in sets.items()})


def fold_people(
    labels: Sequence[str], folds: int, *, seed: int, families: Mapping[str, str] | None = None
) -> tuple[tuple[str, ...], ...]:
    """Draw groups of people, each to be left out once; families stay together.

    Parameters
    ----------
    labels
        Labels of all people, each once.
    folds
        How many groups, if there are so many families.
    seed
        The same labels and seed give the same groups, in whatever order the labels come.
    families
        Family by label; who is not in it is a family alone.

    Returns
    -------
    Labels of each group, sorted; of sizes as equal as families allow.

    Raises
    ------
    ValueError
        If a label comes twice or there are fewer than two families.

    Examples
    --------
    >>> [len(fold) for fold in fold_people(list("abcdefg"), 3, seed=0)]
    [3, 2, 2]
    """
    if len(set(labels)) != len(labels):
        raise ValueError("a participant is listed twice")
    groups = _whole_families(labels, families)
    if len(groups) < 2 or folds < 2:
        raise ValueError(f"{len(groups)} families cannot be divided into {folds} groups")
    drawn = [str(key) for key in np.random.default_rng(seed).permutation(sorted(groups))]
    found: list[list[str]] = [[] for _ in range(min(folds, len(groups)))]
    # The largest families first, each to the smallest group.
    for key in sorted(drawn, key=lambda key: -len(groups[key])):
        min(found, key=len).extend(groups[key])
    return tuple(tuple(sorted(fold)) for fold in found)


def family_numbers(labels: Sequence[str], families: Mapping[str, str]) -> NDArray[np.intp]:
    """Return the number of each person's family, (people,); who has none is one alone.

    Examples
    --------
    >>> family_numbers(["01", "02", "03"], {"01": "A", "03": "A"}).tolist()
    [0, 1, 0]
    """
    names = [("family", families[who]) if who in families else ("person", who) for who in labels]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.intp)


def _whole_families(
    labels: Sequence[str], families: Mapping[str, str] | None
) -> dict[str, list[str]]:
    """Return people by family; who has none is one alone."""
    groups: dict[str, list[str]] = {}
    for label in sorted(labels):
        family = (families or {}).get(label)
        groups.setdefault(f"person {label}" if family is None else f"family {family}", []).append(
            label
        )
    return groups
