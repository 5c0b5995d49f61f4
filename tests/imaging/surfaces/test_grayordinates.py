"""Grayordinates: the standard places, and files that other programs read."""

from __future__ import annotations

import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest
from cifti_people import brain_models

from bids_dtg.errors import RunError
from bids_dtg.imaging.gifti import encode_metrics
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_mask
from bids_dtg.imaging.surfaces.grayordinates import (
    Grayordinates,
    encode_dscalar,
    read_cifti_maps,
    standard_grayordinates,
)
from bids_dtg.imaging.surfaces.templates import SIDES, read_template

PLACES = standard_grayordinates()
NAMES = [f"contrast {number}" for number in range(47)]


def _file(path, maps=47, seed=0):
    values = np.random.default_rng(seed).normal(size=(maps, PLACES.number)).astype(np.float32)
    path.write_bytes(encode_dscalar(values, NAMES[:maps], PLACES))
    return values


@pytest.mark.slow
def test_maps_and_names_come_back(tmp_path):
    path = tmp_path / "a.dscalar.nii"
    values = _file(path, maps=3)
    _file(tmp_path / "b.dscalar.nii", maps=3)
    header, found = read_cifti_maps(path, "maps")
    assert list(header.first.name) == NAMES[:3]
    np.testing.assert_array_equal(found, values)
    assert path.read_bytes() == (tmp_path / "b.dscalar.nii").read_bytes()


@pytest.mark.slow
def test_nibabel_reads_scalars_with_the_right_intent(tmp_path):
    path = tmp_path / "a.dscalar.nii"
    values = _file(path, maps=3)
    image = nib.load(path)
    assert int(image.nifti_header["intent_code"]) == 3006
    assert list(image.header.get_axis(0).name) == NAMES[:3]
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), values)


def test_cortex_is_the_mesh_without_its_medial_wall():
    for side in SIDES:
        cortex = np.flatnonzero(read_template("fsLR").cortex[side])
        np.testing.assert_array_equal(PLACES.vertices[side], cortex)


@pytest.mark.slow
def test_the_axis_equals_the_standard(shared):
    standard = nib.load(shared / "data/real/surfaces/grayordinates/91282_Greyordinates.dscalar.nii")
    assert standard.header.get_axis(1) == PLACES.axis


def test_voxels_are_the_models_subcortical_mask(shared):
    grid = Grid(PLACES.shape, PLACES.affine)
    mask = read_mask(shared / "data/mni/MNI_2mm_subcortical_mask_crop.nii.gz", grid)
    assert mask[tuple(PLACES.voxels.T)].all()
    assert np.count_nonzero(mask) == len(PLACES.voxels)


def test_other_files_are_refused(tmp_path):
    other = nib.cifti2.Cifti2Image(
        np.zeros((1, 4), np.float32),
        (nib.cifti2.ScalarAxis(["a"]), nib.cifti2.ScalarAxis(list("abcd"))),
    )
    nib.save(other, tmp_path / "other.dscalar.nii")
    with pytest.raises(RunError, match=r"other axes: ScalarAxis of 1, ScalarAxis of 4"):
        read_cifti_maps(tmp_path / "other.dscalar.nii", "maps")
    _file(tmp_path / "cut.dscalar.nii", maps=2)
    content = (tmp_path / "cut.dscalar.nii").read_bytes()
    for length in (600, len(content) - 10):
        (tmp_path / "cut.dscalar.nii").write_bytes(content[:length])
        with pytest.raises(RunError, match=r"cut\.dscalar\.nii (cannot be read|has .* bytes of)"):
            read_cifti_maps(tmp_path / "cut.dscalar.nii", "maps")
    with pytest.raises(RunError, match=r"gone\.dscalar\.nii"):
        read_cifti_maps(tmp_path / "gone.dscalar.nii", "maps")


def test_values_of_another_number_are_refused():
    with pytest.raises(ValueError, match="1 names and 91282 places"):
        encode_dscalar(np.zeros((1, 5)), ["a"], PLACES)


