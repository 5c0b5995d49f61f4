from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_route import correlate, plain_series, regress
from scipy.ndimage import gaussian_filter

from bids_dtg.cleaning.design import stop_band
from bids_dtg.connectome.connectome import RunConnectomes, run_connectomes
from bids_dtg.connectome.design import Removal, Retention, TemporalDesign, choose_cleaning
from bids_dtg.connectome.form import MARGINAL, PENALTY, Form
from bids_dtg.connectome.moments import RunVoxels, measure_run
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.smoothing import MaskedSmoothing

KEEP = np.ones(40, bool)


def noise(columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((40, columns))


def build(table: np.ndarray, keep: np.ndarray = KEEP) -> TemporalDesign:
    names = [f"c{index}" for index in range(table.shape[1])]
    return TemporalDesign.build(table, names, keep, 2.0)


def projector(columns: np.ndarray) -> np.ndarray:
    return columns @ np.linalg.pinv(columns)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 8), st.floats(1e-8, 1e8))
def test_the_basis_spans_intercept_and_confounds_at_any_scale(seed, columns, scale):
    rng = np.random.default_rng(seed)
    table = rng.standard_normal((40, columns)) * scale ** rng.uniform(-1, 1, columns)
    keep = rng.random(40) < 0.8
    design = build(table, keep)
    basis = design.basis
    np.testing.assert_allclose(basis.T @ basis, np.eye(columns + 1), atol=1e-12)
    kept = table[keep] / np.abs(table[keep]).max(axis=0)
    wanted = projector(np.hstack([np.ones((keep.sum(), 1)), kept]))
    np.testing.assert_allclose(basis @ basis.T, wanted, atol=1e-9)


def projector_of(table: np.ndarray) -> np.ndarray:
    return projector(np.hstack([np.ones((len(table), 1)), table]))


def test_missing_values_are_filled_and_named():
    table = noise(2)
    table[0, 1] = np.nan
    design = build(table)
    assert design.columns["filled"] == ("c1",)
    table[0, 1] = np.nanmean(table[:, 1])
    np.testing.assert_allclose(design.basis, build(table).basis, atol=1e-12)
    assert "c1" in design.notes[0]


@pytest.mark.parametrize("value", [0.0, 1e6, np.nan])
def test_constant_and_empty_columns_are_left_out(value):
    table = noise(3)
    table[:, 1] = value
    design = build(table)
    assert design.columns["constant"] == ("c1",)
    assert design.rank == 3
    np.testing.assert_allclose(design.basis, build(table[:, [0, 2]]).basis, atol=1e-12)


def test_the_later_of_dependent_columns_is_left_out():
    table = noise(3)
    table = np.hstack([table, table[:, :1] * 1e5 + 3, table[:, 1:2] - table[:, 2:3]])
    design = build(table)
    assert design.columns["dependent"] == ("c3", "c4")
    assert design.decisions["rank"] == 4


def test_the_decisions_count_frames():
    keep = KEEP.copy()
    keep[:4] = False
    decisions = build(noise(1), keep).decisions
    assert decisions["frames"] == 40
    assert decisions["frames_kept"] == 36
    assert decisions["frames_censored"] == 4
    assert decisions["seconds_kept"] == 72


def test_too_few_frames_are_counted():
    with pytest.raises(ValueError, match="40 frames are kept, too few for 39 confound columns"):
        build(noise(60))
    with pytest.raises(ValueError, match=r"^0 frames are kept, too few for an intercept: at least"):
        TemporalDesign.build(None, [], np.zeros_like(KEEP), 2.0)


