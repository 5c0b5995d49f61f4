"""Connectomes of a run from one pass, against cleaning and correlating whole arrays."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maps_bundle import write_tiny_bundle
from plain_route import clean, correlate, plain_connectome, plain_series, regress
from scipy.ndimage import gaussian_filter

from bids_dtg import measure_array
from bids_dtg.cleaning.design import stop_band
from bids_dtg.connectome import roi_series, voxel_to_roi
from bids_dtg.connectome.connectome import (
    cleaned_courses,
    profile_agreement,
    run_connectomes,
)
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.form import MARGINAL, PENALTY, Form
from bids_dtg.connectome.moments import RunVoxels, measure_run
from bids_dtg.errors import SettingsError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.smoothing import MaskedSmoothing

SHARED = Path(os.environ.get("DTG_SHARED", Path(__file__).parents[2] / "../shared"))
CASES = SHARED / "reference/deeptaskgen/cases.npz"
TR = 2.0
ROIS = 4
SHAPE = (5, 6, 7)
VOXELS = 210
GREY = 140
SETS = Form("partial", (2, 2))  # folds have as many ROIs each
FORMS = pytest.mark.parametrize(
    "form", [MARGINAL, Form("partial"), SETS], ids=lambda f: f.title
)
# Of a short run frames are held; of a long one, sums.
FRAMES = pytest.mark.parametrize("frames", [40, 300])


def example(seed, frames, *, drift=3.0, spread=1.0):
    """BOLD about 1000 with confounded drifts, whose voxels differ in sd; maps; confounds; kept."""
    rng = np.random.default_rng(seed)
    maps = np.abs(rng.standard_normal((ROIS, VOXELS))).astype(np.float32)
    confounds = rng.standard_normal((frames, 5)).cumsum(axis=0)
    confounds /= confounds.std(axis=0)
    bold = rng.standard_normal((frames, ROIS)) @ maps + rng.standard_normal(
        (frames, VOXELS)
    )
    bold += drift * confounds @ rng.standard_normal((5, VOXELS))
    bold *= spread ** rng.random(VOXELS)
    return (1000 + bold).astype(np.float32), maps, confounds, rng.random(frames) < 0.9


def build(confounds, keep=None, **options):
    keep = np.ones(len(confounds), bool) if keep is None else keep
    names = [f"c{number}" for number in range(confounds.shape[1])]
    return TemporalDesign.build(confounds, names, keep, TR, **options)


def sums(bold, maps, design, *, size=32, seconds=130.0, smoothing=None, **voxels):
    def blocks():
        block = np.empty((size, bold.shape[1]), np.float32)
        for first in range(0, len(bold), size):
            held = block[: len(bold) - first]  # the memory of the block before
            held[:] = bold[first : first + size]
            yield first, held

    run_voxels = RunVoxels(maps, GREY, np.ones(bold.shape[1], bool), **voxels)
    return measure_run(
        blocks,
        design,
        run_voxels,
        segments=design.segments(seconds),
        smoothing=smoothing,
    )


def one_pass(bold, maps, design, **options):
    return run_connectomes(sums(bold, maps, design, **options))


def cleaned(values, design, mixing=None, noise=None):
    """Clean kept frames (frames, n) plainly: noise components first, then the columns."""
    if mixing is not None:
        full = np.hstack([np.ones((len(values), 1)), mixing])
        betas = np.linalg.lstsq(full, values, rcond=None)[0][1:]
        values = values - mixing[:, noise] @ betas[noise]
    return values - design.basis @ (design.basis.T @ values)


def series_of(voxels, maps, form):
    """Return series (frames, rois) as a form solves them: of sets, of voxels of one sd."""
    if not form.joint:
        return plain_series(voxels, maps)
    live = np.flatnonzero(voxels[:, :GREY].std(axis=0) > 1e-9)
    scaled = voxels[:, live] / voxels[:, live].std(axis=0)
    rows = form.set_rows(len(maps))
    return np.hstack(
        [plain_series(scaled, maps[set_rows][:, live]) for set_rows in rows]
    )


def assert_as_arrays(result, voxels, series, design, form, *, atol):
    """Compare everything that a run gives with cleaned voxels and series."""
    cut = design.segments(130.0)
    parts = [*result.segments, result.whole]
    for part, pieces in zip(parts, [*cut.sets, cut.whole], strict=True):
        rows = cut.rows(pieces)
        expected = correlate(voxels[rows, :GREY], series[rows])
        np.testing.assert_allclose(part.marginal, expected, atol=2 * atol)
        for set_rows in form.set_rows(ROIS) if form.joint else ():
            expected = regress(voxels[rows, :GREY], series[rows, set_rows], PENALTY)
            np.testing.assert_allclose(part.r[set_rows], expected, atol=2 * atol)
    np.testing.assert_allclose(result.roi_r, np.corrcoef(series.T), atol=atol)
    np.testing.assert_allclose(result.series, series, atol=10 * atol * series.std())


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([90, 150, 400]),
    st.sampled_from([16, 32, 50]),
    st.sampled_from([(None, None), (0.01, None), (0.02, 0.1), (None, 0.12)]),
    st.booleans(),
    st.sampled_from([MARGINAL, Form("partial"), SETS]),
)
def test_one_pass_equals_cleaning_the_whole_array(
    seed, frames, size, limits, non_aggressive, form
):
    bold, maps, confounds, keep = example(
        seed, frames, spread=10.0 if form.joint else 1.0
    )
    mixing = np.random.default_rng(seed).standard_normal((frames, 6))
    mixing[:, :3] += 0.5 * mixing[:, 3:]
    bold += (mixing @ np.random.default_rng(1).standard_normal((6, VOXELS))).astype(
        np.float32
    )
    noise = np.arange(6) % 3 == 0
    band = stop_band(frames, TR, high_pass_hz=limits[0], low_pass_hz=limits[1])
    components = {"mixing": mixing, "noise": noise} if non_aggressive else {}
    design = build(confounds, keep, stop_band=band, **components)
    result = one_pass(bold, maps, design, size=size, form=form)
    plainly = {"mixing": mixing[keep], "noise": noise} if non_aggressive else {}
    voxels = cleaned(bold[keep].astype(float), design, **plainly)
    series = series_of(voxels, maps, form)
    if not form.joint:
        series = cleaned(
            plain_series(bold[keep].astype(float), maps), design, **plainly
        )
    assert_as_arrays(result, voxels, series, design, form, atol=1e-4)
    sd = np.sqrt((voxels[:, :GREY] ** 2).sum(axis=0) / (keep.sum() - design.rank))
    np.testing.assert_allclose(
        result.tsnr, bold[keep][:, :GREY].mean(axis=0) / sd, rtol=1e-3
    )


@FRAMES
def test_noise_components_that_are_absent_or_confounds_too_change_nothing(frames):
    bold, maps, confounds, keep = example(4, frames)
    mixing = np.random.default_rng(4).standard_normal((frames, 12))
    mixing[:, 0], mixing[:, 3] = 0, confounds[:, 1]
    noise = np.arange(12) % 3 == 0
    design = build(confounds, keep, mixing=mixing, noise=noise)
    voxels = cleaned(bold[keep].astype(float), design, mixing[keep], noise)
    series = cleaned(
        plain_series(bold[keep].astype(float), maps), design, mixing[keep], noise
    )
    r = one_pass(bold, maps, design).whole.r
    np.testing.assert_allclose(r, correlate(voxels[:, :GREY], series), atol=1e-4)


@FRAMES
@FORMS
def test_what_has_no_data_is_0_and_no_part_of_anything(form, frames):
    """Voxels of zeros, constant ones, those that the confounds explain; an ROI without voxels."""
    bold, maps, confounds, keep = example(4, frames)
    bold[:, :8] = 0
    bold[:, 8] = 1000
    bold[:, 9] = 1000 + 50 * confounds[:, 0]
    maps[1], maps[1, :5] = 0, 1
    design = build(confounds, keep)
    result = one_pass(bold, maps, design, form=form)
    data = np.arange(8, VOXELS)
    voxels = cleaned(bold[keep].astype(float), design)
    voxels[:, :10] = 0
    series = np.zeros((keep.sum(), ROIS))
    if form.joint:
        series[:, [0, 2, 3]] = np.hstack(
            [
                series_of(voxels, maps[set_rows], Form("partial"))
                for set_rows in ([[0], [2, 3]] if form.sets else [[0, 2, 3]])
            ]
        )
    else:
        roi_means = plain_series(
            bold[keep][:, data].astype(float), maps[np.ix_([0, 2, 3], data)]
        )
        series[:, [0, 2, 3]] = cleaned(roi_means, design)
    expected = correlate(voxels[:, :GREY], series)
    np.testing.assert_allclose(result.whole.marginal, expected, atol=1e-4)
    assert not result.whole.r[1].any()
    assert not result.whole.r[:, :10].any()
    assert result.covered.tolist() == [False] * 9 + [True] * (GREY - 9)
    share = np.abs(maps[:, 9:]).sum(axis=1) / np.abs(maps).sum(axis=1)
    np.testing.assert_allclose(result.roi_coverage, share, rtol=1e-6)


def test_maps_that_add_up_to_a_constant_are_solved_as_by_pinv():
    """A parcellation: demeaned maps are dependent."""
    rng = np.random.default_rng(5)
    maps = (rng.integers(0, 4, VOXELS) == np.arange(4)[:, None]).astype(np.float32)
    bold = (
        100 + rng.standard_normal((80, 4)) @ maps + rng.standard_normal((80, VOXELS))
    ).astype("f4")
    result = one_pass(bold, maps, build(np.zeros((80, 0))))
    expected = plain_connectome(bold, maps)[:, :GREY]
    np.testing.assert_allclose(result.whole.r, expected, atol=2e-5)


def test_a_roi_that_the_confounds_explain_is_undefined():
    bold, maps, *_ = example(7, 60, drift=0)
    result = one_pass(bold, maps, build(plain_series(bold.astype(float), maps)[:, :1]))
    assert not result.whole.r[0].any()
    assert not result.roi_r[0].any()
    assert result.whole.r[1].any()


@FORMS
def test_grey_matter_outside_the_brain_has_a_connectome_and_no_part_in_the_series(form):
    bold, maps, confounds, _ = example(8, 150)
    brain = np.arange(VOXELS) >= 12
    maps[:, ~brain] = 0
    design = build(confounds)
    sums_of_run = one_pass(bold, maps, design, form=form, brain=brain)
    alone = np.where(brain, bold, np.nan).astype(np.float32)
    without = one_pass(alone, maps, design, form=form)
    assert sums_of_run.covered.all()
    np.testing.assert_allclose(sums_of_run.series, without.series, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        sums_of_run.whole.r[:, 12:], without.whole.r[:, 12:], atol=1e-5
    )
    expected = correlate(
        clean(bold[:, :12].astype(float), confounds), sums_of_run.series
    )
    np.testing.assert_allclose(sums_of_run.whole.marginal[:, :12], expected, atol=1e-5)


@FRAMES
@FORMS
def test_voxels_may_be_summed_in_another_order_than_they_are_wanted_in(form, frames):
    bold, maps, confounds, _ = example(9, frames)
    bold[:, 7] = 1000
    order = np.random.default_rng(9).permutation(GREY)
    mixed = np.r_[order, GREY:VOXELS]
    mixed_order = one_pass(
        bold[:, mixed], maps[:, mixed], build(confounds), order=order, form=form
    )
    expected = one_pass(bold, maps, build(confounds), form=form)
    np.testing.assert_allclose(mixed_order.whole.r, expected.whole.r, atol=1e-5)
    for name in ("covered", "agreement", "tsnr"):
        values, wanted = getattr(mixed_order, name), getattr(expected, name)
        np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-4, err_msg=name)


def smoothing_of(fwhm):
    places = VoxelPlaces(Grid(SHAPE, np.diag([2.0, 2.0, 2.0, 1.0])), ORDER)
    return lambda usable: MaskedSmoothing(places, usable, fwhm).apply


ORDER = np.random.default_rng(9).permutation(VOXELS)


def smooth_plainly(bold, data, fwhm):
    """Smooth each of (frames, voxels) among the voxels with data by SciPy, in float64."""

    def smoothed(values):
        volume = np.zeros(VOXELS)
        volume[ORDER] = values
        sd = fwhm / np.sqrt(8 * np.log(2)) / 2
        return gaussian_filter(volume.reshape(SHAPE), sd, mode="constant").reshape(-1)[
            ORDER
        ]

    weight = np.where(data, smoothed(data.astype(float)), 1.0)
    return np.stack(
        [np.where(data, smoothed(frame * data) / weight, 0) for frame in bold]
    )


@pytest.mark.parametrize(("size", "frames"), [(7, 40), (64, 300)])
def test_smoothing_in_the_pass_is_smoothing_each_frame_first(size, frames):
    bold, maps, confounds, keep = example(5, frames, drift=1.0)
    bold[:, [3, 150]] = 0  # without data
    bold[~keep] = np.nan
    design = build(confounds, keep)
    result = one_pass(bold, maps, design, smoothing=smoothing_of(5.0), size=size)
    data = (np.nan_to_num(bold) != 0).any(axis=0)
    smoothed = smooth_plainly(bold[keep].astype(float), data, 5.0)
    voxels = cleaned(smoothed, design)
    series = cleaned(plain_series(smoothed[:, data], maps[:, data]), design)
    assert_as_arrays(result, voxels, series, design, MARGINAL, atol=2e-5)
    np.testing.assert_array_equal(result.covered, data[:GREY])
    sd = np.sqrt((voxels[:, :GREY] ** 2).sum(axis=0) / (keep.sum() - design.rank))
    tsnr = np.divide(
        smoothed[:, :GREY].mean(axis=0), sd, out=np.zeros(GREY), where=data[:GREY]
    )
    np.testing.assert_allclose(result.tsnr, tsnr, rtol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("frame", [2, 80])
def test_a_value_that_is_not_finite_is_not_smeared(value, frame):
    bold, maps, confounds, keep = example(6, 150)
    keep[frame] = True
    design = build(confounds, keep)
    absent = bold.copy()
    absent[:, 8] = 0
    expected = one_pass(absent, maps, design, smoothing=smoothing_of(4.0))
    bold[frame, 8] = value
    result = one_pass(bold, maps, design, smoothing=smoothing_of(4.0))
    np.testing.assert_allclose(result.whole.r, expected.whole.r, atol=1e-5)
    assert not result.covered[8]


def test_agreement_is_the_correlation_of_profiles():
    rng = np.random.default_rng(9)
    odd, even = rng.standard_normal((2, 5, 6))
    expected = [
        np.corrcoef(odd_profile, even_profile)[0, 1]
        for odd_profile, even_profile in zip(odd, even, strict=True)
    ]
    np.testing.assert_allclose(profile_agreement(odd, even), expected)
    assert not profile_agreement(odd, np.ones_like(odd)).any()


@FORMS
def test_reliability_is_the_median_over_covered_voxels_and_knows_its_limits(form):
    bold, maps, confounds, _ = example(8, 200, drift=0)
    bold[:, :40], none = 0, build(confounds[:, :0])
    result = one_pass(bold, maps, none, form=form)
    set_rows, cut = form.one_set(ROIS), none.segments(130.0)
    halves = [
        correlate(bold[rows, :GREY].astype(float), result.series[rows, set_rows]).T
        for rows in (cut.rows(cut.odd), cut.rows(cut.even))
    ]
    agreement = profile_agreement(*halves)
    np.testing.assert_allclose(result.agreement, agreement, atol=1e-5)
    assert result.reliability == pytest.approx(np.median(agreement[40:]), abs=1e-5)
    if form is MARGINAL:
        assert result.whole.marginal is result.whole.r
        assert np.isnan(one_pass(bold, maps[:2], none).reliability)
        assert np.isnan(one_pass(np.zeros_like(bold), maps, none).reliability)


def test_segments_alone_are_the_same_and_hold_no_other_part():
    bold, maps, confounds, _ = example(8, 200)
    for seconds, count in ((400.0, 1), (200.0, 2), (130.0, 3)):
        moments = sums(bold, maps, build(confounds), seconds=seconds)
        full, lean = (
            run_connectomes(moments),
            run_connectomes(moments, keep_whole=False, threads=2),
        )
        assert len(lean.segments) == count
        for segment, lean_segment in zip(full.segments, lean.segments, strict=True):
            np.testing.assert_array_equal(segment.r, lean_segment.r)
        np.testing.assert_array_equal(full.agreement, lean.agreement)
        assert lean.whole is (lean.segments[0] if count == 1 else None)


@pytest.mark.parametrize("way", ["few columns", "a band"])
def test_residual_dof_of_parts_add_up_to_frames_less_rank_and_what_was_lost_before(way):
    bold, maps, confounds, keep = example(8, 240)
    band = stop_band(240, TR, high_pass_hz=0.01, low_pass_hz=0.1)
    design = build(confounds, keep, stop_band=band if way == "a band" else None)
    for lost in (0.0, 40.0):
        result = one_pass(bold, maps, replace(design, lost_before=lost))
        assert result.whole.residual_dof == pytest.approx(
            keep.sum() - design.rank - lost
        )
        total = sum(part.residual_dof for part in result.segments)
        assert total == pytest.approx(result.whole.residual_dof)
    unknown = one_pass(bold, maps, replace(design, lost_before=np.nan))
    assert np.isnan(unknown.whole.residual_dof)


def test_an_unknown_form_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"full.*marginal.*partial"):
        Form("full")
    with pytest.raises(ValueError, match="one set of ROIs"):
        Form("marginal", (2, 3))


@pytest.mark.parametrize(("frames", "most"), [(150, 40), (150, 149), (60, 300)])
def test_courses_of_a_long_run_are_means_of_cleaned_frames(frames, most):
    """Means of frames in a row, times the root of their number: the variance of noise is kept."""
    bold, _, confounds, keep = example(6, frames)
    bold[:, 3] = 1000
    order = np.random.default_rng(1).permutation(GREY)
    no_maps = np.zeros((0, VOXELS), np.float32)
    moments = sums(
        bold, no_maps, build(confounds, keep), order=order, form=Form("partial")
    )
    courses = cleaned_courses(moments, most)
    residuals = clean(bold[keep][:, :GREY].astype(float), confounds[keep])
    if len(residuals) > most:
        edges = np.rint(np.linspace(0, len(residuals), most + 1)).astype(int)
        parts = np.split(residuals, edges[1:-1])
        residuals = np.stack([part.sum(axis=0) / len(part) ** 0.5 for part in parts])
    expected = np.empty_like(residuals.T)
    expected[order] = residuals.T
    np.testing.assert_allclose(courses, expected, atol=2e-4 * residuals.std())
    assert not courses[order[3]].any()


# --- frames in a temporary file


@pytest.mark.parametrize("band", [False, True], ids=["all frequencies", "a band"])
def test_frames_in_a_file_give_the_bytes_that_those_in_memory_give(band, monkeypatch):
    bold, maps, confounds, keep = example(2, 150, spread=10.0)
    bold[:, 3] = 1000
    stop = stop_band(150, TR, high_pass_hz=0.01, low_pass_hz=0.1) if band else None
    design = build(confounds, keep, stop_band=stop)
    monkeypatch.setattr("bids_dtg.connectome.moments._VOXELS", 64)
    # With a band, frames are products of matrices: some processors round those of few columns
    # differently from those of many.
    at_a_time = 64 if band else 32
    monkeypatch.setattr("bids_dtg.connectome.connectome.VOXELS_AT_A_TIME", at_a_time)
    measures = []
    for most in (1 << 26, 0):
        monkeypatch.setattr("bids_dtg.connectome.moments._IN_MEMORY", most)
        moments = sums(bold, maps, design, form=Form("partial"))
        result, courses = run_connectomes(moments), cleaned_courses(moments, 40)
        measures.append(
            [result.whole.r, result.agreement, result.series, result.tsnr, courses]
        )
    for memory, file in zip(*measures, strict=True):
        assert memory.any()
        np.testing.assert_array_equal(memory, file)


@pytest.mark.parametrize("name", ["posix_fallocate", "pwrite"])
def test_without_room_for_frames_it_is_said_what_to_do(name, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bids_dtg.connectome.moments._IN_MEMORY", 0)
    monkeypatch.setattr(os, name, full)
    bold, maps, confounds, keep = example(1, 50)
    with pytest.raises(
        SettingsError, match=r"No space left.*To do: set TMPDIR .* MB free"
    ):
        one_pass(bold, maps, build(confounds, keep), form=Form("partial"))


# --- runs that are joined


@FORMS
def test_joined_runs_have_the_connectome_of_their_frames_behind_each_other(form):
    joined, runs = None, []
    for seed, frames in ((1, 120), (2, 90), (3, 150)):
        bold, _, confounds, _ = example(seed, frames)
        bold[:, 7] = 3.0 if seed == 1 else bold[:, 7]  # without data in the first run
        maps = example(9, 20)[1]
        run = run_connectomes(
            sums(bold, maps, build(confounds), form=form), scatter=True
        )
        joined = run.whole if joined is None else joined.joined(run.whole)
        residuals = clean(bold.astype(float), confounds)[:, :GREY]
        residuals[:, residuals.std(axis=0) < 1e-4] = 0.0
        runs.append((run.series - run.series.mean(axis=0), residuals))
    series, places = (np.concatenate(parts) for parts in zip(*runs, strict=True))
    expected = correlate(places, series)
    for set_rows in form.set_rows(ROIS) if form.joint else ():
        expected[set_rows] = regress(places, series[:, set_rows], PENALTY)
    np.testing.assert_allclose(joined.r, expected, atol=2e-5)
    if form.joint:
        np.testing.assert_allclose(joined.roi_r, np.corrcoef(series.T), atol=1e-6)
    assert (joined.frames, joined.seconds) == (360, 720.0)
    assert joined.residual_dof == pytest.approx(360 - 18)


# --- arrays


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float64, 1e-6), (np.float32, 2e-5)]
)
def test_parity_with_the_published_code(dtype, tolerance):
    if not CASES.is_file():
        pytest.skip(
            f"{CASES} is absent (set DTG_SHARED to the folder that holds reference/)"
        )
    published = np.load(CASES)
    bold, maps = published["conn_bold"].astype(dtype), published["conn_maps"]
    for array, name in (
        (roi_series(bold, maps), "timeseries"),
        (voxel_to_roi(bold, maps).T, "r"),
    ):
        np.testing.assert_allclose(
            array, published[f"conn_{name}"], rtol=0, atol=tolerance
        )


RNG = np.random.default_rng(0)
MAPS = RNG.normal(size=(3, 30))
BOLD = RNG.normal(size=(40, 3)) @ MAPS + RNG.normal(size=(40, 30))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_frames_censored_are_frames_removed(seed):
    rng = np.random.default_rng(seed)
    keep, confounds = rng.random(40) < 0.8, rng.standard_normal((40, 3))
    r = voxel_to_roi(BOLD, MAPS, confounds, keep)
    expected = plain_connectome(BOLD[keep], MAPS, confounds[keep])
    np.testing.assert_allclose(r, expected, atol=1e-6)


def test_a_voxel_with_nan_is_left_out():
    bold, rest = BOLD.copy(), np.delete(np.arange(30), 7)
    bold[20, 7] = np.nan
    np.testing.assert_allclose(
        roi_series(bold, MAPS), plain_series(bold[:, rest], MAPS[:, rest]), atol=1e-8
    )
    assert not voxel_to_roi(bold, MAPS)[:, 7].any()


NO_NUMBERS, NO_TRUTH = "bold h", "True or False for each frame"


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"bold": BOLD + 1j}, TypeError, NO_NUMBERS),
        ({"bold": BOLD.astype(str)}, TypeError, NO_NUMBERS),
        ({"bold": None}, TypeError, NO_NUMBERS),
        ({"bold": np.ma.masked_less(BOLD, 0)}, TypeError, NO_NUMBERS),
        ({"bold": BOLD[0]}, ValueError, r"not \(30,\) and \(3, 30\)"),
        ({"bold": BOLD[:, 1:]}, ValueError, r"not \(40, 29\) and \(3, 30\)"),
        ({"bold": BOLD * 1e200}, ValueError, "beyond the range of float32"),
        (
            {"maps": MAPS * np.nan},
            ValueError,
            "the maps hold values that are not finite",
        ),
        ({"confounds": np.arange(40.0)}, ValueError, r"confounds are \(40,\)"),
        ({"confounds": np.ones((3, 40))}, ValueError, r"confounds are \(3, 40\)"),
        (
            {"confounds": np.full((40, 1), np.inf)},
            ValueError,
            "column 0 .* no finite number",
        ),
        # Indices of all frames would leave the first one out, and the word False keep all.
        ({"keep": np.arange(40)}, TypeError, NO_TRUTH),
        ({"keep": np.full(40, "False")}, TypeError, NO_TRUTH),
        ({"keep": np.ones(39, bool)}, ValueError, r"Expected: \(40,\)"),
        ({"keep": np.ones((40, 1), bool)}, ValueError, r"Expected: \(40,\)"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(change, kind, words):
    with pytest.raises(kind, match=words):
        voxel_to_roi(**{"bold": BOLD, "maps": MAPS} | change)


def test_the_layout_of_an_array_leaves_its_values_alone():
    wanted = voxel_to_roi(BOLD, MAPS)
    fixed = BOLD.copy()
    fixed.flags.writeable = False
    for bold in (np.asfortranarray(BOLD), fixed, BOLD.astype(">f8"), BOLD.tolist()):
        np.testing.assert_array_equal(voxel_to_roi(bold, MAPS), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("frames", [90, 400])
def test_an_array_is_standardised_as_by_numpy(tmp_path, frames):
    bundle = write_tiny_bundle(tmp_path / "model", connectome=Form("partial"))
    rng = np.random.default_rng(frames)
    bold = rng.standard_normal((*bundle.grid.shape, frames)) * 30 ** rng.random(
        bundle.grid.shape
    )[..., None] + np.linspace(900, 1000, frames)
    confounds, keep = rng.standard_normal((frames, 4)), rng.random(frames) < 0.9
    connectome = measure_array(
        *(bold, bundle.grid.affine, bundle),
        repetition_time_s=2.0,
        confounds=confounds,
        keep=keep,
    )
    residuals = clean(bold[bundle.voxels.mask].T[keep], confounds[keep])
    inside = bundle.brain_voxels.mask[bundle.voxels.mask]
    scaled = (residuals / residuals.std(axis=0))[:, inside]
    series = plain_series(scaled, bundle.place_roi_maps[:, inside])
    np.testing.assert_allclose(
        connectome.r, regress(residuals, series, PENALTY), atol=1e-5
    )
