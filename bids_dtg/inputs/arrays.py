"""People as arrays: rest, connectomes and what belongs to them, from files joined by people.

What a key holds, and its axes:

- `people` (people,), `places` (places,): names; numbers count as names
- `rest` (people, places, frames), `tr_seconds` (), `session` () of the rest
- `edges` (people, edges): Fisher z of connectomes' upper triangles, row by row, instead of rest,
  for what asks for them
- `structural` (people, places, places)
- `families` (people,): people with the same one are related
- `task_bold` (people, runs, places, frames): BOLD of tasks, NaN in censored frames, after the end
  of a run, and all through a run that a person has not; beside it, in the same file,
  `task_bold_runs` (runs,): the tasks, and `task_bold_tr_seconds` (); for what asks for them
"""

from __future__ import annotations

import math
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.foreign import open_foreign, reading
from bids_dtg.files.home import expand_home
from bids_dtg.files.sidecars import EXPECTED_TR, LONGEST_TR_SECONDS, in_milliseconds
from bids_dtg.inputs.participants import NONE, Families
from bids_dtg.inputs.rest_sketch import sketch
from bids_dtg.notices import named

KEYS = (
    *("people", "places", "rest", "tr_seconds", "session", "structural"),
    *("families", "edges"),
    *("task_bold", "task_bold_runs", "task_bold_tr_seconds"),
)
PEOPLE_BY = ("rest", "edges")  # what people may be known by
_AXES = {
    "rest": ("people", "places", "frames"),
    "edges": ("people", "edges"),
    "structural": ("people", "places", "places"),
    "families": ("people",),
    "people": ("people",),
    "places": ("places",),
    "task_bold": ("people", "runs", "places", "frames"),
    "task_bold_runs": ("runs",),
}
# An array of these is one in all files together; each file may have names and times of its own.
_ALONE = ("edges", "structural", "families", "task_bold")
_NUMBERS = (*PEOPLE_BY, "structural", "task_bold")
_OF_TASKS = ("task_bold", "task_bold_runs", "task_bold_tr_seconds")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9+]*")
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")  # published data have REST1-LR
_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_FORMATS = "a file of NumPy (.npz) or HDF5"

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class StoredArray:
    """An array in a file: shape and type are known, values are read when asked for."""

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[int | None], Any]  # reads a row; None: all of it
    rows: Mapping[str, int] = field(default_factory=dict)  # label -> row, where people come first
    tr_seconds: float = math.nan  # of rest, or of tasks
    session: str = ""  # of rest
    tasks: tuple[str, ...] = ()  # of BOLD of tasks: the task of each run

    @property
    def title(self) -> str:
        """The array, for messages."""
        return f"{self.path}: {self.key}"

    def whole(self) -> Array:
        """Read all of a small array; of text as strings.

        Raises
        ------
        DatasetError
            It is damaged, or holds neither numbers nor text.
        """
        if self.dtype.kind not in "biufSUOT":
            raise DatasetError(f"{self.title} is of type {self.dtype}", expected="numbers or text")
        with reading(self.path, DatasetError):
            values = np.asarray(self.read(None))
            if self.dtype.kind in "biuf":
                return values
            texts = [v.decode() if isinstance(v, bytes) else str(v) for v in values.ravel()]
            return np.array(texts, str).reshape(values.shape)

    def row(self, number: int) -> Array:
        """Read a row.

        Raises
        ------
        DatasetError
            It is damaged, or holds no numbers.
        """
        if self.dtype.kind not in "biuf":
            raise DatasetError(f"{self.title} is of type {self.dtype}", expected="numbers")
        with reading(self.path, DatasetError):
            return np.asarray(self.read(number))

    def of(self, label: str) -> Array:
        """Read a person's row."""
        return self.row(self.rows[label])


def open_arrays(path: Path) -> Mapping[str, StoredArray]:
    """Return the arrays of a file by their keys; no values are read.

    Nothing in a file is ever unpickled, and no array leads to another file.

    Raises
    ------
    DatasetError
        It is missing, damaged or of another format.
    """
    with reading(path, DatasetError):
        with open_foreign(path) as file:
            begins = file.read(8)
        if begins.startswith(_ZIP):
            return _npz_arrays(path)
        if begins == _HDF5:
            return _hdf5_arrays(path)
    raise DatasetError(f"{path} is no file of arrays that is known", expected=_FORMATS)


