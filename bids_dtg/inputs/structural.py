"""Structural connectomes made by other programs: find each participant's file and check it.

The source is one matrix for all participants, or a folder that has one for each. Accepted
files are the relationship matrices that BIDS proposes (``*_relmat.tsv``, BEP 017) and those of
QSIRecon (``*connectivity.mat``, ``*connectome.mat``, ``*_connectivity.csv``), which may hold
several measures and atlases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Float64, Mask, Values
from bids_dtg.errors import DatasetError, ForeignFileError, RunError
from bids_dtg.files.foreign import (
    AGAIN,
    matching,
    open_foreign,
    parse_table,
    plain_number,
    read_text,
    reading,
)
from bids_dtg.files.paths import expand_home
from bids_dtg.files.regions import is_number, read_numbers
from bids_dtg.inputs.dataset import MOUNT_REMINDER
from bids_dtg.notices import counted, named
from bids_dtg.settings import Settings

# Names of structural connectomes; QSIRecon's first versions wrote dhollanderconnectome.mat.
# Functional connectomes, which are excluded, have a task in their names.
_NAMES = re.compile(
    r"(?!.*_task-)(.*_)?(relmat(\.dense)?|connectivity|[A-Za-z0-9]*connectome)\.(tsv|csv|mat)"
)
# End of QSIRecon's variables with the names of an atlas's regions.
_LABELS = "region_labels"
_DSI_STUDIO = "name"  # DSI Studio's variable with the names, one a line
# MRtrix's comments before a matrix, from 3.0.
_COMMENTS = re.compile(r"\A(?:#[ \t]*[A-Za-z_]+:[^\n]*\n)+")
# Further folders that may hold participants' folders and files.
_FOLDERS = ("*", "derivatives/*")
_NETWORKS = re.compile(r"^\d+networks")  # optional beginning of Schaefer's names
_NUMBER = re.compile(r"\d+$")
# Kinds of MATLAB variables that hold no numbers, as SciPy names them.
_NO_NUMBERS = {"cell", "char", "function", "object", "opaque", "struct", "unknown"}
_SQUARE = "one row and one column of numbers per region"
_ASYMMETRY = 1e-4  # tolerance relative to the largest weight, as files may be rounded


@dataclass(frozen=True, eq=False)
class StructuralMatrix:
    """A participant's structural connectome."""

    path: Path
    weights: Float64  # (regions, regions), in the order that was asked for
    notes: tuple[str, ...] = ()  # sentences on what was assumed


@dataclass(frozen=True, eq=False)
class StoredMatrix:
    """A matrix of weights between regions in a file of another program."""

    path: Path
    shape: tuple[int, ...]
    # Returns the weights (regions, regions), NaN where a cell is n/a.
    read_weights: Callable[[], Float64]
    # Of the regions; empty if the file has none or only numbers.
    names: tuple[str, ...] = ()
    key: str = ""  # name of the variable; empty if the file has a single unnamed matrix

    @property
    def title(self) -> str:
        """The matrix, for messages."""
        return f"{self.path}: {self.key}" if self.key else str(self.path)


