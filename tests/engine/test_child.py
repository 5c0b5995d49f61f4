"""Processes that this one starts: what they find when they begin."""

from __future__ import annotations

import os
from functools import partial
from multiprocessing.connection import Connection

import pytest

from bids_dtg.engine.child import process_context, start_child
from bids_dtg.engine.machine import WAIT_VARIABLES


def send_environment(far: Connection) -> None:
    far.send({name: os.environ.get(name) for name in WAIT_VARIABLES})


@pytest.mark.parametrize("forked", [True, False])
def test_threads_of_a_child_wait_asleep_though_those_of_the_caller_do_not(monkeypatch, forked):
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
