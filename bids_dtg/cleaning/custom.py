"""Confounds of people's own: which table belongs to a run, and its columns."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.table import numbers, read_rows, require_numbers
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.files.names import parse_name, same_label
from bids_dtg.inputs.run import COMBINED, STORAGE, RestRun

_OPTION = "--custom-confounds"
_LONG_NAMES = {"participant": "sub", "subject": "sub", "session": "ses"}
_TABLE = "tab-separated text with a header"
_SUFFIXES = ("timeseries", "regressors")
# Runs of a session differ in these; what else a name has, as recording-cardiac, is of the table.
_OF_RUNS = frozenset({"sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "hash"})


def check_custom_place(place: Path) -> None:
    """Refuse a folder or table that is not there, before anything is started.

    Raises
    ------
    SettingsError
        It is missing; what a path with entities in braces stands for is seen run by run.
    """
    if "{" not in str(place) and not place.exists():
        raise SettingsError(
            f"{_OPTION} {place} does not exist",
            expected="a folder of tables, a table, or a path with entities in braces",
        )


def find_custom_table(place: Path, run: RestRun) -> Path:
    """Find a run's table.

    Parameters
    ----------
    place
        A folder that holds tables named as fMRIPrep's tables of confounds (XCP-D's convention),
        at its top or in sub-…/[ses-…/]func; a path with entities in braces, such as
        `/c/{sub}_{ses}_{task}.tsv`, each replaced by the run's label; or one table.
    run
        The run, from `find_runs`; its entities choose the table.

    Raises
    ------
    RunError
        There is none for the run, or the path names an entity that it has not.
    """
    if "{" in str(place):
        path = Path(
            re.sub(r"\{(\w+)\}", lambda word: _label(word.group(1), place, run), str(place))
        )
        candidates = [path]
    elif place.is_dir():
        candidates = _candidates(place, run)
    else:
        _require_same_run(place, run)
        candidates = [place]
    for path in candidates:
        if path.is_file() or path.is_symlink():
            return path
    raise RunError(
        f"{run.title} has no table for {_OPTION} {place}",
        expected=" or ".join(str(path) for path in candidates),
        remedy="add it, or leave the run out",
    )


def require_own_tables(place: Path, runs: Sequence[RestRun]) -> None:
    """Refuse a place that gives two runs of a participant the same table.

    Parameters
    ----------
    place
        As for `find_custom_table`.
    runs
        All runs of a participant.

    Raises
    ------
    RunError
        Naming the table and both runs.
    """
    tables: dict[Path, RestRun] = {}
    for run in runs:
        try:
            path = find_custom_table(place, run)
        except RunError:
            continue  # reported when the run is read
        if (other := tables.setdefault(path, run)) is not run:
            raise RunError(
                f"{_OPTION} {place} gives {other.title} and {run.title} the same table, {path}",
                expected="a table for each run",
                remedy="give a folder of tables, or name all entities of the runs in braces",
            )


def read_custom_table(
    path: Path, run: RestRun, n_frames: int
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Read all columns of a table: values (frames, columns), n/a as NaN, and names.

    Raises
    ------
    RunError
        It cannot be read, has no header, another length than the run, or text in a column.
    """
    who = f"sub-{run.participant}: {path}"
    table = read_rows(path, run, expected=_TABLE)
    if all(_is_number(name) for name in table.header):
        raise RunError(
            f"{who} has no header", expected="a first line with the names of the columns"
        )
    if len(table.rows) != n_frames:
        raise RunError(
            f"{who} has {len(table.rows)} rows",
            expected=f"{n_frames}, the frames of {run.bold.name}",
        )
    names = [
        name + f".{before}" * bool(before)  # several may have one name
        for number, name in enumerate(table.header)
        if (before := table.header[:number].count(name)) is not None
    ]
    cells = dict(zip(names, zip(*table.rows, strict=True), strict=True))
    require_numbers(cells, cells, who, "correct the column, or leave it out")
    columns = [column for name in cells if (column := numbers(cells, name)) is not None]
    return np.stack(columns, axis=1), tuple(cells)


def _candidates(folder: Path, run: RestRun) -> list[Path]:
    names = [run.confounds.name] if run.confounds else []
    names += [f"{run.title}_desc-confounds_{suffix}.tsv" for suffix in _SUFFIXES]
    sessions = [f"ses-{run.session}"] if run.session else []
    below = folder.joinpath(f"sub-{run.participant}", *sessions, "func")
    return [place / name for name in dict.fromkeys(names) for place in (folder, below)]


def _label(word: str, place: Path, run: RestRun) -> str:
    label = dict(run.entities).get(_LONG_NAMES.get(word, word))
    if label is None:
        raise RunError(
            f"{_OPTION} {place} has {{{word}}}, which {run.title} has not",
            expected="entities of the run, e.g. {sub}, {ses}, {task}, {run}",
        )
    return label


def _require_same_run(path: Path, run: RestRun) -> None:
    """Refuse a single table whose name says that it is another run's.

    A name as fMRIPrep's has all entities of its run; other names may lack some.
    """
    try:
        named = parse_name(path.name)
    except ValueError:
        return
    own = dict(run.entities)
    others = [
        f"{key}-{value}"
        for key, value in named.entities
        if key in {*own, *_OF_RUNS} - STORAGE - COMBINED
        and not same_label(key, own.get(key, ""), value)
    ]
    is_whole = own.keys() - STORAGE - COMBINED <= dict(named.entities).keys()
    if others or (named.suffix in _SUFFIXES and not is_whole):
        raise RunError(
            f"{_OPTION} {path} is of {next(iter(others), 'another run')}, and {run.title} is to be "
            "cleaned with it",
            expected="a folder of tables, or a path with entities in braces, for several runs",
        )


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False
