"""Structural connectomes that others made: which file is a person's, and what it must hold.

One matrix may be for everybody, or a folder is searched for each participant: relationship matrices
as BIDS proposes them (``*_relmat.tsv``, BEP 017), and what QSIRecon writes (``*connectivity.mat``,
``*connectome.mat``, ``*_connectivity.csv``), one of which may hold many measures and atlases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError, ForeignFileError, RunError
from bids_dtg.files.home import expand_home
from bids_dtg.files.regions.cells import is_number
from bids_dtg.files.regions.matrix import ForeignMatrix, list_matrices, read_matrix
from bids_dtg.files.walk import files_below
from bids_dtg.inputs.dataset import MOUNT_REMINDER
from bids_dtg.notices import counted, named
from bids_dtg.settings import Settings

Array = NDArray[np.float64]

# How files of structural connectomes end; QSIRecon's first versions wrote dhollanderconnectome.mat.
_NAMES = re.compile(
    r"(.*_)?(relmat(\.dense)?|connectivity|[A-Za-z0-9]*connectome)\.(tsv|csv|mat|npz)"
)
_SESSION = re.compile(r"_ses-([0-9A-Za-z+]+)_")
# Matrices of series, such as functional connectivity, say which task they are of.
_OF_SERIES = "_task-"
_BELOW = ("*", "derivatives/*")  # where participants' folders may lie, beside the folder itself
_NETWORKS = re.compile(r"^\d+networks")  # Schaefer's names with and without them are the same
_ASYMMETRY = 1e-4  # of the largest weight: files may have been rounded
_SYMMETRIC = "symmetric weights of 0 or more"
_SHOWN = 3  # matrices of other regions that a message describes
_KEY_REMEDY = "choose one with --array-key structural=KEY, a name or part of one"


@dataclass(frozen=True, eq=False)
class StructuralMatrix:
    """A structural connectome, over the regions that were asked for."""

    weights: Array  # (regions, regions), symmetric, of 0 or more, as the file has them
    path: Path  # of the file
    notes: tuple[str, ...] = ()  # sentences on what was assumed


@dataclass(frozen=True)
class _Listed:
    """A matrix that was not read yet."""

    path: Path
    key: str = ""  # of the variable; empty: a table, which has one matrix
    size: int | None = None  # how many regions it has; None: not known


@dataclass(frozen=True)
class StructuralSource:
    r"""Where people's structural connectomes are: one file for everybody, or a folder.

    Raises
    ------
    RunError
        By `of`: a participant has none, or several, or what there is cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "group_relmat.tsv"
    >>> _ = path.write_text("lh\trh\n0\t5\n5\t0\n")
    >>> StructuralSource.find(path).of("01", None, ["rh", "lh"]).weights
    array([[0., 5.],
           [5., 0.]])
    >>> folder.cleanup()
    """

    path: Path  # absolute
    key: str | None = None  # which matrix, where there are several: a name or part of one

    @classmethod
    def find(cls, path: str | Path, key: str | None = None) -> StructuralSource:
        """Find structural connectomes without reading a matrix.

        Parameters
        ----------
        path
            A file, which is everybody's, or a folder with ``sub-*`` files below.
        key
            The variable of a .mat or npz, or part of it or of the file's name; None: there is one.

        Raises
        ------
        DatasetError
            The path does not exist, or a folder has no such file.
        """
        source = cls(expand_home(Path(path), "--structural-connectivity").absolute(), key)
        if not source.path.exists():
            raise DatasetError(
                f"--structural-connectivity {source.path} does not exist",
                expected="a matrix of connections, or a folder of them",
                remedy=MOUNT_REMINDER,
            )
        if source.path.is_dir() and next(source._files("*"), None) is None:
            raise DatasetError(
                f"--structural-connectivity {source.path} has no file of a structural connectome",
                expected="sub-*_relmat.tsv, sub-*_connectivity.mat, .csv or .tsv, at its top, in "
                "sub-* or one folder above that",
            )
        return source

    @property
    def is_shared(self) -> bool:
        """Whether one matrix is everybody's."""
        return not self.path.is_dir()

    def of(self, participant: str, session: str | None, regions: Sequence[str]) -> StructuralMatrix:
        """Read a participant's structural connectome.

        Parameters
        ----------
        participant
            Participant's label, without ``sub-``.
        session
            Label, without ses-. The file of that session is read, else the one that names no
            session, else that of the only other session, which a note says.
        regions
            Names, in the order of the result. A file that names its regions is put in that order,
            and others that it has beside them, such as those below the cortex of 4S456, are left
            out, which a note says. One that names none must have as many, and a note says that
            their order was trusted.

        Raises
        ------
        RunError
            There is none; several fit; it has other regions; weights are below 0, not finite, not
            symmetric or all 0; or the file cannot be read.
        """
        paths, notes = self._paths_of(participant, session)
        try:
            listed = self._chosen([one for path in paths for one in _listed(path)])
            matrix = _the_one(listed, regions)
        except ForeignFileError as err:
            raise err.as_kind(RunError) from err
        order = _order(matrix, regions)
        weights = matrix.values[np.ix_(order, order)]
        if faults := weight_faults(weights, regions):
            raise RunError(f"{_title(matrix)} has {named(faults)}", expected=_SYMMETRIC)
        return StructuralMatrix(weights, matrix.path, (*notes, *_order_note(matrix, len(order))))

    def _paths_of(
        self, participant: str, session: str | None
    ) -> tuple[list[Path], tuple[str, ...]]:
        """Return a participant's files of a session, and a sentence on what was assumed."""
        if self.is_shared:
            return [self.path], ()
        try:
            by_session: dict[str | None, list[Path]] = {}
            for path in self._files(participant):
                by_session.setdefault(_session_of(path), []).append(path)
        except ForeignFileError as err:
            raise err.as_kind(RunError) from err
        for own in (session, None):
            if own in by_session:
                return by_session[own], ()
        if len(by_session) == 1:
            ((other, paths),) = by_session.items()
            words = f"the structural connectome of sub-{participant} is of session {other}"
            return paths, (words,)
        what = f"session {session}" if by_session else f"sub-{participant}"
        raise RunError(
            f"--structural-connectivity {self.path} has no structural connectome of {what}"
            + (f", but of sessions {named(sorted(map(str, by_session)))}" if by_session else ""),
            expected=f"sub-{participant}_…_relmat.tsv, _connectivity.mat, .csv or .tsv",
        )

    def _files(self, participant: str) -> Iterator[Path]:
        """Yield the files of a participant; of *, everybody's."""
        further = (place for below in _BELOW for place in sorted(self.path.glob(below)))
        for place in (self.path, *(one for one in further if not one.name.startswith("sub-"))):
            yield from _matrices_at(place, participant)

    def _chosen(self, listed: list[_Listed]) -> list[_Listed]:
        """Return the matrices that the key names: a whole name before parts of names."""
        if self.key is None:
            return listed
        exact = [one for one in listed if one.key == self.key]
        part = [one for one in listed if self.key in f"{one.path.name} {one.key}"]
        if chosen := exact or part:
            return chosen
        raise RunError(
            f"no structural connectome of {named([str(one.path) for one in listed[:1]])} is named "
            f"'{self.key}'",
            expected=f"one of {', '.join(_choices(listed))}",
        )


