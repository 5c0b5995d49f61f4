"""Participants' data as arrays (rest, connectomes and more), from files joined by `people`.

Keys, with their axes and content:

- `people` (people,), `places` (places,): names of participants and of voxels or regions; numbers
  count as names
- `rest` (people, places, frames): resting-state BOLD, with its `tr_seconds` () and `session` ()
- `edges` (people, edges): upper triangles of connectomes, row by row, as Fisher z; some analyses
  take them instead of rest
- `structural` (people, places, places): structural connectomes
- `families` (people,): people with the same family are related
- `task_bold` (people, runs, places, frames): task BOLD, for analyses that use it; NaN in censored
  frames, after the end of a run, and in runs that a person does not have. The same file holds
  `task_bold_runs` (runs,), the task of each run, and `task_bold_tr_seconds` ()
"""

from __future__ import annotations

import math
import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Values
from bids_dtg.engine.machine import available_memory
from bids_dtg.engine.pool import in_own_process
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.foreign import AGAIN, NO_VALUE, is_missing, open_foreign, reading
from bids_dtg.files.hdf5 import member
from bids_dtg.files.paths import expand_home
from bids_dtg.files.sidecars import EXPECTED_TR, LONGEST_TR_SECONDS, in_milliseconds
from bids_dtg.inputs.participants import Families, plain_text
from bids_dtg.inputs.rest_sketch import sketch
from bids_dtg.notices import named
from bids_dtg.progress import step

PEOPLE_BY = ("rest", "edges")  # keys that can describe people; files have one of them
_OF_TASKS = ("task_bold", "task_bold_runs", "task_bold_tr_seconds")
_AXES = {
    "people": ("people",),
    "places": ("places",),
    "rest": ("people", "places", "frames"),
    "structural": ("people", "places", "places"),
    "families": ("people",),
    "edges": ("people", "edges"),
    "task_bold": ("people", "runs", "places", "frames"),
    "task_bold_runs": ("runs",),
}
KEYS = (*_AXES, "tr_seconds", "session", "task_bold_tr_seconds")
# Keys that only one of the files may have; names and times may be in every file.
_IN_ONE_FILE = ("edges", "structural", "families", "task_bold")
_NUMBERS = (*PEOPLE_BY, "structural", "task_bold")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9+]*")
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")  # published data have REST1-LR
_ZIP = b"PK\x03\x04"
_HDF5 = b"\x89HDF\r\n\x1a\n"
# Attributes of HDF5: MATLAB's, and those of netCDF by which values differ from those stored.
_MATLAB = "MATLAB_class"
_SCALING = ("_FillValue", "scale_factor", "add_offset")
# HDF5's codes of deflate, shuffle, Fletcher's checksum and LZF, which end on any bytes.
_HARMLESS_FILTERS = {1, 2, 3, 32000}


@dataclass(frozen=True, eq=False)
class StoredArray:
    """An array in a file; HDF5 is read one person at a time."""

    path: Path
    key: str
    values: Any  # an array, or an HDF5 dataset
    # Label -> row, if people are an axis.
    rows: Mapping[str, int] = field(default_factory=dict)
    tr_seconds: float = math.nan  # for rest and task BOLD
    session: str = ""  # for rest
    tasks: tuple[str, ...] = ()  # for task BOLD: the task of each run

    @property
    def title(self) -> str:
        """The array, for messages."""
        return f"{self.path}: {self.key}"

    def of(self, label: str) -> Values:
        """Read a person's row; raise a DatasetError if it is damaged."""
        with reading(f"{self.title} of sub-{label}", DatasetError, remedy=AGAIN):
            return np.asarray(self.values[self.rows[label]])

    def whole(self) -> Values:
        """Read the whole array, text as strings; raise a DatasetError if it is damaged."""
        with reading(self.path, DatasetError, remedy=AGAIN):
            values = np.asarray(self.values[()])
            if values.dtype.kind not in "SO":
                return values
            texts = [
                value.decode() if isinstance(value, bytes) else str(value)
                for value in values.ravel()
            ]
            return np.array(texts, str).reshape(values.shape)


