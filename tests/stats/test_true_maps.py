from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.lattice import single_lattice
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.stats.conformal import Calibration, coverage
from bids_dtg.stats.parcel_intervals import ParcelIntervals
from bids_dtg.stats.true_maps import LEAST_RETEST, RetestSums, TrueError, normal_quantile
from bids_dtg.stats.width_factors import BINS, TRUE, deviation_bins

SHAPE = (12, 12, 12)
PLACES = VoxelPlaces.within(Grid(SHAPE, np.diag([4.0, 4, 4, 1])), np.ones(SHAPE, bool))
LATTICE = PLACES.lattice(2)
NUMBER = PLACES.number


def two_sessions(people, seed, scale=0.6, noise=1.0, contrasts=2):
    """True errors, and those of two sessions, (people, contrasts, places) each."""
    rng = np.random.default_rng(seed)
    true = scale * rng.normal(size=(people, contrasts, NUMBER))
    level = noise * np.exp(0.3 * rng.normal(size=(people, 2, 1, 1)))
    measured = true[:, None] + level * rng.normal(size=(people, 2, contrasts, NUMBER))
    return [values.astype(np.float32) for values in (true, measured[:, 0], measured[:, 1])]


def learnt(first, second, pooling_mm=14.0, lattice=LATTICE):
    sums = RetestSums(lattice, first.shape[1])
    for one, other in zip(first, second, strict=True):
        sums.add(one, other)
    return sums.true_error(pooling_mm)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999), st.floats(0.2, 3.0), st.floats(0.0, 2.0))
def test_noise_has_no_part_in_the_true_error(seed, scale, noise):
    _, first, second = two_sessions(30, seed, scale, noise)
    found = learnt(first, second)
    assert np.sqrt(np.mean(found.values**2)) == pytest.approx(scale, rel=0.15 + 0.1 * noise / scale)


def test_it_is_the_measured_variance_less_half_that_of_the_difference():
    _, first, second = two_sessions(20, 3)
    measured = (np.mean(first**2) + np.mean(second**2)) / 2
    of_difference = np.mean((first - second) ** 2) / 2
    whole = learnt(first.reshape(20, 1, -1)[..., :1], second.reshape(20, 1, -1)[..., :1],
                   0.0, single_lattice(1, 1)).values[0, 0] ** 2  # fmt: skip
    one, other = first[:, 0, 0].astype(float), second[:, 0, 0].astype(float)
    wanted = np.mean(one**2 + other**2) / 2 - np.mean((one - other) ** 2) / 2
    least = 0.02 * np.mean(one**2 + other**2) / 2
    assert whole == pytest.approx(max(wanted, least), rel=1e-4)
    assert measured - of_difference == pytest.approx(0.36, abs=0.02)


def test_a_place_that_is_predicted_worse_has_wider_intervals_and_holds():
    from_middle_mm = 4.0 * (np.argwhere(PLACES.mask)[:, 0] - 5.5)
    worse = np.where(from_middle_mm > 0, 1.0, 0.4)
    _, first, second = two_sessions(40, 5, worse)
    widths = learnt(first, second, 4.0).at_places() * normal_quantile(90)
    for value in (1.0, 0.4):
        own = (worse == value) & (np.abs(from_middle_mm) > 10)
        assert np.median(widths[:, own]) == pytest.approx(1.645 * value, rel=0.15)


def test_new_people_s_true_maps_are_held_by_a_calibration():
    _, first, second = two_sessions(25, 7)
    second[12:] = np.nan  # had one session
    away = np.random.default_rng(1).normal(size=first.shape).astype(np.float32)
    bins = [deviation_bins(one) for one in away]
    made = Calibration.fit(first, LATTICE, 2, retest=second, bins=bins)
    assert made.true_error.people == 12
    new = two_sessions(60, 8)[0]
    for level in (50, 90):
        widths = made.true_half_widths(level)
        assert np.mean([coverage(one, widths) for one in new]) == pytest.approx(
            level / 100, abs=0.03
        )
    # Predictions' size says nothing of errors here: one width for all.
    assert not made.factors.personal(TRUE)
    assert made.true_half_widths(90).mean() < 0.6 * made.half_widths(90).mean()


def test_widths_grow_where_strong_predictions_err_more():
    true, first, second = two_sessions(40, 11)
    size = np.abs(np.random.default_rng(2).normal(size=first.shape)).astype(np.float32)
    stretch = 1 + 0.5 * size
    noise_one, noise_two = first - true, second - true
    true = true * stretch
    bins = [deviation_bins(one) for one in size]
    made = Calibration.fit(true + noise_one, LATTICE, 2, retest=true + noise_two, bins=bins)
    factors = made.factors.by_deviation[TRUE]
    assert made.factors.personal(TRUE)
    assert (np.diff(factors) > 0).all()
    widths = made.true_half_widths(90) * factors[np.stack(bins)]
    inside = np.abs(true) <= widths
    for number in range(BINS):
        assert inside[np.stack(bins) == number].mean() == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("people", [0, 1, LEAST_RETEST - 1])
def test_a_second_session_of_few_people_makes_no_true_widths(people):
    _, first, second = two_sessions(12, 1)
    second[people:] = np.nan
    made = Calibration.fit(first, LATTICE, 1, retest=second)
    assert (made.true_error, made.true_half_widths(90), made.factors) == (None, None, None)
    whole = Calibration.fit(first, LATTICE, 1)
    np.testing.assert_array_equal(made.half_widths(90), whole.half_widths(90))
    of_parcels = ParcelIntervals.fit(first[..., :9], 1, "0a", retest=second[..., :9])
    assert (of_parcels.true_half_widths(90), of_parcels.retest) == (None, 0)


def test_means_over_parcels_have_true_widths_of_their_own():
    true, first, second = two_sessions(40, 4)
    made = ParcelIntervals.fit(first[..., :50], 1, "0a", retest=second[..., :50])
    inside = np.abs(two_sessions(200, 9)[0][..., :50]) <= made.true_half_widths(90)
    assert (inside.mean(), made.retest) == (pytest.approx(0.9, abs=0.03), 40)
    assert true.std() == pytest.approx(made.true_error.mean(), rel=0.1)


def test_a_contrast_that_nobody_has_twice_does_not_spoil_the_others():
    _, first, second = two_sessions(10, 2)
    second[:, 1] = np.nan
    found = learnt(first, second)
    assert np.isfinite(found.values).all()
    np.testing.assert_array_equal(found.values[1], 1)


def test_wrong_shapes_and_values_are_named():
    sums = RetestSums(LATTICE, 2)
    one = np.zeros((2, 5), np.float32)
    with pytest.raises(ValueError, match=rf"errors are \(2, {NUMBER}\), found \(2, 5\)"):
        sums.add(one, one)
    with pytest.raises(ValueError, match="0 people with a retest, fewer than 5"):
        sums.true_error(14.0)
    with pytest.raises(ValueError, match="true errors are above 0"):
        TrueError(np.zeros((2, *LATTICE.shape), np.float32), LATTICE, 9)