def _npz_arrays(path: Path) -> dict[str, StoredArray]:
    found: dict[str, StoredArray] = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            key = member.filename.removesuffix(".npy")
            if key == member.filename:
                continue
            with archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                header = np.lib.format.read_array_header_1_0
                if version > (1, 0):
                    header = np.lib.format.read_array_header_2_0
                shape, by_columns, dtype = header(stream)
                begins = None if by_columns else stream.tell()
            rows = _npz_rows(path, member, begins, shape[1:], dtype)
            found[key] = StoredArray(path, key, shape, dtype, rows)
    if not found:
        raise DatasetError(f"{path} holds no array", expected=_FORMATS)
    return found


def _npz_rows(
    path: Path, member: zipfile.ZipInfo, begins: int | None, shape: tuple[int, ...], dtype: Any
) -> Callable[[int | None], Array]:
    """Return the reader of an array, whose rows are inflated in order: going back begins anew.

    `begins` is where the first row is; None: its rows do not lie together.
    """

    @cache
    def stream() -> Any:
        archive = zipfile.ZipFile(open_foreign(path))
        return archive.open(member)  # it stays open: reading goes on where it was

    def read(row: int | None) -> Array:
        if row is None or begins is None:
            with np.load(path, allow_pickle=False) as held:
                whole: Array = held[member.filename.removesuffix(".npy")]
            return whole if row is None else np.ascontiguousarray(whole[row])
        size = math.prod(shape) * dtype.itemsize
        stream().seek(begins + row * size)
        return np.frombuffer(stream().read(size), dtype).reshape(shape)

    return read


def _hdf5_arrays(path: Path) -> dict[str, StoredArray]:
    import h5py

    found: dict[str, StoredArray] = {}
    # The file stays open as long as one of its arrays is in use.
    file = h5py.File(open_foreign(path), "r")
    for key in file:
        if not isinstance(file.get(key, getlink=True), h5py.HardLink):
            continue  # it may lead to another file
        values = file[key]
        if not isinstance(values, h5py.Dataset) or values.shape is None:
            continue
        if values.external or values.is_virtual:
            raise ValueError(f"the values of its {key} lie in another file")
        found[key] = StoredArray(path, key, values.shape, values.dtype, _hdf5_rows(values))
    return found


def _hdf5_rows(values: Any) -> Callable[[int | None], Any]:
    return lambda row: values[() if row is None else row]


def choose_sessions(sessions: Sequence[Any], asked: Sequence[str]) -> tuple[Any, ...]:
    """Return the rest of the sessions of ``--session-label``, or all.

    Raises
    ------
    SettingsError
        No rest is of a session that was asked for.
    """
    by_name = {_plain(rest.session): rest for rest in sessions}
    for label in asked:
        if _plain(label) not in by_name:
            raise SettingsError(
                f"no rest is of session '{label}' (--session-label)",
                expected=f"one of {named([rest.session or 'no name' for rest in sessions])}",
            )
    wanted = {_plain(label) for label in asked}
    return tuple(rest for rest in sessions if not wanted or _plain(rest.session) in wanted)


def _plain(session: str) -> str:
    """Return a session's name without characters that BIDS labels cannot have."""
    return "".join(filter(str.isalnum, session.removeprefix("ses-"))).casefold()