@dataclass(frozen=True)
class StructuralSource:
    r"""Location of structural connectomes: one file for all participants, or a folder.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "group_relmat.csv"
    >>> _ = path.write_text("lh,rh\n0,5\n5,0\n")
    >>> StructuralSource(path).of("01", None, ["rh", "lh"]).weights
    array([[0., 5.],
           [5., 0.]])
    """

    path: Path  # absolute
    key: str | None = None  # chooses one of several matrices: a name or part of one

    @property
    def is_shared(self) -> bool:
        """Whether all participants share one matrix."""
        return not self.path.is_dir()

    def of(
        self, participant: str, session: str | None, regions: Sequence[str]
    ) -> StructuralMatrix:
        """Read a participant's structural connectome.

        Parameters
        ----------
        participant
            Participant's label, without ``sub-``.
        session
            Session's label, without ``ses-``. The file of that session is read, else the file
            without a session, else the file of the only other session (with a note).
        regions
            Names of the regions, in the order of the result. The rows of a file with names are
            put in this order; its other regions, such as the subcortical ones of 4S456, are left
            out (with a note). A file without names must have as many regions, and is assumed to
            have them in this order (with a note).

        Raises
        ------
        RunError
            No matrix or more than one matrix fits; regions differ; weights are negative, not
            finite, asymmetric or all 0; or the file cannot be read.
        """
        with reading(self.path, RunError):
            paths, notes = self._paths_of(participant, session)
            matrices = [matrix for path in paths for matrix in _square_matrices(path)]
            matrix, order = self._fitting(matrices, regions)
            weights = matrix.read_weights()[np.ix_(order, order)]
        diagonal = np.diag(weights)
        np.fill_diagonal(weights, np.where(np.isnan(diagonal), 0.0, diagonal))
        name = matrix.path.name
        faults = weight_faults(weights, regions)
        if faults:
            remedy = None
            if _is_triangle(weights):
                remedy = (
                    "only one triangle has weights: fill the other, as tck2connectome does with "
                    "-symmetric"
                )
            raise RunError(
                f"{matrix.title} has {named(faults)}",
                expected="symmetric weights of 0 or more",
                remedy=remedy,
            )
        outside = matrix.shape[0] - len(order)
        if outside:
            notes.append(
                f"{name}: {counted(outside, 'region')} outside the atlas left out"
            )
        elif not matrix.names:
            notes.append(
                f"{name} names no regions; assumed to be in the order of the atlas"
            )
        notes += [f"{name}: {note}" for note in weight_notes(weights, regions)]
        return StructuralMatrix(matrix.path, weights, tuple(notes))

    def files_of(self, participant: str, session: str | None) -> list[Path]:
        """Name the files that a participant's structural connectome may be in; read none.

        Raises
        ------
        RunError
            There is none.
        """
        with reading(self.path, RunError):
            paths, _ = self._paths_of(participant, session)
            return paths

    def _paths_of(
        self, participant: str, session: str | None
    ) -> tuple[list[Path], list[str]]:
        """Return a participant's files of a session, and notes on assumptions."""
        if self.is_shared:
            return [self.path], []
        by_session: dict[str | None, list[Path]] = {}
        for path in self._files(participant):
            label = re.search(r"_ses-([0-9A-Za-z+]+)_", path.name)
            by_session.setdefault(label[1] if label else None, []).append(path)
        session_paths = by_session.get(session) or by_session.get(None)
        if session_paths:
            return session_paths, []
        if len(by_session) == 1:
            ((only_session, paths),) = by_session.items()
            return paths, [
                f"the structural connectome of sub-{participant} is of session {only_session}"
            ]
        whose = f"sub-{participant}"
        if by_session:
            whose = f"session {session}, only of sessions {named(sorted(map(str, by_session)))}"
        raise RunError(
            f"--structural-connectivity {self.path} has no structural connectome of {whose}",
            expected=f"sub-{participant}_…_relmat.tsv, _connectivity.mat, .csv or .tsv",
        )

    def _files(self, participant: str) -> list[Path]:
        """Return the files of a participant, or of all participants for ``*``."""
        folders = [self.path]
        for pattern in _FOLDERS:
            for folder in matching(self.path, pattern):
                if not folder.name.startswith("sub-"):
                    folders.append(folder)
        # A participant's folder may hold a copy of somebody else's file, and files without sub-.
        participant_name = re.compile("")
        if participant != "*":
            participant_name = re.compile(rf"sub-{re.escape(participant)}_|(?!sub-)")
        paths = []
        for folder in folders:
            paths += matching(folder, f"sub-{participant}_*")
            paths += matching(folder, f"sub-{participant}/**/*")
        return [
            path
            for path in paths
            if _NAMES.fullmatch(path.name) and participant_name.match(path.name)
        ]

    def _fitting(
        self, matrices: Sequence[StoredMatrix], regions: Sequence[str]
    ) -> tuple[StoredMatrix, list[int]]:
        """Return the matrix that fits the regions, and the row of each region.

        A matrix of exactly these regions takes precedence over one with further regions. If a key
        is given, only the matrices of `_with_key` count.

        Raises
        ------
        RunError
            No matrix or more than one fits; the message lists them.
        """
        if self.key is not None:
            matrices = _with_key(matrices, self.key)
        fitting = []
        misfits = []
        for matrix in matrices:
            try:
                fitting.append((matrix, _rows_of(matrix, regions)))
            except RunError as err:
                misfits.append(f"{matrix.title} has {err.found}")
        exact = [pair for pair in fitting if pair[0].shape[0] == len(regions)]
        fitting = exact or fitting
        if not fitting:
            further = "; ..." if len(misfits) > 3 else ""
            raise RunError(
                f"{'; '.join(misfits[:3])}{further}",
                expected=f"one matrix of the {len(regions)} regions of the atlas "
                f"({named(regions)})",
            )
        if len(fitting) > 1:
            choices = _choices([matrix for matrix, _ in fitting])
            raise RunError(
                f"{len(fitting)} structural connectomes fit: {choices}",
                expected="one",
                remedy="choose one with --array-key structural=KEY, where KEY is its name or part "
                "of it",
            )
        return fitting[0]


