"""Splits into training, validation and test sets; each person is in one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bids_dtg.array_types import Indices

# Roles of people. The epoch, offsets and gains are tuned on the validation people.
SETS = ("training", "validation", "calibration", "test")
DRAWN = ("training", "validation", "test")  # the sets that `split_people` draws


@dataclass(frozen=True)
class Split:
    """Participants' labels in each set."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    # Only in a split that is given; drawn splits have none.
    calibration: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = Counter(self.everybody)
        twice = sorted(label for label, times in count.items() if times > 1)
        if twice:
            raise ValueError(
                f"participants are in two sets of the split: {', '.join(twice)}"
            )

    @property
    def everybody(self) -> tuple[str, ...]:
        """All people of the sets."""
        return tuple(label for name in SETS for label in getattr(self, name))

    def require_whole_families(self, families: Mapping[str, str]) -> None:
        """Refuse a family that is divided between sets.

        Raises
        ------
        ValueError
            A family is divided; the message names all such families.
        """
        sides: dict[str, set[str]] = {}
        for name in SETS:
            for label in getattr(self, name):
                if label in families:
                    sides.setdefault(families[label], set()).add(name)
        divided = sorted(family for family, sets in sides.items() if len(sets) > 1)
        if divided:
            raise ValueError(
                f"families are in two sets of the split: {', '.join(divided)}"
            )


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
        Shares of the people, matched as closely as families allow. Each set with a share above 0
        has at least one person, and at least two if there are six people or more, because scores
        compare people.
    seed
        The same labels and seed give the same sets, in any order of the labels.
    families
        Family by label; a person without an entry is a family of one.

    Raises
    ------
    ValueError
        The shares leave nobody to train on, or there are too few families.

    Examples
    --------
    >>> split = split_people(list("abcdefgh"), validation=0.25, test=0.25, seed=0)
    >>> len(split.training), len(split.validation), len(split.test)
    (4, 2, 2)
    """
    if min(validation, test) < 0 or validation + test >= 1:
        raise ValueError(
            f"shares of {validation:g} and {test:g} leave nobody to train on"
        )
    groups = _whole_families(labels, families)
    order = np.random.default_rng(seed).permutation(sorted(groups))
    sizes = {"test": test * len(labels), "validation": validation * len(labels)}
    sets: dict[str, list[str]] = {name: [] for name in DRAWN}
    waiting = [str(family) for family in order]
    least = 1 if len(labels) < 6 else 2
    for name, size in sizes.items():
        while size and waiting and len(sets[name]) < max(least, round(size)):
            sets[name] += groups[waiting.pop()]
    sets["training"] = [label for family in waiting for label in groups[family]]
    if not sets["training"]:
        raise ValueError(f"{len(groups)} families are too few to be split")
    return Split(**{name: tuple(sorted(people)) for name, people in sets.items()})


def fold_people(
    labels: Sequence[str],
    folds: int,
    *,
    seed: int,
    families: Mapping[str, str] | None = None,
) -> tuple[tuple[str, ...], ...]:
    """Draw folds of people, each held out once; families stay together.

    Parameters
    ----------
    labels
        Labels of all people, each once.
    folds
        Number of folds; at most as many as there are families.
    seed
        The same labels and seed give the same folds, in any order of the labels.
    families
        Family by label; a person without an entry is a family of one.

    Returns
    -------
    Sorted labels of each fold; the folds are as equal in size as families allow.

    Raises
    ------
    ValueError
        There are fewer than two families or folds.

    Examples
    --------
    >>> [len(fold) for fold in fold_people(list("abcdefg"), 3, seed=0)]
    [3, 2, 2]
    """
    groups = _whole_families(labels, families)
    if len(groups) < 2 or folds < 2:
        raise ValueError(f"{len(groups)} families cannot be divided into {folds} folds")
    order = np.random.default_rng(seed).permutation(sorted(groups))
    families_drawn = [str(family) for family in order]
    number = min(folds, len(groups))
    people_of_folds: list[list[str]] = [[] for _ in range(number)]
    # The largest families come first; each goes to the smallest fold so far.
    for family in sorted(families_drawn, key=lambda family: -len(groups[family])):
        min(people_of_folds, key=len).extend(groups[family])
    return tuple(tuple(sorted(people)) for people in people_of_folds)


def family_numbers(labels: Sequence[str], families: Mapping[str, str]) -> Indices:
    """Return the number of each person's family, (people,); alone, a person is one.

    Examples
    --------
    >>> family_numbers(["01", "02", "03"], {"01": "A", "03": "A"}).tolist()
    [0, 1, 0]
    """
    names = [
        ("family", families[label]) if label in families else ("person", label)
        for label in labels
    ]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.intp)


def _whole_families(
    labels: Sequence[str], families: Mapping[str, str] | None
) -> dict[str, list[str]]:
    """Return people by family; a person without one is a family of one."""
    groups: dict[str, list[str]] = {}
    for label in sorted(labels):
        family = (families or {}).get(label)
        key = f"person {label}" if family is None else f"family {family}"
        groups.setdefault(key, []).append(label)
    return groups
