"""People as arrays: rest, measured maps and what belongs to them, from files joined by people.

What a key holds, and its axes:

- `people` (people,), `places` (places,), `contrasts` (contrasts,): names; numbers count as names
- `rest` (people, places, frames), `tr_seconds` (), `session` () of the rest
- `connectomes` (people, rois, places), made elsewhere, instead of rest
- `edges` (people, edges): Fisher z of connectomes' upper triangles, row by row, instead of rest,
  for what asks for them
- `targets` (people, contrasts, places): measured maps; NaN: not measured
- `structural` (people, places, places)
- `roi_maps` (rois, places)
- `adjacency` (places, places), or (pairs, 2) numbers of places from 0
- `families` (people,): people with the same one are related
- `grayordinates` (): what the places are, where they are those of CIFTI: `91k`, or a file of them
"""

from __future__ import annotations

import hashlib
import math
import re
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError, RunError, SettingsError
from bids_dtg.files.home import expand_home
from bids_dtg.files.sidecars import EXPECTED_TR, LONGEST_TR_SECONDS, in_milliseconds
from bids_dtg.inputs.array_files import StoredArray, open_arrays
from bids_dtg.inputs.rest_sketch import sketch, sketch_edges
from bids_dtg.inputs.splits_file import Families
from bids_dtg.notices import counted, named

KEYS = (
    *("people", "places", "rest", "tr_seconds", "session", "connectomes", "targets"),
    *("contrasts", "structural", "roi_maps", "adjacency", "families", "edges", "grayordinates"),
)
# What people may be known by: any, and where edges of connectomes are not asked for.
_PEOPLE_BY_ANY = ("rest", "connectomes", "edges")
PEOPLE_BY = _PEOPLE_BY_ANY[:2]
_AXES = {
    "rest": ("people", "places", "frames"),
    "connectomes": ("people", "rois", "places"),
    "edges": ("people", "edges"),
    "targets": ("people", "contrasts", "places"),
    "structural": ("people", "places", "places"),
    "roi_maps": ("rois", "places"),
    "families": ("people",),
    "people": ("people",),
    "places": ("places",),
    "contrasts": ("contrasts",),
}
# An array of these is one in all files together; each file may have names and times of its own.
_ALONE = (
    *("connectomes", "edges", "targets", "structural", "roi_maps", "adjacency", "families"),
    "grayordinates",
)
_NUMBERS = (*_PEOPLE_BY_ANY, "targets", "structural")
_NAMES = {"people": 100_000, "places": 2**20, "contrasts": 10_000}  # and how many there may be
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9+]*")
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")  # published data have REST1-LR
_LONGEST_NAME, _LONGEST_LABEL = 200, 100
STANDARD_GRAYORDINATES = "91k"  # HCP's and fMRIPrep's
_NO_FAMILY = ("", "n/a", "na", "nan")
# Where the largest value of a person lies: squares of rest are summed in 32 bits, and connectomes
# are kept in 16 bits.
_REST_RANGE, _CONNECTOME_RANGE = (1e-12, 1e12), (1e-3, 6e4)
_SEEN_PLACES = 64  # whose rest makes a person known again
_MOST_SEEN = 2**26  # bytes of a person's rest; of larger ones only these places are read for that


@dataclass(frozen=True, eq=False)
class PeopleArray:
    """An array whose first axis is people."""

    stored: StoredArray
    rows: Mapping[str, int]  # label -> row
    tr_seconds: float = math.nan  # of rest
    session: str = ""  # of rest

    def of(self, label: str) -> NDArray[Any]:
        """Read a person's row."""
        return self.stored.row(self.rows[label])


class _OfSession(Protocol):
    @property
    def session(self) -> str: ...


_Rest = TypeVar("_Rest", bound=_OfSession)


