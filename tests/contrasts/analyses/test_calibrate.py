"""The group level's calibration: intervals that hold, on people outside the training set."""

from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pytest
from tiny_bundle import TINY_AFFINE, TINY_SHAPE
from tiny_cohort import CONTRASTS, TinyCohort, read_json
from tiny_job import read_table

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.kind import Processor
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.imaging.atlas import find_atlas
from bids_dtg.stats.conformal import coverage
from bids_dtg.stats.parcel_intervals import intervals_of, parcel_errors

LABELS = tuple(f"{n:02d}" for n in range(1, 19))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return TinyCohort(tmp_path_factory.mktemp("cohort"), LABELS)


@pytest.fixture(scope="module")
def ridge(cohort):
    """Train on 4 people, and tune on 2."""
    words = ("--architecture", "linear", "--held-out", "0", "0.67")
    assert cohort.analyse("train", *words) == 0
    return load_bundle(cohort.out / "group/model-own/bundle")


def set_of(cohort, name):
    rows = read_table(cohort.out / "group/model-own/desc-split_participants.tsv")
    return [row["participant_id"].removeprefix("sub-") for row in rows if row["set"] == name]


def test_intervals_need_people_outside_the_training_set(cohort, ridge, capsys):
    some = set_of(cohort, "test")[:4] + set_of(cohort, "training") + set_of(cohort, "validation")
    words = ("--model", ridge.path, "--model-name", "few", "--participant-label", *some)
    assert cohort.analyse("calibrate", *words) == 2
    reported = capsys.readouterr().err
    assert "left out: 6 participants; the model was trained on 4 and tuned on 2 of them" in reported
    assert (
        "only 4 participants outside the model's training and validation sets: too few" in reported
    )


@pytest.mark.parametrize("name", ["test", "calibration"])
def test_a_table_names_people_to_calibrate_on(cohort, ridge, tmp_path, capsys, name):
    split = tmp_path / "split.tsv"
    sets = dict.fromkeys(set_of(cohort, "test"), "test")
    sets |= dict.fromkeys(set_of(cohort, "validation"), name)
    if name == "calibration":
        sets |= dict.fromkeys(set_of(cohort, "test")[:-1], name)
    split.write_text("participant_id\tset\n" + "".join(f"sub-{p}\t{s}\n" for p, s in sets.items()))
    words = ("--model", ridge.path, "--model-name", f"by{name}", "--split-file", split)
    assert cohort.analyse("calibrate", *words) == 0
    reported = capsys.readouterr().err
    assert f"calibrated on the {name} set of {split}" in reported
    # Validation people of the model are never new, whatever a table says.
    assert "left out: 2 participants; the model was tuned on 2 of them" in reported
    made = load_bundle(cohort.out / f"group/model-by{name}/bundle")
    assert made.calibration.participants == 12 - (name == "calibration")


def test_a_calibrated_model_has_intervals_that_hold(cohort, ridge, capsys):
    assert cohort.analyse("calibrate", "--model", ridge.path, "--model-name", "sure") == 0
    made = load_bundle(cohort.out / "group/model-sure/bundle")
    assert made.calibration.participants == 12
    sizes = {"training": 4, "validation": 2, "calibration": 12, "test": 12}
    assert {name: made.people.count(name) for name in sizes} == sizes
    reported = capsys.readouterr().err
    share = float(reported.split("intervals of 90 % hold ")[1].split(" %")[0])
    assert share == pytest.approx(90, abs=3)
    # What is far from others is measured in each person without the person.
    usual = made.deviation.usual
    assert usual.people == 12
    assert 0.03 < usual.share < 0.15
    # Signal and noise of the maps have a standard deviation of 1.12.
    assert np.median(made.calibration.half_widths(90)) == pytest.approx(1.64 * 1.12, rel=0.15)
    # Without the noise, of which both sessions have one of their own, with a deviation of 0.5.
    without = np.sqrt(np.median(made.calibration.half_widths(90)) ** 2 - (1.64 * 0.5) ** 2)
    assert np.median(made.calibration.true_half_widths(90)) == pytest.approx(without, rel=0.05)
    assert "12 with a second session: median half-width for the person's true map 1." in reported
    assert "fMRIPrep" in made.calibration.cleaning


