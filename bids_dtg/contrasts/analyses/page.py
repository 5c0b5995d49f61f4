"""The page of an evaluation: scores of several models, by contrast, and people by people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.judging.ceilings import Ceilings
from bids_dtg.contrasts.judging.model_table import INDIVIDUAL, NO_VERDICT, WORTH_USING
from bids_dtg.files.text import write_text
from bids_dtg.notices import counted
from bids_dtg.report.charts import nice
from bids_dtg.report.colours import SIGNED
from bids_dtg.report.flags import Flag, Level
from bids_dtg.report.numbers import figure
from bids_dtg.report.pages.page import HOW_TO_GET, missing_packages, render
from bids_dtg.report.pictures import draw_matrix, inline
from bids_dtg.stats.verdict import BETTER, FEWEST, TOO_FEW, WORSE, too_few

# Colours of models' dots in all charts; legible on light and on dark.
_COLOURS = (
    *("#8a8f98", "#d08a1d", "#2f8f6f", "#c9302a", "#2456b8"),
    *("#8a4fb5", "#5aa0b8", "#a06a3c", "#c05a9e", "#6f7d2a", "#30363d"),
)
_ROUNDING = 1e-9  # of a correlation
# Difference of correlations at which colours end at the least: what is smaller is of no use, and
# would look like any other difference on a scale of its own.
_LEAST_AWAY = 0.02
_WIDTH, _ROW = 620.0, 20.0  # of the chart by contrast, in SVG units
_DOT_GAP = 2.0  # between the dots of two models in a row: equal values stay visible
_COLUMNS = {
    "r": "r",
    "r_over_ceiling": "r over noise ceiling",
    "r_minus_group_average": "r minus group average",
    "above_group_average": "share of people above group average",
    "r_minus_own_mean": "r minus own mean prediction",
    "index": "r minus another person's (index)",
    "residual_r": "residual r",
    "identification": "identified",
}
_MORE_COLUMNS = {
    "fingerprint": "fingerprint (as published)",
    "product": "product (as published)",
    "ratio": "ratio",
    "residual_r_training_mean": "residual r, training mean",
    "explained": "explained variance",
    "dice": "Dice AUC",
    "r_sd_over_contrasts": "sd of r over contrasts",
}
_PART_COLUMNS = {
    "people": "participants",
    "places": "places",
    "r": "r",
    "ceiling": "noise ceiling",
    "r_minus_group_average": "r minus group average",
    "index": "r minus another person's (index)",
    "residual_r": "residual r",
    "residual_ceiling": "noise ceiling of residual r",
    "identification": "identified",
}
_UNDECIDED = ""  # any verdict that a table does not name
# Words for the verdict on each question, and the level of its flag.
_ANSWERS: Mapping[str, Mapping[str, tuple[Level, str]]] = {
    INDIVIDUAL: {
        BETTER: (
            "good",
            "Individual: the prediction for a person fits better than that for another person",
        ),
        _UNDECIDED: (
            "warning",
            "Not shown to be individual: the prediction for a person is neither better nor worse "
            "than that for another person",
        ),
        WORSE: (
            "warning",
            "Not individual: the prediction for another person fits better than that for the "
            "person",
        ),
    },
    WORTH_USING: {
        BETTER: (
            "good",
            "Worth using: predictions fit better than their own mean, one map for everybody",
        ),
        _UNDECIDED: (
            "warning",
            "Not shown to be worth using: predictions are neither better nor worse than their own "
            "mean, one map for everybody",
        ),
        WORSE: (
            "warning",
            "Not worth using: their own mean, one map for everybody, fits better than predictions",
        ),
    },
}
_AGAINST = {
    WORSE: "worse than",
    _UNDECIDED: "neither better nor worse than",
    BETTER: "better than",
    NO_VERDICT: "above, without a verdict,",
}
# People: the true mean map is above the average of these by 0.016 in r (simulated people, 8 mm).
_FEW = 40
_WEAK = (
    "Simple models were fitted on {people} people: an average of few is weak, and a map without "
    "individual information is above it by their number alone"
)
_OWN_MEAN_ENOUGH = (
    "What is above simple models is no prediction of persons: the model is not shown to be above "
    "its own mean prediction, one map for everybody"
)
_SCORES = {"r": "r", "residual_r": "residual r", "identification": "identification"}


@dataclass(frozen=True, eq=False)
class ModelPageFacts:
    """Facts that the page shows."""

    title: str  # of the page
    lead: str  # people and method, in a sentence
    definitions: Mapping[str, str]  # of scores and rows, by name
    rows: Sequence[Mapping[str, Any]]  # a model each, as `model_table.summary_row`
    contrasts: Sequence[str]  # labels
    r: Mapping[str, NDArray[np.float64]]  # by model, mean r a contrast; NaN where none
    matrices: Mapping[str, NDArray[np.float64]]  # by model, people by people, mean r
    judged: str  # name of the evaluated model
    comparisons: Sequence[Mapping[str, Any]]  # as `model_table.comparison_rows`
    fitted_on: int  # people of each simple model
    history: Sequence[Mapping[str, float]] = ()  # epochs of the network, if one was trained
    measured: Sequence[str] = ()  # sentences on the measured maps: their files, what was found
    tables: Sequence[str] = ()  # names of their tables, in the page's folder
    index: str = ""  # address of the output's index; empty: none
    ceilings: Ceilings | None = None  # of the contrasts; None: nobody was measured twice
    parts: Sequence[Mapping[str, Any]] = ()  # rows of tissues and of halves of the people
    same_for_all: Sequence[str] = ()  # labels of contrasts whose predicted map is the same for all


@dataclass(frozen=True)
class Curve:
    """A learning curve."""

    title: str
    path: str  # SVG path
    first: str  # loss in the first epoch
    last: str  # loss in the last epoch
    low: str  # lower end of the axis
    high: str  # upper end of the axis
    epochs: int


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
    most = _most(*facts.matrices.values())
    page = render(
        "model.html",
        title=facts.title,
        index=facts.index,
        sections=[
            ("scores", "Scores"),
            ("contrasts", "Contrasts"),
            *([("parts", "Tissues and people")] if facts.parts else []),
            *([("people", "People")] if facts.matrices else []),
            *([("training", "Training")] if facts.history else []),
            *([("measured", "Measured maps")] if facts.measured else []),
        ],
        lead=facts.lead,
        flags=[
            *verdicts(facts.judged, facts.comparisons, facts.fitted_on),
            *_same_for_all(facts),
        ],
        definitions=list(facts.definitions.items()),
        table=_table(facts.rows, _COLUMNS),
        more=_table(facts.rows, _MORE_COLUMNS),
        chart=_by_contrast(facts, colours),
        ceilings=_ceiling_words(facts.ceilings),
        by_part=_table(facts.parts, _PART_COLUMNS, "part"),
        colours=[(name, colour) for name, colour in colours.items() if name in facts.r],
        measured=facts.measured,
        tables=facts.tables,
        matrices=[_pair(name, matrix, most) for name, matrix in facts.matrices.items()],
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


def _same_for_all(facts: ModelPageFacts) -> list[Flag]:
    """Name the contrasts in which the model's maps are the same for everybody."""
    if not facts.same_for_all:
        return []
    text = (
        f"The predicted map is the same for everybody in {len(facts.same_for_all)} of "
        f"{counted(len(facts.contrasts), 'contrast')}: {', '.join(facts.same_for_all)}"
    )
    return [Flag("warning", text)]