@dataclass(frozen=True, eq=False)
class ArrayPeople:
    """People of one or several files of arrays; values are read a person at a time."""

    files: tuple[Path, ...]  # in the order of the call
    labels: tuple[str, ...]  # of everybody, without sub-
    places: tuple[str, ...]  # names
    places_named: bool  # whether a file names them
    rest: tuple[StoredArray, ...]  # of each session
    structural: StoredArray | None  # connections between places, as counted
    families: Families
    edges: StoredArray | None = None  # of connectomes, where these were asked for
    task_bold: StoredArray | None = None  # (people, runs, places, frames), likewise
    notes: tuple[str, ...] = ()  # sentences on what was assumed

    def sketches(self, label: str) -> dict[str, str]:
        """Return sketches of a person's rest by session, by which it is known again."""
        return dict(self._sketches.get(label, {}))

    @cached_property
    def _sketches(self) -> Mapping[str, Mapping[str, str]]:
        """Sketch of everybody's rest by session; rest that is the same everywhere has none.

        People are read in the order of their rows: going back may read the file anew.
        """
        found: dict[str, dict[str, str]] = {}
        for array in self.rest:
            for label, row in sorted(array.rows.items(), key=lambda item: item[1]):
                with suppress(DatasetError):  # a later step says why it cannot be used
                    values = array.row(row)
                    varies = np.isfinite(values).all() and values.min() < values.max()
                    if varies and (known := sketch(values)):
                        found.setdefault(label, {})[array.session] = known
        return found


def read_key_names(texts: Sequence[str]) -> dict[str, str]:
    """Return by which key each array is read, of `--array-key NAME=KEY` texts.

    Raises
    ------
    SettingsError
        A text is none, or a name is not known or is given twice.

    Examples
    --------
    >>> read_key_names(["rest=bold"])["rest"]
    'bold'
    """
    keys = {name: name for name in KEYS}
    given = set()
    for text in texts:
        name, sign, key = text.partition("=")
        if not sign or not key or name not in KEYS:
            raise SettingsError(
                f"--array-key is '{text}'", expected=f"NAME=KEY, NAME one of {', '.join(KEYS)}"
            )
        if name in given:
            raise SettingsError(f"--array-key names {name} twice", expected="one key for a name")
        given.add(name)
        keys[name] = key
    return keys


