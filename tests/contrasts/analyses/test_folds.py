"""Few people all train a linear kind, and cross-validation judges it."""

from __future__ import annotations

import html
import json

import numpy as np
import pytest
from image_people import call, people, write
from maps_job import read_table
from split_options import sets

from bids_dtg.contrasts.bundle.bundle import load_bundle

LINEAR = ("--architecture", "linear")
PEOPLE = 14  # without any group, ten or more: ROI maps are made of their rest
FAMILIES = 4  # of two, beside people without relatives
COUNTED = (
    PEOPLE - FAMILIES - 1
)  # in verdicts, where a family is one, and so are two copies


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def few():
    """Make people, most of them in families of two; the last two are the same person."""
    arrays = people(number=PEOPLE)
    arrays["rest"][-1], arrays["targets"][-1] = (
        2 * arrays["rest"][-2],
        arrays["targets"][-2],
    )
    names = [
        f"f{n % FAMILIES}" if n < 2 * FAMILIES else f"alone{n}" for n in range(PEOPLE)
    ]
    arrays |= {
        "families": np.array(names),
        "contrasts": np.array(["WM 0bk:faces", "own rest"]),
    }
    return arrays


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder where people have trained a model without options on sets."""
    folder = tmp_path_factory.mktemp("few")
    write(folder, **few())
    assert call(folder, "train", *LINEAR) == 0
    return folder


@pytest.fixture(scope="module")
def model_folder(study):
    return study / "out/group/model-own"


def groups_of(model_folder):
    rows = read_table(model_folder / "desc-folds_participants.tsv")
    return {row["participant_id"].removeprefix("sub-"): row["group"] for row in rows}


@pytest.mark.slow
def test_everybody_trains_and_everybody_is_judged(model_folder):
    bundle = load_bundle(model_folder / "bundle")
    card = bundle.card
    assert card.training.participants == card.part.recentring.participants == PEOPLE
    assert card.record["roi_maps"]["people"] == PEOPLE
    assert card.evaluation["participants"] == PEOPLE
    assert {row["people"] for row in card.evaluation["comparisons"]} == {COUNTED}
    assert sum(card.evaluation["cross_validation"]["groups"]) == PEOPLE
    assert card.record["cross_validation"]["seed"] == 0
    names = {
        "model",
        "group average",
        "own mean prediction",
        "another person's prediction",
    }
    assert {row["model"] for row in card.evaluation["rows"]} >= names
    widths = bundle.half_widths
    assert (widths.people, widths.segments, widths.left_out_in_turn) == (
        PEOPLE,
        1,
        True,
    )
    assert not (model_folder / "arrays/work").exists()


def test_the_page_has_a_verdict_and_says_by_what(model_folder):
    page = " ".join((model_folder / "report.html").read_text().split())
    assert "No verdict" not in page
    assert "Scores and verdicts are from cross-validation: 4 groups of" in page
    assert (
        f"The model in the bundle is a fit to all {PEOPLE}. Simple models were" in page
    )
    assert "test participants of study" not in page
    assert "The linear model has one fit per parcel, of " in page


def test_families_and_copies_are_left_out_together(study, model_folder):
    people, groups = few(), groups_of(model_folder)
    assert sorted(groups) == sorted(people["people"])
    assert len(set(groups.values())) == 4
    family = dict(
        zip(people["people"].tolist(), people["families"].tolist(), strict=True)
    )
    for name in family.values():
        assert (
            len(
                {
                    groups[label]
                    for label, persons_family in family.items()
                    if persons_family == name
                }
            )
            == 1
        )
    assert groups[f"0{PEOPLE - 2}"] == groups[f"0{PEOPLE - 1}"]


@pytest.mark.slow
def test_the_bundle_is_that_of_a_fit_to_all(study, model_folder):
    assert (
        call(
            study,
            "train",
            *LINEAR,
            *sets(few()["people"].tolist(), 0, 0),
            "--model-name",
            "all",
        )
        == 0
    )
    of_folds, all_of_them = (
        load_bundle(folder / "bundle")
        for folder in (model_folder, study / "out/group/model-all")
    )
    assert all_of_them.card.evaluation is None
    for name, tensor in of_folds.weights().read().items():
        np.testing.assert_array_equal(tensor, all_of_them.weights().read()[name])
    np.testing.assert_array_equal(
        of_folds.correction.gains, all_of_them.correction.gains
    )
    np.testing.assert_array_equal(of_folds.roi_maps, all_of_them.roi_maps)


@pytest.mark.slow
def test_a_group_is_judged_by_what_its_own_maps_never_touched(
    study, model_folder, tmp_path
):
    """Nonsense maps and rest of a group change its scores, and no other fit to it."""
    people, groups = few(), groups_of(model_folder)
    write(tmp_path, **people)
    out = [n for n, label in enumerate(people["people"]) if groups[str(label)] == "1"]
    table = tmp_path / "split.tsv"
    rows = [
        f"{label}\t{'test' if groups[str(label)] == '1' else 'training'}\n"
        for label in people["people"]
    ]
    table.write_text("participant_id\tset\n" + "".join(rows))
    assert call(tmp_path, "train", *LINEAR, "--split-file", table) == 0
    folders = (model_folder, tmp_path / "out/group/model-own")
    by_folds, by_split = (
        np.load(folder / "arrays/matrices/Model.npy", mmap_mode="r")
        for folder in folders
    )
    training = np.setdiff1d(np.arange(PEOPLE), out)
    within, between = np.ix_(out, out), np.ix_(out, training)
    np.testing.assert_allclose(by_folds[:, *within], by_split, atol=1e-6)
    assert np.isnan(by_folds[:, *between]).all()


@pytest.mark.slow
def test_eight_are_judged_and_seven_are_not(tmp_path, capsys):
    write(tmp_path, **few())
    labels = [f"0{n:02d}" for n in range(PEOPLE)]
    alone = [*labels[:FAMILIES], *labels[2 * FAMILIES : -3]]  # one of each family
    words = ("--participant-label", *alone, "--model-name", "seven")
    assert call(tmp_path, "train", *LINEAR, *words) == 0
    assert "the model of 7 participants is not scored" in capsys.readouterr().err
    words = (
        "--participant-label",
        *alone,
        labels[5],
        "--model-name",
        "eight",
        "--dry-run",
    )
    assert call(tmp_path, "train", *LINEAR, *words) == 0
    shown = capsys.readouterr().out
    assert "to train: 8 participants" in shown
    assert (
        "to cross-validate, 4 groups of 2 participants left out in turn: 8 part"
        in shown
    )


@pytest.mark.slow
def test_contrasts_that_hcp_lacks_are_named(study, model_folder, capsys):
    assert call(study, "train", *LINEAR, "--dry-run", "--model-name", "names") == 0
    line = "not among HCP's contrasts, so kept under its own name: 1 of 2 contrasts (ownrest)"
    assert line in capsys.readouterr().err
    assert line in " ".join(
        html.unescape((model_folder / "report.html").read_text()).split()
    )
    labels = [
        contrast["label"]
        for contrast in json.loads((model_folder / "bundle/model.json").read_text())[
            "contrasts"
        ]
    ]
    assert labels == ["wm0bkFace", "ownrest"]


@pytest.mark.slow
def test_five_people_who_are_in_twice_get_no_verdict(study):
    twice = people(seed=5, number=5)
    twice["contrasts"] = np.array(["WM 0bk:faces", "own rest"])
    for key, values in (("rest", 2 * twice["rest"]), ("targets", twice["targets"])):
        twice[key] = np.concatenate([twice[key], values])
    twice["people"] = np.array(
        [*twice["people"], *(f"c{label}" for label in twice["people"])]
    )
    write(study / "twice", **twice)
    words = ("--model", study / "out/group/model-own/bundle", "--model-name", "twice")
    assert call(study / "twice", "evaluate", *words) == 0
    evaluation = study / "twice/out/group/evaluation-twice"
    assert (
        "No verdict with 5 participants (8 are needed)"
        in (evaluation / "report.html").read_text()
    )
    assert {
        row["people"] for row in read_table(evaluation / "desc-contrasts_scores.tsv")
    } == {"5"}
