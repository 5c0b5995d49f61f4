"""A run's BOLD file, read once in blocks of frames by a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.imaging.begun import begun_frames
from bids_dtg.imaging.header import (
    READ_ERRORS,
    NiftiHeader,
    open_bytes,
    read_exactly,
    read_header,
    require_unchanged,
)
from bids_dtg.imaging.sampling import Sampling

# The reader runs ahead by eleven blocks of this size (about 45 frames of int16 at 2 mm), so that it
# goes on while 64 frames are summed up; memory is bounded whatever the frame's size and type.
_BUFFERS = 12
_BLOCK_BYTES = 8 * 2**20
# Of all buffers together, where a single frame is larger than a block; there are two at least.
_MOST_BYTES = 2**28
# Of a block of frames that are wanted together, as for cubic splines: to interpolate them takes
# longer than to inflate them, so that one block or two ahead are enough.
_MOST_TOGETHER_BYTES = 2**26

Stored = NDArray[np.generic]


def read_bold_header(path: Path) -> NiftiHeader:
    """Read the header of a BOLD file and check that it describes a run.

    Raises
    ------
    RunError
        As `read_header`; also sizes that are not those of a run, or an uncompressed file that is
        shorter than its header says.
    """
    header = read_header(path)
    if len(header.shape) != 4 or header.shape[3] < 2:
        raise RunError(
            f"{path} has sizes {' x '.join(map(str, header.shape))}",
            expected="a 4-D BOLD run of at least two frames",
        )
    if not path.name.endswith(".gz"):
        held = max(0, path.stat().st_size - header.offset)
        if held < header.frames * header.frame_bytes:
            raise _truncated(header, held)
    return header


def stream_blocks(
    header: NiftiHeader, frames_per_block: int = 32, *, together: int = 1
) -> Generator[Stored, None, None]:
    """Read a run's frames in order, at most `frames_per_block` at a time.

    The file is read and inflated by a thread that runs ahead by a few blocks; it ends with
    the iteration, however that ends. Memory does not depend on the length of the run.

    Parameters
    ----------
    header
        Header of the BOLD file.
    frames_per_block
        At most.
    together
        How many frames are wanted in a block, if memory allows it.

    Yields
    ------
    (frames, file voxels), stored type, first file axis fastest. A block's memory is filled anew
    once the next block is asked for.

    Raises
    ------
    RunError
        The file ends early, is damaged, cannot be read, or was changed since its header was read.
    """
    fit = _BLOCK_BYTES // header.frame_bytes
    fit = max(fit, min(together, _MOST_TOGETHER_BYTES // header.frame_bytes))
    per_block = max(1, min(frames_per_block, header.frames, fit))
    free: queue.SimpleQueue[Stored | None] = queue.SimpleQueue()
    ready: queue.SimpleQueue[tuple[Stored, int] | BaseException | None] = queue.SimpleQueue()
    most = min(_MOST_BYTES, _BUFFERS * max(_BLOCK_BYTES, header.frame_bytes))
    count = max(2, min(_BUFFERS, most // (header.frame_bytes * per_block)))
    # In one piece, which goes back to the system; smaller ones would stay with the process.
    for buffer in np.empty((count, per_block, header.file_voxels), header.dtype):
        free.put(buffer)
    reader = threading.Thread(
        target=_fill, args=(header, free, ready), name=f"read {header.path.name}", daemon=True
    )
    reader.start()
    try:
        while (filled := ready.get()) is not None:
            if isinstance(filled, BaseException):
                raise filled
            buffer, frames = filled
            yield buffer[:frames]
            free.put(buffer)
    finally:
        free.put(None)
        reader.join()


def _fill(
    header: NiftiHeader,
    free: queue.SimpleQueue[Stored | None],
    ready: queue.SimpleQueue[tuple[Stored, int] | BaseException | None],
) -> None:
    """Fill free buffers in turn; None ends either side; errors travel to the consumer."""
    try:
        with open_bytes(header.path) as file:
            read_exactly(file, memoryview(bytearray(header.offset)))
            done = 0
            while done < header.frames:
                buffer = free.get()
                if buffer is None:
                    return
                block = buffer[: header.frames - done]
                held = read_exactly(file, block.reshape(-1).view(np.uint8).data)
                if held < block.nbytes:
                    require_unchanged(header)
                    raise _truncated(header, done * header.frame_bytes + held)
                done += len(block)
                if done == header.frames:
                    file.read(1)  # reaches the gzip trailer, whose checksum is then compared
                    require_unchanged(header)
                ready.put((buffer, len(block)))
        ready.put(None)
    except READ_ERRORS as err:
        error = RunError(f"{header.path} is damaged: {err}", remedy="fetch or make the file anew")
        error.__cause__ = err  # decides whether it may pass
        ready.put(error)
    except BaseException as err:
        ready.put(err)


def _truncated(header: NiftiHeader, held: int) -> RunError:
    return RunError(
        f"{header.path} ends at frame {held // header.frame_bytes} of {header.frames}",
        expected="the whole run",
        remedy="fetch or make the file anew",
    )


def stream_voxels(
    header: NiftiHeader,
    sampling: Sampling,
    frames_per_block: int = 64,
    *,
    watch: Callable[[int, Stored], None] = lambda first, stored: None,
    watched: int | None = None,
) -> Generator[tuple[int, NDArray[np.float32]], None, None]:
    """Read a run's frames at the wanted voxels only, scaled.

    Parameters
    ----------
    header
        Header of the BOLD file.
    sampling
        Takes the voxels out of frames.
    frames_per_block
        At most; products with larger blocks are faster, up to about 64 frames.
    watch
        Called with what passes by whole: the index of the first frame, and (frames, file voxels)
        as `stream_blocks` yields them.
    watched
        How many of the first frames it must be called with; None: all.

    Yields
    ------
    first
        Index of the block's first frame in the run.
    block
        (frames, voxels) float32. Its memory is filled anew once the next block is asked for;
        until then the consumer may change it.

    Raises
    ------
    RunError
        As `stream_blocks`.
    """
    voxels = np.empty((min(frames_per_block, header.frames), len(sampling.covered)), np.float32)
    first = held = 0
    frames = header.frames if watched is None else watched
    with closing(_frames(header, sampling, frames_per_block, frames)) as blocks:
        for stored, there in blocks:
            if there is sampling:
                watch(first + held, stored)
            rest = stored
            while len(rest):
                taken = rest[: len(voxels) - held]
                into = voxels[held : held + len(taken)]
                there.apply(taken, header.slope, header.inter, into)
                held, rest = held + len(taken), rest[len(taken) :]
                if held == len(voxels):
                    yield first, voxels
                    first, held = first + held, 0
    if held:
        yield first, voxels[:held]


def _frames(
    header: NiftiHeader, sampling: Sampling, frames_per_block: int, watched: int
) -> Generator[tuple[Stored, Sampling], None, None]:
    """Yield (frames, voxels) as stored, and what takes the wanted voxels out of them.

    From a process that has begun to inflate the file, or read here: all, or what that has left.
    """
    done = 0
    if (begun := begun_frames(header, sampling, watched)) is not None:
        done = yield from begun
        if done == header.frames:
            require_unchanged(header)
            return
    together = sampling.frames_at_once
    with closing(stream_blocks(header, frames_per_block, together=together)) as blocks:
        passed = 0
        for stored in blocks:
            left = stored[max(0, done - passed) :]
            passed += len(stored)
            if len(left):
                yield left, sampling