def choose_sessions(sessions: Sequence[_Rest], asked: Sequence[str]) -> tuple[_Rest, ...]:
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
    numbered: bool  # whether no file names people: then labels say nothing of who they are
    places: tuple[str, ...]  # names
    places_named: bool  # whether a file names them
    contrasts: tuple[str, ...]  # names, of the rows of targets
    rest: tuple[PeopleArray, ...]  # of each session
    connectomes: PeopleArray | None
    targets: PeopleArray | None
    structural: PeopleArray | None  # connections between places, as counted
    roi_maps: NDArray[np.floating[Any]] | None  # (rois, places)
    adjacency: NDArray[np.intp] | None  # (pairs, 2)
    families: Families
    edges: PeopleArray | None = None  # of connectomes, where these were asked for
    # Which grayordinates of CIFTI the places are, as a name, or a file that has them; None: none.
    grayordinates: str | Path | None = None
    notes: tuple[str, ...] = ()  # sentences on what was assumed

    def has_rest(self, label: str) -> bool:
        """Return whether a person has rest, or a connectome made elsewhere."""
        return any(label in array.rows for array in self._of_rest)

    def has_targets(self, label: str) -> bool:
        """Return whether a person has measured maps."""
        return self.targets is not None and label in self.targets.rows

    @property
    def _of_rest(self) -> tuple[PeopleArray, ...]:
        return (self.connectomes,) if self.connectomes is not None else self.rest

    def sessions_of(self, label: str) -> tuple[PeopleArray, ...]:
        """Return the arrays with rest, or connectomes, of a person."""
        return tuple(array for array in self._of_rest if label in array.rows)

    def read(self, array: PeopleArray, label: str) -> NDArray[np.float32]:
        """Read a person's rest (places, frames) or connectome (rois, places).

        Raises
        ------
        RunError
            A value is not finite, all are the same at each place (connectomes: in each ROI), or
            they are too large or too small to be computed with.
        """
        with np.errstate(over="ignore"):
            values = array.of(label).astype(np.float32)
        if not np.isfinite(values).all():
            count = counted(int(np.sum(~np.isfinite(values))), "NaN or infinite value")
            raise RunError(
                f"{array.stored.title} has {count} of sub-{label}",
                expected="finite values: 0 at all frames where a place was not measured",
            )
        if (values == values[:, :1]).all():
            raise RunError(
                f"{array.stored.title} has one value all along for sub-{label}: nobody was "
                "measured there",
                expected="values that differ",
            )
        least, most = _CONNECTOME_RANGE if array is self.connectomes else _REST_RANGE
        largest = float(np.abs(values).max())
        if not least <= largest <= most:
            raise RunError(
                f"{array.stored.title} has {largest:.3g} as the largest value of sub-{label}",
                expected=f"{least:g} to {most:g}",
                remedy="scale all values",
            )
        return values

    def read_targets(self, label: str) -> NDArray[np.float32]:
        """Read a person's measured maps (contrasts, places)."""
        assert self.targets is not None
        with np.errstate(over="ignore"):
            return self.targets.of(label).astype(np.float32)

    def fingerprint(self, label: str) -> tuple[str, ...]:
        """Return hashes of a person's rest in each session: equal values have equal ones.

        Rest that is the same everywhere is nobody's, and has none.
        """
        return tuple(digest for digest, _ in self._fingerprints.get(label, {}).values())

    def sketches(self, label: str) -> dict[str, str]:
        """Return sketches of a person's rest by session, by which it is known again.

        They are of all places, or of the first 64 where a person's rest has over 64 MiB.
        """
        found = self._fingerprints.get(label, {})
        return {session: own for session, (_, own) in found.items() if own}

    @cached_property
    def _fingerprints(self) -> Mapping[str, Mapping[str, tuple[str, str]]]:
        """Hash and sketch of everybody's rest by session.

        People are read in the order of their rows: going back may read the file anew.
        """
        found: dict[str, dict[str, tuple[str, str]]] = {}
        for array in self._of_rest:
            for label, row in sorted(array.rows.items(), key=lambda item: item[1]):
                with suppress(DatasetError):  # a later step says why it cannot be used
                    small = array.stored.row_bytes <= _MOST_SEEN
                    values = array.stored.row(row, None if small else _SEEN_PLACES)
                    own = values[:_SEEN_PLACES]
                    if own.min() == own.max():  # places without data may come first
                        own = values if small else array.stored.row(row)
                    if own.min() < own.max():
                        digest = hashlib.sha256(own.astype("<f4").tobytes()).hexdigest()
                        known = self._sketch(values) if np.isfinite(values).all() else ""
                        found.setdefault(label, {})[array.session] = digest, known
        return found

    def _sketch(self, values: NDArray[Any]) -> str:
        if self.connectomes is None:
            return sketch(values)
        # ROIs as regions, by their correlations over places: the order of places does not count.
        with np.errstate(divide="ignore", invalid="ignore"):
            of_rois = np.corrcoef(values.astype(np.float64))
        return sketch_edges(np.atleast_2d(of_rois)[np.triu_indices(len(values), 1)])


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
    paths: Sequence[str | Path], keys: Sequence[str] = (), *, of: Sequence[str] = PEOPLE_BY
) -> ArrayPeople:
    """Read what files of arrays hold; of large arrays shapes alone.

    Parameters
    ----------
    paths
        Of npz or HDF5.
    keys
        `NAME=KEY` texts: under which key a file has what is called NAME here.
    of
        What people may be known by, `rest`, `connectomes` or `edges`: files have one of them.

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
    unused = set(_PEOPLE_BY_ANY) - set(of)
    by_key = {
        name: key
        for name, key in by_key.items()
        if name in asked or (name not in unused and key not in taken)
    }
    files = tuple(expand_home(Path(path), "--input-arrays").absolute() for path in paths)
    found = [_Found.read(path, by_key) for path in dict.fromkeys(files)]
    _require_keys(found, by_key, keys, of)
    for name in _ALONE:
        holders = [file.path for file in found if name in file.arrays]
        if len(holders) > 1:
            raise DatasetError(
                f"{name} is in {holders[0]} and in {holders[1]}", expected="one file with it"
            )
    sizes = _sizes(found)
    labels, rows, numbered, notes = _join(found)
    places, places_named = _shared_names(found, "places", sizes)
    contrasts, contrasts_named = _shared_names(found, "contrasts", sizes)
    if "contrasts" in sizes and not contrasts_named:
        notes.append(f"no file names the contrasts: they are {contrasts[0]} and so on")
    if places and not places_named:
        notes.append(f"no file names the places: they are {places[0]} and so on")
    elif unnamed := [file.path.name for file in found if file.lacks_places]:
        notes.append(
            f"{named(unnamed)}: no names of places, which are assumed to be in the order of the "
            "other files"
        )
    unread = sorted({key for file in found for key in file.others} - set(by_key.values()))
    if unread:
        notes.append(
            f"not read, as they have no meaning here: {named(unread)}; --array-key NAME=KEY gives "
            "a key one"
        )

    def alone(name: str) -> PeopleArray | None:
        of = [(file, where) for file, where in zip(found, rows, strict=True) if name in file.arrays]
        return PeopleArray(of[0][0].arrays[name], of[0][1]) if of else None

    families = alone("families")
    return ArrayPeople(
        files=files,
        labels=labels,
        numbered=numbered,
        places=places,
        places_named=places_named,
        contrasts=contrasts,
        rest=_rest(found, rows),
        connectomes=alone("connectomes"),
        targets=alone("targets"),
        structural=alone("structural"),
        edges=alone("edges"),
        roi_maps=_roi_maps(found),
        grayordinates=_grayordinates(found),
        adjacency=_adjacency(found, len(places)),
        families=Families({}, "", absent="no key families")
        if families is None
        else _families(families),
        notes=tuple(notes),
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """The arrays of a file that have a meaning here, by it."""

    path: Path
    arrays: Mapping[str, StoredArray]
    others: tuple[str, ...]  # keys of all arrays

    @property
    def lacks_places(self) -> bool:
        """Whether it has values of places, and not their names."""
        of_places = any("places" in _AXES.get(name, ()) for name in self.arrays)
        return of_places and "places" not in self.arrays

    @classmethod
    def read(cls, path: Path, by_key: Mapping[str, str]) -> _Found:
        stored = open_arrays(path)
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
            if name in _NUMBERS and not array.holds_numbers:
                raise DatasetError(f"{array.title} is of type {array.dtype}", expected="numbers")
        return cls(path, arrays, tuple(sorted(stored)))

    @property
    def people(self) -> int | None:
        """How many people it has; None where it has none."""
        counts = {
            name: array.shape[0]
            for name, array in self.arrays.items()
            if _AXES.get(name, ("",))[0] == "people"
        }
        if len(set(counts.values())) > 1:
            words = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise DatasetError(
                f"{self.path} has different numbers of people: {words}", expected="one number"
            )
        return next(iter(counts.values()), None)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Labels of people in the order of the rows; None where the arrays have none."""
        if "people" not in self.arrays:
            return None
        array = self.arrays["people"]
        labels = [name.removeprefix("sub-") for name in _names(array)]
        for label in labels:
            if not _LABEL.fullmatch(label) or len(label) > _LONGEST_LABEL:
                raise DatasetError(
                    f"{array.title} names {reprlib.repr(label)}",
                    expected=f"1 to {_LONGEST_LABEL} letters and digits, as in BIDS",
                )
        listed = Counter(label.casefold() for label in labels)
        if twice := [label for label in labels if listed[label.casefold()] > 1]:
            raise DatasetError(
                f"{array.title} names {twice[0]} more than once",
                expected="a row a person, and labels that differ by more than capitals",
                remedy="give each session as a file of its own, with the key session",
            )
        return tuple(labels)