def find_structural(settings: Settings) -> StructuralSource | None:
    """Return the location of structural connectomes in the options; None: not given.

    Raises
    ------
    DatasetError
        As `StructuralSource.find`.
    """
    path = settings.dynamics.structural_connectivity
    keys = [text.partition("=")[2] for text in settings.modelling.array_key]
    return None if path is None else StructuralSource.find(path, *keys[:1])


def weight_faults(values: Array, regions: Sequence[str]) -> list[str]:
    """List the faults of a structural connectome; empty where it can be used.

    Parameters
    ----------
    values
        (regions, regions), as counted; the diagonal does not matter.
    regions
        Names of the regions, for messages.

    Examples
    --------
    >>> weight_faults(np.array([[0.0, -1.0], [-1.0, 0.0]]), ["lh", "rh"])
    ['weights below 0, at lh and rh']
    """
    if values.shape != (len(regions), len(regions)):
        return [f"shape {values.shape}, not ({len(regions)}, {len(regions)})"]
    if not np.isfinite(values).all():
        return ["NaN or infinite weights"]
    between = values.copy()
    np.fill_diagonal(between, 0.0)
    if (between < 0).any():
        return [f"weights below 0, at {_pair(between < 0, regions)}"]
    if not between.any():
        return ["no connection between two regions"]
    uneven = np.abs(between - between.T) > _ASYMMETRY * between.max()
    return [f"other weights there than back, at {_pair(uneven, regions)}"] if uneven.any() else []