def verdicts(judged: str, comparisons: Sequence[Mapping[str, Any]], fitted_on: int) -> list[Flag]:
    """Return verdicts: whether the model is individual, worth using and better than simple models.

    Parameters
    ----------
    judged
        Name of the model that the page is about.
    comparisons
        Rows of comparisons, from `model_table.comparison_rows`.
    fitted_on
        On how many people each simple model was fitted.
    """
    decided = [row for row in comparisons if row["verdict"] != TOO_FEW]
    if not decided:
        people = max((int(row["people"]) for row in comparisons), default=0)
        return [Flag("note", f"{too_few(people)}: differences may not hold in other people")]
    flags = []
    for row in decided:
        if row["question"] is not None:
            level, words = _ANSWERS[row["question"]][_known(row, _ANSWERS[row["question"]])]
            flags.append(Flag(level, f"{words} ({_figures(row)})"))
    for key, word in _SCORES.items():
        scored = [row for row in decided if row["question"] is None and row["score"] == key]
        parts = [
            f"{words} {', '.join(named)}"
            for kind, words in _AGAINST.items()
            if (
                named := [
                    f"{row['against']} ({_figures(row)})"
                    for row in scored
                    if _known(row, _AGAINST) == kind
                ]
            )
        ]
        if parts:
            worse = any(row["verdict"] == WORSE for row in scored)
            text = f"In {word}, {judged} is {'; '.join(parts)}"
            flags.append(Flag("warning" if worse else "note", text))
    above = {row["verdict"] for row in decided if row["question"] is None and row["score"] == "r"}
    if NO_VERDICT in above or (BETTER in above and fitted_on < _FEW):
        flags.append(Flag("note", _WEAK.format(people=fitted_on)))
    worth = {row["verdict"] for row in decided if row["question"] == WORTH_USING}
    if above & {BETTER, NO_VERDICT} and worth and BETTER not in worth:
        flags.append(Flag("note", _OWN_MEAN_ENOUGH))
    return flags


