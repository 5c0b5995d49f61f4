"""The linear kinds by the command line: few people, a split, sums of two sites."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from tiny_cohort import CONTRASTS, LABELS, TinyCohort
from tiny_job import add_rest, read_table

from bids_dtg.bundles.overview import bundle_lines
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.kinds import find_kind
from bids_dtg.contrasts.kind import LINEAR_MEANS, LINEAR_SUMS
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.sidecars import read_inherited
from bids_dtg.files.tensors import read_arrays, write_arrays

LINEAR = ("--architecture", "linear")
FEW = ("--participant-label", *LABELS[:6])

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return TinyCohort(tmp_path_factory.mktemp("cohort"), lacking=("03",))


@pytest.fixture(scope="module")
def six(cohort):
    """Train on six people; the folder of the model."""
    assert cohort.analyse("train", *LINEAR, *FEW, "--model-name", "six") == 0
    return cohort.out / "group/model-six"


def sets_of(folder):
    found = read_table(folder / "desc-split_participants.tsv")
    return [row["set"] for row in found]


def split(path, **sets):
    rows = (f"{label}\t{name}\n" for name, labels in sets.items() for label in labels)
    path.write_text("participant_id\tset\n" + "".join(rows))
    return path


def test_six_people_all_train_and_nothing_is_promised(six):
    assert sets_of(six) == ["training"] * 6
    bundle = load_bundle(six / "bundle")
    card = bundle.card
    assert (card.kind, card.part.connectome.name) == ("linear", "partial")
    assert card.training.participants == 6
    assert card.part.segment_seconds == 86_400
    assert "none: each run is read whole" in "\n".join(bundle_lines(bundle))
    assert card.part.recentring.left_out_in_turn
    assert card.part.recentring.participants == 6
    assert card.record["linear"]["participants"] == 6
    assert set(card.evaluation) == {"ceilings"}  # of the measured maps alone
    assert bundle.calibration is None
    assert not (six / "report.html").exists()
    assert (six / LINEAR_MEANS).is_file()


@pytest.mark.slow
def test_a_line_reports_that_nobody_tests(cohort, six, capsys):
    words = ("train", "--architecture", "linear-parcel", *FEW, "--model-name", "parcel")
    assert cohort.analyse(*words) == 0
    lines = capsys.readouterr().err
    assert "6 to train, 0 to validate, 0 to test" in lines
    assert "no test participants: the model of 6 participants is not scored" in lines
    bundle = load_bundle(cohort.out / "group/model-parcel/bundle")
    assert bundle.card.part.connectome.name == "marginal"


@pytest.mark.slow
def test_a_participant_s_maps_are_corrected(cohort, six, tmp_path):
    words = ("--participant-label", "07", "--model", six / "bundle")
    assert cohort.run(*words, out=tmp_path) == 0
    (sidecar,) = tmp_path.rglob(f"*contrast-{CONTRASTS[0]}*synthetic_statmap.json")
    found = read_inherited(sidecar)
    assert found["ModelKind"] == "linear"
    assert found["Recentred"]
    assert found["RecentringParticipants"] == 6
    assert found["RecentringLeftOutInTurn"]
    text = " ".join((tmp_path / "logs/CITATION.md").read_text().split())
    assert "each left out of the fit in turn" in text
    assert "This was done for each run as a whole; the model turned each run's" in text
    assert "Tavor, I., et al. (2016)" in text


def test_fewer_than_five_are_refused_before_anything_is_read(cohort, capsys):
    words = ("--participant-label", *LABELS[:4], "--model-name", "four")
    assert cohort.analyse("train", *LINEAR, *words) == 2
    line = "4 training participants: too few for a linear model. Expected: 5 or more."
    assert line in capsys.readouterr().err
    assert not (cohort.out / "group/model-four").exists()


@pytest.mark.slow
def test_a_split_file_is_obeyed(cohort, six, tmp_path):
    table = split(tmp_path / "split.tsv", training=LABELS[:5], test=LABELS[5:])
    assert cohort.analyse("train", *LINEAR, "--split-file", table, "--model-name", "split") == 0
    folder = cohort.out / "group/model-split"
    assert sorted(sets_of(folder)) == ["test"] * 3 + ["training"] * 5
    rows = {row["model"] for row in load_bundle(folder / "bundle").card.evaluation["rows"]}
    assert {"model", "linear, one fit for each of 4 parcels"} <= rows
    page = " ".join((folder / "report.html").read_text().split())
    assert "The model was fitted on 5 participants, simple models on the same." in page


@pytest.mark.slow
def test_shares_that_were_given_are_obeyed(cohort, six):
    words = ("--held-out", "0", "0.25", "--model-name", "shares")
    assert cohort.analyse("train", *LINEAR, *words) == 0
    found = sets_of(cohort.out / "group/model-shares")
    assert sorted(found) == ["test"] * 2 + ["training"] * 6


@pytest.mark.slow
def test_two_sites_make_the_pooled_model_by_two_rounds(cohort, six, capsys):
    people = {"theirs": LABELS[:5], "ours": LABELS[5:], "pooled": LABELS}

    def train(site, name, *files):
        words = ("--participant-label", *people[site], "--held-out", 0, 0, "--model-name", name)
        more = ("--add-sums", *files) if files else ()
        return cohort.analyse("train", *LINEAR, *words, *more)

    group = cohort.out / "group"
    assert train("theirs", "theirs") == 0
    assert not (group / "model-theirs" / LINEAR_SUMS).exists()
    capsys.readouterr()
    assert train("ours", "first", group / "model-theirs" / LINEAR_MEANS) != 0
    assert f"{LINEAR_MEANS} is of the first round, and gives means" in capsys.readouterr().err
    assert train("theirs", "second", group / "model-first" / LINEAR_MEANS) != 0
    files = (group / "model-second" / name for name in (LINEAR_MEANS, LINEAR_SUMS))
    assert train("ours", "ours", *files) == 0
    assert train("pooled", "pooled") == 0
    models = {name: load_bundle(group / f"model-{name}/bundle") for name in ("ours", "pooled")}
    tensors = [model.weights().read() for model in models.values()]
    for name in ("means", "weights", "coefficients", "squares"):
        np.testing.assert_allclose(*(own[f"linear.{name}"] for own in tensors), atol=1e-6)
    assert np.abs(tensors[0]["linear.coefficients"]).max() > 1e-3
    record = models["ours"].card.record["linear"]
    assert (record["participants"], record["participants_of_other_sites"]) == (3, 5)
    described = models["ours"].card.description
    assert described.startswith(
        "Trained with bids_dtg on 3 participants and the sums of 5 of other sites; masks"
    )


def test_the_ridge_of_other_sites_sums_is_taken(cohort, six, tmp_path, capsys):
    """A site with twenty people may have chosen another one than the default."""
    words = ("--architecture", "linear-parcel", "--connectome", "partial", "--model-name")
    assert cohort.analyse("train", *words, "parts", *FEW) == 0
    arrays, notes = read_arrays(cohort.out / "group/model-parts" / LINEAR_SUMS)
    facts = json.loads(notes["facts"])
    assert facts["form"]["ridge"] == 1.0
    facts["form"]["ridge"] = 0.5
    theirs = tmp_path / "theirs.safetensors"
    write_arrays(theirs, arrays, notes | {"facts": json.dumps(facts, sort_keys=True)})
    words = (*words, "half", "--participant-label", *LABELS[6:], "--add-sums", theirs)
    capsys.readouterr()
    assert cohort.analyse("train", *words) == 0
    assert "ridge 0.5, that of the sums of other sites" in capsys.readouterr().err
    bundle = load_bundle(cohort.out / "group/model-half/bundle")
    assert bundle.card.part.connectome == Form("partial", 0.5, standardised=True)
    _, own = read_arrays(cohort.out / "group/model-half" / LINEAR_SUMS)
    assert own["facts"] == json.dumps(facts, sort_keys=True)


def test_the_published_recipe_is_refused(cohort, six, capsys):
    assert cohort.analyse("train", *LINEAR, "--recipe", "published", "--model-name", "p") == 2
    assert "--recipe published was given with --architecture linear" in capsys.readouterr().err


def test_sums_of_the_other_form_are_refused(cohort, six, capsys):
    words = ("--connectome", "marginal", "--add-sums", six / LINEAR_MEANS, "--model-name", "form")
    assert cohort.analyse("train", *LINEAR, *words) == 2
    assert "has sums of another form" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["linear", "linear-parcel"])
def test_only_linear_kinds_do_without_validation(name):
    assert not find_kind(name).needs_validation
    assert find_kind("local-ridge").needs_validation


@pytest.mark.slow
def test_runs_are_read_whole_beside_those_that_are_cut(tmp_path, capsys):
    """A quarter of an hour of rest is one connectome for a linear kind, and two for others."""
    cohort = TinyCohort(tmp_path, LABELS[:6])
    for label in LABELS[:6]:
        add_rest(cohort.bids, label, frames=90, seed=int(label))
    ridge = ("--architecture", "local-ridge", "--held-out", "0.34", "0", "--model-name", "ridge")
    assert cohort.analyse("train", *ridge) == 0
    assert cohort.analyse("train", *LINEAR, "--connectome", "marginal") == 0
    store = ArrayStore(cohort.out / "group/cache")
    assert len(store.read("sub-01/connectomes")) == 2
    assert len(store.read("sub-01/connectomes_of_whole_runs")) == 1
    linear = cohort.out / "group/model-own/bundle"
    # A kind that cuts runs does so with the grid of a model that does not.
    shutil.rmtree(cohort.out / "group/model-ridge")
    assert cohort.analyse("train", *ridge, "--model", linear) == 0
    assert load_bundle(cohort.out / "group/model-ridge/bundle").card.part.segment_seconds == 432
    assert cohort.run("--participant-label", "01", "--model", linear) == 0
    (sidecar,) = cohort.out.rglob(f"sub-01/**/*contrast-{CONTRASTS[0]}*synthetic_statmap.json")
    assert read_inherited(sidecar)["NSegments"] == 1


_QUIET = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
MANY = tuple(f"{n:02d}" for n in range(1, 37))
FITTED = MANY[:22]  # to make a model with


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return TinyCohort(tmp_path_factory.mktemp("many"), MANY)


def trained(many: TinyCohort, name: str, fitted: tuple[str, ...]):
    """Train on all people except the last two, which validate."""
    split = many.folder / f"{name}.tsv"
    sets = [*["training"] * (len(fitted) - 2), *["validation"] * 2]
    rows = [f"sub-{label}\t{own}\n" for label, own in zip(fitted, sets, strict=True)]
    split.write_text("participant_id\tset\n" + "".join(rows))
    words = ("--architecture", "local-ridge", "--split-file", split, "--model-name", name)
    assert many.analyse("train", *words) == 0
    return load_bundle(many.out / f"group/model-{name}/bundle")


@pytest.fixture(scope="module")
def ridge(many):
    return trained(many, "own", FITTED)


@pytest.mark.slow
@_QUIET
def test_training_writes_what_is_usual_and_runs_are_judged_by_it(many, ridge, tmp_path):
    """Finding C7: a model of one's own knew nothing of the rest that it was trained on."""
    learned = ridge.training_distribution
    assert learned.participants == learned.basis.participants == len(FITTED)
    # Half segments and whole ones.
    assert learned.statistics.highest > 1.8 * learned.statistics.lowest
    others = MANY[22:26]
    words = ("--participant-label", *others, "--model", ridge.path)
    assert many.run(*words, out=tmp_path) == 0
    rows = [row for path in tmp_path.rglob("*task-rest_qc.tsv") for row in read_table(path)]
    assert len(rows) == len(others)
    for row in rows:
        assert float(row["training_distance"]) < learned.outside


