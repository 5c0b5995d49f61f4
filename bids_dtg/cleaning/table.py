"""The table of confounds, and the JSON file beside it, with all names that fMRIPrep has used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import parse_table, read_content
from bids_dtg.files.sidecars import read_sidecar
from bids_dtg.inputs.run import RestRun

# Hundreds of columns that most strategies do not look at; not reading them saves half a second.
_COMPONENTS = ("a_comp_cor", "c_comp_cor", "w_comp_cor")
_UNUSED = ("t_comp_cor", "edge_comp", "motion_outlier")
_COMBINED = "combined"  # the mask of white matter and CSF together, in fMRIPrep's JSON file
FD, STD_DVARS = "framewise_displacement", "std_dvars"
# One-hot columns of the frames at the start that fMRIPrep flagged.
NON_STEADY = "non_steady_state"
_LONGEST_CELL = 30  # characters of a cell that are shown
# Nothing that was measured is larger, and sums of squares of it are still finite.
_LARGEST = 1e100
_NOT_KNOWN = ("", "n/a", "na", "nan")

MOTION = tuple(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz")
TISSUE = ("csf", "white_matter")
GLOBAL = "global_signal"
# Endings of the columns that fMRIPrep has written beside a column since 1.4.
EXPANSIONS = ("", "_derivative1", "_power2", "_derivative1_power2")
# Names of fMRIPrep 1.0 and 1.1, in small letters without anything else, and those since 1.2.
_RENAMED = {
    **{axis: f"trans_{axis}" for axis in "xyz"},
    **{f"rot{axis}": f"rot_{axis}" for axis in "xyz"},
    "csf": "csf",
    "whitematter": "white_matter",
    "globalsignal": GLOBAL,
    "framewisedisplacement": FD,
    "stddvars": STD_DVARS,
    "nonstddvars": "dvars",
}
_NUMBERED = {
    r"([atcw])compcor(\d+)": r"\1_comp_cor_\2",
    r"cosine(\d+)": r"cosine\1",
    r"nonsteadystateoutlier(\d+)": r"non_steady_state_outlier\1",
    r"aroma(?:aggrcomp|motion)(\d+)": r"aroma_motion_\1",
}


@dataclass(frozen=True, eq=False)
class ConfoundTable:
    """A table of confounds as its file has it: all cells are text."""

    cells: Mapping[str, tuple[str, ...]]  # (frames,) by the name that fMRIPrep uses since 1.2
    frames: int
    doubled: tuple[str, ...] = ()  # names of several columns in the file; the first is here

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the file."""
        return tuple(self.cells)


def read_table(
    path: Path, run: RestRun, n_frames: int, *, components: bool = False
) -> ConfoundTable:
    """Read the table as text, so that nothing is rounded twice.

    Columns have the names that fMRIPrep uses since 1.2, whichever version wrote them. Those of
    CompCor are read only where `components` says so.

    Raises
    ------
    RunError
        If it is missing, unreadable, cut off or of another length than `n_frames`.
    """
    unused = _UNUSED if components else (*_UNUSED, *_COMPONENTS)
    try:
        content = read_content(path, run.participant)
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        # An editor's empty lines go; tabs at the end of the last line of cells stay.
        end = content.find(b"\n", len(content.rstrip()))
        content = content if end < 0 else content[:end]
        table = parse_table(
            content,
            path,
            wanted=lambda name: bool(name) and not modern_name(name).startswith(unused),
        )
    except ForeignFileError as err:
        raise err.as_kind(
            RunError,
            f"sub-{run.participant}: ",
            expected="tab-separated text with a header, as fMRIPrep writes it",
            remedy="copy it again, or rerun fMRIPrep",
        ) from err
    if len(table.rows) != n_frames:
        raise RunError(
            f"sub-{run.participant}: {path} has {len(table.rows)} rows",
            expected=f"{n_frames}, the frames of {run.bold.name}",
            remedy="both must come from one run of fMRIPrep: copy or make them again",
        )
    first, last = content.partition(b"\n")[0], content.rpartition(b"\n")[2]
    if last.count(b"\t") != first.count(b"\t"):
        raise RunError(
            f"sub-{run.participant}: {path} is cut off in its last line", remedy="copy it again"
        )
    cells: dict[str, tuple[str, ...]] = {}
    for name, column in zip(table.header, zip(*table.rows, strict=True), strict=True):
        cells.setdefault(name, column)
    return ConfoundTable(rename_columns(cells), n_frames, table.twice())


