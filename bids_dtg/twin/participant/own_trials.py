"""A person's later trials in a task, predicted from the first ones and the connectome."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.notices import counted
from bids_dtg.twin.distribution import Distribution
from bids_dtg.twin.own_trials.first_trials import FirstTrials, Own, first_trials
from bids_dtg.twin.participant.event_trials import Behaviour
from bids_dtg.twin.participant.infer import SeenTrials

if TYPE_CHECKING:
    from bids_dtg.settings import Settings
    from bids_dtg.twin.few_shot.prior import FewShot, Prediction, TaskPrior
    from bids_dtg.twin.fitting import Fitted
    from bids_dtg.twin.own_trials.closed_form import ClosedForm

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]

# What a prediction is made from; the first three are a network's code.
CONNECTOME, TRIALS, BOTH, CLOSED_FORM = "connectome", "trials", "both", "closed_form"
# What is said of a task without own trials, by models with a network and without.
BY_CONNECTOME, NOT_PREDICTED = "predicted from the connectome alone", "not predicted"


@dataclass(frozen=True, eq=False)
class Forecast:
    """One prediction of a person's later trials in a task; n trials of the average at the front."""

    source: str  # `CONNECTOME`, `TRIALS`, `BOTH` or `CLOSED_FORM`
    distribution: Distribution  # (1, trials of the task, ...)
    columns: NDArray[np.intp]  # (trials of the task,): their rows in the average
    found: Prediction | None  # with the posterior of the code; None: there is no code

    def mean(self, trials: Flags, less: Flags | None = None) -> tuple[float, float]:
        """Return the mean time of some trials of the average, and its SD by the posterior.

        Parameters
        ----------
        trials
            (n,): those that count.
        less
            (n,): trials whose mean time is subtracted; None: none.
        """
        first, second = (
            None if chosen is None else chosen[None, self.columns] for chosen in (trials, less)
        )
        assert first is not None
        if not trials.any() or (less is not None and not less.any()):
            return np.nan, np.nan
        if self.found is not None:
            found = self.found
            mean, sd = found.mean(first) if second is None else found.difference(first, second)
            return float(mean[0]), float(sd[0])
        times = self.distribution.mean_seconds
        less_mean = 0.0 if second is None else float(times[second].mean())
        return float(times[first].mean()) - less_mean, np.nan

    def shares(self, trials: Flags) -> Values:
        """Return the mean probabilities of correct, wrong and miss over some trials, (3,)."""
        chosen = self.distribution.shares[0, trials[self.columns]]
        return chosen.mean(axis=0) if len(chosen) else np.full(3, np.nan)

    def place(self, trial: int) -> int:
        """Return the place of a trial of the average among those of the task."""
        return int(np.flatnonzero(self.columns == trial)[0])


@dataclass(frozen=True, eq=False)
class KnownTask:
    """A task of which a person's first trials are known, and later ones are left."""

    task: str
    people: FirstTrials  # the person alone
    columns: NDArray[np.intp]  # (trials of the task,): their rows in the average


@dataclass(frozen=True, eq=False)
class TaskForecasts:
    """The predictions of a person's later trials in one task; n trials of the average."""

    own: Flags  # (n,): known
    later: Flags  # (n,): predicted; answers to them have reached nothing
    forecasts: tuple[Forecast, ...]

    @property
    def best(self) -> Forecast:
        """The network's prediction that knows most; without a network the closed form."""
        by_source = {forecast.source: forecast for forecast in self.forecasts}
        return next(by_source[own] for own in (BOTH, TRIALS, CLOSED_FORM) if own in by_source)


@dataclass(frozen=True, eq=False)
class Forecasts:
    """What is predicted from an average's own trials, by task; and why other tasks are not."""

    own: Own | None = None  # asked for; None: own trials are not used
    of_task: Mapping[str, TaskForecasts] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def used(self) -> bool:
        """Whether a call asks for own trials."""
        return self.own is not None

    def of(self, task: str) -> TaskForecasts | None:
        """Return the predictions of a task; None: its own trials are not used."""
        return self.of_task.get(task)


def own_of(settings: Settings) -> Own | None:
    """Return how many own trials of a task a call makes known; None: none."""
    given = settings.twin.own_trials
    return "half" if given == "half" else None if given is None else int(given)


def own_words(own: Own) -> str:
    """Describe the trials of a task that are known.

    Examples
    --------
    >>> own_words(20), own_words("half")
    ('the first 20 trials', 'the first half of each run')
    """
    return "the first half of each run" if own == "half" else f"the first {counted(own, 'trial')}"


def forecast(
    fitted: Fitted, few_shot: FewShot, edges: NDArray[np.float32], seen: SeenTrials, own: Own
) -> Forecasts:
    """Predict the later trials of the person's own runs in each task.

    Parameters
    ----------
    fitted, few_shot
        The model, and what it keeps of its training people.
    edges
        (edges,): the connectome, Fisher z, as the model takes it.
    seen
        What the person sees, with own responses.
    own
        How many trials of each task are known, or "half".
    """
    from bids_dtg.twin.few_shot.prior import codes_of

    codes = codes_of(fitted, edges[None])
    priors = {prior.task.name: prior for prior in few_shot.tasks}

    def of_task(task: str, people: FirstTrials, columns: NDArray[np.intp]) -> tuple[Forecast, ...]:
        return _of_task(fitted, priors[task], people, columns, seen, codes)

    return _forecasts(priors, seen, own, of_task, BY_CONNECTOME)


