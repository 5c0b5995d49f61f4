"""The workflows on the command line: which options, levels and analyses belong to which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bids_dtg.cli.run import main
from bids_dtg.settings import Settings

DYNAMICS = "--workflow dynamics"
TRAIN = "group --workflow dynamics --analysis train --input-arrays a.npz"
TWIN = "--workflow twin"
TWINS = f"group {TWIN} --analysis train --input-arrays a.npz"


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Run a command line that is refused; return its one line."""
    monkeypatch.chdir(tmp_path)

    def run(words: str) -> str:
        try:
            code = main(["in", "out", *words.split()])
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        assert (code, captured.out) == (2, ""), captured
        assert not (tmp_path / "out").exists()
        (line,) = captured.err.splitlines()
        return line

    return run


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (f"participant {DYNAMICS} --analysis train", "was given with participant. Expected: group"),
        (
            f"group {DYNAMICS}",
            "--workflow dynamics was given with group and no --analysis. Expected: group "
            "--analysis train|evaluate|simulate|fixed-points|stats|phenotypes|embed.",
        ),
        (
            f"group --analysis finetune {DYNAMICS} --model own",
            "--analysis finetune was given with --workflow dynamics. Expected: one of train, "
            "evaluate, simulate, fixed-points, stats, phenotypes, embed. To do: --workflow "
            "contrasts has --analysis finetune",
        ),
        (
            f"{TRAIN} --gsr",
            "--gsr is not read by --workflow dynamics --analysis train, but by the participant "
            "level (see bids_dtg --help)",
        ),
        (
            f"{TWINS} --permutations 5",
            "--permutations is not read by --workflow twin --analysis train, but by --analysis "
            "intervene or stats or phenotypes or embed (see",
        ),
        (
            "participant --task-file faces",
            "--task-file is not read by --workflow contrasts, but by --workflow twin (see",
        ),
        (f"{TRAIN} --states three", "--states is 'three'. Expected: a whole number"),
        (f"{TRAIN} --region-parameters -1", "--region-parameters is -1. Expected: 1 or more"),
        (f"{TRAIN} --learning-rate 0", "--learning-rate is 0.0. Expected: a finite number above 0"),
        ("group --analysis phenotypes --folds 1", "--folds is 1. Expected: 2 or more"),
        ("group --analysis stats --permutations -1", "--permutations is -1. Expected: 0 or more"),
        (
            "group --analysis stats --phenotype age --covariates age",
            "age is given as --phenotype and as --covariates. Expected: one of them.",
        ),
        ("group --verify", "--verify was given with group. Expected: participant."),
        ("participant --combine all", "invalid choice: 'all'"),
        ("group --analysis stat", "; did you mean stats? (see"),
        ("group --analysis Stats", "; did you mean stats? Upper and lower case count (see"),
        (
            f"{TWINS} --architecture linear",
            "argument --architecture: invalid choice: 'linear' (choose from lowrank, hypernetwork)",
        ),
        (
            f"group {DYNAMICS} --analysis simulate --input-arrays a.npz",
            "--workflow dynamics --analysis simulate was given without --model. Expected: a model "
            "that --workflow dynamics --analysis train has made",
        ),
    ],
)
def test_what_does_not_belong_together_is_one_line(told, words, line):
    assert line in told(words)


def test_what_a_file_of_options_has_beside_what_is_read_is_said(told, tmp_path, capsys):
    file = tmp_path / "options.toml"
    file.write_text('[model]\nworkflow = "dynamic"\n')
    assert "workflow is 'dynamic'. Expected: one of contrasts, dynamics, twin" in told(
        "participant --config-file options.toml"
    )
    file.write_text('[model]\nworkflow = "dynamics"\n[cleaning]\ngsr = true\nhigh_pass = 0.01\n')
    assert (
        main(["in", "out", *TRAIN.split()[:1], "--analysis", "train", f"--config-file={file}"]) == 2
    )
    note, _error = capsys.readouterr().err.splitlines()
    assert note == f"bids_dtg: note: without effect here: gsr of {file}, high_pass of {file}"


def test_defaults_of_another_workflow_are_no_options_that_were_given():
    given = {"bids_dir": "in", "output_dir": "out", "analysis_level": "group"}
    settings = Settings.of(**given, workflow="dynamics", analysis="train", combine="session")
    assert (settings.modelling.epochs, settings.modelling.network_epochs) == (None, 100)
    assert settings.modelling.network_batch == 10
    assert settings.modelling.network_rate == 1e-3
    assert settings.replace(epochs=7, batch_size=5, learning_rate=0.1).modelling.network_epochs == 7


# --- outputs of another workflow


def describe(folder: Path, **generator: str) -> None:
    folder.mkdir()
    made = {"GeneratedBy": [{"Name": "bids_dtg", "Version": "1", **generator}]}
    (folder / "dataset_description.json").write_text(json.dumps(made))


@pytest.mark.parametrize(
    ("generator", "words", "line"),
    [
        ({"Workflow": "dynamics"}, "participant", "out holds results of --workflow dynamics. Exp"),
        ({"Workflow": "dynamics"}, "group", "or one that --workflow contrasts made"),
        ({"Workflow": "dynamics"}, "group --analysis train", "--workflow dynamics. Expected"),
        ({}, TRAIN, "out holds results of --workflow contrasts. Expected: an empty folder, or one"),
        ({"Workflow": "twin"}, TRAIN, "out holds results of --workflow twin"),
        ({"Workflow": "dynamics"}, TWINS, "out holds results of --workflow dynamics"),
    ],
)
def test_an_output_of_another_workflow_is_refused(tmp_path, capsys, generator, words, line):
    describe(tmp_path / "out", **generator)
    assert main([str(tmp_path / "in"), str(tmp_path / "out"), *words.split()]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said
    assert said.endswith("To do: choose another OUTPUT_DIR.")


@pytest.mark.parametrize("description", ["{", "[]", '{"GeneratedBy": 3}', '{"GeneratedBy": []}'])
def test_an_output_whose_maker_is_not_known_is_left_to_later_checks(tmp_path, capsys, description):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/dataset_description.json").write_text(description)
    assert main([str(tmp_path / "in"), str(tmp_path / "out"), "participant"]) == 2
    assert "in does not exist" in capsys.readouterr().err
