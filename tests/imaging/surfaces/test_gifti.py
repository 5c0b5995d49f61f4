"""Surfaces that others made: their points and triangles are looked at before they are used."""

from __future__ import annotations

import re

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.errors import RunError
from bids_dtg.imaging.surfaces.meshes import read_surface

POINTS = np.eye(4, 3, dtype=np.float32)
FACES = np.array([[0, 1, 2], [1, 2, 3]], np.int32)


def surface(folder, points, faces):
    arrays = [
        nib.gifti.GiftiDataArray(points, intent="NIFTI_INTENT_POINTSET"),
        nib.gifti.GiftiDataArray(faces, intent="NIFTI_INTENT_TRIANGLE"),
    ]
    nib.save(nib.gifti.GiftiImage(darrays=arrays), folder / "mesh.surf.gii")
    return folder / "mesh.surf.gii"


@pytest.mark.parametrize(
    ("points", "faces", "why"),
    [
        (POINTS[:, :2], FACES, "no points and triangles"),
        (POINTS, FACES[:, :2], "no points and triangles"),
    ],
)
def test_a_surface_that_cannot_be_drawn_is_refused(tmp_path, points, faces, why):
    with pytest.raises(RunError, match=why):
        read_surface(surface(tmp_path, points, faces))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: "<html></html>", "has no GIFTI element"),
        (lambda text: text.replace("GZipBase64Binary", "Zip"), "cannot be read"),
        (lambda text: re.sub("<Data>[^<]*", "<Data>", text), "cannot be read"),
        (lambda text: text.replace('Dimensionality="2"', 'Dimensionality="3"'), "cannot be read"),
    ],
    ids=["html", "encoding", "no values", "dimensions"],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, change, why):
    path = surface(tmp_path, POINTS, FACES)
    text = path.read_text()
    path.write_text(change(text))
    assert path.read_text() != text
    with pytest.raises(RunError, match=rf"mesh\.surf\.gii {why}.*Expected: a GIFTI file"):
        read_surface(path)
