"""Folds of people: whole families, sites and levels in proportion, or site by site."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.integer[Any]]


class FoldSplit(NamedTuple):
    """Training and test people of one fold."""

    repeat: int
    fold: int
    train: NDArray[np.intp]  # places of people
    test: NDArray[np.intp]


@dataclass(frozen=True)
class Folds:
    """The fold in which each person is tested, once a repeat; families stay together.

    Raises
    ------
    ValueError
        If a family is in two folds of a repeat, or a repeat has fewer than two folds.
    """

    fold: NDArray[np.intp]  # (repeats, people)
    families: NDArray[np.intp]  # (people,), a number for each family
    moved: int = 0  # people tested with their family's site, which is not their own

    def __post_init__(self) -> None:
        _, families = np.unique(self.families, return_inverse=True)
        for repeat, own in enumerate(self.fold):
            if len(np.unique(own)) < 2:
                raise ValueError(f"repeat {repeat} has fewer than two folds: nobody to train on")
            pairs = np.unique(np.stack([families, own]), axis=1)
            torn = pairs.shape[1] - len(np.unique(families))
            if torn:
                raise ValueError(f"{torn} families are in two folds of repeat {repeat}")

    @property
    def repeats(self) -> int:
        """How many times everybody is tested."""
        return len(self.fold)

    @property
    def count(self) -> int:
        """How many folds a repeat has."""
        return int(self.fold.max()) + 1

    def splits(self, repeat: int | None = None) -> Iterator[FoldSplit]:
        """Yield training and test people of each fold, of one repeat or of all."""
        for n in range(self.repeats) if repeat is None else [repeat]:
            for fold in np.unique(self.fold[n]):
                test = self.fold[n] == fold
                yield FoldSplit(n, int(fold), np.flatnonzero(~test), np.flatnonzero(test))


def repeated_folds(
    families: Numbers,
    *,
    folds: int = 5,
    repeats: int = 10,
    seed: int = 0,
    sites: Numbers | None = None,
    levels: Numbers | None = None,
) -> Folds:
    """Draw repeated folds of whole families, with sites and levels in proportion.

    Parameters
    ----------
    families
        (people,), a number for each family; who is unrelated has one of their own.
    folds, repeats
        How many folds a repeat has, and how many times they are drawn.
    seed
        Seed of the random draws.
    sites, levels
        (people,), a number for each site, and for each level of a phenotype with two.

    Returns
    -------
    Folds
        Of people without families each site and level has numbers that differ by 1 at most
        between folds, and so have whole folds. The largest families are placed first, each
        where its sites and levels are fewest.

    Raises
    ------
    ValueError
        If there are fewer families than folds, or fewer than two folds.

    Examples
    --------
    >>> import numpy as np
    >>> drawn = repeated_folds(np.array([0, 0, 1, 2, 3, 4]), folds=3, repeats=1)
    >>> np.bincount(drawn.fold[0]).tolist(), bool(drawn.fold[0, 0] == drawn.fold[0, 1])
    ([2, 2, 2], True)
    """
    _, family = np.unique(families, return_inverse=True)
    if not 2 <= folds <= family.max() + 1:
        raise ValueError(
            f"{family.max() + 1} families cannot be divided into {folds} folds: two folds or "
            "more, and no more than there are families"
        )
    strata = _strata(len(family), sites, levels)
    # (families, strata), how many people of each family are in each stratum
    members = np.zeros((family.max() + 1, strata.max() + 1), np.int64)
    np.add.at(members, (family, strata), 1)
    rng = np.random.default_rng(seed)
    drawn = [_place_families(members, folds, rng)[family] for _ in range(repeats)]
    return Folds(np.stack(drawn), family)


def _strata(people: int, *parts: Numbers | None) -> NDArray[np.intp]:
    """Number the combinations of what is to be kept in proportion, (people,)."""
    known = [np.zeros(people, np.intp), *(np.asarray(part) for part in parts if part is not None)]
    numbers: NDArray[np.intp] = np.unique(np.stack(known), axis=1, return_inverse=True)[1]
    return numbers.reshape(people)


def _place_families(
    members: NDArray[np.int64], folds: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return a fold for each family: the one where its strata, then all people, are fewest."""
    # By size, then stratum by stratum, so that whole folds stay even too; else by chance.
    order = np.lexsort((rng.random(len(members)), members.argmax(axis=1), -members.sum(axis=1)))
    share = members / members.sum(axis=0)
    filled, people = np.zeros((folds, members.shape[1])), np.zeros(folds)
    placed = np.empty(len(members), np.intp)
    for family in order:
        full = (filled @ members[family]).round(9)
        fold = np.lexsort((rng.random(folds), people, full))[0]
        filled[fold] += share[family]
        people[fold] += members[family].sum()
        placed[family] = fold
    return placed


def site_folds(families: Numbers, sites: Numbers) -> Folds:
    """Leave out one site at a time, with its whole families.

    Parameters
    ----------
    families, sites
        (people,), a number for each family and site.

    Returns
    -------
    Folds
        One repeat, a fold for each site in the order of their numbers. A family with people of
        several sites is tested with the site that most of them are of (of equal ones, the lowest
        number); `moved` counts the people who are tested away from their site.

    Raises
    ------
    ValueError
        If fewer than two sites are left.

    Examples
    --------
    >>> import numpy as np
    >>> found = site_folds(np.array([0, 0, 0, 1, 2]), np.array([7, 7, 9, 9, 9]))
    >>> found.fold.tolist(), found.moved
    ([[0, 0, 0, 1, 1]], 1)
    """
    _, family = np.unique(families, return_inverse=True)
    _, site = np.unique(sites, return_inverse=True)
    count = np.zeros((family.max() + 1, site.max() + 1), np.int64)
    np.add.at(count, (family, site), 1)
    placed = count.argmax(axis=1)[family]
    kept = np.unique(placed)
    if len(kept) < 2:
        raise ValueError("people are of one site only: no site can be left out")
    return Folds(np.searchsorted(kept, placed)[None], family, int((placed != site).sum()))
