"""The confounds table and its JSON file, as fMRIPrep has written them since 1.4."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from bids_dtg.array_types import Float64, Mask
from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import (
    is_missing,
    parse_table,
    plain_number,
    read_bytes,
    require_contents,
)
from bids_dtg.files.sidecars import read_sidecar
from bids_dtg.inputs.run import RestRun
from bids_dtg.notices import counted

# Text of the cells (frames,) of a table, by column.
Cells = Mapping[str, tuple[str, ...]]
Column = Float64  # (frames,), NaN where n/a


# Hundreds of columns that most strategies do not use.
_COMPONENTS = ("a_comp_cor", "c_comp_cor", "w_comp_cor")
_UNUSED = ("t_comp_cor", "edge_comp", "motion_outlier")
_COMBINED = "combined"  # fMRIPrep's name of the mask of white matter and CSF together
FD = "framewise_displacement"
STD_DVARS = "std_dvars"
_FILTERED_FD = f"{FD}_filtered"  # by which XCP-D censored, where it filtered motion
# Prefix of fMRIPrep's one-hot columns of initial frames that are not in steady state.
NON_STEADY = "non_steady_state"
_LONGEST_CELL = 30  # number of characters of a cell that are shown
# No measured value is larger, and sums of its squares are still finite.
_LARGEST = 1e100

MOTION = tuple(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz")
TISSUE = ("csf", "white_matter")
GLOBAL = "global_signal"
# Endings of the columns that fMRIPrep derives from each column.
EXPANSIONS = ("", "_derivative1", "_power2", "_derivative1_power2")


def read_cells(
    path: Path,
    run: RestRun,
    *,
    expected: str,
    wanted: Callable[[str], bool] = bool,
    remedy: str = "",
    frames: int | None = None,
) -> Cells:
    """Read a run's table as text, so that nothing is rounded twice.

    If several columns have the same name, later ones get a number, as in pandas.

    Raises
    ------
    RunError
        It is missing, unreadable or cut off, or does not have `frames` rows, if that is given.
    """
    participant = f"sub-{run.participant}: "
    try:
        require_contents([path], run.participant)
        content = read_bytes(path)
        # Drop empty lines at the end, but keep tabs at the end of the last row.
        end = content.find(b"\n", len(content.rstrip()))
        table = parse_table(content if end < 0 else content[:end], path, wanted=wanted)
    except ForeignFileError as err:
        raise err.as_kind(
            RunError, participant, expected=expected, remedy=remedy
        ) from err
    if table.short:
        raise RunError(
            f"{participant}{path} has lines with fewer cells than its header, or is cut off",
            remedy="copy it again",
        )
    if frames not in (None, len(table.rows)):
        raise RunError(
            f"{participant}{path} has {len(table.rows)} rows",
            expected=f"{frames}, the frames of {run.bold.name}",
            remedy="copy both again from the same run of the program that made them",
        )
    if all(plain_number(name) is not None for name in table.header):
        raise RunError(
            f"{participant}{path} has no header",
            expected="a first line with the names of the columns",
        )
    cells: dict[str, tuple[str, ...]] = {}
    columns = zip(*table.rows, strict=True)
    columns_before: Counter[str] = Counter()  # of the same name
    for name, column in zip(table.header, columns, strict=False):
        number = columns_before[name]
        cells[f"{name}.{number}" if number else name] = column
        columns_before[name] += 1
    return cells


def read_confounds(
    path: Path, run: RestRun, n_frames: int, *, components: bool = False
) -> Cells:
    """Read a confounds table; CompCor columns are included only if `components` is set.

    Raises
    ------
    RunError
        It is missing, unreadable, cut off, or does not have `n_frames` rows.
    """
    unused = _UNUSED if components else (*_UNUSED, *_COMPONENTS)
    return read_cells(
        path,
        run,
        expected="tab-separated text with a header, as fMRIPrep writes it",
        wanted=lambda name: bool(name) and not name.startswith(unused),
        remedy="copy it again, or rerun fMRIPrep",
        frames=n_frames,
    )


def read_column(cells: Cells, name: str, where: str) -> Column | None:
    """Return the numbers of a column, NaN for n/a; None if the table lacks it.

    Parameters
    ----------
    cells, name
        The table, and the name of the column.
    where
        Participant and file, for the error.

    Raises
    ------
    RunError
        The column has text, or numbers that are not finite or too large to be squared.

    Examples
    --------
    >>> read_column({"csf": ("n/a", "1.5", "3")}, "csf", "")
    array([nan, 1.5, 3. ])
    """
    if name not in cells:
        return None
    if (plain := _plain_column(cells[name])) is not None:
        return plain
    values = np.full(len(cells[name]), np.nan)
    for row, text in enumerate(cells[name]):
        cell = text.strip()
        if is_missing(cell):
            continue
        number = plain_number(cell)
        if number is None or not abs(number) <= _LARGEST:
            shown = cell if len(cell) <= _LONGEST_CELL else f"{cell[:_LONGEST_CELL]}…"
            raise RunError(
                f"{where} has {shown!r} in row {row + 1} of column {name}",
                expected=f"numbers up to {_LARGEST:g}, or n/a",
                remedy="copy the table again, rerun fMRIPrep, or correct the column",
            )
        values[row] = number
    return values


def _plain_column(texts: tuple[str, ...]) -> Column | None:
    """Return the numbers of a column as fMRIPrep writes it; None: each cell must be looked at."""
    joined = "".join(texts)
    # Python would read 1_0 and digits of other scripts as numbers.
    if "_" in joined or not joined.isascii():
        return None
    first = int(texts[:1] == ("n/a",))
    values = np.full(len(texts), np.nan)
    try:
        values[first:] = np.fromiter(map(float, texts[first:]), np.float64)
    except ValueError:
        return None
    usable = np.abs(values[first:]) <= _LARGEST
    return values if usable.all() else None


def flagged_frames(cells: Cells, n_frames: int, where: str) -> Mask:
    """Return which frames (frames,) fMRIPrep flagged as not yet in steady state.

    As in nilearn, any value except 0 and n/a is a flag.
    """
    flagged = np.zeros(n_frames, bool)
    for name in cells:
        if name.startswith(NON_STEADY):
            column = read_column(cells, name, where)
            flagged |= column is not None and np.nan_to_num(column) != 0
    return flagged


def interpolated_frames(run: RestRun, n_frames: int) -> Mask:
    """Return which frames (frames,) of a run XCP-D flagged for motion and filled by interpolation.

    XCP-D's modes abcd and hbcd keep such frames in the series. Its mode linc removes them, so that
    its table of outliers has more rows than the series has frames.

    Raises
    ------
    RunError
        The table cannot be read, or belongs to another series.
    """
    flags = _outliers(run)
    unflagged = int(np.count_nonzero(~flags))
    if run.outliers is not None and n_frames not in (len(flags), unflagged):
        raise RunError(
            f"sub-{run.participant}: {run.outliers} has {len(flags)} rows, {unflagged} of them "
            "without a flag",
            expected=f"{n_frames} of either, the frames of {run.bold.name}",
            remedy="copy both again from the same run of XCP-D",
        )
    return flags if len(flags) == n_frames else np.zeros(n_frames, bool)


def _outliers(run: RestRun) -> Mask:
    """Return XCP-D's flags for motion, (rows,); empty if the run has no such table."""
    if run.outliers is None:
        return np.zeros(0, bool)
    where = f"sub-{run.participant}: {run.outliers}"
    expected = f"a column {FD} with 1 for each flagged frame and 0 for each other"
    cells = read_cells(run.outliers, run, expected=expected)
    column = read_column(cells, FD, where)
    if column is None:
        raise RunError(f"{where} has no column {FD}", expected=expected)
    if np.isnan(column).any():
        raise RunError(
            f"{where} has rows without a value in column {FD}", expected=expected
        )
    return np.asarray(column != 0)


