"""Simulated rest correlates as the connectome says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.twin.phantom.people import simulate_twin_people
from bids_dtg.twin.phantom.dataset import correlations, draw_rest, possible_edges


@settings(max_examples=30)
@given(st.integers(2, 12), st.integers(0, 1000), st.floats(0.0, 0.9))
def test_series_correlate_exactly_as_asked_for(regions, seed, persistence):
    rng = np.random.default_rng(seed)
    edges = possible_edges(rng.normal(0.0, 0.4, regions * (regions - 1) // 2), regions)
    series = draw_rest(edges, regions, rng, frames=40, persistence=persistence)
    np.testing.assert_allclose(np.corrcoef(series.T), correlations(edges, regions), atol=1e-5)
    np.testing.assert_allclose(series.std(axis=0), 1.0, atol=1e-5)


def test_frames_resemble_those_before_as_much_as_asked_for():
    rng = np.random.default_rng(0)
    series = draw_rest(np.zeros(6), 4, rng, frames=4000, persistence=0.6)
    assert (series[1:] * series[:-1]).mean() == pytest.approx(0.6, abs=0.03)


@settings(max_examples=30)
@given(st.integers(3, 12), st.integers(0, 1000))
def test_impossible_connectomes_become_possible_and_possible_ones_stay(regions, seed):
    drawn = np.random.default_rng(seed).normal(0.0, 1.0, regions * (regions - 1) // 2)
    possible = possible_edges(drawn, regions)
    assert np.linalg.eigvalsh(correlations(possible, regions)).min() > 0.01
    half = (possible_edges(drawn, regions) / 2).astype(np.float32)
    if np.linalg.eigvalsh(correlations(half, regions)).min() >= 0.05:
        np.testing.assert_array_equal(possible_edges(half, regions), half)


def test_people_for_images_hardly_change_to_be_possible():
    edges = simulate_twin_people(40, "images", regions=20, seed=3).connectomes
    moved = possible_edges(edges, 20) - edges
    assert np.sqrt((moved**2).mean()) < 0.25 * edges.std(axis=0).mean()


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="4 regions have 6 edges, not 5"):
        correlations(np.zeros(5), 4)
    with pytest.raises(ValueError, match="4 regions need more frames than 4"):
        draw_rest(np.zeros(6), 4, np.random.default_rng(0), frames=4, persistence=0.5)
