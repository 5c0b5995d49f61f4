"""A carpet: what passes by is kept, small at any length, and standardised as others do it."""

import numpy as np
import pytest
from scipy.signal import detrend

from bids_dtg.connectome.carpet import MOST_COLUMNS, Carpet


def passed(carpet, values, *, size=7):
    """Let a run pass by in blocks whose memory changes afterwards."""
    for _, block in carpet.watching(
        (first, values[first : first + size].copy()) for first in range(0, len(values), size)
    ):
        block[:] = -1
    return carpet


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(50, 3, (60, 9)).cumsum(axis=0)


def test_rows_are_detrended_and_in_standard_deviations(values):
    carpet, every = Carpet(np.array([1, 4]), 60), np.ones(60, bool)
    expected = detrend(values[:, [1, 4]], axis=0)
    expected /= expected.std(axis=0)
    for _ in range(2):  # a second pass begins anew
        found = passed(carpet, values).standardised(every)
        np.testing.assert_allclose(found, expected.T, atol=1e-3)


def test_frames_left_out_do_not_count(values):
    keep = np.arange(60) >= 5
    values[:5] += 1e4
    found = passed(Carpet(np.array([1]), 60), values).standardised(keep)
    expected = detrend(values[5:, 1])
    np.testing.assert_allclose(found[0, 5:], expected / expected.std(), atol=1e-2)
    assert (found[0, :5] > 100).all()


def test_a_long_run_is_averaged_and_a_voxel_without_signal_is_none():
    frames = 2 * MOST_COLUMNS + 3
    values = np.random.default_rng(0).normal(size=(frames, 3)).astype(np.float32)
    values[:, 1], values[9, 2] = 7.5, np.nan
    carpet = passed(Carpet(np.arange(3), frames), values)
    found = carpet.standardised(np.ones(frames, bool))
    assert carpet.each == 3  # frames of a column
    assert found.shape == (3, -(-frames // 3))
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1:]).all()
    assert np.corrcoef(found[0], values[:, 0].reshape(-1, 3).mean(axis=1))[0, 1] > 0.99
