"""What the first half of the work sends of a run, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tiny_job import TinyJob, add_rest

from bids_dtg.connectome.checks import RunCheck
from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.contrasts.participant.worker import ParticipantWork, RunRead, SegmentRead
from bids_dtg.engine.work import MessageReporter
from bids_dtg.errors import RunError
from bids_dtg.inputs.runs import find_runs
from bids_dtg.progress import Clock


def watch(work: ParticipantWork, before: Callable[[], None]) -> None:
    """Call a function whenever a run is about to be judged."""
    judge = work.reader.judge

    def watched(run: RunConnectomes, mask_overlap: float | None) -> RunCheck:
        before()
        return judge(run, mask_overlap)

    work.reader.judge = watched


@pytest.fixture
def job(tmp_path) -> TinyJob:
    return TinyJob(tmp_path)


def send_run(job: TinyJob, sent: list[Any], before: Callable[[], None] = lambda: None) -> None:
    work = ParticipantWork(Request.prepare(job.settings()))
    (run,) = find_runs(job.bids, "01")
    watch(work, before)
    for part in work.read_run(run, Clock(), lambda share: None):
        sent.append(part)


def test_segments_come_before_the_run_is_judged(job):
    add_rest(job.bids, frames=90)
    sent: list[Any] = []
    judged: list[int] = []
    send_run(job, sent, lambda: judged.append(len(sent)))
    assert [type(part) for part in sent] == [SegmentRead, SegmentRead, RunRead]
    assert [part.share for part in sent[:2]] == [0.0, 0.5]
    assert judged == [len(sent) - 1]


def test_nothing_is_sent_of_a_file_whose_checksum_is_wrong(job):
    path = add_rest(job.bids)
    content = bytearray(path.read_bytes())
    content[-5] ^= 0xFF  # all frames are as they were
    path.write_bytes(content)
    sent: list[Any] = []
    with pytest.raises(RunError, match="cannot be read"):
        send_run(job, sent)
    assert not sent


def test_a_run_that_fails_after_its_segments_leaves_no_maps(job):
    def fail() -> None:
        raise RunError("the run cannot be judged")

    work = ParticipantWork(Request.prepare(job.settings()))
    watch(work, fail)
    outcome = work("01", MessageReporter(lambda message: None))
    (failure,) = outcome.failures
    assert failure.message == "the run cannot be judged."
    assert not list(job.out.rglob("*_statmap*"))
