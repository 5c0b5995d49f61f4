"""A picture of a run's design matrix: time goes down, one column for each regressor."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WIDTH_INCHES, _HEIGHT_INCHES, _DPI = 9.0, 5.0, 100
_MOST_NAMES = 60  # names of more columns would lie over each other


def draw_design_matrix(
    values: NDArray[np.floating[Any]], columns: Sequence[str], *, title: str
) -> bytes | None:
    """Draw a design matrix, each column divided by its largest absolute value.

    Returns
    -------
    bytes or None
        A PNG file; None if matplotlib is not installed.

    Raises
    ------
    ValueError
        The names do not fit the values.

    Notes
    -----
    Drawn by nilearn's `plot_design_matrix`.

    Examples
    --------
    >>> import numpy as np
    >>> draw_design_matrix(np.eye(5)[:, :2], ["go", "stop"], title="a run")[1:4]
    b'PNG'
    """
    if np.ndim(values) != 2 or np.shape(values)[1] != len(columns):
        raise ValueError(f"{len(columns)} names of columns, and values {np.shape(values)}")
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    import pandas as pd
    from matplotlib import pyplot as plt
    from nilearn.plotting import plot_design_matrix

    table = pd.DataFrame(values, columns=list(columns))
    figure, axes = plt.subplots(figsize=(_WIDTH_INCHES, _HEIGHT_INCHES))
    try:
        plot_design_matrix(table, rescale=True, axes=axes)
        if len(columns) > _MOST_NAMES:
            axes.set_xticks([])
        axes.set_title(title, fontsize=11, loc="left", pad=8)
        buffer = io.BytesIO()
        figure.tight_layout()
        # Without date or version, so that the bytes are reproducible.
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    finally:
        plt.close(figure)
    return buffer.getvalue()
