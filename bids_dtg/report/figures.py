"""Figures of a page: SVG charts in the colours of its theme, heat maps, pictures."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from bids_dtg.array_types import Floats
from bids_dtg.notices import counted
from bids_dtg.report.pictures import AMOUNT, SIGNED, draw_matrix, inline
from bids_dtg.report.tables import Table, number_text, with_minus

if TYPE_CHECKING:
    from matplotlib.axes import Axes


Ranges = Mapping[str, tuple[Floats, Floats]]
# A word and its range along a side: start and size in percent.
Span = tuple[str, float, float]
_WIDTH, _HEIGHT = 5.0, 3.2  # inches
_LETTERS_IN_LINE = 58  # longest line of axis labels
_MARKERS = ".x+vsD_|"
_STYLE = Path(str(resources.files("bids_dtg.report"))) / "static/charts.mplstyle"
# Parts of matplotlib's SVG to remove, as the page has them or as they would occur twice (head,
# sizes, fonts, ids), and placeholder colours to replace by those of the page's theme.
_OF_THE_PAGE = (
    (r"^.*?(?=<svg)", ""),
    (r"<metadata>.*?</metadata>\s*", ""),
    (r'^(<svg [^>]*?) width="[^"]*" height="[^"]*"', r"\1"),
    (r' id="[A-Za-z0-9.]+_\d+"', ""),
    (r' font-family: [^;"]*;', ""),
    (r'font: ([\d.]+px) [^;"]*', r"font-size: \1"),
    (r"#00000([1-8])", r"var(--series-\1)"),
    *(
        (f"#01000{number}", f"var(--{name})")
        for number, name in enumerate(("text", "soft", "line"))
    ),
)


@dataclass(frozen=True)
class Picture:
    """A drawing in a figure."""

    content: str  # SVG of a chart; else the address of a picture
    words: str  # alternative text
    title: str = ""  # of this drawing
    form: Literal["chart", "matrix", "picture"] = "picture"  # matrix: a pixel per cell
    # An overlay of lines that a button hides: address, alternative text, name of the button.
    over: tuple[str, str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """A picture or a line over frames, with row labels, ticks below, and shaded ranges."""

    form: ClassVar[str] = "lanes"
    words: str  # alternative text
    rows: Sequence[Span]  # labels of its rows
    content: str = ""  # address of the picture; empty: there is a line
    # The SVG path (x in frames, y in percent of the height from the top), the number of frames, and
    # the height of a dashed line, if any.
    line: tuple[str, int, float | None] = ("", 0, None)
    title: str = ""
    ticks: Sequence[Span] = ()  # below it
    below: str = ""  # what the ticks are
    dropped: Sequence[Span] = ()  # ranges that are shaded
    height: float = 0.0  # in rem; 0: as high as wide


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of a page."""

    caption: str
    parts: Sequence[Picture | Lanes | Table]
    # Colour scale: words at its ends, and its CSS.
    scale: tuple[str, str, str] | None = None
    keys: Sequence[tuple[str, str]] = ()  # colours, and what they stand for
    opens: int | None = None  # number of the map that a button opens in the viewer
    title: str = ""
    beside: bool = False  # whether it may share a row with neighbouring figures
    folded: bool = False  # whether it is closed until its title is clicked


def colour_keys(colours: Mapping[str, tuple[int, int, int]]) -> list[tuple[str, str]]:
    """Return the keys of a figure from red, green and blue, by what they stand for.

    Examples
    --------
    >>> colour_keys({"signal": (47, 165, 142)})
    [('#2fa58e', 'signal')]
    """
    return [("#{:02x}{:02x}{:02x}".format(*rgb), text) for text, rgb in colours.items()]


def curves(
    caption: str, x_label: str, y_label: str, series: Mapping[str, Floats]
) -> Figure | None:
    """Draw values (points,) against their number, e.g. the epoch, as lines."""
    drawn = {name: (1 + np.arange(float(len(y))), y) for name, y in series.items()}
    return lines(caption, x_label, y_label, drawn)


def lines(caption: str, x_label: str, y_label: str, series: Ranges) -> Figure | None:
    """Draw lines from x and y (points,), by name."""
    return _figure_of(caption, line_chart(series, x_label=x_label, y_label=y_label))


def spectra(
    caption: str, frequency: Floats, series: Mapping[str, tuple[Floats, Floats, Floats]]
) -> Figure | None:
    """Draw spectra as lines with bands on a log axis; `series` has low, middle, high (bins,)."""
    # Values that diverged are not drawn.
    drawn = {
        name: (frequency, np.where(np.isfinite(middle) & (middle > 0), middle, np.nan))
        for name, (_, middle, _) in series.items()
    }
    bands = {name: (low, high) for name, (low, _, high) in series.items()}
    label = "power density (1/Hz), log scale"
    chart = line_chart(drawn, x_label="frequency (Hz)", y_label=label, log_bands=bands)
    return _figure_of(caption, chart)


