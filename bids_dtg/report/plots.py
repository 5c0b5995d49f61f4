"""Lines, bands and points along two axes: matplotlib's SVG in the colours of the page's theme."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating]
_WIDTH, _HEIGHT = 5.0, 3.2  # inches
_LETTERS_IN_LINE = 58  # of the labels of axes
# Colours that are replaced by those of the page, which has one for each of so many series.
_SERIES = tuple(f"#00000{number}" for number in range(1, 9))
_TEXT, _SOFT, _LINE = "#010000", "#010001", "#010002"
_OF_THE_PAGE = {
    **{colour: f"var(--series-{number})" for number, colour in enumerate(_SERIES, 1)},
    _TEXT: "var(--text)",
    _SOFT: "var(--soft)",
    _LINE: "var(--line)",
}
_DASHES = ("-", (0, (5, 3)), (0, (1, 2)), "-.", (0, (9, 3)), "-", (0, (3, 3)), (0, (6, 2, 1, 2)))
_MARKERS = (".", "x", "+", "v", "s", "D", "_", "|")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bids_dtg",  # the same chart has the same bytes
    "text.parse_math": False,
    "font.size": 9,
    "axes.edgecolor": _LINE,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.labelcolor": _TEXT,
    "axes.titlecolor": _TEXT,
    "axes.titlesize": 9,
    "grid.color": _LINE,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _SOFT,
    "ytick.labelcolor": _SOFT,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "text.color": _TEXT,
    "lines.linewidth": 1.4,
}
# What a page has already, or what would be there twice: the head, sizes, letters, names of parts.
_PAGE_HAS_IT = (
    (r"^.*?(?=<svg)", ""),
    (r"<metadata>.*?</metadata>\s*", ""),
    (r'^(<svg [^>]*?) width="[^"]*" height="[^"]*"', r"\1"),
    (r' id="[A-Za-z0-9.]+_\d+"', ""),
    (r' font-family: [^;"]*;', ""),
    (r'font: ([\d.]+px) [^;"]*', r"font-size: \1"),
)
_NO_BANDS: Mapping[str, tuple[Floats, Floats, Floats]] = MappingProxyType({})
_NO_POINTS: Mapping[str, Floats] = MappingProxyType({})


@dataclass(frozen=True)
class Chart:
    """Two axes, and what lies between them."""

    svg: str  # as part of a page
    summary: str  # the same in words, for those who cannot see it


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
    """Draw a line for each series of x and y, (points,); NaN leaves a gap.

    None where no value is known. An axis also has the values of its reach, whether or not a series
    has them. `bands` are x, low and high, of a line of the same name or of none; `points` are
    (points, 2), marked over the lines.
    """
    known = {name: xy for name, xy in series.items() if np.isfinite(xy[1]).any()}
    if not known:
        return None
    styles = _styles((*series, *bands, *points))

    def draw(axes: Axes) -> None:
        for name, (at, low, high) in bands.items():
            axes.fill_between(
                *(at, low, high),
                color=_SERIES[styles[name]],
                alpha=0.16,
                linewidth=0,
                label=name if name not in known else None,
            )
        for name, (x, y) in known.items():
            _line(axes, x, y, name, styles[name])
        for name, own in points.items():
            if len(own):
                _points(axes, own, name, styles[name])
        axes.update_datalim([(x, 0.0) for x in x_reach], updatey=False)
        axes.update_datalim([(0.0, y) for y in y_reach], updatex=False)
        axes.autoscale_view()

    parts = [f"{name}: {_from_to(y)}".removeprefix(": ") for name, (_, y) in known.items()]
    return _chart(draw, x_label, y_label, "; ".join(parts))


def band_chart(
    at: Floats,
    series: Mapping[str, tuple[Floats, Floats, Floats]],
    *,
    x_label: str,
    y_label: str,
) -> Chart | None:
    """Draw a line with a band for each series of low, middle and high, (points,), on a log axis.

    None where no value is above 0.
    """
    finite = {
        name: [np.where(np.isfinite(part), part, np.nan) for part in parts]
        for name, parts in series.items()
    }
    known = {name: parts for name, parts in finite.items() if (parts[1] > 0).any()}
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
            _line(axes, at, np.where(middle > 0, middle, np.nan), name, styles[name])
            axes.fill_between(
                at, low, high, color=_SERIES[styles[name]], alpha=0.16, linewidth=0, label=None
            )

    parts = [
        f"{name}: highest {np.nanmax(middle):.3g} at {at[np.nanargmax(middle)]:.3g}".removeprefix(
            ": "
        )
        for name, (_, middle, _) in known.items()
    ]
    return _chart(draw, x_label, f"{y_label}, log scale", "; ".join(parts))


def point_chart(
    points: Mapping[str, Floats], *, x_label: str, y_label: str, identity: bool = False
) -> Chart | None:
    """Draw the points (points, 2) of groups; with the line where x is y, on equal axes.

    None where no point is known.
    """
    known = {name: own[np.isfinite(own).all(axis=1)] for name, own in points.items()}
    drawn = np.concatenate([np.empty((0, 2)), *known.values()])
    if not len(drawn):
        return None
    styles = _styles(points)

    def draw(axes: Axes) -> None:
        for name, own in known.items():
            if len(own):
                _points(axes, own, name, styles[name])
        if identity:
            ends = (
                min(axes.get_xlim()[0], axes.get_ylim()[0]),
                max(*axes.get_xlim(), *axes.get_ylim()),
            )
            axes.set(xlim=ends, ylim=ends, aspect="equal")
            axes.plot(ends, ends, color=_SOFT, linestyle="--", linewidth=0.8)

    ranges = [
        f"{label} {values.min():.3g} to {values.max():.3g}"
        for label, values in zip((x_label, y_label), drawn.T, strict=True)
    ]
    return _chart(
        draw, x_label, y_label, f"{len(drawn)} points, {', '.join(ranges)}", square=identity
    )


def dot_chart(rows: Sequence[str], series: Mapping[str, Floats], *, x_label: str) -> Chart | None:
    """Draw a row of dots for each name, one a series (rows,); the first lies on top.

    None where no value is known.
    """
    values = np.array(list(series.values()), np.float64)
    if not np.isfinite(values).any():
        return None
    styles, places = _styles(series), np.arange(len(rows))[::-1]

    def draw(axes: Axes) -> None:
        for name, own in series.items():
            _points(axes, np.stack([own, places], axis=1), name, styles[name])
            axes.lines[-1].set_zorder(3 - styles[name] / len(series))
        axes.set_yticks(places, rows)
        axes.set_ylim(-0.5, len(rows) - 0.5)

    ranges = f"{np.nanmin(values):.3g} to {np.nanmax(values):.3g}"
    words = f"{', '.join(series)}: {ranges}"
    return _chart(draw, x_label, "", words, height=1.4 + 0.16 * len(rows))


def _chart(
    draw: Callable[[Axes], None],
    x_label: str,
    y_label: str,
    words: str,
    *,
    square: bool = False,
    height: float = _HEIGHT,
) -> Chart:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, _WIDTH if square else height), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.set_xlabel("\n".join(textwrap.wrap(x_label, _LETTERS_IN_LINE)))
        axes.set_title("\n".join(textwrap.wrap(y_label, _LETTERS_IN_LINE)), loc="left")
        marks, names = axes.get_legend_handles_labels()
        if any(names):
            columns = 2 if max(map(len, names)) < _LETTERS_IN_LINE // 2 else 1
            figure.legend(marks, names, loc="outside lower left", ncols=columns, frameon=False)
        return Chart(_svg(figure), f"{y_label} by {x_label}; {words}")


def _svg(figure: Figure) -> str:
    """Return the figure as a part of a page: its colours and letters, and no names of parts."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    for pattern, replacement in _PAGE_HAS_IT:
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    return re.sub("#0[01]000[0-9]", lambda colour: _OF_THE_PAGE[colour[0]], text)


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


def _from_to(values: Floats) -> str:
    known = np.asarray(values)[np.isfinite(values)]
    return f"from {known[0]:.3g} to {known[-1]:.3g}"
