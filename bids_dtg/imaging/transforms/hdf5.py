"""Transforms in HDF5, as ITK writes them: what lies in the file, before it means anything.

`python -m bids_dtg.imaging.transforms.hdf5 FILE` reads all but the long arrays: a damaged file can
make the library of HDF5 wait without end or take gigabytes, and then a child of ours does so.
"""

from __future__ import annotations

import math
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.foreign import open_foreign
from bids_dtg.imaging.header import MOST_INFLATED
from bids_dtg.imaging.transforms.chain import MOST_NODES

# Kind, parameters and fixed parameters of a transform.
Part = tuple[str, NDArray[np.floating], NDArray[np.float64]]

_GROUPS, _KIND = "TransformGroup", "TransformType"
# ITK before 5 left a letter out.
_PARAMETERS = ("TransformParameters", "TranformParameters")
_FIXED = ("TransformFixedParameters", "TranformFixedParameters")
# What the small parts of a file take at most; a sound one takes 0.01 s and some kilobytes.
_MOST_SECONDS, _MOST_BYTES = 3.0, 256 * 2**20
_FEW = 64  # numbers that are small enough to be read before the file is known to be sound


def require_sound(path: Path) -> None:
    """Read the small parts of a file in a process with little time and memory.

    Raises
    ------
    ValueError
        They cannot be read, or not within these limits.
    """
    command = [sys.executable, "-m", __name__, os.fspath(path)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10 * _MOST_SECONDS,  # of a busy machine; the process counts its own time
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as err:
        raise ValueError("its structure is damaged: it cannot be read within seconds") from err
    if done.returncode:
        said = done.stdout.decode(errors="replace")
        raise ValueError(said or "its structure is damaged: to read it takes too long")


def read_parts(path: Path, most: int = 3 * MOST_NODES) -> list[Part]:
    """Read the transforms of a file, in the order of their numbers.

    Parameters
    ----------
    path
        A composite transform as ITK and ANTs write it, ``.h5``.
    most
        Longer arrays are not read; they are empty in what is returned.

    Raises
    ------
    ValueError, OSError, KeyError, TypeError, RuntimeError
        It is no such file, or damaged.
    """
    import h5py

    with h5py.File(path, "r") as file:
        groups = _own(file, _GROUPS)
        found = []
        for name in sorted(groups, key=int):
            group = _own(groups, name)
            fixed = np.asarray(_dataset(group, _FIXED, most), np.float64)
            found.append((_kind(group), _dataset(group, _PARAMETERS, most), fixed))
        return found


def _own(group: Any, name: str) -> Any:
    """Return a group or dataset of a file, once it is known to lie in it and to be held by it.

    HDF5 may lead to other files, and give a value to terabytes that were never written.
    """
    import h5py

    if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
        raise ValueError(f"its {name} is a link to another file")
    found = group[name]
    if not isinstance(found, h5py.Dataset):
        return found
    if found.external or found.is_virtual:
        raise ValueError(f"the values of its {name} lie in another file")
    largest = max(found.size or 0, math.prod(found.chunks or (0,)))
    if largest > 3 * MOST_NODES:
        raise ValueError(f"its {name} has {largest} numbers, more than {3 * MOST_NODES}")
    if found.nbytes > found.id.get_storage_size() * MOST_INFLATED:
        raise ValueError(f"the file does not hold the {found.nbytes} bytes of its {name}")
    return found


def _kind(group: Any) -> str:
    kind = _own(group, _KIND)[0]
    return kind.decode() if isinstance(kind, bytes) else str(kind)


def _dataset(group: Any, names: tuple[str, ...], most: int) -> NDArray[np.floating]:
    for name in names:
        if name in group:
            found = _own(group, name)
            values: NDArray[np.floating] = found[()] if found.size <= most else np.zeros(0)
            return values
    return np.zeros(0)  # an identity or a composite has none


def _main(path: str) -> int:
    """Read the small parts of a file within limits; print what is wrong, and return whether."""
    import h5py  # noqa: F401  its own memory does not count

    seconds = math.ceil(_MOST_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    pages = Path("/proc/self/statm")
    if pages.exists():  # other systems count no such thing
        with open_foreign(pages) as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + _MOST_BYTES,) * 2)
    try:
        read_parts(Path(path), _FEW)
    except (ValueError, OSError, KeyError, TypeError, RuntimeError, IndexError, MemoryError) as err:
        print(" ".join(str(err).split()) or "its structure is damaged", end="")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
