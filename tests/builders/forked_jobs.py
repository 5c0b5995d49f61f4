"""Runs the program again and again in forked children, some ended by a signal on their way.

A script too, so that it is a process without threads that forks, after what is slow once only.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import select
import signal as signals
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class Signal:
    """When the program gets a signal: the first of the processes that it is made of.

    Where nothing may be left to run, SIGKILL, also the process that has come to that point.
    """

    number: int  # the signal
    target: str  # module:function or module:Class.method that is watched
    call: int = 1  # number of the call, from 1
    when: str = "before"  # before or after the call; "cut": before, the file `self` cut in half
    matching: str = ""  # count only calls with an argument that ends so


class ForkingProcess:
    """The process that forks; a context, which ends it."""

    def __enter__(self) -> ForkingProcess:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)

    def run(
        self,
        *arguments: Sequence[str],
        signal: Signal | None = None,
        stderr=os.devnull,
        stdout=os.devnull,
        streams: Mapping[int, str] | None = None,
        file_size: int | None = None,
    ):
        """Call the program once for each list of arguments, at the same time.

        Returns the exit codes, -n for a child that signal n has ended, once all processes that
        they have started are gone. Standard error is appended to the file `stderr`, as output to
        `stdout`. `streams` spoils some, as `spoil` does. No file may have more than `file_size`
        bytes.
        """
        step = {"arguments": arguments, "stderr": str(stderr), "stdout": str(stdout)}
        step["streams"], step["file_size"] = [*(streams or {}).items()], file_size
        step["signal"] = asdict(signal) if signal else None
        print(json.dumps(step), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


def _watch(signal: Signal) -> None:
    module, _, names = signal.target.partition(":")
    *path, name = names.split(".")
    owner = import_module(module)

    def hit_first() -> None:
        os.kill(first, signal.number)
        if signal.number == signals.SIGKILL:
            os.kill(os.getpid(), signal.number)

    for part in path:
        owner = getattr(owner, part)
    function, calls, first = getattr(owner, name), 0, os.getpid()

    def watched(*args, **options):
        nonlocal calls
        wanted = signal.matching
        calls += not wanted or any(str(arg).endswith(wanted) for arg in args)
        hit = calls == signal.call
        if hit and signal.when == "cut":
            os.truncate(args[0], args[0].stat().st_size // 2)
        if hit and signal.when != "after":
            hit_first()
        result = function(*args, **options)
        if hit and signal.when == "after":
            hit_first()
        return result

    setattr(owner, name, watched)


def _fork(arguments: Sequence[str], step: dict) -> int:
    child = os.fork()
    if child:
        return child
    from bids_dtg.cli.run import main
    from bids_dtg.streams import run_program

    sys.stdin.close()
    # A shell that starts a command in the background has it ignore Ctrl-C.
    signals.signal(signals.SIGINT, signals.default_int_handler)
    for stream, target in ((sys.stdout, step["stdout"]), (sys.stderr, step["stderr"])):
        os.dup2(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream.fileno())
    if step["file_size"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (step["file_size"], resource.RLIM_INFINITY))
    if step["signal"]:
        _watch(Signal(**step["signal"]))
    for number, state in step["streams"]:
        spoil(number, state)
    return run_program("bids_dtg", lambda: main(arguments))


def spoil(number: int, state: str) -> None:
    """Make a standard stream `closed`, its disk `full`, or the other end of its pipe `gone`."""
    if state == "closed":
        os.close(number)
    elif state == "full":
        os.dup2(os.open("/dev/full", os.O_RDWR), number)
    else:
        reader, writer = os.pipe()
        os.close(writer if number == 0 else reader)
        os.dup2(reader if number == 0 else writer, number)


def _main() -> None:
    from tiny_job import TinyJob

    # Once here, with one thread and what it imports, is not once in each child.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        TinyJob(Path(folder)).run("--omp-nthreads", 1)
    for line in sys.stdin:
        step = json.loads(line)
        alive, held = os.pipe()  # held open by every descendant of the children
        children = [_fork(arguments, step) for arguments in step["arguments"]]
        os.close(held)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        if not select.select([alive], [], [], 20)[0]:
            codes.append("descendants are left")
        os.close(alive)
        print(json.dumps(codes), flush=True)


if __name__ == "__main__":
    # The pool's threads would not survive the fork.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    _main()
