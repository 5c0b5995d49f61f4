"""Maps on surfaces reach the viewer with their values, and the mesh with its shape."""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct

import numpy as np
import pytest

from bids_dtg.contrasts.panels.maps import surface_files, write_surface
from bids_dtg.errors import RunError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.imaging.gifti import encode_metrics
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.imaging.surfaces.templates import SIDES, read_template

TITLE = "sub-01_task-rest"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "sub-01/func"
    folder.mkdir(parents=True)
    return folder


def write(folder, mesh, density, side, values, desc="synthetic", names=("a", "b")):
    name = f"{TITLE}_hemi-{side}_space-{mesh}_den-{density}_stat-z_desc-{desc}_statmap.func.gii"
    path = folder / name
    path.write_bytes(encode_metrics(values, side, names=names))
    return path


def packed(path) -> dict[str, bytes]:
    """Return what a script hands to the viewer, by name."""
    found = re.findall(r'^"(\w+)": ("[^"]+")', path.read_text(), re.MULTILINE)
    return {name: base64.b64decode(json.loads(text)) for name, text in found}


def test_both_sides_of_a_known_mesh_are_found(folder):
    assert surface_files(folder, TITLE, "synthetic") == {}
    values = np.zeros((2, 5), np.float32)
    left = write(folder, "fsaverage", "10k", "L", values)
    assert surface_files(folder, TITLE, "synthetic") == {}  # one side is no cortex
    right = write(folder, "fsaverage", "10k", "R", values)
    assert surface_files(folder, TITLE, "synthetic") == {"L": left, "R": right}
    assert (
        surface_files(folder, TITLE, "other") == surface_files(folder, "sub-02", "synthetic") == {}
    )
    sides = {side: write(folder, "fsLR", "32k", side, values) for side in SIDES}
    assert surface_files(folder, TITLE, "synthetic") == sides


def test_the_viewers_copy_has_the_values_and_the_gaps(folder, tmp_path):
    values = np.random.default_rng(0).normal(size=(2, 7)).astype(np.float32)
    values[0, 3] = np.nan
    paths = {
        side: write(folder, "fsLR", "32k", side, sign * values)
        for side, sign in zip("LR", (1, -2), strict=True)
    }
    made = write_surface(DerivativeDataset(tmp_path), paths, tmp_path / "figures/a_volumes.js")
    assert made["values"] == "figures/a_volumes.js"
    maps = packed(tmp_path / made["values"])
    assert list(maps) == ["a", "b"]
    copy = tmp_path / "copy.nii.gz"
    copy.write_bytes(maps["a"])
    found = np.asarray(read_volume(copy)[0]).reshape(7, 2)
    step = 2 * np.nanmax(np.abs(values[0])) / 32
    np.testing.assert_allclose(found[3], -128 * step, rtol=1e-5)
    known = np.arange(7) != 3
    np.testing.assert_allclose(found[known, 0], values[0, known], atol=0.51 * step)
    np.testing.assert_allclose(found[known, 1], -2 * values[0, known], atol=0.51 * step)


def test_sides_with_other_maps_are_refused(folder, tmp_path):
    values = np.zeros((2, 5), np.float32)
    paths = {
        "L": write(folder, "fsLR", "32k", "L", values),
        "R": write(folder, "fsLR", "32k", "R", values, names=("a", "c")),
    }
    with pytest.raises(RunError, match="the same maps on both sides"):
        write_surface(DerivativeDataset(tmp_path), paths, tmp_path / "a_volumes.js")


def test_the_mesh_is_the_programs_template_and_is_written_once(folder, tmp_path):
    output, values = DerivativeDataset(tmp_path), np.zeros((2, 5), np.float32)
    paths = {side: write(folder, "fsaverage", "10k", side, values) for side in SIDES}
    mesh = tmp_path / write_surface(output, paths, tmp_path / "a_volumes.js")["mesh"]
    template = read_template("fsaverage")
    for side, content in packed(mesh).items():
        data = gzip.decompress(content)
        magic, parts, faces, points, skip = struct.unpack("<HHIII", data[:16])
        assert (magic, parts, skip) == (23117, 3, 0)
        triangles = np.frombuffer(data[16 : 16 + 12 * faces], "<i4").reshape(-1, 3)
        np.testing.assert_array_equal(triangles, template.faces[side])
        found = np.frombuffer(data[16 + 12 * faces :], "<f4").reshape(points, 3)
        np.testing.assert_allclose(found, template.points[side], atol=0.0051)
    before = mesh.stat().st_mtime_ns
    assert tmp_path / write_surface(output, paths, tmp_path / "b_volumes.js")["mesh"] == mesh
    assert mesh.stat().st_mtime_ns == before
