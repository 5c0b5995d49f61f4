"""Voxels that leave the field of view give the same results as the same data with NaN."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from fmriprep_dataset import describe_dataset
from maps_bundle import TINY_AFFINE, TINY_SHAPE, tiny_masks, write_tiny_bundle
from maps_job import TR, add_rest, tiny_bold
from scipy.signal import detrend

from bids_dtg import measure_array
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.connectome.passes import MOST_COLUMNS, Carpet
from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.inputs.runs import find_runs
from bids_dtg.settings import CleaningOptions

SHAPE, FRAMES = (16, 16, 16), 60
LATE = 40  # frames from which voxels are out of view


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny"), shape=SHAPE)


def bold_of(bundle, mean: float = 1000.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    waves, mixing = rng.normal(size=(6, FRAMES)), rng.normal(size=(*SHAPE, 6))
    return mean + 30 * mixing @ waves + 20 * rng.normal(size=(*SHAPE, FRAMES))


def leaving(bundle, share: float) -> np.ndarray:
    """Return as many voxels of the brain, (i, j, k), some of them grey matter."""
    chosen = np.zeros(SHAPE, bool)
    brain = np.flatnonzero(bundle.brain_voxels.mask)
    chosen.ravel()[brain[:: round(1 / share)]] = True
    assert (chosen & bundle.voxels.mask).any()
    return chosen


def r_of(bundle, bold: np.ndarray, **options) -> np.ndarray:
    connectome = measure_array(
        bold, bundle.grid.affine, bundle, repetition_time_s=2.0, **options
    )
    return connectome.r


@pytest.mark.parametrize("first", [0, LATE])
def test_a_hundredth_of_the_voxels_is_left_out_as_where_they_are_nan(bundle, first):
    """The first frames, or late ones, are 0."""
    bold, chosen = bold_of(bundle), leaving(bundle, 0.01)
    frames = slice(first, first + 10)
    bold[chosen, frames] = 0
    r = r_of(bundle, bold)
    bold[chosen] = np.nan
    np.testing.assert_allclose(r, r_of(bundle, bold), rtol=0, atol=1e-6)
    assert not r[:, chosen[bundle.voxels.mask]].any()


def test_of_fewer_voxels_nothing_is_shown_and_the_others_stay_as_they_are(bundle):
    bold, chosen = bold_of(bundle), leaving(bundle, 0.0007)
    assert 0 < chosen.sum() < 0.001 * bundle.brain_voxels.mask.sum()
    bold[chosen, LATE:] = 0
    r, grey = r_of(bundle, bold), chosen[bundle.voxels.mask]
    assert not r[:, grey].any()
    bold[chosen, LATE:] = 0.01  # data, if odd ones, in the same ROI series
    np.testing.assert_allclose(
        r[:, ~grey], r_of(bundle, bold)[:, ~grey], rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("why", ["a low signal", "frames left out", "no mean"])
def test_what_is_0_for_another_reason_is_data(bundle, why):
    chosen, keep = leaving(bundle, 0.01), np.ones(FRAMES, bool)
    bold = bold_of(bundle, 0 if why == "no mean" else 1000)
    if why == "a low signal":
        bold[chosen] %= 40
    if why == "frames left out":
        keep[LATE:] = False
    bold[chosen, LATE:] = 0
    r = r_of(bundle, bold, keep=keep)
    bold[bold == 0] = 1e-9
    np.testing.assert_allclose(r, r_of(bundle, bold, keep=keep), rtol=0, atol=1e-6)
    assert r.any(axis=0).all()


def measured(
    root, bold: np.ndarray, form: Form = MARGINAL, affine=TINY_AFFINE, **options
):
    """Measure a run of a person of a file of its own."""
    add_rest(describe_dataset(root), bold=bold.astype(np.float32), affine=affine, tr=TR)
    (run,) = find_runs(root, "01")
    cleaning = CleaningOptions(
        **({"denoise_strategy": "simple", "min_minutes": 1.0} | options)
    )
    bundle = write_tiny_bundle(root / "tiny")
    card = replace(bundle.card, part=replace(bundle.card.part, connectome=form))
    return Reader(replace(bundle, card=card), cleaning).measure(run)


def rest_with(frames: int, share: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Return (i, j, k, frames) of rest, and the voxels that leave the field of view in it."""
    chosen = np.zeros(TINY_SHAPE, bool)
    brain = np.flatnonzero(tiny_masks()[0])
    chosen.ravel()[brain[7 :: round(1 / share)]] = True
    return tiny_bold(frames).astype(np.float32), chosen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frames", "form", "options"),
    [
        (60, MARGINAL, {"smoothing_fwhm": 5.0}),
        (90, Form("partial"), {"low_pass": 0.04}),
        (90, Form("partial"), {}),
    ],
)
def test_runs_of_files_are_read_as_where_voxels_are_nan(
    tmp_path, frames, form, options
):
    bold, chosen = rest_with(frames)
    bold[chosen, -9:] = 0
    connectomes = measured(tmp_path / "zero", bold, form, **options).connectomes
    bold[chosen] = np.nan
    wanted = measured(tmp_path / "nan", bold, form, **options).connectomes
    for segment, wanted_segment in zip(
        connectomes.segments, wanted.segments, strict=True
    ):
        np.testing.assert_allclose(segment.r, wanted_segment.r, rtol=0, atol=1e-6)
    for name in ("covered", "roi_coverage", "tsnr", "agreement", "series"):
        np.testing.assert_allclose(
            getattr(connectomes, name), getattr(wanted, name), atol=1e-5
        )
    assert 0.95 < connectomes.coverage < 1


