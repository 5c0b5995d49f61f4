"""Predictive panel: the measured session compared with sessions simulated by the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import fc_strength, upper_edges
from bids_dtg.dynamics.judging.predictive import FEWEST_SIMULATIONS
from bids_dtg.dynamics.measures import (
    FCD_FRAMES,
    connectivity,
    fcd,
    low_power,
    spectra,
    zero_crossings,
)
from bids_dtg.dynamics.panels.run import NetworkRun
from bids_dtg.files.names import FileKind
from bids_dtg.files.text import encoded, read_json, read_rows, tsv_text
from bids_dtg.notices import counted
from bids_dtg.report.axes import Chart, band_chart, point_chart
from bids_dtg.report.charts import ticks_between
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.numbers import figure
from bids_dtg.report.panels.panel import Among, Canvas, Figure, Kept, Lines
from bids_dtg.report.parcels.files import Floats
from bids_dtg.report.quality import number
from bids_dtg.stats.correlation import correlation

Series = NDArray[np.floating[Any]]

FILE = FileKind("qc", "predictive", ".tsv")
_MEASURED, _SIMULATED = "measured", "simulated"
_LOW, _MEDIAN, _HIGH = "low", "median", "high"  # of the simulated ones
_SPECTRUM, _PAIR = "spectrum", "fc_pair"
_ENDS = (0.05, 0.95)  # quantiles around the middle 90 % of the simulated sessions
_MOST_PAIRS = 2000  # of regions: points of a chart
_COLUMNS = {
    "figure": {
        "Description": "Measure of the row",
        "Levels": {
            "fc_strength": "mean functional connectivity (r)",
            "zero_crossings": "sign changes of a region's series, mean over regions",
            "low_power": "power below 0.1 Hz of a region's series, mean over regions",
            "fcd_spread": "how much functional connectivity changes: standard deviation of how "
            f"alike it is in two windows of {FCD_FRAMES} frames (FCD); n/a of short sessions",
            _SPECTRUM: "power density, mean over regions (1/Hz)",
            _PAIR: "functional connectivity of a pair of regions (r)",
        },
    },
    "of": {
        "Description": "Session of the value",
        "Levels": {
            _MEASURED: "of the measured session",
            _SIMULATED: "of a simulated session; of a pair of regions, the mean over them",
            _LOW: "5 % of the simulated sessions are below",
            _MEDIAN: "median of the simulated sessions",
            _HIGH: "5 % of the simulated sessions are above",
        },
    },
    "at": {"Description": "Frequency in Hz, or number of the simulation or of the pair"},
    "value": {"Description": "The value"},
}
_FCD_STRIDE = 20  # frames from a window to the next
_FEWEST_WINDOWS = 5


def _fcd_spread(series: Series, _: float) -> float:
    """Return the standard deviation of FCD; NaN of a session with few windows."""
    if series.shape[1] < FCD_FRAMES + (_FEWEST_WINDOWS - 1) * _FCD_STRIDE:
        return float("nan")
    return float(np.std(upper_edges(fcd(series, stride=_FCD_STRIDE))))


# By name: functions of a session (regions, frames) and a TR in s; words and decimals.
_FIGURES: dict[str, tuple[Callable[[Series, float], float], str, int]] = {
    "fc_strength": (
        lambda series, _: float(fc_strength(connectivity(series))),
        "Mean functional connectivity (r)",
        3,
    ),
    "zero_crossings": (
        lambda series, _: float(zero_crossings(series).mean()),
        "Zero-crossings of a region\N{RIGHT SINGLE QUOTATION MARK}s series",
        0,
    ),
    "low_power": (
        lambda series, tr_seconds: float(low_power(series, tr_seconds).mean()),
        "Power below 0.1 Hz (measured series have a variance of 1)",
        3,
    ),
    "fcd_spread": (
        _fcd_spread,
        "Spread of FCD (how much functional connectivity changes)",
        3,
    ),
}
_WIDTH, _HEIGHT, _DOT = 440.0, 48.0, 7.0  # of a measured value among simulated ones, SVG units


def keep(data: NetworkRun) -> Kept | None:
    """Make a table of the values on the page; None for a run that was not modelled."""
    if data.series is None or data.simulated is None:
        return None
    return keep_predictive(data.series, data.simulated, data.tr_seconds, sources=data.sources)


def keep_predictive(
    series: Series, simulated: Series, tr_seconds: float, *, sources: Sequence[str] = ()
) -> Kept:
    """Make a table of a measured session and sessions simulated for it.

    Parameters
    ----------
    series
        (regions, frames), as the model read them; regions that are not finite are left out.
    simulated
        Simulated sessions, (simulations, regions, frames).
    tr_seconds
        Time between frames in seconds.
    sources
        BIDS URIs of the input files.

    Raises
    ------
    ValueError
        The sessions have other regions, or there is no simulation.

    Examples
    --------
    >>> sessions = np.random.default_rng(0).standard_normal((1 + 20, 5, 200))
    >>> kept = keep_predictive(sessions[0], sessions[1:], 2.0)
    >>> kept.content.decode().splitlines()[0].split()
    ['figure', 'of', 'at', 'value']
    >>> kept.sidecar["Simulations"]
    20
    """
    if simulated.ndim != 3 or not len(simulated) or simulated.shape[1] != len(series):
        raise ValueError(
            f"simulated sessions are (simulations, {len(series)} regions, frames), found "
            f"{simulated.shape}"
        )
    known = np.asarray(np.isfinite(series).all(axis=1))
    own = series[known]
    fcs = np.asarray(upper_edges(connectivity(own)), float), _mean_connectivity(simulated, known)
    rows = [
        *_figure_rows(own, simulated, known, tr_seconds),
        *_spectrum_rows(own, simulated, known, tr_seconds),
        *_pair_rows(*fcs),
    ]
    written = [(*row[:3], f"{row[3]:.6g}" if np.isfinite(row[3]) else None) for row in rows]
    sidecar = {
        "Description": "A measured session and sessions that a model simulated for it, over "
        f"{int(known.sum())} regions; simulated sessions were not measured",
        "Simulations": len(simulated),
        "Regions": int(known.sum()),
        "Pairs": len(fcs[0]),
        "FunctionalConnectivityFit": _rounded(float(correlation(*fcs))),
        **({"Sources": list(sources)} if sources else {}),
        **_COLUMNS,
    }
    return Kept(FILE, encoded(tsv_text(list(_COLUMNS), written)), sidecar)


Row = tuple[str, str, float | None, float]


def _figure_rows(
    own: Series, simulated: Series, known: NDArray[np.bool_], tr_seconds: float
) -> Iterator[Row]:
    for name, (of, _, _) in _FIGURES.items():
        yield name, _MEASURED, None, of(own, tr_seconds)
        for count, session in enumerate(simulated, 1):
            yield name, _SIMULATED, count, of(session[known], tr_seconds)


def _spectrum_rows(
    own: Series, simulated: Series, known: NDArray[np.bool_], tr_seconds: float
) -> Iterator[Row]:
    frequencies, power = spectra(own, tr_seconds)
    # With the measured number of frames, spectra have the same frequencies.
    frames = own.shape[1]
    powers = [spectra(s[known][:, -frames:], tr_seconds)[1].mean(axis=0) for s in simulated]
    same = [found for found in powers if len(found) == len(frequencies)]
    rows = {_MEASURED: power.mean(axis=0)}
    if same:
        ends = np.quantile(same, (_ENDS[0], 0.5, _ENDS[1]), axis=0)
        rows |= dict(zip((_LOW, _MEDIAN, _HIGH), ends, strict=True))
    for of, values in rows.items():
        # Series have a mean of 0: there is no power at frequency 0.
        for frequency, value in zip(frequencies[1:], values[1:], strict=True):
            yield _SPECTRUM, of, round(float(frequency), 6), float(value)


def _pair_rows(own: Floats, simulated: Floats) -> Iterator[Row]:
    """Yield some pairs, evenly spread over all of them where there are too many."""
    number_of = min(len(own), _MOST_PAIRS)
    for pair in np.unique(np.linspace(0, len(own) - 1, number_of).astype(int)) if len(own) else ():
        yield _PAIR, _MEASURED, int(pair), float(own[pair])
        yield _PAIR, _SIMULATED, int(pair), float(simulated[pair])


def _mean_connectivity(simulated: Series, known: NDArray[np.bool_]) -> Floats:
    """Return the mean over simulations of each pair's connectivity, (pairs,)."""
    total = sum(
        upper_edges(connectivity(session[known])).astype(np.float64) for session in simulated
    )
    return np.asarray(total / len(simulated))


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    """Draw the measured session among the simulated ones, measure by measure."""
    path = run.files.get(FILE)
    found = _read(read_rows(path)) if path else {}
    if path is None or not found:
        return None
    facts = read_json(path.with_suffix(".json"))
    pieces = [piece for name in _FIGURES if (piece := _among(name, found)) is not None]
    charts = (
        ("Power spectrum, mean over regions", _spectrum(found)),
        ("Functional connectivity of pairs of regions", _pairs(found)),
    )
    lines = [Lines(title, chart) for title, chart in charts if chart is not None]
    return Figure((*pieces, *lines), _caption(facts, found))


