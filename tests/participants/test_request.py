"""What a call finds in a folder that another version has written."""

from __future__ import annotations

from tiny_job import TinyJob

from bids_dtg.version import __version__


def test_a_newer_version_makes_averages_anew(tmp_path, monkeypatch, capsys):
    job = TinyJob(tmp_path)
    assert job.run() == 0
    monkeypatch.setattr("bids_dtg.participants.request.__version__", "99")
    assert job.run("--dry-run") == 0
    assert f"(option version changed ({__version__} to 99))" in capsys.readouterr().out
    assert job.run() == 0
    assert "1 average of maps made, 0 complete before" in capsys.readouterr().err
