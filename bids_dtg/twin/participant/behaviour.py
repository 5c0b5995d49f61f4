"""Behaviour in the tasks of an average: of the twin, the person and the group's network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats, Indices, Mask
from bids_dtg.connectome.design import segment_weight
from bids_dtg.connectome.parcels import fisher_z, mean_edges, upper_edges
from bids_dtg.errors import RunError
from bids_dtg.participants.parcels import MeasuredSeries
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.judging.scores import (
    mean_curve,
    means,
    observed_curves,
    outcome_shares,
)
from bids_dtg.twin.panels.behaviour import EFFECT, Curve, Of
from bids_dtg.twin.participant.events import PerformedRun
from bids_dtg.twin.trials import Trials

if TYPE_CHECKING:
    from bids_dtg.twin.bold_runs import BoldRun
    from bids_dtg.twin.decoding import Decoded
    from bids_dtg.twin.fitting import Fitted
    from bids_dtg.twin.trial_series import Segments, TrialRows

Row = dict[str, Any]

QUANTILES = (0.1, 0.5, 0.9)  # of the predicted response times of a trial


@dataclass(frozen=True, eq=False)
class AverageBehaviour:
    """Behaviour of an average: predicted, and observed where the person has responses."""

    runs: tuple[PerformedRun, ...]
    segments: Segments  # of the runs, with an axis of people, which is 1
    twin: Decoded  # answers of the connectome's twin, (trials, ...)
    group: Decoded | None  # of the group's network; None: the architecture has none
    regions: tuple[str, ...] = ()  # of BOLD
    # Of the twin in each run, in measured units; (): none.
    bold: Sequence[BoldRun | None] = ()
    # Sentences on what was left out of the participant's files.
    notes: tuple[str, ...] = ()

    @cached_property
    def shown(self) -> TrialRows:
        """The trials, (trials,) each, with the person's own responses."""
        return self.segments.person(0).trials

    @cached_property
    def run(self) -> Indices:
        """Number of the run of each trial, (trials,)."""
        return np.asarray(self.segments.person(0).run[self.shown.segment], np.intp)

    @cached_property
    def in_own_run(self) -> Mask:
        """Which trials belong to the person's own runs, (trials,)."""
        return np.array([run.is_own for run in self.runs])[self.run]

    @cached_property
    def used(self) -> Mask:
        """Which trials count, (trials,): own scored trials; all trials of other people's runs."""
        shown = self.shown
        performed = (shown.task >= 0) & (shown.last_step >= shown.first_step)
        return np.asarray(np.where(self.in_own_run, shown.scored, performed), bool)

    @property
    def other_sequences(self) -> dict[str, str]:
        """Event files of other participants whose trials are performed, by task."""
        return {
            run.trials.task.name: run.file.path.name
            for run in self.runs
            if not run.is_own
        }

    def rows(self) -> Iterator[Row]:
        """Yield a row for each task and condition, and one for each task's condition effect."""
        for number, task in enumerate(self.segments.tasks.tasks):
            rows = [
                self._row(task.name, name, self._trials(number, condition))
                for condition, name in enumerate(task.conditions)
            ]
            if not any(row["trials"] for row in rows):
                continue
            yield from rows
            if len(rows) > 1:
                yield _effect(rows[0], rows[1])

    def trial_rows(self) -> Iterator[Row]:
        """Yield one row per trial, by run and onset."""
        for number in np.lexsort((self.shown.trial, self.run)):
            if self.shown.task[number] >= 0:
                yield self._trial_row(int(number))

    def curves(self) -> Iterator[Curve]:
        """Yield curves of each condition, averaged over trials, of networks and of the person."""
        own_curves = (curves[0] for curves in observed_curves(self.segments))
        sources: dict[Of, tuple[Any, ...]] = {
            "twin": self._curves_of(self.twin),
            "person": (*own_curves, self.in_own_run & self.shown.scored),
        }
        if self.group is not None:
            sources["group"] = self._curves_of(self.group)
        for number, task in enumerate(self.segments.tasks.tasks):
            for condition, name in enumerate(task.conditions):
                chosen = self._trials(number, condition)
                for of, (answered, correct, seconds, counted) in sources.items():
                    used = chosen & counted
                    if not used.any():
                        continue
                    (grid, share), (_, right) = (
                        mean_curve(
                            values[None], seconds[None], used[None], task.window_seconds
                        )
                        for values in (answered, correct)
                    )
                    if not (self.shown.correct_button[used] >= 0).any():
                        right = np.full(len(grid), np.nan)
                    yield Curve(
                        task.name, name, of, int(used.sum()), grid, share, right
                    )

    def _curves_of(self, network: Decoded) -> tuple[Any, ...]:
        """Return curves of any and of the correct button, times, and which trials count."""
        correct = network.correct(self.shown.correct_button)
        return network.answered, correct, network.seconds, self.used

    def _trials(self, task: int, condition: int) -> Mask:
        rows = self.shown
        return np.asarray(
            self.used & (rows.task == task) & (rows.condition == condition)
        )

    def _row(self, task: str, condition: str, trials: Mask) -> Row:
        rows = self.shown
        observed = trials & self.in_own_run & rows.scored
        answered = observed & np.isfinite(rows.rt_seconds)
        times = rows.rt_seconds[answered]
        return {
            "task_name": task,
            "condition": condition,
            "trials": int(trials.sum()),
            "own_sequence": bool((trials & self.in_own_run).any()),
            "predicted_rt_seconds": _mean_rt(self.twin, trials),
            "group_rt_seconds": _mean_rt(self.group, trials),
            "observed_rt_seconds": float(means(rows.rt_seconds, answered)),
            "observed_median_rt_seconds": float(np.median(times))
            if len(times)
            else np.nan,
            "predicted_correct": float(means(self._outcomes[:, 0], trials)),
            "observed_correct": float(means(rows.correct, observed)),
            "predicted_miss": float(means(self._outcomes[:, 2], trials)),
            "observed_miss": float(means(~np.isfinite(rows.rt_seconds), observed)),
        }

    @cached_property
    def _outcomes(self) -> Float64:
        """Predicted shares (trials, 3) of correct, wrong and missed."""
        return outcome_shares(self.twin.ends, self.shown.correct_button)

    @cached_property
    def _quantiles(self) -> Mapping[float, Floats]:
        """Predicted quantiles of response times, (trials,) each."""
        return {share: self.twin.quantile(share) for share in QUANTILES}

    def _trial_row(self, number: int) -> Row:
        rows, run = self.shown, self.runs[self.run[number]]
        task, is_own = run.trials.task, bool(self.in_own_run[number])
        condition = int(rows.condition[number])
        likely = int(self.twin.button[number])
        return {
            "task_name": task.name,
            "events_file": run.file.path.name,
            "own_sequence": is_own,
            "trial": int(rows.trial[number]) + 1,
            "onset": float(run.trials.onset_seconds[rows.trial[number]]),
            "condition": task.conditions[condition] if condition >= 0 else None,
            "correct_button": _button(task.buttons, int(rows.correct_button[number])),
            **{
                f"predicted_rt_q{round(100 * share)}_seconds": float(values[number])
                for share, values in self._quantiles.items()
            },
            "predicted_button": _button(task.buttons, likely),
            "p_correct": float(self._outcomes[number, 0]),
            "p_miss": float(self._outcomes[number, 2]),
            "observed_rt_seconds": float(rows.rt_seconds[number]),
            "observed_button": _button(task.buttons, int(rows.button[number])),
            "observed_correct": bool(rows.correct[number]) if is_own else None,
            "scored": bool(rows.scored[number]),
        }


