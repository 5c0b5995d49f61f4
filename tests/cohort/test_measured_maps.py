"""A measured map is read at the model's places, or refused by its file."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.cohort.maps import read_measured
from bids_dtg.errors import UnusableMapError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.statmaps import StatMap

GRID = Grid((3, 3, 3), np.diag([2.0, 2.0, 2.0, 1.0]))
PLACES = VoxelPlaces.within(GRID, np.ones(GRID.shape, bool))
VALUES = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)


def written(folder: Path, values: np.ndarray) -> StatMap:
    path = folder / "z.nii.gz"
    nib.save(nib.Nifti1Image(values, GRID.affine), path)
    return StatMap("01", None, "a", {"z": path})


def test_a_map_is_read_at_the_places(tmp_path):
    found = read_measured(written(tmp_path, VALUES), "z", PLACES.read)
    np.testing.assert_allclose(found, VALUES.reshape(-1), rtol=1e-6)


def test_a_value_that_no_statistic_has_is_refused_by_its_file(tmp_path):
    with pytest.raises(UnusableMapError, match=r"of z\.nii\.gz: "):
        read_measured(written(tmp_path, VALUES * np.float32(1e30)), "z", PLACES.read)
