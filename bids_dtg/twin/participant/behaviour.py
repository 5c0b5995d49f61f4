"""Behaviour in the tasks of an average: of the twin, the person and the group's network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.judging.behaviour import means
from bids_dtg.twin.panels.behaviour import EFFECT
from bids_dtg.twin.panels.fit import TaskFit
from bids_dtg.twin.panels.own_trials import OwnTrialsOfTask
from bids_dtg.twin.panels.trial_series import Curve, curves_of
from bids_dtg.twin.participant.infer import Answers, Performed, SeenTrials
from bids_dtg.twin.participant.own_trials import CONNECTOME, Forecast, Forecasts, TaskForecasts

if TYPE_CHECKING:
    from bids_dtg.twin.curves import MeanTrial

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Row = dict[str, Any]

QUANTILES = (0.1, 0.5, 0.9)  # of the predicted response times of a trial


@dataclass(frozen=True, eq=False)
class AverageBehaviour:
    """Behaviour of an average: predicted, observed, or both."""

    seen: SeenTrials
    performed: Performed | None  # None: the call has no model
    notes: tuple[str, ...] = ()  # sentences on what was left out of the participant's files
    forecasts: Forecasts = field(default_factory=Forecasts)  # of later trials, from the first ones

    @property
    def other_sequences(self) -> dict[str, str]:
        """Event files of other participants whose trials are performed, by task."""
        return {run.trials.task.name: run.file.path.name for run in self.seen.runs if not run.own}

    def rows(self) -> Iterator[Row]:
        """Yield a row for each task and condition, and one for each task's condition effect."""
        for number, task in enumerate(self.seen.tasks.tasks):
            rows = [
                self._row(task.name, name, self._trials(number, condition))
                for condition, name in enumerate(task.conditions)
            ]
            if not any(row["trials"] for row in rows):
                continue
            rows += [_effect(rows[0], rows[1])] if len(rows) > 1 else []
            if (found := self.forecasts.of(task.name)) is None:
                yield from rows
                continue
            pair = [self._trials(number, condition) for condition in range(len(task.conditions))]
            for row, trials in zip(rows, [*pair, None], strict=False):
                for forecast in found.forecasts:
                    yield {**row, **_predicted(forecast, trials, pair)}

    def trial_rows(self) -> Iterator[Row]:
        """Yield a row a trial, by run and onset."""
        rows = self.seen.rows
        for number in np.lexsort((rows.trial, self.seen.run)):
            if rows.task[number] < 0:
                continue
            row = self._trial_row(int(number))
            found = self.forecasts.of(row["task_name"])
            if found is None:
                yield row
            elif not found.later[number]:
                yield {**row, **_NOT_PREDICTED, "known": bool(found.own[number])}
            else:
                for forecast in found.forecasts:
                    yield {**row, **_trial_forecast(forecast, int(number))}

    def own_trials(self) -> Iterator[OwnTrialsOfTask]:
        """Yield what is known and predicted in each task; nothing where no own trials are known."""
        for task, found in self.forecasts.of_task.items():
            yield OwnTrialsOfTask(
                task=task,
                known=int(found.own.sum()),
                predicted=int(found.later.sum()),
                sources=tuple(forecast.source for forecast in found.forecasts),
            )

    def fits(self) -> Iterator[TaskFit]:
        """Yield the fit to the person's responses in each task; nothing without a model."""
        if self.performed is None:
            return
        for number, task in enumerate(self.seen.tasks.tasks):
            trials = self.seen.own & self.seen.rows.scored & (self.seen.rows.task == number)
            if trials.any():
                yield self._fit(number, task.name, trials)

    def curves(self) -> tuple[Curve, ...]:
        """Return the mean trial of each condition, of networks and of the person.

        Where own trials are known, they are left out.
        """
        from bids_dtg.twin.curves import observed_curves, predicted_curves

        seen, tasks = self.seen, self.seen.tasks
        found: list[Curve] = []
        networks = {"twin": self._twin, "group": self._group}
        for of in ("twin", "person", "group"):
            if of == "person":
                own = self._used & seen.own & seen.rows.scored
                found += curves_of(observed_curves(seen.rows, tasks, own), tasks.tasks, "person")
            elif (answers := networks[of]) is not None:
                made = predicted_curves(answers.decoded, seen.rows, tasks, self._used)
                found += curves_of(made, tasks.tasks, "twin" if of == "twin" else "group")
        for task, own_trials in self.forecasts.of_task.items():
            number = tasks.names.index(task)
            found += curves_of(self._informed(number, own_trials), tasks.tasks, "own_trials")
        order = {task.name: place for place, task in enumerate(tasks.tasks)}
        return tuple(sorted(found, key=lambda curve: (order[curve.task], curve.condition)))

    @property
    def _twin(self) -> Answers | None:
        return None if self.performed is None else self.performed.twin

    @property
    def _group(self) -> Answers | None:
        return None if self.performed is None else self.performed.group

    def _informed(self, number: int, found: TaskForecasts) -> Iterator[MeanTrial]:
        """Yield the mean trial of each condition, by the network that knows most."""
        from bids_dtg.twin.curves import MeanTrial, times_of

        task, predicted = self.seen.tasks.tasks[number], found.best
        seconds = np.concatenate([[0.0], predicted.distribution.seconds])
        for condition in range(len(task.conditions)):
            trials = self._trials(number, condition)
            if trials.any():
                mine = trials[predicted.columns]
                mean = predicted.distribution.answered[0, mine].mean(axis=0)
                correct, wrong, _ = predicted.shares(trials)
                grid = times_of(task)
                answered = np.interp(grid, seconds, np.concatenate([[0.0], mean]))
                share = correct / (correct + wrong)
                yield MeanTrial(
                    number, condition, int(trials.sum()), grid, answered, share * answered
                )

    @cached_property
    def _used(self) -> Flags:
        """Which trials enter figures, (trials,): where own trials are known, all later ones.

        Also those whose answers do not count, so that no answer decides what is predicted.
        """
        used = self.seen.used.copy()
        for found in self.forecasts.of_task.values():
            used[found.own | found.later] = False
            used |= found.later
        return used

    def _trials(self, task: int, condition: int) -> Flags:
        rows = self.seen.rows
        chosen: Flags = self._used & (rows.task == task) & (rows.condition == condition)
        return chosen

    def _row(self, task: str, condition: str, trials: Flags) -> Row:
        rows = self.seen.rows
        observed = trials & self.seen.own & rows.scored
        answered = observed & np.isfinite(rows.rt_seconds)
        times = rows.rt_seconds[answered]
        return {
            "task_name": task,
            "condition": condition,
            "predicted_from": None if self.performed is None else CONNECTOME,
            "trials": int(trials.sum()),
            "own_trials": self._known(task),
            "own_sequence": bool((trials & self.seen.own).any()),
            "predicted_rt_seconds": _mean_rt(self._twin, trials),
            "predicted_rt_sd_seconds": np.nan,
            "group_rt_seconds": _mean_rt(self._group, trials),
            "observed_rt_seconds": float(means(rows.rt_seconds, answered)),
            "observed_median_rt_seconds": float(np.median(times)) if len(times) else np.nan,
            "predicted_correct": float(means(self._outcomes[:, 0], trials)),
            "observed_correct": float(means(rows.correct, observed)),
            "predicted_miss": float(means(self._outcomes[:, 2], trials)),
            "observed_miss": float(means(~np.isfinite(rows.rt_seconds), observed)),
        }

    def _known(self, task: str) -> int:
        """Return how many own trials of a task are known."""
        found = self.forecasts.of(task)
        return 0 if found is None else int(found.own.sum())

    @cached_property
    def _outcomes(self) -> Values:
        """Predicted shares (trials, 3) of correct, wrong and missed; NaN without a model."""
        from bids_dtg.twin.judging.scores import outcome_shares

        rows = self.seen.rows
        if self._twin is None:
            return np.full((len(rows.task), 3), np.nan)
        lapses = self._twin.lapses
        shares = outcome_shares(self._twin.decoded.ends, rows.correct_button)
        return shares if lapses is None else lapses.mixed(shares, rows.task, rows.condition)

    @cached_property
    def _quantiles(self) -> Mapping[float, NDArray[np.floating[Any]]]:
        """Predicted quantiles of response times, (trials,) each."""
        if self._twin is None:
            return dict.fromkeys(QUANTILES, np.full(len(self.seen.rows.task), np.nan))
        return {share: self._twin.decoded.quantile(share) for share in QUANTILES}

    def _trial_row(self, number: int) -> Row:
        seen, rows = self.seen, self.seen.rows
        run = seen.runs[seen.run[number]]
        task, own = run.trials.task, bool(seen.own[number])
        condition = int(rows.condition[number])
        likely = None if self._twin is None else int(self._twin.decoded.button[number])
        return {
            "task_name": task.name,
            "events_file": run.file.path.name,
            "own_sequence": own,
            "trial": int(rows.trial[number]) + 1,
            "onset": float(run.trials.onset_seconds[rows.trial[number]]),
            "condition": task.conditions[condition] if condition >= 0 else None,
            "known": False,
            "predicted_from": None if self.performed is None else CONNECTOME,
            "correct_button": _button(task.buttons, int(rows.correct_button[number])),
            **{
                f"predicted_rt_q{round(100 * share)}_seconds": float(values[number])
                for share, values in self._quantiles.items()
            },
            "predicted_button": None if likely is None else _button(task.buttons, likely),
            "p_correct": float(self._outcomes[number, 0]),
            "p_miss": float(self._outcomes[number, 2]),
            "observed_rt_seconds": float(rows.rt_seconds[number]),
            "observed_button": _button(task.buttons, int(rows.button[number])),
            "observed_correct": bool(rows.correct[number]) if own else None,
            "scored": bool(rows.scored[number]),
        }

    def _fit(self, number: int, task: str, trials: Flags) -> TaskFit:
        assert self._twin is not None
        group = self._group
        return TaskFit(
            task=task,
            trials=int(trials.sum()),
            cross_entropy=self._loss(self._twin.buttons, number),
            group_cross_entropy=None if group is None else self._loss(group.buttons, number),
            chance_cross_entropy=self._loss(self._constant(number), number),
            crps_seconds=self._crps(self._twin, trials),
            group_crps_seconds=None if group is None else self._crps(group, trials),
        )

    def _of_task(self, number: int) -> NDArray[np.bool_]:
        """Return the scored steps (1, segments, steps) of a task's own runs."""
        segments = self.seen.segments
        own = np.array([run.own for run in self.seen.runs])[segments.run]
        mine = own & (segments.run >= 0) & (segments.task == number)
        steps: Flags = segments.scored & mine[..., None]
        return steps

    def _loss(self, buttons: NDArray[np.floating[Any]], number: int) -> float:
        from bids_dtg.twin.judging.cross_losses import own_losses

        segments = replace(self.seen.segments, scored=self._of_task(number))
        return float(own_losses(buttons, segments)[0])

    def _constant(self, number: int) -> NDArray[np.floating[Any]]:
        """Return constant outputs: the person's own mean of each button over all steps."""
        action, steps = self.seen.segments.action, self._of_task(number)
        return np.broadcast_to(action[steps].mean(axis=0), action.shape)

    def _crps(self, answers: Answers, trials: Flags) -> float | None:
        from bids_dtg.twin.judging.scores import rt_crps

        decoded = answers.decoded
        scores = rt_crps(decoded.answered, decoded.seconds, self.seen.rows.rt_seconds)
        known = trials & np.isfinite(scores)
        return float(scores[known].mean()) if known.any() else None


