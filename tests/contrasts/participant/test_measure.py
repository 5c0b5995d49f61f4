"""Runs measured from Python give the same maps as the program."""

from __future__ import annotations

import dataclasses

import nibabel as nib
import numpy as np
import pytest
from cifti_people import ParcelCohort, write_parcel_bundle
from maps_bundle import TINY_AFFINE
from maps_job import FRAMES, TR, TinyJob, add_rest, tiny_bold
from study_folders import add_hcp_run, add_ukb_run, add_xcpd_run, write_outliers

import bids_dtg
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.participant.measure import Reader, measure
from bids_dtg.contrasts.participant.model import predict_maps
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.settings import CleaningOptions


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path, ())


def test_the_cleaning_that_suits_the_input_is_the_default(job):
    add_rest(job.bids)
    bundle = load_bundle(job.model)
    (run,) = find_runs(job.bids, "01")
    simple, none = (
        measure(run, bundle, CleaningOptions(denoise_strategy=name)).r
        for name in ("simple", "none")
    )
    assert np.array_equal(measure(run, bundle).r, simple)
    assert np.array_equal(measure(run, bundle, input_type="hcp").r, none)
    with pytest.raises(SettingsError, match="--denoise-strategy is 'sample'"):
        measure(run, bundle, CleaningOptions(denoise_strategy="sample"))


@pytest.mark.slow
@pytest.mark.parametrize("add", [add_xcpd_run, add_hcp_run, add_ukb_run])
def test_nothing_is_removed_from_what_was_cleaned_before(job, add):
    add_rest(job.bids)
    (preprocessed,) = bids_dtg.find_runs(job.settings())
    bundle, none = job.bundle, CleaningOptions(denoise_strategy="none")
    expected = bids_dtg.measure(preprocessed, bundle, none).r
    job.bids = job.folder / "cleaned"
    add(job.bids, bold=tiny_bold(), affine=TINY_AFFINE, tr=TR)
    (run,) = bids_dtg.find_runs(job.settings())
    for cleaning in (None, job.settings().cleaning):
        assert np.array_equal(bids_dtg.measure(run, bundle, cleaning).r, expected)


FLAGS = np.arange(FRAMES) % 5 == 2


def denoised(flagged: np.ndarray | None = None) -> np.ndarray:
    """Return BOLD as XCP-D leaves it, of mean 0, (i, j, k, frames), with other flagged frames."""
    bold = tiny_bold() + np.random.default_rng(1).normal(size=FRAMES).astype(np.float32)
    bold -= bold[..., ~FLAGS].mean(axis=-1, keepdims=True)
    if flagged is None:
        return bold[..., ~FLAGS]
    bold[..., FLAGS] = flagged
    return bold


@pytest.mark.parametrize("value", [500.0, 0.0, np.nan])
def test_frames_that_hold_no_data_of_their_own_are_as_if_taken_out(job, value):
    """XCP-D interpolates the frames that it flags, or takes them out."""
    reader = Reader(job.bundle, CleaningOptions(denoise_strategy="none"))
    measured = {}
    for kind, bold in {"out": denoised(), "in": denoised(np.float32(value))}.items():
        path = add_xcpd_run(job.folder / kind, bold=bold, affine=TINY_AFFINE, tr=TR)
        write_outliers(path, FLAGS.astype(int))
        (run,) = find_runs(job.folder / kind, "01", input_type="xcpd")
        measured[kind] = reader.measure(run)
    wanted, censored = measured["out"].connectomes, measured["in"].connectomes
    assert (censored.whole.frames, censored.coverage) == (np.count_nonzero(~FLAGS), 1.0)
    np.testing.assert_allclose(censored.whole.r, wanted.whole.r, rtol=0, atol=1e-6)
    assert np.isnan(censored.median_tsnr)
    assert len(measured["in"].notes) == len(measured["out"].notes) + 1
    assert f"{np.count_nonzero(FLAGS)} frames" in " ".join(measured["in"].notes)
    courses = reader.courses(measured["in"].run, 300)
    np.testing.assert_allclose(
        courses, reader.courses(measured["out"].run, 300), atol=1e-3
    )


def test_an_empty_image_is_still_one_error(job):
    add_xcpd_run(job.folder / "x", bold=0 * denoised(), affine=TINY_AFFINE, tr=TR)
    (run,) = find_runs(job.folder / "x", "01", input_type="xcpd")
    with pytest.raises(RunError, match="has signal in 0% of the model's grey matter"):
        measure(run, job.bundle)


