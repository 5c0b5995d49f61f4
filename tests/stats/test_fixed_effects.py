"""Runs put together as other programs do."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.stats.fixed_effects import inverse_variance, sum_of_z


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
