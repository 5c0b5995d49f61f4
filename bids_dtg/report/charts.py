"""Charts as coordinates: the page draws them as SVG, in the colours of its theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 960.0, 120.0  # of a trace, in SVG units
_BINS = 40
_MINUTE_MARKS = 12  # at most


@dataclass(frozen=True)
class Trace:
    """A line over the frames of a run."""

    title: str  # above it, with its unit
    path: str  # SVG path; gaps where values are missing
    ticks: tuple[tuple[float, str], ...]  # height and text of the labels of its axis
    threshold: float | None  # height of a line across; None for none
    summary: str  # the same in words, for those who cannot see it


@dataclass(frozen=True)
class Histogram:
    """Columns of counts."""

    form: ClassVar[str] = "distribution"
    columns: tuple[tuple[float, float, float, float], ...]  # x, y, width, height
    ticks: tuple[tuple[float, str], ...]  # x and text
    middle: float  # x of the median
    alt: str  # the same in words


def trace(
    values: NDArray[np.floating],
    *,
    title: str,
    unit: str,
    threshold: float | None = None,
) -> Trace:
    """Lay out values (frames,); NaN leaves a gap."""
    finite = values[np.isfinite(values)]
    # A single spike must not flatten the rest: it leaves the chart at the top.
    top = float(np.quantile(finite, 0.995)) * 1.15 if finite.size else 1.0
    top = nice(max(top, 1.25 * (threshold or 0.0), 1e-6))
    x = np.linspace(0, WIDTH, len(values))
    y = HEIGHT * (1 - np.clip(values / top, 0, 1))
    pieces, pen_down = [], False
    for left, height in zip(x, y, strict=True):
        if np.isfinite(height):
            pieces.append(f"{'L' if pen_down else 'M'}{left:.1f} {height:.1f}")
        pen_down = bool(np.isfinite(height))
    ticks = tuple((HEIGHT * (1 - share), f"{share * top:g}") for share in (0.0, 0.5, 1.0))
    summary = title
    if finite.size:
        summary += f": median {np.median(finite):.2f}, highest {finite.max():.2f}"
    return Trace(
        title=f"{title} ({unit})" if unit else title,
        path=" ".join(pieces),
        ticks=ticks,
        threshold=None if threshold is None else HEIGHT * (1 - threshold / top),
        summary=summary,
    )


def dropped_spans(kept: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Return left end and width of each stretch of frames that were not kept.

    Examples
    --------
    >>> import numpy as np
    >>> len(dropped_spans(np.array([False, True, True, False])))
    2
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (~kept).astype(int), [0]])))
    step = WIDTH / max(len(kept) - 1, 1)
    return tuple(
        (max(0.0, (first - 0.5) * step), (last - first) * step)
        for first, last in edges.reshape(-1, 2)
    )


def histogram(
    values: NDArray[np.floating], low: float, high: float, *, width: float, height: float, alt: str
) -> Histogram:
    """Count values from `low` to `high` (what lies beyond counts at the ends); `alt`: in words."""
    counts, _ = np.histogram(np.clip(values, low, high), _BINS, (low, high))
    step, most = width / _BINS, max(int(counts.max()), 1)
    columns = tuple(
        (number * step, height * (1 - count / most), step - 1, height * count / most)
        for number, count in enumerate(counts)
    )
    ticks = tuple(
        (width * (tick - low) / (high - low), f"{tick:g}") for tick in ticks_between(low, high)
    )
    middle = float(np.clip((np.median(values) - low) / (high - low), 0, 1)) if values.size else 0.0
    return Histogram(columns, ticks, width * middle, alt)


def nice(value: float) -> float:
    """Round up to 1, 1.5, 2, 3, 4, 5, 6, 8 or 10 times a power of ten.

    Examples
    --------
    >>> nice(0.0432)
    0.05
    """
    power = 10.0 ** np.floor(np.log10(value))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    return float(next((s * power for s in steps if s * power >= value * 0.9999), 10 * power))


def minute_marks(seconds: float) -> tuple[tuple[float, str], ...]:
    """Return marks of an axis over minutes: how far along it each lies, 0 to 1, and its text.

    Examples
    --------
    >>> minute_marks(60)
    ((0.0, '0'), (0.5, '0.5'), (1.0, '1'))
    """
    minutes = seconds / 60
    if minutes <= 0:
        return ()
    step = next((s for s in (0.5, 1, 2, 5, 10, 20) if minutes / s <= _MINUTE_MARKS), 60)
    marks = np.arange(0, minutes + 1e-9, step)
    return tuple((float(minute / minutes), f"{minute:g}") for minute in marks)


def ticks_between(low: float, high: float) -> list[float]:
    """Return some five round numbers between two.

    Examples
    --------
    >>> ticks_between(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    step = nice((high - low) / 5)
    first = np.ceil(low / step - 1e-9) * step
    # What rounds to zero has no sign.
    return [round(float(tick), 10) + 0.0 for tick in np.arange(first, high + step * 1e-6, step)]