def numbers(table: ConfoundTable | None, name: str) -> NDArray[np.float64] | None:
    """Return the numbers of a column, n/a and other text as NaN; None without such a column.

    Examples
    --------
    >>> numbers(ConfoundTable({"csf": ("n/a", "1.5", "1_0")}, frames=3), "csf")
    array([nan, 1.5, nan])
    """
    if table is None or name not in table.cells:
        return None
    return np.array([_number(cell) for cell in table.cells[name]], np.float64)


def non_steady_frames(table: ConfoundTable) -> NDArray[np.bool_]:
    """Return which frames (frames,) fMRIPrep flagged as not yet in steady state.

    As nilearn, take whatever is not 0 for a flag, and n/a for none.

    Examples
    --------
    >>> flags = {"non_steady_state_outlier00": ("1", "0", "n/a"), "csf": ("5", "5", "5")}
    >>> non_steady_frames(ConfoundTable(flags, frames=3))
    array([ True, False, False])
    """
    flagged = np.zeros(table.frames, bool)
    for name in table.names:
        if name.startswith(NON_STEADY):
            column = numbers(table, name)
            flagged |= column is not None and np.nan_to_num(column) != 0
    return flagged


def interpolated_frames(run: RestRun, n_frames: int) -> NDArray[np.bool_]:
    """Return which frames (frames,) of a run XCP-D flagged for motion and filled by interpolation.

    XCP-D's modes abcd and hbcd keep such frames in the series. Its mode linc removes them: then its
    table of outliers has more rows than the series.

    Raises
    ------
    RunError
        The table cannot be read, or is of another series.
    """
    if run.outliers is None:
        return np.zeros(n_frames, bool)
    who = f"sub-{run.participant}: {run.outliers}"
    expected = f"a column {FD} with 1 for each flagged frame and 0 for each other"
    try:
        table = parse_table(read_content(run.outliers, run.participant), run.outliers)
    except ForeignFileError as err:
        raise err.as_kind(RunError, f"sub-{run.participant}: ", expected=expected) from err
    if FD not in table.header:
        raise RunError(f"{who} has no column {FD}", expected=expected)
    cells = [_number(row[FD]) for row in table.dicts()]
    if odd := [number for number, cell in enumerate(cells, 1) if not np.isfinite(cell)]:
        raise RunError(f"{who} has no number in row {odd[0]} of column {FD}", expected=expected)
    flags: NDArray[np.bool_] = np.array(cells, np.float64) != 0
    if len(flags) == n_frames:
        return flags
    left = int(np.count_nonzero(~flags))
    if left == n_frames:
        return np.zeros(n_frames, bool)
    raise RunError(
        f"{who} has {len(flags)} rows, {left} of them without a flag",
        expected=f"{n_frames} of either, the frames of {run.bold.name}",
        remedy="both must come from one run of XCP-D: copy or make them again",
    )


def require_numbers(table: ConfoundTable, names: Sequence[str], run: RestRun) -> None:
    """Refuse columns that cannot be regressed out or compared with a threshold.

    Parameters
    ----------
    table
        Table of confounds, cells as text.
    names
        The columns that are wanted; those that the table lacks are passed over.
    run
        Whose table it is, for the error.

    Raises
    ------
    RunError
        A column has no number at all, or has text, or numbers that are not finite or too large to
        be squared. Single n/a are no fault: derivatives and displacements begin with one.
    """
    for name in names:
        column = numbers(table, name)
        if column is None:
            continue
        where = f"sub-{run.participant}: {run.confounds}"
        beyond = np.abs(column) > _LARGEST  # infinity too; n/a is beyond nothing
        words, odd = table.cells[name], np.isnan(column)
        for frame in np.flatnonzero(odd):
            odd[frame] = words[frame].strip().lower() not in _NOT_KNOWN
        if (wrong := np.flatnonzero(beyond | odd)).size:
            found = words[wrong[0]].strip()
            found = found if len(found) <= _LONGEST_CELL else f"{found[:_LONGEST_CELL]}…"
            raise RunError(
                f"{where} has {found!r} in row {wrong[0] + 1} of column {name}",
                expected=f"numbers up to {_LARGEST:g}, or n/a",
                remedy="copy it again, or rerun fMRIPrep",
            )
        if np.isnan(column).all():
            raise RunError(
                f"{where} has no number in rows 1 to {len(column)} of column {name}",
                expected="numbers, and n/a in single rows",
                remedy="copy it again, rerun fMRIPrep, or choose a --denoise-strategy without it",
            )


def modern_name(name: str) -> str:
    """Return the name that fMRIPrep uses since 1.2 for a column.

    Examples
    --------
    >>> [modern_name(name) for name in ("RotX", "aCompCor03", "non-stdDVARS", "csf_power2")]
    ['rot_x', 'a_comp_cor_03', 'dvars', 'csf_power2']
    """
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    if bare in _RENAMED:
        return _RENAMED[bare]
    for old, new in _NUMBERED.items():
        if match := re.fullmatch(old, bare):
            return match.expand(new)
    return name


