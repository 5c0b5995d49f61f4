"""Runs a function in a forked child under limits, and measures it: how it ended, what it took."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MIB = 2**20
# Address space that a child may take for data: no input may empty the machine that tests it.
_MOST_DATA = 6 * 2**30
_LEFT_SECONDS = 2.0  # for processes that a child has started, to end after it
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans of a child become ours


@dataclass(frozen=True)
class Around:
    """What surrounds a child; paths are of its own."""

    folder: Path  # where it works
    environment: Mapping[str, str | None] = field(default_factory=dict)  # None: taken away
    limits: Mapping[int, int] = field(default_factory=dict)  # as resource.RLIMIT_FSIZE
    streams: Mapping[str, str] = field(default_factory=dict)  # "stderr" -> closed, full or gone


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    code: int  # -n: by signal n
    seconds: float  # of the clock
    peak_mib: float  # of memory, of it or of the largest of its children
    stdout: str
    stderr: str
    left: int  # processes of its own that had to be ended
    late: bool  # ended because its time was over

    def __str__(self) -> str:
        return f"exit {self.code} after {self.seconds:.2f} s, {self.peak_mib:.0f} MiB"


def adopt_orphans() -> None:
    """Have the processes that a child leaves behind become children of this one."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def forked(action: Callable[[], int], around: Around, *, within: float) -> Ended:
    """Run a function in a child; it returns the exit code.

    Parameters
    ----------
    action
        Run in the child, whose streams are files.
    around
        What surrounds the child.
    within
        Seconds after which the child is ended.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        begun = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if not child:
            _be_child(action, around, {"stdout": stdout.fileno(), "stderr": stderr.fileno()})
        late = not _ends(child, within)
        if late:
            _show_stacks(child)
            _kill_all()
        _, status, used = os.wait4(child, 0)
        seconds = time.monotonic() - begun
        left = _end_orphans()
        return Ended(
            os.waitstatus_to_exitcode(status),
            seconds,
            used.ru_maxrss / 1024,
            _content(stdout),
            _content(stderr),
            left,
            late,
        )


def _ends(child: int, within: float) -> bool:
    descriptor = os.pidfd_open(child)
    try:
        return bool(select.select([descriptor], [], [], within)[0])
    finally:
        os.close(descriptor)


def _show_stacks(child: int) -> None:
    for process in _descendants(os.getpid()):
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGUSR2)
    time.sleep(0.2)


def _descendants(process: int) -> list[int]:
    found = []
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        below = [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []
    for child in below:
        found += [child, *_descendants(child)]
    return found


def _kill_all() -> None:
    for process in _descendants(os.getpid()):
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)


def _end_orphans() -> int:
    """Reap what is left of a child, by force where it does not end; return how many needed it."""
    until = time.monotonic() + _LEFT_SECONDS
    while True:
        try:
            reaped, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 0
        if not reaped and time.monotonic() > until:
            break
        if not reaped:
            time.sleep(0.01)
    left = len(_descendants(os.getpid()))
    while True:
        _kill_all()
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return left


def _content(stream) -> str:
    stream.seek(0)
    return stream.read(4 * MIB).decode("utf-8", "backslashreplace")


def _be_child(action: Callable[[], int], around: Around, files: Mapping[str, int]) -> None:
    code = 99
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        be_in(around, files)
        code = action()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        with contextlib.suppress(Exception):
            os.write(files["stderr"], traceback.format_exc().encode("utf-8", "replace"))
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def be_in(around: Around, files: Mapping[str, int]) -> None:
    """Take on what surrounds a child; its streams are files with these descriptors."""
    faulthandler.register(signal.SIGUSR2, file=os.dup(files["stderr"]), all_threads=True)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for number, name in ((1, "stdout"), (2, "stderr")):
        _point(number, name, around.streams.get(name, ""), files[name])
    os.chdir(around.folder)
    for name, value in around.environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    tempfile.tempdir = None
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for limit, value in {resource.RLIMIT_DATA: _MOST_DATA, **around.limits}.items():
        resource.setrlimit(limit, (value, value))


def _point(number: int, name: str, how: str, file: int) -> None:
    """Point a standard stream at its file, or have it closed, full, or without a reader."""
    if how == "closed":
        os.close(number)
        setattr(sys, name, None)
        return
    if how == "full":
        file = os.open("/dev/full", os.O_WRONLY)
    elif how == "gone":
        reader, file = os.pipe()
        os.close(reader)
    os.dup2(file, number)
