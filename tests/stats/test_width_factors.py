from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bids_dtg.stats.width_factors import (
    BINS,
    EDGES,
    MEASURED,
    TRUE,
    BinSums,
    SegmentSums,
    WidthFactors,
    deviation_bins,
)

FINITE = st.floats(-9, 9, width=32)


@pytest.mark.slow
@given(arrays(np.float32, (2, 6), elements=FINITE))
def test_bins_rise_with_the_size_of_a_deviation_whatever_its_sign(deviations):
    found = deviation_bins(deviations)
    np.testing.assert_array_equal(found, deviation_bins(-deviations))
    size, order = np.abs(deviations).ravel(), np.argsort(np.abs(deviations).ravel())
    assert (np.diff(found.ravel()[order].astype(int)) >= 0).all()
    assert (found.ravel()[size < EDGES[0]] == 0).all()
    assert (found.ravel()[size >= EDGES[-1]] == BINS - 1).all()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.3, 3.0), min_size=BINS, max_size=BINS), st.floats(0.1, 10.0))
def test_factors_lie_between_one_and_what_the_bins_show(scales, unit):
    bins = (np.arange(5000) % BINS).astype(np.int8).reshape(2, -1)
    sums = BinSums()
    sums.add(np.square(unit * np.array(scales)[bins]), bins)
    found = sums.factors()
    shown = np.array(scales) / np.sqrt(np.mean(np.square(scales)))
    if (found == 1).all():
        assert max(scales) / min(scales) < 1.5
    else:
        assert (np.diff(found[np.argsort(scales)]) >= -1e-6).all()
        assert (np.minimum(shown, 1) <= found + 1e-5).all()
        assert (found <= np.maximum(shown, 1) + 1e-5).all()


def test_a_bin_that_nobody_has_and_nothing_measured_have_factors_of_one():
    sums = BinSums()
    np.testing.assert_array_equal(sums.factors(), np.ones(BINS))
    squares = np.array([[1.0, np.nan]])
    sums.add(squares, np.zeros((1, 2), np.int8))
    np.testing.assert_array_equal(sums.factors(), np.ones(BINS))


def test_fewer_segments_widen_by_what_they_add():
    rng = np.random.default_rng(0)
    sums = SegmentSums(2, 3)
    for _ in range(40):
        true = rng.normal(size=(3, 500))
        noise = rng.normal(size=(2, 3, 500))
        for segments, extra in ((1, 1.0), (2, 0.0)):
            errors = true + extra * rng.normal(size=true.shape) + noise
            sums.add(segments, *errors.astype(np.float32))
    found = WidthFactors(np.ones((2, BINS), np.float32), sums.factors())
    assert found.of_segments(MEASURED, 1) == pytest.approx(np.sqrt(3 / 2), rel=0.03)
    assert found.of_segments(TRUE, 1) == pytest.approx(np.sqrt(2), rel=0.04)
    assert found.of_segments(TRUE, 2) == 1
    assert found.of_segments(TRUE, 3) is None
    assert not found.personal(MEASURED)


def test_factors_of_other_shapes_or_values_are_refused():
    ones = np.ones((2, BINS), np.float32)
    with pytest.raises(ValueError, match=r"factors are \(2, 5\), found \(2, 4\)"):
        WidthFactors(ones[:, :4], np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"factors are \(2, segments\)"):
        WidthFactors(ones, np.ones((1, 3)))
    with pytest.raises(ValueError, match="above 0"):
        WidthFactors(0 * ones, np.ones((2, 1)))