def failing(run: RunFiles) -> str:
    """Say which figures of a measured session are outside those of the simulated ones.

    Returns
    -------
    str
        Empty where all lie within, or there are too few simulations to know.
    """
    path = run.files.get(FILE)
    found = _read(read_rows(path)) if path else {}
    checked, outside = 0, []
    for name, (_, title, digits) in _FIGURES.items():
        own, simulated = _own_and_simulated(name, found)
        ends = _middle(simulated)
        if own is None or ends is None:
            continue
        checked += 1
        if not ends[0] <= own <= ends[1]:
            low, high = (figure(float(end), digits) for end in ends)
            what = title.partition(" (")[0]
            words = what[0].lower() + what[1:]
            outside.append(f"{words} {figure(own, digits)} (simulated {low} to {high})")
    if not outside:
        return ""
    return (
        f"The model does not describe this run: {len(outside)} of "
        f"{counted(checked, 'predictive check')} {'fails' if len(outside) == 1 else 'fail'}, as "
        f"the measured session is outside the middle 90 % of the simulated ones: "
        f"{'; '.join(outside)}. By chance each fails in 10 % of runs"
    )


def _own_and_simulated(name: str, found: _Found) -> tuple[float | None, Floats]:
    """Return a figure of the measured session, if it is known, and those of the simulated ones."""
    own = next((float(v) for v in _values(found, name, _MEASURED) if np.isfinite(v)), None)
    simulated = _values(found, name, _SIMULATED)
    return own, simulated[np.isfinite(simulated)]


