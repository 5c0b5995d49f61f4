"""Parcels of CIFTI as places: damaged files are refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from cifti_people import brain_models, parcels_axis, save_maps, save_series, tiny_series

from bids_dtg.errors import RunError
from bids_dtg.imaging.surfaces.cifti import (
    ParcelPlaces,
    read_parcel_maps,
    read_series_header,
    stream_series,
)

_cifti: Any = nib.cifti2
_LEFT, _RIGHT = "CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT"


def two_parcels() -> ParcelPlaces:
    axis = _cifti.ParcelsAxis(
        ["one", "other"],
        [np.zeros((0, 3), int)] * 2,
        [{_LEFT: np.arange(3)}, {_RIGHT: np.arange(4)}],
        nvertices={_LEFT: 32_492, _RIGHT: 32_492},
    )
    return ParcelPlaces.of_axis(axis)


def test_maps_come_back(tmp_path: Path) -> None:
    file, values = tmp_path / "map.pscalar.nii", np.array([[1.5, -2.0]], np.float32)
    file.write_bytes(two_parcels().encode_maps(values, ["map"]))
    places, names, found = read_parcel_maps(file)
    assert names == ("map",)
    assert places.names == ("one", "other")
    assert np.array_equal(found, values)


def test_xml_that_cannot_be_parsed_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "map.pscalar.nii"
    whole = two_parcels().encode_maps(np.ones((1, 2), np.float32), ["map"])
    file.write_bytes(whole.replace(b"<MatrixIndicesMap", b"<<atrixIndicesMap", 1))
    with pytest.raises(RunError, match=r"cannot be read: not well-formed .* a file of parcels"):
        read_parcel_maps(file)


def read(path: Path, rows: np.ndarray) -> np.ndarray:
    blocks = list(stream_series(read_series_header(path), rows))
    assert [first for first, _ in blocks] == list(range(0, 70, 64))
    return np.concatenate([block for _, block in blocks])


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i2"])
def test_series_are_those_of_nibabel(tmp_path: Path, dtype: str) -> None:
    axis = parcels_axis()
    path = save_series(tmp_path / "a.ptseries.nii", tiny_series(12, 70).astype(dtype), axis)
    header = read_series_header(path)
    assert (header.frames, header.time, header.places.axis) == (70, (10.0, "s"), axis)
    expected = nib.load(path).get_fdata(dtype=np.float32)
    rows = np.array([3, 0, 11, 7])
    np.testing.assert_array_equal(read(path, rows), expected[:, rows])
    content = bytearray(path.read_bytes())
    raw = nib.Nifti2Header(bytes(content[:540]))
    raw["scl_slope"], raw["scl_inter"] = 0.5, -3.0
    path.write_bytes(raw.binaryblock + content[540:])
    np.testing.assert_allclose(read(path, rows), expected[:, rows] * 0.5 - 3, rtol=1e-6)


def test_files_that_are_no_run_are_one_line(tmp_path: Path) -> None:
    axis = parcels_axis()
    path = save_series(tmp_path / "a.ptseries.nii", tiny_series(12, 9), axis)
    content, header = path.read_bytes(), read_series_header(path)
    path.write_bytes(content[:-8])
    with pytest.raises(RunError, match=r"a\.ptseries\.nii cannot be read.*a file of parcels"):
        list(stream_series(header, np.arange(12)))
    for length in (300, 2000):
        path.write_bytes(content[:length])
        with pytest.raises(RunError, match=r"a\.ptseries\.nii cannot be read"):
            read_series_header(path)
    one = save_series(path, np.ones((1, 12), "f4"), axis)
    with pytest.raises(RunError, match="has a SeriesAxis of 1"):
        read_series_header(one)
    with pytest.raises(RunError, match=r"has a ScalarAxis of 1\. Expected: a run"):
        read_series_header(save_maps(path, np.ones((1, 12)), axis))
    models = brain_models()
    with pytest.raises(RunError, match="it has a BrainModelAxis, not parcels"):
        read_series_header(save_series(path, np.ones((4, len(models)), "f4"), models))
    with pytest.raises(RunError, match=r"gone\.ptseries\.nii"):
        read_series_header(tmp_path / "gone.ptseries.nii")


def test_a_mesh_that_is_not_fslr(tmp_path: Path) -> None:
    axis = _cifti.ParcelsAxis(
        ["one"], [np.zeros((0, 3), int)], [{_LEFT: np.arange(3)}], nvertices={_LEFT: 10_242}
    )
    path = save_series(tmp_path / "a.ptseries.nii", np.ones((4, 1), "f4"), axis)
    with pytest.raises(RunError, match="10242 vertices, not the cortex with fsLR's 32492"):
        read_series_header(path)
