"""Work in a process of its own: order, backpressure, crashes, and who ends whom."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest

from bids_dtg.engine.ahead import ReaderDiedError, run_ahead

needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
in_process, in_thread = (partial(run_ahead, forked=forked) for forked in (True, False))
WAYS = [pytest.param(in_process, marks=needs_fork), in_thread]


def _count(send, n=5):
    for number in range(n):
        send((number, np.full(100_000, number)))


@pytest.mark.parametrize("way", WAYS)
def test_events_arrive_whole_and_in_order(way):
    events = list(way(_count))
    assert [number for number, _ in events] == list(range(5))
    assert all((values == number).all() for number, values in events)


@pytest.mark.parametrize("way", WAYS)
def test_no_more_than_a_little_is_done_ahead(way, tmp_path):
    def work(send):
        for number in range(50):
            (tmp_path / str(number)).touch()
            send(np.zeros(100_000))  # more than a pipe holds

    events = way(work)
    next(events)
    time.sleep(0.3)
    done = len(list(tmp_path.iterdir()))
    events.close()
    assert done <= 4


@needs_fork
def test_killed_reader_is_told_after_what_it_sent():
    def work(send):
        send("first")
        os.kill(os.getpid(), signal.SIGKILL)

    events = run_ahead(work)
    assert next(events) == "first"
    with pytest.raises(ReaderDiedError, match=r"ended by SIGKILL \(out of memory"):
        next(events)


@pytest.mark.slow
@needs_fork
def test_reader_killed_in_the_middle_of_an_event_is_told():
    def work(send):
        send(os.getpid())
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
        send(np.zeros(1_000_000))  # more than a pipe holds: it waits here

    events = run_ahead(work)
    os.waitid(os.P_PID, next(events), os.WEXITED | os.WNOWAIT)
    with pytest.raises(ReaderDiedError, match="ended by SIGKILL"):
        next(events)


@needs_fork
def test_reader_that_raises_is_told(capfd):
    def work(send):
        raise ZeroDivisionError

    with pytest.raises(ReaderDiedError, match="exit code 1"):
        list(run_ahead(work))


@needs_fork
def test_reader_ends_with_its_consumer():
    def work(send):
        send(os.getpid())
        time.sleep(60)

    events = run_ahead(work)
    process = next(events)
    events.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
