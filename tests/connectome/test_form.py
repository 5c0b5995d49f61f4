from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from plain_route import clean, correlate, plain_series, regress
from scipy.ndimage import gaussian_filter

from bids_dtg.cleaning.design import stop_band
from bids_dtg.connectome.connectome import run_connectomes
from bids_dtg.connectome.design import Removal, Retention, TemporalDesign
from bids_dtg.connectome.form import FORMS, MARGINAL, PENALTY, Form
from bids_dtg.connectome.moments import RunVoxels, measure_run
from bids_dtg.files.names import build_path
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.smoothing import MaskedSmoothing

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


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
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
def test_voxels_without_data_and_smoothing_among_the_others(way):
    bold, maps, confounds, keep = example(3)
    bold[:, [3, 150]] = 0
    bold[~keep] = np.nan
    order = np.random.default_rng(9).permutation(VOXELS)
    grid, sd = Grid(SHAPE, np.diag([2.0, 2.0, 2.0, 1.0])), 5.0 / np.sqrt(8 * np.log(2)) / 2
    design = TemporalDesign.build(confounds, list("abc"), keep, TR)

    def smoothing(usable):
        return MaskedSmoothing.within(VoxelPlaces(grid, order), usable, 5.0)

    def smoothed(values):
        volume = np.zeros(VOXELS)
        volume[order] = values
        return gaussian_filter(volume.reshape(SHAPE), sd, mode="constant").reshape(-1)[order]

    result = one_pass(bold, maps, design, Form("partial"), way=way, smoothing=smoothing)
    data = np.ones(VOXELS, bool)
    data[[3, 150]] = False
    weight = smoothed(data.astype(float))
    frames = [np.where(data, smoothed(frame * data) / weight, 0) for frame in bold[keep]]
    plain = np.stack(frames)
    voxels = clean(plain, confounds[keep])
    voxels[:, ~data] = 0
    series = clean(plain_series(plain[:, data], maps[:, data]), confounds[keep])
    assert_least_squares(result, voxels, series, design, atol=1e-4)
    assert not result.whole.r[:, 3].any()


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


@pytest.mark.parametrize("way", WAYS)
def test_series_that_depend_on_each_other_have_small_coefficients(way):
    """A parcellation's demeaned maps add up to 0, and so do its series."""
    rng = np.random.default_rng(5)
    maps = (rng.integers(0, ROIS, VOXELS) == np.arange(ROIS)[:, None]).astype(np.float32)
    noise = rng.standard_normal((FRAMES, VOXELS))
    bold = (100 + rng.standard_normal((FRAMES, ROIS)) @ maps + noise).astype(np.float32)
    design = TemporalDesign.build(None, [], np.ones(FRAMES, bool), TR)
    result = one_pass(bold, maps, design, Form("partial"), way=way)
    kept = bold.astype(float)
    assert_least_squares(result, kept, plain_series(kept, maps), design)
    assert np.abs(result.whole.r).max() < 2


def test_the_marginal_form_and_what_is_judged_are_the_same_to_the_bit():
    bold, maps, confounds, keep = example(6)
    design = TemporalDesign.build(confounds, list("abc"), keep, TR)
    marginal = one_pass(bold, maps, design, MARGINAL)
    partial = one_pass(bold, maps, design, Form("partial"))
    for made, _ in parts_of(marginal, design):
        assert made.marginal is made.r
        assert (made.form, made.roi_r) == (MARGINAL, None)
    for name in ("agreement", "covered", "series", "roi_r", "tsnr", "effective_dof"):
        np.testing.assert_array_equal(getattr(marginal, name), getattr(partial, name))
    assert marginal.reliability == partial.reliability


@given(
    st.integers(0, 10**6),
    st.integers(1, 8),
    st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_marginal_undoes_mixing(seed, rois, silent):
    rng = np.random.default_rng(seed)
    series = rng.standard_normal((40, rois)) + rng.standard_normal((40, 1))
    if silent:
        series[:, 0] = 0
    r, roi_r = correlate(rng.standard_normal((40, 6)), series), correlate(series, series)
    form = Form("partial")
    values = form.mixing(roi_r).T @ r
    np.testing.assert_allclose(form.marginal(values, roi_r), r, atol=1e-9)
    assert MARGINAL.mixing(roi_r) is None
    assert MARGINAL.marginal(r, roi_r) is r


def test_an_unknown_form_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"full.*marginal.*partial"):
        Form("full")
    with pytest.raises(ValueError, match="one set of ROIs"):
        Form("marginal", (2, 3))


@pytest.mark.parametrize("row", FORMS.values(), ids=FORMS)
def test_the_statistic_of_a_form_can_stand_in_a_name(row):
    entities = {"sub": "01", "stat": row.statistic, "desc": "connectome"}
    name = build_path(entities, "statmap", ".nii.gz").name
    assert name == f"sub-01_stat-{row.statistic}_desc-connectome_statmap.nii.gz"
    assert row.statistic.isalnum()
    assert len({other.statistic for other in FORMS.values()}) == len(FORMS)


def test_sets_of_rois_are_solved_each_by_itself():
    bold, maps, confounds, keep = example(5)
    design = TemporalDesign.build(confounds, list("abc"), keep, TR)
    form = Form("partial")
    sets = (1, len(maps) - 1)
    alone = [one_pass(bold, part, design, form) for part in np.split(maps, [1])]
    both = one_pass(bold, maps, design, replace(form, sets=sets))
    whole = np.vstack([own.whole.r for own in alone])
    np.testing.assert_allclose(both.whole.r, whole, atol=2e-5)
    np.testing.assert_allclose(
        both.series, np.hstack([own.series for own in alone]), rtol=1e-4, atol=1e-4
    )
    # The agreement of halves is of one set: the one with more ROIs is nearer to 50.
    np.testing.assert_allclose(both.agreement, alone[1].agreement, atol=2e-5)
    # Otherwise, ROIs of one set are regressors of the other one.
    assert np.abs(one_pass(bold, maps, design, form).whole.r - whole).max() > 0.01
