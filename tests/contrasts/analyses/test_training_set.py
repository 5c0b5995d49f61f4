"""Training people are left out of evaluations, wherever the model lies and whatever its name."""

from __future__ import annotations

import json
import shutil

import image_people
import numpy as np
import pytest
from maps_bundle import extend_bundle, without_people
from maps_cohort import CONTRASTS, TinyCohort
from maps_job import read_table
from split_options import NARROW, sets

from bids_dtg.bundles.training_hashes import (
    UNCERTAIN,
    TrainingHashes,
    hash_person,
)
from bids_dtg.contrasts.bundle.bundle import load_bundle

# As HCP-YA's ids look; a sum of the digits that theirs all have is wrong, so nobody has these.
IDS = tuple(f"9000{n:02d}" for n in range(50, 59))
LEFT_OUT = "left out: 5 participants: the model was trained on them"

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return TinyCohort(tmp_path_factory.mktemp("cohort"), IDS)


@pytest.fixture(scope="module")
def own_bundle(cohort):
    """Train a model on 5 people."""
    words = ("--architecture", "linear", *sets(IDS, 0, 0.45))
    assert cohort.analyse("train", *words) == 0
    return load_bundle(cohort.out / "group/model-own/bundle")


@pytest.fixture
def evaluated(cohort, tmp_path, capsys):
    """Evaluate a model and return the lines; `people` are those who were judged."""

    def evaluate(model, *words, people=4):
        out = tmp_path / "out"
        shutil.copytree(
            cohort.out / "group/cache", out / "group/cache", dirs_exist_ok=True
        )
        capsys.readouterr()
        assert cohort.analyse("evaluate", "--model", model, *words, out=out) == 0
        (table,) = out.glob("group/evaluation-*/desc-contrasts_scores.tsv")
        assert {int(row["people"]) for row in read_table(table)} == {people}
        return capsys.readouterr().err

    return evaluate


def described(cohort, name):
    """Give the dataset another name."""
    path = cohort.bids / "dataset_description.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"Name": name}))


@pytest.fixture
def renamed(cohort):
    yield lambda name: described(cohort, name)
    described(cohort, "fake")


@pytest.mark.slow
def test_who_trained_or_tuned_a_model_does_not_judge_it(
    own_bundle, evaluated, tmp_path
):
    assert LEFT_OUT in evaluated(own_bundle.path)
    (table,) = tmp_path.glob("out/group/evaluation-*/desc-participants_excluded.tsv")
    assert len(read_table(table)) == 5
    page = table.with_name("report.html").read_text()
    assert "Left out: 5 participants: the model was trained on them" in page
    assert [
        own_bundle.people.count(name) for name in ("training", "validation", "test")
    ] == [
        5,
        0,
        4,
    ]


@pytest.mark.slow
def test_where_nobody_knows_it_is_reported(own_bundle, evaluated, tmp_path):
    reported = evaluated(without_people(own_bundle, tmp_path / "old"), people=len(IDS))
    first = "warning: own was made with people who are not listed (training people unknown: own 1"
    assert reported.startswith(first)


@pytest.mark.slow
def test_other_cleaning_is_the_same_rest(cohort, own_bundle, capsys):
    words = ("--model", own_bundle.path, "--denoise-strategy", "simple")
    assert cohort.analyse("evaluate", *words, "--model-name", "clean") == 0
    assert LEFT_OUT in capsys.readouterr().err


@pytest.mark.slow
def test_a_data_set_without_a_name_is_known_by_its_rest(
    cohort, evaluated, renamed, capsys
):
    renamed("fMRIPrep - fMRI PREProcessing workflow")
    words = ("--architecture", "linear", *sets(IDS, 0, 0.45), "--model-name", "none")
    assert cohort.analyse("train", *words) == 0
    assert "has no Name in dataset_description.json" in capsys.readouterr().err
    assert LEFT_OUT in evaluated(cohort.out / "group/model-none/bundle")


