"""Regions of simulated brains come in two mirrored hemispheres."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.phantom.regions import draw_positions, region_names


@pytest.mark.parametrize("regions", [2, 7])
def test_regions_that_make_no_two_hemispheres_are_refused(regions):
    with pytest.raises(ValueError, match=f"not {regions}"):
        region_names(regions)


@settings(max_examples=20)
@given(st.integers(2, 40), st.integers(0, 1000))
def test_places_are_mirrored_and_named_side_by_side(half, seed):
    places = draw_positions(half, np.random.default_rng(seed))
    names = region_names(2 * half)
    left = np.array([name.startswith("lh") for name in names])
    assert (left == (places[:, 0] < 0)).all()
    np.testing.assert_array_equal(places[left] * [-1, 1, 1], places[~left])
