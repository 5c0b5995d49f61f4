"""Lines, bands and points along two axes, as coordinates: the page draws them as SVG."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bids_dtg.report.numbers import figure

Floats = NDArray[np.floating]
WIDTH, HEIGHT = 350.0, 200.0  # of the plot, in SVG units
STYLES = 8  # of lines and markers: colour and dashes or shape, `report.css` has the colours
_TICKS = 5
_LETTER = 6.8  # width of a letter of an axis, in SVG units
_LETTERS_IN_LINE = 54  # of the labels of axes
_ROOM = 0.04  # of an axis that is left at both ends
_STEPS = (1.0, 2.0, 5.0, 10.0)
# Markers of points, drawn with a thick pen from their middle: they differ in shape and colour.
_MARKERS = (
    *("h0", "m-2.5 -2.5l5 5m0 -5l-5 5", "m-3 0h6m-3 -3v6", "m-2.5 2h5l-2.5 -5z"),
    *("m-2.5 -2.5h5v5h-5z", "m0 -3.5l3 3.5l-3 3.5l-3 -3.5z", "m-3 0h6", "m0 -3v6"),
)


@dataclass(frozen=True)
class Axis:
    """Where the values of an axis lie."""

    low: float
    high: float
    log: bool
    ticks: tuple[tuple[float, str], ...]  # value and text

    def share(self, values: Floats) -> Floats:
        """Return positions of values along the axis, 0 to 1; NaN for values without one."""
        ends = np.array([self.low, self.high])
        if self.log:
            values = np.log10(np.where(values > 0, values, np.nan))
            ends = np.log10(ends)
        share = (values - ends[0]) / (ends[1] - ends[0])
        return np.where(np.isfinite(share), share, np.nan)


@dataclass(frozen=True)
class Mark:
    """A series as it is drawn."""

    name: str  # in the legend; empty: none
    style: int  # number of its colour and its dashes or shape, from 1
    line: str = ""  # SVG paths; empty: none
    band: str = ""
    points: str = ""

    @property
    def sample(self) -> str:
        """One marker, for the legend, in the middle of 26 by 12 SVG units."""
        return f"M13 6{_MARKERS[self.style - 1]}"


@dataclass(frozen=True)
class Chart:
    """Two axes, and what lies between them."""

    marks: tuple[Mark, ...]
    x_ticks: tuple[tuple[float, str], ...]  # place and text
    y_ticks: tuple[tuple[float, str], ...]
    x_label: tuple[str, ...]  # lines
    y_label: tuple[str, ...]
    left: float  # room for the labels of the ticks, in SVG units
    summary: str  # the same in words, for those who cannot see it
    identity: str = ""  # SVG path of the line where x is y; empty: none
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def legend(self) -> tuple[Mark, ...]:
        """The marks that have a name."""
        return tuple(mark for mark in self.marks if mark.name)


def axis_of(values: Floats, *, log: bool = False, most: int = _TICKS) -> Axis:
    """Return an axis that all values lie on.

    Parameters
    ----------
    values
        Of any shape; those without a place (NaN, on a log axis not above 0) are left out.
    log
        Whether equal factors are equally far apart.
    most
        Number of its ticks, about.
    """
    known = np.asarray(values, np.float64).ravel()
    known = known[np.isfinite(known) & ((known > 0) | (not log))]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.1, 1.0)
    if log:
        return _log_axis(low, high)
    room = _ROOM * (high - low)
    if room <= 1e-9 * max(abs(low), abs(high)):  # one value
        room = 0.1 * max(abs(high), abs(low)) or 1.0
    low, high = low - room, high + room
    return Axis(low, high, False, _linear_ticks(low, high, most))


_NO_BANDS: Mapping[str, tuple[Floats, Floats, Floats]] = MappingProxyType({})
_NO_POINTS: Mapping[str, Floats] = MappingProxyType({})


def line_chart(
    series: Mapping[str, tuple[Floats, Floats]],
    *,
    x_label: str,
    y_label: str,
    x_reach: Sequence[float] = (),
    y_reach: Sequence[float] = (),
    bands: Mapping[str, tuple[Floats, Floats, Floats]] = _NO_BANDS,
    points: Mapping[str, Floats] = _NO_POINTS,
) -> Chart | None:
    """Lay out a line each for series of x and y, (points,); NaN leaves a gap.

    None where no value is known. An axis also has the values of its reach, whether or not a series
    has them. `bands` are x, low and high, of a line of the same name or of none; `points` are
    (points, 2), marked over the lines.
    """
    known = {name: xy for name, xy in series.items() if np.isfinite(xy[1]).any()}
    if not known:
        return None
    ends = [end for _, low, high in bands.values() for end in (low, high)]
    marked = [own for own in points.values() if len(own)]
    x_of, y_of = ([own[:, axis] for own in marked] for axis in (0, 1))
    x = axis_of(np.concatenate([np.array(x_reach), *(xy[0] for xy in known.values()), *x_of]))
    y = axis_of(
        np.concatenate([np.array(y_reach), *(xy[1] for xy in known.values()), *ends, *y_of])
    )
    styles = _styles(dict.fromkeys((*series, *bands, *points)))
    drawn = {
        name: _band(_across(x, at), _up(y, low), _up(y, high))
        for name, (at, low, high) in bands.items()
    }
    marks = [
        *(Mark(name, styles[name], band=band) for name, band in drawn.items() if name not in known),
        *(
            Mark(
                name,
                styles[name],
                line=_line(_across(x, at), _up(y, values)),
                band=drawn.get(name, ""),
            )
            for name, (at, values) in known.items()
        ),
        *(
            Mark(
                name,
                styles[name],
                points=_points(_across(x, own[:, 0]), _up(y, own[:, 1]), styles[name]),
            )
            for name, own in points.items()
            if len(own)
        ),
    ]
    parts = [
        f"{name}: {_from_to(values)}".removeprefix(": ") for name, (_, values) in known.items()
    ]
    summary = f"{y_label} by {x_label}; {'; '.join(parts)}"
    return _chart(marks, (x, y), (x_label, y_label), summary)


def band_chart(
    at: Floats,
    series: Mapping[str, tuple[Floats, Floats, Floats]],
    *,
    x_label: str,
    y_label: str,
) -> Chart | None:
    """Lay out a line with a band each for series of low, middle and high, (points,), on a log axis.

    None where no value is above 0.
    """
    known = {
        name: tuple(_finite(part) for part in parts)
        for name, parts in series.items()
        if (_finite(parts[1]) > 0).any()
    }
    if not known:
        return None
    x, y = axis_of(at), axis_of(np.concatenate([np.ravel(p) for p in known.values()]), log=True)
    marks, styles = [], _styles(series)
    for name, (low, middle, high) in known.items():
        across = _across(x, at)
        # Down to the end of the axis where the lower end is 0.
        floor = np.where(low <= 0, y.low, low)
        band = _band(across, _up(y, floor), _up(y, high))
        marks.append(Mark(name, styles[name], line=_line(across, _up(y, middle)), band=band))
    parts = [
        f"{name}: highest {_tick_text(float(np.nanmax(middle)))} at "
        f"{_tick_text(float(at[np.nanargmax(middle)]))}".removeprefix(": ")
        for name, (_, middle, _) in known.items()
    ]
    summary = f"{y_label} by {x_label}; {'; '.join(parts)}"
    return _chart(marks, (x, y), (x_label, f"{y_label}, log scale"), summary)


def point_chart(
    points: Mapping[str, Floats], *, x_label: str, y_label: str, identity: bool = False
) -> Chart | None:
    """Lay out the points (points, 2) of groups; with the line where x is y, on equal axes.

    None where no point is known.
    """
    known = {
        name: found
        for name, group in points.items()
        if (found := group[np.isfinite(group).all(axis=1)]).size
    }
    if not known:
        return None
    drawn = np.concatenate(list(known.values()))
    x, y = axis_of(drawn if identity else drawn[:, 0]), axis_of(drawn if identity else drawn[:, 1])
    height, styles = WIDTH if identity else HEIGHT, _styles(points)
    marks = [
        Mark(
            name,
            styles[name],
            points=_points(_across(x, group[:, 0]), _up(y, group[:, 1], height), styles[name]),
        )
        for name, group in known.items()
    ]
    summary = (
        f"{y_label} against {x_label}; {len(drawn)} points, {x_label} {_range(drawn[:, 0])}, "
        f"{y_label} {_range(drawn[:, 1])}"
    )
    line = f"M0 {height:g}L{WIDTH:g} 0" if identity else ""
    return _chart(marks, (x, y), (x_label, y_label), summary, height=height, line=line)


def _chart(
    marks: Sequence[Mark],
    axes: tuple[Axis, Axis],
    labels: tuple[str, str],
    summary: str,
    *,
    height: float = HEIGHT,
    line: str = "",
) -> Chart:
    (x, y), (x_label, y_label) = axes, labels
    return Chart(
        marks=tuple(marks),
        x_ticks=_apart(
            [(float(_across(x, np.array(value))), text) for value, text in x.ticks], WIDTH
        ),
        y_ticks=tuple((float(_up(y, np.array(value), height)), text) for value, text in y.ticks),
        x_label=tuple(textwrap.wrap(x_label, _LETTERS_IN_LINE)),
        y_label=tuple(textwrap.wrap(y_label, _LETTERS_IN_LINE)),
        left=12 + _LETTER * max((len(text) for _, text in y.ticks), default=0),
        summary=summary,
        identity=line,
        height=height,
    )


def _linear_ticks(low: float, high: float, most: int) -> tuple[tuple[float, str], ...]:
    power = 10.0 ** np.floor(np.log10((high - low) / most))
    step = next(s * power for s in _STEPS if s * power * most >= (high - low) * 0.9999)
    values = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    digits = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    large = max(abs(low), abs(high))
    if large < 1e-4 or large >= 1e7:
        return tuple((float(value), _tick_text(float(value))) for value in values)
    return tuple((float(value), figure(float(value), digits)) for value in values)


def _log_axis(low: float, high: float) -> Axis:
    """Return an axis between whole steps of 1, 2, 5, 10."""
    low, high = low / 1.15, high * 1.15
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    steps = _STEPS[:3] if high < 1000 * low else _STEPS[:1]
    every = max(1, (last - first) // _TICKS)
    values = [
        step * 10.0**power
        for power in range(first, last + 1)
        for step in steps
        if power % every == 0
    ]
    inside = [value for value in values if low * 0.9999 <= value <= high * 1.0001]
    if len(inside) < 2:
        return Axis(low, high, True, _linear_ticks(low, high, _TICKS))
    return Axis(low, high, True, tuple((value, _tick_text(value)) for value in inside))


def _tick_text(value: float) -> str:
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")


def _apart(ticks: Sequence[tuple[float, str]], length: float) -> tuple[tuple[float, str], ...]:
    """Leave out ticks whose texts would touch."""
    needed = sum(_LETTER * (len(text) + 2) for _, text in ticks)
    return tuple(ticks[:: max(1, int(np.ceil(needed / length)))])


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), np.asarray(values, np.float64), np.nan)


def _across(axis: Axis, values: Floats) -> Floats:
    return WIDTH * axis.share(np.asarray(values, np.float64))


def _up(axis: Axis, values: Floats, height: float = HEIGHT) -> Floats:
    return height * (1 - axis.share(np.asarray(values, np.float64)))


def _line(x: Floats, y: Floats) -> str:
    """Draw a line with gaps; a point between gaps is a dot."""
    pieces = []
    for first, last in _stretches(np.isfinite(x) & np.isfinite(y)):
        steps = [f"{a:.1f} {b:.1f}" for a, b in zip(x[first:last], y[first:last], strict=True)]
        pieces.append(f"M{'L'.join(steps)}" + ("h0" if last - first == 1 else ""))
    return "".join(pieces)


def _band(x: Floats, low: Floats, high: Floats) -> str:
    """Draw what lies between two lines; nothing where either has a gap."""
    pieces = []
    for first, last in _stretches(np.isfinite(x) & np.isfinite(low) & np.isfinite(high)):
        along, back = slice(first, last), slice(last - 1, first - 1 if first else None, -1)
        steps = [
            f"{a:.1f} {b:.1f}"
            for a, b in (
                *zip(x[along], low[along], strict=True),
                *zip(x[back], high[back], strict=True),
            )
        ]
        pieces.append(f"M{'L'.join(steps)}Z")
    return "".join(pieces)


def _points(x: Floats, y: Floats, style: int) -> str:
    marker = _MARKERS[style - 1]
    return "".join(f"M{a:.1f} {b:.1f}{marker}" for a, b in zip(x, y, strict=True))


def _stretches(known: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and one past last of each stretch of values that are known."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(int), [0]])))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _styles(names: Iterable[str]) -> dict[str, int]:
    """Return a style a name: the same whether or not the others are drawn."""
    return {name: number % STYLES + 1 for number, name in enumerate(names)}


def _from_to(values: Floats) -> str:
    known = np.asarray(values)[np.isfinite(values)]
    return f"from {_tick_text(float(known[0]))} to {_tick_text(float(known[-1]))}"


def _range(values: Floats) -> str:
    return f"{_tick_text(float(values.min()))} to {_tick_text(float(values.max()))}"