@dataclass(frozen=True, eq=False)
class ArrayPeople:
    """The people in one or several files of arrays."""

    files: tuple[Path, ...]  # in the order of the command line
    labels: tuple[str, ...]  # of all people, without sub-
    places: tuple[str, ...]  # names of voxels or regions
    places_named: bool  # whether a file names them
    rest: tuple[StoredArray, ...]  # one array per session
    structural: StoredArray | None  # connections between places, as counted
    families: Families
    edges: StoredArray | None  # of connectomes, if requested
    task_bold: StoredArray | None  # (people, runs, places, frames), if requested
    notes: tuple[str, ...]  # sentences on what was assumed

    def sketches(self, label: str) -> dict[str, str]:
        """Return sketches of a person's rest by session, which recognise the same data again.

        Rest that is constant or has values that are not finite has no sketch.
        """
        sketches = {}
        for array in self.rest:
            if label not in array.rows:
                continue
            with suppress(DatasetError):  # a later step reports it
                values = array.of(label)
                if np.isfinite(values).all() and np.ptp(values):
                    sketches[array.session] = sketch(values)
        return {session: text for session, text in sketches.items() if text}


def read_arrays(
    paths: Sequence[str | Path],
    keys: Sequence[str] = (),
    *,
    tasks: bool = False,
    mem_gb: float | None = None,
) -> ArrayPeople:
    """Read files of arrays: npz files completely, HDF5 files on demand.

    Nothing in a file is ever unpickled.

    Parameters
    ----------
    paths
        Paths of npz or HDF5 files.
    keys
        Texts of `--array-key`, NAME=KEY: the files have the array NAME under the key KEY.
    tasks
        Whether to read task BOLD as well, and to accept edges instead of rest.
    mem_gb
        Memory that an npz file's arrays may take; None: what is available.

    Raises
    ------
    DatasetError
        A file cannot be used, lacks something, or does not match the rest.
    SettingsError
        `keys` are wrong.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "all.npz"
    >>> np.savez(path, bold=np.zeros((2, 5, 9)), tr_seconds=0.8, people=["a", "b"])
    >>> people = read_arrays([path], ["rest=bold"])
    >>> people.labels, len(people.places), people.rest[0].tr_seconds
    (('a', 'b'), 5, 0.8)
    """
    renamed = _renamed(keys)
    describing = PEOPLE_BY if tasks else PEOPLE_BY[:1]
    unused = () if tasks else ("edges", *_OF_TASKS)
    key_of_name = dict(renamed)
    for name in KEYS:
        if name not in {*renamed, *unused} and name not in renamed.values():
            key_of_name[name] = name
    paths_given = tuple(
        expand_home(path, "--input-arrays").absolute() for path in paths
    )
    all_keys: set[str] = set()
    files = [
        _read_file(path, key_of_name, all_keys, mem_gb)
        for path in dict.fromkeys(paths_given)
    ]
    single = _require_keys(files, renamed, describing, named(sorted(all_keys)))
    number = _require_same_sizes(files)
    places = _places(files)
    notes = _notes_on_places(files, has_names=bool(places))
    unread = sorted(all_keys - set(key_of_name.values()))
    if unread:
        notes.append(
            f"keys that are not used here: {named(unread)}; --array-key NAME=KEY says what a key "
            "holds"
        )
    labels: dict[str, None] = {}
    for file in files:
        for array in file.values():
            labels |= dict.fromkeys(array.rows)
    rest = _rest(files)
    if not places and "structural" not in single:  # else others have as many places
        notes += _notes_on_axes(rest)
    task_files = [file for file in files if "task_bold" in file]
    return ArrayPeople(
        files=paths_given,
        labels=tuple(labels),
        places=places or tuple(f"place{n}" for n in range(1, number + 1)),
        places_named=bool(places),
        rest=rest,
        structural=single.get("structural"),
        edges=single.get("edges"),
        task_bold=_task_bold(task_files[0]) if task_files else None,
        families=_families(single.get("families")),
        notes=tuple(notes),
    )


