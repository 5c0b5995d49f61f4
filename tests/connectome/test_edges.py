"""Edges: Fisher z, averaged over runs."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.connectome.edges import fisher_z, mean_edges, upper_edges


def test_a_perfect_correlation_has_no_edge():
    z = fisher_z(np.array([[1, 1, 0.5], [1, 1, np.nan], [0.5, np.nan, np.nan]]))
    assert np.isnan(z).sum() == 7
    assert z[0, 2] == pytest.approx(np.arctanh(0.5))


def test_runs_count_by_their_weights_and_what_one_lacks_is_that_of_the_others():
    one, other = np.random.default_rng(0).normal(size=(2, 4, 4))
    expected = (3 * one + 2 * other) / 5
    np.testing.assert_allclose(mean_edges([one, other], [3.0, 2.0]), expected)
    other[:2] = np.nan
    mean = mean_edges([one, other], [3.0, 2.0])
    np.testing.assert_allclose(mean, np.vstack([one[:2], expected[2:]]))
    assert np.isnan(mean_edges([other, other], [1.0, 2.0])[:2]).all()


def test_edges_go_row_by_row():
    matrices = np.arange(32).reshape(2, 4, 4)
    assert upper_edges(matrices[0]).tolist() == [1, 2, 3, 6, 7, 11]
    assert (upper_edges(matrices)[1] == upper_edges(matrices[0]) + 16).all()
