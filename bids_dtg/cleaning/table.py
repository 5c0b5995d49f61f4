"""The table of confounds as a file: read whole, as text, or refused in one line."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.confound_names import modern_name, rename_columns
from bids_dtg.errors import RunError
from bids_dtg.files.annex import require_content
from bids_dtg.inputs.run import RestRun

if TYPE_CHECKING:
    import pandas as pd

# Hundreds of columns that most strategies do not look at; not reading them saves half a second.
_COMPONENTS = ("a_comp_cor", "c_comp_cor", "w_comp_cor")
# A tab at the ends of lines makes a column without a name, which pandas calls "Unnamed: N".
_UNUSED = ("t_comp_cor", "edge_comp", "motion_outlier", "Unnamed: ")
# One-hot columns of the frames at the start that fMRIPrep flagged.
NON_STEADY = "non_steady_state"
_LONGEST_QUOTE = 200  # characters of another program's message that are shown


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