def _places(files: Sequence[Mapping[str, StoredArray]]) -> tuple[str, ...]:
    """Return the names of places, which must be the same in all files; empty if none has them."""
    names = {
        file["places"].title: _names(file["places"])
        for file in files
        if "places" in file
    }
    if len(set(names.values())) > 1:
        raise DatasetError(
            f"{' and '.join(names)} differ", expected="the same names of places"
        )
    return next(iter(names.values()), ())


def _notes_on_places(
    files: Sequence[Mapping[str, StoredArray]], *, has_names: bool
) -> list[str]:
    """Return a note on the files that have places without names, if any."""
    unnamed = []
    for file in files:
        has_places = any("places" in _AXES.get(name, ()) for name in file)
        if has_places and "places" not in file:
            first_array = next(iter(file.values()))
            unnamed.append(first_array.path.name)
    if not unnamed:
        return []
    assumed = "are numbered"
    if has_names:
        assumed = "are assumed to be in the order of the other files"
    return [f"{named(sorted(unnamed))}: places have no names and {assumed}"]


def _notes_on_axes(rest: Sequence[StoredArray]) -> list[str]:
    """Return a warning if rest has more places than frames, as with axes in another order."""
    for array in rest:
        people, places, frames = array.values.shape
        if places > frames:
            minutes = frames * array.tr_seconds / 60
            return [
                f"warning: {array.path.name}: {array.key} is read as (people, places, frames): "
                f"{people} people, {places} places, and {frames} frames of {array.tr_seconds:g} s, "
                f"which are {minutes:.1f} minutes of rest. To do: if these are {places} frames of "
                f"{frames} places, swap the axes"
            ]
    return []


def _renamed(texts: Sequence[str]) -> dict[str, str]:
    """Return the keys of arrays that `--array-key` renames."""
    keys: dict[str, str] = {}
    for text in texts:
        name, _, key = text.partition("=")
        if not key or name not in KEYS or name in keys:
            raise SettingsError(
                f"--array-key is '{text}'",
                expected=f"NAME=KEY, each NAME once; NAME is one of {', '.join(KEYS)}",
            )
        keys[name] = key
    return keys


def _read_file(
    path: Path,
    key_of_name: Mapping[str, str],
    all_keys: set[str],
    mem_gb: float | None,
) -> dict[str, StoredArray]:
    """Return a file's known arrays by name; add its keys to `all_keys`."""
    wanted = set(key_of_name.values())
    stored: dict[str, Any]
    with reading(path, DatasetError, remedy=AGAIN):
        with open_foreign(path) as file:
            first_bytes = file.read(8)
        if first_bytes.startswith(_ZIP):
            _require_stated_sizes(path, wanted, mem_gb)
            with np.load(path, allow_pickle=False) as npz:
                keys = list(npz)
                stored = {key: npz[key] for key in keys if key in wanted}
        elif first_bytes == _HDF5:
            # HDF5's library may never return from a damaged file, or end the process.
            in_own_process(partial(_try_hdf5, path, wanted))
            keys, stored = _open_hdf5(path, wanted)
        else:
            raise DatasetError(
                f"{path} is not a file of arrays",
                expected="a NumPy (.npz) or HDF5 file",
            )
    all_keys.update(keys)
    with reading(path, DatasetError, remedy=AGAIN):
        arrays = {
            name: StoredArray(path, key, stored[key])
            for name, key in key_of_name.items()
            if getattr(stored.get(key), "shape", None) is not None
        }
    for name, array in arrays.items():
        _require_form(name, array)
        _require_meaning(name, array, arrays.get("people"))
    with_rows = [name for name in arrays if "people" in _AXES.get(name, ())]
    if with_rows and "people" not in arrays:
        raise DatasetError(
            f"{path} names no people",
            expected="the key people in each file, by which files are joined",
            remedy="give the key with --array-key people=KEY",
        )
    rows = _rows(arrays["people"]) if with_rows else {}
    return arrays | {name: replace(arrays[name], rows=rows) for name in with_rows}


