"""Intervals around parcel means: people never seen are covered, and gaps count nowhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.imaging.atlas import Atlas
from bids_dtg.stats.conformal import LEAST_PEOPLE, LEVELS, coverage
from bids_dtg.stats.parcel_intervals import (
    POOLED_PEOPLE,
    ParcelIntervals,
    intervals_of,
    parcel_errors,
)

PARCELS = 60


def people(count: int, seed: int, *, kinds: int = 6, differ: float = 0.3) -> np.ndarray:
    """Errors (people, 3 contrasts, parcels): alike in neighbours, larger in some people."""
    world, rng = np.random.default_rng(99), np.random.default_rng(seed)
    smooth = world.normal(size=(kinds, PARCELS)) / np.sqrt(kinds)
    scale = np.exp(0.3 * world.normal(size=PARCELS))
    level = np.exp(differ * rng.normal(size=(count, 1, 1)))
    shared = rng.normal(size=(count, 3, kinds)) @ smooth
    own = rng.normal(size=(count, 3, PARCELS))
    return (level * scale * (shared + 0.5 * own)).astype(np.float32)


def fit(errors: np.ndarray) -> ParcelIntervals:
    return ParcelIntervals.fit(errors, segments=4, digest="0a")


def held(intervals: ParcelIntervals, new: np.ndarray, level: int) -> float:
    widths = intervals.half_widths(level)
    return float(np.mean([coverage(errors, widths) for errors in new]))


def covered(count: int, level: int, calibrations: int, **shape: float) -> tuple[float, float]:
    """Return the share of new people's parcels that are covered, and its standard error."""
    shares = [
        held(fit(people(count, seed, **shape)), people(30, seed + 1000, **shape), level)
        for seed in range(calibrations)
    ]
    return float(np.mean(shares)), float(np.std(shares, ddof=1) / np.sqrt(calibrations))


@pytest.mark.parametrize(("count", "level"), [(LEAST_PEOPLE, 90), (40, 90), (40, 50)])
def test_new_people_are_covered_on_average_over_calibrations(count, level):
    share, error = covered(count, level, 12)
    assert share == pytest.approx(level / 100, abs=0.01 + 3 * error)


@pytest.mark.slow
@given(
    count=st.integers(LEAST_PEOPLE, 60),
    kinds=st.integers(1, 30),
    differ=st.floats(0, 0.4),
    level=st.sampled_from(LEVELS),
)
@settings(max_examples=20, deadline=None)
def test_new_people_are_covered_however_alike_parcels_and_people_are(count, kinds, differ, level):
    share, error = covered(count, level, 24, kinds=kinds, differ=differ)
    # The term of order 1 / people is a point at most with ten of them.
    assert share == pytest.approx(level / 100, abs=0.015 + 3.5 * error)


def test_widths_follow_parcels_and_contrasts_whose_errors_are_large():
    scale = np.ones((3, PARCELS), np.float32)
    scale[:, : PARCELS // 2] = 0.5
    scale[1] *= 5
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(400, 3, PARCELS)) * scale
    widths = fit(errors).half_widths(90)
    assert widths / scale == pytest.approx(np.full_like(scale, 1.645), rel=0.15)


def test_usual_errors_lean_on_those_of_their_contrast():
    errors = people(20, 0)
    own = np.square(errors, dtype=np.float64).mean(axis=0)
    pooled = (20 * own + POOLED_PEOPLE * own.mean(axis=1, keepdims=True)) / (20 + POOLED_PEOPLE)
    np.testing.assert_allclose(fit(errors).pooled_error, np.sqrt(pooled), rtol=1e-5)


def test_what_was_not_measured_counts_nowhere():
    errors = people(30, 1)
    errors[:19, 0, :7] = np.nan  # eleven are left
    errors[:21, 1, 7] = np.nan  # nine are
    errors[:, 2] = np.nan
    intervals = fit(errors)
    widths = intervals.half_widths(90)
    assert np.isfinite(widths[0]).all()
    assert np.flatnonzero(np.isnan(widths[1])).tolist() == [7]
    assert np.isnan(widths[2]).all()
    np.testing.assert_array_equal(intervals.without_interval, np.isnan(widths))
    without_third = fit(people(30, 1)[:, :1]).half_widths(90)
    np.testing.assert_array_equal(fit(people(30, 1)).half_widths(90)[:1], without_third)
    new = people(300, 2)
    assert np.nanmean([coverage(error, widths)[:2] for error in new], axis=0) == pytest.approx(
        [0.9, 0.9], abs=0.04
    )


def test_parcels_without_an_interval_have_no_say_in_how_wide_others_are():
    errors = people(15, 3)
    errors[:, :, 30:] *= 0.01
    errors[:6, :, 30:] = np.nan  # nine are left
    assert held(fit(errors), errors, 50) == pytest.approx(0.5, abs=0.06)


def test_half_of_the_people_without_half_of_the_parcels_cover_alike():
    rng, shares = np.random.default_rng(5), []
    for seed in range(12):
        errors = people(60, seed)
        lacking = rng.random(60) < 0.5
        errors[lacking, :, : PARCELS // 2] = np.nan
        shares.append(held(fit(errors), people(60, seed + 500), 90))
    assert np.mean(shares) == pytest.approx(0.9, abs=0.02)


def test_another_image_of_the_same_name_gets_no_intervals():
    known = {"Own": fit(people(12, 0))}
    assert intervals_of(known, "Own", "0a") is known["Own"]
    assert intervals_of(known, "Own", "0b") is None
    assert intervals_of(known, "Other", "0a") is None


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="nobody was added"):
        fit(np.zeros((0, 2, 5)))
    with pytest.raises(ValueError, match="pooled errors are above 0"):
        fit(np.zeros((12, 2, 5)))
    intervals = fit(people(12, 0))
    with pytest.raises(ValueError, match=r"levels are \(50, 68, 80, 90, 95\), not 99"):
        intervals.half_widths(99)
    parts = dict(vars(intervals))
    with pytest.raises(ValueError, match="pooled errors are above 0"):
        ParcelIntervals(**parts | {"pooled_error": np.zeros_like(intervals.pooled_error)})
    with pytest.raises(ValueError, match=r"people are counted in \(3, 2\)"):
        ParcelIntervals(**parts | {"measured": intervals.measured[:, :2]})
    with pytest.raises(ValueError, match=r"quantiles are \(3, 5\), found \(3, 4\)"):
        ParcelIntervals(**parts | {"quantiles": intervals.quantiles[:, 1:]})


def test_a_parcel_of_which_too_little_was_measured_has_no_error():
    atlas = Atlas(
        {"atlas": "A"}, np.array([1, 1, 1, 2, 2, 0]), {1: "a", 2: "b", 3: "c"}, np.array([4, 2, 3])
    )
    errors = np.arange(24, dtype=np.float32).reshape(2, 2, 6)
    errors[0, 1, 0], errors[1, :, 1:3] = np.nan, np.nan
    nan = np.nan
    expected = [[[1, 3.5, nan], [7.5, 9.5, nan]], [[nan, 15.5, nan], [nan, 21.5, nan]]]
    np.testing.assert_array_equal(parcel_errors(iter(errors), atlas), expected)
    assert np.isfinite(parcel_errors(errors, atlas, 0.25)[1, 0, 0])
