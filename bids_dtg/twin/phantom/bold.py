"""BOLD of simulated people in a run: responses to both conditions of a task, and noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.phantom.population import TASKS
from bids_dtg.twin.phantom.world import PERSONAL_REGIONS, TwinWorld
from bids_dtg.twin.trials import Trials

Array = NDArray[np.float64]

TR_SECONDS = 0.8
# Effect of one standard deviation between people on a region's amplitude in the easy and in the
# harder condition; the group's amplitudes are about 0.5 ± 0.5.
_PERSONAL = np.array([0.25, 0.5])
_AUTOCORRELATION = 0.4  # of the noise, from one frame to the next
NOISE_SD = 0.4


def condition_responses(trials: Trials, tr_seconds: float = TR_SECONDS) -> Array:
    """Return the expected response to each condition of a task, (conditions, frames).

    A trial is a boxcar as long as its stimulus is on; it is convolved with the double-gamma
    response of SPM (`nilearn.glm.first_level.compute_regressor`).
    """
    from nilearn.glm.first_level.hemodynamic_models import compute_regressor

    frames = np.arange(int(trials.run_seconds / tr_seconds)) * tr_seconds
    responses = []
    for name in TASKS[trials.task.name]:
        of = trials.condition == trials.task.conditions.index(name)
        boxcars = [trials.onset_seconds[of], trials.display_seconds[of], np.ones(of.sum())]
        responses.append(compute_regressor(np.array(boxcars), "spm", frames)[0][:, 0])
    return np.array(responses)


def amplitudes(world: TwinWorld, personal: Array, task: str) -> Array:
    """Return the true amplitude of each region in both conditions of a task.

    People differ in the anterior prefrontal, superior parietal and higher visual regions and the
    amygdala only.

    Parameters
    ----------
    world
        The simulated world, which has the group's amplitudes.
    personal
        (people, BOLD regions): each person's deviation from the group, standardised.
    task
        Name of the task, ``faces`` or ``stroop``.

    Returns
    -------
    numpy.ndarray
        (people, BOLD regions, 2): the easy and the harder condition.
    """
    first = 2 * list(TASKS).index(task)
    made = np.repeat(world.bold_pattern[None, :, first : first + 2], len(personal), axis=0)
    rows = list(PERSONAL_REGIONS)
    made[:, rows] += personal[:, rows, None] * _PERSONAL
    return np.asarray(made)


def bold_series(
    responses: Array, of_people: Array, streams: Sequence[np.random.Generator]
) -> NDArray[np.float32]:
    """Return series of regions: expected responses and first-order autoregressive noise.

    Parameters
    ----------
    responses
        (conditions, frames): expected response to each condition.
    of_people
        (people, regions, conditions): amplitudes of the responses.
    streams
        Random generator of each person's noise.

    Returns
    -------
    numpy.ndarray
        (people, regions, frames), float32, arbitrary units.

    Examples
    --------
    >>> still = np.zeros((1, 3, 2))
    >>> series = bold_series(np.zeros((2, 4000)), still, [np.random.default_rng(0)])
    >>> series.shape, bool(abs(series.std() - NOISE_SD) < 0.02)
    ((1, 3, 4000), True)
    """
    from scipy.signal import lfilter

    shape = (of_people.shape[1], responses.shape[1] + 1)
    unit = np.array([rng.standard_normal(shape) for rng in streams])
    # The first value has the stationary variance, so that all frames have the same.
    unit[..., 0] /= np.sqrt(1.0 - _AUTOCORRELATION**2)
    noise = lfilter([1.0], [1.0, -_AUTOCORRELATION], unit, axis=-1)[..., 1:]
    scale = NOISE_SD * np.sqrt(1.0 - _AUTOCORRELATION**2)
    return np.asarray(of_people @ responses + scale * noise, np.float32)
