"""Write the atlases that ship with the program, from their authors' images.

Usage: python scripts/atlas_data.py SCHAEFER.nii.gz SCHAEFER.tsv SUBCORTICAL.nii.gz SUBCORTICAL.tsv

The first pair has the 400 parcels and 7 networks of Schaefer et al. (2018) in MNI152NLin6Asym at
2 mm (image from CBIG, table from TemplateFlow). The second has the 19 structures of HCP's
`Atlas_ROIs.2.nii.gz`, and a table of its labels. Images are written as int16 in the storage order
of the model's grid, with no text in their headers; the same input gives the same bytes.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

FOLDER = Path(__file__).parents[1] / "bids_dtg/inputs/atlas_data/tpl-MNI152NLin6Asym"
NAMES = ("atlas-Schaefer2018_seg-7n_scale-400", "atlas-HCP")


def image_bytes(source: Path) -> bytes:
    """Return a label image as a compressed NIfTI-1 file, with the first axis from right to left."""
    image = nib.as_closest_canonical(nib.load(source))
    labels = np.rint(np.asarray(image.dataobj)).astype(np.int16)[::-1]
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = labels.shape[0] - 1
    affine = image.affine @ flip
    out = nib.Nifti1Image(labels, affine)
    out.set_sform(affine, 4)
    out.set_qform(affine, 4)
    out.header.set_xyzt_units("mm")
    return gzip.compress(out.to_bytes(), 9, mtime=0)


def table_text(source: Path) -> str:
    """Return the columns `index` and `name` of a table."""
    header, *lines = (
        line.split("\t") for line in source.read_text("utf-8").splitlines()
    )
    columns = [header.index("index"), header.index("name")]
    rows = ([line[column] for column in columns] for line in (header, *lines))
    return "".join("\t".join(row) + "\n" for row in rows)


def main(paths: list[str]) -> None:
    """Write each pair of an image and a table."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, image, table in zip(NAMES, paths[::2], paths[1::2], strict=True):
        stem = f"tpl-MNI152NLin6Asym_{name}"
        (FOLDER / f"{stem}_res-2_dseg.nii.gz").write_bytes(image_bytes(Path(image)))
        (FOLDER / f"{stem}_dseg.tsv").write_text(table_text(Path(table)), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
