"""Maps on surfaces reach the viewer with their values, and the mesh with its shape."""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct

import numpy as np
import pytest

from bids_dtg.contrasts.panels.surfaces import (
    mesh_of,
    pack_vertices,
    read_vertices,
    surface_files,
    write_mesh,
)
from bids_dtg.errors import RunError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.imaging.gifti import encode_metrics
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.imaging.surfaces.templates import SIDES, read_template
from bids_dtg.report.contents import AverageFiles, MapFile

TITLE = "sub-01_task-rest"


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "sub-01/func"
    folder.mkdir(parents=True)
    return AverageFiles(TITLE, (MapFile("a", folder / "a.nii.gz", {}, {}),), (), {}, {})


def write(made, mesh, density, side, values, desc="synthetic", names=("a", "b")):
    name = f"{TITLE}_hemi-{side}_space-{mesh}_den-{density}_stat-z_desc-{desc}_statmap.func.gii"
    path = made.maps[0].path.with_name(name)
    path.write_bytes(encode_metrics(values, side, names=names))
    return path


def test_both_sides_of_a_known_mesh_are_found(made):
    assert surface_files(made, "synthetic") == {}
    values = np.zeros((2, 5), np.float32)
    left = write(made, "fsaverage", "10k", "L", values)
    assert surface_files(made, "synthetic") == {}  # one side is no cortex
    right = write(made, "fsaverage", "10k", "R", values)
    assert surface_files(made, "synthetic") == {"L": left, "R": right}
    assert mesh_of(surface_files(made, "synthetic")) == "fsaverage"
    assert surface_files(made, "deviation") == {}
    for side in SIDES:
        write(made, "fsLR", "32k", side, values)
    assert mesh_of(surface_files(made, "synthetic")) == "fsLR"


def test_the_viewers_copy_has_the_values_and_the_gaps(made, tmp_path):
    values = np.random.default_rng(0).normal(size=(2, 7)).astype(np.float32)
    values[0, 3] = np.nan
    paths = {
        side: write(made, "fsLR", "32k", side, sign * values)
        for side, sign in zip("LR", (1, -2), strict=True)
    }
    maps = read_vertices(paths)
    assert list(maps) == ["a", "b"]
    copy = tmp_path / "copy.nii.gz"
    copy.write_bytes(pack_vertices(maps["a"]))
    found = np.asarray(read_volume(copy)[0]).reshape(7, 2)
    step = np.nanmax(np.abs(maps["a"])) / 50
    np.testing.assert_allclose(found[3], -128 * step, rtol=1e-5)
    known = np.arange(7) != 3
    np.testing.assert_allclose(found[known, 0], values[0, known], atol=0.51 * step)
    np.testing.assert_allclose(found[known, 1], -2 * values[0, known], atol=0.51 * step)


def test_sides_with_other_maps_are_refused(made):
    values = np.zeros((2, 5), np.float32)
    paths = {
        "L": write(made, "fsLR", "32k", "L", values),
        "R": write(made, "fsLR", "32k", "R", values, names=("a", "c")),
    }
    with pytest.raises(RunError, match="the same maps on both sides"):
        read_vertices(paths)


def test_the_mesh_is_the_programs_template_and_is_written_once(tmp_path):
    output = DerivativeDataset(tmp_path)
    address = write_mesh(output, "fsaverage")
    text = (tmp_path / address).read_text()
    template = read_template("fsaverage")
    for side in SIDES:
        data = gzip.decompress(
            base64.b64decode(json.loads(re.search(f'"{side}": ("[^"]+")', text)[1]))
        )
        magic, parts, faces, points, skip = struct.unpack("<HHIII", data[:16])
        assert (magic, parts, skip) == (23117, 3, 0)
        triangles = np.frombuffer(data[16 : 16 + 12 * faces], "<i4").reshape(-1, 3)
        np.testing.assert_array_equal(triangles, template.faces[side])
        found = np.frombuffer(data[16 + 12 * faces :], "<f4").reshape(points, 3)
        np.testing.assert_allclose(found, template.points[side], atol=0.0051)
    before = (tmp_path / address).stat().st_mtime_ns
    assert write_mesh(output, "fsaverage") == address
    assert (tmp_path / address).stat().st_mtime_ns == before