@pytest.mark.slow
def test_a_tuned_model_lists_the_training_set_of_the_one_before(
    cohort, own_bundle, evaluated, tmp_path
):
    split = tmp_path / "split.tsv"
    rows = read_table(cohort.out / "group/model-own/desc-split_participants.tsv")
    new = [row["participant_id"] for row in rows if row["set"] == "test"]
    sets = dict.fromkeys(new[:2], "training") | dict.fromkeys(new[2:], "validation")
    split.write_text(
        "participant_id\tset\n" + "".join(f"{p}\t{s}\n" for p, s in sets.items())
    )
    words = (
        "--contrast",
        CONTRASTS[0],
        "--split-file",
        split,
        "--epochs",
        1,
        "--batch-size",
        2,
    )
    words += ("--model", cohort.model, "--model-name", "tuned")
    words += (*NARROW, "--recipe", "default")
    assert cohort.analyse("train", "--architecture", "attention-unet", *words[2:]) == 0
    first = load_bundle(cohort.out / "group/model-tuned/bundle")
    again = (
        "--model",
        first.path,
        "--contrast",
        CONTRASTS[0],
        "--epochs",
        1,
        "--batch-size",
        2,
    )
    rows = [row["participant_id"] for row in rows if row["participant_id"] not in sets]
    sets = dict.fromkeys(rows[:3], "training") | dict.fromkeys(rows[3:], "validation")
    split.write_text(
        "participant_id\tset\n" + "".join(f"{p}\t{s}\n" for p, s in sets.items())
    )
    again += ("--split-file", split, "--model-name", "again")
    assert cohort.analyse("finetune", *again) == 0
    tuned = load_bundle(cohort.out / "group/model-again/bundle")
    assert [tuned.people.count(name) for name in ("training", "validation")] == [5, 4]


class TestPublishedLists:
    @pytest.fixture
    def hcp(self, own_bundle, tmp_path):
        """Make a model that has seen four people of HCP-YA, and perhaps a fifth."""

        def listed(*numbers):
            return tuple((hash_person("HCP-YA", IDS[n]),) for n in numbers)

        sets = {
            "training": listed(0, 1, 2),
            "validation": listed(3),
            UNCERTAIN: listed(4),
        }
        seen = TrainingHashes(
            sets, ("5 of the 39 test people of HCP-YA",), by_content=False
        )
        return extend_bundle(own_bundle, tmp_path / "hcp", people=seen).path

    @pytest.mark.slow
    def test_ids_of_six_digits_are_looked_up(self, hcp, evaluated):
        reported = evaluated(hcp, people=5)
        assert "left out: 3 participants: the model was trained on them" in reported
        assert "4 participants of these (900050, 900051" in reported
        assert "IDs from the published lists of HCP-YA" in reported
        assert f"may have been trained on 1 participant ({IDS[4]})" in reported
        assert "not listed (5 of the 39 test people of HCP-YA)" in reported
        assert "only by label" in reported

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["HCP-YA", "hcp ya", "HCP Young Adult"])
    def test_a_name_of_the_data_set_says_whose_they_are(
        self, hcp, evaluated, renamed, name
    ):
        renamed(name)
        reported = evaluated(hcp, people=5)
        assert "left out: 3 participants" in reported
        assert "published lists" not in reported

    @pytest.mark.slow
    def test_ids_that_look_otherwise_are_reported(self, hcp, evaluated, renamed):
        renamed("HCP-D")
        reported = evaluated(hcp, people=len(IDS))
        assert f"warning: the IDs of {len(IDS)} participants (" in reported
        assert (
            "not in the form of HCP-D: whether own was trained on them is not known"
            in reported
        )


@pytest.mark.slow
def test_other_labels_orders_and_scales_hide_nobody(trained_maps, tmp_path, capsys):
    """Training people under new names were scored as new."""
    arrays = image_people.people()
    order = np.random.default_rng(3).permutation(len(arrays["people"]))
    arrays |= {"people": np.array([f"x{n}" for n in range(len(order))])}
    arrays |= {"rest": 10 * arrays["rest"][order], "targets": arrays["targets"][order]}
    image_people.write(tmp_path / "again", **arrays)
    model = ("--model", trained_maps.bundle)
    assert image_people.call(tmp_path / "again", "evaluate", *model) == 0
    log = capsys.readouterr().err
    assert "left out: 8 participants: the model was trained on them" in log