@pytest.mark.slow
def test_between_the_voxels_of_a_file_neighbours_count(tmp_path):
    """Interpolated values are not 0 there; by splines they depend on all voxels, a little."""
    bold, chosen = rest_with(60, 0.005)
    affine = TINY_AFFINE + np.array([[0, 0, 0, 0.7]] * 3 + [[0] * 4])
    intact = measured(tmp_path / "intact", bold, affine=affine).connectomes
    lost = bold.copy()
    lost[chosen, -9:] = 0
    linear, cubic = (
        measured(tmp_path / name, lost, affine=affine, interpolation=name).connectomes
        for name in ("linear", "cubic")
    )
    lost[chosen] = np.nan
    wanted = measured(
        tmp_path / "nan", lost, affine=affine, interpolation="linear"
    ).connectomes
    np.testing.assert_allclose(linear.whole.r, wanted.whole.r, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(cubic.covered, wanted.covered)
    assert 0.8 < cubic.coverage < 1
    cubic_r, intact_r = (
        run.whole.r[:, cubic.covered].ravel() for run in (cubic, intact)
    )
    assert np.corrcoef(cubic_r, intact_r)[0, 1] > 0.9


@pytest.mark.slow
def test_an_interpolated_value_of_0_is_data(tmp_path):
    """Halfway between voxels of a file that are not 0, in one frame."""
    bold, _ = rest_with(60)
    half = np.zeros((4, 4))
    half[0, 3] = TINY_AFFINE[0, 0] / 2
    signs = np.where(np.arange(TINY_SHAPE[0]) % 2, 300.0, -300.0)[:, None, None]
    bold[:, :, ::4, 20] = signs
    run = measured(tmp_path, bold, affine=TINY_AFFINE + half, interpolation="linear")
    assert run.interpolation == "linear"
    bold[:, :, ::4, 20] = signs + 0.001
    wanted = measured(
        tmp_path / "near", bold, affine=TINY_AFFINE + half, interpolation="linear"
    ).connectomes
    assert run.connectomes.coverage == wanted.coverage
    np.testing.assert_allclose(
        run.connectomes.whole.r, wanted.whole.r, rtol=0, atol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("slope", [0.5, -0.5])
def test_stored_whole_numbers_are_what_they_stand_for(tmp_path, slope):
    """A stored value of -inter / slope is 0, and no other."""
    bold, chosen = rest_with(60, 0.005)
    affine = TINY_AFFINE + np.array([[0, 0, 0, 0.7]] * 3 + [[0] * 4])
    bold = np.round(bold / slope) * slope
    bold[chosen, -9:] = 0
    wanted = measured(tmp_path / "plain", bold, affine=affine).connectomes
    image = nib.Nifti1Image(np.round((bold - 100) / slope).astype(np.int16), affine)
    image.header.set_slope_inter(slope, 100)
    (path,) = (tmp_path / "plain").rglob("*_bold.nii.gz")
    zooms = nib.load(path).header.get_zooms()
    image.header.set_zooms(zooms)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    (run,) = find_runs(tmp_path / "plain", "01")
    cleaning = CleaningOptions(denoise_strategy="simple", min_minutes=1.0)
    connectomes = (
        Reader(write_tiny_bundle(tmp_path / "tiny"), cleaning).measure(run).connectomes
    )
    np.testing.assert_array_equal(connectomes.covered, wanted.covered)
    assert 0.8 < connectomes.coverage < 1


# --- the carpet


def passed(carpet, values, *, size=7):
    """Let a run pass by in blocks whose memory changes afterwards."""
    for _, block in carpet.watching(
        (first, values[first : first + size].copy())
        for first in range(0, len(values), size)
    ):
        block[:] = -1
    return carpet


def design_of(keep, confounds=None):
    return TemporalDesign.build(confounds, ("drift",), keep, tr_seconds=2.0)


@pytest.mark.parametrize("dropped", [0, 5])
def test_rows_of_a_carpet_are_in_standard_deviations_of_kept_frames(dropped):
    values = np.random.default_rng(0).normal(50, 3, (60, 9)).cumsum(axis=0)
    carpet, keep = Carpet(np.array([1, 4]), 60), np.arange(60) >= dropped
    values[:dropped] += 1e4
    detrended = detrend(values[dropped:, [1, 4]], axis=0)
    detrended /= detrended.std(axis=0)
    confound = np.random.default_rng(1).normal(size=(60, 1))
    columns = np.hstack([np.ones((60, 1)), confound])[dropped:]
    series = values[dropped:, [1, 4]]
    cleaned = series - columns @ np.linalg.lstsq(columns, series, rcond=None)[0]
    cleaned /= cleaned.std(axis=0)
    design = design_of(keep, confound)
    for _ in range(2):  # a second pass begins anew
        rows = passed(carpet, values).standardised(design)
        np.testing.assert_allclose(rows[:, dropped:], detrended.T, atol=1e-2)
        assert (rows[:, :dropped] > 100).all()
        rows = carpet.standardised(design, cleaned=True)
        np.testing.assert_allclose(rows[:, dropped:], cleaned.T, atol=1e-2)
        assert np.isnan(rows[:, :dropped]).all()


@pytest.mark.parametrize("cleaned", [False, True])
def test_a_long_run_is_averaged_and_a_voxel_without_signal_is_none(cleaned):
    frames = 2 * MOST_COLUMNS + 3
    values = np.random.default_rng(0).normal(size=(frames, 3)).astype(np.float32)
    values[:, 1], values[9, 2] = 7.5, np.nan
    carpet = passed(Carpet(np.arange(3), frames), values)
    rows = carpet.standardised(design_of(np.ones(frames, bool)), cleaned=cleaned)
    assert carpet.frames_per_column == 3  # frames of a column
    assert rows.shape == (3, -(-frames // 3))
    assert np.isfinite(rows[0]).all()
    assert np.isnan(rows[1:]).all()
    assert np.corrcoef(rows[0], values[:, 0].reshape(-1, 3).mean(axis=1))[0, 1] > 0.99
