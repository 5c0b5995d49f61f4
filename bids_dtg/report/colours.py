"""Colour scales of the reports: the same in pictures, in bars and in the viewer."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scale:
    """A colour scale as a list of colours at equal steps, interpolated between."""

    name: str  # what the viewer calls it
    stops: tuple[str, ...]  # as #rrggbb, from the least to the greatest value

    def table(self, size: int = 256) -> NDArray[np.uint8]:
        """Return (size, 3) red, green, blue."""
        return _table(self.stops, size)

    def paint(self, values: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Turn values from 0 to 1 (clipped) into colours, (..., 3)."""
        indices = np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.intp)
        painted: NDArray[np.uint8] = self.table()[indices]
        return painted

    @property
    def css(self) -> str:
        """The scale as a CSS gradient from left to right."""
        return f"linear-gradient(to right, {', '.join(self.stops)})"


POSITIVE = Scale("dtg-positive", ("#8c1526", "#c9302a", "#ee6c2d", "#fba53c", "#ffe9a0"))
NEGATIVE = Scale("dtg-negative", ("#20307c", "#2456b8", "#2f8bd8", "#5cc0ea", "#c8f1fb"))
# Where larger is better or simply more.
AMOUNT = Scale("dtg-amount", ("#2d2a5a", "#3c4f8a", "#2f7d8e", "#3aa876", "#a5cf4c", "#f6e85b"))
# Correlations from -1 to 1.
SIGNED = Scale(
    "dtg-signed",
    ("#16396b", "#2f6fb0", "#8fbcdc", "#f3f3f1", "#f0b08c", "#cf5a43", "#7b1128"),
)
# Series, from low to high.
GREYS = Scale("dtg-greys", ("#101010", "#808080", "#f0f0f0"))


@functools.cache
def _table(stops: tuple[str, ...], size: int) -> NDArray[np.uint8]:
    channels = np.array([_channels(stop) for stop in stops], np.float64)
    steps = np.linspace(0, len(stops) - 1, size)
    columns = [np.interp(steps, np.arange(len(stops)), column) for column in channels.T]
    table: NDArray[np.uint8] = np.rint(np.stack(columns, axis=1)).astype(np.uint8)
    return table


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
