"""Edges: Fisher z, averaged over runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bids_dtg.connectome.edges import fisher_z, mean_edges, upper_edges

MATRICES = arrays(np.float64, (4, 4), elements=st.floats(-0.99, 0.99))
WEIGHTS = st.floats(0.5, 300)


def test_a_perfect_correlation_has_no_edge():
    z = fisher_z(np.array([[1, 1, 0.5], [1, 1, np.nan], [0.5, np.nan, np.nan]]))
    assert np.isnan(z).sum() == 7
    assert z[0, 2] == pytest.approx(np.arctanh(0.5))


@pytest.mark.slow
@given(MATRICES, MATRICES, WEIGHTS, WEIGHTS)
def test_runs_count_by_their_weights(first, second, one, other):
    z = [fisher_z(first), fisher_z(second)]
    expected = (one * z[0] + other * z[1]) / (one + other)
    np.testing.assert_allclose(mean_edges(z, [one, other]), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@given(MATRICES, WEIGHTS)
def test_what_a_run_lacks_is_that_of_the_others(values, weight):
    z = fisher_z(values)
    lacking = z.copy()
    lacking[:2] = np.nan
    mean = mean_edges([z, lacking], [1.0, weight])
    np.testing.assert_allclose(mean, z, rtol=1e-9, atol=1e-12)
    assert np.isnan(mean_edges([lacking, lacking], [1.0, weight])[:2]).all()


@pytest.mark.parametrize("weights", [[], [1.0], [1.0, 0.0], [1.0, np.nan]])
def test_weights_are_those_of_the_runs(weights):
    with pytest.raises(ValueError, match="2 runs have the weights"):
        mean_edges([np.zeros((2, 2))] * 2, weights)


def test_edges_go_row_by_row():
    matrices = np.arange(32).reshape(2, 4, 4)
    assert upper_edges(matrices[0]).tolist() == [1, 2, 3, 6, 7, 11]
    assert (upper_edges(matrices)[1] == upper_edges(matrices[0]) + 16).all()