_PREDICTED_TIMES = tuple(f"predicted_rt_q{round(100 * share)}_seconds" for share in QUANTILES)
_NOT_PREDICTED: Row = {
    "predicted_from": None,
    **dict.fromkeys(_PREDICTED_TIMES),
    **dict.fromkeys(("predicted_button", "p_correct", "p_miss")),
}


def _predicted(forecast: Forecast, trials: Flags | None, pair: Sequence[Flags]) -> Row:
    """Return the predicted columns of a condition's trials; of None: of the condition effect."""
    if trials is None:
        (mean, sd), shares = forecast.mean(pair[1], less=pair[0]), forecast.shares(pair[1])
        shares = shares - forecast.shares(pair[0])
    else:
        (mean, sd), shares = forecast.mean(trials), forecast.shares(trials)
    return {
        "predicted_from": forecast.source,
        "predicted_rt_seconds": mean,
        "predicted_rt_sd_seconds": sd,
        "predicted_correct": float(shares[0]),
        "predicted_miss": float(shares[2]),
    }


def _trial_forecast(forecast: Forecast, trial: int) -> Row:
    """Return the predicted columns of a trial."""
    place, found = forecast.place(trial), forecast.distribution
    times = (float(found.quantile(share)[0, place]) for share in QUANTILES)
    return {
        "predicted_from": forecast.source,
        **dict(zip(_PREDICTED_TIMES, times, strict=True)),
        "predicted_button": None,
        "p_correct": float(found.shares[0, place, 0]),
        "p_miss": float(found.shares[0, place, 2]),
    }


def _mean_rt(answers: Answers | None, trials: Flags) -> float:
    """Return the mean over trials of a network's mean response times; NaN if there is none."""
    if answers is None:
        return np.nan
    times = np.asarray(answers.decoded.mean_seconds, np.float64)
    return float(means(times, trials & np.isfinite(times)))


def _effect(first: Row, second: Row) -> Row:
    """Return the second condition less the first."""
    found = {
        name: second[name] - value for name, value in first.items() if isinstance(value, float)
    }
    named = {
        "task_name": first["task_name"],
        "condition": EFFECT,
        "predicted_from": first["predicted_from"],
        "trials": None,
        "own_trials": first["own_trials"],
        "own_sequence": first["own_sequence"] and second["own_sequence"],
    }
    return {**named, **found}


def _button(names: tuple[str, ...], number: int) -> str | None:
    return names[number] if 0 <= number < len(names) else None
