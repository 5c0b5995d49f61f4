"""Evaluate the linear model on real people, with all of their rest or only its first minutes.

    python studies/linear_maps.py ../shared/data/real/hcp30

The data are parcels of 20 people of the Human Connectome Project, at rest and in 24 task
conditions. In each of five folds, 16 people train the model and 4 test it; everything that the
model needs comes from the training people. About 220 variants were tried on these people during
development, so the scores are optimistic.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg import fit_linear
from bids_dtg.contrasts.judging.people_scores import PeopleScores
from bids_dtg.stats.metrics import correlation_matrix
from bids_dtg.stats.paired import t_interval, wilson_interval

FOLDS = 5
HEAD = (
    *("r - group", "residual r", "identified", "deviation identified", "another's r - group"),
    "held by half-widths",
)
Array = NDArray[np.float32]
Values = NDArray[np.float64]


def score(maps: Array, measured: Array, mean: Array) -> Values:
    """Score predicted maps (people, contrasts, places); return means over contrasts.

    Deviations are those from the mean of the people tested together.
    """
    found = []
    for contrast in range(maps.shape[1]):
        of = PeopleScores.of(maps[:, contrast], measured[:, contrast])
        average = np.repeat(mean[None, contrast], len(measured), axis=0)
        group = PeopleScores.of(average, measured[:, contrast]).r
        residual = np.nan_to_num(of.residual_r)
        away, truth = (
            values[:, contrast] - values[:, contrast].mean(0) for values in (maps, measured)
        )
        nearest = correlation_matrix(away, truth).argmax(axis=0) == np.arange(len(maps))
        found.append([of.r - group, residual, of.identified, nearest, of.others_r - group])
    return np.asarray(np.mean(found, axis=0).T, np.float64)


def left_out(
    rest: Array, maps: Array, tr_seconds: float, lengths: Sequence[int]
) -> Iterator[tuple[NDArray[np.intp], Values]]:
    """Yield the people of each fold, and their scores by a model of the other people.

    Scores are (lengths, people, scores); a length is the number of resting-state frames used.
    """
    order = np.random.default_rng(0).permutation(len(rest))
    for fold in range(FOLDS):
        test = order[fold::FOLDS]
        training = np.setdiff1d(order, test)
        model, found = fit_linear(rest[training], maps[training], tr_seconds), []
        for length in lengths:
            predicted = np.stack([model.predict(rest[person, :, :length]) for person in test])
            held = (np.abs(predicted - maps[test]) <= model.half_widths).mean(axis=(1, 2))
            scores = score(predicted.astype(np.float32), maps[test], maps[training].mean(axis=0))
            found.append(np.column_stack([scores, held]))
        yield test, np.stack(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with rest.npz and task.npz")
    parser.add_argument("--minutes", type=float, nargs="*", default=[3.6, 5.0], help="of test rest")
    args = parser.parse_args()
    start = time.perf_counter()
    with np.load(args.folder / "rest.npz") as file:
        rest, tr_seconds = file["rest"], float(file["tr_seconds"])
    with np.load(args.folder / "task.npz") as file:
        maps = file["beta"].astype(np.float32)
    frames = [rest.shape[2], *(round(60 * minutes / tr_seconds) for minutes in args.minutes)]
    found = np.empty((len(frames), len(rest), len(HEAD)))
    for fold, (test, scores) in enumerate(left_out(rest, maps, tr_seconds, frames), 1):
        found[:, test] = scores
        print(f"fold {fold}: {time.perf_counter() - start:.0f} s", flush=True)
    for length, people in zip(frames, found, strict=True):
        above = (people[:, 0] > 0).mean()
        minutes = length * tr_seconds / 60
        print(f"{minutes:.1f} minutes of rest: {above:.0%} above the group average")
        for title, values in zip(HEAD, people.T, strict=True):
            digits = ".4f" if "group" in title else ".3f"
            over = t_interval(values)
            if "identified" in title:
                over = wilson_interval(float(values.mean()), len(values))
            print(f"  {title}: {over.mean:{digits}} [{over.low:{digits}}, {over.high:{digits}}]")


if __name__ == "__main__":
    main()
