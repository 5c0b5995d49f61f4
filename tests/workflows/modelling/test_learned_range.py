"""Training and calibration learn what is usual of people's rest; runs are judged by it."""

from __future__ import annotations

import pytest
from tiny_cohort import TinyCohort
from tiny_job import read_table

from bids_dtg.bundles.bundle import load_bundle

LABELS = tuple(f"{n:02d}" for n in range(1, 37))
FITTED = LABELS[:22]  # to make a model with

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return TinyCohort(tmp_path_factory.mktemp("cohort"), LABELS)


def trained(cohort: TinyCohort, name: str, fitted: tuple[str, ...]):
    """Train on people, the last two of whom validate it."""
    split = cohort.folder / f"{name}.tsv"
    sets = [*["training"] * (len(fitted) - 2), *["validation"] * 2]
    rows = [f"sub-{label}\t{own}\n" for label, own in zip(fitted, sets, strict=True)]
    split.write_text("participant_id\tset\n" + "".join(rows))
    words = ("--architecture", "local-ridge", "--split-file", split, "--model-name", name)
    assert cohort.analyse("train", *words) == 0
    return load_bundle(cohort.out / f"group/model-{name}/bundle")


@pytest.fixture(scope="module")
def ridge(cohort):
    return trained(cohort, "own", FITTED)


def test_training_writes_what_is_usual_and_runs_are_judged_by_it(cohort, ridge, tmp_path):
    """Finding C7: a model of one's own knew nothing of the rest that it was trained on."""
    learned = ridge.training_range
    assert learned.participants == learned.basis.participants == len(FITTED)
    # Half segments and whole ones.
    assert learned.usual.highest > 1.8 * learned.usual.lowest
    others = LABELS[22:26]
    words = ("--participant-label", *others, "--model", ridge.path)
    assert cohort.run(*words, out=tmp_path) == 0
    rows = [row for path in tmp_path.rglob("*task-rest_qc.tsv") for row in read_table(path)]
    assert len(rows) == len(others)
    for row in rows:
        assert float(row["training_distance"]) < learned.outside


def test_calibration_writes_it_where_the_model_has_none(cohort, capsys):
    """Finding C7: nor did a model that was calibrated on others."""
    small = trained(cohort, "small", LABELS[:4])
    assert small.training_range is None
    assert cohort.analyse("calibrate", "--model", small.path, "--model-name", "sure") == 0
    made = load_bundle(cohort.out / "group/model-sure/bundle")
    assert made.training_range.participants == len(LABELS) - 4
    assert "training statistics: 32 participants with 32 segments" in capsys.readouterr().err


def test_calibration_leaves_what_is_usual_of_the_training(cohort, ridge):
    assert cohort.analyse("calibrate", "--model", ridge.path, "--model-name", "kept") == 0
    made = load_bundle(cohort.out / "group/model-kept/bundle")
    assert made.calibration.participants == len(LABELS) - len(FITTED)
    name = "training_range.safetensors"
    assert made.card.files[name] == ridge.card.files[name]


def test_of_few_people_nothing_is_learned_and_a_line_says_so(tmp_path, capsys):
    few = TinyCohort(tmp_path, LABELS[:8])
    words = ("--architecture", "local-ridge", "--held-out", "0.25", "0.25")
    assert few.analyse("train", *words) == 0
    assert load_bundle(few.out / "group/model-own/bundle").training_range is None
    said = capsys.readouterr().err
    assert "no training statistics: 6 participants with 6 segments of rest are too few" in said