def _require_keys(
    found: Sequence[_Found], by_key: Mapping[str, str], given: Sequence[str], of: Sequence[str]
) -> None:
    present = {name for file in found for name in file.arrays}
    everything = named(sorted({key for file in found for key in file.others}))
    asked = {text.partition("=")[0] for text in given}
    if absent := sorted(asked - present):
        raise DatasetError(
            f"no file has the key {by_key[absent[0]]}, which --array-key gives for {absent[0]}",
            expected=f"one of {everything}",
        )
    known = [name for name in _PEOPLE_BY_ANY if name in present]
    if len(known) > 1:
        raise DatasetError(f"there are {' and '.join(known)}", expected="one of them")
    if not set(of) & present:
        keys = " or ".join(by_key.get(name, name) for name in of)
        raise DatasetError(
            f"no file has {keys}; there are {everything}",
            expected=" or ".join(f"{name} ({', '.join(_AXES[name])})" for name in of),
            remedy="give the key with --array-key rest=KEY",
        )
    if "connectomes" in present and "roi_maps" in present:
        raise DatasetError(
            "there are connectomes and roi_maps", expected="roi_maps with rest, to reduce it by"
        )


def _sizes(found: Sequence[_Found]) -> dict[str, int]:
    """Return the length of the axes that all arrays share, and refuse arrays that differ."""
    sizes: dict[str, tuple[int, str]] = {}
    for file in found:
        for name, array in file.arrays.items():
            for axis, size in zip(_AXES.get(name, ()), array.shape, strict=False):
                if axis in ("people", "frames"):
                    continue
                known, first = sizes.setdefault(axis, (size, array.title))
                if known != size:
                    raise DatasetError(
                        f"{array.title} has {size} {axis}, and {first} has {known}",
                        expected="the same number",
                    )
    for axis, (size, title) in sizes.items():
        if axis in _NAMES and size > _NAMES[axis]:
            raise DatasetError(f"{title} has {size} {axis}", expected=f"at most {_NAMES[axis]}")
    return {axis: size for axis, (size, _) in sizes.items()}