def _pair(where: NDArray[np.bool_], regions: Sequence[str]) -> str:
    row, column = np.argwhere(where)[0]
    return f"{regions[row]} and {regions[column]}"


def _matrices_at(place: Path, participant: str) -> Iterator[Path]:
    """Yield the matrices of a participant (*: of all) in a folder, and in the participant's own."""
    pattern = "sub-*" if participant == "*" else f"sub-{participant}*"
    for entry in sorted(place.glob(pattern)) if place.is_dir() else ():
        if entry.is_dir() and participant in ("*", entry.name.removeprefix("sub-")):
            yield from filter(_is_structural, files_below(entry))
        elif entry.name.startswith(f"sub-{participant}_") or participant == "*":
            yield from filter(_is_structural, [entry])


def _is_structural(path: Path) -> bool:
    return _OF_SERIES not in path.name and _NAMES.fullmatch(path.name) is not None


def _session_of(path: Path) -> str | None:
    named_by = _SESSION.search(path.name)
    return named_by[1] if named_by else None


def _listed(path: Path) -> list[_Listed]:
    """Return the matrices of a file; a table has one, which is not read yet."""
    return [_Listed(path, key, size) for key, size in list_matrices(path).items()] or [
        _Listed(path)
    ]


def _the_one(listed: Sequence[_Listed], regions: Sequence[str]) -> ForeignMatrix:
    """Return the only matrix over the same regions; where none is, the only one over more.

    Raises
    ------
    RunError
        None is, or several are: with those that are.
    """
    count = len(regions)
    wide = [one for one in listed if one.size is not None and one.size > count]
    fitting, misfits = _fitting([one for one in listed if one not in wide], regions)
    whole = [matrix for matrix in fitting if len(matrix.values) == count]
    if not whole:  # those of larger atlases need not be read before
        more, further = _fitting(wide, regions)
        fitting, misfits = fitting + more, misfits + further
    fitting = whole or fitting
    if len(fitting) == 1:
        return fitting[0]
    expected = f"one matrix over the {len(regions)} regions of the atlas ({named(regions)})"
    if fitting:
        choices = ", ".join(_choices(fitting))
        what = f"{counted(len(fitting), 'structural connectome')} fit: {choices}"
        raise RunError(what, expected=expected, remedy=_KEY_REMEDY)
    shown = [*misfits[:_SHOWN], *(["..."] if len(misfits) > _SHOWN else [])]
    raise RunError("; ".join(shown), expected=expected)


def _fitting(
    listed: Sequence[_Listed], regions: Sequence[str]
) -> tuple[list[ForeignMatrix], list[str]]:
    """Return the matrices that have the regions, and words on why the others do not fit."""
    fitting: list[ForeignMatrix] = []
    misfits = []
    for one in listed:
        if one.size is not None and one.size < len(regions):
            misfits.append(f"{_title(one)} has {counted(one.size, 'region')}")
            continue
        matrix = read_matrix(one.path, one.key or None)
        if words := _misfit(matrix, regions):
            misfits.append(f"{_title(matrix)} has {words}")
        else:
            fitting.append(matrix)
    return fitting, misfits