@pytest.mark.slow
def test_workbench_reads_names_structures_and_values(tmp_path):
    workbench = shutil.which("wb_command")
    if workbench is None:
        pytest.skip("wb_command is not installed (apt-get install connectome-workbench)")
    path = tmp_path / "a.dscalar.nii"
    values = _file(path)

    def run(*arguments):
        done = subprocess.run(
            [workbench, *map(str, arguments)], capture_output=True, text=True, check=True
        )
        return done.stdout

    assert run("-file-information", path, "-only-map-names").splitlines() == NAMES
    said = run("-file-information", path)
    assert "CIFTI - Dense Scalar" in said
    assert "29696 out of 32492 vertices" in said
    left, volume = tmp_path / "left.func.gii", tmp_path / "volume.nii.gz"
    run("-cifti-separate", path, "COLUMN", "-metric", "CORTEX_LEFT", left, "-volume-all", volume)
    metric = np.stack([array.data for array in nib.load(left).darrays])
    np.testing.assert_array_equal(metric[:, PLACES.vertices["L"]], values[:, :29696])
    voxels = np.asarray(nib.load(volume).dataobj)[tuple(PLACES.voxels.T)]
    np.testing.assert_array_equal(voxels.T, values[:, -len(PLACES.voxels) :])


AXIS = brain_models()
TINY = Grayordinates.of_axis(AXIS)


def test_places_of_a_file_are_its_brain_models():
    assert TINY.axis == AXIS
    assert (TINY.number, TINY.cortical, TINY.entities["den"]) == (160, 120, "32k")
    assert PLACES.entities == {"space": "fsLR", "den": "91k"}
    assert "120 vertices of fsLR's mesh of 32,492" in TINY.metadata["Density"]
    cortex = Grayordinates.of_axis(AXIS[:120])
    assert (cortex.number, len(cortex.voxels), cortex.axis) == (120, 0, AXIS[:120])


@pytest.mark.slow
def test_neighbours_lie_beside_each_other_and_mirrors_on_the_other_side():
    pairs = PLACES.neighbours()
    ends = PLACES.points[pairs]
    apart = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
    of_voxels = pairs[:, 0] >= PLACES.cortical
    np.testing.assert_allclose(apart[of_voxels], 2.0)
    assert 1.5 < apart[~of_voxels].mean() < 2.5
    assert abs(PLACES.spacing_mm - apart[~of_voxels].mean()) < 1e-9
    mirror = PLACES.mirror()
    known = np.flatnonzero(mirror >= 0)
    assert len(known) > 0.95 * PLACES.number
    np.testing.assert_array_equal(mirror[mirror[known]], known)
    there = PLACES.points[mirror[known]]
    assert np.median(np.linalg.norm(there - PLACES.points[known] * [-1, 1, 1], axis=1)) < 2.5


def test_maps_are_read_from_cifti_and_gifti(tmp_path):
    values = np.random.default_rng(0).normal(size=(1, PLACES.number)).astype(np.float32)
    values[0, 3] = 0
    path = tmp_path / "sub-01_space-fsLR_den-91k_stat-z_statmap.dscalar.nii"
    path.write_bytes(PLACES.encode(values, description="faces"))
    rows = TINY.rows_in(PLACES)
    expected = np.where(values[0, rows] == 0, np.nan, values[0, rows])
    np.testing.assert_array_equal(TINY.read(path), expected)
    for side in SIDES:
        whole = np.zeros(PLACES.mesh_size, np.float32)
        start = 0 if side == "L" else len(PLACES.vertices["L"])
        whole[PLACES.vertices[side]] = values[0, start : start + len(PLACES.vertices[side])]
        metric = encode_metrics(whole[None], side, names=["faces"])
        (tmp_path / f"sub-01_hemi-{side}_space-fsLR_stat-z_statmap.func.gii").write_bytes(metric)
    found = TINY.read(tmp_path / "sub-01_hemi-L_space-fsLR_stat-z_statmap.func.gii")
    np.testing.assert_array_equal(found[:120], expected[:120])
    assert np.isnan(found[120:]).all()
    path.write_bytes(encode_dscalar(np.ones((2, PLACES.number)), ["a", "b"], PLACES))
    with pytest.raises(RunError, match=r"has 2 maps\. Expected: one map a file"):
        TINY.read(path)
    path.write_bytes(PLACES.encode(0 * values))
    with pytest.raises(RunError, match="no value at the model's grayordinates"):
        TINY.read(path)
