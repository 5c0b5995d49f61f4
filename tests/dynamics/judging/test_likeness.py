from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import periodogram
from scipy.stats import wasserstein_distance

from bids_dtg.dynamics.judging.likeness import (
    controls,
    histogram_distance,
    mode_limits,
    periodogram_similarity,
    switch_difference,
    switches,
    variance_difference,
)

LIMITS = (-0.5, 0.5)
inside = arrays(np.float64, (3, 40), elements=st.floats(-1.95, 1.95))


def two_modes(rng, people=2, regions=6, frames=400, sd=0.25):
    """Draw series that stay for some frames in one of two states."""
    state = np.where(rng.random((people, regions, frames)) < 0.05, -1.0, 1.0).cumprod(axis=-1)
    return state + rng.normal(0, sd, state.shape), state


def test_similarity_of_periodograms_is_a_cosine():
    rng = np.random.default_rng(0)
    series, others = rng.standard_normal((2, 4, 180)).cumsum(axis=-1)
    found = periodogram_similarity(series, others)
    for row, pair in enumerate(zip(series, others, strict=True)):
        first, second = (
            np.convolve(np.pad(periodogram(x)[1], 1, "edge"), np.full(3, 1 / 3), "valid")
            for x in pair
        )
        wanted = first @ second / np.sqrt(first @ first * (second @ second))
        assert found[row] == pytest.approx(wanted)


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-5, 5), st.integers(1, 200))
def test_similarity_does_not_depend_on_scale_mean_or_sign(seed, scale, shift, roll):
    series = np.random.default_rng(seed).standard_normal(200)
    assert periodogram_similarity(series, shift - scale * series) == pytest.approx(1)
    assert periodogram_similarity(series, np.roll(series, roll)) == pytest.approx(1)


def test_similarity_of_a_constant_series_is_not_a_number():
    series = np.stack([np.full(50, 0.1), np.arange(50.0)])
    assert np.isnan(periodogram_similarity(series, series)).tolist() == [True, False]


@given(inside, inside)
def test_difference_of_variances_is_a_distance(series, others):
    found = variance_difference(series, others)
    np.testing.assert_allclose(found, np.abs(series.var(axis=-1) - others.var(axis=-1)))
    np.testing.assert_array_equal(found, variance_difference(others, series))


@settings(max_examples=30)
@given(inside, inside)
def test_distance_of_histograms_is_that_of_scipy(series, others):
    edges = np.linspace(-2, 2, 21)
    centres = (edges[1:] + edges[:-1]) / 2
    for found, *pair in zip(histogram_distance(series, others), series, others, strict=True):
        counts = [np.histogram(values, edges)[0] for values in pair]
        assert found == pytest.approx(wasserstein_distance(centres, centres, *counts), abs=1e-9)


def test_values_outside_the_histogram_are_not_counted():
    series = np.full((3, 40), 0.5)
    series[0, :20], series[1] = 7.0, 7.0
    found = histogram_distance(series, np.full((3, 40), 0.5))
    assert found[[0, 2]].tolist() == [0, 0]
    assert np.isnan(found[1])


def test_limits_of_modes_hold_a_tenth_of_the_values_between_them():
    series, _ = two_modes(np.random.default_rng(0))
    low, high = mode_limits(series)
    assert -1 < low < high < 1
    assert ((series > low) & (series < high)).mean() == pytest.approx(0.1, abs=0.01)
    assert (series <= low).mean() == pytest.approx((series < 0).mean() - 0.05, abs=0.01)


def test_values_of_a_single_mode_have_no_limits():
    with pytest.raises(ValueError, match="single mode"):
        mode_limits(np.random.default_rng(0).standard_normal(20_000))


def test_switches_are_those_of_the_state():
    series, state = two_modes(np.random.default_rng(1), sd=0.1)
    np.testing.assert_array_equal(
        switches(series, LIMITS), (np.diff(state, axis=-1) != 0).sum(axis=-1)
    )


@given(arrays(np.float64, 30, elements=st.sampled_from([-1.0, 0.0, 1.0])))
def test_values_between_the_limits_are_no_switches(series):
    clear = series[series != 0]
    assert switches(series, LIMITS) == np.count_nonzero(np.diff(clear))


def test_difference_of_switches_is_that_of_logarithms():
    few, many = np.array([-1.0, 1.0, 1.0, 1.0]), np.array([-1.0, 1.0, -1.0, 1.0])
    assert switch_difference(few, many, LIMITS) == pytest.approx(np.log(4) - np.log(2))
    assert np.isnan(switch_difference(few, np.array([-1.0, np.nan, 1.0, 1.0]), LIMITS))


def test_controls_are_worse_than_new_noise():
    rng = np.random.default_rng(2)
    frequency = rng.uniform(0.02, 0.3, (2, 30, 1))
    series, again = (
        np.sin(2 * np.pi * (frequency * np.arange(200) + rng.random((2, 30, 1)))) for _ in range(2)
    )
    found = controls(series, again, rng)
    likeness = {name: periodogram_similarity(series, x).mean() for name, x in found.items()}
    assert likeness["new noise"] > 0.95
    assert likeness["new noise"] > likeness["reshuffled"] + 0.5
    assert likeness["new noise"] > likeness["white noise"] + 0.5


@given(st.integers(2, 9), st.integers(0, 100))
def test_reshuffled_regions_are_the_same_persons_and_none_is_in_its_place(regions, seed):
    rng = np.random.default_rng(seed)
    series = rng.standard_normal((2, regions, 5)).astype(np.float32)
    moved = controls(series, series, rng)["reshuffled"]
    for person, other in zip(series, moved, strict=True):
        assert {tuple(row) for row in person} == {tuple(row) for row in other}
        assert (person != other).all()


@pytest.mark.parametrize(("shape", "other"), [((2, 3, 4), (2, 3, 5)), ((2, 1, 4), (2, 1, 4))])
def test_controls_of_other_shapes_are_refused(shape, other):
    with pytest.raises(ValueError, match="at least two regions"):
        controls(np.zeros(shape), np.zeros(other), np.random.default_rng(0))