def read_arrays(
    paths: Sequence[str | Path],
    keys: Sequence[str] = (),
    *,
    of: Sequence[str] = ("rest",),
    tasks: bool = False,
) -> ArrayPeople:
    """Read what files of arrays hold; of large arrays shapes alone.

    Parameters
    ----------
    paths
        Of npz or HDF5.
    keys
        `NAME=KEY` texts: under which key a file has what is called NAME here.
    of
        What people may be known by, `rest` or `edges`: files have one of them.
    tasks
        Whether BOLD of tasks is read, too.

    Raises
    ------
    DatasetError
        A file cannot be used, lacks something, or does not belong to the others.
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
    by_key = read_key_names(keys)
    asked = {text.partition("=")[0] for text in keys}
    taken = {by_key[name] for name in asked}  # by another name than their own
    unused = set(PEOPLE_BY) - set(of) | (set() if tasks else set(_OF_TASKS))
    by_key = {
        name: key
        for name, key in by_key.items()
        if name in asked or (name not in unused and key not in taken)
    }
    files = tuple(expand_home(Path(path), "--input-arrays").absolute() for path in paths)
    keys_there: set[str] = set()
    found = [_read_file(path, by_key, keys_there) for path in dict.fromkeys(files)]
    holders = {name: [file[name] for file in found if name in file] for name in by_key}
    _require_keys(holders, by_key, asked, of, named(sorted(keys_there)))
    given = {array.title: _names(array) for array in holders["places"]}
    if len(set(given.values())) > 1:
        raise DatasetError(f"{' and '.join(given)} differ", expected="the same places")
    number = _require_same_sizes(found)
    places = next(iter(given.values()), tuple(f"place{n}" for n in range(1, number + 1)))
    notes = []
    unnamed = [
        next(iter(file.values())).path.name
        for file in found
        if "places" not in file and any("places" in _AXES.get(name, ()) for name in file)
    ]
    if places and not given:
        notes += [f"no file names the places: they are {places[0]} and so on"]
    elif unnamed:
        notes += [
            f"{named(unnamed)}: no names of places, which are assumed to be in the order of the "
            "other files"
        ]
    if unread := sorted(keys_there - set(by_key.values())):
        notes += [
            f"not read, as they have no meaning here: {named(unread)}; --array-key NAME=KEY gives "
            "a key one"
        ]
    alone = {name: arrays[0] for name, arrays in holders.items() if arrays and name in _ALONE}
    families = Families({}, "", absent="no key families")
    if (array := alone.get("families")) is not None:
        values = array.whole()
        known = {label: str(values[row]).strip() for label, row in array.rows.items()}
        by_label = {who: name for who, name in known.items() if name.casefold() not in NONE}
        families = Families(by_label, array.title)
    return ArrayPeople(
        files=files,
        labels=tuple(
            dict.fromkeys(label for file in found for a in file.values() for label in a.rows)
        ),
        places=places,
        places_named=bool(given),
        rest=_rest(found),
        structural=alone.get("structural"),
        edges=alone.get("edges"),
        task_bold=next((_task_bold(file) for file in found if "task_bold" in file), None),
        families=families,
        notes=tuple(notes),
    )


def _read_file(
    path: Path, by_key: Mapping[str, str], keys_there: set[str]
) -> dict[str, StoredArray]:
    """Return the arrays of a file that have a meaning, by it; the keys of all are added."""
    stored = open_arrays(path)
    keys_there.update(stored)
    arrays = {name: stored[key] for name, key in by_key.items() if key in stored}
    if not arrays:
        raise DatasetError(
            f"{path} has the arrays {named(sorted(stored))}",
            expected=f"one of {', '.join(by_key.values())}, or --array-key NAME=KEY",
        )
    for name, array in arrays.items():
        axes = _AXES.get(name)
        if axes is not None and len(array.shape) != len(axes):
            raise DatasetError(
                f"{array.title} has shape {array.shape}", expected=f"({', '.join(axes)})"
            )
        if 0 in array.shape:
            raise DatasetError(f"{array.title} has shape {array.shape}: it is empty")
        if name in _NUMBERS and array.dtype.kind not in "biuf":
            raise DatasetError(f"{array.title} is of type {array.dtype}", expected="numbers")
    counts = {name: a.shape[0] for name, a in arrays.items() if "people" in _AXES.get(name, ())}
    if len(set(counts.values())) > 1:
        words = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DatasetError(
            f"{path} has different numbers of people: {words}", expected="one number"
        )
    if counts and "people" not in arrays:
        raise DatasetError(
            f"{path} names no people",
            expected="a key people in each file, by which files are joined",
            remedy="give the key with --array-key people=KEY",
        )
    rows = _rows(arrays["people"]) if counts else {}
    return {name: replace(a, rows=rows if name in counts else {}) for name, a in arrays.items()}


def _rows(people: StoredArray) -> dict[str, int]:
    """Return the row of each person in a file."""
    labels = [name.removeprefix("sub-") for name in _names(people, distinct=False)]
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise DatasetError(
                f"{people.title} names {label!r}", expected="letters and digits, as in BIDS"
            )
    listed = Counter(label.casefold() for label in labels)
    if twice := [label for label in labels if listed[label.casefold()] > 1]:
        raise DatasetError(
            f"{people.title} names {twice[0]} more than once",
            expected="a row a person, and labels that differ by more than capitals",
            remedy="give each session as a file of its own, with the key session",
        )
    return {label: row for row, label in enumerate(labels)}


def _require_keys(
    holders: Mapping[str, Sequence[StoredArray]],
    by_key: Mapping[str, str],
    asked: set[str],
    of: Sequence[str],
    everything: str,
) -> None:
    if absent := sorted(name for name in asked if not holders[name]):
        raise DatasetError(
            f"no file has the key {by_key[absent[0]]}, which --array-key gives for {absent[0]}",
            expected=f"one of {everything}",
        )
    known = [name for name in PEOPLE_BY if holders.get(name)]
    if len(known) > 1:
        raise DatasetError(f"there are {' and '.join(known)}", expected="one of them")
    if not any(holders.get(name) for name in of):
        keys = " or ".join(by_key.get(name, name) for name in of)
        raise DatasetError(
            f"no file has {keys}; there are {everything}",
            expected=" or ".join(f"{name} ({', '.join(_AXES[name])})" for name in of),
            remedy="give the key with --array-key rest=KEY",
        )
    for name in _ALONE:
        if len(of_name := holders.get(name, ())) > 1:
            raise DatasetError(
                f"{name} is in {of_name[0].path} and in {of_name[1].path}",
                expected="one file with it",
            )


def _require_same_sizes(found: Sequence[Mapping[str, StoredArray]]) -> int:
    """Refuse axes of other lengths than those of other arrays; return the number of places."""
    sizes: dict[str, tuple[int, str]] = {}
    for name, array in (pair for file in found for pair in file.items()):
        for axis, size in zip(_AXES.get(name, ()), array.shape, strict=False):
            known, first = sizes.setdefault(axis, (size, array.title))
            if known != size and axis not in ("people", "frames"):
                raise DatasetError(
                    f"{array.title} has {size} {axis}, and {first} has {known}",
                    expected="the same number",
                )
    return sizes.get("places", (0, ""))[0]


def _names(array: StoredArray, *, distinct: bool = True) -> tuple[str, ...]:
    """Return the names of an array: text, or whole numbers."""
    values = array.whole()
    if values.ndim != 1 or values.dtype.kind not in "iuSU":
        raise DatasetError(
            f"{array.title} is {values.dtype} {values.shape}", expected="names, one axis"
        )
    names = tuple(str(value).strip() for value in values)
    if not all(names):
        raise DatasetError(f"{array.title} has an empty name", expected="a name each")
    if distinct and len(set(names)) < len(names):
        twice, _ = Counter(names).most_common(1)[0]
        raise DatasetError(f"{array.title} has the name '{twice}' twice", expected="each name once")
    return names


def _rest(found: Sequence[Mapping[str, StoredArray]]) -> tuple[StoredArray, ...]:
    """Return the arrays of rest: several are sessions of different names."""
    times = [_seconds(file["tr_seconds"]) for file in found if "tr_seconds" in file]
    made: dict[str, StoredArray] = {}
    for file in found:
        if (rest := file.get("rest")) is None:
            continue
        if "tr_seconds" not in file and len(set(times)) != 1:
            raise DatasetError(
                f"{rest.path} has rest and no tr_seconds",
                expected="seconds a frame under the key tr_seconds",
                remedy="give the key with --array-key tr_seconds=KEY",
            )
        tr_seconds = _seconds(file["tr_seconds"]) if "tr_seconds" in file else times[0]
        session = _session(file["session"]) if "session" in file else ""
        if session in made:
            raise DatasetError(
                f"rest is in {made[session].path} and in {rest.path}",
                expected="one file with it, or a key session in each, with different names",
            )
        made[session] = replace(rest, tr_seconds=tr_seconds, session=session)
    return tuple(made.values())


def _task_bold(file: Mapping[str, StoredArray]) -> StoredArray:
    """Return BOLD of tasks with the other arrays of its file."""
    bold = file["task_bold"]
    if lacking := [name for name in _OF_TASKS if name not in file]:
        raise DatasetError(
            f"{bold.path} has task_bold and no {' and no '.join(lacking)}",
            expected="the task of each run (task_bold_runs), as names of event files have it, and "
            "seconds a frame (task_bold_tr_seconds)",
        )
    seconds = _seconds(file["task_bold_tr_seconds"])
    return replace(bold, tr_seconds=seconds, tasks=_names(file["task_bold_runs"]))


def _seconds(array: StoredArray) -> float:
    values = array.whole().ravel()
    if values.dtype.kind not in "iuf" or not len(values) or len(set(values.tolist())) > 1:
        raise DatasetError(
            f"{array.title} is {values.dtype} {array.shape}", expected="one number, in seconds"
        )
    seconds = round(float(values[0]), 6)  # a float of 32 bits is not 0.72
    if not 0 < seconds <= LONGEST_TR_SECONDS:
        raise DatasetError(
            f"{array.title} is {seconds:g}",
            expected=EXPECTED_TR,
            remedy=in_milliseconds(seconds),
        )
    return seconds


def _session(array: StoredArray) -> str:
    name, *more = set(array.whole().ravel().tolist())
    name = str(name).removeprefix("ses-")
    if more or not _SESSION.fullmatch(name):
        raise DatasetError(
            f"{array.title} names {' and '.join(map(repr, (name, *more[:1])))}",
            expected="one session a file, of letters, digits, '.', '-', '_'",
        )
    return name
