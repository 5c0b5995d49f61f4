"""Processes side by side: what is lost when one ends, what is tried again, what stops."""

from __future__ import annotations

import errno
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
from tiny_job import TinyJob, read_table, tree

from bids_dtg.engine.backlog import Backlog
from bids_dtg.imaging import bold as bold_module
from bids_dtg.settings import Settings
from bids_dtg.workflows.participant import call as executor
from bids_dtg.workflows.participant import worker as worker_module
from bids_dtg.workflows.participant.pool import Pool
from bids_dtg.workflows.participant.predict import MapSetMaker
from bids_dtg.workflows.participant.worker import Finished, Steps, Worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no process is forked here")


class Once:
    """Says True a number of times, in all processes together."""

    def __init__(self, folder: Path, times: int = 1) -> None:
        self.folder, self.times = folder, times
        folder.mkdir()

    def __call__(self) -> bool:
        for number in range(self.times):
            try:
                (self.folder / str(number)).touch(exist_ok=False)
            except FileExistsError:
                continue
            return True
        return False

    @property
    def count(self) -> int:
        return len(list(self.folder.iterdir()))


@pytest.fixture(scope="module")
def crowd(tmp_path_factory) -> TinyJob:
    """Make a job of four participants; run it in one process, undisturbed."""
    job = TinyJob(tmp_path_factory.mktemp("pool"), ("01", "02", "03", "04"))
    assert job.run("--nprocs", 1, "--no-reports", out=job.folder / "whole") == 0
    return job


@pytest.fixture
def run(crowd, tmp_path, capsys):
    """Run the job into a folder of the test's own; return exit code, failures and lines."""

    # Beside the other: a dataset's links to its input are relative to it.
    crowd.out = out = crowd.folder / tmp_path.name

    def call(*options: object):
        code = crowd.run("--no-reports", *options)
        newest = max(out.glob("logs/*/failures.tsv"), key=lambda path: path.stat().st_mtime_ns)
        return code, read_table(newest), capsys.readouterr().err

    return call


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def maps(folder: Path, *labels: str) -> dict[str, str]:
    """Return the maps of some participants, or of all."""
    found = {name: content for name, content in tree(folder).items() if "statmap.nii" in name}
    return {k: v for k, v in found.items() if not labels or k[4:6] in labels}


@pytest.mark.parametrize("processes", [1, 2])
def test_same_bytes_from_any_number_of_processes(crowd, run, processes):
    code, failures, _ = run("--nprocs", processes)
    assert (code, failures) == (0, [])
    assert tree(crowd.out) == tree(crowd.folder / "whole")


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_at_work_costs_that_participant_only(crowd, run, monkeypatch, processes):
    finish = MapSetMaker.finish

    def killed(self, reporter):
        if self.begun.planned.participant == "02":
            die()
        return finish(self, reporter)

    with monkeypatch.context() as patch:
        patch.setattr(MapSetMaker, "finish", killed)
        code, failures, told = run("--nprocs", processes)
    assert code == 1
    (failure,) = failures
    assert failure["participant_id"] == "sub-02"
    assert "the process that worked on sub-02 died: it was ended by SIGKILL" in failure["message"]
    assert "sub-02: failed: the process that worked on sub-02 died" in told
    whole = crowd.folder / "whole"
    assert maps(crowd.out) == maps(whole, "01", "03", "04")
    code, failures, told = run("--nprocs", processes)
    assert (code, failures) == (0, [])
    assert "1 set of maps made, 3 complete before" in told
    assert tree(crowd.out) == tree(whole)


def test_killed_while_only_reading_ahead_costs_nobody(crowd, run, tmp_path, monkeypatch):
    """What the process has taken, and not begun, goes to the next one."""
    begin, once = Worker._begin, Once(tmp_path / "once")

    def killed(self, participant):
        if participant == "02" and once():
            die()
        begin(self, participant)

    monkeypatch.setattr(Worker, "_begin", killed)
    code, failures, _ = run("--nprocs", 1)
    assert once.count == 1
    assert (code, failures) == (0, [])
    assert tree(crowd.out) == tree(crowd.folder / "whole")