def _mean_rt(decoded: Decoded | None, trials: Mask) -> float:
    """Return the mean over trials of a network's mean response times; NaN if there is none."""
    if decoded is None:
        return np.nan
    times = np.asarray(decoded.mean_seconds, np.float64)
    return float(means(times, trials & np.isfinite(times)))


def _effect(first: Row, second: Row) -> Row:
    """Return the second condition minus the first."""
    differences = {
        name: second[name] - value
        for name, value in first.items()
        if isinstance(value, float)
    }
    names = {
        "task_name": first["task_name"],
        "condition": EFFECT,
        "trials": None,
        "own_sequence": first["own_sequence"] and second["own_sequence"],
    }
    return {**names, **differences}


def _button(names: tuple[str, ...], number: int) -> str | None:
    return names[number] if 0 <= number < len(names) else None


def behave(
    fitted: Fitted,
    bundle: TwinBundle,
    edges: Float32,
    runs: Sequence[PerformedRun],
    notes: tuple[str, ...] = (),
) -> AverageBehaviour:
    """Run the twin of a connectome (edges,), Fisher z, and the group's network on trials of runs.

    Raises
    ------
    RunError
        An output of the twin is not finite.
    """
    from bids_dtg.twin.decoding import decode
    from bids_dtg.twin.trial_series import stack_people

    # Responses of other participants are not used.
    trials = [
        run.trials if run.is_own else without_responses(run.trials) for run in runs
    ]
    segments = stack_people([trials], tasks=fitted.tasks)
    twin = fitted.perform(edges[None], segments)
    if not np.isfinite(twin).all():
        raise RunError(
            f"the outputs of {bundle.name} are not finite",
            remedy="use another model, or leave out --model",
        )
    group, seen = fitted.perform_group(segments), segments.person(0)
    return AverageBehaviour(
        tuple(runs),
        segments,
        decode(twin[0], seen),
        None if group is None else decode(group[0], seen),
        bundle.bold_regions,
        _bold(fitted, edges, segments),
        notes,
    )


