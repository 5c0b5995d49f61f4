"""The page of one analysis: tables and charts, section by section."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.text import write_text
from bids_dtg.notices import counted
from bids_dtg.report.axes import Chart, band_chart, line_chart, point_chart
from bids_dtg.report.charts import nice
from bids_dtg.report.colours import AMOUNT, SIGNED
from bids_dtg.report.flags import Flag, sorted_flags
from bids_dtg.report.numbers import NOT_KNOWN, Cell, decimals, figure, numbers_of, written
from bids_dtg.report.pages.page import HOW_TO_GET, missing_packages, render
from bids_dtg.report.pictures import draw_matrix, inline

Floats = NDArray[np.floating]
_BETTER = "better than the model"  # the mark of what is judged so
# Where a history settles, its second half is drawn again: at a smaller spread than this share.
_SETTLED = 1 / 6
_ENLARGED_FROM = 8  # values


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


@dataclass(frozen=True, eq=False)
class Matrices:
    """Matrices as heat maps on one scale."""

    caption: str
    items: Mapping[str, Floats]  # by name, (n, n); NaN is left blank
    range: tuple[float, float] | None = None  # ends of the scale; None: by what is off the diagonal


@dataclass(frozen=True, eq=False)
class Spectra:
    """Spectra as lines with bands, on a log axis."""

    caption: str
    frequency: Floats  # (bins,), Hz
    series: Mapping[str, tuple[Floats, Floats, Floats]]  # by name: low, middle, high, (bins,) each
    y_label: str = "power density (1/Hz)"


@dataclass(frozen=True, eq=False)
class Scatter:
    """One figure against another."""

    caption: str
    x_label: str
    y_label: str
    points: Floats  # (points, 2): x and y
    groups: Sequence[str] = ()  # name of each point's group; empty: one group
    identity: bool = False  # whether the line where x is y is drawn


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures that were drawn elsewhere, as PNG files."""

    caption: str
    items: Mapping[str, bytes]  # the files, by name
    alternatives: Mapping[str, str] = field(default_factory=dict)  # each in words; else its name


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
    lines: Sequence[Lines] = ()


@dataclass(frozen=True, eq=False)
class AnalysisPageFacts:
    """What the page shows."""

    title: str  # of the page
    lead: str  # who and what, in a sentence
    flags: Sequence[Flag]  # what a reader must know first
    sections: Sequence[PageSection]
    index: str = ""  # address of the output's index; empty: there is none


@dataclass(frozen=True)
class CellOnPage:
    """A figure as the table shows it."""

    text: str
    interval: str = ""
    mark: str = ""  # that it is better than the model
    sorted_by: str | None = None  # None: by its text


@dataclass(frozen=True)
class RowOnPage:
    """A row as the table shows it."""

    name: str
    cells: tuple[CellOnPage, ...]
    kind: str = ""  # "model", "beside" or neither


