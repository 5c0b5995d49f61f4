"""Evaluate the linear model where parcels are read through a template's surface, with real people.

    python studies/template_surfaces.py ../shared/data/real/hcp30

A person's cortex is the template's, displaced by a smooth random field; the template's parcels then
mix true parcels of the person. In each of five folds, 16 people train the model and 4 test it; only
the rest of tested people is mixed. Displacements of 3 and 5 mm are of the size by which a
template's surface misses a person's, but nobody measured real folds here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from linear_maps import FOLDS, score
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bids_dtg import fit_linear, load_bundle
from bids_dtg.imaging.surfaces.meshes import both_sides, read_template
from bids_dtg.imaging.surfaces.vertices import parcels_of_vertices
from bids_dtg.stats.paired import t_interval, wilson_interval

DISPLACEMENTS_MM = (0, 3, 5, 8)  # sd along an axis
FACTORS = (1.0, 0.5)  # of the deviation from the group's maps
LENGTH_MM = 10  # length over which displacements are alike
WAVES = 200  # of the random field
NEAR_MM = 6.0  # farther vertices have no person's vertex, as outside the cortex
Values = NDArray[np.float64]


def cortex() -> tuple[Values, NDArray[np.intp]]:
    """Return the template's vertices in parcels (vertices, 3), mm, and the parcel of each."""
    of_sides = parcels_of_vertices(load_bundle("hcp-glasser").places)
    parcel = both_sides(of_sides)
    points = both_sides(read_template("fsLR").points)
    return points[parcel >= 0], parcel[parcel >= 0]


def mixing(points: Values, parcel: NDArray[np.intp], sd_mm: float, seed: int) -> Values:
    """Return the shares (template's parcel, person's parcel) of true parcels in the template's."""
    rng = np.random.default_rng(seed)
    frequencies = rng.standard_normal((WAVES, 3)) / LENGTH_MM
    waves = np.cos(points @ frequencies.T + rng.uniform(0, 2 * np.pi, WAVES))
    amplitudes = rng.standard_normal((WAVES, 3))
    moved = points + sd_mm * np.sqrt(2 / WAVES) * waves @ amplitudes
    distance, nearest = cKDTree(points).query(moved)
    is_near = distance < NEAR_MM
    parcels = parcel.max() + 1
    shares = np.zeros((parcels, parcels))
    np.add.at(shares, (parcel[nearest[is_near]], parcel[is_near]), 1)
    return shares / np.maximum(shares.sum(axis=1, keepdims=True), 1)


def mixed(series: NDArray[np.float32], shares: Values) -> NDArray[np.float32]:
    """Mix the series of parcels (parcels, frames) after scaling them to one variance."""
    centred = series - series.mean(axis=1, keepdims=True)
    return (shares @ (centred / centred.std(axis=1, keepdims=True))).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with rest.npz and task.npz")
    folder = parser.parse_args().folder
    with np.load(folder / "rest.npz") as file:
        rest, tr_seconds = file["rest"].astype(np.float32), float(file["tr_seconds"])
    with np.load(folder / "task.npz") as file:
        maps = file["beta"].astype(np.float32)
    points, parcel = cortex()
    order = np.random.default_rng(0).permutation(len(rest))
    scores: dict[tuple[int, float], list[Values]] = {}
    own_shares: dict[int, list[float]] = {}  # of a parcel's own vertices
    for fold in range(FOLDS):
        test = order[fold::FOLDS]
        training = np.setdiff1d(order, test)
        mean = maps[training].mean(axis=0)
        model = fit_linear(rest[training], maps[training], tr_seconds)
        for sd_mm in DISPLACEMENTS_MM:
            predicted = []
            for person in test:
                shares = mixing(points, parcel, sd_mm, 1000 * fold + int(person))
                own_share = float(np.diag(shares).mean())
                own_shares.setdefault(sd_mm, []).append(own_share)
                predicted.append(model.predict(mixed(rest[person], shares)))
            deviations = np.stack(predicted) - mean
            for factor in FACTORS:
                shrunk = (mean + factor * deviations).astype(np.float32)
                of_fold = score(shrunk, maps[test], mean)
                scores.setdefault((sd_mm, factor), []).append(of_fold)
    print(
        "mm\tfactor\town share\tr - group\t95 %\tabove\tresidual r\tidentified of 4\t95 %"
    )
    for (sd_mm, factor), of_folds in scores.items():
        people = np.concatenate(of_folds).mean(axis=1)  # over contrasts
        gain, residual_r, identified, *_ = people.T
        over = t_interval(gain)
        share = float(identified.mean())
        of_share = wilson_interval(share, len(people))
        print(
            f"{sd_mm}\t{factor:g}\t{np.mean(own_shares[sd_mm]):.2f}\t{over.mean:+.4f}\t"
            f"{over.low:+.4f} to {over.high:+.4f}\t{(gain > 0).mean():.0%}\t"
            f"{residual_r.mean():.3f}\t{share:.2f}\t{of_share.low:.2f} to {of_share.high:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
