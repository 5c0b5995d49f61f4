"""Which columns of a table of confounds a strategy takes, and which frames it censors.

They are those of nilearn's `load_confounds` for the same arguments (Abraham et al. 2014, *Frontiers
in Neuroinformatics* 8, 14), with which tests compare them for every strategy. nilearn itself is not
asked: its import takes longer than all that is done here, while each run waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.table import EXPANSIONS, FD, GLOBAL, MOTION, STD_DVARS, TISSUE

# Parts of which all columns must be there.
_BASES: Mapping[str, tuple[str, ...]] = {
    "motion": MOTION,
    "wm_csf": TISSUE,
    "global_signal": (GLOBAL,),
}
# What is taken beside a column itself, by the argument of its part.
_ENDS: Mapping[str, tuple[str, ...]] = {
    "basic": ("",),
    "derivatives": ("", "_derivative1"),
    "power2": ("", "_power2"),
    "full": EXPANSIONS,
}
# Parts of which as many columns are taken as there are, by how their names begin.
_BEGINNINGS = {"high_pass": "cosine"}


def needed_columns(arguments: Mapping[str, Any]) -> list[str]:
    """List the columns without which a table cannot be used.

    Parameters
    ----------
    arguments
        Arguments of nilearn's `load_confounds`: strategy and options.

    Examples
    --------
    >>> needed_columns({"strategy": ("high_pass", "wm_csf"), "wm_csf": "power2"})
    ['csf', 'csf_power2', 'white_matter', 'white_matter_power2']
    """
    scrub = [FD, STD_DVARS] if "scrub" in arguments["strategy"] else []
    return _regressors(arguments) + scrub


def choose_columns(
    arguments: Mapping[str, Any], present: Sequence[str], components: Sequence[str]
) -> tuple[str, ...]:
    """List the columns to regress out, in the order of their names as nilearn has them.

    Parameters
    ----------
    arguments
        Arguments of nilearn's `load_confounds`: strategy and options.
    present
        Names of the table's columns; those of `needed_columns` are among them.
    components
        Names of those of CompCor that are wanted where the strategy has CompCor.

    Examples
    --------
    >>> arguments = {"strategy": ("high_pass", "wm_csf"), "wm_csf": "basic"}
    >>> choose_columns(arguments, ("white_matter", "csf", "cosine00", "dvars"), ())
    ('cosine00', 'csf', 'white_matter')
    """
    parts = arguments["strategy"]
    chosen = {*_regressors(arguments), *(components if "compcor" in parts else ())}
    for part, beginning in _BEGINNINGS.items():
        if part in parts:
            chosen |= {name for name in present if name.startswith(beginning)}
    return tuple(sorted(chosen))


def fill_first(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give gaps of the first frame the next one's value: derivatives begin with n/a.

    Parameters
    ----------
    values
        (frames, columns), n/a as NaN.

    Examples
    --------
    >>> fill_first(np.array([[np.nan, 1.0], [2.0, 3.0], [np.nan, 5.0]]))
    array([[ 2.,  1.],
           [ 2.,  3.],
           [nan,  5.]])
    """
    filled = values.copy()
    filled[:1] = np.where(np.isnan(values[:1]), values[1:2], values[:1])
    return filled


def censored(over: NDArray[np.bool_], shortest: int) -> NDArray[np.bool_]:
    """Return the frames to drop: those over a threshold, and short stretches between them.

    As `load_confounds` does, after Power et al. (2014, *NeuroImage* 84, 320-341).

    Parameters
    ----------
    over
        (frames,), True over a threshold. Where none is, none is dropped.
    shortest
        Stretches of fewer frames between such ones, or between one and an end, are dropped too.

    Examples
    --------
    >>> censored(np.array([0, 0, 1, 0, 0, 0, 1, 0, 0], bool), 3).astype(int)
    array([1, 1, 1, 0, 0, 0, 1, 1, 1])
    """
    dropped = over.copy()
    if not over.any():
        return dropped
    fenced = np.concatenate([[True], over, [True]])
    turns = np.flatnonzero(fenced[1:] != fenced[:-1])
    for start, end in turns.reshape(-1, 2):
        dropped[start:end] = end - start < shortest
    return dropped


def _regressors(arguments: Mapping[str, Any]) -> list[str]:
    return [
        base + end
        for part, bases in _BASES.items()
        if part in arguments["strategy"]
        for base in bases
        for end in _ENDS[arguments[part]]
    ]
