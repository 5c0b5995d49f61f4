"""Parcel series: one pass, cleaning, and agreement with nilearn on the same run."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.parcels import (
    ParcelSeries,
    fill_gaps,
    fisher_z,
    mean_edges,
    parcel_series,
)

FRAMES = 80
VOXELS = 60
PARCELS = 5
PARCEL = np.sort(np.arange(VOXELS) % PARCELS)
SIZES = np.bincount(PARCEL)
EVERY = np.ones(VOXELS, bool)


def example(
    seed: int = 0, censored: bool = True
) -> tuple[np.ndarray, TemporalDesign, np.ndarray]:
    rng = np.random.default_rng(seed)
    bold = (
        1000
        + 10 * rng.standard_normal((FRAMES, VOXELS))
        + rng.random((FRAMES, 1)).cumsum(0)
    )
    confounds = rng.standard_normal((FRAMES, 3)).cumsum(axis=0)
    keep = rng.random(FRAMES) < 0.9 if censored else np.ones(FRAMES, bool)
    return bold, TemporalDesign.build(confounds, list("abc"), keep, 2.0), confounds


def measure(bold, design, *, size=16, valid=EVERY, opened=None, **how) -> ParcelSeries:
    def blocks():
        if opened is not None:
            opened.append(1)
        for first in range(0, len(bold), size):
            yield first, bold[first : first + size].copy()

    return parcel_series(blocks, design, PARCEL, SIZES, valid, **how)


def plain(bold, design, used=EVERY) -> np.ndarray:
    """Average and clean by the book: (parcels, frames kept)."""
    members = [(number == PARCEL) & used for number in range(PARCELS)]
    means = [bold[design.keep][:, member].mean(axis=1) for member in members]
    residuals = np.array(means) - np.array(means) @ design.basis @ design.basis.T
    return (residuals - residuals.mean(axis=1, keepdims=True)) / residuals.std(
        axis=1, keepdims=True
    )


@settings(max_examples=30)
@given(st.integers(1, FRAMES), st.integers(0, 5))
def test_blocks_of_any_size_give_the_series_of_the_book(size, seed):
    bold, design, _ = example(seed)
    series = measure(bold, design, size=size)
    np.testing.assert_allclose(
        series.values[:, design.keep], plain(bold, design), atol=1e-5
    )
    assert np.isnan(series.values[:, ~design.keep]).all()
    np.testing.assert_array_equal(series.coverage, np.ones(PARCELS))
    assert series.residual_dof == design.frames_kept - 4


def test_values_in_percent_are_those_of_the_means_whatever_was_subtracted():
    bold, design, _ = example()
    series = measure(bold, design)
    means = np.stack(
        [bold[design.keep][:, number == PARCEL].mean(1) for number in range(PARCELS)]
    )
    residuals = means - means @ design.basis @ design.basis.T
    residuals -= residuals.mean(axis=1, keepdims=True)
    percent = series.values[:, design.keep] * series.percent[:, None]
    np.testing.assert_allclose(
        percent, 100 * residuals / means.mean(1, keepdims=True), atol=1e-5
    )
    centred = measure(bold - bold.mean(axis=0), design)
    assert np.isnan(centred.percent).all()


def test_series_and_correlations_are_those_of_nilearn():
    from nilearn.maskers import NiftiLabelsMasker

    bold, design, confounds = example(censored=False)
    labels = nib.Nifti1Image((PARCEL + 1).reshape(5, 4, 3).astype(np.int32), np.eye(4))
    image = nib.Nifti1Image(bold.T.reshape(5, 4, 3, FRAMES), np.eye(4))
    masker = NiftiLabelsMasker(labels, standardize=None, standardize_confounds=True)
    theirs = masker.fit_transform(image, confounds=pd.DataFrame(confounds))
    theirs = (theirs - theirs.mean(axis=0)) / theirs.std(axis=0)
    series = measure(bold, design)
    np.testing.assert_allclose(series.values.T, theirs, atol=1e-5)
    np.testing.assert_allclose(series.correlation(), np.corrcoef(theirs.T), atol=1e-5)


@pytest.mark.parametrize(("frame", "passes"), [(0, 1), (50, 2)])
def test_a_voxel_that_is_not_finite_in_one_frame_is_left_out_of_all(frame, passes):
    bold, design, _ = example(censored=False)
    bold[frame, 3] = np.nan
    opened: list[int] = []
    series = measure(bold, design, opened=opened)
    used = np.arange(VOXELS) != 3
    np.testing.assert_allclose(series.values, plain(bold, design, used), atol=1e-5)
    assert series.coverage[0] == 1 - 1 / SIZES[0]
    assert len(opened) == passes


def test_voxels_of_zeros_have_no_data():
    bold, design, _ = example()
    bold[:, [3, 4]] = 0
    series = measure(bold, design)
    np.testing.assert_allclose(
        series.values[:, design.keep],
        plain(bold, design, ~np.isin(np.arange(VOXELS), [3, 4])),
        atol=1e-5,
    )
    assert series.coverage[0] == 1 - 2 / SIZES[0]


def test_parcels_below_the_coverage_and_those_without_signal_have_no_series():
    bold, design, _ = example()
    valid = EVERY.copy()
    valid[PARCEL == 1] = np.arange(SIZES[1]) < 2
    bold[:, PARCEL == 2] = 7.0
    series = measure(bold, design, valid=valid)
    assert series.present.tolist() == [True, False, False, True, True]
    assert series.coverage[1:3].tolist() == [2 / SIZES[1], 1.0]
    correlation = series.correlation()
    assert np.isnan(correlation[1]).all()
    assert np.isnan(correlation[:, 2]).all()
    assert np.isfinite(correlation[np.ix_([0, 3, 4], [0, 3, 4])]).all()


def test_frames_are_smoothed_before_they_are_averaged():
    def mixing(used):
        def mix(frame):
            frame[used] = 0.5 * frame[used] + 0.5 * frame[used].mean()

        return mix

    bold, design, _ = example()
    bold = bold.astype(np.float32)
    bold[:, 0] = 0
    used = np.arange(VOXELS) != 0
    smoothed = 0.5 * bold + 0.5 * bold[:, used].mean(axis=1, keepdims=True)
    series = measure(bold, design, smoothing=mixing)
    np.testing.assert_allclose(
        series.values[:, design.keep], plain(smoothed, design, used), atol=1e-4
    )
    assert series.coverage[0] == 1 - 1 / SIZES[0]


@pytest.mark.slow
@settings(max_examples=30)
@given(
    st.lists(st.booleans(), min_size=8, max_size=40).filter(lambda keep: sum(keep) > 4)
)
def test_gaps_between_kept_frames_are_filled_by_a_line(keep):
    kept_frames = np.flatnonzero(keep)
    rng = np.random.default_rng(0)
    means = rng.standard_normal((len(kept_frames), 2))
    design = TemporalDesign.build(None, (), np.array(keep), 2.0)
    series = ParcelSeries.of(means, design, np.ones(2))
    filled, not_filled = fill_gaps(series.values, series.keep)
    assert filled.shape == (2, kept_frames[-1] - kept_frames[0] + 1)
    assert not_filled.tolist() == list(keep)[kept_frames[0] : kept_frames[-1] + 1]
    np.testing.assert_allclose(filled.std(axis=1), 1, atol=1e-5)
    # Standardised again, a series is another scale and offset of the same one.
    lines = [
        np.interp(
            np.arange(kept_frames[0], kept_frames[-1] + 1),
            kept_frames,
            row[kept_frames],
        )
        for row in series.values
    ]
    for row, line in zip(filled, lines, strict=True):
        assert np.corrcoef(row, line)[0, 1] == pytest.approx(1)


def test_a_perfect_correlation_has_no_edge():
    z = fisher_z(np.array([[1, 1, 0.5], [1, 1, np.nan], [0.5, np.nan, np.nan]]))
    assert np.isnan(z).sum() == 7
    assert z[0, 2] == pytest.approx(np.arctanh(0.5))


def test_runs_count_by_their_weights_and_what_one_lacks_is_that_of_the_others():
    first_run, second_run = np.random.default_rng(0).normal(size=(2, 4, 4))
    expected = (3 * first_run + 2 * second_run) / 5
    np.testing.assert_allclose(
        mean_edges([first_run, second_run], [3.0, 2.0]), expected
    )
    second_run[:2] = np.nan
    mean = mean_edges([first_run, second_run], [3.0, 2.0])
    np.testing.assert_allclose(mean, np.vstack([first_run[:2], expected[2:]]))
    assert np.isnan(mean_edges([second_run, second_run], [1.0, 2.0])[:2]).all()
