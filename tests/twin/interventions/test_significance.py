"""P of attributions beside those of permuted behaviour."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.twin.interventions.gradients import Gradients
from bids_dtg.twin.interventions.significance import compare_with_null

REGIONS, EDGES = 4, 6


def gradients(edges):
    edges = np.atleast_2d(np.asarray(edges, np.float64))
    names = tuple(f"target{number}" for number in range(len(edges)))
    return Gradients(names, edges, np.stack([edges, edges]))


@pytest.mark.slow
@given(st.integers(0, 9999), st.integers(1, 30))
def test_p_is_that_of_all_permutations_at_once(seed, permutations):
    rng = np.random.default_rng(seed)
    own, null = rng.normal(size=(2, EDGES)), rng.normal(size=(permutations, 2, EDGES))
    people = rng.normal(size=(7, EDGES))
    found = compare_with_null(gradients(own), map(gradients, null), people, regions=REGIONS)
    size, every = np.abs(own), np.abs(null)
    assert found.permutations == permutations
    assert found.edges.p == pytest.approx((1 + (every >= size).sum(0)) / (1 + permutations))
    largest = every.max(axis=2, keepdims=True)
    assert found.edges.p_fwe == pytest.approx((1 + (largest >= size).sum(0)) / (1 + permutations))
    lengths = np.linalg.norm(null, axis=2)
    longer = (lengths >= np.linalg.norm(own, axis=1)).sum(0)
    assert found.length_p == pytest.approx((1 + longer) / (1 + permutations))
    assert found.null_length == pytest.approx(lengths)
    spreads = [(people @ each.T).std(axis=0, ddof=1) for each in (own, *null)]
    assert [found.spread, *found.null_spread] == pytest.approx(np.array(spreads))
    wider = (np.array(spreads[1:]) >= spreads[0]).sum(0)
    assert found.spread_p == pytest.approx((1 + wider) / (1 + permutations))
    assert (found.regions.p_fwe >= found.regions.p).all()


def test_both_signs_count():
    found = compare_with_null(gradients([-3.0, 0.5, 0.0]), [gradients([1.0, -1.0, 1.0])], np.eye(3))
    assert found.edges.p.tolist() == [[0.5, 1.0, 1.0]]
    assert found.regions is None


def test_a_region_with_edges_of_both_signs_is_not_significant():
    own = gradients([1.0, -1.0, 0.0, 0.0, 0.0, 0.0])
    found = compare_with_null(own, [gradients([0.1] * EDGES)] * 9, np.eye(EDGES), regions=REGIONS)
    # Edges of the first region with the second and third cancel out.
    assert found.regions.observed[0].tolist() == pytest.approx([0.0, 1 / 3, -1 / 3, 0.0])
    assert found.regions.p[0].tolist() == [1.0, 0.1, 0.1, 1.0]


def test_a_null_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="one permutation or more"):
        compare_with_null(gradients([1.0]), [], np.eye(2)[:, :1])
