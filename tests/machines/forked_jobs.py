"""Runs the program repeatedly in forked children, some of which a signal ends.

It is also a script, so that the process that forks has no threads and does slow imports only once.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import multiprocessing
import os
import pkgutil
import select
import shutil
import signal as signals
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path

# Longest time for calls that run at the same time; a few seconds are usual.
_STEP_SECONDS = 600


@dataclass(frozen=True)
class Signal:
    """A signal to the program right before it renames a file: to its first process.

    SIGKILL also to the process that renames, as nothing may be left to run.
    """

    number: int
    suffix: str  # of the name that the file gets
    call: int = 1  # which of such renames, from 1
    cut: bool = False  # whether half of the file is lost


@dataclass(frozen=True)
class Place:
    """A point of a call: just before one of its changes of files."""

    number: int  # of the change, from 1
    copy: str  # the folder that the copy becomes
    # Whether the file that was opened right before has half of its content.
    cut: bool = False


@dataclass(frozen=True)
class Watch:
    """What is done at changes of files below a folder: a signal, or copies of the folder.

    Such a copy is what SIGKILL leaves there at that moment: what was written stays, nothing is
    tidied. A change is a file opened to be written, a rename, a removal, a new folder; all
    processes that are forked count together, and wait while a copy is made. What compiled
    libraries write is not seen until it gets its name.
    """

    folder: str
    log: str = (
        os.devnull
    )  # a file in which each change gets a line: what it is, and the path
    places: Sequence[Place] = ()
    signal: Signal | None = None


def all_modules() -> list[str]:
    """Return all of the program, and what it imports late and slowly: a forked call need not."""
    import bids_dtg

    packages = pkgutil.walk_packages(bids_dtg.__path__, "bids_dtg.")
    names = [module.name for module in packages if not module.name.endswith("__main__")]
    return ["lightning", *names]


class ForkingProcess:
    """The process that forks; a context, which ends it. It imports what is slow before it forks."""

    def __init__(self, *imported: str) -> None:
        self._imported = imported

    def __enter__(self) -> ForkingProcess:
        command = [sys.executable, __file__, *self._imported]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)

    def run(
        self,
        *arguments: Sequence[str],
        watch: Watch | None = None,
        stderr=os.devnull,
        stdout=os.devnull,
        streams: Mapping[int, str] | None = None,
    ):
        """Call the program once for each list of arguments, at the same time.

        Returns the exit codes, -n for a child that signal n has ended, once all processes that
        they have started are gone. Standard error is appended to the file `stderr`, as output to
        `stdout`. `streams` spoils some, as `spoil` does.
        """
        step = {"arguments": arguments, "stderr": str(stderr), "stdout": str(stdout)}
        step["streams"] = [*(streams or {}).items()]
        step["watch"] = asdict(watch) if watch else None
        print(json.dumps(step), file=self._process.stdin, flush=True)
        if not select.select([self._process.stdout], [], [], _STEP_SECONDS)[0]:
            self._process.kill()  # or every later call would wait as long
            raise TimeoutError(f"no call ended within {_STEP_SECONDS} s")
        return json.loads(self._process.stdout.readline())


_CHANGES = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir")


def _watch(
    folder: str, log: str, places: Sequence[Mapping], signal: Mapping | None
) -> None:
    below = folder + os.sep
    lines = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    chosen = {place["number"]: Place(**place) for place in places}
    wanted, first = Signal(**signal) if signal else None, os.getpid()
    # Shared by all processes: how many changes and renames, and the file that was opened last.
    count, hits = multiprocessing.RawValue("q", 0), multiprocessing.RawValue("q", 0)
    opened = multiprocessing.RawArray("c", 4096)
    # A lock that the system releases when its process ends, whatever a signal interrupts there.
    lock = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process)

    def act(event: str, event_arguments: tuple) -> None:
        if event not in _CHANGES or not isinstance(
            event_arguments[0], (str, bytes, Path)
        ):
            return
        if event == "open" and not event_arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        path = os.fsdecode(
            event_arguments[1] if event == "os.rename" else event_arguments[0]
        )
        if not path.startswith(below):
            return
        name = path.removeprefix(below)
        kind = (
            "append" if event == "open" and event_arguments[2] & os.O_APPEND else event
        )
        os.lockf(lock.fileno(), os.F_LOCK, 0)
        try:
            count.value += 1
            os.write(lines, f"{kind} {name}\n".encode())
            if place := chosen.get(count.value):
                shutil.copytree(folder, place.copy)
                last = Path(place.copy, os.fsdecode(opened.value))
                if place.cut and last.is_file():
                    os.truncate(last, last.stat().st_size // 2)
            opened.value = os.fsencode(name) if kind == "open" else b""
            if wanted and event == "os.rename" and name.endswith(wanted.suffix):
                hits.value += 1
                if hits.value == wanted.call:
                    if wanted.cut:
                        os.truncate(
                            event_arguments[0],
                            Path(event_arguments[0]).stat().st_size // 2,
                        )
                    os.kill(first, wanted.number)
                    if wanted.number == signals.SIGKILL:
                        os.kill(os.getpid(), wanted.number)
        finally:
            os.lockf(lock.fileno(), os.F_ULOCK, 0)

    sys.addaudithook(act)


def _fork(arguments: Sequence[str], step: dict) -> int:
    child = os.fork()
    if child:
        return child
    from bids_dtg.cli.run import main
    from bids_dtg.notices import run_program

    sys.stdin.close()
    gc.disable()  # it would look through all that is imported, and all of that is shared
    # A shell that starts a command in the background has it ignore Ctrl-C.
    signals.signal(signals.SIGINT, signals.default_int_handler)
    for stream, target in ((sys.stdout, step["stdout"]), (sys.stderr, step["stderr"])):
        os.dup2(
            os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream.fileno()
        )
    if step["watch"]:
        _watch(**step["watch"])
    for number, state in step["streams"]:
        spoil(number, state)
    return run_program("bids_dtg", lambda: main(arguments))


def spoil(number: int, state: str) -> None:
    """Close a standard stream, or make its disk `full` or the other end of its pipe `gone`."""
    if state == "closed":
        os.close(number)
    elif state == "full":
        os.dup2(os.open("/dev/full", os.O_RDWR), number)
    else:
        reader, writer = os.pipe()
        os.close(writer if number == 0 else reader)
        os.dup2(reader if number == 0 else writer, number)


def _write_same_bytes() -> None:
    """Have calls that are made again and again write the same bytes, soon: as if without time.

    Pictures have no content, as drawing takes most of such a call.
    """
    import matplotlib.figure
    import nilearn.plotting

    save = matplotlib.figure.Figure.savefig

    def save_empty(figure, *place, **how) -> None:
        figure.clear()
        figure.set_size_inches(1, 1)
        save(figure, *place, **how)

    matplotlib.figure.Figure.savefig = save_empty
    for name in ("plot_glass_brain", "plot_design_matrix"):
        setattr(nilearn.plotting, name, lambda *_, **__: None)
    time.perf_counter = lambda: (
        0.0
    )  # by which durations in tables and checkpoints are measured


def _main() -> None:
    sys.path.append(str(Path(__file__).parents[1] / "builders"))
    from maps_job import TinyJob

    # Once here, with one thread and what it imports, is not once in each child.
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stderr(io.StringIO()),
    ):
        TinyJob(Path(folder)).run("--omp-nthreads", 1)
    for module in sys.argv[1:]:
        import_module(module)
    if len(sys.argv) > 1:
        _write_same_bytes()
    for line in sys.stdin:
        step = json.loads(line)
        alive, held = os.pipe()  # held open by every descendant of the children
        children = [_fork(arguments, step) for arguments in step["arguments"]]
        os.close(held)
        codes = [
            os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children
        ]
        if not select.select([alive], [], [], 20)[0]:
            codes.append("descendants are left")
        os.close(alive)
        print(json.dumps(codes), flush=True)


if __name__ == "__main__":
    # The pool's threads would not survive the fork.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    _main()
