"""Permutations that respect families and sites, and flips of signs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import factorial, prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_dtg.notices import counted

Integers = NDArray[np.integer[Any]]
# People by place: what a family has in each site, as (site, people) pairs.
Pattern = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Permutations:
    """Orders of people that are as likely as the one found, if the phenotype tells nothing."""

    orders: NDArray[np.int32]  # (n, people): person i gets what person order[i] has
    words: tuple[str, ...]  # what was swapped with what, in sentences
    possible: int  # how many orders there are; 1: none but that of the data

    @property
    def smallest_p(self) -> float:
        """The smallest p that these orders can give."""
        return 1 / min(len(self.orders) + 1, self.possible)

    def trouble_with(self, name: str, values: ArrayLike) -> str:
        """Say that no order changes a column, such as a diagnosis that only one site has.

        Parameters
        ----------
        name
            Name of the column, for the sentence.
        values
            (people,), the column that is tested.

        Returns
        -------
        A sentence; empty where an order changes the column, or only that of the data is possible.

        Examples
        --------
        >>> drawn = permutations(99, families=[0, 1, 2, 3], sites=[0, 0, 1, 1])
        >>> drawn.trouble_with("patient", [0, 0, 1, 1])[:38]
        'Every permutation leaves patient as it'
        >>> drawn.trouble_with("age", [20, 30, 40, 50])
        ''
        """
        column = np.asarray(values)
        if self.possible == 1 or any((column[order] != column).any() for order in self.orders):
            return ""
        return (
            f"Every permutation leaves {name} as it is, as sites or families have one value: "
            "its permuted p says nothing."
        )


@dataclass(frozen=True, eq=False)
class SignFlips:
    """Signs of people that are as likely as those found, if the mean is 0."""

    signs: NDArray[np.int8]  # (n, people), -1 or 1
    words: tuple[str, ...]  # what was flipped together, in sentences
    possible: int  # how many there are


def permutations(
    n: int,
    families: ArrayLike,
    *,
    sites: ArrayLike | None = None,
    within_families: bool = False,
    seed: int = 0,
) -> Permutations:
    """Draw orders of people: families move as whole blocks, and nobody moves to another site.

    A family is swapped with families that have as many people in each site: their first person
    with its first of the same site, the second with the second, as people come. Each order is
    drawn from all possible ones alike, that of the data too, so that ``(b + 1) / (n + 1)`` is an
    exact p (`permutation_p`).

    Parameters
    ----------
    n
        Number of permutations to draw.
    families
        (people,) numbers of families; who is unrelated has a number of their own.
    sites
        (people,) numbers of sites; None: all people may be swapped.
    within_families
        Whether people of a family that are in one site are permuted, too: allowed where they are
        related alike, as siblings are, not twins with their siblings.
    seed
        The same seed gives the same orders.

    Raises
    ------
    ValueError
        There are no people, no orders are asked for, or sites are not as many as people.

    Notes
    -----
    Whole-block and within-block exchangeability of Winkler et al. 2015, NeuroImage 123: 253,
    doi:10.1016/j.neuroimage.2015.05.092, with one level of blocks.

    Examples
    --------
    >>> found = permutations(999, [0, 0, 1, 1, 2])  # two pairs, who can be swapped, and one alone
    >>> np.unique(found.orders, axis=0)
    array([[0, 1, 2, 3, 4],
           [2, 3, 0, 1, 4]], dtype=int32)
    >>> found.possible, found.smallest_p
    (2, 0.5)
    """
    family, site = _checked(n, families, sites)
    blocks = _Blocks.of(family, site)
    rng = np.random.default_rng(seed)
    orders = np.tile(np.arange(len(family), dtype=np.int32), (n, 1))
    _swap(orders, blocks.alike, rng)
    if within_families:
        # Members of one family in one site are exchangeable: shuffle them where they were moved to.
        _shuffle(orders, blocks.cells, rng)
    possible = blocks.possible(within_families=within_families)
    words = (*_described(blocks, sites is not None, within_families), *_limits(possible, n))
    return Permutations(orders, words, possible)


def sign_flips(n: int, families: ArrayLike, *, seed: int = 0) -> SignFlips:
    """Draw signs of people for a test of their mean against 0: a family's are flipped together.

    Parameters
    ----------
    n
        Number of draws of signs.
    families
        (people,) numbers of families; who is unrelated has a number of their own.
    seed
        The same seed gives the same signs.

    Raises
    ------
    ValueError
        There are no people, or no draws are asked for.

    Notes
    -----
    Independent and symmetric errors of whole blocks: Winkler et al. 2014, NeuroImage 92: 381,
    doi:10.1016/j.neuroimage.2014.01.060. Sites do not matter: nobody is swapped.

    Examples
    --------
    >>> np.unique(sign_flips(99, [0, 0, 1]).signs, axis=0)
    array([[-1, -1, -1],
           [-1, -1,  1],
           [ 1,  1, -1],
           [ 1,  1,  1]], dtype=int8)
    """
    family, _ = _checked(n, families, None)
    names, number = np.unique(family, return_inverse=True)
    signs = np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), size=(n, len(names)))
    together = len(names) < len(family)  # some are related
    described = (
        f"Signs were flipped, those of each of {len(names)} families together."
        if together
        else "Each person's sign was flipped: nobody is known to be related."
    )
    possible: int = 2 ** len(names)
    return SignFlips(signs[:, number], (described, *_limits_of_signs(possible, n)), possible)


def permutation_p(observed: ArrayLike, null: ArrayLike) -> NDArray[np.float64]:
    """Return the p-value of an observed figure among draws by chance, which is never 0.

    Parameters
    ----------
    observed
        (tests,), larger is more extreme; NaN stays.
    null
        (permutations, tests) or, as a largest value over tests is, (permutations,).

    Returns
    -------
    (tests,), (as large + 1) / (permutations + 1).

    Notes
    -----
    Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9: 39. Values that differ by rounding
    alone, 1e-6 of the value, count as equal.

    Examples
    --------
    >>> permutation_p([3.0, 0.5], [1.0, 2.0, 1.0])
    array([0.25, 1.  ])
    """
    found, chance = np.atleast_1d(np.asarray(observed, np.float64)), np.asarray(null, np.float64)
    least = found - 1e-6 * np.abs(found)
    if chance.ndim == 1:  # may be compared with very many tests
        as_large = len(chance) - np.searchsorted(np.sort(chance), least)
    else:
        as_large = (chance >= least).sum(axis=0)
    p = (as_large + 1.0) / (len(chance) + 1.0)
    return np.where(np.isnan(found), np.nan, p)


@dataclass(frozen=True, eq=False)
class _Blocks:
    """The families that may be swapped, and the members that may be shuffled."""

    alike: tuple[Integers, ...]  # each (families, members): positions of people, a row a family
    cells: tuple[Integers, ...]  # positions of those of one family in one site
    sizes: Counter[int]  # families by number of people
    unlike: int  # families that are like no other
    sites: int
    spanning: int  # families in several sites

    @classmethod
    def of(cls, family: Integers, site: Integers) -> _Blocks:
        alike: dict[Pattern, list[Integers]] = {}
        cells = []
        for members in _groups(family):
            # By site, and within it as people come: the same place in each family of the pattern.
            members = members[np.argsort(site[members], kind="stable")]
            places, starts, people = np.unique(site[members], return_index=True, return_counts=True)
            pattern = tuple(zip(places.tolist(), people.tolist(), strict=True))
            alike.setdefault(pattern, []).append(members)
            cells += np.split(members, starts[1:])
        return cls(
            alike=tuple(np.stack(rows) for rows in alike.values()),
            cells=tuple(cells),
            sizes=Counter(len(row) for rows in alike.values() for row in rows),
            unlike=sum(len(rows) == 1 for rows in alike.values()),
            sites=len(np.unique(site)),
            spanning=sum(len(rows) for pattern, rows in alike.items() if len(pattern) > 1),
        )

    def possible(self, *, within_families: bool) -> int:
        swaps = prod(factorial(len(rows)) for rows in self.alike)
        return swaps * prod(factorial(len(cell)) for cell in self.cells if within_families)


def _checked(n: int, families: ArrayLike, sites: ArrayLike | None) -> tuple[Integers, Integers]:
    family = np.asarray(families)
    site = np.zeros(len(family), np.intp) if sites is None else np.asarray(sites)
    if n < 1 or family.ndim != 1 or not len(family):
        raise ValueError(f"{n} draws of people in families of the shape {family.shape}")
    if site.shape != family.shape:
        raise ValueError(f"sites of the shape {site.shape}, expected {family.shape} as families")
    return family, site


def _groups(labels: Integers) -> Iterator[Integers]:
    """Yield the positions of each label's people, in their order."""
    order = np.argsort(labels, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _swap(orders: NDArray[np.int32], alike: tuple[Integers, ...], rng: np.random.Generator) -> None:
    for rows in alike:
        number = np.tile(np.arange(len(rows)), (len(orders), 1))
        drawn = rows[rng.permuted(number, axis=1)]  # (n, families, members)
        orders[:, rows.ravel()] = drawn.reshape(len(orders), -1)


def _shuffle(
    orders: NDArray[np.int32], cells: tuple[Integers, ...], rng: np.random.Generator
) -> None:
    for cell in cells:
        if len(cell) > 1:
            orders[:, cell] = rng.permuted(orders[:, cell], axis=1)


def _described(blocks: _Blocks, by_site: bool, within_families: bool) -> Iterator[str]:
    inside = f" within {counted(blocks.sites, 'site')}" if by_site else ""
    if set(blocks.sizes) == {1}:
        yield f"People were permuted{inside or ' freely'}: nobody is known to be related."
        return
    sizes = ", ".join(f"{number} of {size}" for size, number in sorted(blocks.sizes.items()))
    yield (
        f"Whole families of equal size were swapped with each other{inside} "
        f"(families by number of people: {sizes})."
    )
    if blocks.spanning:
        yield (
            f"Families in several sites: {blocks.spanning}; each was swapped only with those that "
            "have as many people in the same sites."
        )
    if blocks.unlike:
        yield f"Families that are like no other, and were not swapped: {blocks.unlike}."
    if within_families:
        yield "People were also permuted within families" + (" and sites." if by_site else ".")


def _limits(possible: int, n: int) -> Iterator[str]:
    if possible == 1:
        yield "No permutation is left: no family is like another, so no p is below 1."
    elif possible <= n:
        yield f"Only {possible} different orders exist, so no p is below {1 / possible:.2g}."


def _limits_of_signs(possible: int, n: int) -> Iterator[str]:
    least = 2 / possible  # all signs the other way give the same size of t
    if least == 1:
        yield "No test is left: all people are of one family, so no two-sided p is below 1."
    elif possible <= 2 * n:
        yield (
            f"Only {possible} different flips of signs exist, and two of them give each size of t, "
            f"so no two-sided p is below {least:.2g}."
        )
