"""Intervals, halves and the judgement of a run, through the whole job."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
from tiny_job import TinyJob, read_table

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.writer import extend_bundle
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.stats.conformal import Calibration, PooledError
from bids_dtg.stats.deviation import PeopleSums
from bids_dtg.stats.true_maps import TrueError
from bids_dtg.stats.width_factors import BINS, WidthFactors, deviation_bins


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> TinyJob:
    """A job with a calibrated model; its maps of halves are asked for."""
    job = TinyJob(tmp_path_factory.mktemp("uncertainty"))
    contrasts, lattice = len(job.bundle.contrasts), job.bundle.places.lattice(4)
    values = np.linspace(0.5, 1.5, contrasts * lattice.blocks, dtype=np.float32)
    usual = PooledError(values.reshape(contrasts, *lattice.shape), lattice)
    quantiles = np.tile(np.array([0.7, 1.6], np.float32), (contrasts, 1))
    folder = job.folder / "calibrated"
    extend_bundle(job.bundle, folder, calibration=Calibration(20, 4, (50, 90), quantiles, usual))
    job.plain, job.model = job.model, folder
    assert job.run("--half-maps") == 0
    return job


def maps(job: TinyJob, desc: str, extension: str = ".nii.gz") -> list:
    return sorted(job.out.glob(f"sub-01/func/*_desc-{desc}_statmap{extension}"))


def half_widths(out, level: int = 90, extension: str = ".nii.gz") -> list:
    """Files of half-width maps: of the dataset, not of a participant."""
    return sorted(out.glob(f"tpl-*/tpl-*_desc-halfwidth{level}m*_statmap{extension}"))


def test_half_widths_are_the_model_s_to_the_rounding_of_eight_bits(job):
    bundle = load_bundle(job.model)
    wanted = bundle.calibration.half_widths(90)
    paths = half_widths(job.out)
    assert len(paths) == len(bundle.contrasts)
    for contrast, widths in zip(bundle.contrasts, wanted, strict=True):
        (path,) = [one for one in paths if f"_contrast-{contrast.label}_" in one.name]
        volume, affine = read_volume(path)
        np.testing.assert_allclose(volume[bundle.places.mask], widths, atol=widths.max() / 500)
        assert not volume[~bundle.places.mask].any()
        np.testing.assert_allclose(affine, bundle.grid.affine)
        sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
        assert sidecar["IntervalLevel"] == 0.9
        assert "newly measured map" in sidecar["IntervalCovers"]
        assert sidecar["CalibrationParticipants"] == 20


@pytest.mark.slow
def test_where_there_is_no_interval_the_map_says_so(job, tmp_path):
    """Gaps are NaN, never a width of 0, and sidecars and page name their share."""
    bundle = load_bundle(job.model)
    measured = np.full(bundle.calibration.pooled_error.values.shape, 20, np.int32)
    measured[0, 0], measured[1] = 9, 0
    few = dataclasses.replace(bundle.calibration, measured=measured)
    other = TinyJob(tmp_path)
    other.reports = True
    other.model = tmp_path / "few"
    made = extend_bundle(bundle, other.model, calibration=few)
    assert other.run() == 0
    wanted = made.calibration.half_widths(90)
    for contrast, widths in zip(made.contrasts, wanted, strict=True):
        (path,) = [p for p in half_widths(other.out) if f"_contrast-{contrast.label}_" in p.name]
        volume = read_volume(path)[0][made.places.mask]
        np.testing.assert_array_equal(np.isnan(volume), np.isnan(widths))
        np.testing.assert_allclose(volume, widths, atol=np.nanmax(wanted) / 500)
        sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
        share = np.isnan(widths).mean()
        assert sidecar.get("ShareWithoutInterval", 0) == pytest.approx(share, abs=1e-4)
        assert ("MissingValues" in sidecar) == (share > 0)
    page = (other.out / "sub-01.html").read_text()
    share = re.search(r"([0-9.]+)% of the voxels of all contrasts have no interval", page)[1]
    assert float(share) == pytest.approx(100 * np.isnan(wanted).mean(), abs=0.06)


def test_intervals_of_another_number_of_segments_are_told(job):
    # Maps of one segment here; those of the calibration are means of four.
    sidecar = read_inherited(maps(job, "synthetic")[0])
    note = "means of 1 segment of rest; the intervals come from means of 4"
    assert note in sidecar["IntervalNote"]


@pytest.mark.slow
def test_sidecars_say_whether_there_are_intervals(job, tmp_path):
    sidecar = read_inherited(maps(job, "synthetic")[0])
    assert sidecar["Calibrated"] is True
    other = TinyJob(tmp_path)
    assert other.run() == 0
    sidecar = read_inherited(maps(other, "synthetic")[0])
    assert sidecar["Calibrated"] is False
    assert not half_widths(other.out)
    assert not maps(other, "oddHalf")


@pytest.mark.slow
def test_another_level_is_taken_or_refused(job, tmp_path, capsys):
    out = tmp_path / "out"
    assert job.run("--interval-level", 50, out=out) == 0
    assert len(half_widths(out, 50)) == 3
    assert not half_widths(out)
    capsys.readouterr()
    assert job.run("--interval-level", 99, out=tmp_path / "no") == 2
    assert re.search(r"--interval-level is 99. Expected: .*50, 90", capsys.readouterr().err)


def test_halves_give_maps_and_their_reliability(job):
    (table,) = job.out.glob("sub-01/func/*_desc-mapReliability_qc.tsv")
    rows = {row["contrast"]: row for row in read_table(table)}
    bundle = load_bundle(job.model)
    assert list(rows) == [contrast.label for contrast in bundle.contrasts]
    for odd, even in zip(maps(job, "oddHalf"), maps(job, "evenHalf"), strict=True):
        label = re.search(r"_contrast-([a-zA-Z0-9]+)_", odd.name)[1]
        one, two = (read_volume(path)[0][bundle.places.mask] for path in (odd, even))
        assert float(rows[label]["r"]) == pytest.approx(np.corrcoef(one, two)[0, 1], abs=1e-4)
        assert -1 <= float(rows[label]["icc"]) <= float(rows[label]["r"]) + 1e-3


def test_a_run_of_another_kind_is_told_in_table_sidecar_and_log(job):
    (table,) = job.out.glob("sub-01/func/sub-01_task-rest_qc.tsv")
    (row,) = read_table(table)
    # Noise on ROI maps of noise: nothing is where it should be.
    assert row["training_distribution"] in ("unusual", "outside")
    assert row["training_distribution_reasons"] != "n/a"
    assert row["training_distance"] == "n/a"
    assert float(row["connectome_icc"]) <= float(row["connectome_reliability"]) + 0.05
    sidecar = read_inherited(maps(job, "synthetic")[0])
    assert sidecar["Runs"][0]["TrainingDistribution"] == row["training_distribution"]
    assert (
        "; ".join(sidecar["Runs"][0]["TrainingDistributionReasons"])
        == row["training_distribution_reasons"]
    )


def with_true_maps(job, folder, **more):
    """Return a bundle as the job's, whose calibration has half-widths for true maps, too."""
    bundle = load_bundle(job.model)
    usual = bundle.calibration.pooled_error
    true = TrueError(0.4 * usual.values, usual.lattice, 9)
    calibration = dataclasses.replace(bundle.calibration, true_error=true, **more)
    return extend_bundle(bundle, folder, calibration=calibration)


