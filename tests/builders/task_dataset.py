"""Simulated task runs as fMRIPrep leaves them, on coarse grids: small files for fast tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fmriprep_dataset import add_run, describe_dataset, write_confounds
from task_run import TaskPlan, draw_task_run

from bids_dtg.contrasts.phantom.bold import draw_run
from bids_dtg.contrasts.phantom.model import Person
from bids_dtg.phantom.bold_run import BoldRun
from bids_dtg.phantom.confounds import SignalRecorder, confounds_table

MOTOR = """task = "motor"
[contrasts]
motorLh = "LH"
motorLhVsRh = "LH - RH"
"""


def make_task_dataset(root: Path) -> tuple[Path, Path]:
    """Describe a raw dataset and its fMRIPrep derivatives below it; return both folders."""
    raw = describe_dataset(root, kind="raw")
    return raw, describe_dataset(root / "derivatives" / "fmriprep")


def add_task_run(
    raw: Path,
    derivatives: Path,
    person: Person,
    plan: TaskPlan,
    run: int = 0,
    *,
    label: str = "01",
    session: str | None = None,
) -> Path:
    """Add a run of a task and its events; return the path of the event file."""
    drawn = draw_task_run(person, plan, run)
    image = _add_series(
        derivatives,
        drawn.bold,
        label,
        session=session,
        task=plan.task.lower(),
        entities=f"run-{run + 1}",
    )
    stem = image.name.partition("_space-")[0]
    events = raw / image.parent.relative_to(derivatives) / f"{stem}_events.tsv"
    rows = zip(drawn.onset_s, drawn.condition, strict=True)
    lines = [f"{onset:g}\t{drawn.duration_s:g}\t{name}" for onset, name in rows]
    events.parent.mkdir(parents=True, exist_ok=True)
    events.write_text("\n".join(["onset\tduration\ttrial_type", *lines]) + "\n")
    return events


def add_rest_run(derivatives: Path, person: Person, *, label: str, frames: int = 320) -> Path:
    """Add a run of rest of 2 s a frame; return the path of its series."""
    return _add_series(derivatives, draw_run(person, frames, 2.0), label, task="rest")


def _add_series(derivatives: Path, run: BoldRun, label: str, **names: str | None) -> Path:
    signals, frames = SignalRecorder(run.anatomy), []
    for block in run.blocks():
        signals.add(block)
        frames.append(block)
    anatomy = run.anatomy
    bold = np.zeros((*anatomy.grid.shape, run.frames), np.float32)
    bold[anatomy.brain] = np.concatenate(frames).T
    image = add_run(
        derivatives,
        label,
        **names,
        bold=bold,
        mask=anatomy.brain,
        affine=anatomy.grid.affine,
        tr=run.repetition_time_s,
        parts=("bold", "json", "mask"),
    )
    columns, _ = confounds_table(
        run.motion, signals, non_steady=2, repetition_time_s=run.repetition_time_s
    )
    write_confounds(
        image.with_name(f"{image.name.partition('_space-')[0]}_desc-confounds_timeseries.tsv"),
        {
            name: ["n/a" if np.isnan(value) else f"{value:.6f}" for value in column]
            for name, column in columns.items()
        },
    )
    return image
