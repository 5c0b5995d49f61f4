"""A BOLD file whose frames are inflated before anything else of a call is ready.

The process that does it imports NumPy and nothing heavier, and keeps what is read anyway: the first
frames whole, and of the others the wanted voxels. Who reads the run compares what that process
took for granted with what the file's header and the run's places really are, and reads the file
itself where anything differs.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from isal import igzip
from numpy.typing import NDArray

from bids_dtg.engine.head_start import HeadStart, begun
from bids_dtg.files.foreign import open_foreign
from bids_dtg.imaging.sampling import LatticeSampling, Sampling, require_shape, scale

Stored = NDArray[np.generic]

# Frames kept whole: of the first that are kept, a mean over the whole file is made.
WHOLE_FRAMES = 16
# Bytes of them, and of the pieces that wait to be read, at most: 128 MiB are 280 frames of the
# brain at 2 mm, as many as are inflated until the reader is there.
_WHOLE_BYTES, _WAITING_BYTES = 2**25, 2**27
_PIECE = 16  # frames; as many are said to be ready at once
_POSITION = np.dtype(np.int32)
_MOST_VOXELS = 2**22
_POSITIONS_BYTES = _MOST_VOXELS * _POSITION.itemsize
# A file below this is inflated in less time than it takes to begin.
_LEAST_BYTES = 2**25
# igzip copies what it read: pieces of this size are still in the cache then.
_READ_BYTES = 2**18
_HEADER_BYTES, _LAST_OFFSET = 348, 2**16
_IGzipFile: Any = igzip.IGzipFile


@dataclass(frozen=True, eq=False)
class PlainHeader:
    """The header of the usual file: compressed NIfTI-1 of little-endian numbers, with an sform."""

    shape: tuple[int, ...]  # sizes as stored, first axis fastest
    affine: NDArray[np.float64]  # (4, 4), voxel indices to RAS+ mm
    dtype: np.dtype[Any]  # stored type
    offset: int  # byte of the inflated file at which the values start

    @classmethod
    def of(cls, raw: bytes) -> PlainHeader:
        """Read a header's bytes.

        Raises
        ------
        ValueError
            It is not the usual one.
        """
        words = np.frombuffer(raw, "<i2")
        stored = {2: "<u1", 4: "<i2", 8: "<i4", 16: "<f4", 64: "<f8", 256: "<i1", 512: "<u2"}
        code, axes = int(words[35]), int(words[20])
        is_usual = len(raw) == _HEADER_BYTES and raw[344:347] == b"n+1" and words[127] > 0
        if not is_usual or code not in stored or not 3 <= axes <= 4:
            raise ValueError("not the usual header")
        shape = tuple(int(size) for size in words[21 : 21 + axes])
        (offset,) = np.frombuffer(raw, "<f4", 1, 108)
        if min(shape) < 1 or not _HEADER_BYTES <= offset <= _LAST_OFFSET:
            raise ValueError("not the usual header")
        affine = np.eye(4)
        affine[:3] = np.frombuffer(raw, "<f4", 12, 280).reshape(3, 4)
        return cls(shape, affine, np.dtype(stored[code]), int(offset))


@contextmanager
def _inflating(path: Path) -> Iterator[BufferedIOBase]:
    with open_foreign(path) as raw, _IGzipFile(fileobj=raw, mode="rb") as file:
        yield file


def read_plain_header(path: Path) -> PlainHeader:
    """Read the header of a usual file.

    Raises
    ------
    ForeignFileError, ValueError, OSError
        It is another one.
    """
    with _inflating(path) as file:
        return PlainHeader.of(file.read(_HEADER_BYTES))


def read_plain_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask (i, j, k) of a usual file.

    Raises
    ------
    ForeignFileError, ValueError, OSError
        It is another one, or larger than any whose voxels are kept.
    """
    with _inflating(path) as file:
        header = PlainHeader.of(file.read(_HEADER_BYTES))
        if math.prod(header.shape) > _MOST_VOXELS:
            raise ValueError("the mask is too large")
        file.read(header.offset - _HEADER_BYTES)
        raw = file.read(math.prod(header.shape) * header.dtype.itemsize)
    values = np.frombuffer(raw, header.dtype).reshape(header.shape[:3], order="F")
    return values > 0.5


def read_exactly(file: BufferedIOBase, target: memoryview) -> int:
    """Fill `target` from the file; return how many bytes there were."""
    held = 0
    while held < len(target):
        try:
            # readinto1 returns what there is before the error that ends a cut file
            count = file.readinto1(target[held : held + _READ_BYTES])
        except EOFError:  # a gzip file without its end
            break
        if not count:
            break
        held += count
    return held


@dataclass(frozen=True)
class _Layout:
    """Where what lies in the shared memory: positions, whole frames, pieces of the others."""

    voxels: int  # of a frame as stored
    wanted: int  # of them
    dtype: np.dtype[Any]  # stored type

    @property
    def pieces(self) -> int:
        """How many wait at most."""
        return _WAITING_BYTES // (_PIECE * self.wanted * self.dtype.itemsize)

    @property
    def fits(self) -> bool:
        """Whether the memory is enough for a head start that is worth it."""
        whole = WHOLE_FRAMES * self.voxels * self.dtype.itemsize
        return whole <= _WHOLE_BYTES and 0 < self.wanted <= _MOST_VOXELS and self.pieces > 1

    def positions(self, start: HeadStart) -> NDArray[np.int32]:
        """Return where the wanted voxels lie in a frame, (wanted,)."""
        return np.frombuffer(start.room, _POSITION, self.wanted)

    def whole(self, start: HeadStart) -> Stored:
        """Return the first frames, (`WHOLE_FRAMES`, voxels)."""
        first = _POSITIONS_BYTES
        flat = np.frombuffer(start.room, self.dtype, WHOLE_FRAMES * self.voxels, first)
        return flat.reshape(WHOLE_FRAMES, self.voxels)

    def waiting(self, start: HeadStart) -> Stored:
        """Return the wanted voxels of other frames, (pieces, frames of a piece, wanted)."""
        first = _POSITIONS_BYTES + _WHOLE_BYTES
        number = self.pieces * _PIECE * self.wanted
        flat = np.frombuffer(start.room, self.dtype, number, first)
        return flat.reshape(self.pieces, _PIECE, self.wanted)


