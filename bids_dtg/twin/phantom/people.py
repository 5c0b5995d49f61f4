"""People whose connectome and behaviour depend on the same traits, with the true parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats, Indices, Integers, Mask
from bids_dtg.phantom.streams import Cohort, Purpose, stream
from bids_dtg.twin.phantom.diffusion import (
    decision_quantiles,
    mean_decision_seconds,
    share_correct,
)
from bids_dtg.twin.phantom.world import (
    PARAMETERS,
    RUN_SD,
    SKIPPED,
    TASKS,
    TRAITS,
    TREND_SD,
    Regime,
    TrialSequence,
    TwinWorld,
    drifts_of,
    lapses_of,
    parameters_of,
    simulate_twin_world,
    start_seconds,
    trial_sequence,
)
from bids_dtg.twin.trials import Trials


@dataclass(frozen=True, eq=False)
class TwinPeople:
    """Simulated people of one world; `after` gives the same people with other connectomes."""

    world: TwinWorld
    cohort: int  # number of the cohort: cohorts of a world have different people
    # Numbers in the cohort: the same number is the same person.
    persons: tuple[int, ...]
    # (people, edges): upper triangle row by row, Fisher z
    connectomes: Float32
    traits: Float64  # (people, traits): mean 0, variance 1
    # (people, parameters): part that is independent of traits, standardised
    independent: Float64
    lapses: Float64  # (people,): share of trials without a response

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of participants, without ``sub-``; cohorts have different labels."""
        return tuple(f"c{self.cohort}p{person:04d}" for person in self.persons)

    @property
    def parameters(self) -> Float64:
        """True parameters, (people, 5), in the order of `world.PARAMETERS`."""
        shared = self.world.difficulty.shared
        traits = self.traits @ self.world.weights
        return parameters_of(
            np.sqrt(shared) * traits + np.sqrt(1.0 - shared) * self.independent
        )

    def select(self, rows: Sequence[int] | Integers) -> TwinPeople:
        """Return some of the people, by row.

        Examples
        --------
        >>> people = simulate_twin_people(4, "easy", regions=10, seed=1)
        >>> people.select([3, 1]).labels
        ('c0p0003', 'c0p0001')
        """
        rows = np.asarray(rows, np.intp)
        return replace(
            self,
            persons=tuple(self.persons[row] for row in rows),
            **{
                name: getattr(self, name)[rows]
                for name in ("connectomes", "traits", "independent", "lapses")
            },
        )

    def after(self, delta_edges: Floats) -> TwinPeople:
        """Return these people after an intervention on their connectome: its true effect.

        Traits change by the projection of the change on the generating loadings
        (`TwinWorld.traits_of`), and parameters change with them. The parts that are independent of
        traits do not change.

        Parameters
        ----------
        delta_edges
            Change of the connectome, Fisher z: (edges,) for everybody, or (people, edges).

        Examples
        --------
        >>> people = simulate_twin_people(3, "easy", regions=20, seed=1)
        >>> from bids_dtg.twin.phantom.world import SDS
        >>> quick = people.after(people.world.weights[:, 2] @ people.world.loadings)
        >>> drift = quick.parameters[:, 2] - people.parameters[:, 2]  # one standard deviation
        >>> bool(np.allclose(drift, SDS[2]))
        True
        """
        traits = self.traits + self.world.traits_of(delta_edges)
        connectomes = (self.connectomes + np.asarray(delta_edges)).astype(np.float32)
        return replace(self, connectomes=connectomes, traits=traits)

    def runs(
        self, sequences: Sequence[TrialSequence], *, seed: int
    ) -> list[list[Trials]]:
        """Simulate everybody's responses to sequences.

        Parameters
        ----------
        sequences
            Sequences of the faces and the Stroop task, with different names.
        seed
            Seed of the responses; another seed gives another session of the same people.

        Returns
        -------
        list of list of Trials
            A list for each person: a run for each sequence. A person's run does not depend on the
            other people and sequences.

        Examples
        --------
        >>> people = simulate_twin_people(2, "easy", regions=10, seed=1)
        >>> runs = people.runs([trial_sequence("stroopAP")], seed=1)
        >>> len(runs), len(runs[0]), runs[0][0].rt_seconds[:3].round(2)
        (2, 1, array([0.96, 1.26, 0.94]))
        """
        by_sequence = []
        for sequence in sequences:
            purpose, session = Purpose.TWIN_RESPONSES, crc32(sequence.name.encode())
            streams = [
                stream(
                    seed, purpose, cohort=self.cohort, person=person, session=session
                )
                for person in self.persons
            ]
            uniforms = np.array(
                [rng.random((len(sequence.rows), UNIFORMS)) for rng in streams]
            )
            state = np.array([rng.standard_normal(2) for rng in streams])
            by_sequence.append(
                respond(sequence, self.parameters, self.lapses, state, uniforms)
            )
        return [list(runs) for runs in zip(*by_sequence, strict=True)]

    def mean_rt_seconds(self, task: str) -> Float64:
        """Return true mean response times, (people, 2), in both conditions of a task.

        ``faces``: shape, face; ``stroop``: congruent, incongruent. All responses count, also those
        after the task's window.
        """
        parameters = self.parameters
        drifts, boundary = drifts_of(parameters, task), parameters[:, 1:2]
        start = start_seconds(parameters, task)
        return np.asarray(start + mean_decision_seconds(drifts, boundary))

    def share_correct(self, task: str) -> Float64:
        """Return true shares of correct responses among all responses, (people, 2)."""
        parameters = self.parameters
        return share_correct(drifts_of(parameters, task), parameters[:, 1:2])

    def effects(self, task: str) -> Float64:
        """Return the true effect on the mean response time, (people,): second minus first.

        Examples
        --------
        >>> people = simulate_twin_people(200, "hard", regions=10, seed=1)
        >>> bool(people.effects("stroop").mean() > people.effects("faces").mean() > 0.05)
        True
        """
        first, second = self.mean_rt_seconds(task).T
        return np.asarray(second - first)

    def functions(self, sequences: Sequence[str]) -> dict[str, Float64]:
        """Return true mean response times over the trials of sequences, and true effects."""
        functions = {}
        for name in sequences:
            trials = trial_sequence(name).trials
            task = trials.task
            number = np.bincount(trials.condition, minlength=len(task.conditions))
            means = self.mean_rt_seconds(task.name)
            functions[f"{task.name}_rt"] = means @ number / number.sum()
            functions[f"{task.name}_effect"] = self.effects(task.name)
        return functions


