"""Runs measured from Python, and their maps: as the program makes them."""

from __future__ import annotations

import dataclasses

import nibabel as nib
import numpy as np
import pytest
from cifti_people import CiftiJob, brain_models, save_series, tiny_series
from tiny_job import TinyJob, add_rest

from bids_dtg.connectome.connectome import Connectome
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.participant.measure import Reader, measure
from bids_dtg.contrasts.participant.predict import predict_maps
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.inputs.runs import find_runs
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.settings import CleaningOptions


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path, ())


def written(job: TinyJob, contrast: str, desc: str) -> np.ndarray:
    (path,) = job.out.rglob(f"*contrast-{contrast}_stat-z_desc-{desc}_statmap.nii.gz")
    return nib.load(path).get_fdata()


@pytest.mark.slow
def test_maps_of_a_run_of_one_segment_are_those_of_the_program(job):
    add_rest(job.bids)
    assert job.run() == 0
    bundle = load_bundle(job.model)
    (run,) = find_runs(job.bids, "01")
    connectome = measure(run, bundle)
    assert connectome.r.shape == (len(bundle.roi_maps), bundle.places.number)
    estimate = predict_maps(connectome, bundle, device="cpu", threads=1)
    assert (estimate.spread, estimate.halves, estimate.half_widths) == (None, None, None)
    for contrast, values in zip(estimate.contrasts, estimate.values, strict=True):
        expected = written(job, contrast.label, "synthetic")[bundle.places.mask]
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_segments_and_halves_are_those_of_the_program(job):
    add_rest(job.bids, frames=90)
    assert job.run("--half-maps", "--denoise-strategy", "scrubbing") == 0
    bundle = load_bundle(job.model)
    (run,) = find_runs(job.bids, "01")
    reader = Reader.of(bundle, CleaningOptions(denoise_strategy="scrubbing"))
    estimate = predict_maps(reader.measure(run).connectomes, bundle, device="cpu", threads=1)
    assert estimate.n_segments == 2
    found = {
        "synthetic": estimate.values,
        "segmentSpread": estimate.spread,
        "oddHalf": estimate.halves[0],
        "evenHalf": estimate.halves[1],
    }
    for desc, maps in found.items():
        for contrast, values in zip(estimate.contrasts, maps, strict=True):
            expected = written(job, contrast.label, desc)[bundle.places.mask]
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-6)


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


def test_what_cannot_be_measured_is_one_error(job):
    add_rest(job.bids, frames=20)
    (run,) = find_runs(job.bids, "01")
    bundle = load_bundle(job.model)
    with pytest.raises(RunError, match=r"has 3\.3 of 3\.3 minutes left"):
        measure(run, bundle)
    elsewhere = dataclasses.replace(run, space="MNI152NLin2009cAsym")
    with pytest.raises(RunError, match="in MNI152NLin2009cAsym, with no transforms to it"):
        measure(elsewhere, bundle, CleaningOptions(denoise_strategy="none", min_minutes=1))


@pytest.mark.slow
def test_half_widths_are_the_calibration_s():
    bundle = load_bundle("demo")
    r = np.zeros((len(bundle.roi_maps), bundle.places.number), np.float32)
    estimate = predict_maps(Connectome(r, 100, 432.0), bundle, interval_level=80, device="cpu")
    assert np.array_equal(estimate.half_widths, bundle.calibration.half_widths(80))
    with pytest.raises(SettingsError, match="--interval-level is 1"):
        predict_maps(Connectome(r, 100, 432.0), bundle, interval_level=1, device="cpu")


def cifti_run(job: CiftiJob):
    (run,) = find_runs(job.bids, "01", rule=SpaceRule(model="fsLR"))
    return run


def test_series_at_grayordinates_are_cleaned_as_nilearn_cleans_them(tmp_path):
    from nilearn.signal import clean

    job = CiftiJob(tmp_path)
    run = cifti_run(job)
    reader = Reader.of(job.bundle, CleaningOptions(denoise_strategy="simple"))
    confounds = reader.measure(run).confounds.values
    series = nib.load(run.bold).get_fdata()
    cleaned = clean(series, confounds=confounds, detrend=False, standardize=None)
    cleaned -= cleaned.mean(axis=0)
    maps = job.bundle.roi_maps - job.bundle.roi_maps.mean(axis=1, keepdims=True)
    centred = cleaned - cleaned.mean(axis=1, keepdims=True)  # as dual regression does
    rois = np.linalg.lstsq(maps.T, centred.T, rcond=None)[0]
    expected = np.corrcoef(rois, cleaned.T)[: len(rois), len(rois) :]
    found = measure(run, job.bundle)
    np.testing.assert_allclose(found.r, expected, rtol=0, atol=1e-6)
    estimate = predict_maps(found, job.bundle, device="cpu", threads=1)
    assert estimate.values.shape == (2, 160)
    assert reader.measure(run).mean_frame is None
    assert reader.courses(run, 300).shape[0] == 160


def test_series_at_other_grayordinates(tmp_path):
    job = CiftiJob(tmp_path)
    run = cifti_run(job)
    expected = measure(run, job.bundle).r
    more = brain_models(vertices=70, voxels=25)
    rows = job.bundle.places.rows_in(type(job.bundle.places).of_axis(more))
    series = np.zeros((60, len(more)), np.float32)
    series[:, rows] = tiny_series(160)
    save_series(run.bold, series, more)
    np.testing.assert_allclose(measure(run, job.bundle).r, expected, atol=1e-6)
    save_series(run.bold, tiny_series(len(brain_models(50))), brain_models(50))
    message = r"100 vertices of fsLR's mesh .* lacks 20 places of the model\. Expected: 120 vert"
    with pytest.raises(RunError, match=message):
        measure(run, job.bundle)
    save_series(run.bold, tiny_series(160), brain_models())
    with pytest.raises(SettingsError, match="--smoothing-fwhm 6 was given for series at grayordin"):
        measure(run, job.bundle, CleaningOptions(smoothing_fwhm=6.0))
