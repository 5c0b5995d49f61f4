"""Processes that train one network together, one a GPU.

Lightning's own launchers are not used: `ddp` runs the whole command again in each process, and
`ddp_spawn` sends tensors through /dev/shm, which is small in containers. These processes get what
they need to begin with, and find each other by a file of this machine.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment

from bids_dtg.engine.child import leave_to_first
from bids_dtg.engine.machine import end_of, end_with_parent
from bids_dtg.errors import RunError
from bids_dtg.training.share import Share

Report = Callable[[str], None]
Work = Callable[[Share, Report], None]  # pickled; a function of a module, or a partial of one

_END_SECONDS = 10.0
# The others fail once one is gone, and may report before it: how long to wait for the cause.
_CAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class _Failed:
    """Why a process ended: the first one to end is the cause, and others lost its connection."""

    when: float  # seconds of the machine's clock; -inf: a signal ended it
    text: str  # a trace, or what its end is called


class Processes(LightningEnvironment):
    """Has Lightning use this training's own processes.

    No scheduler is asked: its numbers of tasks and nodes (SLURM_NTASKS) do not count them.
    """

    def __init__(self, share: Share) -> None:
        super().__init__()
        self._share = share

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def local_rank(self) -> int:
        return self._share.rank

    def node_rank(self) -> int:
        return 0


def run_together(work: Work, processes: int, device: str, report: Report) -> None:
    """Run `work` in several new processes that are one group of `torch.distributed`.

    Parameters
    ----------
    work
        Called in each process with its share, and with what gives the caller a line.
    processes
        How many new processes run `work` together.
    device
        cuda: process n has the nth GPU; cpu.
    report
        Is given the lines of the first process.

    Raises
    ------
    RunError
        One of them failed; the others were ended.
    """
    context = multiprocessing.get_context("spawn")
    members: list[tuple[BaseProcess, Connection]] = []
    with tempfile.TemporaryDirectory(prefix="bids_dtg") as folder:
        try:
            for rank in range(processes):
                lines, far_lines = context.Pipe(duplex=False)
                process = context.Process(
                    target=_serve,
                    args=(work, Share(rank, processes), device, Path(folder, "meet"), far_lines),
                    name=f"training {rank + 1}",
                )
                process.start()
                far_lines.close()
                members.append((process, lines))
            _listen(members, report)
        finally:
            for member, _ in members:
                member.terminate()
            for member, lines in members:
                member.join(_END_SECONDS)
                member.kill()
                lines.close()


def _listen(members: list[tuple[BaseProcess, Connection]], report: Report) -> None:
    """Pass lines on until all processes have ended well."""
    working, failed = list(members), list[_Failed]()
    give_up = math.inf
    while working and time.monotonic() < give_up:
        ends = [end for process, lines in working for end in (process.sentinel, lines)]
        wait(ends, None if give_up == math.inf else give_up - time.monotonic())
        for member in list(working):
            ended = not member[0].is_alive()  # before its lines are read: the last are among them
            found = _failed(member[1], report) or (_end(member[0]) if ended else None)
            if found:
                failed.append(found)
            if found or ended:
                working.remove(member)
        if failed:
            give_up = min(give_up, time.monotonic() + _CAUSE_SECONDS)
    if failed:
        raise _failure(min(failed, key=lambda one: one.when).text)


def _failed(lines: Connection, report: Report) -> _Failed | None:
    """Pass on the lines of a process; return why it has failed, where it says so."""
    with suppress(EOFError, OSError):
        while lines.poll():
            said = lines.recv()
            if isinstance(said, _Failed):
                return said
            report(said)
    return None


def _end(process: BaseProcess) -> _Failed | None:
    """Return why a process that has ended has failed; None where it ended well."""
    process.join()
    if not process.exitcode:
        return None
    return _Failed(-math.inf if process.exitcode < 0 else math.inf, end_of(process.exitcode))


def _failure(text: str) -> RunError:
    *trace, last = text.strip().splitlines()
    error = RunError(
        f"a process that trains the network ended: {last}",
        remedy="the same command goes on after the last epoch; where memory is short, with "
        "--batch-part",
    )
    if trace:
        error.__cause__ = RuntimeError(text)
    return error


def _serve(work: Work, share: Share, device: str, meeting: Path, lines: Connection) -> None:
    """Be one of the processes."""
    end_with_parent()
    leave_to_first()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def report(text: str) -> None:
        if share.rank == 0:
            lines.send(text)

    # Of libraries; the first process shows none either.
    warnings.simplefilter("ignore")
    try:
        _join(share, device, meeting)
        work(share, report)
        torch.distributed.destroy_process_group()
    except Exception:
        failed_at = time.monotonic()
        with suppress(OSError):
            lines.send(_Failed(failed_at, traceback.format_exc()))
        sys.stderr.flush()
        # What is left of the group would wait for the others.
        os._exit(1)


def _join(share: Share, device: str, meeting: Path) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // share.processes))
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(share.rank)
    elif sys.platform == "linux":
        # The machine's name need not lead to itself, as in a container without network.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=meeting.as_uri(),
        rank=share.rank,
        world_size=share.processes,
    )
