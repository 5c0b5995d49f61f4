"""Arrays that people give: refused where NumPy would quietly make something else of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def real_numbers(values: object, name: str) -> NDArray[Any]:
    """Return an array of real numbers as it is.

    Parameters
    ----------
    values
        What was given for it.
    name
        Of the array, for the error.

    Raises
    ------
    TypeError
        It holds texts, objects or complex numbers, or some of its values are masked.

    Examples
    --------
    >>> real_numbers([1, 2], "bold").tolist()
    [1, 2]
    >>> real_numbers([1j], "bold")
    Traceback (most recent call last):
    TypeError: bold holds complex128. Expected: real numbers
    """
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise TypeError(f"{name} has masked values. Expected: an array with NaN there (filled)")
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} holds {array.dtype}. Expected: real numbers")
    return array


def confound_columns(confounds: object, frames: int) -> NDArray[np.float64]:
    """Return confounds as (frames, columns); none are no columns.

    Raises
    ------
    TypeError
        They are no real numbers.
    ValueError
        They have another shape, or a column without a finite number.
    """
    if confounds is None:
        return np.zeros((frames, 0))
    table = real_numbers(confounds, "confounds").astype(np.float64)
    if table.ndim != 2 or len(table) != frames:
        raise ValueError(f"confounds are {table.shape}. Expected: ({frames}, columns)")
    empty = np.flatnonzero(~np.isfinite(table).any(axis=0))
    if len(empty):
        raise ValueError(f"column {empty[0]} of the confounds has no finite number")
    return table


def kept_frames(keep: object, frames: int) -> NDArray[np.bool_]:
    """Return which frames are kept; None: all are.

    Raises
    ------
    TypeError
        They are no truth values: indices would be taken for these.
    ValueError
        There is not one for each frame.
    """
    if keep is None:
        return np.ones(frames, dtype=bool)
    kept = np.asarray(keep)
    if kept.dtype != np.bool_:
        raise TypeError(f"keep holds {kept.dtype}. Expected: True or False for each frame")
    if kept.shape != (frames,):
        raise ValueError(f"keep is {kept.shape}. Expected: ({frames},)")
    return kept