def rename_columns(cells: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Give columns the names that fMRIPrep uses since 1.2; a name that is taken stays taken.

    Examples
    --------
    >>> rename_columns({"X": ("1",), "trans_x": ("2",), "Y": ("3",)})
    {'X': ('1',), 'trans_x': ('2',), 'trans_y': ('3',)}
    """
    taken, renamed = set(cells), dict[str, tuple[str, ...]]()
    for name, column in cells.items():
        new = modern_name(name)
        new = name if new in taken else new
        taken.add(new)
        renamed[new] = column
    return renamed


def add_expansions(table: ConfoundTable) -> tuple[ConfoundTable, tuple[str, ...]]:
    """Compute derivatives and squares that are missing beside their column.

    fMRIPrep before 1.4 wrote none. A derivative is the difference to the frame before (n/a in
    the first frame), a power the square of the column or of its derivative, as fMRIPrep's are.

    Parameters
    ----------
    table
        As read; numbers and n/a.

    Returns
    -------
    table
        The table with them.
    computed
        Names of the columns added.
    """
    added: dict[str, tuple[str, ...]] = {}
    for base in (*MOTION, *TISSUE, GLOBAL):
        missing = [base + end for end in EXPANSIONS if base + end not in table.cells]
        values = numbers(table, base)
        if values is None or not missing:
            continue
        with np.errstate(over="ignore", invalid="ignore"):  # `require_numbers` refuses the column
            derivative = np.concatenate([[np.nan], np.diff(values)])
            squares = values**2, derivative**2
        made = dict(zip(EXPANSIONS, (values, derivative, *squares), strict=True))
        for name in missing:
            added[name] = tuple(_text(value) for value in made[name.removeprefix(base)])
    return replace(table, cells={**table.cells, **added}), tuple(added)


def compcor_columns(table: ConfoundTable, run: RestRun) -> tuple[str, ...]:
    """Return the names of the components of anatomical CompCor in the combined mask.

    fMRIPrep numbers the components of three masks in one row from 1.4 to 20.2, and says in the
    JSON file which are which. Since 21.0 those of single masks have names of their own; before
    1.4, when there were no derivatives of columns either, there was one mask.

    Parameters
    ----------
    table
        The table as read, before derivatives were computed.
    run
        The run; the JSON file beside its table is read where it is there.

    Raises
    ------
    RunError
        No such component exists, or its mask is not known.
    """
    names = [name for name in table.cells if re.fullmatch(r"a_comp_cor_\d+", name)]
    if not names:
        raise RunError(
            f"sub-{run.participant}: {run.confounds} has no column of anatomical CompCor",
            expected="a_comp_cor_00, …",
            remedy="choose another --denoise-strategy, or rerun fMRIPrep",
        )
    path = metadata_file(run)
    entries = read_sidecar(path) if path else {}
    masks = {name: entry.get("Mask") for name, entry in entries.items() if isinstance(entry, dict)}
    if all(masks.get(name) for name in names):
        if combined := tuple(name for name in names if masks[name] == _COMBINED):
            return combined
        raise RunError(
            f"sub-{run.participant}: {path} names no component of anatomical CompCor of the "
            f"combined mask among {len(names)}",
            expected=f'"Mask": "{_COMBINED}" for some of them',
            remedy="choose another --denoise-strategy, or rerun fMRIPrep",
        )
    apart = any(name.startswith(("c_comp_cor", "w_comp_cor")) for name in table.cells)
    expanded = any(name.endswith(EXPANSIONS[1:]) for name in table.cells)
    if apart or not expanded:
        return tuple(names)
    raise RunError(
        f"sub-{run.participant}: {run.confounds} has {len(names)} columns of anatomical CompCor, "
        "and no JSON file beside it that says from which masks",
        expected=f"{run.confounds.with_suffix('.json').name if run.confounds else 'a JSON file'} "
        "with the Mask of each",
        remedy="copy it there, or choose another --denoise-strategy",
    )


def metadata_file(run: RestRun) -> Path | None:
    """Return the JSON file beside a run's table of confounds; None where there is none."""
    path = run.confounds.with_suffix(".json") if run.confounds else None
    return path if path is not None and (path.is_file() or path.is_symlink()) else None


def _number(cell: str) -> float:
    # Python's numbers may have underscores and digits of any script; a table's may not.
    try:
        return float(cell) if cell.isascii() and "_" not in cell else np.nan
    except ValueError:
        return np.nan


def _text(value: float) -> str:
    return "n/a" if np.isnan(value) else repr(float(value))
