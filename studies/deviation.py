"""Do deviations tell people apart as the maps do, and are new people's 0 on average?

    python studies/deviation.py [--train 80] [--new 60] [--segments 2] [--block 2]

Simulated people (voxels of 4 mm by default) and a local ridge fitted on the training people, whose
own predictions give mean and spread. New people's maps and their deviations are scored against
measured maps, and measured maps in the same units. Intervals are 95 %, Student's t over people;
those of the mean deviation count the chance in the training people's mean too.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from bids_dtg.contrasts.judging.model_scores import ModelScores, score_maps
from bids_dtg.contrasts.local_ridge import LocalRidge, LocalRidgeSums
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import PhantomParameters
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.conformal import block_edge
from bids_dtg.stats.deviation import Deviation, PeopleSums
from bids_dtg.stats.paired import t_interval

Array = NDArray[np.float32]
SCORES = ("identification", "residual_r")
PENALTY = 1.0


def main() -> None:
    """Simulate, fit, score and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=80, help="people to fit on")
    parser.add_argument("--new", type=int, default=60, help="people to judge by")
    parser.add_argument("--segments", type=int, default=2, help="of rest of each")
    parser.add_argument("--block", type=int, default=2, help="2 mm voxels along an edge")
    args = parser.parse_args()
    phantom = Phantom(PhantomParameters(), block=args.block)  # version 1
    ridge, deviation, mean = fit(phantom, args.train, args.segments)
    predicted, measured = people(phantom, ridge, args.new, args.segments)
    compare(deviation, predicted, measured, mean)
    centre(deviation, predicted)


def fit(phantom: Phantom, count: int, segments: int) -> tuple[LocalRidge, Deviation, Array]:
    """Fit on training people; return the model, their mean and spread, and the measured mean."""
    sums = LocalRidgeSums(phantom.anatomy.places.lattice(max(1, 3 // phantom.block)))
    rest = [connectome(phantom, Cohort.TRAINING, n, segments) for n in range(count)]
    for n, own in enumerate(track(rest, "Fitting")):
        sums.fit_person(own, phantom.person(Cohort.TRAINING, n).measured_maps(0))
    ridge, places = sums.solve(PENALTY), phantom.anatomy.places
    lattice = places.lattice(block_edge(places.spacing_mm))
    of_people = PeopleSums.of((ridge.predict(own.astype(np.float32)) for own in rest), lattice)
    mean = (sums.map_sum / sums.people).astype(np.float32)
    return ridge, of_people.deviation(segments=segments, of="training"), mean


def connectome(phantom: Phantom, cohort: Cohort, index: int, segments: int) -> Array:
    """Return a person's connectome, the mean over segments."""
    person = phantom.person(cohort, index)
    total = sum(person.connectome(0, segment) for segment in range(segments))
    mean: Array = (total / np.float32(segments)).astype(np.float32)
    return mean


def people(phantom: Phantom, ridge: LocalRidge, count: int, segments: int) -> tuple[Array, Array]:
    """Return new people's predicted and measured maps, (people, contrasts, places) each."""
    predicted, measured = [], []
    for n in track(range(count), "New people"):
        predicted.append(ridge.predict(connectome(phantom, Cohort.TEST, n, segments)))
        measured.append(phantom.person(Cohort.TEST, n).measured_maps(0))
    return np.stack(predicted), np.stack(measured)


def compare(deviation: Deviation, predicted: Array, measured: Array, mean: Array) -> None:
    """Print scores of maps and of deviations, and their paired difference."""
    raw = score_maps("maps", predicted, measured, mean)
    own = np.stack([deviation.deviations(maps) for maps in predicted])
    # Measured maps less the same mean, divided by the same spread.
    target = np.stack([deviation.deviations(maps) for maps in measured])
    scaled = score_maps("deviations", own, target, np.zeros_like(mean))
    print("score\tmaps\tdeviations\tdeviations less maps, 95 %")
    for score in SCORES:
        one, other = (_by_person(scores, score) for scores in (raw, scaled))
        found = t_interval(other - one)
        print(
            f"{score}\t{one.mean():.4f}\t{other.mean():.4f}\t"
            f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
        )
    print(f"root mean square of new people's deviations\t{np.sqrt(np.nanmean(own**2)):.3f}")


def _by_person(scores: ModelScores, score: str) -> NDArray[np.float64]:
    return scores.by_person(score)


def centre(deviation: Deviation, predicted: Array) -> None:
    """Print the mean of new people's deviations and its interval, and how often it holds 0."""
    own = np.stack([deviation.deviations(maps) for maps in predicted])
    widen = np.sqrt(1 + len(own) / deviation.people)
    whole = t_interval(np.nanmean(own, axis=(1, 2)))
    half = (whole.high - whole.low) / 2 * widen
    print(
        f"mean deviation\t{whole.mean:+.4f} ({whole.mean - half:+.4f} to {whole.mean + half:+.4f})"
    )
    cell = deviation.lattice.block_of
    _, cell = np.unique(cell, return_inverse=True)
    count = np.bincount(cell)
    means = np.array(
        [[np.bincount(cell, row) / count for row in np.nan_to_num(maps)] for maps in own]
    )
    error = means.std(axis=0, ddof=1) / np.sqrt(len(own)) * widen
    from scipy.special import stdtrit

    held = np.abs(means.mean(axis=0)) <= stdtrit(len(own) - 1, 0.975) * error
    print(f"cells and contrasts whose 95 % interval holds 0\t{held.mean():.3f} of {held.size}")
    of_contrasts = np.nanmean(own, axis=2)
    error = of_contrasts.std(axis=0, ddof=1) / np.sqrt(len(own)) * widen
    held = np.abs(of_contrasts.mean(axis=0)) <= stdtrit(len(own) - 1, 0.975) * error
    print(f"contrasts whose mean deviation's 95 % interval holds 0\t{held.sum()} of {held.size}")


if __name__ == "__main__":
    main()