def _require_form(name: str, array: StoredArray) -> None:
    """Refuse an array of another type or number of axes, or an empty one."""
    axes = _AXES.get(name)
    kinds = "biufSUO"
    content = "numbers or text"
    if name in _NUMBERS:
        kinds = "biuf"
        content = "numbers"
    shape = array.values.shape
    has_axes = axes is None or len(axes) == len(shape)
    if not has_axes or 0 in shape or array.values.dtype.kind not in kinds:
        named_axes = f", ({', '.join(axes)})" if axes else ""
        raise DatasetError(
            f"{array.title} is {array.values.dtype} of shape {shape}",
            expected=f"{content}, not empty{named_axes}",
        )


def _require_meaning(name: str, array: StoredArray, people: StoredArray | None) -> None:
    """Refuse an array of HDF5 whose axes are reversed, as MATLAB's are, or that is scaled."""
    attributes = getattr(array.values, "attrs", {})
    scaled = [key for key in _SCALING if key in attributes]
    if scaled:
        raise DatasetError(
            f"{array.title} has the attribute {' and '.join(scaled)}",
            expected="values as they are, NaN where there are none",
            remedy="apply it, such as with xarray, and write the values",
        )
    axes, shape = _AXES.get(name, ()), array.values.shape
    if people is None or len(axes) < 2 or axes[0] != "people":
        return
    number = people.values.size
    is_reversed = shape[0] != number and shape[-1] == number
    if is_reversed or _MATLAB in attributes:
        why = f"has the attribute {_MATLAB}"
        if is_reversed:
            why = f"is ({', '.join(map(str, shape))}), and people are {number}"
        raise DatasetError(
            f"{array.title} {why}: its axes are reversed ({', '.join(axes[::-1])})",
            expected=f"({', '.join(axes)})",
            remedy="MATLAB writes axes in reverse: permute them before saving, or transpose the "
            "array in Python",
        )


def _open_hdf5(path: Path, wanted: set[str]) -> tuple[list[str], dict[str, Any]]:
    """Return the keys of an HDF5 file, and its wanted arrays or groups."""
    import h5py

    # The file stays open, without a lock, while one of its arrays is in use.
    file = h5py.File(open_foreign(path), "r")
    stored = {key: member(file, key) for key in file if key in wanted}
    for key, values in stored.items():
        with reading(f"{path}: {key}", DatasetError, remedy=AGAIN):
            getattr(values, "dtype", None)  # raises an error if the type is damaged
    keys = [
        key if isinstance(key, str) else key.decode("utf-8", "backslashreplace")
        for key in file
    ]
    return keys, stored


def _try_hdf5(path: Path, wanted: set[str]) -> None:
    """Read what may end a process or never end; other damage is reported when values are used.

    Raises
    ------
    DatasetError
        A key cannot be read.
    """
    _, stored = _open_hdf5(path, wanted)
    for key, values in stored.items():
        has_rows = bool(getattr(values, "shape", None))
        rows: list[Any] = list(range(len(values))) if has_rows else [()]
        with suppress(Exception):
            if _is_plain(values):
                rows = []  # large, and read again when they are used
                _walk_chunks(path, values)
        for row in rows:
            step(f"reading {path}: {key}")
            with suppress(Exception):
                values[row]


def _is_plain(values: Any) -> bool:
    """Return whether an array of HDF5 holds numbers, stored by filters that end on any bytes."""
    import h5py

    if not isinstance(values, h5py.Dataset) or values.dtype.kind not in "biuf":
        return False
    if values.chunks is not None and not hasattr(values.id, "chunk_iter"):
        return False  # an HDF5 before 1.12.3
    layout = values.id.get_create_plist()
    filters = {layout.get_filter(n)[0] for n in range(layout.get_nfilters())}
    return filters <= _HARMLESS_FILTERS