def _join(
    found: Sequence[_Found],
) -> tuple[tuple[str, ...], list[dict[str, int]], bool, list[str]]:
    """Return everybody's label, the rows of people in each file, and what was assumed."""
    counts = {file.path: count for file in found if (count := file.people) is not None}
    of_file = {file.path: file.labels for file in found if file.path in counts}
    unnamed = [path for path, labels in of_file.items() if labels is None]
    known = [labels for labels in of_file.values() if labels is not None]
    notes = []
    if unnamed:
        if len(set(counts.values())) > 1:
            words = ", ".join(f"{path} has {count}" for path, count in counts.items())
            raise DatasetError(
                f"{unnamed[0]} names no people, and files have different numbers of them: {words}",
                expected="a key people in each file, or the same people in the same order",
            )
        if len(set(known)) > 1:
            raise DatasetError(
                f"{unnamed[0]} names no people, and other files name them in different orders",
                expected="a key people in each file",
            )
        count = next(iter(counts.values()))
        if count > _NAMES["people"]:
            raise DatasetError(f"{count} people", expected=f"at most {_NAMES['people']}")
        width = max(2, len(str(count)))
        labels = known[0] if known else tuple(f"p{n:0{width}d}" for n in range(1, count + 1))
        whose = "those of another file" if known else f"called {labels[0]} to {labels[-1]}"
        notes.append(
            f"{counted(len(unnamed), 'file')} of arrays without people "
            f"({named([path.name for path in unnamed])}): rows are {whose}, in their order"
        )
        of_file = dict.fromkeys(of_file, labels)
    everybody = tuple(dict.fromkeys(label for own in of_file.values() for label in own or ()))
    rows = [
        {label: row for row, label in enumerate(of_file.get(file.path) or ())} for file in found
    ]
    return everybody, rows, bool(unnamed) and not known, notes


