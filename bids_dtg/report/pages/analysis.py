"""The page of one analysis: tables and charts, section by section."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.text import write_text
from bids_dtg.notices import counted
from bids_dtg.report.charts import nice
from bids_dtg.report.colours import AMOUNT, SIGNED
from bids_dtg.report.flags import Flag, sorted_flags
from bids_dtg.report.numbers import NOT_KNOWN, Cell, decimals, figure, numbers_of, written
from bids_dtg.report.pages.page import HOW_TO_GET, missing_packages, render
from bids_dtg.report.pictures import draw_matrix, inline
from bids_dtg.report.plots import Chart, band_chart, dot_chart, line_chart, point_chart

Floats = NDArray[np.floating]
# A cell as pages show it: text, interval, mark, and what it is sorted by (None: by its text).
Written: TypeAlias = tuple[str, str, str, str | None]
Charts: TypeAlias = list[tuple[str, Chart]]  # words above it, and the chart
_BETTER = "better than the model"  # the mark of what is judged so
# Where a history settles, its second half is drawn again: at a smaller spread than this share.
_SETTLED = 1 / 6
_ENLARGED_FROM = 8  # values
# Parts of a section, of which one is enough for it to be shown.
_SHOWN = ("template", "text", "tables", "charts", "matrices", "pictures", "more_charts")


@dataclass(frozen=True)
class Table:
    """Rows of figures under headings."""

    caption: str
    columns: Sequence[str]  # headings; the first is that of the rows' names
    rows: Sequence[Sequence[Cell]]  # the first cell of each is its name; shown in this order
    notes: Sequence[str] = ()  # sentences below it
    # Names of rows that the model is compared with: baselines, ceilings, ablations.
    highlight: Sequence[str] = ()
    model: str = ""  # name of the model's row; empty: the first that is not highlighted
    # Name of a row and heading, where the row is judged better than the model
    # (`bids_dtg.stats.verdict`): words beside its figure say so.
    better: Collection[tuple[str, str]] = ()

    @property
    def headings(self) -> list[tuple[str, bool]]:
        """The headings, and whether each is over numbers."""
        return [
            (heading, number > 0 and any(numbers_of(row[number]) for row in self.rows))
            for number, heading in enumerate(self.columns)
        ]

    @property
    def body(self) -> list[tuple[str, str, list[Written]]]:
        """Name, kind ("model", "beside" or neither) and written cells of each row."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"a row of the table '{self.caption}' has {len(row)} cells under "
                    f"{len(self.columns)} headings: {row[0] if row else ''}"
                )
        columns = [self._column(number) for number in range(1, len(self.columns))]
        compared = (row[0] for row in self.rows if row[0] not in self.highlight)
        kinds = {str(self.model or next(compared, "")): "model"} if self.highlight else {}
        kinds |= dict.fromkeys(self.highlight, "beside")
        names = [str(row[0]) for row in self.rows]
        return [
            (name, kinds.get(name, ""), [column[place] for column in columns])
            for place, name in enumerate(names)
        ]

    def _column(self, number: int) -> list[Written]:
        """Write the cells of a column with the same decimals."""
        cells = [row[number] for row in self.rows]
        digits = decimals(value for cell in cells for value in numbers_of(cell)[:1])
        heading = self.columns[number]
        return [
            _cell(cell, digits, _BETTER if (row[0], heading) in self.better else "")
            for row, cell in zip(self.rows, cells, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Curves:
    """Values by epoch, or by anything else that is counted."""

    caption: str
    x_label: str
    y_label: str  # with its unit
    series: Mapping[str, Floats]  # by name, (points,); NaN leaves a gap
    start: float = 1.0  # x of the first value
    step: float = 1.0  # from one value to the next, along x
    # By name, low and high, (points,) each: of a line of this name, or a band without a line.
    bands: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    note = ""

    def charts(self) -> Charts:
        """Draw the curves, and once more their ends where these hardly move."""
        series = {}
        for name, values in self.series.items():
            values = np.asarray(values, np.float64)
            if values.ndim != 1:
                raise ValueError(
                    f"the curve '{name}' has the shape {values.shape}, expected (points,)"
                )
            series[name] = (self._x(values), values)
        draw = partial(line_chart, x_label=self.x_label, y_label=self.y_label)
        bands = {name: (self._x(low), low, high) for name, (low, high) in self.bands.items()}
        whole = draw(series, bands=bands)
        if whole is None:
            return []
        late = None if bands else _second_half(series)
        if late and (chart := draw(late)):
            return [("Whole", whole), ("Second half, enlarged", chart)]
        return [("", whole)]

    def _x(self, values: Floats) -> Floats:
        return self.start + self.step * np.arange(len(values))


@dataclass(frozen=True, eq=False)
class Lines:
    """One figure by another, as lines."""

    caption: str
    x_label: str
    y_label: str  # with its unit
    series: Mapping[str, tuple[Floats, Floats]]  # by name: x and y, (points,); NaN leaves a gap
    x_reach: Sequence[float] = ()  # values that the axis has, whether or not a line has them
    y_reach: Sequence[float] = ()  # as x_reach
    # By name, (points, 2), marked over the lines.
    points: Mapping[str, Floats] = field(default_factory=dict)
    note = ""

    def charts(self) -> Charts:
        """Draw the lines."""
        for name, (x, y) in self.series.items():
            if np.ndim(x) != 1 or np.shape(x) != np.shape(y):
                raise ValueError(
                    f"the line '{name}' has the shapes {np.shape(x)} and {np.shape(y)}, expected "
                    "(points,) of both"
                )
        chart = line_chart(
            self.series,
            x_label=self.x_label,
            y_label=self.y_label,
            x_reach=self.x_reach,
            y_reach=self.y_reach,
            points=self.points,
        )
        return _alone(chart)


@dataclass(frozen=True, eq=False)
class Dots:
    """A row of dots for each of several names."""

    caption: str
    x_label: str
    rows: Sequence[str]  # names, the first at the top
    series: Mapping[str, Floats]  # by name, (rows,); the first lies on top
    note = ""

    def charts(self) -> Charts:
        """Draw the dots."""
        return _alone(dot_chart(self.rows, self.series, x_label=self.x_label))


@dataclass(frozen=True, eq=False)
class Matrices:
    """Matrices as heat maps on one scale."""

    caption: str
    items: Mapping[str, Floats]  # by name, (n, n); NaN is left blank
    range: tuple[float, float] | None = None  # ends of the scale; None: by what is off the diagonal

    @property
    def known(self) -> dict[str, Floats]:
        """The matrices of which some value is known."""
        known = {name: np.asarray(item, np.float64) for name, item in self.items.items()}
        return {name: item for name, item in known.items() if np.isfinite(item).any()}

    def drawn(self) -> tuple[list[tuple[str, str, str]], str, str, str]:
        """Return name, address and words of each picture, the scale's ends, and its CSS."""
        items = self.known
        for name, item in items.items():
            if item.ndim != 2:
                raise ValueError(f"the matrix '{name}' has the shape {item.shape}, expected (n, n)")
        low, high = self.range or _ends(items.values())
        scale = SIGNED if low < 0 < high else AMOUNT
        least = min(float(np.nanmin(item)) for item in items.values())
        most = max(float(np.nanmax(item)) for item in items.values())
        room = 1e-9 * (high - low)  # rounding is not beyond an end
        return (
            [
                (name, inline(draw_matrix(item, scale, low, high)), _in_words(name, item))
                for name, item in items.items()
            ],
            _end(low, "\N{LESS-THAN OR EQUAL TO}", beyond=least < low - room),
            _end(high, "\N{GREATER-THAN OR EQUAL TO}", beyond=most > high + room),
            scale.css,
        )


@dataclass(frozen=True, eq=False)
class Spectra:
    """Spectra as lines with bands, on a log axis."""

    caption: str
    frequency: Floats  # (bins,), Hz
    series: Mapping[str, tuple[Floats, Floats, Floats]]  # by name: low, middle, high, (bins,) each
    y_label: str = "power density (1/Hz)"
    note = ""

    def charts(self) -> Charts:
        """Draw the spectra."""
        frequency = np.asarray(self.frequency, np.float64)
        for name, parts in self.series.items():
            for part in parts:
                if np.shape(part) != frequency.shape:
                    raise ValueError(
                        f"the spectrum '{name}' has the shape {np.shape(part)}, expected "
                        f"{frequency.shape} as its frequencies"
                    )
        chart = band_chart(frequency, self.series, x_label="frequency (Hz)", y_label=self.y_label)
        return _alone(chart)


@dataclass(frozen=True, eq=False)
class Scatter:
    """One figure against another."""

    caption: str
    x_label: str
    y_label: str
    points: Floats  # (points, 2): x and y
    groups: Sequence[str] = ()  # name of each point's group; empty: one group
    identity: bool = False  # whether the line where x is y is drawn

    @property
    def note(self) -> str:
        """What the line is, and how many points are not shown."""
        hidden = int((~np.isfinite(self._points).all(axis=1)).sum())
        note = f"{counted(hidden, 'point')} without a value: not shown." if hidden else ""
        return f"Dashed: both are equal. {note}".strip() if self.identity else note

    @property
    def _points(self) -> Floats:
        return np.asarray(self.points, np.float64).reshape(-1, 2)

    def charts(self) -> Charts:
        """Draw the points."""
        points = self._points
        groups = np.array(self.groups or [""] * len(points), dtype=object)
        if len(groups) != len(points):
            raise ValueError(f"{len(points)} points, and groups of {len(groups)}: {self.caption}")
        chart = point_chart(
            {name: points[groups == name] for name in dict.fromkeys(groups)},
            x_label=self.x_label,
            y_label=self.y_label,
            identity=self.identity,
        )
        return _alone(chart)


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures that were drawn elsewhere, as PNG files."""

    caption: str
    items: Mapping[str, bytes]  # the files, by name


@dataclass(frozen=True, eq=False)
class PageSection:
    """A part of the page; what is empty is left out."""

    title: str
    text: Sequence[str] = ()  # paragraphs
    tables: Sequence[Table] = ()
    curves: Sequence[Curves] = ()
    matrices: Sequence[Matrices] = ()
    spectra: Sequence[Spectra] = ()
    scatters: Sequence[Scatter] = ()
    pictures: Sequence[Pictures] = ()
    lines: Sequence[Lines | Dots] = ()
    template: str = ""  # file of paragraphs above the text; empty: none
    facts: Mapping[str, Any] = field(default_factory=dict)  # what that template asks for


@dataclass(frozen=True, eq=False)
class AnalysisPageFacts:
    """What the page shows."""

    title: str  # of the page
    lead: str  # who and what, in a sentence
    flags: Sequence[Flag]  # what a reader must know first
    sections: Sequence[PageSection]
    index: str = ""  # address of the output's index; empty: there is none


def write_analysis_page(path: Path, facts: AnalysisPageFacts) -> str | None:
    """Write the page; return why there is none, where packages are missing.

    Raises
    ------
    ValueError
        A row of a table is not as long as its headings, or an array has another shape than it
        should.
    OutputError
        It cannot be written.
    """
    if missing := missing_packages():
        return f"no page was made: {', '.join(missing)} missing ({HOW_TO_GET})"
    laid_out: list[dict[str, Any]] = [
        {
            "anchor": f"section-{number}",
            "title": section.title,
            "template": section.template,
            "facts": section.facts,
            "text": section.text,
            "tables": [table for table in section.tables if table.rows],
            "charts": _drawn((*section.curves, *section.lines)),
            "matrices": [matrices for matrices in section.matrices if matrices.known],
            "pictures": [pictures for pictures in section.pictures if pictures.items],
            "more_charts": _drawn((*section.spectra, *section.scatters)),
        }
        for number, section in enumerate(facts.sections, 1)
    ]
    parts = [part for part in laid_out if any(part[shown] for shown in _SHOWN)]
    page = render(
        "analysis.html",
        title=facts.title,
        index=facts.index,
        sections=[(part["anchor"], part["title"]) for part in parts],
        lead=facts.lead,
        flags=sorted_flags(facts.flags),
        parts_of_page=parts,
        inline=inline,
    )
    write_text(path, page)
    return None


def _drawn(
    figures: Iterable[Curves | Lines | Dots | Spectra | Scatter],
) -> list[tuple[Curves | Lines | Dots | Spectra | Scatter, Charts]]:
    """Return the figures that have something to show, with their charts."""
    return [(figure, charts) for figure in figures if (charts := figure.charts())]


def _alone(chart: Chart | None) -> Charts:
    return [] if chart is None else [("", chart)]


def _cell(cell: Cell, digits: int | None, mark: str) -> Written:
    if isinstance(cell, str):
        return cell, "", "", None
    numbers = numbers_of(cell)
    if not numbers or np.isnan(numbers[0]):
        return NOT_KNOWN, "", "", ""
    interval = ""
    if len(numbers) == 3 and np.isfinite(numbers[1:]).all():
        interval = f"{written(numbers[1], digits)} to {written(numbers[2], digits)}"
    return written(numbers[0], digits), interval, mark, str(numbers[0])


def _second_half(
    series: Mapping[str, tuple[Floats, Floats]],
) -> dict[str, tuple[Floats, Floats]] | None:
    """Return the second half of histories that hardly move in it; None where they do move."""
    longest = max(len(values) for _, values in series.values())
    if longest < _ENLARGED_FROM:
        return None
    late = {name: (x[longest // 2 :], y[longest // 2 :]) for name, (x, y) in series.items()}
    whole, end = (_spread(y for _, y in half.values()) for half in (series, late))
    return late if 0 < end < _SETTLED * whole else None


def _spread(values: Iterable[Floats]) -> float:
    known = np.concatenate(list(values))
    known = known[np.isfinite(known)]
    return float(np.ptp(known)) if known.size else 0.0


def _end(value: float, sign: str, *, beyond: bool) -> str:
    """Write an end of a scale, and that some values lie beyond it."""
    text = f"{value:g}".replace("-", "\N{MINUS SIGN}")
    return f"{sign}\N{NO-BREAK SPACE}{text}" if beyond else text


def _ends(items: Iterable[Floats]) -> tuple[float, float]:
    """Return the ends of a scale for all values off the diagonals, about 0 where some are below."""
    values = np.concatenate([_off_diagonal(item) for item in items])
    most = nice(float(np.abs(values).max(initial=0.0)) or 1.0)
    return (-most if (values < 0).any() else 0.0), most


def _off_diagonal(item: Floats) -> Floats:
    """Return the known values off the diagonal; all where there are none."""
    off = item[(np.eye(*item.shape) == 0) & np.isfinite(item)]
    return off if off.size else item[np.isfinite(item)]


def _in_words(name: str, item: Floats) -> str:
    values = _off_diagonal(item)
    return (
        f"{name}: {item.shape[0]} by {item.shape[1]}, off the diagonal from "
        f"{figure(float(values.min()))} to {figure(float(values.max()))}, "
        f"mean {figure(float(values.mean()))}"
    )
