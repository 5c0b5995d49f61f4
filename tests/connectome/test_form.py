from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plain_route import clean, correlate, plain_series, regress

from bids_dtg.cleaning.design import stop_band
from bids_dtg.connectome.connectome import run_connectomes
from bids_dtg.connectome.design import Removal, Retention, TemporalDesign
from bids_dtg.connectome.form import PENALTY, Form
from bids_dtg.connectome.moments import RunVoxels, measure_run

FRAMES, ROIS, TR, SECONDS = 150, 4, 2.0, 100.0
SHAPE = (5, 6, 7)
VOXELS, GREY = 210, 140
WAYS = [Removal, Retention]


def example(seed: int):
    """BOLD of overlapping networks with a drift, maps, confounds, frames kept."""
    rng = np.random.default_rng(seed)
    maps = np.abs(rng.standard_normal((ROIS, VOXELS))).astype(np.float32)
    confounds = rng.standard_normal((FRAMES, 3)).cumsum(axis=0)
    confounds /= confounds.std(axis=0)
    courses = rng.standard_normal((FRAMES, ROIS)) + 0.7 * rng.standard_normal((FRAMES, 1))
    bold = courses @ maps + rng.standard_normal((FRAMES, VOXELS))
    bold += 2 * confounds @ rng.standard_normal((3, VOXELS))
    return (1000 + bold).astype(np.float32), maps, confounds, rng.random(FRAMES) < 0.9


def one_pass(bold, maps, design, form, *, way=None, smoothing=None, **options):
    def blocks():
        for first in range(0, len(bold), 32):
            yield first, bold[first : first + 32].copy()

    moments = measure_run(
        blocks,
        design,
        RunVoxels(maps, GREY, np.ones(VOXELS, bool), sets=form.sets),
        segments=design.segments(SECONDS),
        smoothing=smoothing,
        cleaning=None if way is None else way.of(design),
    )
    return run_connectomes(moments, form=form)


def parts_of(result, design):
    """Yield each connectome of a run with the rows of the kept frames that it rests on."""
    segments = design.segments(SECONDS)
    known = zip(result.segments, segments.sets, strict=True)
    halves = ((result.odd, segments.odd), (result.even, segments.even))
    for made, pieces in (*known, *halves, (result.whole, segments.whole)):
        edges = segments.edges
        yield made, np.concatenate([np.arange(edges[p], edges[p + 1]) for p in pieces])


def assert_least_squares(result, voxels, series, design, *, atol=2e-5):
    for made, rows in parts_of(result, design):
        expected = regress(voxels[rows, :GREY], series[rows], PENALTY)
        np.testing.assert_allclose(made.r, expected, atol=atol)


@settings(max_examples=8, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(WAYS),
    st.sampled_from([(None, None), (0.01, 0.15)]),
)
def test_partial_values_of_all_parts_are_least_squares_on_cleaned_arrays(seed, way, limits):
    bold, maps, confounds, keep = example(seed)
    band = stop_band(FRAMES, TR, high_pass_hz=limits[0], low_pass_hz=limits[1])
    design = TemporalDesign.build(confounds, list("abc"), keep, TR, stop_band=band)
    assume(len(design.segments(SECONDS).sets) == 3)  # not of fewer frames
    result = one_pass(bold, maps, design, Form("partial"), way=way)
    kept = bold[keep].astype(float)
    voxels, series = (
        values - design.basis @ (design.basis.T @ values)
        for values in (kept, plain_series(kept, maps))
    )
    assert_least_squares(result, voxels, series, design)
    # What is left after the band is small beside float32 sums of what was there before.
    scale = 1e-4 if limits[1] else 5e-5
    for made, rows in parts_of(result, design):
        expected = correlate(voxels[rows, :GREY], series[rows])
        np.testing.assert_allclose(made.marginal, expected, atol=scale)


@pytest.mark.parametrize("way", WAYS)
def test_a_roi_without_signal_has_no_part_in_the_others(way):
    bold, maps, confounds, keep = example(4)
    maps[1], maps[1, :5], bold[:, :5] = 0, 1, 0
    design = TemporalDesign.build(confounds, list("abc"), keep, TR)
    result = one_pass(bold, maps, design, Form("partial"), way=way)
    kept = bold[keep].astype(float)
    voxels, series = clean(kept, confounds[keep]), np.zeros((len(kept), ROIS))
    present = [0, 2, 3]
    series[:, present] = clean(
        plain_series(kept[:, 5:], maps[np.ix_(present, range(5, VOXELS))]), confounds[keep]
    )
    voxels[:, :5] = 0
    assert_least_squares(result, voxels, series, design)
    assert not result.whole.r[1].any()
    expected = correlate(voxels[:, :GREY], series)
    np.testing.assert_allclose(result.whole.marginal, expected, atol=1e-4)


def test_an_unknown_form_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"full.*marginal.*partial"):
        Form("full")
    with pytest.raises(ValueError, match="one set of ROIs"):
        Form("marginal", (2, 3))
