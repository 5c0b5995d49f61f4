"""The file of a bundle that keeps what a new person's first trials are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import BundleError
from bids_dtg.files.tensors import TensorFile, encode_arrays

if TYPE_CHECKING:
    from bids_dtg.twin.few_shot.code_times import CodeTimes
    from bids_dtg.twin.few_shot.prior import FewShot, TaskPrior
    from bids_dtg.twin.own_trials.rates import PersonRate
    from bids_dtg.twin.tasks import Task

Arrays = dict[str, NDArray[Any]]
OWN_TRIALS_FILE = "own_trials.safetensors"


def encode_few_shot(few_shot: FewShot) -> bytes:
    """Make the file's bytes; equal content gives equal bytes."""
    arrays: Arrays = {}
    for prior in few_shot.tasks:
        for name, values in _of_prior(prior).items():
            arrays[f"{prior.task.name}/{name}"] = np.ascontiguousarray(values)
    return encode_arrays(arrays)


def _of_prior(prior: TaskPrior) -> Arrays:
    found: Arrays = {
        "directions": prior.directions.directions,
        "condition": np.asarray(prior.condition, np.int64),
        "correct_button": np.asarray(prior.correct_button, np.int64),
    }
    for name, rate in (("missed", prior.outcomes.missed), ("wrong", prior.outcomes.wrong)):
        found[name] = np.concatenate([[rate.a, rate.b], rate.of_condition])
    for name, times in (("group", prior.group), ("connectome", prior.connectome)):
        if times is not None:
            found |= {f"{name}/{key}": values for key, values in _of_times(times).items()}
    return found


def _of_times(times: CodeTimes) -> Arrays:
    effects = times.effects
    found: Arrays = {
        "means": times.means.weights,
        "place": np.array([times.place.mean, times.place.sd]),
        "covariance": effects.prior.covariance,
        "noise": effects.prior.noise,
        "after": np.array(sorted(effects.spreads), np.int64),
    }
    if times.means.columns is not None:
        known = np.isfinite(times.means.columns)  # others have too few people
        found["columns"] = np.where(known, times.means.columns, 0.0)
        found["columns_known"] = known.astype(np.uint8)
    for number, spread in effects.spreads.items():
        found[f"{number}/sd"] = spread.of_group
        found[f"{number}/slopes"] = spread.slopes
        found[f"{number}/knots"] = np.stack([shape.knots for shape in spread.shapes])
        found[f"{number}/heights"] = np.stack([shape.heights for shape in spread.shapes])
    return found


def read_few_shot(path: Path, tasks: Sequence[Task]) -> FewShot:
    """Read the file of a model of these tasks.

    Raises
    ------
    BundleError
        The file is damaged or does not fit the tasks.
    """
    from bids_dtg.twin.few_shot.prior import FewShot

    arrays = TensorFile(path).read()
    try:
        found = tuple(
            _prior(task, _below(arrays, task.name))
            for task in tasks
            if f"{task.name}/directions" in arrays
        )
    except (KeyError, ValueError, IndexError) as err:
        raise BundleError(
            f"{path} does not fit the tasks of the model: {err}",
            remedy="fetch or make the bundle again",
        ) from err
    return FewShot(found)


def _prior(task: Task, arrays: Arrays) -> TaskPrior:
    from bids_dtg.twin.few_shot.basis import CodeDirections
    from bids_dtg.twin.few_shot.prior import TaskPrior
    from bids_dtg.twin.own_trials.rates import Outcomes

    return TaskPrior(
        task,
        CodeDirections(arrays["directions"]),
        _times(task, _below(arrays, "group")),
        _times(task, _below(arrays, "connectome")) if "connectome/means" in arrays else None,
        Outcomes(_rate(arrays["missed"], task), _rate(arrays["wrong"], task)),
        arrays["condition"],
        arrays["correct_button"],
    )


def _times(task: Task, arrays: Arrays) -> CodeTimes:
    from bids_dtg.twin.few_shot.code_times import CodeTimes, Place
    from bids_dtg.twin.few_shot.posterior import EffectsPrior
    from bids_dtg.twin.few_shot.times import PersonTimes, Spread
    from bids_dtg.twin.own_trials.curves import Shape, grid, log_seconds
    from bids_dtg.twin.own_trials.group import TrialMeans

    conditions, spreads = len(task.conditions), {}
    for number in arrays["after"].tolist():
        own = _below(arrays, str(number))
        shapes = zip(own["knots"], own["heights"], strict=True)
        spread = Spread(own["sd"], own["slopes"], tuple(Shape(*each) for each in shapes))
        if (len(spread.of_group), len(spread.shapes)) != (conditions, conditions):
            raise ValueError(f"{task.name} has spreads of other than {conditions} conditions")
        spreads[number] = spread
    effects = PersonTimes(EffectsPrior(arrays["covariance"], arrays["noise"]), spreads)
    columns = arrays.get("columns")
    if columns is not None:
        columns = np.where(arrays["columns_known"] > 0, columns, np.nan)
    means = TrialMeans(arrays["means"], columns, conditions, len(task.buttons))
    mean, sd = arrays["place"].tolist()
    none = np.zeros((1, 0, 0))
    return CodeTimes(log_seconds(grid(task.window_seconds)), means, Place(mean, sd), effects, none)


def _rate(values: NDArray[np.float64], task: Task) -> PersonRate:
    from bids_dtg.twin.own_trials.rates import PersonRate

    if len(values) != 2 + len(task.conditions):
        raise ValueError(f"{task.name} has rates of {len(values) - 2} conditions")
    return PersonRate(float(values[0]), float(values[1]), values[2:])


def _below(arrays: Mapping[str, NDArray[Any]], prefix: str) -> Arrays:
    start = f"{prefix}/"
    return {
        name.removeprefix(start): values
        for name, values in arrays.items()
        if name.startswith(start)
    }