def _middle(simulated: Floats) -> Floats | None:
    """Return the ends of the middle 90 % of the simulated sessions; None if there are too few."""
    return np.quantile(simulated, _ENDS) if len(simulated) >= FEWEST_SIMULATIONS else None


# By measure and session: positions and values, (values,) each.
_Found = dict[str, dict[str, tuple[Floats, Floats]]]


def _read(rows: Sequence[dict[str, str]]) -> _Found:
    cells: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        at, value = (
            np.nan if (cell := number(row.get(name))) is None else cell for name in ("at", "value")
        )
        of = cells.setdefault(row.get("figure", ""), {}).setdefault(row.get("of", ""), [])
        of.append((at, value))
    return {
        name: {of: _columns(values) for of, values in found.items()}
        for name, found in cells.items()
    }


def _columns(values: Sequence[tuple[float, float]]) -> tuple[Floats, Floats]:
    at, value = np.array(values).T
    return at, value


def _values(found: _Found, name: str, of: str) -> Floats:
    return found.get(name, {}).get(of, (np.empty(0), np.empty(0)))[1]


def _among(name: str, found: _Found) -> Among | None:
    """Lay out a measure of the measured session and those of the simulated ones."""
    _, title, digits = _FIGURES[name]
    own, simulated = _own_and_simulated(name, found)
    if not simulated.size:
        return None
    reach = [*simulated, *([] if own is None else [own])]
    low, high = min(reach), max(reach)
    room = 0.06 * (high - low) or 0.05 * max(abs(high), 1.0)
    low, high = low - room, high + room

    def across(value: float) -> float:
        return float(_WIDTH * (value - low) / (high - low))

    ends = _middle(simulated)
    return Among(
        title=title,
        words=_words(own, simulated, ends, digits),
        dots=_stacked([across(value) for value in sorted(simulated)]),
        middle=None if ends is None else (across(ends[0]), across(ends[1])),
        own=None if own is None else across(own),
        ticks=tuple(
            (across(tick), f"{tick:g}".replace("-", _MINUS)) for tick in ticks_between(low, high)
        ),
    )


