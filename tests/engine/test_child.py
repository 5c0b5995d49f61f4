"""Processes that this one starts: what they find when they begin."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from multiprocessing.connection import Connection

import pytest

from bids_dtg.engine.child import can_fork, process_context, start_child
from bids_dtg.engine.machine import WAIT_VARIABLES


def send_environment(far: Connection) -> None:
    far.send({name: os.environ.get(name) for name in WAIT_VARIABLES})


@pytest.mark.parametrize("forked", [True, False])
def test_threads_of_a_child_wait_asleep_though_those_of_the_caller_do_not(
    monkeypatch, forked
):
    for name in WAIT_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", "9")
    context = process_context(forked=forked)
    near, far = context.Pipe(duplex=False)
    work = partial(send_environment, far)
    child = start_child(context, work, name="child", far_ends=[far], near_ends=[near])
    assert near.recv() == WAIT_VARIABLES | {"OPENBLAS_THREAD_TIMEOUT": "9"}
    child.join()
    assert "OMP_WAIT_POLICY" not in os.environ


# The fork still has the handlers of the caller when the signal reaches it.
ENDED_AT_ONCE = """
import functools, os, signal
from bids_dtg.engine.child import process_context, start_child

def end(number, _):
    raise SystemExit(128 + number)

first = os.getpid()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, end)
os.register_at_fork(after_in_child=functools.partial(signal.raise_signal, signal.{name}))
try:
    child = start_child(
        process_context(forked=True), functools.partial(print, "worked", flush=True),
        name="child", far_ends=[], near_ends=[],
    )
    child.join()
    print("ended with", child.exitcode, flush=True)
finally:
    if os.getpid() != first:
        print("a second one of the caller", flush=True)
"""


@pytest.mark.skipif(not can_fork(), reason="no process is forked here")
@pytest.mark.parametrize(
    ("name", "lines"),
    [("SIGTERM", ["ended with 143"]), ("SIGINT", ["worked", "ended with 0"])],
)
def test_a_signal_at_the_fork_makes_no_second_caller(name, lines):
    script = ENDED_AT_ONCE.format(name=name)
    ran = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stdout.splitlines(), ran.stderr) == (lines, "")
