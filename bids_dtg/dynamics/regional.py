"""Figures of regions of a linear process: description, whose retest reliability is low."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.linear import LinearProcess

Array = NDArray[np.float64]


def _between(process: LinearProcess) -> Array:
    """Return effects on other regions a frame later, rows on columns; 0 on itself."""
    own: Array = process.transitions[0] - np.diag(process.transitions[0].diagonal())
    return own


# By name: words, and what it is of a process, (regions,).
FIGURES: Mapping[str, tuple[str, Callable[[LinearProcess], Array]]] = MappingProxyType(
    {
        "self_weight": (
            "Effect of the region on itself a frame later",
            lambda process: process.transitions[0].diagonal(),
        ),
        "input": (
            "Sum of the effects of all other regions on it a frame later",
            lambda process: _between(process).sum(axis=1),
        ),
        "output": (
            "Sum of its effects on all other regions a frame later",
            lambda process: _between(process).sum(axis=0),
        ),
        "noise": (
            "Variance of what no earlier frame foretells; that of the series is about 1",
            lambda process: process.noise.diagonal(),
        ),
    }
)


def regional_figures(process: LinearProcess) -> Array:
    """Return the figures of `FIGURES`, (figures, regions).

    Examples
    --------
    >>> process = LinearProcess(np.array([[[0.5, 0.2], [0.1, 0.4]]]), np.eye(2), np.eye(2)[None])
    >>> regional_figures(process)
    array([[0.5, 0.4],
           [0.2, 0.1],
           [0.1, 0.2],
           [1. , 1. ]])
    """
    return np.stack([figure(process) for _, figure in FIGURES.values()])