def _walk_chunks(path: Path, values: Any) -> None:
    """Visit each entry of the tree by which HDF5 finds an array's chunks; their values stay."""
    if values.chunks is not None:
        values.id.chunk_iter(lambda _chunk: step(f"reading {path}: {values.name}"))


def _require_stated_sizes(path: Path, wanted: set[str], mem_gb: float | None) -> None:
    """Refuse arrays of an npz file that would take more memory than there is, or than they state.

    A member of a few megabytes may inflate to any size.
    """
    most = available_memory() if mem_gb is None else mem_gb * 1e9
    total = 0
    with zipfile.ZipFile(open_foreign(path)) as archive:
        for entry in archive.infolist():
            key = entry.filename.removesuffix(".npy")
            if key not in wanted:
                continue
            with archive.open(entry) as file:
                stated = _stated_bytes(file)
            if stated is None:
                raise DatasetError(
                    f"{path}: {key} is an array of Python objects, which is never unpickled",
                    expected="text or numbers",
                    remedy=f"save it as text, such as np.array({key}, dtype=str), or as numbers",
                )
            if stated != entry.file_size:
                raise ValueError(
                    f"{key} has {entry.file_size:,} bytes, and its header states {stated:,}"
                )
            total += entry.file_size
    if most is not None and total > most:
        raise DatasetError(
            f"{path} takes {total / 1e9:,.1f} GB of memory",
            expected=f"{most / 1e9:,.1f} GB at most",
            remedy="give more memory (--mem-gb), or save the arrays as HDF5, which is read a "
            "person at a time",
        )


