"""The process that makes reports: answers in order; if it dies, one report is lost."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.participants import reports as module
from bids_dtg.participants.reports import Reports
from bids_dtg.report.participant import write_index

PROGRAM = """#!{python}
import json, os, sys, time
assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
open({started!r}, "a").write("x")
for line in sys.stdin:
    label = json.loads(line)["participant"]
    if label == "die":
        os.kill(os.getpid(), 9)
    if label == "wait":
        time.sleep(10**6)
    print(json.dumps(None if label == "made" else f"by {{os.getpid()}}"), flush=True)
time.sleep(0 if "label" in globals() else 10**6)
"""


class Scene:
    """Reports by a program that answers without making any."""

    def __init__(self, folder: Path) -> None:
        self.started, self.program = folder / "started", folder / "program"
        self.program.write_text(
            PROGRAM.format(python=sys.executable, started=str(self.started))
        )
        self.program.chmod(0o755)
        self.notes: list[str] = []
        self.reports = Reports(
            DerivativeDataset(folder), wanted=True, note=self.notes.append
        )

    @property
    def errors(self) -> dict[str, str]:
        """Why reports failed, by participant in the order of the notes."""
        warning = ": warning: no report: "
        warnings = (note.partition(warning) for note in self.notes if warning in note)
        return {person.removeprefix("sub-"): why for person, _, why in warnings}


@pytest.fixture
def scene(tmp_path, monkeypatch) -> Scene:
    empty_scene = Scene(tmp_path)
    monkeypatch.setattr(sys, "executable", str(empty_scene.program))
    monkeypatch.setattr(module, "write_index", lambda *_, **__: None)
    return empty_scene


def test_answers_come_in_order_from_one_process_as_long_as_it_lives(scene):
    with scene.reports as reports:
        scene.program.with_name("sub-kept.html").touch()
        reports.request("kept", changed=False)
        for label in ("made", "a", "b", "die", "c"):
            reports.request(label)
    assert [*scene.errors] == ["a", "b", "die", "c"]
    assert scene.errors["a"] == scene.errors["b"] != scene.errors["c"]
    assert (
        scene.errors["die"]
        == "its process died: it was ended by SIGKILL (out of memory?)"
    )
    assert reports.failed == 4
    assert scene.started.read_text() == "xx"


def test_a_program_that_cannot_be_started_fails_each_report(scene):
    scene.program.unlink()
    with scene.reports as reports:
        reports.request("a")
    assert "No such file" in scene.errors["a"]


def test_an_index_that_cannot_be_written_is_a_warning(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "write_index", write_index)
    (tmp_path / "index.html" / "x").mkdir(parents=True)
    with scene.reports:
        pass
    assert (
        f"warning: no index page: {tmp_path}/index.html cannot be written"
        in scene.notes[-1]
    )


def test_a_process_without_requests_is_ended_and_not_waited_for(scene):
    with scene.reports:  # waiting for it would end in this test's timeout
        while not scene.started.exists():
            time.sleep(0.01)
    assert not scene.errors


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_after_an_error_they_are_given_up(scene):
    def fail() -> None:
        with scene.reports as reports:
            for label in ("a", "wait", "b"):
                reports.request(label)
            while not scene.errors:
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [*scene.errors] == ["a"]
    assert not Path(f"/proc/{scene.errors['a'].removeprefix('by ')}").exists()
