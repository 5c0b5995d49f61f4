"""Runs the program again and again in forked children, some ended by a signal on their way.

A script too, so that it is a process without threads that forks, after what is slow once only.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import multiprocessing
import os
import pkgutil
import resource
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


@dataclass(frozen=True)
class Place:
    """A point of a call: just before one of its changes of files."""

    number: int  # of the change, from 1
    copy: str  # the folder that the copy becomes
    cut: bool = False  # whether the file that was opened right before has half of its content


@dataclass(frozen=True)
class Copies:
    """Copies of a folder as it is at some of a call's changes of files below it.

    What SIGKILL leaves there at that moment is the same: what was written stays, nothing is tidied.
    A change is a file opened to be written, a rename, a removal, a new folder; all processes that
    are forked count together, and wait while a copy is made. What compiled libraries write is not
    seen until it gets its name.
    """

    folder: str  # below which changes are counted
    log: str  # a file in which each change gets a line: what it is, and the path
    places: Sequence[Place] = ()


def all_modules() -> list[str]:
    """Return all of the program, and what it imports late and slowly: a forked call need not."""
    import bids_dtg

    found = pkgutil.walk_packages(bids_dtg.__path__, "bids_dtg.")
    own = [module.name for module in found if not module.name.endswith("__main__")]
    return ["lightning", *own]


class ForkingProcess:
    """The process that forks; a context, which ends it.

    Parameters
    ----------
    imported
        Modules that it imports before it forks, as those are slow to import.
    """

    def __init__(self, *imported: str) -> None:
        self._imported = imported

    def __enter__(self) -> ForkingProcess:
        self._process = subprocess.Popen(
            [sys.executable, __file__, *self._imported],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
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
        copies: Copies | None = None,
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
        step["copies"] = asdict(copies) if copies else None
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


_LOGGED = os.O_WRONLY | os.O_CREAT | os.O_APPEND
_CHANGES = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir")


def _copy_on_the_way(copies: Copies) -> None:
    below, log = copies.folder + os.sep, os.open(copies.log, _LOGGED)
    places = {place.number: place for place in copies.places}
    # Shared by all processes: how many changes, and the file that the last one opened.
    count, opened = multiprocessing.Value("q", 0), multiprocessing.Array("c", 4096, lock=False)

    def watch(event: str, given: tuple) -> None:
        if event not in _CHANGES or not isinstance(given[0], (str, bytes, Path)):
            return
        if event == "open" and not given[2] & (os.O_WRONLY | os.O_RDWR):
            return
        path = os.fsdecode(given[1] if event == "os.rename" else given[0])
        if not path.startswith(below):
            return
        name = path.removeprefix(below)
        kind = "append" if event == "open" and given[2] & os.O_APPEND else event
        with count.get_lock():
            count.value += 1
            os.write(log, f"{kind} {name}\n".encode())
            if place := places.get(count.value):
                shutil.copytree(copies.folder, place.copy)
                last = Path(place.copy, os.fsdecode(opened.value))
                if place.cut and last.is_file():
                    os.truncate(last, last.stat().st_size // 2)
            opened.value = os.fsencode(name) if kind == "open" else b""

    sys.addaudithook(watch)


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
        os.dup2(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream.fileno())
    if step["file_size"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (step["file_size"], resource.RLIM_INFINITY))
    if step["signal"]:
        _watch(Signal(**step["signal"]))
    if step["copies"]:
        places = [Place(**place) for place in step["copies"]["places"]]
        _copy_on_the_way(Copies(**{**step["copies"], "places": places}))
    for number, state in step["streams"]:
        spoil(number, state)
    return run_program("bids_dtg", lambda: main(arguments))


def spoil(number: int, state: str) -> None:
    """Make the disk of a standard stream `full`, or the other end of its pipe `gone`."""
    if state == "full":
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
    time.perf_counter = lambda: 0.0  # by which durations in tables and checkpoints are measured


def _main() -> None:
    from tiny_job import TinyJob

    # Once here, with one thread and what it imports, is not once in each child.
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
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
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        if not select.select([alive], [], [], 20)[0]:
            codes.append("descendants are left")
        os.close(alive)
        print(json.dumps(codes), flush=True)


if __name__ == "__main__":
    # The pool's threads would not survive the fork.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    _main()
