"""Parcels as grayordinates: read from label files, written with values, opened by others."""

import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest
from label_files import write_dlabel

from bids_dtg.errors import RunError
from bids_dtg.imaging.surfaces.parcels import (
    encode_pconn,
    encode_pscalar,
    read_form,
    structures_form,
)

NAMES = ("V1", "M1", "AMYGDALA")


@pytest.fixture
def form(tmp_path):
    return read_form(write_dlabel(tmp_path / "atlas.dlabel.nii", NAMES), NAMES[::-1])


def opened(content, path):
    path.write_bytes(content)
    return nib.load(path)


def test_values_come_back_with_names_and_places(form, tmp_path):
    values = np.array([[1.5, np.nan, -2], [0, 1, 2]], np.float32)
    image = opened(encode_pscalar(values, ["math", "story"], form), tmp_path / "a.pscalar.nii")
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), values)
    maps, parcels = (image.header.get_axis(axis) for axis in (0, 1))
    assert list(maps.name) == ["math", "story"]
    assert list(parcels.name) == list(NAMES[::-1])  # in the atlas' order, not the file's
    assert [sum(map(len, vertices.values())) for vertices in parcels.vertices] == [0, 40, 40]
    assert [len(voxels) for voxels in parcels.voxels] == [40, 0, 0]
    assert image.nifti_header.get_intent()[0] == "ConnParcelScalr"


def test_a_matrix_keeps_its_sides(form, tmp_path):
    values = np.arange(9.0).reshape(3, 3)
    image = opened(encode_pconn(values, form), tmp_path / "a.pconn.nii")
    np.testing.assert_array_equal(image.get_fdata(), values)
    assert list(image.header.get_axis(0).name) == list(NAMES[::-1])
    with pytest.raises(ValueError, match="3 rows and 3 parcels, but values"):
        encode_pconn(values[:2], form)


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = write_dlabel(tmp_path / "atlas.dlabel.nii", NAMES)
    with pytest.raises(RunError, match=r"has no parcel V2 \(1 of 4 are not there\)"):
        read_form(path, [*NAMES, "V2"])
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(RunError, match="cannot be read"):
        read_form(path, NAMES)
    scalars = tmp_path / "b.dlabel.nii"
    scalars.write_bytes(encode_pscalar(np.zeros((1, 1)), ["a"], structures_form(["BRAIN_STEM"])))
    with pytest.raises(RunError, match="holds no labels of grayordinates"):
        read_form(scalars, NAMES)


@pytest.mark.slow
def test_workbench_opens_both_with_their_names(form, tmp_path):
    workbench = shutil.which("wb_command")
    if workbench is None:
        pytest.skip("wb_command is not installed (apt-get install connectome-workbench)")
    scalars, between = tmp_path / "a.pscalar.nii", tmp_path / "a.pconn.nii"
    scalars.write_bytes(encode_pscalar(np.ones((2, 3)), ["math", "story"], form))
    between.write_bytes(encode_pconn(np.eye(3), form))
    for path, kind in ((scalars, "CIFTI - Parcel Scalar"), (between, "CIFTI - Parcel")):
        command = [workbench, "-file-information", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert f"Type:                     {kind}\n" in said
        assert all(name in said for name in NAMES)
