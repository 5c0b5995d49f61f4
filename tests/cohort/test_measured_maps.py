"""A measured map of several runs: what its files are put together to."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.cohort.measured_maps import read_measured
from bids_dtg.errors import UnusableMapError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.statmaps import StatMap

GRID = Grid((3, 3, 3), np.diag([2.0, 2.0, 2.0, 1.0]))
PLACES = VoxelPlaces.within(GRID, np.ones(GRID.shape, bool))
ALIKE = np.random.default_rng(0).normal(size=GRID.shape)


def written(folder: Path, **values: tuple[float, ...]) -> StatMap:
    """Write a file a run and quantity, each the same map times a value."""
    files = {}
    for kind, runs in values.items():
        paths = [folder / f"run-{number}_{kind}.nii.gz" for number, _ in enumerate(runs, 1)]
        for path, value in zip(paths, runs, strict=True):
            map_ = np.full(GRID.shape, value) if kind == "variance" else ALIKE * value
            nib.save(nib.Nifti1Image(map_.astype(np.float32), GRID.affine), path)
        files[kind] = tuple(paths)
    return StatMap("01", None, "a", files)


@pytest.mark.parametrize(
    ("statistic", "values", "factor"),
    [
        ("z", {"z": (3.0,)}, 3.0),
        ("z", {"z": (1.0, 3.0)}, 4 / np.sqrt(2)),
        ("effect", {"effect": (1.0, 3.0)}, 2.0),
        # Weights 1 and 1/3: (1 + 1) / (4/3), with a standard error of sqrt(3/4).
        ("effect", {"effect": (1.0, 3.0), "variance": (1.0, 3.0)}, 1.5),
        ("z", {"effect": (1.0, 3.0), "variance": (1.0, 3.0)}, 1.5 / np.sqrt(0.75)),
    ],
)
def test_runs_are_put_together(tmp_path, statistic, values, factor):
    found = read_measured(written(tmp_path, **values), statistic, PLACES.read)
    np.testing.assert_allclose(found, ALIKE.reshape(-1) * factor, rtol=1e-5)


def test_a_value_that_no_statistic_has_is_refused_by_its_file(tmp_path):
    with pytest.raises(UnusableMapError, match=r"of run-2_z\.nii\.gz: "):
        read_measured(written(tmp_path, z=(1.0, 1e30)), "z", PLACES.read)
