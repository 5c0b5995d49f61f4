"""The demo's intervention: move connectomes, and compare the twins' predictions with the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.phantom.people import TwinPeople
from bids_dtg.twin.traces import Segments

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted

Values = NDArray[np.float64]

DOSES = (1.0, 2.0)  # standard deviations of people
CONTROLS = 10  # random directions, at the last of these doses
_MS = 1000.0


@dataclass(frozen=True, eq=False)
class DemoMove:
    """Changes of mean response times by moves that are meant to lower them, in seconds."""

    predicted: Values  # (doses,), by twins
    believed: tuple[float, float, float] | None  # of the last dose, by the slope of unseen people
    true: Values  # (doses,)
    controls_predicted: Values  # (controls,), by random directions at the last dose
    controls_true: Values  # (controls,)

    def words(self) -> Iterator[str]:
        """Yield what moves come to, as lines."""
        yield (
            f"connectomes moved by what differs between people {DOSES[-1]:g} SD of response times "
            "apart, so that these fall:"
        )
        yield f"the twins predict {_MS * self.predicted[-1]:+.0f} ms{self._believed()};"
        yield (
            f"the truth is {_MS * self.true[-1]:+.0f} ms; {CONTROLS} random directions: predicted "
            f"{_range(self.controls_predicted)} ms, true {_range(self.controls_true)} ms"
        )
        yield "An effect inside a model is not evidence of an effect in a person."

    def _believed(self) -> str:
        if self.believed is None:
            return ""
        mean, low, high = (f"{_MS * value:+.0f}" for value in self.believed)
        return f", times the slope of observed on predicted times {mean} ({low} to {high}) ms"


def _range(seconds: Values) -> str:
    return f"{_MS * seconds.min():+.0f} to {_MS * seconds.max():+.0f}"


def move_people(
    fitted: Fitted, people: TwinPeople, segments: Segments, observed: Values, *, seed: int
) -> DemoMove | None:
    """Move unseen people's connectomes so that response times fall; None where twins are alike.

    Parameters
    ----------
    fitted
        The twin, of one task.
    people
        People outside its training set.
    segments
        What they see.
    observed
        (people,): their mean response times, seconds.
    seed
        Seed of the random directions.
    """
    # Here, so that a missing package is answered at once.
    from bids_dtg.twin.interventions.calibration import Calibration
    from bids_dtg.twin.interventions.moves import (
        Direction,
        performed_outcomes,
        random_directions,
    )

    task, edges = fitted.tasks.names[0], people.connectomes

    def times(delta: Values) -> Values:
        found = performed_outcomes(fitted, edges + delta, segments)
        return found.of(f"{task}_rt")

    def truth(delta: Values) -> float:
        after = people.after(delta).median_rt_seconds(task)
        return float((after - people.median_rt_seconds(task)).mean())

    before = times(np.zeros(edges.shape[1]))
    try:
        raises = Direction.between(edges, before)
    except ValueError:
        return None
    moves = [raises.delta(-dose) for dose in DOSES]
    controls = [
        direction.delta(DOSES[-1]) for direction in random_directions(edges, CONTROLS, seed)
    ]
    predicted = [float(np.nanmean(times(delta) - before)) for delta in (*moves, *controls)]
    calibration = Calibration.of(before, observed, seed=seed)
    return DemoMove(
        predicted=np.array(predicted[: len(moves)]),
        believed=None if calibration is None else calibration.interval(predicted[len(moves) - 1]),
        true=np.array([truth(delta) for delta in moves]),
        controls_predicted=np.array(predicted[len(moves) :]),
        controls_true=np.array([truth(delta) for delta in controls]),
    )
