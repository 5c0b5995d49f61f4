"""The HCP tasks: 24 conditions, the design of the 47 contrasts, and what conditions share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.phantom import parameters as p

TASKS: Mapping[str, str] = {
    "LANGUAGE": "MATH STORY",
    "RELATIONAL": "MATCH REL",
    "SOCIAL": "RANDOM TOM",
    "EMOTION": "FACES SHAPES",
    "WM": "2BK_BODY 2BK_FACE 2BK_PLACE 2BK_TOOL 0BK_BODY 0BK_FACE 0BK_PLACE 0BK_TOOL",
    "MOTOR": "CUE LF LH RF RH T",
    "GAMBLING": "PUNISH REWARD",
}
"""The conditions of each task."""
CONDITIONS = tuple((task, name) for task, names in TASKS.items() for name in names.split())
"""(task, condition) in the order of the design's columns."""


def contrast_design() -> NDArray[np.float64]:
    """Return the design (contrasts, conditions) of the published contrasts, each row of length 1.

    A row weights the conditions of its task by 1/n on either side. Rows of length 1 keep
    independent noise of variance 1 at variance 1: all maps are z statistics.

    Examples
    --------
    >>> import numpy as np
    >>> design = contrast_design()
    >>> design.shape, int(np.linalg.matrix_rank(design))
    ((47, 24), 24)
    """
    design = np.zeros((len(hcp_contrasts()), len(CONDITIONS)))
    for row, contrast in zip(design, hcp_contrasts(), strict=True):
        plus, _, minus = contrast.name.partition("-")
        row += _mean_of(contrast.task, plus)
        if minus:
            row -= _mean_of(contrast.task, minus, beside=plus)
    unit: NDArray[np.float64] = design / np.linalg.norm(design, axis=1, keepdims=True)
    return unit


def _mean_of(task: str, name: str, beside: str = "") -> NDArray[np.float64]:
    """Weight the conditions of a part ("2BK", "BODY"); AVG is all but the cue and those beside."""
    parts = [set(condition.split("_")) if own == task else set() for own, condition in CONDITIONS]
    if name == "AVG":
        others = {"CUE", *beside.split("_")}
        chosen = np.array([bool(of) and not of & others for of in parts])
    else:
        chosen = np.array([set(name.split("_")) <= of for of in parts])
    weights: NDArray[np.float64] = chosen / chosen.sum()
    return weights


def condition_gains() -> NDArray[np.float32]:
    """Return the strength of each condition's maps, (conditions,)."""
    return np.array([p.TASK_GAINS[task] for task, _ in CONDITIONS], np.float32)


def condition_parts() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return networks' weights that conditions have in common.

    Returns
    -------
    parts
        (conditions, parts): weights of independent parts in each condition.
        One part is common to all; others belong to a task, or to a condition.
    density
        (parts,), the share of networks in each part.
    """
    own = {key: _own_parts(*key) for key in CONDITIONS}
    shared = [("", "common"), *((task, "task") for task in TASKS)]
    names = shared + sorted({(task, name) for (task, _), parts in own.items() for name in parts})
    column = {name: n for n, name in enumerate(names)}
    parts = np.zeros((len(own), len(names)))
    for row, ((task, _), weights) in zip(parts, own.items(), strict=True):
        row[column["", "common"]] = p.COMMON_WEIGHT * (p.MOTOR_COMMON if task == "MOTOR" else 1.0)
        row[column[task, "task"]] = p.TASK_WEIGHT
        for name, weight in weights.items():
            row[column[task, name]] = p.CONDITION_WEIGHT * weight
    density = np.full(len(names), p.DENSITIES[2])
    density[0], density[1 : len(shared)] = p.DENSITIES[:2]
    return parts, density


def _own_parts(task: str, condition: str) -> dict[str, float]:
    """Return a condition's specific parts, besides the common one and the task's, of length 1."""
    if task == "WM":  # a load ("2BK") and a category ("BODY")
        return {part: float(np.sqrt(0.5)) for part in condition.split("_")}
    own = p.DIFFERENCES.get(task, 1.0)
    return {"both": float(np.sqrt(1.0 - own**2)), condition: own}
