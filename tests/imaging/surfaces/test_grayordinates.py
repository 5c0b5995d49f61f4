"""Grayordinates: the standard places, and files that other programs read."""

from __future__ import annotations

import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest
from cifti_people import brain_models

from bids_dtg.errors import RunError
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
    assert (TINY.number, TINY.cortical) == (160, 120)
    assert "120 vertices of fsLR's mesh of 32,492" in TINY.density
    cortex = Grayordinates.of_axis(AXIS[:120])
    assert (cortex.number, len(cortex.voxels), cortex.axis) == (120, 0, AXIS[:120])
