"""CIFTI files that other programs read: the standard grayordinates, and maps of parcels."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from cifti_people import brain_models

from bids_dtg.errors import RunError
from bids_dtg.imaging.surfaces.cifti import (
    CORTEX,
    ParcelPlaces,
    encode_dscalar,
    read_parcel_maps,
    standard_grayordinates,
)
from bids_dtg.imaging.surfaces.meshes import SIDES, read_template

_cifti: Any = nib.cifti2
STANDARD = standard_grayordinates()
NAMES = [f"contrast {number}" for number in range(5)]


def dense(path: Path) -> np.ndarray:
    values = (
        np.random.default_rng(0)
        .normal(size=(len(NAMES), len(STANDARD)))
        .astype(np.float32)
    )
    path.write_bytes(encode_dscalar(values, NAMES))
    return values


@pytest.mark.slow
def test_the_axis_is_the_standard(shared):
    standard = nib.load(
        shared / "data/real/surfaces/grayordinates/91282_Greyordinates.dscalar.nii"
    )
    assert standard.header.get_axis(1) == STANDARD
    for name, side in zip(CORTEX, SIDES, strict=True):
        cortex = np.flatnonzero(read_template("fsLR").cortex[side])
        np.testing.assert_array_equal(STANDARD.vertex[STANDARD.name == name], cortex)


@pytest.mark.slow
def test_nibabel_reads_scalars_with_the_right_intent(tmp_path):
    values = dense(tmp_path / "a.dscalar.nii")
    dense(tmp_path / "b.dscalar.nii")
    assert (tmp_path / "a.dscalar.nii").read_bytes() == (
        tmp_path / "b.dscalar.nii"
    ).read_bytes()
    image = nib.load(tmp_path / "a.dscalar.nii")
    assert image.header.get_axis(1) == STANDARD
    assert int(image.nifti_header["intent_code"]) == 3006
    assert list(image.header.get_axis(0).name) == NAMES
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), values)


@pytest.mark.slow
def test_workbench_reads_names_structures_and_values(tmp_path):
    workbench = shutil.which("wb_command")
    if workbench is None:
        pytest.skip(
            "wb_command is not installed (apt-get install connectome-workbench)"
        )
    path = tmp_path / "a.dscalar.nii"
    values = dense(path)

    def run(*arguments):
        done = subprocess.run(
            [workbench, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert run("-file-information", path, "-only-map-names").splitlines() == NAMES
    printed = run("-file-information", path)
    assert "CIFTI - Dense Scalar" in printed
    assert "29696 out of 32492 vertices" in printed
    left_file, volume = tmp_path / "left.func.gii", tmp_path / "volume.nii.gz"
    run(
        "-cifti-separate",
        path,
        "COLUMN",
        "-metric",
        "CORTEX_LEFT",
        left_file,
        "-volume-all",
        volume,
    )
    metric = np.stack([array.data for array in nib.load(left_file).darrays])
    np.testing.assert_array_equal(metric[:, STANDARD.vertex[:29696]], values[:, :29696])
    voxels = np.asarray(nib.load(volume).dataobj)[
        tuple(STANDARD.voxel[STANDARD.volume_mask].T)
    ]
    np.testing.assert_array_equal(voxels.T, values[:, STANDARD.volume_mask])


# --- parcels


def test_labels_of_no_region_are_none_whatever_their_key(tmp_path):
    names = {
        0: "???",
        1: "V1",
        2: "???",
        3: "Medial_Wall",
        4: "L_unknown",
        5: "FreeSurfer_Defined_Medial_Wall",
        6: "medial orbital",
        7: " ",
        9: "unknown area",
    }
    axis = brain_models(voxels=2)
    values = np.zeros((1, len(axis)))
    values[0, :9] = [1, 2, 3, 4, 5, 6, 7, 8, 9]  # 8 is not in the table
    values[0, -1] = 2  # a voxel
    table = {key: (name, (1, 1, 1, 1)) for key, name in names.items()}
    path = tmp_path / "a.dlabel.nii"
    rows = _cifti.LabelAxis(["map"], [table])
    nib.save(_cifti.Cifti2Image(values.astype("f4"), (rows, axis)), path)
    places, labels = ParcelPlaces.of_labels(path)
    assert labels == (1, 6, 7, 8, 9)
    wanted = ("V1", "medial orbital", "label 7", "label 8", "unknown area")
    assert places.names == wanted


def two_parcels() -> Any:
    return _cifti.ParcelsAxis(
        ["one", "other"],
        [np.zeros((0, 3), int)] * 2,
        [{CORTEX[0]: np.arange(3)}, {CORTEX[1]: np.arange(4)}],
        nvertices=dict.fromkeys(CORTEX, 32_492),
    )


def test_maps_and_parcels_come_back(tmp_path):
    file, values = tmp_path / "map.pscalar.nii", np.array([[1.5, -2.0]], np.float32)
    parcels = ParcelPlaces.of_axis(two_parcels())
    content = parcels.encode_maps(values, ["map"])
    file.write_bytes(content)
    places, names, stored = read_parcel_maps(file)
    assert names == ("map",)
    assert places.names == ("one", "other")
    assert np.array_equal(stored, values)
    assert ParcelPlaces.of_xml(parcels.to_xml()).axis == parcels.axis
    file.write_bytes(content.replace(b"<MatrixIndicesMap", b"<<atrixIndicesMap", 1))
    with pytest.raises(
        RunError, match=r"cannot be read: not well-formed .* a file of parcels"
    ):
        read_parcel_maps(file)


def test_what_is_no_map_of_the_parcels_is_refused(tmp_path):
    path, other_parcels = tmp_path / "map.pscalar.nii", two_parcels()
    other_parcels.name = other_parcels.name[::-1]
    for axis, values, fact in (
        (two_parcels(), np.ones((2, 2)), "has 2 maps. Expected: one map per file"),
        (two_parcels(), np.zeros((1, 2)), "has no value at the model's parcels"),
        (
            other_parcels,
            np.ones((1, 2)),
            "its parcel one has other vertices or voxels than those wanted",
        ),
    ):
        path.write_bytes(
            ParcelPlaces.of_axis(axis).encode_maps(values, "ab"[: len(values)])
        )
        with pytest.raises(RunError, match=fact):
            ParcelPlaces.of_axis(two_parcels()).read(path)
