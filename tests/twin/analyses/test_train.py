"""Digital twins are trained by the command line, and their tables are whole."""

from __future__ import annotations

import json

import pytest
from split_options import split
from twin_people import LABELS, SEEN, arguments

from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows
from bids_dtg.settings import Settings
from bids_dtg.twin.analyses.train import chosen_architecture, chosen_recipe
from bids_dtg.twin.bundle.bundle import TwinBundle


def test_a_twin_is_trained_and_its_tables_are_whole(bundle):
    part = TwinBundle.load(bundle).part
    assert (part.architecture, part.people, part.edges) == ("lowrank", 3, 28)
    assert [task.name for task in part.tasks] == ["faces", "stroop"]
    assert (part.data_set, part.connectome) == ("tiny", "edges from arrays, Fisher z")
    people = read_rows(bundle.parent / "desc-participants_trials.tsv")
    assert [row["participant_id"] for row in people] == [
        f"sub-{label}" for label in SEEN
    ]
    assert {row["used"] for row in people} == {"true"}
    assert {(row["trials_faces"], row["trials_stroop"]) for row in people} == {
        ("18", "18")
    }
    history = read_rows(bundle.parent / "desc-training_history.tsv")
    stages = [row["stage"] for row in history]
    assert stages == ["group"] * 2  # three people tell nothing: the gate is shut
    assert [row["epoch"] for row in history] == ["1", "2"]
    for table in bundle.parent.glob("desc-*.tsv"):
        assert list(json.loads(table.with_suffix(".json").read_text())) == [
            "Description",
            *read_rows(table)[0],
        ]


@pytest.mark.slow
def test_all_weights_are_generated_where_asked_for(people, out, call, tmp_path):
    options = ("--architecture", "hypernetwork", "--epochs", "1", "--task-file")
    sets = split(LABELS[1:5], LABELS[:1])
    assert call("train", *options, "stroop", *sets, "--model-name", "all") == 0
    folder = out / "group" / "model-all"
    part = TwinBundle.load(folder / "bundle").part
    assert (part.architecture, part.people) == ("hypernetwork", 4)
    rows = read_rows(folder / "desc-participants_trials.tsv")
    assert [
        (row["used"], row["set"], row["reason"]) for row in (rows[0], rows[1], rows[5])
    ] == [
        ("false", "test", "n/a"),
        ("true", "training", "n/a"),
        ("false", "n/a", "not in --split-file"),
    ]
    # Four people tell nothing: the gate is shut.
    assert {
        row["stage"] for row in read_rows(folder / "desc-training_history.tsv")
    } == {"group"}


def test_a_dry_run_writes_nothing(call, out, capsys):
    assert call("train", "--dry-run", "--model-name", "dry") == 0
    assert not (out / "group" / "model-dry").exists()
    shown = capsys.readouterr().out
    assert "stroop: 6 runs, 108 scored trials" in shown
    assert "would process 6 participants" in shown
    assert (
        "the model dry (lowrank, at most 100 epochs of the stage group and 12" in shown
    )
    assert call("evaluate", "--folds", "3", "--dry-run") == 0
    assert (
        "scores of 3 folds of 6 participants, tables and a page"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("--participant-label", LABELS[0]),
            "1 participant would be trained on. Expected: 2 or",
        ),
        (("--task-file", "missing.toml"), "missing.toml"),
        (
            ("--array-key", "edges=missing"),
            "no file has the key missing, which --array-key gives",
        ),
        (("--participant-label", "nobody"), "nobody"),
        (("--recipe", "published"), "--recipe"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line(people, tmp_path, capsys, words, line):
    assert main(arguments(people, tmp_path / "out", "train", *words)) == 2
    assert line in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_options_change_the_recipe_of_the_stage_that_is_trained():
    def recipe(**options: object) -> tuple[int, float, int, float]:
        places = {"bids_dir": "in", "output_dir": "out", "analysis_level": "group"}
        settings = Settings.of(**places, workflow="twin", analysis="train", **options)
        chosen = chosen_recipe(settings)
        return (
            chosen.group_epochs,
            chosen.group_rate,
            chosen.hyper_epochs,
            chosen.hyper_rate,
        )

    plain = recipe()
    assert recipe(epochs=7, learning_rate=0.5) == (7, 0.5, *plain[2:])
    changed = recipe(architecture="hypernetwork", epochs=7, learning_rate=0.5)
    assert changed == (7, plain[1], 5, 0.5)
    published = {"recipe": "published", "architecture": "hypernetwork"}
    assert recipe(**published) == (0, plain[1], 800, 1e-6)
    assert recipe(**published, epochs=3)[2] == 3
    settings = Settings.of(
        bids_dir="in", output_dir="out", analysis_level="group", workflow="twin"
    )
    recipes = [chosen_recipe(settings.replace(epochs=number)) for number in (4, 150)]
    assert [
        (recipe_of_epochs.group_epochs, recipe_of_epochs.times_epochs)
        for recipe_of_epochs in recipes
    ] == [(4, 4), (150, 12)]
    batches = chosen_recipe(settings.replace(batch_size=3))
    assert (batches.batch_people, batches.times_people) == (3, 3)
    assert chosen_architecture(settings).name == "lowrank"
