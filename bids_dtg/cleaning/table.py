"""The table of confounds, and the JSON file beside it, with all names that fMRIPrep has used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import ForeignFileError, RunError
from bids_dtg.files.foreign import Table, parse_table, read_bytes, require_contents
from bids_dtg.files.sidecars import read_sidecar
from bids_dtg.inputs.run import RestRun

Cells = Mapping[str, tuple[str, ...]]  # text of the cells (frames,) of a table, by column

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
_OTHER = "choose another --denoise-strategy, or rerun fMRIPrep"

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


def read_rows(
    path: Path,
    run: RestRun,
    *,
    expected: str,
    wanted: Callable[[str], bool] = bool,
    remedy: str = "",
) -> Table:
    """Read a table beside a run as text, so that nothing is rounded twice.

    Raises
    ------
    RunError
        It is missing, unreadable or cut off.
    """
    who = f"sub-{run.participant}: "
    try:
        require_contents([path], run.participant)
        content = read_bytes(path)
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        # An editor's empty lines go; tabs at the end of the last line of cells stay.
        end = content.find(b"\n", len(content.rstrip()))
        content = content if end < 0 else content[:end]
        table = parse_table(content, path, wanted=wanted)
    except ForeignFileError as err:
        raise err.as_kind(RunError, who, expected=expected, remedy=remedy) from err
    first, last = content.partition(b"\n")[0], content.rpartition(b"\n")[2]
    if last.count(b"\t") != first.count(b"\t"):
        raise RunError(f"{who}{path} is cut off in its last line", remedy="copy it again")
    return table


def read_table(
    path: Path, run: RestRun, n_frames: int, *, components: bool = False
) -> tuple[Cells, tuple[str, ...]]:
    """Read a table of confounds, and which of its names stand for several columns.

    Columns have the names that fMRIPrep uses since 1.2, whichever version wrote them; a name that
    is taken stays taken, and of several columns with one name the first is read. Those of CompCor
    are read only where `components` says so.

    Raises
    ------
    RunError
        It is missing, unreadable, cut off or of another length than `n_frames`.
    """
    unused = _UNUSED if components else (*_UNUSED, *_COMPONENTS)
    table = read_rows(
        path,
        run,
        expected="tab-separated text with a header, as fMRIPrep writes it",
        wanted=lambda name: bool(name) and not modern_name(name).startswith(unused),
        remedy="copy it again, or rerun fMRIPrep",
    )
    if len(table.rows) != n_frames:
        raise RunError(
            f"sub-{run.participant}: {path} has {len(table.rows)} rows",
            expected=f"{n_frames}, the frames of {run.bold.name}",
            remedy="both must come from one run of fMRIPrep: copy or make them again",
        )
    cells = dict[str, tuple[str, ...]]()
    taken = set(table.header)
    for name, column in zip(table.header, zip(*table.rows, strict=True), strict=True):
        new = modern_name(name)
        cells.setdefault(name if new in taken else new, column)
        taken.add(new)
    return cells, table.twice()


def numbers(cells: Cells, name: str) -> NDArray[np.float64] | None:
    """Return the numbers of a column, n/a and other text as NaN; None without such a column.

    Examples
    --------
    >>> numbers({"csf": ("n/a", "1.5", "1_0")}, "csf")
    array([nan, 1.5, nan])
    """
    if name not in cells:
        return None
    return np.array([_number(cell) for cell in cells[name]], np.float64)


def non_steady_frames(cells: Cells, n_frames: int) -> NDArray[np.bool_]:
    """Return which frames (frames,) fMRIPrep flagged as not yet in steady state.

    As nilearn, take whatever is not 0 for a flag, and n/a for none.
    """
    flagged = np.zeros(n_frames, bool)
    for name in cells:
        if name.startswith(NON_STEADY):
            column = numbers(cells, name)
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
    table = read_rows(run.outliers, run, expected=expected)
    if FD not in table.header:
        raise RunError(f"{who} has no column {FD}", expected=expected)
    found = np.array([_number(row[FD]) for row in table.dicts()], np.float64)
    if (odd := np.flatnonzero(~np.isfinite(found))).size:
        raise RunError(f"{who} has no number in row {odd[0] + 1} of column {FD}", expected=expected)
    flags = found != 0
    left = int(np.count_nonzero(~flags))
    if n_frames not in (len(flags), left):
        raise RunError(
            f"{who} has {len(flags)} rows, {left} of them without a flag",
            expected=f"{n_frames} of either, the frames of {run.bold.name}",
            remedy="both must come from one run of XCP-D: copy or make them again",
        )
    return np.asarray(flags) if len(flags) == n_frames else np.zeros(n_frames, bool)


def require_numbers(cells: Cells, names: Iterable[str], where: str, remedy: str) -> None:
    """Refuse columns that cannot be regressed out or compared with a threshold.

    Parameters
    ----------
    cells, names
        The table, and which of its columns are wanted.
    where, remedy
        Participant and file, and what to do, for the error.

    Raises
    ------
    RunError
        A column has no number at all, or has text, or numbers that are not finite or too large to
        be squared. Single n/a are no fault: derivatives and displacements begin with one.
    """
    for name in names:
        column, words = numbers(cells, name), [word.strip() for word in cells[name]]
        assert column is not None
        known = np.array([word.lower() not in _NOT_KNOWN for word in words], bool)
        wrong = np.flatnonzero(known & ~(np.abs(column) <= _LARGEST))
        if wrong.size:
            found = words[wrong[0]]
            found = found if len(found) <= _LONGEST_CELL else f"{found[:_LONGEST_CELL]}…"
            raise RunError(
                f"{where} has {found!r} in row {wrong[0] + 1} of column {name}",
                expected=f"numbers up to {_LARGEST:g}, or n/a",
                remedy=remedy,
            )
        if not known.any():
            raise RunError(
                f"{where} has no number in rows 1 to {len(column)} of column {name}",
                expected="numbers, and n/a in single rows",
                remedy=remedy,
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


def expansions(cells: Cells) -> Cells:
    """Compute derivatives and squares that are missing beside their column.

    fMRIPrep before 1.4 wrote none. A derivative is the difference to the frame before (n/a in
    the first frame), a power the square of the column or of its derivative, as fMRIPrep's are.
    """
    added = dict[str, tuple[str, ...]]()
    for base in (*MOTION, *TISSUE, GLOBAL):
        if (values := numbers(cells, base)) is None:
            continue
        with np.errstate(over="ignore", invalid="ignore"):  # `require_numbers` refuses the column
            derivative = np.concatenate([[np.nan], np.diff(values)])
            made = (values, derivative, values**2, derivative**2)
        for end, column in zip(EXPANSIONS, made, strict=True):
            if base + end not in cells:
                text = ("n/a" if np.isnan(value) else repr(float(value)) for value in column)
                added[base + end] = tuple(text)
    return added


def compcor_columns(cells: Cells, run: RestRun) -> tuple[str, ...]:
    """Return the names of the components of anatomical CompCor in the combined mask.

    fMRIPrep numbers the components of three masks in one row from 1.4 to 20.2, and says in the
    JSON file which are which. Since 21.0 those of single masks have names of their own; before
    1.4, when there were no derivatives of columns either, there was one mask.

    Raises
    ------
    RunError
        No such component exists, or its mask is not known.
    """
    names = tuple(name for name in cells if re.fullmatch(r"a_comp_cor_\d+", name))
    who = f"sub-{run.participant}: "
    if not names:
        raise RunError(
            f"{who}{run.confounds} has no column of anatomical CompCor",
            expected="a_comp_cor_00, …",
            remedy=_OTHER,
        )
    path = metadata_file(run)
    entries = read_sidecar(path) if path else {}
    masks = {name: entry.get("Mask") for name, entry in entries.items() if isinstance(entry, dict)}
    if all(masks.get(name) for name in names):
        if combined := tuple(name for name in names if masks[name] == _COMBINED):
            return combined
        raise RunError(
            f"{who}{path} names no component of anatomical CompCor of the combined mask among "
            f"{len(names)}",
            expected=f'"Mask": "{_COMBINED}" for some of them',
            remedy=_OTHER,
        )
    apart = any(name.startswith(("c_comp_cor", "w_comp_cor")) for name in cells)
    if apart or not any(name.endswith(EXPANSIONS[1:]) for name in cells):
        return names
    raise RunError(
        f"{who}{run.confounds} has {len(names)} columns of anatomical CompCor, and no JSON file "
        "beside it that says from which masks",
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