@dataclass(frozen=True)
class TableOnPage:
    """A table as the page shows it."""

    caption: str
    columns: tuple[tuple[str, bool], ...]  # heading, and whether it is over numbers
    rows: tuple[RowOnPage, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ChartOnPage:
    """Charts that share a caption and a legend."""

    caption: str
    charts: tuple[tuple[str, Chart], ...]  # words above it, and the chart
    note: str = ""


@dataclass(frozen=True)
class MatrixOnPage:
    """A heat map."""

    name: str
    picture: str  # address
    summary: str  # in words


@dataclass(frozen=True)
class MatricesOnPage:
    """Heat maps on one scale."""

    caption: str
    pictures: tuple[MatrixOnPage, ...]
    low: str
    high: str
    scale: str  # CSS


@dataclass(frozen=True)
class PictureOnPage:
    """A picture with its name."""

    name: str
    picture: str  # address
    summary: str  # in words


@dataclass(frozen=True)
class PicturesOnPage:
    """Pictures that share a caption."""

    caption: str
    pictures: tuple[PictureOnPage, ...]


@dataclass(frozen=True)
class SectionOnPage:
    """A section as the page shows it."""

    anchor: str
    title: str
    text: tuple[str, ...]
    tables: tuple[TableOnPage, ...]
    charts: tuple[ChartOnPage, ...]
    matrices: tuple[MatricesOnPage, ...]
    more_charts: tuple[ChartOnPage, ...]
    pictures: tuple[PicturesOnPage, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing below the heading."""
        shown = (self.charts, self.matrices, self.more_charts, self.pictures)
        parts = (self.text, self.tables, *shown)
        return not any(parts)


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
    write_text(path, render("analysis.html", **on_page(facts)))
    return None


def on_page(facts: AnalysisPageFacts) -> dict[str, Any]:
    """Lay facts out as the template, or one that extends it, asks for them.

    Raises
    ------
    ValueError
        As `write_analysis_page`.
    """
    laid_out = (_section(number, section) for number, section in enumerate(facts.sections, 1))
    sections = [section for section in laid_out if not section.empty]
    return {
        "title": facts.title,
        "index": facts.index,
        "sections": [(section.anchor, section.title) for section in sections],
        "lead": facts.lead,
        "flags": sorted_flags(facts.flags),
        "parts_of_page": sections,
    }


def _section(number: int, section: PageSection) -> SectionOnPage:
    return SectionOnPage(
        anchor=f"section-{number}",
        title=section.title,
        text=tuple(section.text),
        tables=tuple(_table(table) for table in section.tables if table.rows),
        charts=(*_drawn(map(_curves, section.curves)), *_drawn(map(_lines, section.lines))),
        matrices=tuple(_matrices(matrices) for matrices in section.matrices if _shown(matrices)),
        more_charts=(
            *_drawn(map(_spectra, section.spectra)),
            *_drawn(map(_scatter, section.scatters)),
        ),
        pictures=tuple(_pictures(pictures) for pictures in section.pictures if pictures.items),
    )


def _pictures(pictures: Pictures) -> PicturesOnPage:
    return PicturesOnPage(
        pictures.caption,
        tuple(
            PictureOnPage(name, inline(data), pictures.alternatives.get(name, name))
            for name, data in pictures.items.items()
        ),
    )


def _drawn(charts: Iterable[ChartOnPage | None]) -> tuple[ChartOnPage, ...]:
    return tuple(chart for chart in charts if chart is not None)


def _table(table: Table) -> TableOnPage:
    for row in table.rows:
        if len(row) != len(table.columns):
            raise ValueError(
                f"a row of the table '{table.caption}' has {len(row)} cells under "
                f"{len(table.columns)} headings: {row[0] if row else ''}"
            )
    model = _model_row(table)
    columns = [_column(table, number) for number in range(1, len(table.columns))]
    names = [str(row[0]) for row in table.rows]
    return TableOnPage(
        caption=table.caption,
        columns=(
            (table.columns[0], False),
            *(
                (heading, any(numbers_of(row[number]) for row in table.rows))
                for number, heading in enumerate(table.columns[1:], 1)
            ),
        ),
        rows=tuple(
            RowOnPage(name, tuple(column[number] for column in columns), _kind(table, model, name))
            for number, name in enumerate(names)
        ),
        notes=tuple(table.notes),
    )


def _model_row(table: Table) -> Sequence[Cell] | None:
    """Return the row that the highlighted ones are compared with; None where none are."""
    if not table.highlight:
        return None
    if table.model:
        return next((row for row in table.rows if row[0] == table.model), None)
    return next((row for row in table.rows if row[0] not in table.highlight), None)


def _kind(table: Table, model: Sequence[Cell] | None, name: str) -> str:
    if name in table.highlight:
        return "beside"
    return "model" if model is not None and name == model[0] else ""


def _column(table: Table, number: int) -> list[CellOnPage]:
    """Write the cells of a column with the same decimals."""
    heading = table.columns[number]
    cells = [row[number] for row in table.rows]
    digits = decimals(value for cell in cells for value in numbers_of(cell)[:1])
    return [
        _cell(cell, digits, _BETTER if (row[0], heading) in table.better else "")
        for row, cell in zip(table.rows, cells, strict=True)
    ]


def _cell(cell: Cell, digits: int | None, mark: str = "") -> CellOnPage:
    if isinstance(cell, str):
        return CellOnPage(cell)
    numbers = numbers_of(cell)
    if not numbers or np.isnan(numbers[0]):
        return CellOnPage(NOT_KNOWN, sorted_by="")
    interval = ""
    if len(numbers) == 3 and np.isfinite(numbers[1:]).all():
        interval = f"{written(numbers[1], digits)} to {written(numbers[2], digits)}"
    return CellOnPage(written(numbers[0], digits), interval, mark, str(numbers[0]))


def _curves(curves: Curves) -> ChartOnPage | None:
    series = {}
    for name, values in curves.series.items():
        values = np.asarray(values, np.float64)
        if values.ndim != 1:
            raise ValueError(f"the curve '{name}' has the shape {values.shape}, expected (points,)")
        series[name] = (curves.start + curves.step * np.arange(len(values)), values)
    draw = partial(line_chart, x_label=curves.x_label, y_label=curves.y_label)
    bands = {
        name: (curves.start + curves.step * np.arange(len(low)), low, high)
        for name, (low, high) in curves.bands.items()
    }
    whole = draw(series, bands=bands)
    if whole is None:
        return None
    charts = [("", whole)]
    late = None if bands else _second_half(series)
    if late and (chart := draw(late)):
        charts = [("Whole", whole), ("Second half, enlarged", chart)]
    return ChartOnPage(curves.caption, tuple(charts))


def _lines(lines: Lines) -> ChartOnPage | None:
    for name, (x, y) in lines.series.items():
        if np.ndim(x) != 1 or np.shape(x) != np.shape(y):
            raise ValueError(
                f"the line '{name}' has the shapes {np.shape(x)} and {np.shape(y)}, expected "
                "(points,) of both"
            )
    chart = line_chart(
        lines.series,
        x_label=lines.x_label,
        y_label=lines.y_label,
        x_reach=lines.x_reach,
        y_reach=lines.y_reach,
        points=lines.points,
    )
    return None if chart is None else ChartOnPage(lines.caption, (("", chart),))


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


def _spectra(spectra: Spectra) -> ChartOnPage | None:
    frequency = np.asarray(spectra.frequency, np.float64)
    for name, parts in spectra.series.items():
        for part in parts:
            if np.shape(part) != frequency.shape:
                raise ValueError(
                    f"the spectrum '{name}' has the shape {np.shape(part)}, expected "
                    f"{frequency.shape} as its frequencies"
                )
    chart = band_chart(frequency, spectra.series, x_label="frequency (Hz)", y_label=spectra.y_label)
    return None if chart is None else ChartOnPage(spectra.caption, (("", chart),))


def _scatter(scatter: Scatter) -> ChartOnPage | None:
    points = np.asarray(scatter.points, np.float64).reshape(-1, 2)
    groups = np.array(scatter.groups or [""] * len(points), dtype=object)
    if len(groups) != len(points):
        raise ValueError(f"{len(points)} points, and groups of {len(groups)}: {scatter.caption}")
    chart = point_chart(
        {name: points[groups == name] for name in dict.fromkeys(groups)},
        x_label=scatter.x_label,
        y_label=scatter.y_label,
        identity=scatter.identity,
    )
    if chart is None:
        return None
    hidden = int((~np.isfinite(points).all(axis=1)).sum())
    note = f"{counted(hidden, 'point')} without a value: not shown." if hidden else ""
    if scatter.identity:
        note = f"Dashed: both are equal. {note}".strip()
    return ChartOnPage(scatter.caption, (("", chart),), note)


def _shown(matrices: Matrices) -> dict[str, Floats]:
    """Return the matrices of which some value is known."""
    known = {name: np.asarray(item, np.float64) for name, item in matrices.items.items()}
    return {name: item for name, item in known.items() if np.isfinite(item).any()}


def _matrices(matrices: Matrices) -> MatricesOnPage:
    items = _shown(matrices)
    for name, item in items.items():
        if item.ndim != 2:
            raise ValueError(f"the matrix '{name}' has the shape {item.shape}, expected (n, n)")
    low, high = matrices.range or _ends(items.values())
    scale = SIGNED if low < 0 < high else AMOUNT
    least = min(float(np.nanmin(item)) for item in items.values())
    most = max(float(np.nanmax(item)) for item in items.values())
    room = 1e-9 * (high - low)  # rounding is not beyond an end
    return MatricesOnPage(
        caption=matrices.caption,
        pictures=tuple(
            MatrixOnPage(name, inline(draw_matrix(item, scale, low, high)), _in_words(name, item))
            for name, item in items.items()
        ),
        low=_end(low, "\N{LESS-THAN OR EQUAL TO}", beyond=least < low - room),
        high=_end(high, "\N{GREATER-THAN OR EQUAL TO}", beyond=most > high + room),
        scale=scale.css,
    )


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
