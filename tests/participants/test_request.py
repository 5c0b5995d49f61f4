"""What a call does in a folder that an earlier version has written."""

from __future__ import annotations

import json

import pytest
from tiny_job import TinyJob

from bids_dtg.version import __version__


@pytest.mark.slow
def test_averages_of_an_earlier_version_are_made_anew(tmp_path, capsys):
    job = TinyJob(tmp_path)
    assert job.run() == 0
    (path,) = (job.out / "logs/complete").glob("*.json")
    record = json.loads(path.read_text())
    # Earlier versions also wrote what this one does not.
    name = "sub-01/func/sub-01_task-rest_left.txt"
    left = job.out / name
    left.write_text("x")
    record["Options"]["version"] = "0.0.1"
    record["Outputs"][name] = next(iter(record["Outputs"].values()))
    path.write_text(json.dumps(record))
    assert job.run("--dry-run") == 0
    assert f"(option version changed (0.0.1 to {__version__}))" in capsys.readouterr().out
    assert job.run() == 0
    assert "1 average of maps made, 0 complete before" in capsys.readouterr().err
    assert not left.exists()