def simulate_twin_people(
    people: int,
    regime: Regime,
    *,
    regions: int = 100,
    seed: int,
    cohort: int = Cohort.TRAINING,
) -> TwinPeople:
    """Simulate people of the world that the seed draws.

    Another cohort of the same seed, or `TwinPeople.select`, gives unseen people of the same world.
    The first people of a cohort do not depend on the number of people, and are the same in both
    regimes except for their noise.

    Parameters
    ----------
    people
        Size of the cohort.
    regime
        Name of a regime; see `simulate_twin_world`.
    regions
        Regions of each simulated connectome.
    seed
        Seed of the world and the people.
    cohort
        Number of the cohort, different for each group of people of this world.

    Returns
    -------
    TwinPeople
        Connectomes, traits and parameters.

    Examples
    --------
    >>> fitted = simulate_twin_people(5, "hard", regions=20, seed=1)
    >>> unseen = simulate_twin_people(3, "hard", regions=20, seed=1, cohort=Cohort.TEST)
    >>> fitted.connectomes.shape, unseen.parameters.shape
    ((5, 190), (3, 5))
    >>> bool((fitted.world.loadings == unseen.world.loadings).all()), unseen.labels[0]
    (True, 'c2p0000')
    """
    world = simulate_twin_world(regime, regions=regions, seed=seed)
    drawn = [_person(world, cohort, person) for person in range(people)]
    connectomes, traits, independent, lapses = zip(*drawn, strict=True)
    return TwinPeople(
        world=world,
        cohort=int(cohort),
        persons=tuple(range(people)),
        connectomes=np.array(connectomes, np.float32),
        traits=np.array(traits),
        independent=np.array(independent),
        lapses=lapses_of(np.array(lapses)),
    )


def _person(
    world: TwinWorld, cohort: int, person: int
) -> tuple[Float32, Float64, Float64, float]:
    """Draw a person's connectome, traits, independent parameters and quantile of lapse shares."""
    rng = stream(world.seed, Purpose.TWIN_PERSON, cohort=cohort, person=person)
    traits = rng.standard_normal(TRAITS)
    independent = rng.standard_normal(len(PARAMETERS))
    rng.standard_normal(SKIPPED)
    lapse = rng.random()
    nuisance = rng.standard_normal(len(world.nuisance)) @ world.nuisance
    deviation = traits @ world.loadings + nuisance
    noise = rng.standard_normal(len(world.mean), np.float32)
    connectome = world.mean + deviation + world.difficulty.edge_noise_sd * noise
    return connectome.astype(np.float32), traits, independent, lapse


UNIFORMS = 4  # random numbers per trial: for time, choice, lapse and wrong button
LURED = 0.8  # share of wrong responses to incongruent words with the button of the word
SHORTEST_SECONDS = 0.2


def respond(
    sequence: TrialSequence,
    parameters: Float64,
    lapses: Float64,
    state: Float64,
    uniforms: Float64,
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
    """
    trials = sequence.trials
    rt_seconds, correct = _decisions(trials, parameters, uniforms)
    into = trials.onset_seconds / trials.run_seconds - 0.5
    rt_seconds += RUN_SD * state[:, :1] + TREND_SD * state[:, 1:] * into
    rt_seconds = np.maximum(rt_seconds, SHORTEST_SECONDS)
    late = rt_seconds > trials.task.window_seconds
    missed = late | (uniforms[..., 2] < lapses[:, None])
    rt_seconds = np.where(missed, np.nan, rt_seconds)
    wrong = _wrong_buttons(sequence, uniforms[..., 3])
    button = np.where(correct, trials.correct_button, wrong)
    button = np.where(missed, -1, button).astype(np.int8)
    return [
        replace(
            trials,
            rt_seconds=rt_seconds[i],
            button=button[i],
            correct=(correct & ~missed)[i],
        )
        for i in range(len(parameters))
    ]


def _decisions(
    trials: Trials, parameters: Float64, uniforms: Float64
) -> tuple[Float64, Mask]:
    """Return response times in seconds and whether choices are correct, (people, trials)."""
    task, boundary = trials.task.name, parameters[:, 1]
    drifts, start = drifts_of(parameters, task), start_seconds(parameters, task)
    seconds = np.zeros(uniforms.shape[:2])
    correct = np.zeros(uniforms.shape[:2], bool)
    for column, name in enumerate(TASKS[task]):
        shown = trials.condition == trials.task.conditions.index(name)
        drift = drifts[:, column]
        decided = decision_quantiles(uniforms[:, shown, 0], drift, boundary)
        seconds[:, shown] = start[:, column, None] + decided
        correct[:, shown] = (
            uniforms[:, shown, 1] < share_correct(drift, boundary)[:, None]
        )
    return seconds, correct


def _wrong_buttons(sequence: TrialSequence, uniform: Float64) -> Indices:
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