@pytest.mark.slow
@pytest.mark.parametrize("retest", [0, 1])
def test_too_few_second_sessions_are_named(cohort, ridge, tmp_path, capsys, retest):
    statmaps = tmp_path / "statmaps"
    shutil.copytree(cohort.statmaps, statmaps)
    for path in statmaps.glob("sub-*/*_ses-b_*"):
        if path.parent.name != f"sub-{set_of(cohort, 'test')[0]}" or not retest:
            path.unlink()
    words = ("-d", f"statmaps={statmaps}", "--model", ridge.path, "--model-name", "once")
    before, cohort.statmaps = cohort.statmaps, statmaps
    try:
        assert cohort.analyse("calibrate", *words[2:], out=tmp_path / "out") == 0
    finally:
        cohort.statmaps = before
    made = load_bundle(tmp_path / "out/group/model-once/bundle")
    assert made.calibration.true_error is None
    people = f"{retest} participant{'s' * (retest != 1)}"
    reported = capsys.readouterr().err
    assert f"no half-widths for true maps: {people} had a second session" in reported


@pytest.mark.slow
def test_new_people_calibrate_and_judge_a_linear_model_of_a_few(cohort, capsys):
    words = ("--architecture", "linear", "--participant-label", *LABELS[:6])
    assert cohort.analyse("train", *words, "--model-name", "few") == 0
    few = cohort.out / "group/model-few/bundle"
    assert cohort.analyse("calibrate", "--model", few, "--model-name", "grown") == 0
    reported = capsys.readouterr().err
    assert "left out: 6 participants; the model was trained on 6 of them" in reported
    grown = load_bundle(cohort.out / "group/model-grown/bundle")
    assert grown.calibration.participants == 12
    assert grown.card.part.recentring.left_out_in_turn
    assert cohort.analyse("evaluate", "--model", few) == 0
    reported = read_json(cohort.out / "group/evaluation-few/desc-models_scores.json")
    assert reported["participants"] == 12


LEARNT, NEW, ASKED = (range(1, 11), range(11, 31), range(31, 111))


@pytest.fixture(scope="module")
def half_known(tmp_path_factory):
    """Of 80 people to calibrate on, half lack a half of their maps, and half lack a contrast."""
    asked = [f"{n:03d}" for n in ASKED]
    return TinyCohort(
        tmp_path_factory.mktemp("half_known"),
        tuple(f"{n:03d}" for n in (*LEARNT, *NEW, *ASKED)),
        lacking=asked[20:60],
        cropped=asked[:40],
    )


@pytest.fixture(scope="module")
def learnt(half_known):
    """A model that the first ten were used for; the next twenty are new to it."""
    split = half_known.folder / "split.tsv"
    sets = [("training", n) for n in LEARNT[:6]] + [("validation", n) for n in LEARNT[6:]]
    sets += [("test", n) for n in NEW]
    lines = "".join(f"sub-{n:03d}\t{name}\n" for name, n in sets)
    split.write_text("participant_id\tset\n" + lines)
    words = ("--architecture", "linear", "--split-file", split)
    assert half_known.analyse("train", *words) == 0
    return half_known.out / "group/model-own/bundle"


def errors_of_new_people(cohort, bundle):
    store, model = ArrayStore(cohort.out / "group/cache"), bundle.prepare(Processor())
    for n in NEW:
        connectomes = store.read(f"sub-{n:03d}/connectomes").astype(np.float32)
        predicted = np.mean([model.predict(connectome) for connectome in connectomes], axis=0)
        yield store.read(f"sub-{n:03d}/target_maps") - bundle.correction.apply(predicted)