def _with_key(matrices: Sequence[StoredMatrix], key: str) -> list[StoredMatrix]:
    """Return the matrices with a name or, if there are none, those whose names contain it."""
    exact = [matrix for matrix in matrices if matrix.key == key]
    chosen = exact or [
        matrix for matrix in matrices if key in f"{matrix.path.name} {matrix.key}"
    ]
    if not chosen:
        raise RunError(
            f"no structural connectome in {matrices[0].path} is named '{key}'",
            expected=f"one of {_choices(matrices)}",
        )
    return chosen


def find_structural(settings: Settings) -> StructuralSource | None:
    """Return the source given by ``--structural-connectivity``, or None; no matrix is read yet.

    Raises
    ------
    DatasetError
        The path does not exist, or the folder has no such file.
    """
    option = settings.modelling.structural_connectivity
    if option is None:
        return None
    keys = [text.partition("=")[2] for text in settings.modelling.array_key]
    path = expand_home(option, "--structural-connectivity").absolute()
    source = StructuralSource(path, *keys[:1])
    if not (path.is_file() or source._files("*")):
        fault = "does not exist"
        if path.exists():
            fault = "has no file of a structural connectome"
        raise DatasetError(
            f"--structural-connectivity {path} {fault}",
            expected="a structural connectome, or a folder with sub-*_relmat.tsv, "
            "sub-*_connectivity.mat, .csv or .tsv, one folder below, or in sub-* in either",
            remedy=MOUNT_REMINDER,
        )
    return source


def weight_faults(values: Float64, regions: Sequence[str]) -> list[str]:
    """List the faults of a structural connectome; empty if it can be used.

    Parameters
    ----------
    values
        (regions, regions) weights as in the file; the diagonal is ignored.
    regions
        Names of the regions, for messages.

    Examples
    --------
    >>> weight_faults(np.array([[0.0, -1.0], [-1.0, 0.0]]), ["lh", "rh"])
    ['weights below 0, at lh and rh']
    """
    between = values.copy()
    np.fill_diagonal(between, 0.0)
    if not np.isfinite(between).all():
        return ["NaN or infinite weights"]
    if (between < 0).any():
        return [f"weights below 0, at {_pair(between < 0, regions)}"]
    if not between.any():
        return ["no connection between two regions"]
    uneven = np.abs(between - between.T) > _ASYMMETRY * between.max()
    if uneven.any():
        return [f"asymmetric weights, at {_pair(uneven, regions)}"]
    return []


def _is_triangle(values: Float64) -> bool:
    """Return whether weights stand on one side of the diagonal only."""
    return bool(np.triu(values, 1).any()) != bool(np.tril(values, -1).any())


def weight_notes(values: Float64, regions: Sequence[str]) -> list[str]:
    """List unusual properties of a usable structural connectome.

    Parameters
    ----------
    values
        (regions, regions) weights as in the file, with their diagonal.
    regions
        Names of the regions.

    Examples
    --------
    >>> weight_notes(np.array([[0.0, 5, 0], [5, 0, 0], [0, 0, 3]]), ["lh", "rh", "cc"])
    ['1 region without connections (cc)']
    """
    connected = values != 0
    np.fill_diagonal(connected, False)
    rows_alone = np.flatnonzero(~connected.any(axis=1)).tolist()
    alone = [regions[row] for row in rows_alone]
    notes = []
    if alone:
        notes.append(f"{counted(alone, 'region')} without connections ({named(alone)})")
    if (np.diag(values) == 1).all() and values.max() <= 1:
        notes.append(
            "the diagonal is 1 and no weight is larger: are these correlations?"
        )
    return notes