@pytest.mark.slow
def test_true_maps_have_half_widths_that_are_named_for_what_they_hold(job, tmp_path):
    made = with_true_maps(job, tmp_path / "true")
    other = TinyJob(tmp_path)
    other.reports, other.model = True, made.path
    assert other.run() == 0
    paths = sorted(other.out.glob("tpl-*/tpl-*_desc-truehalfwidth90m*_statmap.nii.gz"))
    assert len(paths) == len(half_widths(other.out)) == len(made.contrasts)
    wanted = made.calibration.true_half_widths(90)
    for contrast, widths in zip(made.contrasts, wanted, strict=True):
        (path,) = [one for one in paths if f"_contrast-{contrast.label}_" in one.name]
        volume = read_volume(path)[0][made.places.mask]
        np.testing.assert_allclose(volume, widths, atol=widths.max() / 500)
        sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
        assert "for the person's true map: " in sidecar["Description"]
        assert "without the noise of a measurement" in sidecar["IntervalCovers"]
        assert (sidecar["CalibrationRetestParticipants"], sidecar["IntervalLevel"]) == (9, 0.9)
    page = " ".join((other.out / "sub-01.html").read_text().split())
    assert "Half-width: a new scan" in page
    assert "Half-width: the true map" in page
    assert "A new scan of this person would lie within \N{PLUS-MINUS SIGN} this much" in page
    assert "The person's true map, which many scans would average to, lies within" in page.replace(
        "&#39;", "'"
    )
    assert "no method can know where that is" in page
    assert "from 9 of them with a second session" in page


