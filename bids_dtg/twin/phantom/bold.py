"""BOLD of simulated people during tasks: amplitudes of two regions depend on the connectome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from zlib import crc32

import numpy as np
from scipy.signal import lfilter

from bids_dtg.array_types import Float64
from bids_dtg.phantom.streams import Purpose, stream
from bids_dtg.twin.bold_runs import BoldRun, convolved
from bids_dtg.twin.phantom.people import TwinPeople
from bids_dtg.twin.phantom.world import TASKS, TRAITS
from bids_dtg.twin.trials import Trials

Kind = Literal["known", "unknown", "noise"]

REGIONS = ("lh-r01", "lh-r02", "lh-amygdala", "rh-r01", "rh-r02", "rh-amygdala")
VARYING = (2, 5)  # regions whose amplitude differs between people
TR_SECONDS = 0.8
_AMPLITUDE_SD = 0.4  # between people; the mean amplitude is 1
_RESPONSES = (0.3, 1.0)  # smallest and largest mean response
_NOISE_SD, _PERSISTENCE = 0.5, 0.4  # from volume to volume


def true_responses(people: TwinPeople, kind: Kind = "known") -> Float64:
    """Return the response of each region to each condition, (people, regions, conditions).

    Parameters
    ----------
    people
        Simulated people.
    kind
        ``known``: amplitudes follow the connectome's traits as parameters of behaviour do;
        ``unknown``: they are independent of the connectome; ``noise``: no region responds.

    Examples
    --------
    >>> from bids_dtg.twin.phantom.people import simulate_twin_people
    >>> true_responses(simulate_twin_people(3, "easy", regions=10, seed=1)).shape
    (3, 6, 4)
    """
    world = people.world
    rng = stream(world.seed, Purpose.TWIN_RESPONSE_SIZES)
    group = rng.uniform(*_RESPONSES, (len(REGIONS), sum(map(len, TASKS.values()))))
    group[VARYING, :2].sort(axis=1)  # amygdalae respond to faces more than to shapes
    weights = rng.standard_normal((TRAITS, len(VARYING)))
    shared = world.difficulty.shared if kind == "known" else 0.0
    streams = (
        stream(world.seed, Purpose.TWIN_AMPLITUDE, cohort=people.cohort, person=person)
        for person in people.persons
    )
    independent = np.array([rng.standard_normal(len(VARYING)) for rng in streams])
    by_traits = people.traits @ (weights / np.linalg.norm(weights, axis=0))
    deviation = np.sqrt(shared) * by_traits + np.sqrt(1 - shared) * independent
    amplitudes = np.ones((len(independent), len(REGIONS)))
    amplitudes[:, VARYING] += _AMPLITUDE_SD * deviation
    return (kind != "noise") * amplitudes[..., None] * group


def simulate_bold(
    people: TwinPeople,
    runs: Sequence[Sequence[Trials]],
    *,
    seed: int,
    kind: Kind = "known",
) -> list[list[BoldRun]]:
    """Simulate BOLD of everybody's runs: haemodynamic responses and autocorrelated noise.

    Parameters
    ----------
    people
        Simulated people.
    runs
        Runs of each person (`TwinPeople.runs`).
    seed
        Seed of the noise; another seed gives another session of the same people.
    kind
        As in `true_responses`.

    Examples
    --------
    >>> from bids_dtg.twin.phantom.people import simulate_twin_people
    >>> from bids_dtg.twin.phantom.world import trial_sequence
    >>> people = simulate_twin_people(2, "easy", regions=10, seed=1)
    >>> runs = people.runs([trial_sequence("stroopAP")], seed=1)
    >>> simulate_bold(people, runs, seed=1)[0][0].values.shape
    (510, 6)
    """
    everybody = []
    responses = true_responses(people, kind)
    for person, trials, sizes in zip(people.persons, runs, responses, strict=True):
        person_bold = []
        for number, run in enumerate(trials):
            rng = stream(
                seed,
                Purpose.TWIN_TASK_BOLD,
                cohort=people.cohort,
                person=person,
                session=crc32(run.task.name.encode()),
                segment=number,
            )
            person_bold.append(_draw(run, sizes, rng))
        everybody.append(person_bold)
    return everybody


def _draw(run: Trials, sizes: Float64, rng: np.random.Generator) -> BoldRun:
    """Draw the BOLD of a run from responses to conditions, (regions, conditions of all tasks)."""
    seconds = np.arange(0.0, run.run_seconds, TR_SECONDS)
    ends = run.onset_seconds + run.display_seconds
    trial_responses = convolved(seconds, run.onset_seconds, ends)
    first = list(TASKS).index(run.task.name) * 2
    white = rng.standard_normal((len(seconds), len(sizes)))
    white = white * np.sqrt(1 - _PERSISTENCE**2)
    noise = _NOISE_SD * lfilter([1.0], [1.0, -_PERSISTENCE], white, axis=0)
    values = trial_responses @ sizes[:, first + run.condition].T + noise
    return BoldRun(values.astype(np.float32), TR_SECONDS)
