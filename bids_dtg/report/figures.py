"""Figures of a page: charts as SVG in the colours of its theme, heat maps, pictures."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bids_dtg.notices import counted
from bids_dtg.report.numbers import figure
from bids_dtg.report.page import FOLDER, Table
from bids_dtg.report.pictures import AMOUNT, SIGNED, draw_matrix, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.floating]
# A word at a part of a side: start and size in percent.
Span: TypeAlias = tuple[str, float, float]
_WIDTH, _HEIGHT = 5.0, 3.2  # inches
_LETTERS_IN_LINE = 58  # of the labels of axes
# Colours that are replaced by those of the page, which has one for each of so many series.
_SERIES = tuple(f"#00000{number}" for number in range(1, 9))
_SOFT = "#010001"
_OF_THE_PAGE = {
    **{colour: f"var(--series-{number})" for number, colour in enumerate(_SERIES, 1)},
    "#010000": "var(--text)",
    _SOFT: "var(--soft)",
    "#010002": "var(--line)",
}
_DASHES = ("-", (0, (5, 3)), (0, (1, 2)), "-.", (0, (9, 3)), "-", (0, (3, 3)), (0, (6, 2, 1, 2)))
_MARKERS = (".", "x", "+", "v", "s", "D", "_", "|")
# What a page has already, or what would be there twice: the head, sizes, letters, names of parts.
_PAGE_HAS_IT = (
    (r"^.*?(?=<svg)", ""),
    (r"<metadata>.*?</metadata>\s*", ""),
    (r'^(<svg [^>]*?) width="[^"]*" height="[^"]*"', r"\1"),
    (r' id="[A-Za-z0-9.]+_\d+"', ""),
    (r' font-family: [^;"]*;', ""),
    (r'font: ([\d.]+px) [^;"]*', r"font-size: \1"),
)

_NO_RANGES: Mapping[str, tuple[Floats, Floats]] = MappingProxyType({})


@dataclass(frozen=True)
class Picture:
    """A drawing in a figure."""

    content: str  # SVG of a chart; else the address of a picture
    words: str  # the same in words
    title: str = ""  # of this drawing
    form: Literal["chart", "matrix", "picture"] = "picture"  # matrix: a pixel is a cell
    # Lines on it that a button hides: their address, the same in words, name of the button.
    over: tuple[str, str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """A picture or a line, with words on its rows and below it, and shaded parts of its width."""

    form: ClassVar[str] = "lanes"
    words: str
    rows: Sequence[Span]  # words on its rows
    content: str = ""  # address of the picture; empty: there is a line
    # As SVG has it, a unit of width a frame, in percent of the height from the top; how many frames
    # there are; where a dashed line is drawn, if any.
    line: tuple[str, int, float | None] = ("", 0, None)
    title: str = ""
    ticks: Sequence[Span] = ()  # below it
    below: str = ""  # what the ticks are
    dropped: Sequence[Span] = ()  # parts of the width that are shaded
    height: float = 0.0  # in rem; 0: as high as wide


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of a page."""

    caption: str
    parts: Sequence[Picture | Lanes | Table]
    scale: tuple[str, str, str] | None = None  # of colours: words at its ends, and its CSS
    keys: Sequence[tuple[str, str]] = ()  # colours, and what they stand for
    opens: int | None = None  # number of a map of the page's viewer, which a button opens
    title: str = ""
    anchor: str = ""
    beside: bool = False  # whether it is laid out side by side with neighbours that are, too


