"""A run's BOLD file: its repetition time, and its frames, read once by a separate thread."""

from __future__ import annotations

import math
import mmap
import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import starmap
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32, Mask, Values
from bids_dtg.engine.child import can_fork, end_children, process_context, start_child
from bids_dtg.engine.machine import available_cores
from bids_dtg.errors import RunError
from bids_dtg.files.foreign import reading
from bids_dtg.files.sidecars import EXPECTED_TR, LONGEST_TR_SECONDS, in_milliseconds
from bids_dtg.imaging.grid import Stored
from bids_dtg.imaging.nifti import (
    NiftiHeader,
    open_values,
    read_exactly,
    read_header,
    require_end,
)
from bids_dtg.imaging.sampling import Sampling, scale

# Seconds per unit of a header; a number without a unit may be in any of them.
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
# A sidecar and a header that differ by more than this fraction do not describe the same run.
_LARGEST_DIFFERENCE = 0.05 * (1 + 1e-6)  # as header values are rounded
_ROUNDING_SECONDS = 1e-3  # a larger difference is noted
# Programs that wrote 1 s into headers, by the letters of their names: the first of these versions,
# and the first that was repaired. fmriprep 3216, whose code NiBabies shares; xcp_d 967;
# fmripost-aroma 119.
_WROTE_ONE_SECOND: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "fmriprep": ((23, 2), (23, 2, 1)),
    "nibabies": ((24, 0), (24, 0, 1)),
    "xcpd": ((0,), (0, 6, 1)),
    "fmripostaroma": ((0,), (0, 1, 12)),
}

# The reader runs ahead by nine blocks of this size (about 36 frames of int16 at 2 mm), so that it
# continues while frames are summed. Memory is bounded for any size and type of frame.
_BUFFERS = 10
_BLOCK_BYTES = 8 * 2**20
_FRAMES = 32  # of a block at most, unless the consumer asks for others
# Blocks that a head start fills before the first is asked for; then `_BUFFERS` are enough.
_BEGUN_BUFFERS = 20
# Most bytes of all buffers, if single frames are larger than a block; there are at least two.
_MOST_BYTES = 2**28
# Most bytes of a block of frames that are processed together, as for cubic splines. Interpolating
# takes longer than decompressing, so one or two blocks ahead are enough.
_MOST_TOGETHER_BYTES = 2**26


def read_bold_header(path: Path) -> NiftiHeader:
    """Read the header of a BOLD file and check that it describes a run.

    Raises
    ------
    RunError
        As for `read_header`; also if its sizes are not those of a run.
    """
    header = read_header(path)
    if len(header.shape) != 4 or header.shape[3] < 2:
        raise RunError(
            f"{path} has sizes {' x '.join(map(str, header.shape))}",
            expected="a 4-D BOLD run of at least two frames",
        )
    return header