def _pair(where: Mask, regions: Sequence[str]) -> str:
    row, column = np.argwhere(where)[0]
    return f"{regions[row]} and {regions[column]}"


def _choices(matrices: Sequence[StoredMatrix]) -> str:
    """List the matrices by key or, without one, by file name."""
    names = [matrix.key or matrix.path.name for matrix in matrices]
    return ", ".join(dict.fromkeys(names))


def _rows_of(matrix: StoredMatrix, regions: Sequence[str]) -> list[int]:
    """Return the row of each region; refuse a matrix that does not have them.

    Further regions are allowed, unless a name differs from a requested one only by its number.
    Schaefer's 200-parcel atlas, for example, reuses names of the 100-parcel atlas for smaller
    parcels.
    """
    if not matrix.names:
        if matrix.shape[0] != len(regions):
            raise RunError(counted(matrix.shape[0], "region"))
        return list(range(len(regions)))
    plain_names = {_plain(name) for name in regions}
    spelt = _plain if len(plain_names) == len(regions) else str
    atlas_names = [spelt(name) for name in regions]
    matrix_names = [spelt(name) for name in matrix.names]
    if len({*matrix_names}) < len(matrix_names):
        raise RunError("several regions with the same name")
    missing = [name for name in regions if spelt(name) not in matrix_names]
    if missing:
        raise RunError(f"no {named(missing)} ({len(missing)} missing)")
    # Names without their number, of the regions that have one.
    series = {_NUMBER.sub("", name) for name in atlas_names if _NUMBER.search(name)}
    alike = []
    for name, plain in zip(matrix.names, matrix_names, strict=True):
        is_numbered = _NUMBER.search(plain) and _NUMBER.sub("", plain) in series
        if is_numbered and plain not in atlas_names:
            alike.append(name)
    if alike:
        raise RunError(f"regions that the atlas lacks: {named(alike)}")
    return [matrix_names.index(name) for name in atlas_names]


def _plain(name: str) -> str:
    """Return a name without punctuation, capitals and network prefix, as programs write them.

    Examples
    --------
    >>> _plain("7Networks_LH_Vis_1"), _plain("LH-Vis-1")
    ('lhvis1', 'lhvis1')
    """
    plain = "".join(filter(str.isalnum, name)).casefold()
    return _NETWORKS.sub("", plain) or name


# --- Files


def _square_matrices(path: Path) -> list[StoredMatrix]:
    """List the square matrices of a file: text, or MATLAB's .mat."""
    is_mat = path.suffix.casefold() == ".mat"
    try:
        matrices = _in_mat(path) if is_mat else [_in_text(path)]
    except ForeignFileError as err:
        raise err.as_kind(RunError, expected=err.expected or _SQUARE) from err
    square = [
        matrix
        for matrix in matrices
        if len(matrix.shape) == 2 and 1 < matrix.shape[0] == matrix.shape[1]
    ]
    if not square:
        sizes = [" x ".join(map(str, matrix.shape)) for matrix in matrices[:3]]
        but = f", but sizes {', '.join(sizes)}" if sizes else ""
        raise RunError(
            f"{path} has no square matrix{but}",
            expected=_SQUARE,
        )
    return square


