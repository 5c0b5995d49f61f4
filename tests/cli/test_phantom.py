from __future__ import annotations

import subprocess
import sys

import pytest

import bids_dtg.workflows.demo
from bids_dtg.cli.phantom import main
from bids_dtg.errors import OutputError


@pytest.fixture
def written(monkeypatch):
    """Collect who would be written, in place of writing full-size images."""
    people = []

    def write(out, person, *, plan, stage):
        stage("resting run", 0.0)
        people.append((person.cohort, person.index, person.phantom.seed, plan.frames))

    monkeypatch.setattr(bids_dtg.workflows.demo, "write_participant", write)
    return people


def test_participants_are_written_one_by_one(tmp_path, written, capsys):
    out = tmp_path / "out"
    assert main([str(out), "--participants", "2", "--seed", "5", "--frames", "90"]) == 0
    assert written == [(3, 0, 5, 90), (3, 1, 5, 90)]
    table = (out / "fmriprep" / "participants.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in table] == [
        *("participant_id", "sub-sim001", "sub-sim002")
    ]
    assert "[2/2] simulating sub-sim002: written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--participants", "0"], "--participants 0. Expected: 1 to 999"),
        (["--seed", "-1"], "--seed -1"),
        (["--frames", "10"], "50 frames or more of 0.2 to 10 s, not 10 of 1.5 s"),
        (["--repetition-time", "1500"], "not 300 of 1500 s"),
    ],
)
def test_wrong_arguments_end_with_2(tmp_path, options, message, capsys):
    out = tmp_path / "out"
    assert main([str(out), *options]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").write_text("")
    assert main([str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err


def test_a_disk_that_is_full_ends_with_1(tmp_path, monkeypatch, capsys):
    def fail(*_, **__):
        raise OutputError("disk full")

    monkeypatch.setattr(bids_dtg.workflows.demo, "write_participant", fail)
    assert main([str(tmp_path / "out")]) == 1
    assert "error: disk full." in capsys.readouterr().err


def test_help_does_not_wait_for_numpy():
    code = (
        "import sys, bids_dtg.cli.phantom as c; c.build_parser(); assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