def _stated_bytes(file: Any) -> int | None:
    """Return the size of a .npy file by its header; None for objects."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_2_0
    if version == (1, 0):
        read_header = np.lib.format.read_array_header_1_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        return None
    return file.tell() + math.prod(shape) * dtype.itemsize


def _rows(people: StoredArray) -> dict[str, int]:
    """Return the row of each person in a file."""
    labels = [name.removeprefix("sub-") for name in _names(people, are_people=True)]
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise DatasetError(
                f"{people.title} has the name {label!r}",
                expected="letters and digits, as in BIDS",
            )
    return {label: row for row, label in enumerate(labels)}


def _require_keys(
    files: Sequence[Mapping[str, StoredArray]],
    renamed: Mapping[str, str],
    describing: Sequence[str],
    everything: str,
) -> dict[str, StoredArray]:
    """Refuse missing or conflicting keys; return the arrays that only one file may have."""
    names = set(chain.from_iterable(files))
    absent = sorted(renamed.keys() - names)
    if absent:
        raise DatasetError(
            f"no file has the key {renamed[absent[0]]}, which --array-key gives for {absent[0]}",
            expected=f"one of {everything}",
        )
    if len(names & set(PEOPLE_BY)) != 1 or not names & set(describing):
        choices = [f"{name} ({', '.join(_AXES[name])})" for name in describing]
        either = "either " if len(choices) > 1 else ""
        raise DatasetError(
            f"the files have {everything}",
            expected=f"{either}{' or '.join(choices)}",
            remedy="give the key with --array-key rest=KEY",
        )
    single: dict[str, StoredArray] = {}
    for file in files:
        for name, array in file.items():
            if name not in _IN_ONE_FILE:
                continue
            first = single.setdefault(name, array)
            if first is not array:
                raise DatasetError(
                    f"{name} is in {first.path} and in {array.path}",
                    expected="one file with it",
                )
    return single


def _require_same_sizes(files: Sequence[Mapping[str, StoredArray]]) -> int:
    """Refuse arrays whose axes have different lengths; return the number of places."""
    # Size of an axis, and the first array.
    sizes: dict[str | Path, tuple[int, str]] = {}
    for name, array in chain.from_iterable(file.items() for file in files):
        for axis, size in zip(_AXES.get(name, ()), array.values.shape, strict=False):
            if axis == "frames":
                continue
            # The people of two files may differ.
            key = array.path if axis == "people" else axis
            first_size, first = sizes.setdefault(key, (size, array.title))
            if first_size != size:
                raise DatasetError(
                    f"{array.title} has {size} {axis}, and {first} has {first_size}",
                    expected="the same number",
                )
    number, _ = sizes.get("places", (0, ""))
    return number


def _names(array: StoredArray, *, are_people: bool = False) -> tuple[str, ...]:
    """Return an array of text or integers as names; refuse empty and repeated ones."""
    values = array.whole()
    names = tuple(str(value).strip() for value in values.ravel())
    if values.dtype.kind not in "iuU" or not all(names):
        raise DatasetError(
            f"{array.title} is {values.dtype}, or has an empty name",
            expected="names as text",
        )
    counts = Counter(name.casefold() if are_people else name for name in names)
    if len(counts) < len(names):
        ((repeated, _),) = counts.most_common(1)
        raise DatasetError(
            f"{array.title} has the name '{repeated}' twice",
            expected="each name once, as each session is a file of its own",
        )
    return names


def _families(array: StoredArray | None) -> Families:
    if array is None:
        return Families(absent="no key families")
    names = array.whole()
    by_label, missing = {}, {}
    for label, row in array.rows.items():
        name = plain_text(str(names[row]))
        if not is_missing(name):
            by_label[label] = name
        elif name.casefold() not in NO_VALUE:
            missing[label] = name
    return Families(by_label, array.title, missing=missing)


def _rest(files: Sequence[Mapping[str, StoredArray]]) -> tuple[StoredArray, ...]:
    """Return the arrays of rest; several must be sessions with different names."""
    by_session: dict[str, StoredArray] = {}
    for file in files:
        if "rest" not in file:
            continue
        rest = file["rest"]
        if "tr_seconds" not in file:
            raise DatasetError(
                f"{rest.path} has rest but no tr_seconds",
                expected="seconds per frame under the key tr_seconds",
                remedy="give the key with --array-key tr_seconds=KEY",
            )
        session = _session(file["session"]) if "session" in file else ""
        if session in by_session:
            raise DatasetError(
                f"rest is in {by_session[session].path} and in {rest.path}",
                expected="one file with it, or the key session in each, with different names",
            )
        tr_seconds = _seconds(file["tr_seconds"])
        by_session[session] = replace(rest, tr_seconds=tr_seconds, session=session)
    return tuple(by_session.values())


def _task_bold(file: Mapping[str, StoredArray]) -> StoredArray:
    """Return task BOLD with the tasks and the TR from its file."""
    bold = file["task_bold"]
    lacking = [name for name in _OF_TASKS if name not in file]
    if lacking:
        raise DatasetError(
            f"{bold.path} has task_bold but no {' and no '.join(lacking)}",
            expected="the task of each run (task_bold_runs), as in the names of event files, and "
            "seconds per frame (task_bold_tr_seconds)",
        )
    seconds = _seconds(file["task_bold_tr_seconds"])
    return replace(bold, tr_seconds=seconds, tasks=_names(file["task_bold_runs"]))


def _seconds(array: StoredArray) -> float:
    values = np.unique(array.whole())
    seconds = math.nan
    if len(values) == 1 and values.dtype.kind in "iuf":
        seconds = round(float(values[0]), 6)  # as float32, 0.72 is not exact
    if not 0 < seconds <= LONGEST_TR_SECONDS:
        raise DatasetError(
            f"{array.title} is {named(list(map(str, values)))}",
            expected=f"one number, {EXPECTED_TR}",
            remedy=in_milliseconds(seconds),
        )
    return seconds


def _session(array: StoredArray) -> str:
    names = [str(name).removeprefix("ses-") for name in np.unique(array.whole())]
    if len(names) > 1 or not _SESSION.fullmatch(names[0]):
        raise DatasetError(
            f"{array.title} has the name {' and '.join(map(repr, names[:2]))}",
            expected="one session per file, named with letters, digits, '.', '-', '_'",
        )
    return names[0]