def forecast_without_network(forms: Sequence[ClosedForm], seen: SeenTrials, own: Own) -> Forecasts:
    """Predict the later trials of the person's own runs in each task by a model without a network.

    Parameters
    ----------
    forms
        What the model keeps of its training people.
    seen
        What the person sees, with own responses.
    own
        How many trials of each task are known, or "half".
    """
    of_tasks = {form.task.name: form for form in forms}

    def of_task(task: str, people: FirstTrials, columns: NDArray[np.intp]) -> tuple[Forecast, ...]:
        return (Forecast(CLOSED_FORM, of_tasks[task].predict(people), columns, None),)

    return _forecasts(of_tasks, seen, own, of_task, NOT_PREDICTED)


def _forecasts(
    known: Container[str],
    seen: SeenTrials,
    own: Own,
    predict: Callable[[str, FirstTrials, NDArray[np.intp]], tuple[Forecast, ...]],
    otherwise: str,
) -> Forecasts:
    """Predict each task of which the model knows trials and the person has own ones.

    Parameters
    ----------
    known
        Names of the tasks that the model knows.
    seen, own
        As in `forecast`.
    predict
        Makes the predictions of a task from its known trials and their rows in the average.
    otherwise
        What is said of other tasks.
    """
    found, notes = known_tasks(known, seen, own, otherwise)
    of_task = {}
    for each in found:
        first, later = np.zeros((2, len(seen.rows.task)), bool)
        first[each.columns] = each.people.own[0]
        # Trials of no condition are not predicted.
        later[each.columns] = each.people.later[0] & (each.people.answers.condition[0] >= 0)
        made = predict(each.task, each.people, each.columns)
        of_task[each.task] = TaskForecasts(first, later, made)
    return Forecasts(own, of_task, (*notes, *_below_chance(seen)))


def known_tasks(
    known: Container[str], seen: SeenTrials, own: Own, otherwise: str
) -> tuple[list[KnownTask], list[str]]:
    """Return the tasks whose later trials can be predicted, and sentences on the others.

    Parameters
    ----------
    known
        Names of the tasks that the model knows.
    seen, own
        As in `forecast`.
    otherwise
        What is said of other tasks.
    """
    found, notes = [], []
    for number, task in enumerate(seen.tasks.tasks):
        mine = (seen.rows.task == number) & seen.own
        if not mine.any():
            if (seen.rows.task == number).any():
                notes.append(f"{task.name}: no own trials; {otherwise}")
            continue
        if task.name not in known:
            notes.append(f"{task.name}: the model knows no training person's trials; {otherwise}")
            continue
        try:
            people = first_trials(seen.segments, number, own)
        except ValueError as err:
            notes.append(f"{task.name}: {err}; {otherwise}")
            continue
        if not (people.own & people.first.scored & np.isfinite(people.first.rt_seconds)).any():
            notes.append(f"{task.name}: {own_words(own)} have no response that counts; {otherwise}")
            continue
        found.append(KnownTask(task.name, people, np.flatnonzero(seen.rows.task == number)))
    return found, notes


def require_some(tasks: Sized, notes: Sequence[str]) -> None:
    """Refuse a participant without a task that can be predicted.

    Parameters
    ----------
    tasks
        The tasks that can.
    notes
        Sentences on the others.

    Raises
    ------
    RunError
        There is none.
    """
    if not tasks:
        raise RunError(
            f"no trial can be predicted: {'; '.join(notes)}",
            remedy="ask for another --own-trials, or leave the participant out",
        )


def _of_task(
    fitted: Fitted,
    prior: TaskPrior,
    people: FirstTrials,
    columns: NDArray[np.intp],
    seen: SeenTrials,
    codes: Values | None,
) -> tuple[Forecast, ...]:
    from bids_dtg.twin.few_shot.prior import nothing_known

    segments, found = seen.segments, []
    rows: list[tuple[str, FirstTrials, Values | None]] = [(TRIALS, people, None)]
    if codes is not None and prior.connectome is not None:
        rows = [(CONNECTOME, nothing_known(people), codes), *rows, (BOTH, people, codes)]
    for source, known, start in rows:
        made = prior.predict(fitted, known, segments, start)
        found.append(Forecast(source, made.distribution, columns, made))
    closed = prior.predict_without_network(people)
    found.append(Forecast(CLOSED_FORM, closed, columns, None))
    return tuple(found)


def _below_chance(seen: SeenTrials) -> Iterator[str]:
    """Yield a sentence for each task whose runs are below chance, as when people are judged."""
    own = Behaviour(tuple(run.trials for run in seen.runs if run.own))
    for task in seen.tasks.tasks:
        if own.below_chance(task):
            yield (
                f"{task.name}: below chance, 1 in {len(task.buttons)}, misses as errors: kept; "
                "buttons may have been swapped"
            )
