"""Parcel means against a loop over parcels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.contrasts.parcels import parcel_means


@given(
    seed=st.integers(0, 2**32 - 1),
    parcels=st.lists(st.integers(1, 9), min_size=1, max_size=5, unique=True),
)
def test_means_are_those_of_a_loop(seed, parcels):
    rng = np.random.default_rng(seed)
    maps, labels = rng.standard_normal((3, 40)), rng.integers(0, 10, 40)
    means = parcel_means(maps, labels, parcels)
    assert means.shape == (3, len(parcels))
    for column, label in zip(means.T, parcels, strict=True):
        inside = maps[:, labels == label]
        if inside.size:
            np.testing.assert_allclose(column, inside.mean(axis=1))
        else:
            assert np.isnan(column).all()


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"labels \(4,\) do not fit maps \(2, 5\)"):
        parcel_means(np.ones((2, 5)), np.ones(4, int), [1])
