"""A BOLD file that is inflated while this program still imports its libraries.

A process is forked before the first heavy import. In memory that later forks share it keeps the
first frames whole, and the wanted voxels of all others, and counts the frames that are ready. It
guesses the file and its voxels: a reader takes the frames where the guess was right, and reads the
file itself where it was not, or where the process has ended.
"""

from __future__ import annotations

import hashlib
import mmap
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.engine.child import can_fork, end_children, process_context, start_child
from bids_dtg.engine.machine import available_cores
from bids_dtg.imaging import nifti
from bids_dtg.imaging.sampling import LatticeSampling, Sampling

Stored = NDArray[np.generic]
# Finds the file, and (voxels,) positions in a frame as stored; None: there is nothing to begin.
Find = Callable[[], tuple[Path, NDArray[np.intp]] | None]

# Frames kept whole: of the first that are kept, a mean over the whole file is made.
WHOLE_FRAMES = 16
# Of the frames in memory, at most; and of a file that takes longer to inflate than to begin.
_MOST_BYTES, _LEAST_BYTES = 2**29, 2**25
# Frames that are given together.
_TOGETHER = 16
# The first page: frames that are ready, what they are of, whether they were taken, and whether the
# process has ended.
_READY, _KEY, _TAKEN, _ENDED = range(4)
# A process that makes no frame for so long was killed. Between two looks at the counter.
_PATIENCE_SECONDS, _LOOK_SECONDS = 5.0, 1e-3

_memory: mmap.mmap | None = None  # of this process, and of processes that were forked from it


@contextmanager
def inflating(find: Find) -> Iterator[None]:
    """Have a file inflated by a process of its own, for as long as the context is open.

    Nothing is begun where processes cannot be forked, and where this one has a single core: there
    it would take the time that it saves.
    """
    global _memory
    if _memory is not None or not can_fork() or available_cores() < 2:
        yield
        return
    with ExitStack() as until_end:
        with suppress(OSError):  # no memory, or no further process
            _memory = mmap.mmap(-1, mmap.PAGESIZE + _MOST_BYTES)
            work = partial(_inflate, _memory, find)
            process = start_child(
                process_context(forked=True), work, name="head start", far_ends=(), near_ends=()
            )
            until_end.callback(end_children, [process], at_once=True)
        try:
            yield
        finally:
            _memory = None


def _numbers(memory: mmap.mmap) -> NDArray[np.int64]:
    return np.frombuffer(memory, np.int64, 4)


def _key(header: nifti.NiftiHeader, wanted: NDArray[np.intp]) -> int:
    """Return what is equal only where the file, its header and the wanted voxels are."""
    state = nifti.state_of(header.path)
    facts = (str(header.path), state, header.shape, header.dtype.str, header.offset)
    digest = hashlib.sha256(repr(facts).encode() + wanted.astype("<i8").tobytes()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _parts(memory: mmap.mmap, header: nifti.NiftiHeader, wanted: int) -> tuple[Stored, Stored]:
    """Return the first frames, (`WHOLE_FRAMES`, file voxels), and the others, (frames, wanted).

    Raises
    ------
    ValueError
        They do not fit, or there are fewer frames.
    """
    sizes = WHOLE_FRAMES * header.file_voxels, (header.frames - WHOLE_FRAMES) * wanted
    both = np.frombuffer(memory, header.dtype, sum(sizes), mmap.PAGESIZE)
    whole, others = both[: sizes[0]], both[sizes[0] :]
    return whole.reshape(WHOLE_FRAMES, -1), others.reshape(-1, wanted)


def _inflate(memory: mmap.mmap, find: Find) -> None:
    """Fill the memory; what fails here is done, and said, by those who read the file."""
    numbers = _numbers(memory)
    with suppress(Exception):
        found = find()
        if found is not None and found[0].stat().st_size >= _LEAST_BYTES:
            _fill(memory, numbers, nifti.read_header(found[0]), found[1])
    numbers[_ENDED] = 1


def _fill(
    memory: mmap.mmap,
    numbers: NDArray[np.int64],
    header: nifti.NiftiHeader,
    wanted: NDArray[np.intp],
) -> None:
    whole, others = _parts(memory, header, len(wanted))
    numbers[_KEY] = _key(header, wanted)
    frame = np.empty(header.file_voxels, header.dtype)
    with nifti.open_values(header) as file:
        for number in range(header.frames):
            target = whole[number] if number < WHOLE_FRAMES else frame
            if nifti.read_exactly(file, target.view(np.uint8).data) < target.nbytes:
                return
            if number >= WHOLE_FRAMES:
                np.take(frame, wanted, out=others[number - WHOLE_FRAMES], mode="clip")
            if number + 1 == header.frames:
                file.read(1)  # reaches the gzip trailer, whose checksum is then compared
            numbers[_READY] = number + 1


def begun_frames(
    header: nifti.NiftiHeader, sampling: Sampling, watched: int
) -> Generator[tuple[Stored, Sampling], None, int] | None:
    """Return the frames of a run that was begun; None: it was not, or not as it is wanted.

    Parameters
    ----------
    header
        The file's header.
    sampling
        Takes the wanted voxels out of frames.
    watched
        How many of the first frames are needed whole.

    Returns
    -------
    A generator of (frames, voxels) as stored, and what takes the wanted voxels out of these. Its
    value is the number of frames that were there: fewer than the run has where the process ended
    before.
    """
    memory = _memory
    if memory is None or watched > WHOLE_FRAMES or not isinstance(sampling, LatticeSampling):
        return None
    numbers = _numbers(memory)
    if numbers[_TAKEN] or _wait(numbers, WHOLE_FRAMES) < WHOLE_FRAMES:
        return None
    if numbers[_KEY] != _key(header, sampling.source):
        return None
    numbers[_TAKEN] = 1
    return _frames(memory, numbers, header, sampling)


def _wait(numbers: NDArray[np.int64], wanted: int) -> int:
    """Wait for so many frames; return how many are ready."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while numbers[_READY] < wanted and not numbers[_ENDED] and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    return int(numbers[_READY])


def _frames(
    memory: mmap.mmap,
    numbers: NDArray[np.int64],
    header: nifti.NiftiHeader,
    sampling: LatticeSampling,
) -> Generator[tuple[Stored, Sampling], None, int]:
    in_order = replace(sampling, in_order=True)
    whole, others = _parts(memory, header, len(sampling.source))
    done, first = WHOLE_FRAMES, mmap.PAGESIZE
    try:
        yield whole, sampling
        while done < header.frames and (ready := _wait(numbers, done + 1)) > done:
            ready = min(ready, done + _TOGETHER)
            yield others[done - WHOLE_FRAMES : ready - WHOLE_FRAMES], in_order
            done = ready
            used = whole.nbytes + others[: done - WHOLE_FRAMES].nbytes
            first = _free(memory, first, mmap.PAGESIZE + used)
    finally:
        _free(memory, first, len(memory))
    return done


def _free(memory: mmap.mmap, first: int, end: int) -> int:
    """Give whole pages from `first` on back, up to a byte: they are lost to all processes.

    Returns where the pages that are left begin.
    """
    end = end // mmap.PAGESIZE * mmap.PAGESIZE
    if end > first:
        with suppress(OSError):
            memory.madvise(mmap.MADV_REMOVE, first, end - first)
    return end