def _facts(path: Path, state: tuple[int, int, int], header: Any, wanted: int) -> dict[str, Any]:
    """Return what must be alike for those who inflate a file and those who read the frames.

    Parameters
    ----------
    path, state
        The file; its inode, its size in bytes and when it was changed (ns).
    header
        Its `PlainHeader` or `BoldHeader`.
    wanted
        Number of voxels that are kept of a frame.
    """
    return {
        "path": str(path),
        "file": list(state),
        "shape": list(header.shape),
        "dtype": header.dtype.str,
        "offset": header.offset,
        "wanted": wanted,
    }


def is_worth_it(path: Path) -> bool:
    """Return whether it saves time to inflate a file before anything else is ready."""
    return path.name.endswith(".gz") and path.stat().st_size >= _LEAST_BYTES


def inflate(start: HeadStart, path: Path, wanted: NDArray[np.intp]) -> None:
    """Fill the memory with a file's frames, in a process that does nothing else.

    Parameters
    ----------
    start
        The memory.
    path
        A usual file of at least `WHOLE_FRAMES` frames.
    wanted
        (voxels,) positions in a frame as stored.

    Raises
    ------
    ForeignFileError, ValueError, OSError, EOFError, TimeoutError
        It is another file, it is damaged, or nobody reads what is ready.
    """
    with _inflating(path) as file:
        found = path.stat()
        header = PlainHeader.of(file.read(_HEADER_BYTES))
        layout = _Layout(math.prod(header.shape[:3]), len(wanted), header.dtype)
        frames = header.shape[3]
        if not layout.fits or frames < WHOLE_FRAMES:
            raise ValueError("no head start is made of this file")
        layout.positions(start)[:] = wanted
        state = found.st_ino, found.st_size, found.st_mtime_ns
        start.describe(_facts(path, state, header, len(wanted)))
        file.read(header.offset - _HEADER_BYTES)
        whole, waiting = layout.whole(start), layout.waiting(start)
        _fill(file, whole)
        start.give(WHOLE_FRAMES)
        frame = np.empty((1, layout.voxels), header.dtype)
        for number, first in enumerate(range(WHOLE_FRAMES, frames, _PIECE)):
            if number >= layout.pieces:
                start.wait_for_room()
            piece = waiting[number % layout.pieces][: frames - first]
            for values in piece:
                _fill(file, frame)
                np.take(frame[0], wanted, out=values, mode="clip")
            if first + len(piece) == frames:
                file.read(1)  # reaches the gzip trailer, whose checksum is then compared
            start.give(len(piece))


def _fill(file: BufferedIOBase, frames: Stored) -> None:
    if read_exactly(file, frames.reshape(-1).view(np.uint8).data) < frames.nbytes:
        raise EOFError


def begun_frames(
    header: Any, sampling: Sampling, watched: int
) -> Generator[tuple[Stored, Sampling], None, int] | None:
    """Return the frames of a run that was begun; None: it was not, or not as it is wanted.

    Parameters
    ----------
    header
        The file's `BoldHeader`, as read by all the rules.
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
    start = begun()
    if start is None or watched > WHOLE_FRAMES or not isinstance(sampling, LatticeSampling):
        return None
    size, time = header.size_and_time
    wanted = len(sampling.source)
    state = header.path.stat().st_ino, size, time
    expected = _facts(header.path, state, header, wanted)
    layout = _Layout(header.file_voxels, wanted, header.dtype)

    def suits(facts: dict[str, Any]) -> bool:
        return facts == expected and np.array_equal(layout.positions(start), sampling.source)

    if start.claim(suits) is None:
        return None
    return _frames(start, layout, header.frames, sampling)


@dataclass(frozen=True, eq=False)
class _InOrder:
    """Takes voxels out of frames that hold these, in their order."""

    covered: NDArray[np.bool_]  # (voxels,), whether the voxel is in the file's field of view
    frames_at_once: ClassVar[int] = 1

    def apply(
        self,
        block: Stored,
        slope: float,
        inter: float,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Scale frames; as `LatticeSampling.apply`."""
        out = require_shape(out, len(block), len(self.covered))
        missing = np.flatnonzero(~self.covered)
        for frame, values in zip(block, out, strict=True):
            values[:] = frame
            scale(values, slope, inter)
            values[missing] = 0.0
        return out


def _frames(
    start: HeadStart, layout: _Layout, frames: int, sampling: LatticeSampling
) -> Generator[tuple[Stored, Sampling], None, int]:
    there = _InOrder(sampling.covered)
    waiting, number, done = layout.waiting(start), 0, 0
    try:
        start.receive()
        yield layout.whole(start), sampling
        done = WHOLE_FRAMES
        while done < frames:
            count = start.receive()
            yield waiting[number % layout.pieces][:count], there
            start.use_up()
            done, number = done + count, number + 1
    except (
        EOFError,
        OSError,
    ):  # the process has ended: the file is read by others, who know what to say
        pass
    finally:
        start.free()
    return done