def decide_repetition_time(
    bold: Path,
    time: tuple[float, str | None],
    sidecar: Path | None,
    stated: float | None,
    makers: Sequence[tuple[str, str]] = (),
) -> tuple[float, tuple[str, ...]]:
    """Decide the repetition time of a run from its sidecar and the header of its file.

    Parameters
    ----------
    bold
        The run's file, for messages.
    time
        The header's time between frames: a number, and a unit or None.
    sidecar
        The sidecar that states the time, for messages; None if there is none.
    stated
        RepetitionTime of that sidecar, in seconds; None if there is none.
    makers
        Names and versions of the programs that made the dataset.

    Returns
    -------
    tr_seconds
        The sidecar's value, or else the header's; above 0 and at most 20.
    notes
        Sentences on anything unusual.

    Raises
    ------
    RunError
        Neither states it, it is longer than 20 s, or the two differ by more than 5 % and not by a
        mistake that these programs are known for.

    Examples
    --------
    >>> decide_repetition_time(Path("bold.nii.gz"), (800.0, "ms"), None, None)
    (0.8, ("No sidecar has a RepetitionTime: the header's (0.8 s) was used.",))
    """
    value, unit = time
    words = f"{value:g} {unit or 'without a unit'}"
    in_header = _header_seconds(value, unit)
    if stated is None and not in_header:
        raise RunError(
            f"{bold} has no repetition time, neither in sidecars nor in its header ({words})",
            expected="RepetitionTime (seconds) in its JSON sidecar",
        )
    tr_seconds = in_header[0] if stated is None else stated
    if not 0 < tr_seconds <= LONGEST_TR_SECONDS:
        fault = f"{sidecar or bold}: RepetitionTime is {tr_seconds:g}"
        if stated is None:
            fault = f"{bold}: no sidecar has a RepetitionTime, and the header states {words}"
        raise RunError(fault, expected=EXPECTED_TR, remedy=in_milliseconds(tr_seconds))
    used = f"({tr_seconds:g} s) was used"
    if stated is None:
        as_seconds = "" if unit else ", which names no unit and was taken as seconds"
        return tr_seconds, (
            f"No sidecar has a RepetitionTime: the header's {used}{as_seconds}.",
        )
    if not in_header:
        return stated, (
            f"The header states no repetition time ({words}): the sidecar's {used}.",
        )
    nearest = min(in_header, key=lambda seconds: abs(seconds - stated))
    difference = abs(nearest - stated)
    if difference <= _LARGEST_DIFFERENCE * stated:
        note = f"The sidecar's RepetitionTime {used}; the header has {nearest:g} s."
        return stated, (note,) if difference > _ROUNDING_SECONDS else ()
    if _is_known_mistake(nearest, stated, makers):
        return stated, (
            f"The sidecar's RepetitionTime {used}; the header has {words}: "
            "some releases of fMRIPrep, XCP-D and fMRIPost wrote wrong headers.",
        )
    raise RunError(
        f"{sidecar or bold} states a RepetitionTime of {stated:g} s, but the header of "
        f"{bold} states {words}",
        expected="the same time between frames, within 5 %",
        remedy="find out which is right and correct the other",
    )


def _header_seconds(value: float, unit: str | None) -> list[float]:
    """Return the times that a header may mean; none if its program did not know the time."""
    # Programs that do not know the time write 0, or 1 without a unit.
    if (value, unit) == (1, None):
        return []
    units = [name for name in _SECONDS if unit in (None, name)]
    # Header values are float32, so 0.72 reads as 0.7200000286.
    times = [round(value * _SECONDS[name], 6) for name in units]
    return [seconds for seconds in times if 0 < seconds < math.inf]


def _is_known_mistake(
    header_seconds: float, stated: float, makers: Sequence[tuple[str, str]]
) -> bool:
    """Return whether programs are known to write such a time into headers."""
    if header_seconds == 1:
        return any(starmap(_wrote_one_second, makers))
    # Milliseconds that fMRIPrep until 2022 labelled as seconds: no run has such a time.
    mislabelled = math.isclose(header_seconds, 1e3 * stated, rel_tol=1e-3)
    return header_seconds > LONGEST_TR_SECONDS and mislabelled


def _wrote_one_second(name: str, version: str) -> bool:
    letters = re.sub("[^a-z]", "", name.lower())
    first, repaired = _WROTE_ONE_SECOND.get(letters, ((), ()))
    numbers = tuple(map(int, re.findall(r"\d{1,9}", version)[:3]))
    return first <= numbers < repaired


def stream_blocks(
    header: NiftiHeader, frames_per_block: int = _FRAMES, *, together: int = 1
) -> Generator[Stored, None, None]:
    """Read a run's frames in order, at most `frames_per_block` at a time.

    A thread reads and decompresses the file, and runs ahead by a few blocks; or a process, where
    the file has a `head_start`. It ends when the iteration ends for any reason. Memory does not
    depend on the length of the run.

    Parameters
    ----------
    header
        Header of the BOLD file.
    frames_per_block
        Largest number of frames in a block.
    together
        Desired number of frames in a block, if memory allows it.

    Yields
    ------
    (frames, file voxels), stored type, first file axis fastest. A block's memory is reused when
    the next block is requested.

    Raises
    ------
    RunError
        The file ends early, is damaged, or cannot be read.
    """
    if _head_start is not None and _head_start.is_for(header):
        yield from _head_start.taken()
        return
    blocks = _Blocks(header, frames_per_block, _BUFFERS, together)
    reader = threading.Thread(
        target=blocks.fill, name=f"read {header.path.name}", daemon=True
    )
    reader.start()
    try:
        yield from blocks.taken()
    finally:
        reader.join()


