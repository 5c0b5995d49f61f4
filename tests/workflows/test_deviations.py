"""The person's own part at the participant level: maps, what their sidecars say, and the table."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from tiny_bundle import write_tiny_bundle
from tiny_job import TinyJob, add_rest, read_table

from bids_dtg.contrasts.bundle.bundle import ModelBundle, load_bundle
from bids_dtg.contrasts.bundle.part import Recentring
from bids_dtg.contrasts.bundle.writer import extend_bundle
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.stats.deviation import PeopleSums
from bids_dtg.stats.individuality import individuality

ALIKE = 1  # row of the contrast that is the same for everybody: its gain is 0
SAID = 2  # of the one of which the card says so


def with_deviation(folder, *, alike: tuple[int, ...] = (ALIKE,)) -> ModelBundle:
    """Write a tiny bundle with deviations of twelve people, some contrasts of gain 0."""
    plain = write_tiny_bundle(folder / "plain")
    gains = np.ones(3, np.float32)
    gains[list(alike)] = 0
    offset = np.zeros((3, plain.places.number), np.float32)
    bundle = write_tiny_bundle(
        folder / "corrected",
        correction=Correction(gains, offset),
        recentring=Recentring(12, 4),
        same_for_all=(plain.contrasts[SAID].label,),
    )
    rng = np.random.default_rng(0)
    maps = gains[:, None] * rng.normal(size=(12, 3, plain.places.number)).astype(np.float32)
    sums = PeopleSums.of(maps, plain.places.lattice(4))
    return extend_bundle(
        bundle, folder / "model", deviation=sums.deviation(segments=4, of="training")
    )


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    job = TinyJob(folder, ())
    job.model = with_deviation(folder).path
    add_rest(job.bids, frames=130)
    assert job.run("--half-maps") == 0
    return job


def maps(job: TinyJob, desc: str, extension: str = ".nii.gz") -> dict:
    paths = job.out.glob(f"sub-01/func/*_desc-{desc}_statmap{extension}")
    return {path.name.split("contrast-")[1].split("_")[0]: path for path in sorted(paths)}


def values(bundle: ModelBundle, path) -> np.ndarray:
    return nib.load(path).get_fdata()[bundle.places.mask].astype(np.float32)


def test_maps_are_the_deviations_of_the_predicted_ones(job):
    bundle = load_bundle(job.model)
    found, whole = maps(job, "deviation"), maps(job, "synthetic")
    labels = [contrast.label for contrast in bundle.contrasts]
    assert set(found) == {labels[0]}
    predicted = np.stack([values(bundle, whole[label]) for label in labels])
    wanted = bundle.deviation.deviations(predicted)
    for row, label in enumerate(labels):
        if row == 0:
            np.testing.assert_allclose(
                values(bundle, found[label]), wanted[row], atol=0.101 * max(1, wanted[row].std())
            )


def test_sidecars_say_of_whom_and_in_which_unit(job):
    bundle = load_bundle(job.model)
    label = bundle.contrasts[0].label
    own = json.loads(maps(job, "deviation", ".json")[label].read_text())
    assert own["Units"] == "spreads (standard deviations) between people"
    assert "from the mean of those of 12 participants of the model's training" in own["Description"]
    told = read_inherited(maps(job, "deviation")[label])
    assert told["Deviations"] is True
    assert (told["DeviationsFrom"], told["DeviationsFromParticipants"]) == ("training", 12)
    assert told["DeviationsFromNSegments"] == 4
    assert told["WithoutDeviation"] == [bundle.contrasts[row].label for row in (ALIKE, SAID)]


def test_the_table_tells_how_individual_each_contrast_is(job):
    bundle = load_bundle(job.model)
    (path,) = job.out.glob("sub-01/func/*_stat-z_desc-individuality_statmap.tsv")
    rows = {row["contrast"]: row for row in read_table(path)}
    assert set(rows) == set(maps(job, "deviation"))
    order = [contrast.label for contrast in bundle.contrasts]
    synthetic, spread, odd, even = (
        np.stack([values(bundle, maps(job, desc)[label]) for label in order])
        for desc in ("synthetic", "segmentSpread", "oddHalf", "evenHalf")
    )
    found, segments = bundle.deviation, read_inherited(maps(job, "synthetic")[order[0]])
    error = spread / found.spread_at_places / np.sqrt(segments["NSegments"])
    assert segments["NSegments"] > 1
    wanted = individuality(
        found.deviations(synthetic), error, (found.deviations(odd), found.deviations(even))
    )
    for row, label in enumerate(order):
        if row == 0:
            for column, figure in (
                ("distance", wanted.distance),
                ("standard_error", wanted.chance),
                ("individual", wanted.share),
                ("halves_r", wanted.halves_r),
                ("reliability", wanted.reliability),
            ):
                assert float(rows[label][column]) == pytest.approx(figure[row], abs=2e-4)
    told = json.loads(path.with_suffix(".json").read_text())
    assert set(told) == {"Description", "SpatialReference", "Resolution", *rows[order[0]]}
    assert f"none of {order[ALIKE]}, {order[SAID]}" in told["Description"]


@pytest.mark.slow
def test_a_model_that_knows_nobody_s_mean_says_so_once(tmp_path, capsys):
    job = TinyJob(tmp_path)
    assert job.run() == 0
    told = capsys.readouterr()
    line = "has no mean of other people's maps: no deviations are written"
    assert (told.err + told.out).count(line) == 1
    assert "group --analysis deviation" in told.err + told.out
    assert not maps(job, "deviation")
    assert read_inherited(next(iter(maps(job, "synthetic").values())))["Deviations"] is False
    assert not list(job.out.glob("sub-01/func/*individuality*"))


@pytest.mark.slow
def test_a_model_that_predicts_the_same_for_all_says_so(tmp_path, capsys):
    job = TinyJob(tmp_path)
    job.model = with_deviation(tmp_path, alike=(0, 1, 2)).path
    assert job.run() == 0
    told = capsys.readouterr()
    assert "predicts the same maps for everybody: there are no deviations" in told.err + told.out
    assert not maps(job, "deviation")
    assert not list(job.out.glob("sub-01/func/*individuality*"))
