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
    """How much lower the loss of people's own twins is than that of other people's."""

    people: int  # on both sides
    matched: float  # mean loss of people's own twins
    mismatched: float  # mean loss of all the others
    p: float  # of a mean over a random assignment that is as low, one-sided
    better_than_average: Interval  # share of people: own loss below the mean of the others
    identified: Interval  # share of people: own twin has the lowest loss of all
    mean_rank: float  # of people's own twin among all, 1 the lowest; ties in the middle


def match(
    losses: NDArray[np.floating[Any]], *, seed: int = 0, permutations: int = PERMUTATIONS
) -> Matching:
    """Test whether twins fit the people whose connectomes they are made of.

    Parameters
    ----------
    losses
        (people, people): rows are twins, columns the people on whose data they are scored. It
        takes one run of each twin where all saw the same stimuli; else a run a pair.
    seed, permutations
        Of random assignments of twins to people.

    Returns
    -------
    Matching
        Ranks compare all twins on one person's data, so people who are hard to predict do not
        count as a mismatch. p = (1 + as low) / (1 + permutations).

    Raises
    ------
    ValueError
        If the matrix is not square, is of fewer than two people, or has a loss that is not finite.

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
    # Losses that differ by rounding alone are equal.
    rounding = 1e-12 * np.abs(loss).max()
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
            f"{unknown} of {loss.size} losses are not finite: twins can be compared only on people "
            "on whose trials all of them were run; run each twin on each person's own sequence, "
            "or leave out people with another one"
        )
    return loss