_MINUS = "\N{MINUS SIGN}"


def _words(own: float | None, simulated: Floats, ends: Floats | None, digits: int) -> str:
    measured = "not known" if own is None else figure(own, digits)
    text = f"Measured {measured}; "
    if ends is None:
        least, most = (figure(float(end), digits) for end in (simulated.min(), simulated.max()))
        return f"{text}simulated {least} to {most}."
    low, high = (figure(float(end), digits) for end in ends)
    text += f"the middle 90 % of the simulated sessions: {low} to {high}."
    if own is None or ends[0] <= own <= ends[1]:
        return text
    return f"{text} The measured session lies {'below' if own < ends[0] else 'above'} them."


def _stacked(places: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Stack dots that would overlap."""
    taken: dict[int, int] = {}
    dots = []
    for x in places:
        place = taken[round(x / _DOT)] = taken.get(round(x / _DOT), -1) + 1
        offset = (1 if place % 2 else -1) * ((place + 1) // 2) * _DOT
        dots.append((x, float(np.clip(_HEIGHT / 2 + offset, 4, _HEIGHT - 4))))
    return tuple(dots)


def _spectrum(found: _Found) -> Chart | None:
    own, others = found.get(_SPECTRUM, {}).get(_MEASURED), found.get(_SPECTRUM, {})
    if own is None:
        return None
    at, values = own
    series = {"measured": (values, values, values)}
    if {_LOW, _MEDIAN, _HIGH} <= {*others} and len(others[_LOW][1]) == len(at):
        series["simulated, with the middle 90 %"] = (
            *(others[_LOW][1], others[_MEDIAN][1]),
            others[_HIGH][1],
        )
    return band_chart(at, series, x_label="frequency (Hz)", y_label="power density (1/Hz)")


def _pairs(found: _Found) -> Chart | None:
    measured, simulated = (_values(found, _PAIR, of) for of in (_MEASURED, _SIMULATED))
    if len(measured) != len(simulated) or not len(measured):
        return None
    points = np.column_stack([measured, simulated])
    return point_chart(
        {"": points}, x_label="measured r", y_label="mean simulated r", identity=True
    )


def _caption(facts: dict[str, Any], found: _Found) -> str:
    of_figure = found.get("fc_strength", {}).get(_SIMULATED)
    simulations = len(of_figure[1]) if of_figure else 0
    text = (
        f"{counted(simulations, 'session')} simulated by the model of this run, not measured: each "
        "is a dot; the line is the measured session, and the middle 90 % of the "
        "simulated ones is shaded."
    )
    if simulations < FEWEST_SIMULATIONS:
        text += f" With fewer than {FEWEST_SIMULATIONS} simulations nothing is shaded."
    fit, pairs = facts.get("FunctionalConnectivityFit"), facts.get("Pairs")
    shown = len(_values(found, _PAIR, _MEASURED))
    if isinstance(fit, float) and isinstance(pairs, int):
        text += (
            f" Over all {pairs:,} pairs of regions, measured and mean simulated connectivity "
            f"agree with r {figure(fit, 2)}"
        )
        text += f"; {shown:,} pairs are drawn." if shown < pairs else "."
    return text


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None