def _in_text(path: Path) -> StoredMatrix:
    """Read one matrix, with names of the regions in its first line, first column, or both."""
    text = _COMMENTS.sub("", read_text(path))
    first_line = text.partition("\n")[0]
    delimiter = next((mark for mark in "\t,;" if mark in first_line), None)
    if delimiter is None:  # text files of MRtrix and MATLAB separate columns by spaces
        delimiter = "\t"
        text = re.sub("(?m)^[ \t]+|[ \t]+$", "", text)
        text = re.sub("[ \t]+", "\t", text)
    table = parse_table(text, path, delimiter)
    rows = [[cell.strip() for cell in row] for row in (table.header, *table.rows)]
    first_row = rows[0]
    # Names may be numbers, so the shape decides whether a line or column holds names. If the text
    # is square, its first line decides.
    extra_rows = len(rows) - len(first_row)
    is_of_numbers = all(map(is_number, first_row)) and first_row[:1] != [""]
    names_twice = extra_rows == 0 and not is_of_numbers
    header = int(names_twice or extra_rows == 1)  # lines of names
    column = int(names_twice or extra_rows == -1)  # columns of names
    values = read_numbers([row[column:] for row in rows[header:]], path)
    column_names = first_row[column:] if header else []
    row_names = [row[0] for row in rows[header:]] if column else []
    if names_twice:  # R numbers rows and columns without names
        numbers = range(1, len(rows))
        if row_names == [str(number) for number in numbers]:
            row_names = []
        if column_names == [f"V{number}" for number in numbers]:
            column_names = []
    if column_names and row_names and column_names != row_names:
        pairs = zip(row_names, column_names, strict=True)
        row_name, column_name = next(pair for pair in pairs if len(set(pair)) > 1)
        raise RunError(
            f"{path} has other names in its rows than in its columns: {row_name} and {column_name}",
            expected="the same regions in the same order",
        )
    names = column_names or row_names
    return StoredMatrix(path, values.shape, lambda: values, _words(names, path))


def _in_mat(path: Path) -> list[StoredMatrix]:
    """List numeric variables, with the names of regions that QSIRecon or DSI Studio stores.

    Of the variables, only those with names are read.
    """
    from scipy.io import whosmat

    with reading(path, remedy=AGAIN), open_foreign(path) as file:
        kinds = {key: (shape, kind) for key, shape, kind in whosmat(file)}
    matrices = []
    for key, (shape, kind) in kinds.items():
        if kind in _NO_NUMBERS:
            continue
        names: tuple[str, ...] = ()
        labels = _labels_of(key, kinds)
        if labels is not None:
            texts = _names_in(_variable(path, labels))
            if len(texts) == shape[0]:
                names = _words(texts, path)
        read_weights = partial(_weights_in_mat, path, key)
        matrices.append(StoredMatrix(path, shape, read_weights, names, key))
    return matrices


def _labels_of(key: str, keys: Collection[str]) -> str | None:
    """Return the variable with the names of a matrix's regions; None: there is none.

    Of two atlases, the name of one may begin with that of the other. DSI Studio has one atlas.
    """
    prefixes = [
        name.removesuffix(_LABELS)
        for name in keys
        if name.endswith(_LABELS) and key.startswith(name.removesuffix(_LABELS))
    ]
    if prefixes:
        return max(prefixes, key=len) + _LABELS
    return _DSI_STUDIO if _DSI_STUDIO in keys and key != _DSI_STUDIO else None


def _names_in(stored: Values) -> list[str]:
    """Return names of regions: an array of texts, or one text as characters, a name a line."""
    values = np.ravel(stored)
    if values.dtype.kind in "iu":  # codes of characters
        whole = values.astype(np.uint8).tobytes().decode("utf-8", "replace")
    elif len(values) == 1:
        whole = str(values[0])
    else:
        return [str(name).strip() for name in values]
    return [line.strip() for line in whole.strip("\0\n\r ").splitlines()]


def _weights_in_mat(path: Path, key: str) -> Float64:
    values = _variable(path, key)
    values = values.toarray() if hasattr(values, "toarray") else values
    if values.dtype.kind not in "biuf":
        raise RunError(f"{path}: {key} is {values.dtype}", expected="real numbers")
    return np.array(values, np.float64)


def _variable(path: Path, key: str) -> Any:
    from scipy.io import loadmat

    with reading(path, remedy=AGAIN), open_foreign(path) as file:
        return loadmat(file, variable_names=[key])[key]


def _words(names: Sequence[str], path: Path) -> tuple[str, ...]:
    """Return names of regions; empty if they are only numbers, which must be ascending."""
    if not all(map(is_number, names)):
        return tuple(names)
    numbers = [number for name in names if (number := plain_number(name)) is not None]
    if numbers != sorted(numbers):
        raise RunError(
            f"{path} has regions numbered {named(names)}",
            expected="names of the regions, or ascending numbers",
        )
    return ()
