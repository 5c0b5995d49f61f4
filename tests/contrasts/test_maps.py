"""Averages over segments against numpy's own weighted statistics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.maps import Estimate, MapAverage
from bids_dtg.errors import SettingsError


def _average(maps: np.ndarray, seconds: list[float]) -> Estimate:
    average = MapAverage()
    for segment_maps, weight in zip(maps, seconds, strict=True):
        average.add(segment_maps, seconds=weight)
    return average.result(hcp_contrasts()[: maps.shape[1]])


@pytest.mark.slow
@given(
    n=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
    weights=st.lists(st.floats(60, 900), min_size=6, max_size=6),
)
def test_mean_is_weighted_by_time(n, seed, weights):
    maps = np.random.default_rng(seed).standard_normal((n, 3, 5)).astype(np.float32)
    result = _average(maps, weights[:n])
    expected = np.average(maps, axis=0, weights=weights[:n])
    np.testing.assert_allclose(result.values, expected, atol=1e-5)
    assert result.n_segments == n
    assert result.seconds == pytest.approx(sum(weights[:n]))


def test_segments_without_data_at_a_voxel_do_not_count_there():
    maps = np.random.default_rng(0).standard_normal((3, 2, 4)).astype(np.float32)
    data = np.array([[0, 1, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0]], bool)
    average, weights = MapAverage(), [400.0, 300.0, 200.0]
    for segment_maps, has_data, weight in zip(maps, data, weights, strict=True):
        average.add(segment_maps, seconds=weight, data=has_data)
    average_maps = average.result(hcp_contrasts()[:2])
    np.testing.assert_allclose(
        average_maps.values[:, 0],
        np.average(maps[1:, :, 0], axis=0, weights=weights[1:]),
        atol=1e-6,
    )
    np.testing.assert_array_equal(average_maps.values[:, 1], maps[0, :, 1])
    whole = _average(maps, weights)
    np.testing.assert_array_equal(average_maps.values[:, 2], whole.values[:, 2])
    assert np.isnan(average_maps.values[:, 3]).all()


def test_a_map_is_found_by_its_label_and_a_misspelt_one_named():
    contrasts = hcp_contrasts()
    maps = np.arange(47, dtype=np.float32)[:, None].repeat(3, axis=1)
    estimate = Estimate(contrasts, maps, 1, 432.0)
    row = contrasts[2]
    for label in (row.label, row.label.upper()):
        np.testing.assert_array_equal(estimate.map_of(label), maps[2])
    with pytest.raises(SettingsError, match=f"no contrast '.*did you mean {row.label}"):
        estimate.map_of(row.label[:-1])
    with pytest.raises(SettingsError, match="no contrast 'zzz'") as caught:
        estimate.map_of("zzz")
    assert "did you mean" not in str(caught.value)
