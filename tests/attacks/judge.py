"""What must hold of every call, whatever was attacked: returns the faults, as sentences."""

from __future__ import annotations

import gzip
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from attacks.forks import Ended
from attacks.scene import Scene
from tiny_job import tree

# Above a normal call. A call that ends is no hang, on a machine that other work slows down, too.
MOST_SECONDS, MOST_MIB = 30.0, 1024.0
_LEFT_OUT = re.compile(r"sub-\S+ is left out: ")
_ERROR = re.compile(r"error: |failed: | is left out( of \w+)?: ")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")


@dataclass(frozen=True)
class Normal:
    """What a call that is not attacked takes and makes."""

    seconds: float
    peak_mib: float
    healthy: dict[str, str]  # outputs of participant 02, path -> SHA-256


@dataclass(frozen=True)
class Wanted:
    """What a call is expected to come to."""

    codes: Sequence[int] = (0, 1)
    says: str = ""  # a pattern that a line of an error matches; of any line where there is none
    healthy: bool = True  # whether 02 is as always, unless nothing was started
    seconds: float = 0.0  # that it may take more


def spy(scene: Scene) -> dict[str, tuple[int, ...]]:
    """Return what must stay as it is: path -> facts that change when it is written.

    It is all that lies around the output folder, and `scene.kept` in it.
    """
    found = {}
    roots = [scene.root, *(path for path in scene.kept if path.is_dir())]
    for folder, folders, files in (found for root in roots for found in os.walk(root)):
        if Path(folder) == scene.place:
            folders[:] = [name for name in folders if scene.place / name != scene.out]
        for name in (*folders, *files):
            path = Path(folder, name)
            facts = path.lstat()
            # A folder's time changes with what is in it, and that is listed.
            is_folder = stat.S_ISDIR(facts.st_mode)
            written = (0, 0) if is_folder else (facts.st_size, facts.st_mtime_ns)
            found[os.fsencode(path.relative_to(scene.root)).decode("latin-1")] = (
                facts.st_mode,
                *written,
            )
    return found


def faults(
    scene: Scene, ended: Ended, wanted: Wanted, normal: Normal, before: dict[str, tuple[int, ...]]
) -> list[str]:
    """Return everything that is wrong with how a call ended; empty where nothing is.

    Parameters
    ----------
    scene
        As the call has left it.
    ended
        How it ended.
    wanted
        What it should have come to.
    normal
        A call that is not attacked.
    before
        From `spy`, taken before the call.
    """
    found = [
        *_of_end(ended, wanted, normal),
        *_of_lines(ended, wanted),
        *_of_traces(scene, before),
    ]
    if ended.code == 0 and scene.level == "participant":
        found += _of_outputs(scene)
    return found + (_of_the_healthy(scene, ended, normal) if wanted.healthy else [])


def of_every_call(ended: Ended, normal: Normal) -> list[str]:
    """Return what is wrong with a call of which nothing more is known."""
    wanted = Wanted((0, 1, 2), healthy=False)
    return [*_of_end(ended, wanted, normal), *_of_lines(ended, wanted)]


def _of_end(ended: Ended, wanted: Wanted, normal: Normal) -> list[str]:
    found = []
    if ended.late or ended.seconds > normal.seconds + MOST_SECONDS + wanted.seconds:
        found.append(f"hangs: {ended}")
    elif ended.code not in wanted.codes:
        found.append(f"{ended}, expected {' or '.join(map(str, wanted.codes))}")
    if ended.peak_mib > normal.peak_mib + MOST_MIB:
        found.append(f"takes {ended.peak_mib:.0f} MiB, normal are {normal.peak_mib:.0f}")
    if ended.left:
        found.append(f"{ended.left} processes are left")
    return found


def _of_lines(ended: Ended, wanted: Wanted) -> list[str]:
    said = ended.stdout + ended.stderr
    found = [
        f"says {word!r}"
        for word in ("Traceback", "internal error", "Error in sys", "Exception ignored", "died: ")
        if word in ended.stderr
    ]
    if _CONTROL.search(said):
        found.append("control characters reach the screen")
    lines = [line for line in ended.stderr.splitlines() if _ERROR.search(line)]
    planned = "would fail: " in ended.stdout + ended.stderr  # a plan is what was asked for
    silent = ended.code in (1, 2) and not lines and not planned and not ended.late
    if silent and wanted.says != "-":
        found.append("fails without a line")
    # Each participant who is left out has a line: a call without anybody has one more.
    refusals = [line for line in lines if not _LEFT_OUT.match(line)]
    if ended.code == 2 and len(refusals) > 1:
        found.append(f"is refused with {len(refusals)} lines")
    if wanted.says not in ("", "-"):
        places = lines if ended.code in (1, 2) else ended.stderr.splitlines()
        if not any(re.search(wanted.says, line) for line in places):
            found.append(f"no line matches {wanted.says!r}")
    return found


def _of_traces(scene: Scene, before: dict[str, tuple[int, ...]]) -> list[str]:
    after = spy(scene)
    written = sorted(name for name in after if after[name] != before.get(name))
    gone = sorted(set(before) - set(after))
    found = [f"writes what is not its own: {written[:4]}"] if written else []
    found += [f"deletes what is not its own: {gone[:4]}"] if gone else []
    left = [path.name for path in scene.out.rglob(".dtg-*")] if scene.out.is_dir() else []
    return found + ([f"temporaries are left: {left[:4]}"] if left else [])


def _of_the_healthy(scene: Scene, ended: Ended, normal: Normal) -> list[str]:
    """Return what is wrong with the outputs of 02; where nothing was started, there are none."""
    made = {path: digest for path, digest in tree(scene.out).items() if path.startswith("sub-02/")}
    if made == normal.healthy or (not made and ended.code not in (0, 1)):
        return []
    other = sorted(set(made.items()) ^ set(normal.healthy.items()))
    return [f"participant 02 has other outputs: {other[:4]}"]


def _of_outputs(scene: Scene) -> list[str]:
    """Return what is wrong with maps and tables that a call has left, whoever they are of."""
    found = []
    for path in scene.out.rglob("*desc-synthetic_statmap.nii.gz"):
        try:
            values = np.frombuffer(gzip.decompress(path.read_bytes())[352:], np.float32)
        except (OSError, EOFError, ValueError) as err:
            found.append(f"{path.name} cannot be read: {err}")
            continue
        if not np.isfinite(values).all():
            found.append(f"{path.name} holds values that are not finite")
        elif not values.any():
            found.append(f"{path.name} holds zeros only")
    return found