def _known(row: Mapping[str, Any], words: Mapping[str, object]) -> str:
    """Return the words of a row's verdict, if there are any."""
    return row["verdict"] if row["verdict"] in words else _UNDECIDED


def _figures(row: Mapping[str, Any]) -> str:
    """Write a difference with its interval, p and, without a verdict, the reason."""
    interval = row["difference"]
    # Small differences are shown with their sign and enough digits: they may be significant.
    digits = 4 if 0 < max(map(abs, interval)) < 0.01 else 3
    mean, low, high = (figure(value, digits) for value in interval)
    # Without a line break inside the number.
    p = "p\N{NO-BREAK SPACE}" + (
        "<\N{NO-BREAK SPACE}0.001" if row["p"] < 0.001 else f"{row['p']:.3f}"
    )
    why = "" if row["verdict"] in _AGAINST else f": {row['verdict']}"
    return f"{mean}, 95 % from {low} to {high}, {p}{why}"


def _ceiling_words(ceilings: Ceilings | None) -> str:
    """Say what the ceilings are of, or why there are none."""
    if ceilings is None:
        return "Noise ceiling n/a: nobody has a second session of measured maps."
    return (
        "The upright mark is the noise ceiling, the r of a prediction of the true maps: of "
        f"{counted(ceilings.people, 'participant')} whose maps were measured twice. Mean over "
        f"contrasts {figure(ceilings.mean)}; of residual r {figure(ceilings.residual_mean)}."
        + (" So few people determine it badly." if ceilings.people < FEWEST else "")
    )


def _table(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], name: str = "model"
) -> dict[str, Any]:
    """Return the columns and rows that have a value; `name` is the key of a row's name."""
    known = [key for key in columns if any(row.get(key) is not None for row in rows)]
    return {
        "headings": [columns[key] for key in known],
        "models": [
            (row[name], [_cell(row.get(key)) for key in known])
            for row in rows
            if any(row.get(key) is not None for key in known)
        ],
    }


def _cell(value: object) -> tuple[str, str, str]:
    """Return a value, its interval if there is one, and the sort key."""
    match value:
        case [float() | int() as mean, float() | int() as low, float() | int() as high]:
            return figure(mean), f"{figure(low)} to {figure(high)}", str(mean)
        case [float() | int() as mean, None, None]:
            return figure(mean), "", str(mean)
        case int():
            return str(value), "", str(value)
        case float():
            return figure(value), "", str(value)
        case _:
            return "n/a", "", ""


