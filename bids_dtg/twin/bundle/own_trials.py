"""Tensors of a bundle that keep what a new person's first trials are compared with.

Those of a network lie in `OWN_TRIALS_FILE`. Those of the closed form are among them, and are the
weights of a model without a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import BundleError
from bids_dtg.files.tensors import TensorFile, encode_arrays

if TYPE_CHECKING:
    from bids_dtg.twin.few_shot.basis import CodeDirections
    from bids_dtg.twin.few_shot.code_times import CodeTimes
    from bids_dtg.twin.few_shot.prior import FewShot, TaskPrior
    from bids_dtg.twin.own_trials.closed_form import ClosedForm
    from bids_dtg.twin.own_trials.curves import Shape
    from bids_dtg.twin.own_trials.group import TrialMeans
    from bids_dtg.twin.own_trials.rates import PersonRate
    from bids_dtg.twin.tasks import Task

Arrays = dict[str, NDArray[Any]]
Kept = TypeVar("Kept")  # of a task
OWN_TRIALS_FILE = "own_trials.safetensors"


def encode_few_shot(few_shot: FewShot) -> bytes:
    """Make the file's bytes; equal content gives equal bytes."""
    arrays: Arrays = {}
    for prior in few_shot.tasks:
        for name, values in _of_prior(prior).items():
            arrays[f"{prior.task.name}/{name}"] = np.ascontiguousarray(values)
    return encode_arrays(arrays)


def closed_form_arrays(forms: Sequence[ClosedForm]) -> Arrays:
    """Return the tensors of the closed forms of tasks, by name."""
    return {
        f"{form.task.name}/{name}": np.ascontiguousarray(values)
        for form in forms
        for name, values in _of_closed_form(form).items()
    }


def _of_prior(prior: TaskPrior) -> Arrays:
    found: Arrays = {"directions": prior.directions.directions}
    for name, times in (("group", prior.group), ("connectome", prior.connectome)):
        if times is not None:
            found |= {f"{name}/{key}": values for key, values in _of_times(times).items()}
    return found | _of_closed_form(prior.closed_form)


def _of_times(times: CodeTimes) -> Arrays:
    effects = times.effects
    found: Arrays = {
        **_of_means(times.means),
        "place": np.array([times.place.mean, times.place.sd]),
        "start": np.array(times.weights),
        "covariance": effects.prior.covariance,
        "noise": effects.prior.noise,
        "freedom": np.array([effects.prior.freedom]),
        "after": np.array(sorted(effects.spreads), np.int64),
    }
    for number, spread in effects.spreads.items():
        found |= _of_spread(number, spread.of_group, spread.slopes, spread.shapes)
    return found


def _of_closed_form(form: ClosedForm) -> Arrays:
    # Spreads alone depend on the number of own trials.
    numbers = sorted(form.effects)
    one = form.effects[numbers[0]]
    effects: Arrays = {
        **_of_means(one.means),
        "centre": one.effects.design.centre,
        "scale": one.effects.design.scale,
        "covariance": one.effects.covariance,
        "noise": one.effects.noise,
        "after": np.array(numbers, np.int64),
    }
    for number in numbers:
        spread = form.effects[number].spread
        effects |= _of_spread(number, spread.of_condition, spread.weights, spread.shapes)
    found: Arrays = {f"closed_form/{name}": values for name, values in effects.items()}
    for name, rate in (("missed", form.outcomes.missed), ("wrong", form.outcomes.wrong)):
        found[name] = np.concatenate([[rate.a, rate.b], rate.of_condition])
    found["condition"] = np.asarray(form.condition, np.int64)
    found["correct_button"] = np.asarray(form.correct_button, np.int64)
    return found


def _of_means(means: TrialMeans) -> Arrays:
    found: Arrays = {"means": means.weights}
    if means.columns is not None:
        known = np.isfinite(means.columns)  # others have too few people
        found["columns"] = np.where(known, means.columns, 0.0)
        found["columns_known"] = known.astype(np.uint8)
    return found


def _of_spread(
    number: int, sd: NDArray[np.float64], slopes: NDArray[np.float64], shapes: Sequence[Shape]
) -> Arrays:
    return {
        f"{number}/sd": sd,
        f"{number}/slopes": slopes,
        f"{number}/knots": np.stack([shape.knots for shape in shapes]),
        f"{number}/heights": np.stack([shape.heights for shape in shapes]),
    }


def read_few_shot(path: Path, tasks: Sequence[Task]) -> FewShot:
    """Read the file of a model of these tasks.

    Raises
    ------
    BundleError
        The file is damaged or does not fit the tasks.
    """
    from bids_dtg.twin.few_shot.prior import FewShot

    return FewShot(_each_task(path, tasks, _prior))


def read_closed_forms(path: Path, tasks: Sequence[Task]) -> tuple[ClosedForm, ...]:
    """Read the closed forms of a model of these tasks.

    Raises
    ------
    BundleError
        The file is damaged or does not fit the tasks.
    """
    return _each_task(path, tasks, _closed_form)


