"""Behaviour in the tasks of an average: of the twin, the person and the group's network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.judging.scores import mean_curve, means, observed_curves
from bids_dtg.twin.panels.behaviour import EFFECT
from bids_dtg.twin.panels.trial_series import Curve, Of
from bids_dtg.twin.participant.infer import Performed, SeenTrials

if TYPE_CHECKING:
    from bids_dtg.twin.decoding import Decoded

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Row = dict[str, Any]

QUANTILES = (0.1, 0.5, 0.9)  # of the predicted response times of a trial


@dataclass(frozen=True, eq=False)
class AverageBehaviour:
    """Behaviour of an average: predicted, and observed where the person has responses."""

    seen: SeenTrials
    performed: Performed
    notes: tuple[str, ...] = ()  # sentences on what was left out of the participant's files

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
            yield from rows
            if len(rows) > 1:
                yield _effect(rows[0], rows[1])

    def trial_rows(self) -> Iterator[Row]:
        """Yield a row a trial, by run and onset."""
        rows = self.seen.rows
        for number in np.lexsort((rows.trial, self.seen.run)):
            if rows.task[number] >= 0:
                yield self._trial_row(int(number))

    def curves(self) -> Iterator[Curve]:
        """Yield the mean trial of each condition, of networks and of the person."""
        seen = self.seen
        own, one = observed_curves(seen.segments), observed_curves(seen.segments, correct=True)
        sources: dict[Of, tuple[Any, Any, Any, Flags]] = {
            "person": (own[0][0], one[0][0], own[1][0], seen.own & seen.rows.scored)
        }
        networks: dict[Of, Decoded | None] = {
            "twin": self.performed.twin,
            "group": self.performed.group,
        }
        for of, decoded in networks.items():
            if decoded is not None:
                correct = decoded.correct(seen.rows.correct_button)
                sources[of] = decoded.answered, correct, decoded.seconds, seen.used
        for number, task in enumerate(seen.tasks.tasks):
            for condition, name in enumerate(task.conditions):
                chosen = self._trials(number, condition)
                for of in ("twin", "person", "group"):
                    if of not in sources or not (used := chosen & sources[of][3]).any():
                        continue
                    answered, correct, seconds, _ = sources[of]
                    (grid, share), (_, right) = (
                        mean_curve(values[None], seconds[None], used[None], task.window_seconds)
                        for values in (answered, correct)
                    )
                    if not (seen.rows.correct_button[used] >= 0).any():
                        right = np.full(len(grid), np.nan)
                    yield Curve(task.name, name, of, int(used.sum()), grid, share, right)

    def _trials(self, task: int, condition: int) -> Flags:
        rows = self.seen.rows
        chosen: Flags = self.seen.used & (rows.task == task) & (rows.condition == condition)
        return chosen

    def _row(self, task: str, condition: str, trials: Flags) -> Row:
        rows = self.seen.rows
        observed = trials & self.seen.own & rows.scored
        answered = observed & np.isfinite(rows.rt_seconds)
        times = rows.rt_seconds[answered]
        return {
            "task_name": task,
            "condition": condition,
            "trials": int(trials.sum()),
            "own_sequence": bool((trials & self.seen.own).any()),
            "predicted_rt_seconds": _mean_rt(self.performed.twin, trials),
            "group_rt_seconds": _mean_rt(self.performed.group, trials),
            "observed_rt_seconds": float(means(rows.rt_seconds, answered)),
            "observed_median_rt_seconds": float(np.median(times)) if len(times) else np.nan,
            "predicted_correct": float(means(self._outcomes[:, 0], trials)),
            "observed_correct": float(means(rows.correct, observed)),
            "predicted_miss": float(means(self._outcomes[:, 2], trials)),
            "observed_miss": float(means(~np.isfinite(rows.rt_seconds), observed)),
        }

    @cached_property
    def _outcomes(self) -> Values:
        """Predicted shares (trials, 3) of correct, wrong and missed."""
        from bids_dtg.twin.judging.scores import outcome_shares

        return outcome_shares(self.performed.twin.ends, self.seen.rows.correct_button)

    @cached_property
    def _quantiles(self) -> Mapping[float, NDArray[np.floating[Any]]]:
        """Predicted quantiles of response times, (trials,) each."""
        return {share: self.performed.twin.quantile(share) for share in QUANTILES}

    def _trial_row(self, number: int) -> Row:
        seen, rows = self.seen, self.seen.rows
        run = seen.runs[seen.run[number]]
        task, own = run.trials.task, bool(seen.own[number])
        condition = int(rows.condition[number])
        likely = int(self.performed.twin.button[number])
        return {
            "task_name": task.name,
            "events_file": run.file.path.name,
            "own_sequence": own,
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
            "observed_correct": bool(rows.correct[number]) if own else None,
            "scored": bool(rows.scored[number]),
        }


def _mean_rt(decoded: Decoded | None, trials: Flags) -> float:
    """Return the mean over trials of a network's mean response times; NaN if there is none."""
    if decoded is None:
        return np.nan
    times = np.asarray(decoded.mean_seconds, np.float64)
    return float(means(times, trials & np.isfinite(times)))


def _effect(first: Row, second: Row) -> Row:
    """Return the second condition less the first."""
    found = {
        name: second[name] - value for name, value in first.items() if isinstance(value, float)
    }
    named = {
        "task_name": first["task_name"],
        "condition": EFFECT,
        "trials": None,
        "own_sequence": first["own_sequence"] and second["own_sequence"],
    }
    return {**named, **found}


def _button(names: tuple[str, ...], number: int) -> str | None:
    return names[number] if 0 <= number < len(names) else None
