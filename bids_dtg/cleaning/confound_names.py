"""Names of fMRIPrep's confounds over the years, and what can be computed where it is missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

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
