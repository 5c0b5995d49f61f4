"""Single regions simulated with some values of a parameter: tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.model import GenerativeModel
from bids_dtg.dynamics.parameter_effects import (
    FIGURES,
    SINE_AMPLITUDE,
    SINE_HZ,
    ParameterEffects,
    Sweep,
    parameter_sweeps,
)
from bids_dtg.dynamics.parameters import Alignment
from bids_dtg.report.charts import nice
from bids_dtg.report.pages.analysis import Lines

Values = NDArray[np.floating[Any]]

_COLUMNS = (
    Column("figure", "Measure whose strongest parameter is swept"),
    Column("parameter", "Swept parameter; the others are 0"),
    Column("value", "Value of the parameter"),
    Column("seconds", "Time from the first frame shown", unit="s"),
    Column("input", "Value of the input: the series' unit, or that of the external input"),
    Column("series", "Expected observation, in the series' unit"),
)
_SINE = f"a sine of amplitude {SINE_AMPLITUDE:g} at {SINE_HZ:g} Hz"
_INPUTS = {
    "low_power": "no input, the same noise for all values",
    "external": f"{_SINE} as external input, no noise",
    "network": f"{_SINE} as network input, no noise",
}


def swept(
    model: GenerativeModel,
    effects: ParameterEffects,
    alignment: Alignment,
    tr_seconds: float,
    *,
    seed: int,
) -> dict[str, Sweep]:
    """Sweep, for each measure, the parameter with the largest rho; signs as tables have them."""
    strongest = {}
    for name, rho in effects.spearman.items():
        known = np.abs(rho)
        if np.isfinite(known).any():
            number = int(np.nanargmax(known))
            strongest[name] = (number, float(alignment.signs[_place(alignment, number)]))
    return parameter_sweeps(model, strongest, tr_seconds, seed=seed)


def sweep_table(
    sweeps: Mapping[str, Sweep], alignment: Alignment, tr_seconds: float
) -> ResultTable:
    """Return the simulated series, a row a frame of each value."""
    rows = [
        {
            "figure": name,
            "parameter": f"theta{_place(alignment, sweep.parameter) + 1}",
            "value": value,
            "seconds": frame * tr_seconds,
            "input": float(sweep.driven[frame]),
            "series": float(seen),
        }
        for name, sweep in sweeps.items()
        for value, series in zip(_values(sweep, alignment), sweep.series, strict=True)
        for frame, seen in enumerate(series)
    ]
    words = "Single regions simulated with some values of one parameter: a row a frame"
    return ResultTable(_COLUMNS, rows, words)


def sweep_lines(
    sweeps: Mapping[str, Sweep], alignment: Alignment, tr_seconds: float
) -> tuple[Lines, ...]:
    """Return a picture a measure, a line a value of the parameter."""
    return tuple(
        _lines(name, sweep, alignment, tr_seconds)
        for name, sweep in sweeps.items()
        if np.isfinite(sweep.series).any()
    )


def _lines(name: str, sweep: Sweep, alignment: Alignment, tr_seconds: float) -> Lines:
    place = _place(alignment, sweep.parameter) + 1
    seconds = tr_seconds * np.arange(sweep.series.shape[1])
    # Noise makes lines cover each other.
    apart = _room(sweep.series) if name == "low_power" else 0.0
    lines = {
        f"θ{place} = {value:g}".replace("-", "\N{MINUS SIGN}"): (seconds, series + number * apart)
        for number, (value, series) in enumerate(
            zip(_values(sweep, alignment), sweep.series, strict=True)
        )
    }
    shifted = f", each line {apart:g} above the one before" if apart else ""
    return Lines(
        caption=f"A simulated region at {len(lines)} values of θ{place}, whose rho with the "
        f"measure '{FIGURES[name]}' is the largest in size: {_INPUTS[name]}. Expected observation "
        f"in the series' unit{shifted}",
        x_label="time (s)",
        y_label="expected observation (series' unit" + (", lines shifted)" if apart else ")"),
        series=lines,
    )


def _room(series: Values) -> float:
    """Return the distance at which no line covers another; 0 where all are constant.

    Examples
    --------
    >>> _room(np.array([[0.0, 3.5], [1.0, np.inf]])), _room(np.ones((2, 3)))
    (4.0, 0.0)
    """
    spans = [float(np.ptp(known)) for own in series if (known := own[np.isfinite(own)]).size]
    largest = max(spans, default=0.0)
    return nice(largest) if largest > 0 else 0.0


def _place(alignment: Alignment, number: int) -> int:
    """Return the place, from 0, of a parameter of the model in the order of tables."""
    return int(np.flatnonzero(alignment.order == number)[0])


def _values(sweep: Sweep, alignment: Alignment) -> Values:
    """Return the values of the swept parameter with the sign that tables have."""
    values: Values = alignment.signs[_place(alignment, sweep.parameter)] * sweep.values
    return values + 0.0  # no negative zero