@pytest.mark.slow
def test_intervals_hold_where_half_of_the_people_lack_data(half_known, learnt):
    """Null experiment: with gaps filled by the mean, these intervals of 90 % held 86 %."""
    asked = [f"{n:03d}" for n in ASKED]
    words = ("--model", learnt, "--model-name", "sure", "--participant-label", *asked)
    assert half_known.analyse("calibrate", *words) == 0
    made = load_bundle(half_known.out / "group/model-sure/bundle")
    assert made.calibration.participants == 80
    widths = made.calibration.half_widths(90)
    assert np.isfinite(widths).all()
    held = [coverage(errors, widths) for errors in errors_of_new_people(half_known, made)]
    assert np.mean(held) == pytest.approx(0.9, abs=0.02)
    # For each contrast, and where everybody was measured and where half of them were.
    assert np.mean(held, axis=0) == pytest.approx([0.9, 0.9], abs=0.03)


def write_atlas(folder, block: int):
    """Write a label image of cubes on the tiny grid."""
    cubes = np.indices(TINY_SHAPE) // block
    labels = (1 + cubes[0] + 10 * cubes[1] + 100 * cubes[2]).astype(np.int16)
    path = folder / "tpl-MNI152NLin6Asym_atlas-Own_dseg.nii.gz"
    nib.Nifti1Image(labels, TINY_AFFINE).to_filename(path)
    return path


def test_means_over_parcels_have_intervals_of_their_own(half_known, learnt, tmp_path, capsys):
    asked = [f"{n:03d}" for n in ASKED]
    path = write_atlas(tmp_path, 3)
    words = ("--model", learnt, "--model-name", "parcels", "--atlases", path)
    assert half_known.analyse("calibrate", *words, "--participant-label", *asked) == 0
    assert "Own: means over parcels have a median half-width of" in capsys.readouterr().err
    made = load_bundle(half_known.out / "group/model-parcels/bundle")
    atlas = find_atlas(path, made.voxels)
    intervals = intervals_of(made.parcel_intervals, "Own", atlas.digest)
    widths = intervals.half_widths(90)
    assert intervals.participants == 80
    # Noise of voxels on their own: means over some of them are surer than a voxel.
    assert np.nanmedian(widths) < 0.6 * np.nanmedian(made.calibration.half_widths(90))
    errors = parcel_errors(errors_of_new_people(half_known, made), atlas)
    assert np.nanmean([coverage(own, widths) for own in errors]) == pytest.approx(0.9, abs=0.03)
    # Another image of that name gets none of them.
    other = find_atlas(write_atlas(tmp_path, 4), made.voxels)
    assert (other.key, intervals_of(made.parcel_intervals, other.key, other.digest)) == (
        "Own",
        None,
    )


def test_there_is_no_interval_where_fewer_than_ten_were_measured(half_known, learnt, capsys):
    asked = [f"{n:03d}" for n in ASKED[30:50]]  # ten of them are cropped, all lack a contrast
    words = ("--model", learnt, "--model-name", "few", "--participant-label", *asked[1:])
    assert half_known.analyse("calibrate", *words) == 0
    reported = capsys.readouterr().err
    assert f"none at all: {CONTRASTS[1]}" in reported
    made = load_bundle(half_known.out / "group/model-few/bundle")
    widths = made.calibration.half_widths(90)
    assert np.isnan(widths[1]).all()
    assert np.isfinite(widths[0]).all()  # ten were measured in the half that nine lack
    words = ("--model", learnt, "--model-name", "fewer", "--participant-label", *asked[:-1])
    assert half_known.analyse("calibrate", *words) == 0
    widths = load_bundle(half_known.out / "group/model-fewer/bundle").calibration.half_widths(90)
    assert 0.3 < np.isnan(widths[0]).mean() < 0.7
    share = float(capsys.readouterr().err.split("no interval for ")[1].split(" %")[0])
    assert share == pytest.approx(100 * np.isnan(widths).mean(), abs=0.06)