@pytest.mark.slow
@_QUIET
def test_calibration_writes_it_where_the_model_has_none(many, capsys):
    """Finding C7: nor did a model that was calibrated on others."""
    small = trained(many, "small", MANY[:4])
    assert small.training_distribution is None
    assert many.analyse("calibrate", "--model", small.path, "--model-name", "sure") == 0
    made = load_bundle(many.out / "group/model-sure/bundle")
    assert made.training_distribution.participants == len(MANY) - 4
    assert "training statistics: 32 participants with 32 segments" in capsys.readouterr().err


@pytest.mark.slow
def test_calibration_leaves_what_is_usual_of_the_training(many, ridge):
    assert many.analyse("calibrate", "--model", ridge.path, "--model-name", "kept") == 0
    made = load_bundle(many.out / "group/model-kept/bundle")
    assert made.calibration.participants == len(MANY) - len(FITTED)
    name = "training_range.safetensors"
    assert made.card.files[name] == ridge.card.files[name]


@pytest.mark.slow
def test_of_few_people_nothing_is_learned_and_a_line_says_so(tmp_path, capsys):
    few = TinyCohort(tmp_path, MANY[:8])
    words = ("--architecture", "local-ridge", "--held-out", "0.25", "0.25")
    assert few.analyse("train", *words) == 0
    assert load_bundle(few.out / "group/model-own/bundle").training_distribution is None
    said = capsys.readouterr().err
    assert "no training statistics: 6 participants with 6 segments of rest are too few" in said