@pytest.mark.parametrize(
    ("seconds", "count"), [(80, 1), (432, 1), (640, 1), (660, 2), (864, 2), (3456, 8)]
)
def test_segments_are_the_nearest_whole_number(seconds, count):
    frames = 400
    design = TemporalDesign.build(None, [], np.ones(frames, bool), seconds / frames)
    segments = design.segments()
    assert len(segments.sets) == count
    assert segments.edges[0] == 0
    assert segments.edges[-1] == frames
    lengths = [np.diff(segments.edges)[list(pieces)].sum() for pieces in segments.sets]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("count", "sets"),
    [
        (1, ((0, 1),)),
        (2, ((0,), (1,))),
        (3, ((0,), (1, 2), (3,))),
        (4, ((0,), (1,), (2,), (3,))),
    ],
)
def test_pieces_make_segments_and_two_equal_halves(count, sets):
    segments = TemporalDesign.build(None, [], np.ones(240, bool), 2.0).segments(480.0 / count)
    assert segments.sets == sets
    frames = np.diff(segments.edges)
    assert [frames[list(pieces)].sum() for pieces in sets] == [240 // count] * count
    assert frames[list(segments.odd)].sum() == frames[list(segments.even)].sum() == 120
    assert sorted(segments.odd + segments.even) == list(segments.whole)


# --- both ways of cleaning within the pass, against cleaning the whole array


FRAMES, ROIS, TR = 150, 4, 2.0
SHAPE = (5, 6, 7)
VOXELS, GREY = 210, 140
WAYS = [Removal, Retention]


def example(seed: int, drift: float = 3.0):
    """BOLD with drifts that confounds explain, maps, confounds, mixing matrix, frames kept."""
    rng = np.random.default_rng(seed)
    maps = np.abs(rng.standard_normal((ROIS, VOXELS))).astype(np.float32)
    confounds = rng.standard_normal((FRAMES, 5)).cumsum(axis=0)
    confounds /= confounds.std(axis=0)
    mixing = rng.standard_normal((FRAMES, 12))
    mixing[:, :4] += 0.5 * mixing[:, 4:8]
    bold = rng.standard_normal((FRAMES, ROIS)) @ maps + rng.standard_normal((FRAMES, VOXELS))
    bold += mixing @ rng.standard_normal((12, VOXELS))
    bold += drift * confounds @ rng.standard_normal((5, VOXELS))
    return (1000 + bold).astype(np.float32), maps, confounds, mixing, rng.random(FRAMES) < 0.9


def one_pass(bold, maps, design, *, way=None, smoothing=None, size=32, form=MARGINAL):
    def blocks():
        for first in range(0, len(bold), size):
            yield first, bold[first : first + size].copy()

    moments = measure_run(
        blocks,
        design,
        RunVoxels(maps, GREY, np.ones(VOXELS, bool)),
        segments=design.segments(130.0),
        smoothing=smoothing,
        cleaning=None if way is None else way.of(design),
    )
    assert way is None or isinstance(moments.cleaning, way)
    return run_connectomes(moments, form=form)


def cleaned(values: np.ndarray, design: TemporalDesign, mixing=None, noise=None) -> np.ndarray:
    """Clean kept frames (frames, n) plainly: noise components first, then the columns."""
    if mixing is not None:
        full = np.hstack([np.ones((len(values), 1)), mixing])
        betas = np.linalg.lstsq(full, values, rcond=None)[0][1:]
        values = values - mixing[:, noise] @ betas[noise]
    return values - design.basis @ (design.basis.T @ values)


def parts_of(result: RunConnectomes, design: TemporalDesign):
    """Yield each connectome of a run with the rows of the kept frames that it rests on."""
    cut = design.segments(130.0)
    parts = [*result.segments, result.odd, result.even, result.whole]
    for part, pieces in zip(parts, [*cut.sets, cut.odd, cut.even, cut.whole], strict=True):
        yield part, cut.rows(pieces)


def assert_all_equal(result: RunConnectomes, voxels, series, design, *, atol: float) -> None:
    """Compare everything that a run gives with cleaned voxels and series."""
    for part, rows in parts_of(result, design):
        expected = correlate(voxels[rows, :GREY], series[rows])
        np.testing.assert_allclose(part.marginal, expected, atol=2 * atol)
        if part.form.joint:
            expected = regress(voxels[rows, :GREY], series[rows], PENALTY)
            np.testing.assert_allclose(part.r, expected, atol=2 * atol)
    np.testing.assert_allclose(result.roi_r, np.corrcoef(series.T), atol=atol)
    np.testing.assert_allclose(result.series, series, atol=10 * atol * series.std())


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from(WAYS),
    st.sampled_from([(None, None), (0.01, None), (0.02, 0.1), (None, 0.12)]),
    st.booleans(),
    st.sampled_from([MARGINAL, Form("partial")]),
)
def test_either_way_equals_cleaning_the_whole_array(seed, way, limits, non_aggressive, form):
    bold, maps, confounds, mixing, keep = example(seed)
    band = stop_band(FRAMES, TR, high_pass_hz=limits[0], low_pass_hz=limits[1])
    noise = np.arange(12) % 3 == 0
    components = {"mixing": mixing, "noise": noise} if non_aggressive else {}
    design = TemporalDesign.build(confounds, list("abcde"), keep, TR, stop_band=band, **components)
    result = one_pass(bold, maps, design, way=way, form=form)
    plainly = {"mixing": mixing[keep], "noise": noise} if non_aggressive else {}
    voxels = cleaned(bold[keep].astype(float), design, **plainly)
    series = cleaned(plain_series(bold[keep].astype(float), maps), design, **plainly)
    assert_all_equal(result, voxels, series, design, atol=1e-4)
    sd = np.sqrt((voxels[:, :GREY] ** 2).sum(axis=0) / (keep.sum() - design.rank))
    np.testing.assert_allclose(result.tsnr, bold[keep][:, :GREY].mean(axis=0) / sd, rtol=1e-3)


def test_the_way_with_fewer_sums_is_taken():
    _, _, confounds, _, _ = example(0)
    keep = np.ones(FRAMES, bool)
    wide = TemporalDesign.build(confounds, list("abcde"), keep, TR)
    band = stop_band(FRAMES, TR, high_pass_hz=0.02, low_pass_hz=0.05)
    narrow = TemporalDesign.build(confounds, list("abcde"), keep, TR, stop_band=band)
    assert isinstance(choose_cleaning(wide, ROIS, 3), Removal)
    assert isinstance(choose_cleaning(narrow, ROIS, 3), Retention)
    assert Retention.of(narrow).columns.shape[1] == 1 + 18 - 5
    assert isinstance(choose_cleaning(wide, 200, 3), Retention)  # a short run, many ROIs


