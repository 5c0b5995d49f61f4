"""Why covariances of another day lie farther away than sampling puts them.

    python studies/days_of_people.py ../shared/sip/data

Squared differences between the covariances of two parts of a person's rest, over what sampling of
the person's own stationary process makes of them (1: as much), mean over pairs of regions and over
people: of two days, of the halves of a day, of alternating minutes of a day, and of two simulated
sessions of the process. Then the shares of the other day's effects and covariances that 95 %
intervals of sampling alone hold, each person left out of the training people.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.intervals import Spreads, correlation_variance, held_by
from bids_dtg.dynamics.lag_covariances import GroupSums, LagCovariances
from bids_dtg.dynamics.linear import LinearModel, Strengths

FILES = ("bold_REST1_LR_50.npz", "bold_REST2_LR_50.npz")
MINUTE = 83  # frames of 0.72 s
NAMES = ("two days", "halves of a day", "alternating minutes", "simulated sessions")


def times_sampling(
    one: LagCovariances, two: LagCovariances, variance: NDArray[np.float64]
) -> float:
    """Return the mean squared difference over that of sampling."""
    away = upper_edges(one.values[0] - two.values[0]) ** 2
    return float((away / (upper_edges(variance) * (1 / one.frames + 1 / two.frames))).mean())


def main(arguments: list[str]) -> int:
    """Print a line a kind of parts."""
    folder = Path(arguments[0])
    days = [np.load(folder / name)["bold"] for name in FILES]
    people = [[LagCovariances.of(own) for own in day] for day in days]
    sums, strengths = GroupSums.over(people[0]), Strengths(4800.0, 650.0)
    model, held = LinearModel.of(sums, strengths), []
    found = []
    for number, (series, first, again) in enumerate(zip(days[0], *people, strict=True)):
        process = model.infer(first)
        variance = correlation_variance(process)
        frames = series.shape[1]
        odd = (np.arange(frames) // MINUTE) % 2 == 1
        simulated = process.simulate(2, frames, np.random.default_rng(number))
        pairs = (
            (first, again),
            [LagCovariances.of(half) for half in np.array_split(series, 2, axis=1)],
            [LagCovariances.of(series, kept) for kept in (odd, ~odd)],
            [LagCovariances.of(own) for own in simulated],
        )
        others = LinearModel.of(sums.without(first), strengths)
        held.append(held_by(others, Spreads(1.0, 1.0), first, again))
        found.append([times_sampling(*pair, variance) for pair in pairs])
    for name, mean, sd in zip(NAMES, np.mean(found, 0), np.std(found, 0, ddof=1), strict=True):
        print(f"{name}: {mean:.2f} (sd over people {sd:.2f})")
    for name in ("transition", "covariance"):
        print(f"intervals of sampling, {name}: {np.mean([getattr(x, name) for x in held]):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