def _each_task(
    path: Path, tasks: Sequence[Task], read: Callable[[Task, Arrays], Kept]
) -> tuple[Kept, ...]:
    """Read what a file has of tasks; one in which nobody had a response is not in it."""
    arrays = TensorFile(path).read()
    try:
        return tuple(
            read(task, _below(arrays, task.name))
            for task in tasks
            if f"{task.name}/missed" in arrays
        )
    except KeyError as err:
        raise BundleError(
            f"{path} has no {err} of a task: another version made it, or it is damaged",
            remedy="train the model again, or fetch it",
        ) from err
    except (ValueError, IndexError) as err:
        raise BundleError(
            f"{path} does not fit the tasks of the model: {err}",
            remedy="fetch or make the bundle again",
        ) from err


def _prior(task: Task, arrays: Arrays) -> TaskPrior:
    from bids_dtg.twin.few_shot.basis import CodeDirections
    from bids_dtg.twin.few_shot.prior import TaskPrior

    directions = CodeDirections(arrays["directions"])
    return TaskPrior(
        task,
        directions,
        _times(task, _below(arrays, "group"), directions),
        _times(task, _below(arrays, "connectome"), directions)
        if "connectome/means" in arrays
        else None,
        _closed_form(task, arrays),
    )


def _times(task: Task, arrays: Arrays, directions: CodeDirections) -> CodeTimes:
    from bids_dtg.twin.few_shot.code_times import CodeTimes, Place
    from bids_dtg.twin.few_shot.posterior import USUAL_FREEDOM, EffectsPrior
    from bids_dtg.twin.few_shot.times import PersonTimes, Spread
    from bids_dtg.twin.own_trials.curves import grid, log_seconds

    spreads = {
        number: Spread(own["sd"], own["slopes"], shapes)
        for number, own, shapes in _spreads(task, arrays)
    }
    (freedom,) = arrays.get("freedom", np.array([USUAL_FREEDOM])).tolist()
    prior = EffectsPrior(arrays["covariance"], arrays["noise"], freedom)
    effects = PersonTimes(prior, spreads)
    mean, sd = arrays["place"].tolist()
    # Earlier versions had one weight for conditions and the rest.
    start = arrays["start"]
    level, condition, rest = np.pad(start, (0, 3 - len(start)), "edge").tolist()
    # Earlier versions have effects of level, practice and directions alone.
    conditions = len(arrays["covariance"]) - 2 - directions.directions.shape[1]
    if conditions not in (0, len(task.conditions) - 1):
        raise ValueError(f"{conditions} effects of conditions")
    times, none = log_seconds(grid(task.window_seconds)), np.zeros((1, 0, 0))
    return CodeTimes(
        times,
        _means(task, arrays),
        Place(mean, sd),
        effects,
        none,
        conditions,
        weights=(level, condition, rest),
    )


def _closed_form(task: Task, arrays: Arrays) -> ClosedForm:
    from bids_dtg.twin.own_trials.closed_form import ClosedForm
    from bids_dtg.twin.own_trials.curves import grid, log_seconds
    from bids_dtg.twin.own_trials.person_effects import Design, Effects, PersonEffects
    from bids_dtg.twin.own_trials.rates import Outcomes
    from bids_dtg.twin.own_trials.spread import Spread

    own = _below(arrays, "closed_form")
    design = Design(len(task.conditions), own["centre"], own["scale"])
    effects = Effects(design, own["covariance"], own["noise"])
    times, means = log_seconds(grid(task.window_seconds)), _means(task, own)
    return ClosedForm(
        task,
        {
            number: PersonEffects(times, means, effects, Spread(each["sd"], each["slopes"], shapes))
            for number, each, shapes in _spreads(task, own)
        },
        Outcomes(_rate(arrays["missed"], task), _rate(arrays["wrong"], task)),
        arrays["condition"],
        arrays["correct_button"],
    )


def _means(task: Task, arrays: Arrays) -> TrialMeans:
    from bids_dtg.twin.own_trials.group import TrialMeans

    columns = arrays.get("columns")
    if columns is not None:
        columns = np.where(arrays["columns_known"] > 0, columns, np.nan)
    return TrialMeans(arrays["means"], columns, len(task.conditions), len(task.buttons))


def _spreads(task: Task, arrays: Arrays) -> Iterator[tuple[int, Arrays, tuple[Shape, ...]]]:
    """Yield numbers of own trials, and the spreads after them with their shapes."""
    from bids_dtg.twin.own_trials.curves import Shape

    conditions = len(task.conditions)
    for number in arrays["after"].tolist():
        own = _below(arrays, str(number))
        shapes = tuple(Shape(*each) for each in zip(own["knots"], own["heights"], strict=True))
        if (len(own["sd"]), len(shapes)) != (conditions, conditions):
            raise ValueError(f"{task.name} has spreads of other than {conditions} conditions")
        yield number, own, shapes


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