class _Blocks:
    """Blocks of a file's frames, which a thread or a forked process fills ahead of its consumer."""

    def __init__(
        self, header: NiftiHeader, frames: int, most: int, together: int = 1
    ) -> None:
        """Make free blocks: `most` of them, of so many `frames`, or fewer where they are large."""
        self.header = header
        fitting = _BLOCK_BYTES // header.frame_bytes
        in_memory = min(together, _MOST_TOGETHER_BYTES // header.frame_bytes)
        per_block = max(1, min(frames, header.frames, max(fitting, in_memory)))
        size = header.frame_bytes * per_block
        allowed = min(_MOST_BYTES, most * max(_BLOCK_BYTES, header.frame_bytes))
        buffers = max(2, min(most, allowed // size))
        # Shared with the processes that are forked from here.
        self._memory = [mmap.mmap(-1, size) for _ in range(buffers)]
        self._blocks = [
            np.frombuffer(buffer, header.dtype).reshape(per_block, -1)
            for buffer in self._memory
        ]
        self._is_taken = mmap.mmap(-1, 1)
        self.near, self.far = Pipe()  # the ends of the consumer and of the reader
        for number in range(len(self._blocks)):
            self.near.send(number)

    def fill(self) -> None:
        """Fill free blocks in turn; None ends either side; errors are passed to the consumer."""
        header = self.header
        done = 0  # frames
        try:
            with reading(header.path, RunError), open_values(header) as file:
                while done < header.frames:
                    number = self.far.recv()
                    if number is None:
                        return
                    block = self._blocks[number][: header.frames - done]
                    bytes_of_block = block.reshape(-1).view(np.uint8).data
                    count = read_exactly(file, bytes_of_block, header.path)
                    if count < block.nbytes:
                        complete = done + count // header.frame_bytes
                        raise RunError(
                            f"{header.path} ends at frame {complete} of {header.frames}",
                            expected="the whole run",
                            remedy="fetch or make the file again",
                        )
                    done += len(block)
                    if done == header.frames:
                        require_end(file, header.path, header.shape)
                    self.far.send((number, len(block)))
            self.far.send(None)
        except Exception as err:
            self.far.send(err)
        finally:
            self.far.close()

    def is_for(self, header: NiftiHeader) -> bool:
        """Return whether these are blocks of a file, and were not taken by any process."""
        return header.path == self.header.path and not self._is_taken[0]

    def taken(self) -> Generator[Stored, None, None]:
        """Yield the blocks in order; a block is filled again when the next one is requested."""
        self._is_taken[0] = 1
        try:
            while (filled := self._next()) is not None:
                if isinstance(filled, Exception):
                    raise filled
                number, frames = filled
                yield self._blocks[number][:frames]
                if number < _BUFFERS:
                    self._give(number)
                else:  # only before the first was asked for, so many were needed
                    self.free(slice(number, number + 1))
        finally:
            self._give(None)
            if self is _head_start:
                self.free()

    def _give(self, number: int | None) -> None:
        with suppress(OSError):  # the process has read everything, and ended
            self.near.send(number)

    def _next(self) -> Any:
        try:
            return self.near.recv()
        except (EOFError, OSError):  # of a process that was killed
            return RunError(
                f"the process that read {self.header.path} died", remedy="run it again"
            )

    def free(self, which: slice = slice(None)) -> None:
        """Free memory that other processes hold, too; the file cannot be taken any more."""
        self._is_taken[0] = 1
        with suppress(OSError):  # not every system can
            for buffer in self._memory[which]:
                buffer.madvise(mmap.MADV_REMOVE)


_head_start: _Blocks | None = None  # of this process and of those forked from it


@contextmanager
def head_start(path: Path | None) -> Iterator[Callable[[], None]]:
    """Have a process begin to read a BOLD file before `stream_blocks` asks for its frames.

    This saves the time in which a program prepares. The first `stream_blocks` of the file in this
    process, or in one forked from it, takes the frames.

    Parameters
    ----------
    path
        The file; None: nothing is read. If it is damaged, `stream_blocks` says so.

    Yields
    ------
    A function that ends it.
    """
    global _head_start
    with ExitStack() as to_end:
        if path is not None and can_fork() and available_cores() > 1:
            with suppress(RunError, OSError):
                header = read_bold_header(path)
                _head_start = blocks = _Blocks(header, _FRAMES, _BEGUN_BUFFERS)
                process = start_child(
                    process_context(forked=True),
                    blocks.fill,
                    name="head start",
                    far_ends=[blocks.far],
                    near_ends=[blocks.near],
                )
                to_end.callback(blocks.free)
                to_end.callback(end_children, [process], at_once=True)
        yield to_end.close


def stream_voxels(
    header: NiftiHeader,
    sampling: Sampling,
    frames_per_block: int = 64,
    *,
    watch: Callable[[int, Stored], None] = lambda first, stored: None,
) -> Generator[tuple[int, Float32], None, None]:
    """Read a run's frames at the wanted voxels only, scaled.

    Parameters
    ----------
    header
        Header of the BOLD file.
    sampling
        Takes the voxels from frames.
    frames_per_block
        Largest number of frames in a block; products are faster up to about 64 frames.
    watch
        Called with each complete block: the index of its first frame, and (frames, file voxels)
        as `stream_blocks` yields them.

    Yields
    ------
    first
        Index of the block's first frame in the run.
    block
        (frames, voxels) float32. Its memory is reused when the next block is requested; until
        then the consumer may change it.

    Raises
    ------
    RunError
        As for `stream_blocks`.
    """
    frames = min(frames_per_block, header.frames)
    block = np.empty((frames, len(sampling.covered)), np.float32)
    first = 0  # frame of the run with which the block begins
    filled = 0  # frames of the block
    together = sampling.frames_at_once
    with closing(stream_blocks(header, frames_per_block, together=together)) as blocks:
        for stored in blocks:
            watch(first + filled, stored)
            remaining = stored
            while len(remaining):
                part = remaining[: frames - filled]
                remaining = remaining[len(part) :]
                out = block[filled : filled + len(part)]
                sampling.apply(part, header.slope, header.inter, out)
                filled += len(part)
                if filled == frames:
                    yield first, block
                    first += filled
                    filled = 0
    if filled:
        yield first, block[:filled]


def with_zeros(header: NiftiHeader, stored: Stored) -> Values:
    """Return stored values, scaled if zeros of scaled values are others."""
    # A positive factor alone changes neither zeros nor comparisons with the median.
    if not header.inter and header.slope >= 0:
        return stored
    values = stored.astype(np.float32)
    scale(values, header.slope, header.inter)
    return values


class MeanFrame:
    """The mean of a run's first kept frames, as an image for reports.

    Parameters
    ----------
    header
        Header of the run's BOLD file.
    keep
        (frames,), which frames are kept.
    most
        Largest number of frames to average.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import nibabel as nib
    >>> from bids_dtg.imaging.bold import read_bold_header, stream_blocks
    >>> path = Path(mkdtemp()) / "bold.nii.gz"
    >>> bold = np.arange(8, dtype=np.int16).reshape(2, 1, 1, 4)  # voxels: 0 1 2 3, and 4 5 6 7
    >>> nib.save(nib.Nifti1Image(bold, np.eye(4)), path)
    >>> header = read_bold_header(path)
    >>> mean = MeanFrame(header, np.array([False, True, True, True]), most=2)
    >>> for stored in stream_blocks(header):
    ...     mean.add(0, stored)
    >>> mean.stored
    array([1.5, 5.5], dtype=float32)
    """

    def __init__(self, header: NiftiHeader, keep: Mask, most: int) -> None:
        self.header = header
        self.frames = 0  # number of frames averaged so far
        self._missing = np.flatnonzero(keep)[:most].tolist()
        self._sum = np.zeros(header.file_voxels, np.float32)

    def add(self, first: int, stored: Stored) -> None:
        """Add the wanted frames of a block (frames, file voxels) that begins at frame `first`.

        Reading a file a second time adds nothing.
        """
        while self._missing and self._missing[0] < first + len(stored):
            frame = stored[self._missing.pop(0) - first]
            with np.errstate(over="ignore"):
                values = frame.astype(np.float32)
                self._sum += np.nan_to_num(values, posinf=0.0, neginf=0.0)
            self.frames += 1

    @property
    def stored(self) -> Float32:
        """(file voxels,), before scaling; values that are not finite count as 0."""
        return self._sum / np.float32(max(1, self.frames))

    def at(self, sampling: Sampling) -> Float32:
        """Return the mean at voxels, scaled: (voxels,)."""
        header = self.header
        sampled = sampling.apply(self.stored[None], header.slope, header.inter)
        return sampled.reshape(-1)