def test_processes_that_die_at_once_are_given_up(run, tmp_path, monkeypatch):
    deaths = Once(tmp_path / "deaths", 100)
    monkeypatch.setattr(Worker, "process", lambda *_: deaths() and die())
    code, failures, _ = run("--nprocs", 2)
    assert code == 1
    assert [row["participant_id"] for row in failures] == ["sub-01", "sub-02", "sub-03", "sub-04"]
    assert all("died: it was ended by SIGKILL" in row["message"] for row in failures)
    assert deaths.count <= 5


def failing_reads(monkeypatch, once: Once, number: int, participant: str = "sub-02") -> None:
    """Have the system fail to open a participant's BOLD series, so many times."""
    monkeypatch.setattr(executor, "_RETRY_SECONDS", (0.05, 0.1))
    opened = bold_module.open_bytes

    def failing(path):
        if path.name.startswith(participant) and once():
            raise OSError(number, os.strerror(number), str(path))
        return opened(path)

    monkeypatch.setattr(bold_module, "open_bytes", failing)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("times", [1, 2])
def test_an_error_that_passes_is_tried_again(crowd, run, tmp_path, monkeypatch, number, times):
    once = Once(tmp_path / "once", times)
    failing_reads(monkeypatch, once, number)
    code, failures, told = run("--nprocs", 1)
    assert once.count == times
    assert (code, failures) == (0, [])
    assert told.count("sub-02: this may pass; tried again in ") == times
    assert "4 sets of maps made, 0 complete before, 0 participants failed" in told
    assert tree(crowd.out) == tree(crowd.folder / "whole")


@pytest.mark.parametrize(("number", "tries"), [(errno.EIO, 3), (errno.EACCES, 1)])
def test_an_error_that_stays_fails_after_some_tries(run, tmp_path, monkeypatch, number, tries):
    once = Once(tmp_path / "once", 100)
    failing_reads(monkeypatch, once, number)
    code, failures, told = run("--nprocs", 2)
    assert once.count == tries
    assert code == 1
    (failure,) = failures
    assert failure["participant_id"] == "sub-02"
    assert os.strerror(number) in failure["message"]
    assert told.count("tried again") == tries - 1
    assert "3 sets of maps made, 0 complete before, 1 participant failed" in told


def test_stop_on_first_crash_with_two_processes(tmp_path, capsys):
    job = TinyJob(tmp_path, tuple(f"{number:02d}" for number in range(1, 9)))
    next(job.bids.glob("sub-01/func/*confounds*.tsv")).write_text("x\n")
    assert job.run("--nprocs", 2, "--stop-on-first-crash", "--no-reports") == 1
    (table,) = job.out.glob("logs/*/failures.tsv")
    assert [row["participant_id"] for row in read_table(table)] == ["sub-01"]
    # The other process has one at work and may have one read.
    assert len(list(job.out.glob("sub-*"))) <= 4
    assert " not begun" in capsys.readouterr().err


def test_memory_limit_leaves_one_process(crowd, run, monkeypatch):
    seen = []
    monkeypatch.setattr(
        executor, "Pool", lambda *args, **options: seen.append(args[1]) or Pool(*args, **options)
    )
    code, _, _ = run("--nprocs", 4, "--mem-gb", 1.3)
    assert (code, seen) == (0, [2])  # two times 0.6 GB, for a tiny model


def test_processes_that_are_started_afresh(crowd):
    """As they are where a GPU is: its driver does not outlive a fork."""
    job = TinyJob(crowd.folder / "afresh", ("01", "02"))
    job.out.mkdir()
    settings = Settings.of(
        bids_dir=job.bids,
        output_dir=job.out,
        analysis_level="participant",
        model=str(job.model),
        omp_nthreads=1,
        device="cpu",
    )
    pool = Pool(partial(Steps.prepare, settings), 1, forked=False)
    messages = [message for _, message in pool.run(Backlog(job.labels))]
    finished = [message for message in messages if isinstance(message, Finished)]
    assert [(one.participant, one.done, one.failures) for one in finished] == [
        ("01", 1, ()),
        ("02", 1, ()),
    ]


def test_worker_message_of_a_stage_is_not_repeated_too_often():
    sent = []
    reporter = worker_module.MessageReporter(sent.append)
    for share in range(100):
        reporter.stage("reading", share / 100)
    reporter.stage("predicting", 0.0)
    assert 2 <= len(sent) < 20
    assert sent[-1].arguments == ("predicting", 0.0)
