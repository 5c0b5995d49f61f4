from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from bids_dtg.cli.phantom import main
from bids_dtg.contrasts.phantom.dataset import phenotype
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.phantom.streams import Cohort


@pytest.mark.slow
def test_participants_are_written_one_by_one(tmp_path, capsys):
    out = tmp_path / "out"
    assert main([str(out), "--participants", "2", "--seed", "5", "--frames", "50"]) == 0
    rows = [
        line.split("\t")
        for line in (out / "fmriprep/participants.tsv").read_text().splitlines()
    ]
    assert [row[0] for row in rows] == ["participant_id", "sub-sim001", "sub-sim002"]
    person = Phantom(seed=5).person(Cohort.DEMO, 1)
    assert rows[2][1:] == [str(value) for value in phenotype(person).values()]
    for name in ("fmriprep", "statmaps", "truth"):
        recipe = json.loads((out / name / "dataset_description.json").read_text())[
            "Simulation"
        ]
        assert (recipe["PhantomSeed"], recipe["Frames"]) == (5, 50)
    counts = {"fmriprep": 1, "statmaps": 2 * 47, "truth": 47}
    for label in ("sub-sim001", "sub-sim002"):
        for name, count in counts.items():
            images = [*(out / name / label).rglob("*_bold.nii.gz")]
            images += (out / name / label).rglob("*_statmap.nii.gz")
            assert len(images) == count
    lines = [line[9:] for line in capsys.readouterr().err.splitlines()]
    assert [line.partition(" in ")[0] for line in lines] == [
        "[1/2] simulating sub-sim001",
        "[1/2] simulating sub-sim001: written",
        "[2/2] simulating sub-sim002",
        "[2/2] simulating sub-sim002: written",
        "2 simulated participants",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--participants", "0"], "--participants is 0. Expected: 1 to 999"),
        (["--seed", "-1"], "--seed is -1"),
        (["--frames", "10"], "50 frames or more of 0.2 to 10 s, not 10 of 1.5 s"),
        (["--repetition-time", "1500"], "not 300 of 1500 s"),
        (["--workflow", "dynamics", "--frames", "50"], "not 50 of 1.5 s"),
        (["--workflow", "twin", "--repetition-time", "4"], "not 300 of 4 s"),
    ],
)
def test_wrong_arguments_end_with_2(tmp_path, options, message, capsys):
    out = tmp_path / "out"
    assert main([str(out), *options]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_what_keeps_a_participant_from_being_written_ends_with_1(
    tmp_path, monkeypatch, capsys
):
    replace = Path.replace

    def disturbed(self: Path, target: Path) -> Path:
        if Path(target).name.startswith("sub-sim001"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", disturbed)
    assert main([str(tmp_path / "out"), "--frames", "50"]) == 1
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if "error: " in line
    ]
    assert "sub-sim001_" in line
    assert "cannot be written: No space left on device" in line
