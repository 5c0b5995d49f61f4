"""Individuality: what is a person's own repeats over segments and halves, chance does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.stats.individuality import individuality

PLACES = 20_000


def halves(own_sd: float, noise_sd: float, seed: int) -> np.ndarray:
    """Make deviations of two halves, (2, 1, places), each with noise of `noise_sd`."""
    rng = np.random.default_rng(seed)
    own = own_sd * rng.standard_normal(PLACES)
    return (own + noise_sd * rng.standard_normal((2, 1, PLACES))).astype(np.float32)


@given(own=st.floats(0.2, 3), noise=st.floats(0.2, 3), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_both_figures_find_the_share_of_the_person(own, noise, seed):
    parts = halves(own, noise, seed)
    whole = parts.mean(axis=0)
    error = np.full_like(whole, noise / np.sqrt(2))
    found = individuality(whole, error, (parts[0], parts[1]))
    truth = own**2 / (own**2 + noise**2 / 2)
    assert found.distance[0] == pytest.approx(np.sqrt(own**2 + noise**2 / 2), rel=0.05)
    assert found.share[0] == pytest.approx(truth, abs=0.05)
    assert found.reliability[0] == pytest.approx(truth, abs=0.05)


def test_what_is_chance_alone_is_no_share():
    parts = halves(0.0, 1.0, 0)
    whole = parts.mean(axis=0)
    found = individuality(whole, np.ones_like(whole), (parts[0], -parts[0]))
    assert (found.share[0], found.reliability[0]) == (0.0, 0.0)
    assert found.halves_r[0] == pytest.approx(-1)


def test_contrasts_without_deviations_and_figures_have_none():
    parts = halves(1.0, 1.0, 0)
    both = np.concatenate([parts, np.full_like(parts, np.nan)], axis=1)
    found = individuality(both[0], None, None)
    assert np.isfinite(found.distance).tolist() == [True, False]
    for figure in (found.chance, found.share, found.halves_r, found.reliability):
        assert np.isnan(figure).all()
    found = individuality(both[0], both[1], (both[0], both[1]))
    for figure in (found.chance, found.share, found.halves_r, found.reliability):
        assert np.isfinite(figure).tolist() == [True, False]
    with pytest.raises(ValueError, match=r"arrays are \(2, 20000\), found \(1, 20000\)"):
        individuality(both[0], both[1, :1])
