"""What the first half of the work sends of a run, and when."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tiny_job import TinyJob

from bids_dtg.connectome.checks import RunCheck
from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.contrasts.participant.worker import ParticipantWork
from bids_dtg.engine.work import MessageReporter
from bids_dtg.errors import RunError


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


def test_a_run_that_fails_after_its_segments_leaves_no_maps(job):
    def fail() -> None:
        raise RunError("the run cannot be judged")

    work = ParticipantWork(Request.prepare(job.settings()))
    watch(work, fail)
    outcome = work("01", MessageReporter(lambda message: None))
    (failure,) = outcome.failures
    assert failure.message == "the run cannot be judged."
    assert not list(job.out.rglob("*_statmap*"))
