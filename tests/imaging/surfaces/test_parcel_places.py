"""Parcels of CIFTI as places: damaged files are refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.errors import RunError
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces, read_parcel_maps

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
