"""A person's rest is known again after all that does not change it, and nobody else's is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from bids_dtg.inputs.rest_sketch import NUMBERS, TOLERANCE, alike, sketch


def rest(seed: int, places: int = 40, frames: int = 300) -> np.ndarray:
    """Make rest that is smooth in time, with a drift and a common course that all people share."""
    rng = np.random.default_rng(seed)
    own = gaussian_filter1d(rng.standard_normal((places, frames)), 1.5, axis=1)
    own += 0.5 * gaussian_filter1d(rng.standard_normal(frames), 1.5)
    drift = np.linspace(-1, 1, frames) * np.linspace(0, 2, places)[:, None]
    return 100 + own + drift


CHANGES = {
    "the same": lambda values, rng: values,
    "another scale": lambda values, rng: values * 10,
    "a scale of each place": lambda values, rng: values * rng.uniform(0.1, 9, (len(values), 1)),
    "another offset": lambda values, rng: values - 1e3,
    "another order": lambda values, rng: rng.permutation(values),
    "single precision": lambda values, rng: values.astype(np.float32),
    "half precision": lambda values, rng: (values - values.mean()).astype(np.float16),
    "three digits": lambda values, rng: np.round((values - 100) / np.ptp(values), 3),
    "whole numbers": lambda values, rng: np.round(values * 1000).astype(np.int32),
    "places that do not vary": lambda values, rng: np.vstack([values, np.ones_like(values)]),
}


@pytest.mark.parametrize("change", CHANGES)
@given(seed=st.integers(0, 2**32))
def test_what_does_not_change_rest_does_not_change_the_sketch(change, seed):
    values = rest(seed)
    other = CHANGES[change](values, np.random.default_rng(seed))
    assert alike([sketch(rest(seed + 1)), sketch(values)], [sketch(other)]).tolist() == [2]


def test_ten_thousand_others_are_never_taken_for_one_another():
    """Of 50 million pairs the nearest lies far beyond the tolerance."""
    found = [sketch(rest(seed, places=8, frames=120)) for seed in range(10_000)]
    assert len(set(found)) == len(found)
    numbers = np.frombuffer(bytes.fromhex("".join(found)), ">i2").reshape(-1, NUMBERS) * 1e-4
    from scipy.spatial import KDTree

    nearest = KDTree(numbers).query(numbers, k=2, p=np.inf)[0][:, 1]
    assert nearest.min() > 3 * TOLERANCE
    assert not alike(found[:5000], found[5000:]).any()


def test_rest_that_does_not_vary_is_nobodys():
    assert sketch(np.ones((5, 50))) == ""
    assert alike(["", sketch(rest(0))], ["", ""]).tolist() == [0, 0]