def line_chart(
    series: Ranges,
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    reach: tuple[Sequence[float], Sequence[float]] = ((), ()),
    log_bands: Ranges | None = None,
) -> Picture | None:
    """Draw a line for each series of x and y, (points,); NaN leaves a gap.

    Return None if all values are NaN. The axes include the values of `reach`. With `log_bands`, the
    range from low to high of each series is shaded, on a log axis.
    """
    finite = {name: y[np.isfinite(y)] for name, (_, y) in series.items()}
    if not any(values.size for values in finite.values()):
        return None

    def draw(axes: Axes) -> None:
        for name, (x, y) in series.items():
            x = np.where(np.isfinite(x), x, np.nan)
            y = np.where(np.isfinite(y), y, np.nan)
            (line,) = axes.plot(x, y, label=name or None)
            if not finite[name].size:  # drawn first, so that it uses up its colour
                line.remove()
                continue
            # A point between gaps is a dot.
            present = np.concatenate([[False], np.isfinite(y), [False]])
            alone = present[1:-1] & ~present[:-2] & ~present[2:]
            axes.plot(x[alone], y[alone], ".", color=line.get_color())
            if log_bands:
                low, high = log_bands[name]
                axes.fill_between(
                    x, low, high, color=line.get_color(), alpha=0.16, linewidth=0
                )
        if log_bands:
            axes.set_yscale("log", nonpositive="clip")
            axes.yaxis.set_major_formatter("{x:.3g}")
        axes.update_datalim([(x, 0.0) for x in reach[0]], updatey=False)
        axes.update_datalim([(0.0, y) for y in reach[1]], updatex=False)
        axes.autoscale_view()

    words = [
        f"{name}: from {values[0]:.3g} to {values[-1]:.3g}".removeprefix(": ")
        for name, values in finite.items()
        if values.size
    ]
    return _chart(draw, x_label, y_label, "; ".join(words), title=title)


def dots(
    caption: str,
    x_label: str,
    rows: Sequence[str],
    series: Mapping[str, Floats],
    intervals: Ranges | None = None,
) -> Figure | None:
    """Draw a row for each name, with one dot per series (rows,); the first series is on top.

    `intervals` are low and high of a series, (rows,).
    """
    values = np.array(list(series.values()), np.float64)
    if not np.isfinite(values).any():
        return None
    places = np.arange(len(rows))[::-1]

    def draw(axes: Axes) -> None:
        for name, ends in (intervals or {}).items():
            colour = f"C{[*series].index(name)}"
            axes.hlines(places, *ends, color=colour, linewidth=1.2)
        points = {
            name: np.stack([row_values, places], axis=1)
            for name, row_values in series.items()
        }
        _points(axes, points)
        axes.set_yticks(places, rows)
        axes.set_ylim(-0.5, len(rows) - 0.5)

    words = f"{', '.join(series)}: {np.nanmin(values):.3g} to {np.nanmax(values):.3g}"
    chart = _chart(draw, x_label, "", words, height=1.4 + 0.16 * len(rows))
    return _figure_of(caption, chart)


def scatter(
    caption: str,
    x_label: str,
    y_label: str,
    points: Floats,
    *,
    groups: Sequence[str] = (),
    identity: bool = False,
) -> Figure | None:
    """Draw points (points, 2), in different colours if there are groups.

    With `identity`, axes are equal, and a dashed line shows where x equals y.
    """
    points = np.asarray(points, np.float64).reshape(-1, 2)
    names = np.array(groups or [""] * len(points), dtype=object)
    shown = np.isfinite(points).all(axis=1)
    if not shown.any():
        return None

    def draw(axes: Axes) -> None:
        by_group = {
            name: points[shown & (names == name)] for name in dict.fromkeys(names)
        }
        _points(axes, by_group)
        if identity:
            limits = *axes.get_xlim(), *axes.get_ylim()
            ends = min(limits), max(limits)
            axes.set(xlim=ends, ylim=ends, aspect="equal")
            axes.plot(ends, ends, color="#010001", linestyle="--", linewidth=0.8)

    hidden = len(points) - int(shown.sum())
    notes = []
    if identity:
        notes.append("Dashed: line of identity.")
    if hidden:
        notes.append(f"Not shown: {counted(hidden, 'point')} without a value.")
    if notes:
        caption = " ".join([f"{caption.removesuffix('.')}.", *notes])
    low, high = points[shown].min(axis=0), points[shown].max(axis=0)
    words = f"{shown.sum()} points, {x_label} {low[0]:.3g} to {high[0]:.3g}, "
    words += f"{y_label} {low[1]:.3g} to {high[1]:.3g}"
    height = _WIDTH if identity else _HEIGHT
    chart = _chart(draw, x_label, y_label, words, height=height)
    return _figure_of(caption, chart)


