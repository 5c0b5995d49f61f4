"""Population values of simulated people, fitted to real people.

The values were fitted to the public trials of 182 people of the Transdiagnostic Connectome Project
(CC0, doi:10.18112/openneuro.ds005237.v1.1.3). Changes of a person within and between runs were set
by hand, so that mean response times of halves, and of both Stroop runs, correlate as they do in
these people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Conditions of each task: the easy one, and the one whose drift a cost lowers.
TASKS = {"faces": ("shape", "face"), "stroop": ("congruent", "incongruent")}
_COSTS = {"faces": 3, "stroop": 4}  # column of the cost in the parameters


@dataclass(frozen=True)
class Population:
    """Means and standard deviations of the five parameters, and of the share of misses."""

    means: tuple[float, ...]
    sds: tuple[float, ...]
    delays: tuple[float, float]  # seconds that face and incongruent trials add to non-decision time
    least: tuple[float, ...]  # smallest value of each parameter
    least_drift: float  # smallest drift of any condition, so that nobody is at chance
    run_sd: float  # seconds: of non-decision time from run to run of a person
    trend_sd: float  # seconds: of its change from the start of a run to the end
    lapse_mean: float  # share of trials without a response, over people: a beta distribution
    lapse_sd: float

    def parameters(self, standard: NDArray[np.floating]) -> Array:
        """Return parameters from standardised ones, (people, 5).

        Examples
        --------
        >>> POPULATION.parameters(np.zeros((1, 5))).shape
        (1, 5)
        """
        values = np.array(self.means) + np.array(self.sds) * standard
        return np.asarray(np.maximum(values, self.least))

    def start_seconds(self, parameters: Array, task: str) -> Array:
        """Return the non-decision time in both conditions of a task, (people, 2).

        Raises
        ------
        ValueError
            The task is not one of the two that are simulated.
        """
        _require_task(task)
        delay = self.delays[list(TASKS).index(task)]
        return np.asarray(parameters[:, :1] + np.array([0.0, delay]))

    def drifts(self, parameters: Array, task: str) -> Array:
        """Return the drift in both conditions of a task, (people, 2).

        Raises
        ------
        ValueError
            The task is not one of the two that are simulated.
        """
        _require_task(task)
        drift, cost = parameters[:, 2], parameters[:, _COSTS[task]]
        return np.maximum(np.stack([drift, drift - cost], axis=1), self.least_drift)

    def lapses(self, uniform: Array) -> Array:
        """Return shares of trials without a response from quantiles (0 to 1) of the population."""
        from scipy.special import betaincinv

        size = self.lapse_mean * (1.0 - self.lapse_mean) / self.lapse_sd**2 - 1.0
        return np.asarray(
            betaincinv(self.lapse_mean * size, (1.0 - self.lapse_mean) * size, uniform)
        )


def _require_task(task: str) -> None:
    if task not in TASKS:
        raise ValueError(f"simulated tasks are {' and '.join(TASKS)}, not {task!r}")


POPULATION = Population(
    means=(0.516, 1.467, 2.576, 0.212, 0.551),
    sds=(0.126, 0.281, 0.367, 0.461, 0.508),
    delays=(0.08, 0.127),
    least=(0.15, 0.6, 0.3, -2.0, -2.0),
    least_drift=0.3,
    run_sd=0.035,
    trend_sd=0.10,
    lapse_mean=0.022,
    lapse_sd=0.057,
)