def test_noise_components_that_are_absent_or_confounds_too_change_nothing():
    bold, maps, confounds, mixing, keep = example(4)
    mixing[:, 0], mixing[:, 3] = 0, confounds[:, 1]
    noise = np.arange(12) % 3 == 0
    design = TemporalDesign.build(confounds, list("abcde"), keep, TR, mixing=mixing, noise=noise)
    voxels = cleaned(bold[keep].astype(float), design, mixing[keep], noise)
    series = cleaned(plain_series(bold[keep].astype(float), maps), design, mixing[keep], noise)
    for way in WAYS:
        result = one_pass(bold, maps, design, way=way)
        np.testing.assert_allclose(result.whole.r, correlate(voxels[:, :GREY], series), atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_a_roi_without_signal_has_no_part_in_the_others(way):
    bold, maps, confounds, _, keep = example(7)
    maps[1], maps[1, :5], bold[:, :5] = 0, 1, 0
    design = TemporalDesign.build(confounds, list("abcde"), keep, TR)
    result = one_pass(bold, maps, design, way=way, form=Form("partial"))
    voxels, series = cleaned(bold[keep].astype(float), design), np.zeros((keep.sum(), ROIS))
    present = [0, 2, 3]
    own = plain_series(bold[keep][:, 5:].astype(float), maps[np.ix_(present, range(5, VOXELS))])
    series[:, present] = cleaned(own, design)
    for part, rows in parts_of(result, design):
        expected = regress(voxels[rows, :GREY], series[rows], PENALTY)
        np.testing.assert_allclose(part.r, expected, atol=1e-4)
    assert not result.whole.r[1].any()


def test_an_unknown_form_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"full.*marginal.*partial"):
        Form("full")
    with pytest.raises(ValueError, match="one set of ROIs"):
        Form("marginal", (2, 3))


ORDER = np.random.default_rng(9).permutation(VOXELS)


def smoothing_of(fwhm: float):
    grid = Grid(SHAPE, np.diag([2.0, 2.0, 2.0, 1.0]))
    return lambda usable: MaskedSmoothing(VoxelPlaces(grid, ORDER), usable, fwhm)


def smooth_plainly(bold: np.ndarray, data: np.ndarray, fwhm: float) -> np.ndarray:
    """Smooth each of (frames, voxels) among the voxels with data by SciPy, in float64."""

    def smoothed(values: np.ndarray) -> np.ndarray:
        volume = np.zeros(VOXELS)
        volume[ORDER] = values
        sd = fwhm / np.sqrt(8 * np.log(2)) / 2
        return gaussian_filter(volume.reshape(SHAPE), sd, mode="constant").reshape(-1)[ORDER]

    weight = np.where(data, smoothed(data.astype(float)), 1.0)
    return np.stack([np.where(data, smoothed(frame * data) / weight, 0) for frame in bold])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [7, 64])
def test_smoothing_in_the_pass_is_smoothing_each_frame_first(way, size):
    bold, maps, confounds, _, keep = example(5, drift=1.0)
    bold[:, [3, 150]] = 0  # without data
    bold[~keep] = np.nan
    design = TemporalDesign.build(confounds, list("abcde"), keep, TR)
    result = one_pass(bold, maps, design, way=way, smoothing=smoothing_of(5.0), size=size)
    data = (np.nan_to_num(bold) != 0).any(axis=0)
    smoothed = smooth_plainly(bold[keep].astype(float), data, 5.0)
    voxels = cleaned(smoothed, design)
    series = cleaned(plain_series(smoothed[:, data], maps[:, data]), design)
    assert_all_equal(result, voxels, series, design, atol=2e-5)
    np.testing.assert_array_equal(result.covered, data[:GREY])
    sd = np.sqrt((voxels[:, :GREY] ** 2).sum(axis=0) / (keep.sum() - design.rank))
    tsnr = np.divide(smoothed[:, :GREY].mean(axis=0), sd, out=np.zeros(GREY), where=data[:GREY])
    np.testing.assert_allclose(result.tsnr, tsnr, rtol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("frame", [2, 80])
def test_a_value_that_is_not_finite_is_not_smeared(value, frame):
    bold, maps, confounds, _, keep = example(6)
    keep[frame] = True
    design = TemporalDesign.build(confounds, list("abcde"), keep, TR)
    absent = bold.copy()
    absent[:, 8] = 0
    expected = one_pass(absent, maps, design, smoothing=smoothing_of(4.0))
    bold[frame, 8] = value
    result = one_pass(bold, maps, design, smoothing=smoothing_of(4.0))
    np.testing.assert_allclose(result.whole.r, expected.whole.r, atol=1e-5)
    assert not result.covered[8]
