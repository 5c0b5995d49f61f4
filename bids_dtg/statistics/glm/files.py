"""Files of first-level analyses: maps of runs, and of runs put together, in folders of nodes.

As FitLins names them, so that `--derivatives statmaps=` reads them back: `node-runLevel`,
`node-sessionLevel` and `node-subjectLevel` say which is which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.result_folder import ResultFolder
from bids_dtg.errors import RunError
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.names import build_path
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_single
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.task.model_file import GlmModel
from bids_dtg.statistics.glm.estimate import Estimate, RunFit, combine_runs
from bids_dtg.statistics.glm.task_run import PlannedTaskRun, columns_in_words
from bids_dtg.version import __version__

# Entities of a series that its maps keep; those of a run are dropped where runs are combined.
_KEPT = ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run", "space", "cohort", "res")
_OF_RUN = ("dir", "run")
_STATISTICS = ("z", "effect", "variance")
LEVELS = _RUNS, _SESSIONS, _PEOPLE = "node-runLevel", "node-sessionLevel", "node-subjectLevel"
# Files that the analysis can write, by names without extension.
CAN_WRITE = (
    *(f"{level}/sub-*_statmap" for level in LEVELS),
    *(f"{level}/dataset_description" for level in LEVELS),
    *("desc-runs_qc", "desc-conditions_qc", "desc-contrasts_qc", "dataset_description"),
)
UNITS = (
    "stat-z: z of the effect's t, of the same p; stat-effect: percent of the voxel's mean over the "
    "run, times the contrast's weights; stat-variance: square of the effect's unit"
)


@dataclass(frozen=True, eq=False)
class FittedRun:
    """The maps of a run, as files."""

    run: RestRun
    places: VoxelPlaces  # of the maps
    dof: float  # residual degrees of freedom
    files: Mapping[str, Mapping[str, Path]]  # by contrast and statistic


def write_run_maps(
    results: ResultFolder,
    plan: PlannedTaskRun,
    places: VoxelPlaces,
    fit: RunFit,
    model: GlmModel,
) -> FittedRun:
    """Write z, effect and variance of each contrast of a run, and their common sidecar.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    entities = {key: value for key, value in plan.run.entities if key in _KEPT}
    files = {
        label: _write_maps(results, _RUNS, entities, label, places, estimate)
        for label, estimate in fit.estimates.items()
    }
    facts = _facts(model, [plan.run], places.grid) | {
        "RepetitionTime": plan.tr_seconds,
        "SliceTimeReference": plan.slice_time_ref,
        "NumberOfVolumes": plan.header.frames,
        "NumberOfTrials": dict(sorted(plan.trials.counts.items())),
        "DesignColumns": list(plan.design.columns),
        "NumberOfCensoredVolumes": plan.censored,
        "ResidualDegreesOfFreedom": fit.dof,
        "Contrasts": {label: dict(model.contrasts[label]) for label in files},
    }
    results.json(_name(_RUNS, entities), facts)
    return FittedRun(plan.run, places, fit.dof, files)


def write_combined_maps(
    results: ResultFolder, runs: Sequence[FittedRun], model: GlmModel
) -> dict[str, tuple[VoxelPlaces, NDArray[np.float32]]]:
    """Combine the runs of one session and write the maps; return the z of each contrast.

    Sessions stay apart. A contrast is combined over the runs that have it, at the voxels that all
    of these have.

    Raises
    ------
    RunError
        The runs are on different grids.
    OutputError
        A file cannot be written.
    """
    first = runs[0]
    _require_one_grid(runs)
    shared = dict(first.run.entities)
    for other in runs[1:]:
        shared = {k: v for k, v in shared.items() if dict(other.run.entities).get(k) == v}
    entities = {k: v for k, v in shared.items() if k in _KEPT and k not in _OF_RUN}
    level = _SESSIONS if first.run.session else _PEOPLE
    made = {}
    for label in model.contrasts:
        if not (having := [run for run in runs if label in run.files]):
            continue
        places, estimate = _combined(having, label)
        _write_maps(results, level, entities, label, places, estimate)
        made[label] = places, estimate.z
    facts = _facts(model, [run.run for run in runs], first.places.grid) | {
        "Method": "fixed effects: effects weighted by their inverse variance",
        "ResidualDegreesOfFreedom": sum(run.dof for run in runs),
        "NumberOfRuns": len(runs),
        "Contrasts": {
            label: {
                "Weights": dict(model.contrasts[label]),
                "Runs": [run.run.title for run in runs if label in run.files],
            }
            for label in made
        },
    }
    results.json(_name(level, entities), facts)
    return made


def _combined(runs: Sequence[FittedRun], label: str) -> tuple[VoxelPlaces, Estimate]:
    positions = runs[0].places.positions
    for other in runs[1:]:
        positions = np.intersect1d(positions, other.places.positions, assume_unique=True)
    places = VoxelPlaces(runs[0].places.grid, positions)
    estimates = [_read(run.files[label], positions) for run in runs]
    return places, combine_runs(estimates, [run.dof for run in runs])


def _read(files: Mapping[str, Path], positions: NDArray[np.intp]) -> Estimate:
    """Read the maps of one run at a time, so that memory does not grow with runs."""
    values = {name: read_single(path)[0].reshape(-1)[positions] for name, path in files.items()}
    effect, variance, z = (
        np.asarray(values[name], np.float32) for name in ("effect", "variance", "z")
    )
    return Estimate(effect, variance, z)


def _require_one_grid(runs: Sequence[FittedRun]) -> None:
    first = runs[0].places.grid
    for run in runs[1:]:
        grid = run.places.grid
        if grid.shape != first.shape or not np.allclose(grid.affine, first.affine, atol=1e-3):
            raise RunError(
                f"{runs[0].run.title} and {run.run.title} are on different grids",
                expected="one grid for all runs of a session",
                remedy="name it in --glm-model, as space = 'MNI152NLin6Asym:res-2'",
            )


def _write_maps(
    results: ResultFolder,
    level: str,
    entities: Mapping[str, str],
    label: str,
    places: VoxelPlaces,
    estimate: Estimate,
) -> dict[str, Path]:
    made = {}
    for statistic in _STATISTICS:
        data = places.encode(
            getattr(estimate, statistic),
            intent="z score" if statistic == "z" else "none",
            description=f"bids_dtg {__version__} glm",
        )
        named = {**entities, "contrast": label, "stat": statistic}
        made[statistic] = results.add(_name(level, named, ".nii.gz"))
        write_atomic(made[statistic], data)
    return made


def _name(level: str, entities: Mapping[str, str], extension: str = "") -> str:
    """Return the name of a file in the folder of results."""
    return f"{level}/{build_path(entities, 'statmap', extension)}"


def _facts(model: GlmModel, runs: Sequence[RestRun], grid: Grid) -> dict[str, Any]:
    """Return the common sidecar fields of single and combined runs."""
    return {
        "Description": "First-level analysis of measured task runs (nilearn)",
        "Task": model.task,
        "SpatialReference": runs[0].space,
        "Resolution": " x ".join(f"{size:g}" for size in grid.voxel_sizes_mm) + " mm",
        "SkullStripped": True,
        "Units": UNITS,
        "Runs": [run.title for run in runs],
        "HaemodynamicResponse": model.hrf,
        "HighPassHz": model.high_pass,
        "NoiseModel": model.noise_model,
        "Confounds": columns_in_words(model),
        "SmoothingFWHM": model.smoothing_fwhm,
        "Synthetic": False,
    }