@pytest.mark.slow
def test_degrees_of_freedom_that_xcpd_left_are_of_the_frames_that_it_used(job):
    path = add_xcpd_run(
        job.bids, bold=denoised(np.float32(9)), affine=TINY_AFFINE, tr=TR
    )
    sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
    sidecar.write_text(f'{{"RepetitionTime": {TR}, "ResidualDegreesOfFreedom": 30}}')
    write_outliers(path, FLAGS.astype(int))
    (run,) = find_runs(job.bids, "01", input_type="xcpd")
    assert measure(run, job.bundle).residual_dof == 30


def test_another_run_s_mask_and_table_change_nothing(job, tmp_path):
    add_rest(job.bids, mask=np.indices(tiny_bold().shape[:3])[0] > 2)
    add_rest(job.bids, entities="acq-mb", seed=1, parts=("bold", "json"))
    alone = TinyJob(tmp_path / "alone", ())
    add_rest(alone.bids, entities="acq-mb", seed=1, parts=("bold", "json"))
    bundle = job.bundle
    (expected,) = find_runs(alone.bids, "01")
    _, second_run = find_runs(job.bids, "01")
    with pytest.raises(
        RunError, match="sub-01_task-rest_acq-mb has no confounds table"
    ):
        measure(second_run, bundle)
    none = CleaningOptions(denoise_strategy="none")
    values = [measure(run, bundle, none).r for run in (second_run, expected)]
    np.testing.assert_allclose(*values, rtol=0, atol=1e-6)


def test_what_joins_runs_adds_nothing_to_their_mean(job):
    parts = [tiny_bold(40, seed) for seed in range(2)]
    none = CleaningOptions(denoise_strategy="none")

    def mean() -> np.ndarray:
        runs = find_runs(job.bids, "01", input_type="xcpd")
        return np.mean([measure(run, job.bundle, none).r for run in runs], axis=0)

    for direction, bold in zip(("AP", "PA"), parts, strict=True):
        add_xcpd_run(
            job.bids, entities=f"dir-{direction}", bold=bold, affine=TINY_AFFINE, tr=TR
        )
    expected = mean()
    joined = np.concatenate(parts, axis=-1)
    add_xcpd_run(job.bids, bold=joined, affine=TINY_AFFINE, tr=TR)
    with pytest.warns(UserWarning, match="is left out: it joins"):
        np.testing.assert_allclose(mean(), expected, rtol=0, atol=1e-6)


def test_what_cannot_be_measured_is_one_error(job):
    add_rest(job.bids, frames=20)
    (run,) = find_runs(job.bids, "01")
    bundle = load_bundle(job.model)
    with pytest.raises(RunError, match=r"has 3\.3 of 3\.3 minutes left"):
        measure(run, bundle)
    elsewhere = dataclasses.replace(run, space="MNI152NLin2009cAsym")
    with pytest.raises(
        RunError, match="in MNI152NLin2009cAsym, with no transforms to it"
    ):
        measure(
            elsewhere, bundle, CleaningOptions(denoise_strategy="none", min_minutes=1)
        )


def parcel_run(job: ParcelCohort):
    rule = SpaceRule(model="fsLR parcels")
    (run,) = find_runs(job.bids, "01", rule=rule, input_type="xcpd")
    return run


@pytest.mark.slow
def test_series_of_parcels_are_cleaned_and_correlated(tmp_path):
    job = ParcelCohort(tmp_path, ())
    job.add("01", 0)
    bundle, run = write_parcel_bundle(tmp_path / "model"), parcel_run(job)
    reader = Reader(bundle, CleaningOptions(denoise_strategy="none"))
    series = nib.load(run.bold).get_fdata()
    cleaned = series - series.mean(axis=0)
    maps = bundle.roi_maps - bundle.roi_maps.mean(axis=1, keepdims=True)
    centred = cleaned - cleaned.mean(axis=1, keepdims=True)  # as dual regression does
    rois = np.linalg.lstsq(maps.T, centred.T, rcond=None)[0]
    expected = np.corrcoef(rois, cleaned.T)[: len(rois), len(rois) :]
    connectome = measure(run, bundle)
    np.testing.assert_allclose(connectome.r, expected, rtol=0, atol=1e-6)
    estimate = predict_maps(connectome, bundle, device="cpu", threads=1)
    assert estimate.values.shape == (2, 12)
    assert reader.measure(run).mean_frame is None
    assert reader.courses(run, 300).shape[0] == 12
    with pytest.raises(SettingsError, match="--smoothing-fwhm was given for parcels"):
        measure(run, bundle, CleaningOptions(smoothing_fwhm=6.0))
