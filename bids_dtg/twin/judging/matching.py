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

    people: int  # on both sides
    matched: float  # mean loss of people's own twins
    mismatched: float  # mean loss of all the others
    p: float  # of a mean loss as low under random assignments, one-sided
    better_than_average: Interval  # share of people: own loss below the mean of the others
    identified: Interval  # share of people: own twin has the lowest loss of all
    mean_rank: float  # of people's own twin among all, 1 the lowest; ties in the middle


def match(
    losses: NDArray[np.floating[Any]],
    *,
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
        If the matrix is not square, has fewer than two people, or a loss is not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = match(rng.uniform(0.2, 0.3, (20, 20)) - 0.15 * np.eye(20))
    >>> found.p < 0.001, found.identified.mean
    (True, 1.0)
    """
    loss = _checked(losses)
    people = len(loss)
    own = np.diagonal(loss)
    others = (loss.sum(axis=0) - own) / (people - 1)
    orders = np.tile(np.arange(people), (permutations, 1))
    drawn = np.random.default_rng(seed).permuted(orders, axis=1)
    rounding = max(rounding, 1e-12 * float(np.abs(loss).max()))
    as_low = int((loss[drawn, np.arange(people)].mean(axis=1) <= own.mean() + rounding).sum())
    lower, tied = (found.sum(axis=1) for found in rivals(-loss.T / (loss.std() or 1.0)))
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


def _checked(losses: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    loss = np.asarray(losses, np.float64)
    if loss.ndim != 2 or loss.shape[0] != loss.shape[1] or len(loss) < 2:
        raise ValueError(f"losses are (people, people) of 2 people or more, found {loss.shape}")
    unknown = int((~np.isfinite(loss)).sum())
    if unknown:
        raise ValueError(
            f"{unknown} of {loss.size} losses are not finite: the comparison needs the loss of "
            "every twin on every person; run each twin on each person's own sequence, or leave out "
            "people with another sequence"
        )
    return loss