@pytest.mark.slow
def test_half_widths_that_depend_on_the_person_are_the_person_s(job, tmp_path):
    plain = load_bundle(job.model)
    rng = np.random.default_rng(0)
    shape = (len(plain.contrasts), plain.places.number)
    people = PeopleSums(plain.places.lattice(4))
    for _ in range(12):
        people.add(rng.normal(size=shape).astype(np.float32))
    with_mean = extend_bundle(
        plain, tmp_path / "mean", deviation=people.deviation(segments=4, of="calibration")
    )
    by_deviation = np.array([[1] * BINS, np.linspace(0.8, 1.6, BINS)], np.float32)
    factors = WidthFactors(by_deviation, np.array([[1.25, 1.1, 1, 1], [1.5, 1.2, 1, 1]]))
    own = TinyJob(tmp_path)
    own.model = with_mean.path
    made = with_true_maps(own, tmp_path / "own", factors=factors)
    own.model = made.path
    assert own.run() == 0
    assert not list(own.out.glob("tpl-*/*halfwidth*"))

    def read(desc: str) -> np.ndarray:
        paths = {path.name.split("_contrast-")[1].split("_")[0]: path for path in maps(own, desc)}
        found = [read_volume(paths[contrast.label])[0] for contrast in made.contrasts]
        return np.stack(found)[:, made.places.mask]

    bins = deviation_bins(made.deviation.deviations(read("synthetic")))
    assert len(np.unique(bins)) > 2
    # One segment here, and four in the calibration.
    wanted = made.calibration.true_half_widths(90) * 1.5 * by_deviation[1][bins]
    np.testing.assert_allclose(read("truehalfwidth90"), wanted, rtol=0.02, atol=0.02)
    measured = made.calibration.half_widths(90) * 1.25
    np.testing.assert_allclose(read("halfwidth90"), measured, rtol=0.02, atol=0.02)
    sidecar = read_inherited(maps(own, "truehalfwidth90")[0])
    assert "without the noise of a measurement" in sidecar["IntervalCovers"]
    assert "half-widths are those of maps from 1 segment" in sidecar["IntervalNote"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("amount", "note"),
    [
        ({"minutes": 30.0}, "The maps are of 10.0 minutes of rest, the intervals of 30.0: "),
        (
            {"minutes": 10.0, "residual_dof": 5000.0},
            r"The maps are of [0-9]+ residual degrees of freedom, the intervals of 5000: ",
        ),
    ],
)
def test_other_cleaning_and_another_amount_of_rest_are_told(job, tmp_path, amount, note):
    cleaning = "study (fMRIPrep), aroma"
    made = with_true_maps(job, tmp_path / "other", segments=1, cleaning=cleaning, **amount)
    other = TinyJob(tmp_path)
    other.model = made.path
    assert other.run() == 0
    found = read_inherited(maps(other, "synthetic")[0])["IntervalNote"]
    assert re.search(note, found)
    assert f"from runs cleaned otherwise ({cleaning})" in found