def _bold(fitted: Fitted, edges: Float32, segments: Segments) -> list[BoldRun | None]:
    """Return the BOLD of a twin in the units of the measured one; none without ridges."""
    from bids_dtg.twin.bold import predict_bold

    ridges = fitted.bold
    if ridges is None:
        return []
    (standardised_runs,) = predict_bold(ridges, fitted.twin, edges[None], segments)
    runs: list[BoldRun | None] = []
    for run in standardised_runs:
        if run is not None:
            values = (run.values * ridges.sd + ridges.mean).astype(np.float32)
            run = replace(run, values=values)
        runs.append(run)
    return runs


def without_responses(trials: Trials) -> Trials:
    """Return a run's trials without responses."""
    nobody = np.full(len(trials.onset_seconds), -1, np.int8)
    return replace(
        trials,
        button=nobody,
        rt_seconds=np.full(len(nobody), np.nan),
        correct=nobody >= 0,
        unscored=tuple(range(len(nobody))),
    )


@dataclass(frozen=True, eq=False)
class AverageConnectome:
    """The mean edges of an average's runs, weighted as maps are."""

    runs: tuple[MeasuredSeries, ...]
    by_dof: bool  # weighted by residual degrees of freedom; False: by minutes kept

    @property
    def weights(self) -> tuple[float, ...]:
        """Weight of each run: residual degrees of freedom, or minutes."""
        return tuple(
            segment_weight(
                run.design.seconds_kept / 60,
                run.series.residual_dof,
                by_dof=self.by_dof,
            )
            for run in self.runs
        )

    @cached_property
    def edges(self) -> Float64:
        """Fisher z (regions, regions), NaN on the diagonal and where no run has a value."""
        return mean_edges([fisher_z(run.fc) for run in self.runs], self.weights)

    @property
    def upper(self) -> Float32:
        """The edges (edges,) as twins read them: the upper triangle row by row."""
        return upper_edges(self.edges).astype(np.float32)

    @property
    def residual_dof(self) -> float:
        """Residual degrees of freedom of all runs; NaN where those of a run are not known."""
        return float(sum(run.series.residual_dof for run in self.runs))

    @property
    def frames_kept(self) -> int:
        """Number of frames kept in all runs."""
        return sum(run.design.frames_kept for run in self.runs)

    @property
    def minutes(self) -> float:
        """Minutes kept in all runs."""
        return sum(run.design.seconds_kept for run in self.runs) / 60
