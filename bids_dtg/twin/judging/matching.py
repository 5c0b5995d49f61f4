"""Whether a person's own connectome matters: each twin is scored on each person's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.metrics import rivals
from bids_dtg.stats.paired import Interval, wilson_interval

PERMUTATIONS = 2000


@dataclass(frozen=True)
class Matching:
    """Comparison of the losses of people's own twins with those of other people's twins."""

    people: int  # on both sides; a family counts once
    matched: float  # mean loss of people's own twins
    mismatched: float  # mean loss of all the others
    p: float  # of a mean loss as low under random assignments, one-sided
    better_than_average: Interval  # share of people: own loss below the mean of the others
    identified: Interval  # share of people: own twin has the lowest loss of all
    mean_rank: float  # of people's own twin among all, 1 the lowest; ties in the middle


def match(
    losses: NDArray[np.floating[Any]],
    *,
    groups: NDArray[np.integer[Any]] | None = None,
    families: NDArray[np.integer[Any]] | None = None,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
    rounding: float = 0.0,
) -> Matching:
    """Test whether people's own twins fit their responses better than other people's twins.

    Parameters
    ----------
    losses
        (people, people): losses of twins (rows) on people's data (columns). Where all saw the same
        stimuli, this takes one run of each twin; otherwise one run for each pair.
    groups
        (people,): group of each person, of two people or more: twins of the others in it alone are
        other people's twins. None: all are of one group.
    families
        (people,): family of each person: each pair of families counts once, by its mean loss; a
        family's own twins are those of the same person. Everybody has people of other families
        in the group. None: nobody has relatives.
    seed, permutations
        Seed and number of random assignments of twins to people.
    rounding
        Mean losses that differ by no more are equal.

    Returns
    -------
    Matching
        Ranks compare all twins on one person's data, so that people who are hard to predict do not
        count as a mismatch. p is (1 + number of mean losses as low) / (1 + permutations).

    Raises
    ------
    ValueError
        If the matrix is not square, a group has fewer than two people, or a loss is not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = match(rng.uniform(0.2, 0.3, (20, 20)) - 0.15 * np.eye(20))
    >>> found.p < 0.001, found.identified.mean
    (True, 1.0)
    """
    loss = _checked(losses, _blocks(len(np.asarray(losses)), groups))
    if families is not None and len(np.unique(families)) < len(families):
        loss, groups = _of_families(loss, groups, families)
    blocks, people = _blocks(len(loss), groups), len(loss)
    own, others = np.diagonal(loss), mean_of_others(loss, groups)
    drawn, rng = np.tile(np.arange(people), (permutations, 1)), np.random.default_rng(seed)
    for block in blocks:
        drawn[:, block] = rng.permuted(drawn[:, block], axis=1)
    rounding = max(rounding, 1e-12 * float(np.abs(loss).max()))
    as_low = int((loss[drawn, np.arange(people)].mean(axis=1) <= own.mean() + rounding).sum())
    lower, tied = np.zeros((2, people))
    for block in blocks:
        of = loss[np.ix_(block, block)]
        lower[block], tied[block] = (
            found.sum(axis=1) for found in rivals(-of.T / (of.std() or 1.0))
        )
    identified = np.where(lower > 0, 0.0, 1 / (1 + tied))
    return Matching(
        people=people,
        matched=float(own.mean()),
        mismatched=float(others.mean()),
        p=(1 + as_low) / (1 + permutations),
        better_than_average=wilson_interval(float((own < others - rounding).mean()), people),
        identified=wilson_interval(float(identified.mean()), people),
        mean_rank=float((1 + lower + tied / 2).mean()),
    )


def mean_of_others(
    losses: NDArray[np.floating[Any]],
    groups: NDArray[np.integer[Any]] | None = None,
    families: NDArray[np.integer[Any]] | None = None,
) -> NDArray[np.float64]:
    """Return the mean loss on each person of the twins of others in the group, (people,).

    Parameters
    ----------
    losses, groups, families
        As of `match`.
    """
    loss = np.asarray(losses, np.float64)
    others = others_of(len(loss), groups, families)
    found: NDArray[np.float64] = np.where(others, loss, 0.0).sum(axis=0) / others.sum(axis=0)
    return found


def others_of(
    people: int,
    groups: NDArray[np.integer[Any]] | None,
    families: NDArray[np.integer[Any]] | None,
) -> NDArray[np.bool_]:
    """Return where two of so many people are of one group and of two families."""
    group = np.zeros(people, np.intp) if groups is None else groups
    family = np.arange(people) if families is None else families
    return np.asarray((group[:, None] == group) & (family[:, None] != family))


def _of_families(
    loss: NDArray[np.float64],
    groups: NDArray[np.integer[Any]] | None,
    families: NDArray[np.integer[Any]],
) -> tuple[NDArray[np.float64], NDArray[np.integer[Any]] | None]:
    """Return the mean loss of each two families, on the diagonal of own twins, and the groups."""
    _, first, of = np.unique(families, return_index=True, return_inverse=True)
    share = (of[:, None] == np.arange(len(first))).astype(np.float64)
    share /= share.sum(axis=0)
    # Losses between groups are not known, and not used.
    mean = share.T @ np.nan_to_num(loss) @ share
    np.fill_diagonal(mean, np.diagonal(loss) @ share)
    return mean, None if groups is None else groups[first]


def _blocks(people: int, groups: NDArray[np.integer[Any]] | None) -> list[NDArray[np.intp]]:
    """Return the rows of each group."""
    if groups is None:
        return [np.arange(people)]
    return [np.flatnonzero(groups == group) for group in np.unique(groups)]


def _checked(
    losses: NDArray[np.floating[Any]], blocks: list[NDArray[np.intp]]
) -> NDArray[np.float64]:
    loss = np.asarray(losses, np.float64)
    if loss.ndim != 2 or loss.shape[0] != loss.shape[1] or min(map(len, blocks)) < 2:
        raise ValueError(f"losses are (people, people) of 2 people or more, found {loss.shape}")
    unknown = sum(int((~np.isfinite(loss[np.ix_(block, block)])).sum()) for block in blocks)
    if unknown:
        raise ValueError(
            f"{unknown} of {loss.size} losses are not finite: the comparison needs the loss of "
            "every twin on every person; run each twin on each person's own sequence, or leave out "
            "people with another sequence"
        )
    return loss