def displacements(run: RestRun, n_frames: int) -> tuple[Column, Column] | None:
    """Return framewise displacement by XCP-D: of a run's frames, and of all that were measured.

    The latter include the frames that XCP-D's mode linc removed from the series. Where XCP-D
    filtered motion, it is the filtered displacement, by which it censored. None if it is unknown.

    Raises
    ------
    RunError
        The table cannot be read, or belongs to another series.
    """
    if run.motion is None:
        return None
    where = f"sub-{run.participant}: {run.motion}"
    cells = read_cells(
        run.motion, run, expected="a table of motion, as XCP-D writes it"
    )
    measured = read_column(cells, _FILTERED_FD if _FILTERED_FD in cells else FD, where)
    if measured is None:
        return None
    if len(measured) == n_frames:
        return measured, measured
    flags = _outliers(run)
    if len(flags) != len(measured) or np.count_nonzero(~flags) != n_frames:
        raise RunError(
            f"{where} has {len(measured)} rows",
            expected=f"{n_frames}, the frames of {run.bold.name}, or also those that XCP-D removed",
            remedy="copy both again from the same run of XCP-D",
        )
    return measured[~flags], measured


def compcor_columns(cells: Cells, run: RestRun) -> tuple[str, ...]:
    """Return the names of the components of anatomical CompCor in the combined mask.

    fMRIPrep 1.4 to 20.2 numbers the components of three masks consecutively, and its JSON file
    gives the mask of each. Since 21.0, components of single masks have different names.

    Raises
    ------
    RunError
        No such component exists, or its mask is unknown.
    """
    names = tuple(name for name in cells if re.fullmatch(r"a_comp_cor_\d+", name))
    if not names:
        raise RunError(
            f"sub-{run.participant}: {run.confounds} has no columns of anatomical CompCor",
            expected="a_comp_cor_00, a_comp_cor_01, …",
            remedy="choose another --denoise-strategy, or rerun fMRIPrep",
        )
    path = metadata_file(run)
    entries = read_sidecar(path) if path else {}
    masks = {
        name: entry.get("Mask")
        for name, entry in entries.items()
        if isinstance(entry, dict)
    }
    apart = any(name.startswith(("c_comp_cor", "w_comp_cor")) for name in cells)
    if all(masks.get(name) for name in names):
        combined = tuple(name for name in names if masks[name] == _COMBINED)
    else:
        combined = names if apart else ()
    if not combined:
        raise RunError(
            f"sub-{run.participant}: {run.confounds} has {counted(names, 'column')} of "
            "anatomical CompCor, but none that is known to be of the combined mask",
            expected=f'a_comp_cor_00, …, and a JSON sidecar with "Mask": "{_COMBINED}"',
            remedy="copy that file there, choose another --denoise-strategy, or rerun fMRIPrep",
        )
    return combined


def metadata_file(run: RestRun) -> Path | None:
    """Return the JSON sidecar of a run's confounds table; None if there is none."""
    path = run.confounds.with_suffix(".json") if run.confounds else None
    return path if path is not None and (path.is_file() or path.is_symlink()) else None
