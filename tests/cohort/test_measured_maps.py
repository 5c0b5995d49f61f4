"""A measured map of several runs: what its files are put together to."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_dtg.cohort.measured_maps import inverse_variance, read_measured, sum_of_z
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


def test_effects_and_variances_are_those_of_nilearn():
    """Nilearn's precision-weighted fixed effects over images."""
    nib = pytest.importorskip("nibabel")
    from nilearn.glm.contrasts import compute_fixed_effects

    rng = np.random.default_rng(0)
    effects = rng.normal(size=(3, 4, 4, 4)).astype(np.float32)
    variances = rng.uniform(0.5, 2, size=(3, 4, 4, 4)).astype(np.float32)

    def images(values):
        return [nib.Nifti1Image(volume, np.eye(4)) for volume in values]

    mask = nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4))
    expected = compute_fixed_effects(
        images(effects), images(variances), mask, precision_weighted=True
    )
    found = inverse_variance(list(effects), list(variances))
    for values, image in zip(found, expected[:2], strict=True):
        np.testing.assert_allclose(values, image.get_fdata(), rtol=1e-4)


def test_where_a_run_has_no_value_there_is_none():
    effect, variance = inverse_variance(
        [np.array([1.0, np.nan, 1.0]), np.array([2.0, 2.0, 2.0])],
        [np.array([1.0, 1.0, 0.0]), np.array([1.0, 1.0, 1.0])],
    )
    assert np.isfinite(effect).tolist() == np.isfinite(variance).tolist() == [True, False, False]
    assert np.isnan(sum_of_z([np.array([1.0, np.nan]), np.array([1.0, 1.0])])).tolist() == [
        False,
        True,
    ]


def test_the_sum_of_z_of_noise_is_z_again():
    runs = list(np.random.default_rng(1).normal(size=(4, 20_000)))
    assert sum_of_z(runs).std() == pytest.approx(1.0, abs=0.02)