def curves(
    caption: str, x_label: str, y_label: str, series: Mapping[str, Floats], *, start: int = 1
) -> Figure | None:
    """Draw values (points,) by epoch or anything else that is counted.

    Where they fall or rise far at first and then settle, the axis is that of the later half.
    """
    drawn: dict[str, tuple[Floats, Floats]] = {
        name: (start + np.arange(len(values), dtype=np.float64), np.asarray(values, np.float64))
        for name, values in series.items()
    }
    known = [y[np.isfinite(y)] for _, y in drawn.values()]
    whole, late = (np.concatenate([*own, []]) for own in (known, [y[len(y) // 2 :] for y in known]))
    limits, note = None, ""
    if late.size and 0 < 6 * np.ptp(late) < np.ptp(whole):
        margin = 0.5 * float(np.ptp(late))
        limits = float(late.min()) - margin, float(late.max()) + margin
        note = " The axis is that of the later half; what lies beyond it is not shown."
    return lines(caption + note, x_label, y_label, drawn, y_limits=limits)


def lines(
    caption: str,
    x_label: str,
    y_label: str,
    series: Mapping[str, tuple[Floats, Floats]],
    y_limits: tuple[float, float] | None = None,
) -> Figure | None:
    """Draw one figure by another, as lines: x and y by name, (points,)."""
    chart = line_chart(series, x_label=x_label, y_label=y_label, y_limits=y_limits)
    return _of_chart(caption, chart) if chart else None


def line_chart(
    series: Mapping[str, tuple[Floats, Floats]],
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    x_reach: Sequence[float] = (),
    y_reach: Sequence[float] = (),
    y_limits: tuple[float, float] | None = None,
) -> Picture | None:
    """Draw a line for each series of x and y, (points,); NaN leaves a gap.

    None where no value is known. An axis also has the values of its reach, whether or not a series
    has them.
    """
    known = {name: xy for name, xy in series.items() if np.isfinite(xy[1]).any()}
    if not known:
        return None
    styles = _styles(series)

    def draw(axes: Axes) -> None:
        for name, (x, y) in known.items():
            _line(axes, x, y, name, styles[name])
        axes.update_datalim([(x, 0.0) for x in x_reach], updatey=False)
        axes.update_datalim([(0.0, y) for y in y_reach], updatex=False)
        axes.autoscale_view()
        axes.set_ylim(y_limits)

    words = []
    for name, (_, y) in known.items():
        first, last = y[np.isfinite(y)][[0, -1]]
        words.append(f"{name}: from {first:.3g} to {last:.3g}".removeprefix(": "))
    return _chart(draw, x_label, y_label, "; ".join(words), title=title)


def dots(
    caption: str,
    x_label: str,
    rows: Sequence[str],
    series: Mapping[str, Floats],
    intervals: Mapping[str, tuple[Floats, Floats]] = _NO_RANGES,
) -> Figure | None:
    """Draw a row of dots for each name, one a series (rows,); the first lies on top.

    `intervals` are low and high of a series, (rows,).
    """
    values = np.array(list(series.values()), np.float64)
    if not np.isfinite(values).any():
        return None
    styles, places = _styles(series), np.arange(len(rows))[::-1]

    def draw(axes: Axes) -> None:
        for name, (low, high) in intervals.items():
            axes.hlines(places, low, high, color=_SERIES[styles[name]], linewidth=1.2)
        for name, own in series.items():
            _points(axes, np.stack([own, places], axis=1), name, styles[name])
            axes.lines[-1].set_zorder(3 - styles[name] / len(series))
        axes.set_yticks(places, rows)
        axes.set_ylim(-0.5, len(rows) - 0.5)

    words = f"{', '.join(series)}: {np.nanmin(values):.3g} to {np.nanmax(values):.3g}"
    return _of_chart(caption, _chart(draw, x_label, "", words, height=1.4 + 0.16 * len(rows)))


def spectra(
    caption: str, frequency: Floats, series: Mapping[str, tuple[Floats, Floats, Floats]]
) -> Figure | None:
    """Draw spectra as lines with bands on a log axis: by name low, middle and high, (bins,)."""
    known = {
        name: np.where(np.isfinite(parts), parts, np.nan)
        for name, parts in series.items()
        if (np.nan_to_num(parts[1], posinf=0.0) > 0).any()  # of what diverged, nothing is drawn
    }
    if not known:
        return None
    styles = _styles(series)

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        axes.set_yscale("log", nonpositive="clip")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=7))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        for name, (low, middle, high) in known.items():
            _line(axes, frequency, np.where(middle > 0, middle, np.nan), name, styles[name])
            colour = _SERIES[styles[name]]
            axes.fill_between(frequency, low, high, color=colour, alpha=0.16, linewidth=0)

    peaks = [
        f"{name}: highest {np.nanmax(middle):.3g} at {frequency[np.nanargmax(middle)]:.3g}"
        for name, (_, middle, _) in known.items()
    ]
    label = "power density (1/Hz), log scale"
    return _of_chart(caption, _chart(draw, "frequency (Hz)", label, "; ".join(peaks)))


def scatter(
    caption: str,
    x_label: str,
    y_label: str,
    points: Floats,
    *,
    groups: Sequence[str] = (),
    identity: bool = False,
) -> Figure | None:
    """Draw one figure against another: points (points, 2), each of a group if there are groups.

    With `identity`, axes are equal, and a dashed line shows where x is y.
    """
    points = np.asarray(points, np.float64).reshape(-1, 2)
    names = np.array(groups or [""] * len(points), dtype=object)
    shown = np.isfinite(points).all(axis=1)
    if not shown.any():
        return None
    styles = _styles(names)

    def draw(axes: Axes) -> None:
        for name in dict.fromkeys(names[shown]):
            _points(axes, points[shown & (names == name)], name, styles[name])
        if identity:
            limits = *axes.get_xlim(), *axes.get_ylim()
            ends = min(limits), max(limits)
            axes.set(xlim=ends, ylim=ends, aspect="equal")
            axes.plot(ends, ends, color=_SOFT, linestyle="--", linewidth=0.8)

    hidden = len(points) - int(shown.sum())
    notes = ["Dashed: both are equal."] * identity
    notes += [f"{counted(hidden, 'point')} without a value: not shown."] * (hidden > 0)
    ended = caption if caption.endswith(".") or not notes else f"{caption}."
    ranges = [
        f"{label} {values.min():.3g} to {values.max():.3g}"
        for label, values in zip((x_label, y_label), points[shown].T, strict=True)
    ]
    words = f"{shown.sum()} points, {', '.join(ranges)}"
    chart = _chart(draw, x_label, y_label, words, height=_WIDTH if identity else _HEIGHT)
    return _of_chart(" ".join([ended, *notes]), chart)


def matrices(
    caption: str, items: Mapping[str, Floats], ends: tuple[float, float] | None = None
) -> Figure | None:
    """Draw matrices as heat maps on one scale, by name, (n, n); NaN is left blank.

    `ends` are those of the scale; None: by what is off the diagonal.
    """
    known = {name: np.asarray(item, np.float64) for name, item in items.items()}
    known = {name: item for name, item in known.items() if np.isfinite(item).any()}
    if not known:
        return None
    off = {name: _off_diagonal(item) for name, item in known.items()}
    if ends is None:
        values = np.concatenate([*off.values()])
        most = round_up(float(np.abs(values).max(initial=0.0)) or 1.0)
        ends = -most if (values < 0).any() else 0.0, most
    low, high = ends
    scale = SIGNED if low < 0 < high else AMOUNT
    room = 1e-9 * (high - low)  # rounding is not beyond an end
    below = min(float(np.nanmin(item)) for item in known.values()) < low - room
    above = max(float(np.nanmax(item)) for item in known.values()) > high + room
    parts = [
        Picture(
            content=inline(draw_matrix(item, scale, low, high)),
            words=f"{name}: {item.shape[0]} by {item.shape[1]}, off the diagonal from "
            f"{figure(float(off[name].min()))} to {figure(float(off[name].max()))}, "
            f"mean {figure(float(off[name].mean()))}",
            title=name,
            form="matrix",
        )
        for name, item in known.items()
    ]
    words = (
        "\N{LESS-THAN OR EQUAL TO}\N{NO-BREAK SPACE}" * below + f"{low:g}",
        "\N{GREATER-THAN OR EQUAL TO}\N{NO-BREAK SPACE}" * above + f"{high:g}",
    )
    first, last = (text.replace("-", "\N{MINUS SIGN}") for text in words)
    return Figure(caption=caption, parts=parts, scale=(first, last, scale.css))


def pictures(caption: str, items: Mapping[str, bytes], opens: int | None = None) -> Figure | None:
    """Show PNG files that were drawn elsewhere, by name."""
    parts = [Picture(inline(data), name, name) for name, data in items.items()]
    return Figure(caption=caption, parts=parts, opens=opens) if parts else None


def _of_chart(caption: str, chart: Picture) -> Figure:
    return Figure(caption=caption, parts=[chart], beside=True)


def _chart(
    draw: Callable[[Axes], None],
    x_label: str,
    y_label: str,
    words: str,
    *,
    title: str = "",
    height: float = _HEIGHT,
) -> Picture:
    """Draw a chart: SVG with the page's colours and letters, and without names of parts."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    file = io.StringIO()
    with mpl.rc_context(fname=FOLDER / "static" / "charts.mplstyle"):
        canvas = Canvas((_WIDTH, height), layout="constrained")
        axes = canvas.subplots()
        draw(axes)
        axes.set_xlabel("\n".join(textwrap.wrap(x_label, _LETTERS_IN_LINE)))
        axes.set_title("\n".join(textwrap.wrap(y_label, _LETTERS_IN_LINE)), loc="left")
        marks, names = axes.get_legend_handles_labels()
        if any(names):
            columns = 2 if max(map(len, names)) < _LETTERS_IN_LINE // 2 else 1
            canvas.legend(marks, names, loc="outside lower left", ncols=columns, frameon=False)
        nothing = {"Date": None, "Creator": None}
        canvas.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    for pattern, replacement in _PAGE_HAS_IT:
        svg = re.sub(pattern, replacement, svg, flags=re.DOTALL)
    svg = re.sub("#0[01]000[0-9]", lambda colour: _OF_THE_PAGE[colour[0]], svg)
    return Picture(svg, f"{y_label} by {x_label}; {words}", title, "chart")


def _line(axes: Axes, x: Floats, y: Floats, name: str, style: int) -> None:
    """Draw a line with gaps; a point between gaps is a dot."""
    x, y = (np.where(np.isfinite(values), values, np.nan) for values in (x, y))
    axes.plot(x, y, color=_SERIES[style], linestyle=_DASHES[style], label=name or None)
    known = np.concatenate([[False], np.isfinite(y), [False]])
    alone = known[1:-1] & ~known[:-2] & ~known[2:]
    axes.plot(x[alone], y[alone], ".", color=_SERIES[style])


def _points(axes: Axes, points: Floats, name: str, style: int) -> None:
    axes.plot(
        *np.asarray(points).T,
        color=_SERIES[style],
        marker=_MARKERS[style],
        markersize=5,
        linestyle="",
        alpha=0.75,
        label=name or None,
    )


def _styles(names: Iterable[str]) -> dict[str, int]:
    """Return the number of a style for each name: the same whether or not the others are drawn."""
    return {name: number % len(_SERIES) for number, name in enumerate(dict.fromkeys(names))}


def round_up(value: float) -> float:
    """Round up to 1, 1.5, 2, 3, 4, 5, 6, 8 or 10 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(value))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    return float(next((s * power for s in steps if s * power >= value * 0.9999), 10 * power))


def _off_diagonal(item: Floats) -> Floats:
    """Return the known values off the diagonal; all where there are none."""
    off = item[(np.eye(*item.shape) == 0) & np.isfinite(item)]
    return off if off.size else item[np.isfinite(item)]
