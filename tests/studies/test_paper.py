"""The publication's figures by one command: it resumes, and draws only what tables say."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

from paper import Paper, Record, Step, arguments
from paper_figures import FIGURES, shown_models, verdict_lines

from bids_dtg.cli.run import build_parser

ROOT = Path(__file__).parents[2]


def step(folder: Path, command: str = "a call") -> Step:
    return Step("scores", command, lambda: 0, (folder,))


def test_a_step_is_done_while_its_command_and_files_are_the_same(tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    (made / "table.tsv").write_text("r\n0.5\n")
    record = Record(tmp_path / "steps")
    assert not record.is_done(step(made))
    record.keep(step(made), (1.0, 1.0), 0)
    assert record.is_done(step(made))
    assert not record.is_done(step(made, "another call"))
    (made / "table.tsv").write_text("r\n")
    assert not record.is_done(step(made))


def test_a_model_below_its_baseline_is_named_so(tmp_path):
    rows = [
        {"score": "r", "against": "group average", "difference": [-0.1, -0.2, 0.01]},
        {"score": "r", "against": "own mean prediction", "difference": [0.2, 0.1, 0.3]},
        {"score": "residual_r", "against": "linear (Tavor)", "difference": [0.2, 0.1, 0.3]},
        {"score": "r", "against": "linear (Tavor)", "difference": [None, None, None]},
    ]
    facts = {"comparisons": [row | {"verdict": "too few people"} for row in rows]}
    (tmp_path / "desc-models_scores.json").write_text(json.dumps(facts))
    assert list(verdict_lines(tmp_path)) == [
        "r BELOW group average by 0.100 [-0.200, +0.010]: too few people",
        "r above own mean prediction by 0.200 [+0.100, +0.300]: too few people",
        "residual r above linear (Tavor) by 0.200 [+0.100, +0.300]: too few people",
    ]


def test_the_linear_baseline_of_few_parcels_is_shown_too(tmp_path):
    linear = "linear, one fit for each of 24 parcels"
    others = ("kernel ridge", "linear, whole brain")
    (tmp_path / "desc-models_scores.tsv").write_text(
        "\n".join(["model", "retest", *others, linear, "model", "group average", ""])
    )
    assert shown_models(tmp_path) == ("group average", linear, "retest", "model")
    rows = [
        {"score": "r", "against": name, "difference": [-0.1, -0.2, -0.01], "verdict": "worse"}
        for name in (linear, *others)
    ]
    (tmp_path / "desc-models_scores.json").write_text(json.dumps({"comparisons": rows}))
    assert list(verdict_lines(tmp_path)) == [f"r BELOW {linear} by 0.100 [-0.200, -0.010]: worse"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "give either"),
        ("--bids rest", "give either"),
        ("--simulate 4", "10 people"),
        ("--simulate 12 --bids a --maps b", "give either"),
        ("--bids a --maps b --tune motorAvg", "--tune needs a second cohort"),
        ("--simulate 12 --tune motorAvg", "--tune needs a network"),
        ("--simulate 12 --tune motorAvg --architecture attention-unet", "to choose the epoch by"),
    ],
)
def test_wrong_arguments_get_a_line(words, line, capsys):
    with pytest.raises(SystemExit):
        arguments(["work", *words.split()])
    assert line in capsys.readouterr().err


def test_a_network_is_tuned_and_judged_on_people_of_the_second_cohort(tmp_path):
    """The step is a call of the program, which its own parser takes."""
    words = "--bids a --maps b --transfer c d --architecture attention-unet --epochs 3 --tune wm"
    words += " --held-out 0.1 0.5"
    paper = Paper(tmp_path, arguments([str(tmp_path), *words.split()]))
    paper.scores.mkdir(parents=True)
    (paper.scores / "desc-people_scores.tsv").write_text("participant_id\nsub-01\n")
    steps = {step.name: step for step in paper.steps()}
    assert list(steps)[:3] == ["scores", "transfer", "tune"]
    _, *typed = shlex.split(steps["tune"].command)
    given = build_parser().parse_args(typed)
    assert (str(given.bids_dir), given.analysis, given.epochs) == ("c", "finetune", "3")
    assert list(given.derivatives) == ["fmriprep=c", "statmaps=d"]
    assert list(given.contrast) == ["wm"]
    assert list(given.held_out) == ["0.1", "0.5"]
    (folder,) = steps["tune"].made
    assert folder == tmp_path / "out-transfer/group/model-paper"


def test_what_was_tuned_is_shown_beside_what_it_was(tmp_path):
    models = ("before tuning", "linear (Tavor)", "tuned", "tuned, not re-centred", "group average")
    (tmp_path / "desc-models_scores.tsv").write_text("\n".join(["model", *models, ""]))
    assert shown_models(tmp_path) == ("group average", "linear (Tavor)", "before tuning", "tuned")


@pytest.mark.slow
def test_make_paper_goes_on_after_kill_9_and_draws_every_figure(tmp_path):
    """It takes about a minute of two cores: it is the whole program's chain, once."""
    work = tmp_path / "paper"
    typed = subprocess.run(
        [
            "make",
            "--dry-run",
            "--no-print-directory",
            "--old-file=.venv/installed",
            "paper",
            f"PAPER={work}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = [
        sys.executable if w == ".venv/bin/python" else w
        for w in shlex.split(typed.splitlines()[-1])
    ]

    with subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    ) as run:
        while not (work / "steps/scores.json").exists():
            assert run.poll() is None
            time.sleep(0.1)
        os.killpg(run.pid, signal.SIGKILL)

    def again() -> list[str]:
        said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        return said.splitlines()

    lines = again()
    assert [line for line in lines if line.endswith("done before")] == [
        "simulate: done before",
        "scores: done before",
    ]
    assert sorted(path.stem for path in (work / "figures").iterdir()) == sorted(FIGURES)
    judged = (work / "out/group/model-paper/desc-people_scores.tsv").read_text()
    split = (work / "out/group/model-paper/desc-split_participants.tsv").read_text()
    trained = [row.split("\t")[0] for row in split.splitlines() if row.endswith("training")]
    assert len(trained) == 6
    assert not any(name in judged for name in trained)
    assert sum(line.endswith("done before") for line in again()) == len(
        list((work / "steps").iterdir())
    )