def matrices(
    caption: str, items: Mapping[str, Floats], ends: tuple[float, float] | None = None
) -> Figure | None:
    """Draw matrices (n, n), by name, as heat maps on one scale; NaN is left blank.

    `ends` are the ends of the scale; None: from the values off the diagonal.
    """
    drawn = {name: np.asarray(matrix, np.float64) for name, matrix in items.items()}
    drawn = {
        name: matrix for name, matrix in drawn.items() if np.isfinite(matrix).any()
    }
    if not drawn:
        return None
    off_diagonal = {name: _off_diagonal(matrix) for name, matrix in drawn.items()}
    if ends is None:
        values = np.concatenate([*off_diagonal.values()])
        most = round_up(float(np.abs(values).max(initial=0.0)) or 1.0)
        ends = -most if (values < 0).any() else 0.0, most
    low, high = ends
    scale = SIGNED if low < 0 < high else AMOUNT
    tolerance = 1e-9 * (high - low)  # for rounding
    entries = np.concatenate([matrix.ravel() for matrix in drawn.values()])
    below = np.nanmin(entries) < low - tolerance
    above = np.nanmax(entries) > high + tolerance
    parts = []
    for name, matrix in drawn.items():
        off = off_diagonal[name]
        words = (
            f"{name}: {matrix.shape[0]} by {matrix.shape[1]}, off the diagonal from "
            f"{number_text(float(off.min()))} to {number_text(float(off.max()))}, "
            f"mean {number_text(float(off.mean()))}"
        )
        picture = inline(draw_matrix(matrix, scale, low, high))
        parts.append(Picture(picture, words, title=name, form="matrix"))
    low_end, high_end = (with_minus(f"{end:g}") for end in ends)
    if below:
        low_end = f"\N{LESS-THAN OR EQUAL TO}\N{NO-BREAK SPACE}{low_end}"
    if above:
        high_end = f"\N{GREATER-THAN OR EQUAL TO}\N{NO-BREAK SPACE}{high_end}"
    return Figure(caption=caption, parts=parts, scale=(low_end, high_end, scale.css))


def pictures(
    caption: str, items: Mapping[str, bytes], opens: int | None = None
) -> Figure | None:
    """Show PNG files that were drawn elsewhere, by name."""
    parts = [Picture(inline(data), name, name) for name, data in items.items()]
    return Figure(caption=caption, parts=parts, opens=opens) if parts else None


def _figure_of(caption: str, chart: Picture | None) -> Figure | None:
    return Figure(caption=caption, parts=[chart], beside=True) if chart else None


def _chart(
    draw: Callable[[Axes], None],
    x_label: str,
    y_label: str,
    words: str,
    *,
    title: str = "",
    height: float = _HEIGHT,
) -> Picture:
    """Draw a chart as SVG with the page's colours and font, and without ids."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    file = io.StringIO()
    with mpl.rc_context(fname=_STYLE):
        canvas = Canvas((_WIDTH, height), layout="constrained")
        axes = canvas.subplots()
        draw(axes)
        axes.set_xlabel("\n".join(textwrap.wrap(x_label, _LETTERS_IN_LINE)))
        axes.set_title("\n".join(textwrap.wrap(y_label, _LETTERS_IN_LINE)), loc="left")
        marks, names = axes.get_legend_handles_labels()
        if any(names):
            columns = 2 if max(map(len, names)) < _LETTERS_IN_LINE // 2 else 1
            canvas.legend(
                marks, names, loc="outside lower left", ncols=columns, frameon=False
            )
        nothing = {"Date": None, "Creator": None}
        canvas.savefig(file, format="svg", transparent=True, metadata=nothing)
    svg = file.getvalue()
    for pattern, replacement in _OF_THE_PAGE:
        svg = re.sub(pattern, replacement, svg, flags=re.DOTALL)
    return Picture(svg, f"{y_label} by {x_label}; {words}", title, "chart")


def _points(axes: Axes, groups: Mapping[str, Floats]) -> None:
    """Draw points (points, 2) of groups; the first group is on top."""
    for number, (name, points) in enumerate(groups.items()):
        axes.plot(
            *points.T,
            color=f"C{number}",
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=5,
            linestyle="",
            alpha=0.75,
            label=name if len(points) and name else None,
            zorder=3 - number / len(groups),
        )


def round_up(value: float) -> float:
    """Round up to 1, 1.5, 2, 3, 4, 5, 6, 8 or 10 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(value))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    candidates = (step * power for step in steps)
    rounded = (candidate for candidate in candidates if candidate >= value * 0.9999)
    return float(next(rounded, 10 * power))


def _off_diagonal(matrix: Floats) -> Floats:
    """Return the finite values off the diagonal, or all finite values if there are none."""
    finite = np.isfinite(matrix)
    off = matrix[(np.eye(*matrix.shape) == 0) & finite]
    return off if off.size else matrix[finite]
