"""The page of one analysis of models: scores side by side, by contrast, and people by people."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bids.atomic import write_text
from bids_dtg.report.charts import nice
from bids_dtg.report.colours import SIGNED
from bids_dtg.report.page import HOW_TO_GET, missing_packages, render
from bids_dtg.report.pictures import draw_matrix

# Of the dots of a model in every chart; legible on light and on dark.
_COLOURS = ("#8a8f98", "#d08a1d", "#2f8f6f", "#c9302a", "#2456b8", "#8a4fb5", "#5aa0b8", "#a06a3c")
_WIDTH, _ROW = 620.0, 18.0  # of the chart by contrast, in SVG units
_COLUMNS = {
    "r": "r",
    "r_minus_group_average": "r minus group average",
    "residual_r": "residual r",
    "index": "index",
    "product": "product (as published)",
    "ratio": "ratio",
    "identification": "identified",
    "explained": "explained variance",
    "dice": "Dice AUC",
}


@dataclass(frozen=True, eq=False)
class ModelPageFacts:
    """What the page shows."""

    title: str  # of the page
    lead: str  # who and what, in a sentence
    conventions: str  # how the scores are defined
    rows: Sequence[Mapping[str, Any]]  # a model each, as `workflows.scoring.summary_row`
    contrasts: Sequence[str]  # labels
    r: Mapping[str, NDArray[np.float64]]  # by model, mean r a contrast; NaN where none
    matrices: Mapping[str, NDArray[np.float64]]  # by model, people by people, mean r
    history: Sequence[Mapping[str, float]] = ()  # epochs of the network, if one was trained


@dataclass(frozen=True)
class Curve:
    """A learning curve."""

    title: str
    path: str  # SVG path
    first: str
    last: str


def write_model_page(path: Path, facts: ModelPageFacts) -> str | None:
    """Write the page; return why there is none, where packages are missing.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    if missing := missing_packages():
        return f"no page was made: {', '.join(missing)} missing ({HOW_TO_GET})"
    colours = {
        str(row["model"]): _COLOURS[number % len(_COLOURS)] for number, row in enumerate(facts.rows)
    }
    columns = [key for key in _COLUMNS if any(row.get(key) is not None for row in facts.rows)]
    page = render(
        "model.html",
        title=facts.title,
        sections=[
            ("scores", "Scores"),
            ("contrasts", "Contrasts"),
            *([("people", "People")] if facts.matrices else []),
            *([("training", "Training")] if facts.history else []),
        ],
        lead=facts.lead,
        conventions=facts.conventions,
        headings=[_COLUMNS[key] for key in columns],
        models=[(row["model"], [_cell(row.get(key)) for key in columns]) for row in facts.rows],
        chart=_by_contrast(facts, colours),
        colours=list(colours.items()),
        matrices=[_matrix(name, one) for name, one in facts.matrices.items()],
        curves=[
            _curve(title, [epoch[key] for epoch in facts.history])
            for key, title in (
                ("loss", "training loss"),
                ("validation_loss", "validation loss"),
                ("validation_r", "validation r"),
                ("validation_residual_r", "validation residual r"),
            )
            if len(facts.history) > 1 and all(key in epoch for epoch in facts.history)
        ],
    )
    write_text(path, page)
    return None


def _cell(value: object) -> tuple[str, str]:
    """Return a figure, and its interval where it has one."""
    match value:
        case [float() | int() as mean, float() | int() as low, float() | int() as high]:
            return f"{mean:.3f}", f"{low:.3f} to {high:.3f}"
        case float() | int():
            return f"{value:.3f}", ""
        case _:
            return "n/a", ""


def _by_contrast(facts: ModelPageFacts, colours: Mapping[str, str]) -> dict[str, Any]:
    """Lay out a row a contrast with a dot a model, sorted by the first model's r."""
    values = np.array([facts.r[name] for name in colours if name in facts.r])
    finite = values[np.isfinite(values)]
    top = nice(max(float(finite.max()), 0.05)) if finite.size else 1.0
    low = min(0.0, float(np.floor(10 * finite.min()) / 10)) if finite.size else 0.0
    first = next(iter(facts.r.values()))
    order = np.argsort(-np.where(np.isfinite(first), first, -2.0))

    def place(value: float) -> float:
        return _WIDTH * (float(np.clip(value, low, top)) - low) / (top - low)

    rows = [
        (
            facts.contrasts[q],
            _ROW * number,
            [
                (place(r[q]), colours[name], f"{name}: {r[q]:.3f}")
                for name, r in facts.r.items()
                if name in colours and np.isfinite(r[q])
            ],
        )
        for number, q in enumerate(order)
    ]
    step = nice((top - low) / 5)
    marks = np.arange(np.ceil(low / step - 1e-9), np.floor(top / step + 1e-9) + 1) * step
    ticks = [(place(mark), f"{mark:g}".replace("-", "\N{MINUS SIGN}")) for mark in marks.round(9)]
    return {"rows": rows, "ticks": ticks, "height": _ROW * len(order), "width": _WIDTH}


def _matrix(name: str, matrix: NDArray[np.float64]) -> dict[str, Any]:
    known, own = np.isfinite(matrix), np.eye(len(matrix), dtype=bool)
    # A map that is constant correlates with none.
    most = nice(float(np.abs(matrix[known]).max(initial=0.0)) or 1.0)
    picture = base64.b64encode(draw_matrix(matrix, SIGNED, -most, most)).decode()
    return {
        "name": name,
        "picture": f"data:image/webp;base64,{picture}",
        "size": len(matrix),
        "own": _mean(matrix[known & own]),
        "others": _mean(matrix[known & ~own]),
        "most": f"{most:g}",
        "scale": SIGNED.css,
    }


def _mean(values: NDArray[np.float64]) -> str:
    return f"{values.mean():.3f}" if values.size else "n/a"


def _curve(title: str, values: Sequence[float]) -> Curve:
    known = np.asarray(values, float)
    low, high = float(np.nanmin(known)), float(np.nanmax(known))
    x = np.linspace(0, 440, len(known))
    y = 80 * (1 - (known - low) / ((high - low) or 1.0))
    path = "M" + " L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    return Curve(title, path, f"{known[0]:.3f}", f"{known[-1]:.3f}")
