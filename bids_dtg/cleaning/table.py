"""The table of confounds: read whole as text, with all names that fMRIPrep has used."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.files.annex import require_content
from bids_dtg.inputs.run import RestRun

if TYPE_CHECKING:
    import pandas as pd

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


# Hundreds of columns that most strategies do not look at; not reading them saves half a second.
_COMPONENTS = ("a_comp_cor", "c_comp_cor", "w_comp_cor")
# A tab at the ends of lines makes a column without a name, which pandas calls "Unnamed: N".
_UNUSED = ("t_comp_cor", "edge_comp", "motion_outlier", "Unnamed: ")
# One-hot columns of the frames at the start that fMRIPrep flagged.
NON_STEADY = "non_steady_state"
_LONGEST_QUOTE = 200  # characters of another program's message that are shown


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
    "framewisedisplacement": "framewise_displacement",
    "stddvars": "std_dvars",
    "nonstddvars": "dvars",
}
_NUMBERED = {
    r"([atcw])compcor(\d+)": r"\1_comp_cor_\2",
    r"cosine(\d+)": r"cosine\1",
    r"nonsteadystateoutlier(\d+)": r"non_steady_state_outlier\1",
    r"aroma(?:aggrcomp|motion)(\d+)": r"aroma_motion_\1",
}


def read_table(
    path: Path, run: RestRun, n_frames: int, *, components: bool = False
) -> pd.DataFrame:
    """Read the table as text, so that it can be handed on without rounding.

    Columns have the names that fMRIPrep uses since 1.2, whichever version wrote them. Those of
    CompCor are read only where `components` says so.

    Raises
    ------
    RunError
        If it is missing, unreadable, cut off or of another length than `n_frames`.
    """
    import pandas as pd

    require_content(path, run.participant)
    unused = _UNUSED if components else (*_UNUSED, *_COMPONENTS)
    try:
        lines = path.read_bytes().splitlines()
        while lines and not lines[-1].strip():
            lines.pop()  # an editor's line ends
        table = pd.read_csv(
            io.BytesIO(b"\n".join(lines)),
            sep="\t",
            dtype=str,
            keep_default_na=False,
            index_col=False,
            encoding="utf-8-sig",  # a spreadsheet may have put a mark before the header
            usecols=lambda name: not modern_name(name).startswith(unused),
        )
    except (OSError, ValueError) as err:  # pandas' parser errors are ValueErrors
        raise RunError(
            f"sub-{run.participant}: {path} cannot be read as a table: {quoted(err)}",
            expected="tab-separated text with a header, as fMRIPrep writes it",
            remedy="copy it again, or rerun fMRIPrep",
        ) from err
    if len(table) != n_frames:
        raise RunError(
            f"sub-{run.participant}: {path} has {len(table)} rows",
            expected=f"{n_frames}, the frames of {run.bold.name}",
            remedy="both must come from one run of fMRIPrep: copy or make them again",
        )
    if lines[-1].count(b"\t") != lines[0].count(b"\t"):
        raise RunError(
            f"sub-{run.participant}: {path} is cut off in its last line", remedy="copy it again"
        )
    return rename_columns(table)


def numbers(table: pd.DataFrame | None, names: tuple[str, ...]) -> NDArray[np.float64] | None:
    """Return the first of the columns that is there, n/a as NaN; None where there is none."""
    import pandas as pd

    for name in names:
        if table is not None and name in table.columns:
            return pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
    return None


def quoted(err: Exception) -> str:
    """Shorten another program's message: some quote all columns of the table."""
    text = " ".join(str(err).split())
    return text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 1]}…"


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


def rename_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Give columns the names that fMRIPrep uses since 1.2; a name that is taken stays taken."""
    taken, names = set(table.columns), {}
    for name in table.columns:
        new = modern_name(name)
        if new not in taken:
            names[name] = new
            taken.add(new)
    return table.rename(columns=names)


def add_expansions(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Compute derivatives and squares that are missing beside their column.

    fMRIPrep before 1.4 wrote none. A derivative is the difference to the frame before (n/a in
    the first frame), a power the square of the column or of its derivative, as fMRIPrep's are.

    Parameters
    ----------
    table
        Text, as read; numbers and n/a.

    Returns
    -------
    table
        The table with them.
    computed
        Names of the columns added.
    """
    import pandas as pd

    added: dict[str, list[str]] = {}
    for base in (*MOTION, *TISSUE, GLOBAL):
        missing = [base + end for end in EXPANSIONS if base + end not in table.columns]
        if base not in table.columns or not missing:
            continue
        values = pd.to_numeric(table[base], errors="coerce").to_numpy(np.float64)
        derivative = np.concatenate([[np.nan], np.diff(values)])
        made = dict(zip(EXPANSIONS, (values, derivative, values**2, derivative**2), strict=True))
        for name in missing:
            added[name] = [_text(value) for value in made[name.removeprefix(base)]]
    if not added:
        return table, ()
    return pd.concat([table, pd.DataFrame(added, index=table.index)], axis=1), tuple(added)


def _text(value: float) -> str:
    return "n/a" if np.isnan(value) else repr(float(value))