def _choices(found: Sequence[_Listed | ForeignMatrix]) -> list[str]:
    """Return what identifies each matrix: its key, or the name of its file."""
    return list(dict.fromkeys(one.key or one.path.name for one in found))


def _misfit(matrix: ForeignMatrix, regions: Sequence[str]) -> str:
    """Say why regions asked for cannot be taken out of a matrix; empty: they can.

    Regions beside them may be there, but none that is called like one of them with another
    number: names of Schaefer's 100 parcels are also names of smaller ones, among his 200.
    """
    names = _names(matrix)
    if not names:
        size = len(matrix.values)
        return "" if len(regions) == size else counted(size, "region")
    theirs, ours = _spelled_alike(names, regions)
    if len(set(theirs)) < len(theirs):
        return "several regions of one name"
    there, wanted = set(theirs), set(ours)
    missing = [name for plain, name in zip(ours, regions, strict=True) if plain not in there]
    further = [name for plain, name in zip(theirs, names, strict=True) if plain not in wanted]
    series = {_unnumbered(name) for name in regions} - {""}
    alike = [name for name in further if _unnumbered(name) in series]
    parts = [
        *([f"no {named(missing)} ({len(missing)} missing)"] if missing else []),
        *([f"regions that the atlas has not: {named(alike)}"] if alike else []),
    ]
    return " and ".join(parts)


def _order(matrix: ForeignMatrix, regions: Sequence[str]) -> list[int]:
    """Return the row of each region in a matrix that fits."""
    names = _names(matrix)
    if not names:
        return list(range(len(regions)))
    theirs, ours = _spelled_alike(names, regions)
    row = {name: number for number, name in enumerate(theirs)}
    return [row[name] for name in ours]


def _names(matrix: ForeignMatrix) -> tuple[str, ...]:
    """Return the names of a matrix' regions; none where there are none, or only numbers."""
    names = matrix.names or ()
    return () if all(map(is_number, names)) else names


def _spelled_alike(theirs: Sequence[str], ours: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return both names as they are where they are the same, or would not be apart any more."""
    plain = [[_plain(name) for name in names] for names in (theirs, ours)]
    if set(theirs) == set(ours) or any(len(set(names)) < len(names) for names in plain):
        return list(theirs), list(ours)
    return plain[0], plain[1]


def _plain(name: str) -> str:
    """Return a name without the signs and network numbers that programs write differently.

    Examples
    --------
    >>> _plain("7Networks_LH_Vis_1"), _plain("LH-Vis-1")
    ('lhvis1', 'lhvis1')
    """
    return _NETWORKS.sub("", "".join(filter(str.isalnum, name)).casefold()) or name


def _unnumbered(name: str) -> str:
    """Return a plain name without the number at its end; empty where it has none.

    Examples
    --------
    >>> _unnumbered("7Networks_LH_Vis_12"), _unnumbered("LH-Pu")
    ('lhvis', '')
    """
    plain = _plain(name)
    stem = plain.rstrip("0123456789")
    return "" if stem == plain else stem


def _title(matrix: _Listed | ForeignMatrix) -> str:
    return f"{matrix.path}: {matrix.key}" if matrix.key else str(matrix.path)


def _order_note(matrix: ForeignMatrix, count: int) -> tuple[str, ...]:
    """Describe what was assumed of a matrix, of which `count` regions are used."""
    name, more = matrix.path.name, len(matrix.values) - count
    if more:
        return (f"{name} has {counted(more, 'region')} beside those of the atlas: left out",)
    if _names(matrix):
        return ()
    return (f"{name} names no regions: their order was trusted to be that of the atlas",)
