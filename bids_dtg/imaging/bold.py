"""A run's BOLD file: the time between its frames, and frames read once by a thread of their own."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.files.foreign import reading
from bids_dtg.files.sidecars import EXPECTED_TR, LONGEST_TR_SECONDS, in_milliseconds
from bids_dtg.imaging.nifti import (
    NiftiHeader,
    open_values,
    read_exactly,
    read_header,
)
from bids_dtg.imaging.sampling import Sampling
from bids_dtg.inputs.dataset import writes_wrong_times

# Seconds by the unit that a header names; a number without one may be in any.
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
# A sidecar and a header that differ by more than this share do not describe one run.
_LARGEST_DIFFERENCE = 0.05
# What differs by more than rounding is noted.
_ROUNDING_SECONDS = 1e-3

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


def decide_repetition_time(
    bold: Path,
    time: tuple[float, str | None],
    sidecar: Path | None,
    stated: float | None,
    root: Path | None = None,
) -> tuple[float, tuple[str, ...]]:
    """Decide the repetition time of a run by its sidecar and the header of its file.

    Parameters
    ----------
    bold
        The run's file, for messages.
    time
        What its header has for the time between frames: a number, and a unit or None.
    sidecar
        The sidecar that states the time, for messages; None where none does.
    stated
        RepetitionTime of that sidecar, in seconds; None where none states it.
    root
        The dataset whose program wrote the file; None where that is not known.

    Returns
    -------
    tr_seconds
        The sidecar's, or else the header's; above 0 and at most 20.
    notes
        Sentences on what was unusual.

    Raises
    ------
    RunError
        Neither states it, it is longer than 20 s, or the two differ by more than 5 %, other than
        by a mistake of the program that wrote the header.

    Examples
    --------
    >>> decide_repetition_time(Path("bold.nii.gz"), (800.0, "ms"), None, None)
    (0.8, ("No sidecar has a RepetitionTime: the header's (0.8 s) was used.",))
    """
    value, unit = time
    words = f"{value:g} {unit or 'without a unit'}"
    # Zooms are float32: 0.72 reads as 0.7200000286.
    header = round(value * _SECONDS.get(unit or "s", math.nan), 6)
    # Programs that do not know the time leave 0, or 1 without a unit.
    is_known = 0 < header < math.inf and time != (1, None)
    if stated is None and not is_known:
        raise RunError(
            f"{bold} has no repetition time in its sidecars, nor in its header ({words})",
            expected="RepetitionTime (seconds) in the JSON file beside it",
        )
    tr_seconds = header if stated is None else stated
    if not 0 < tr_seconds <= LONGEST_TR_SECONDS:
        found = f"{sidecar or bold}: RepetitionTime is {tr_seconds:g}"
        if stated is None:
            found = f"{bold}: no sidecar has a RepetitionTime, and the header states {words}"
        raise RunError(found, expected=EXPECTED_TR, remedy=in_milliseconds(tr_seconds))
    used = f"({tr_seconds:g} s) was used"
    if stated is None:
        as_seconds = "" if unit else ", which names no unit and was taken as seconds"
        return tr_seconds, (f"No sidecar has a RepetitionTime: the header's {used}{as_seconds}.",)
    if not is_known:
        return stated, (f"The header states no repetition time ({words}): the sidecar's {used}.",)
    readings = [header] if unit else [round(value * factor, 6) for factor in _SECONDS.values()]
    stored = min(readings, key=lambda seconds: abs(seconds - stated))
    # The header's precision is float32's, so the limit itself needs a little room.
    if abs(stored - stated) > _LARGEST_DIFFERENCE * stated * (1 + 1e-6):
        # A header that was made anew states 1 s; milliseconds that were called seconds, 1000 times.
        is_usual = header == 1 or math.isclose(header, 1e3 * stated, rel_tol=1e-3)
        if is_usual and root is not None and writes_wrong_times(root):
            return stated, (
                f"The sidecar's RepetitionTime {used}; the header has {words}: "
                "some releases of fMRIPrep, XCP-D and fMRIPost wrote headers so by mistake.",
            )
        raise RunError(
            f"{sidecar or bold} states a RepetitionTime of {stated:g} s, and the header of "
            f"{bold} states {words}",
            expected="the same time between frames, within 5 %",
            remedy="find out which is right and correct the other",
        )
    if abs(stored - stated) > _ROUNDING_SECONDS:
        return stated, (f"The sidecar's RepetitionTime {used}; the header has {stored:g} s.",)
    return stated, ()


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
        The file ends early, is damaged, or cannot be read.
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
        with reading(header.path, RunError), open_values(header) as file:
            done = 0
            while done < header.frames:
                buffer = free.get()
                if buffer is None:
                    return
                block = buffer[: header.frames - done]
                held = read_exactly(file, block.reshape(-1).view(np.uint8).data)
                if held < block.nbytes:
                    raise _truncated(header, done * header.frame_bytes + held)
                done += len(block)
                if done == header.frames:
                    file.read(1)  # reaches the gzip trailer, whose checksum is then compared
                ready.put((buffer, len(block)))
        ready.put(None)
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
    together = sampling.frames_at_once
    with closing(stream_blocks(header, frames_per_block, together=together)) as blocks:
        for stored in blocks:
            watch(first + held, stored)
            rest = stored
            while len(rest):
                taken = rest[: len(voxels) - held]
                into = voxels[held : held + len(taken)]
                sampling.apply(taken, header.slope, header.inter, into)
                held, rest = held + len(taken), rest[len(taken) :]
                if held == len(voxels):
                    yield first, voxels
                    first, held = first + held, 0
    if held:
        yield first, voxels[:held]


class MeanFrame:
    """The mean of the first frames that are kept of a run, to look at.

    Parameters
    ----------
    header
        Header of the run's BOLD file.
    keep
        (frames,), which frames are kept.
    most
        Frames to average; fewer where fewer are kept.

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

    def __init__(self, header: NiftiHeader, keep: NDArray[np.bool_], most: int) -> None:
        self.header = header
        self.frames = 0  # how many have been averaged
        self._missing = np.flatnonzero(keep)[:most].tolist()
        self._sum = np.zeros(header.file_voxels, np.float32)

    def add(self, first: int, stored: Stored) -> None:
        """Take what is wanted of (frames, file voxels), `first` being the first one's index.

        A file that is read a second time adds nothing.
        """
        while self._missing and self._missing[0] < first + len(stored):
            frame = stored[self._missing.pop(0) - first]
            with np.errstate(over="ignore"):
                self._sum += np.nan_to_num(frame.astype(np.float32), posinf=0.0, neginf=0.0)
            self.frames += 1

    @property
    def stored(self) -> NDArray[np.float32]:
        """(file voxels,), before scaling; values that are not finite count as 0."""
        mean: NDArray[np.float32] = self._sum / np.float32(max(1, self.frames))
        return mean

    def at(self, sampling: Sampling) -> NDArray[np.float32]:
        """Take voxels out of the mean, scaled: (voxels,)."""
        taken = sampling.apply(self.stored[None], self.header.slope, self.header.inter)
        return taken.reshape(-1)
