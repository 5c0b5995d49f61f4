from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.recentring import MOST_GAIN, Correction, recentre


def people(n=30, contrasts=3, voxels=40, seed=0):
    """Return measured maps and predictions: an error in the mean map, half the deviations."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(contrasts, voxels))
    error = rng.normal(size=(contrasts, voxels))
    deviations = rng.normal(size=(n, contrasts, voxels))
    return mean, mean + deviations, mean + error + 0.8 * deviations


def correction_of(predicted, measured, mean_map) -> Correction:
    return recentre(zip(predicted, measured, strict=True), mean_map)[0]


def varying(predicted, measured) -> list[bool]:
    return recentre(zip(predicted, measured, strict=True), measured[0])[1].tolist()


def test_it_is_the_mean_map_plus_gain_times_the_deviation():
    _, measured, predicted = people(seed=1)
    predicted = predicted + 3 * np.random.default_rng(5).normal(size=predicted.shape)
    mean_map = np.random.default_rng(2).normal(size=measured.shape[1:])
    correction = correction_of(predicted, measured, mean_map)
    deviations = predicted - predicted.mean(axis=0)
    gains = [
        np.polyfit(deviations[:, q].ravel(), measured[:, q].ravel(), 1)[0]
        for q in range(3)
    ]
    assert all(0 < gain < 1 for gain in gains)
    np.testing.assert_allclose(correction.gains, gains, rtol=1e-4)
    expected = mean_map + np.array(gains)[:, None] * deviations[4]
    np.testing.assert_allclose(correction.apply(predicted[4]), expected, atol=1e-4)


def lacking(measured, seed=0):
    """Take half of the voxels from half of the people, and a contrast from half of them."""
    rng = np.random.default_rng(seed)
    incomplete = measured.copy()
    incomplete[rng.random(len(incomplete)) < 0.5, :, :20] = np.nan
    incomplete[rng.random(len(incomplete)) < 0.5, 1] = np.nan
    return incomplete


def test_a_gain_is_the_slope_over_what_was_measured():
    _, measured, predicted = people(seed=1)
    predicted = predicted + 3 * np.random.default_rng(5).normal(size=predicted.shape)
    incomplete = lacking(measured, seed=2)
    finite = np.isfinite(incomplete)
    p, m = (np.where(finite, values, np.nan) for values in (predicted, incomplete))
    p, m = p - np.nanmean(p, axis=0), m - np.nanmean(m, axis=0)
    gains = np.nansum(p * m, axis=(0, 2)) / np.nansum(p * p, axis=(0, 2))
    fitted_gains = correction_of(predicted, incomplete, measured.mean(axis=0)).gains
    np.testing.assert_allclose(fitted_gains, np.clip(gains, 0, MOST_GAIN), rtol=1e-5)


def test_a_contrast_that_nobody_has_is_the_mean_map():
    mean, measured, predicted = people()
    measured[:, 2] = np.nan
    correction = correction_of(predicted, measured, mean)
    assert correction.gains[2] == 0
    np.testing.assert_allclose(correction.offset[2], mean[2], rtol=1e-6)


def test_gains_are_clipped():
    mean, measured, _ = people()
    weak, opposite = (mean + factor * (measured - mean) for factor in (0.01, -1.0))
    assert (correction_of(weak, measured, mean).gains == np.float32(MOST_GAIN)).all()
    assert (correction_of(opposite, measured, mean).gains == 0).all()


def test_predictions_that_are_the_same_for_all_are_found():
    _, measured, predicted = people()
    predicted = predicted.astype(np.float32)
    predicted[:, 1] = predicted[0, 1]
    measured[:, 2] = np.nan  # predictions still vary
    assert varying(predicted, measured) == [True, False, True]
    # A large mean does not hide a small difference, and rounding is none.
    predicted[:, 1] += 1e-7 * np.random.default_rng(0).normal(
        size=predicted[:, 1].shape
    )
    predicted[:, 0] = 100 + 1e-2 * predicted[:, 0]
    assert varying(predicted, measured) == [True, False, True]


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"found \(3,\) and \(2, 5\)"):
        Correction(np.ones(3, np.float32), np.zeros((2, 5), np.float32))