def _names(array: StoredArray) -> tuple[str, ...]:
    """Return names: text, or whole numbers."""
    values = array.whole()
    if values.ndim != 1 or values.dtype.kind not in "iuSU":
        raise DatasetError(
            f"{array.title} is {values.dtype} {values.shape}", expected="names, one axis"
        )
    names = tuple(str(value).strip() for value in values)
    if bad := [name for name in names if not name or len(name) > _LONGEST_NAME]:
        raise DatasetError(
            f"{array.title} has a name of {len(bad[0])} letters",
            expected=f"1 to {_LONGEST_NAME}",
        )
    if bad := [name for name in names if not name.isprintable()]:
        raise DatasetError(
            f"{array.title} has the name {bad[0]!a}", expected="letters that can be printed"
        )
    return names


def _shared_names(
    found: Sequence[_Found], name: str, sizes: Mapping[str, int]
) -> tuple[tuple[str, ...], bool]:
    """Return the names along an axis, and whether a file gives them; all files agree on them."""
    given = {
        file.arrays[name].title: _names(file.arrays[name]) for file in found if name in file.arrays
    }
    if len(set(given.values())) > 1:
        raise DatasetError(f"{' and '.join(given)} differ", expected=f"the same {name}")
    if given:
        ((title, names),) = list(given.items())[:1]
        if len(set(names)) < len(names):
            twice, _ = Counter(names).most_common(1)[0]
            raise DatasetError(f"{title} has the name '{twice}' twice", expected="each name once")
        return names, True
    count, word = sizes.get(name, 0), name.removesuffix("s")
    return tuple(f"{word}{n}" for n in range(1, count + 1)), False


def _rest(found: Sequence[_Found], rows: Sequence[Mapping[str, int]]) -> tuple[PeopleArray, ...]:
    """Return the arrays of rest: several are sessions of different names."""
    holders = [(file, own) for file, own in zip(found, rows, strict=True) if "rest" in file.arrays]
    times = {file.path: _seconds(file) for file in found if "tr_seconds" in file.arrays}
    made: dict[str, PeopleArray] = {}
    for file, own in holders:
        several = len(set(times.values())) > 1
        if file.path not in times and (several or not times):
            raise DatasetError(
                f"{file.path} has rest and no tr_seconds",
                expected="seconds a frame under the key tr_seconds",
                remedy="give the key with --array-key tr_seconds=KEY",
            )
        tr_seconds = times.get(file.path) or next(iter(times.values()))
        session = _session(file)
        if session in made:
            raise DatasetError(
                f"rest is in {made[session].stored.path} and in {file.path}",
                expected="one file with it, or a key session in each, with different names",
            )
        made[session] = PeopleArray(file.arrays["rest"], own, tr_seconds, session)
    return tuple(made.values())


