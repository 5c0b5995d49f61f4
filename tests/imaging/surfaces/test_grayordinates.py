"""Grayordinates: the standard places, and files that other programs read."""

from __future__ import annotations

import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.imaging.surfaces.cifti import CORTEX, encode_dscalar, standard_grayordinates
from bids_dtg.imaging.surfaces.meshes import SIDES, read_template

STRUCTURE, PLACES = dict(zip(SIDES, CORTEX, strict=True)), standard_grayordinates()
NAMES = [f"contrast {number}" for number in range(47)]


def _file(path, maps=47, seed=0):
    values = np.random.default_rng(seed).normal(size=(maps, len(PLACES))).astype(np.float32)
    path.write_bytes(encode_dscalar(values, NAMES[:maps]))
    return values


@pytest.mark.slow
def test_nibabel_reads_scalars_with_the_right_intent(tmp_path):
    path = tmp_path / "a.dscalar.nii"
    values = _file(path, maps=3)
    _file(tmp_path / "b.dscalar.nii", maps=3)
    assert path.read_bytes() == (tmp_path / "b.dscalar.nii").read_bytes()
    image = nib.load(path)
    assert image.header.get_axis(1) == PLACES
    assert int(image.nifti_header["intent_code"]) == 3006
    assert list(image.header.get_axis(0).name) == NAMES[:3]
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), values)


def test_cortex_is_the_mesh_without_its_medial_wall():
    for side in SIDES:
        cortex = np.flatnonzero(read_template("fsLR").cortex[side])
        np.testing.assert_array_equal(PLACES.vertex[PLACES.name == STRUCTURE[side]], cortex)


@pytest.mark.slow
def test_the_axis_equals_the_standard(shared):
    standard = nib.load(shared / "data/real/surfaces/grayordinates/91282_Greyordinates.dscalar.nii")
    assert standard.header.get_axis(1) == PLACES


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
    np.testing.assert_array_equal(metric[:, PLACES.vertex[:29696]], values[:, :29696])
    voxels = np.asarray(nib.load(volume).dataobj)[tuple(PLACES.voxel[PLACES.volume_mask].T)]
    np.testing.assert_array_equal(voxels.T, values[:, PLACES.volume_mask])