def _by_contrast(facts: ModelPageFacts, colours: Mapping[str, str]) -> dict[str, Any]:
    """Make a row for each contrast with a dot for each model, sorted by the first model's r."""
    ceilings = np.full(len(facts.contrasts), np.nan)
    if facts.ceilings is not None:
        ceilings = facts.ceilings.by_contrast
    values = np.array([*(facts.r[name] for name in colours if name in facts.r), ceilings])
    finite = values[np.isfinite(values)]
    top = nice(max(float(finite.max()), 0.05)) if finite.size else 1.0
    low = min(0.0, float(np.floor(10 * finite.min()) / 10)) if finite.size else 0.0
    first = next(iter(facts.r.values()))
    order = np.argsort(-np.where(np.isfinite(first), first, -2.0))

    def place(value: float) -> float:
        return _WIDTH * (float(np.clip(value, low, top)) - low) / (top - low)

    # The judged model is drawn last, on top.
    names = sorted((name for name in facts.r if name in colours), key=facts.judged.__eq__)
    middle = (len(names) - 1) / 2
    rows = [
        (
            facts.contrasts[q],
            _ROW * number,
            [
                (
                    place(facts.r[name][q]),
                    _ROW * number + _DOT_GAP * (at - middle),
                    4.5 if name == facts.judged else 3,
                    colours[name],
                    f"{name}: {figure(facts.r[name][q])}",
                )
                for at, name in enumerate(names)
                if np.isfinite(facts.r[name][q])
            ],
            place(ceilings[q]) if np.isfinite(ceilings[q]) else None,
        )
        for number, q in enumerate(order)
    ]
    step = nice((top - low) / 5)
    marks = np.arange(np.ceil(low / step - 1e-9), np.floor(top / step + 1e-9) + 1) * step
    ticks = [
        (place(mark), f"{mark:g}".replace("-", "\N{MINUS SIGN}")) for mark in marks.round(9) + 0.0
    ]
    return {"rows": rows, "ticks": ticks, "height": _ROW * len(order), "width": _WIDTH}


def _pair(name: str, matrix: NDArray[np.float64], most: float) -> dict[str, Any]:
    """Draw a matrix, and the same matrix minus the mean of each row."""
    known, own = np.isfinite(matrix), np.eye(len(matrix), dtype=bool)
    # A constant map has no correlation.
    count = known.sum(axis=1, keepdims=True).clip(1)
    rows = np.where(known, matrix, 0.0)
    away = np.where(known, rows - rows.sum(axis=1, keepdims=True) / count, 0.0)
    # If a model predicts one map for everybody, a row minus its mean is rounding error.
    away[np.abs(away) < _ROUNDING] = 0.0
    return {
        "name": name,
        "size": len(matrix),
        "own": _mean(matrix[known & own]),
        "others": _mean(matrix[known & ~own]),
        "scale": SIGNED.css,
        "pictures": [
            (words, inline(draw_matrix(values, SIGNED, -largest, largest)), f"{largest:g}")
            for words, values, largest in (
                ("", rows, most),
                (", minus the mean of each row", away, max(_most(away), _LEAST_AWAY)),
            )
        ],
    }


def _most(*matrices: NDArray[np.float64]) -> float:
    """Return a common end of the scale for all finite values."""
    largest = max(
        (float(np.abs(matrix[np.isfinite(matrix)]).max(initial=0.0)) for matrix in matrices),
        default=0.0,
    )
    return nice(largest) if largest > 0 else 1.0


def _mean(values: NDArray[np.float64]) -> str:
    return figure(float(values.mean())) if values.size else "n/a"


def _curve(title: str, values: Sequence[float]) -> Curve:
    known = np.asarray(values, float)
    low, high = float(np.nanmin(known)), float(np.nanmax(known))
    x = np.linspace(0, 440, len(known))
    y = 80 * (1 - (known - low) / ((high - low) or 1.0))
    path = "M" + " L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    first, last = figure(known[0], 4), figure(known[-1], 4)
    return Curve(title, path, first, last, figure(low, 4), figure(high, 4), len(known))
