"""The demo's intervention: perturb connectomes, and compare predicted with true changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.phantom.people import TwinPeople
from bids_dtg.twin.trial_series import Segments

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted

Values = NDArray[np.float64]

STEP_SIZES = (1.0, 2.0)  # standard deviations of people
CONTROLS = 10  # random directions, at the last of these step sizes
_MS = 1000.0


@dataclass(frozen=True, eq=False)
class DemoPerturbation:
    """Changes of mean response times by perturbations that should lower them, in seconds."""

    predicted: Values  # (step sizes,), by twins
    calibrated: tuple[float, float, float] | None  # last step size, times the slope
    true: Values  # (step sizes,)
    controls_predicted: Values  # (controls,), by random directions at the last step size
    controls_true: Values  # (controls,)

    def words(self) -> Iterator[str]:
        """Yield the results as lines."""
        yield (
            f"connectomes perturbed by the difference between people {STEP_SIZES[-1]:g} SD of "
            "response times apart, to lower these:"
        )
        scaled = self.calibrated_words
        more = f", times the slope of observed on predicted times {scaled} ms" if scaled else ""
        yield f"the twins predict {_MS * self.predicted[-1]:+.0f} ms{more};"
        yield (
            f"the truth is {_MS * self.true[-1]:+.0f} ms; {CONTROLS} random directions: predicted "
            f"{_range(self.controls_predicted)} ms, true {_range(self.controls_true)} ms"
        )
        yield "An effect inside a model is not evidence of an effect in a person."

    @property
    def calibrated_words(self) -> str:
        """The calibrated change in ms with its interval; empty where it is not known."""
        if self.calibrated is None:
            return ""
        mean, low, high = (f"{_MS * value:+.0f}" for value in self.calibrated)
        return f"{mean} ({low} to {high})"


def _range(seconds: Values) -> str:
    return f"{_MS * seconds.min():+.0f} to {_MS * seconds.max():+.0f}"


def perturb_people(
    fitted: Fitted,
    people: TwinPeople,
    segments: Segments,
    observed: Values,
    *,
    seed: int,
) -> DemoPerturbation | None:
    """Perturb unseen people's connectomes to lower response times; None where twins are alike.

    Parameters
    ----------
    fitted
        The twins.
    people, segments, observed
        Unseen people, what they saw, and their mean response times, (people,), seconds.
    seed
        Seed of random directions and intervals.
    """
    # Imported here, so that a missing package is reported at once.
    from bids_dtg.twin.interventions.calibration import Calibration
    from bids_dtg.twin.interventions.moves import differ
    from bids_dtg.twin.interventions.perturbations import (
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
    if not differ(before):
        return None
    raises = Direction.between(edges, before)
    perturbations = [raises.delta(-step_size) for step_size in STEP_SIZES]
    others = [
        direction.delta(STEP_SIZES[-1]) for direction in random_directions(edges, CONTROLS, seed)
    ]
    predicted = [float(np.nanmean(times(delta) - before)) for delta in (*perturbations, *others)]
    calibration = Calibration.of(before, observed, seed=seed)
    return DemoPerturbation(
        predicted=np.array(predicted[: len(perturbations)]),
        calibrated=None
        if calibration is None
        else calibration.interval(predicted[len(perturbations) - 1]),
        true=np.array([truth(delta) for delta in perturbations]),
        controls_predicted=np.array(predicted[len(perturbations) :]),
        controls_true=np.array([truth(delta) for delta in others]),
    )
