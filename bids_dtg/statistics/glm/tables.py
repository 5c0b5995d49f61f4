"""Tables of first-level analyses: runs, conditions, and how well contrasts are estimated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.inputs.task.model_file import GlmModel
from bids_dtg.statistics.glm.estimate import RunFit
from bids_dtg.statistics.glm.task_run import PlannedTaskRun

Row = Mapping[str, object]
# Above it the columns of a contrast overlap too much to be separated (Mumford et al. 2015).
LARGE_INFLATION = 5.0
# |z| above it has a two-sided p < 0.002: by chance in 0.2 % of the voxels.
Z_LIMIT, Z_CHANCE = 3.1, 0.0019

_WHOSE = (
    Column("participant_id", "Participant, as in participants.tsv"),
    Column("session_id", "Session; n/a where there are none"),
    Column("run", "Run, as in the names of its files"),
)
_RUNS = (
    *_WHOSE,
    Column("frames", "Volumes of the run"),
    Column("repetition_time", "Seconds a volume"),
    Column("trials", "Trials with a condition"),
    Column("confounds", "Columns of confounds"),
    Column("censored", "Volumes with a column each: not in the steady state, or censored"),
    Column("residual_dof", "Residual degrees of freedom: volumes minus independent columns"),
    Column(
        "r_squared",
        "Share of the variance about the mean that the design explains, mean over voxels; "
        "censored volumes left out",
    ),
    Column("task_r_squared", "Share that conditions add to the other columns, mean over voxels"),
)
_CONDITIONS = (
    *_WHOSE,
    Column("condition", "Trial type"),
    Column("trials", "Number of trials"),
    Column("seconds", "Sum of their durations"),
)
_CONTRASTS = (
    *_WHOSE,
    Column("contrast", "Label of the contrast"),
    Column("trials", "Trials of the contrast's condition with the fewest"),
    Column(
        "inflation",
        "Variance inflation factor: the variance of the contrast over that without "
        f"correlations between columns; above {LARGE_INFLATION:g} its columns overlap",
    ),
    Column(
        "efficiency",
        "1 / c(X'X)⁻c' of the contrast c and the design X: compare runs of one contrast",
    ),
    Column(
        "active", f"Share of voxels with |z| above {Z_LIMIT:g}; {Z_CHANCE:.2%} on average by chance"
    ),
    Column("missing", "Why there is no map; n/a where there is one"),
)


def run_row(plan: PlannedTaskRun, fit: RunFit) -> dict[str, object]:
    """Return the row of a run."""
    return _whose(plan) | {
        "frames": plan.header.frames,
        "repetition_time": plan.tr_seconds,
        "trials": len(plan.trials.condition),
        "confounds": len(plan.confounds),
        "censored": plan.censored,
        "residual_dof": fit.dof,
        "r_squared": float(np.mean(fit.r_squared)),
        "task_r_squared": float(np.mean(fit.task_r_squared)),
    }


def condition_rows(plan: PlannedTaskRun) -> Iterator[dict[str, object]]:
    """Yield a row for each condition of a run."""
    conditions = np.array(plan.trials.condition, object)
    for name, trials in sorted(plan.trials.counts.items()):
        seconds = float(plan.trials.duration_s[conditions == name].sum())
        yield _whose(plan) | {"condition": name, "trials": trials, "seconds": seconds}


def contrast_rows(
    plan: PlannedTaskRun, fit: RunFit, model: GlmModel
) -> Iterator[dict[str, object]]:
    """Yield a row for each contrast of a run, including those without a map."""
    for label, weights in model.contrasts.items():
        row = _whose(plan) | {
            "contrast": label,
            "trials": min(plan.trials.counts.get(name, 0) for name in weights),
        }
        if label in plan.missing:
            yield row | {"missing": plan.missing[label]}
            continue
        vector = plan.contrasts[label]
        yield row | {
            "inflation": plan.design.inflation(vector),
            "efficiency": plan.design.efficiency(vector),
            "active": float(np.mean(np.abs(fit.estimates[label].z) > Z_LIMIT)),
        }


def write_tables(
    results: ResultFolder, runs: Sequence[Row], conditions: Sequence[Row], contrasts: Sequence[Row]
) -> None:
    """Write the three tables."""
    results.table("desc-runs_qc", ResultTable(_RUNS, runs, "Task runs: a row each"))
    words = "Trials: a row a run and condition"
    results.table("desc-conditions_qc", ResultTable(_CONDITIONS, conditions, words))
    words = "Designs: a row a run and contrast"
    results.table("desc-contrasts_qc", ResultTable(_CONTRASTS, contrasts, words))


def _whose(plan: PlannedTaskRun) -> dict[str, object]:
    run = plan.run
    return {
        "participant_id": f"sub-{run.participant}",
        "session_id": f"ses-{run.session}" if run.session else None,
        "run": run.title,
    }
