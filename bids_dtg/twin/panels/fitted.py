"""How well the twin predicts the person's responses, compared with group network and chance."""

from __future__ import annotations

from collections.abc import Sequence

from bids_dtg.notices import counted
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.numbers import NOT_KNOWN, figure
from bids_dtg.report.panels.panel import Canvas, Figure, Listing
from bids_dtg.twin.panels.fit import TaskFit, read_fits

_HEADINGS = (
    *("Task", "Trials", "Cross-entropy, twin", "Group\N{RIGHT SINGLE QUOTATION MARK}s network"),
    *("Chance", "CRPS, twin (s)", "Group\N{RIGHT SINGLE QUOTATION MARK}s network (s)"),
)


def draw(made: RunFiles, canvas: Canvas) -> Figure | None:
    """Lay out the fit to a person's own responses; None without responses."""
    fits = read_fits(made.facts)
    if not fits:
        return None
    rows = tuple((fit.task, f"{fit.trials}", *map(_cell, _numbers(fit))) for fit in fits)
    return Figure((Listing(_HEADINGS, rows),), f"{_sentence(fits)} {_CAUTION}")


_CAUTION = (
    "Lower is better: the cross-entropy of buttons over time, and the continuous ranked "
    "probability score of response times. The figures of one person cannot show whether their "
    "connectome matters: this is tested over people (group --analysis evaluate)."
)


def _numbers(fit: TaskFit) -> tuple[float | None, ...]:
    return (
        *(fit.cross_entropy, fit.group_cross_entropy, fit.chance_cross_entropy),
        *(fit.crps_seconds, fit.group_crps_seconds),
    )


def _cell(value: float | None) -> str:
    return NOT_KNOWN if value is None else figure(value, 4)


def _sentence(fits: Sequence[TaskFit]) -> str:
    compared = [fit for fit in fits if fit.group_cross_entropy is not None]
    if not compared:
        return "The model has no network of the group."
    better = [fit.task for fit in compared if fit.cross_entropy < (fit.group_cross_entropy or 0)]
    said = f" ({', '.join(better)})" if better else ""
    return (
        f"The twin predicts the person\N{RIGHT SINGLE QUOTATION MARK}s responses better than "
        f"the network of the group in {len(better)} of {counted(len(compared), 'task')}{said}."
    )
