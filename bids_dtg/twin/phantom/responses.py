"""People's buttons and response times in a sequence of trials, simulated from parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.phantom.diffusion import decision_quantiles, share_correct
from bids_dtg.twin.phantom.population import POPULATION, TASKS
from bids_dtg.twin.phantom.sequences import TrialSequence
from bids_dtg.twin.trials import Trials

Array = NDArray[np.float64]

UNIFORMS = 4  # random numbers a trial: for the time, the choice, the lapse and the wrong button
LURED = 0.8  # share of wrong responses to incongruent words with the button of the word
SHORTEST_SECONDS = 0.2


def respond(
    sequence: TrialSequence, parameters: Array, lapses: Array, state: Array, uniforms: Array
) -> list[Trials]:
    """Simulate people's responses to a sequence.

    The response time is the sum of the non-decision time and the decision time. A person's
    non-decision time differs a little from run to run, and changes linearly within a run. A
    response after the task's window counts as a miss. 80 % of wrong responses to incongruent trials
    are the button of the word, the others one of the remaining buttons.

    Parameters
    ----------
    sequence
        Sequence of the faces or the Stroop task.
    parameters
        (people, 5): true parameters, in the order of `world.PARAMETERS`.
    lapses
        (people,): share of trials without a response.
    state
        (people, 2), standardised: the run's non-decision time, and its change within the run.
    uniforms
        (people, trials, 4): random numbers from 0 to 1.

    Returns
    -------
    list of Trials
        The sequence's trials with the responses of each person.

    Raises
    ------
    ValueError
        The sequence's task is not simulated.
    """
    trials = sequence.trials
    rt_seconds, correct = _decisions(trials, parameters, uniforms)
    into = trials.onset_seconds / trials.run_seconds - 0.5
    rt_seconds += POPULATION.run_sd * state[:, :1] + POPULATION.trend_sd * state[:, 1:] * into
    rt_seconds = np.maximum(rt_seconds, SHORTEST_SECONDS)
    late = rt_seconds > trials.task.window_seconds
    missed = late | (uniforms[..., 2] < lapses[:, None])
    rt_seconds = np.where(missed, np.nan, rt_seconds)
    wrong = _wrong_buttons(sequence, uniforms[..., 3])
    button = np.where(correct, trials.correct_button, wrong)
    button = np.where(missed, -1, button).astype(np.int8)
    return [
        replace(trials, rt_seconds=rt_seconds[i], button=button[i], correct=(correct & ~missed)[i])
        for i in range(len(parameters))
    ]


def _decisions(
    trials: Trials, parameters: Array, uniforms: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Return response times in seconds and whether choices are correct, (people, trials)."""
    task, boundary = trials.task.name, parameters[:, 1]
    drifts, start = POPULATION.drifts(parameters, task), POPULATION.start_seconds(parameters, task)
    seconds = np.zeros(uniforms.shape[:2])
    correct = np.zeros(uniforms.shape[:2], bool)
    for column, name in enumerate(TASKS[task]):
        of = trials.condition == trials.task.conditions.index(name)
        drift = drifts[:, column]
        decided = decision_quantiles(uniforms[:, of, 0], drift, boundary)
        seconds[:, of] = start[:, column, None] + decided
        correct[:, of] = uniforms[:, of, 1] < share_correct(drift, boundary)[:, None]
    return seconds, correct


def _wrong_buttons(sequence: TrialSequence, uniform: Array) -> NDArray[np.intp]:
    """Return the button of each trial if the choice is wrong, (people, trials)."""
    trials, lure = sequence.trials, sequence.lure
    trial, count = np.arange(len(lure)), len(trials.task.buttons)
    shares = np.ones((len(lure), count))
    lured = (lure >= 0) & (lure != trials.correct_button)
    shares[lured] = (1.0 - LURED) / max(count - 2, 1)
    shares[trial[lured], lure[lured]] = LURED
    shares[trial, trials.correct_button] = 0.0
    below = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)
    return np.asarray((uniform[..., None] >= below[:, :-1]).sum(axis=-1))