def _seconds(file: _Found) -> float:
    array = file.arrays["tr_seconds"]
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


def _session(file: _Found) -> str:
    if "session" not in file.arrays:
        return ""
    array = file.arrays["session"]
    values = set(array.whole().ravel().tolist())
    if len(values) != 1:
        raise DatasetError(
            f"{array.title} has {len(values)} different values",
            expected="one session a file",
            remedy="give each session as a file of its own",
        )
    name = str(values.pop()).removeprefix("ses-")
    if not _SESSION.fullmatch(name) or len(name) > _LONGEST_LABEL:
        raise DatasetError(
            f"{array.title} names {reprlib.repr(name)}",
            expected=f"1 to {_LONGEST_LABEL} letters, digits, '.', '-', '_'",
        )
    return name


def _roi_maps(found: Sequence[_Found]) -> NDArray[np.float32] | None:
    array = next((file.arrays["roi_maps"] for file in found if "roi_maps" in file.arrays), None)
    if array is None:
        return None
    if not array.holds_numbers:
        raise DatasetError(f"{array.title} is of type {array.dtype}", expected="numbers")
    with np.errstate(over="ignore"):
        maps = array.whole().astype(np.float32)
    wrong = ~np.isfinite(maps).all(axis=1) | (maps.max(axis=1) == maps.min(axis=1))
    if wrong.any():
        raise DatasetError(
            f"{array.title}: map {np.flatnonzero(wrong)[0]} (from 0) is constant or not finite",
            expected="maps that differ between places",
        )
    return maps


def _grayordinates(found: Sequence[_Found]) -> str | Path | None:
    file = next((file for file in found if "grayordinates" in file.arrays), None)
    if file is None:
        return None
    array = file.arrays["grayordinates"]
    values = array.whole().ravel().tolist()
    if len(values) != 1 or not isinstance(values[0], str) or not values[0]:
        raise DatasetError(
            f"{array.title} is {array.dtype} {array.shape}",
            expected=f"the text {STANDARD_GRAYORDINATES}, or the path of a CIFTI file whose "
            "places are those of the arrays",
        )
    name: str = values[0]
    return (
        name
        if name == STANDARD_GRAYORDINATES
        else file.path.parent / expand_home(Path(name), "grayordinates")
    )


def _adjacency(found: Sequence[_Found], places: int) -> NDArray[np.intp] | None:
    array = next((file.arrays["adjacency"] for file in found if "adjacency" in file.arrays), None)
    if array is None:
        return None
    if array.shape == (places, places) and array.holds_numbers:
        pairs = np.argwhere(np.triu(array.whole() != 0, 1))
    elif len(array.shape) == 2 and array.shape[1] == 2 and array.dtype.kind in "iu":
        pairs = np.sort(array.whole().astype(np.int64), axis=1)
        pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    else:
        raise DatasetError(
            f"{array.title} is {array.dtype} {array.shape}",
            expected=f"({places}, {places}), or pairs (n, 2) of whole numbers",
        )
    if pairs.size and (pairs.min() < 0 or pairs.max() >= places):
        raise DatasetError(
            f"{array.title} names places up to {pairs.max()}", expected=f"0 to {places - 1}"
        )
    return pairs.astype(np.intp)


def _families(array: PeopleArray) -> Families:
    values = array.stored.whole()
    known = {label: str(values[row]).strip() for label, row in array.rows.items()}
    return Families(
        {label: name for label, name in known.items() if name.casefold() not in _NO_FAMILY},
        array.stored.title,
    )
