"""Computations of interventions: attributions, perturbations, their null, refits and baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.notices import counted, say
from bids_dtg.stats.verdict import Verdict
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.fitting import Fitted
from bids_dtg.twin.interventions.attribution import (
    FittedPeople,
    map_correlations,
    permuted_twins,
    with_factor_map,
)
from bids_dtg.twin.interventions.calibration import FEWEST_PEOPLE, Calibration
from bids_dtg.twin.interventions.gradients import Gradients, smooth_gradients
from bids_dtg.twin.interventions.linear import LinearMap
from bids_dtg.twin.interventions.moves import (
    FEWEST_FITTED,
    STEP_SIZE,
    Change,
    Movers,
    changes_along,
    judge_moves,
    judged_changes,
    lowering_directions,
    refitted_twins,
    with_twin,
)
from bids_dtg.twin.interventions.outcomes import Outcomes
from bids_dtg.twin.interventions.perturbations import (
    Direction,
    Perturbation,
    performed_outcomes,
    perturb_connectomes,
)
from bids_dtg.twin.judging.behaviour import figures
from bids_dtg.twin.judging.cohort import answers_of, targets_of, targets_of_people
from bids_dtg.twin.recipe import find_architecture
from bids_dtg.twin.trial_series import Segments

Array = NDArray[np.float64]
Floats = NDArray[np.floating]

TABLE_STEP_SIZE = STEP_SIZE  # of the table, and of the null
SPLITS = 5  # of the fitted people into halves
# People in the mean attribution of refitted twins: attributions differ little between people.
_NULL_PEOPLE = 10
_LINES = 10  # progress lines of the permutations
TWIN, RIDGE = "twin", "ridge"  # what a direction is of


@dataclass(frozen=True, eq=False)
class People:
    """People with connectomes, and what they saw and did."""

    labels: tuple[str, ...]
    connectomes: Floats  # (people, edges), Fisher z
    segments: Segments
    covariates: Array | None = None  # (people, columns), which were taken out of connectomes


@dataclass(frozen=True, eq=False)
class Moves:
    """Changes of each figure along the direction that lowers it, and what they are judged by."""

    own: Change  # by the twin, with refitted factors
    permuted: tuple[Change, ...]  # by twins of permuted behaviour, each along its own directions
    refitted: tuple[Change, ...]  # by twins refitted to halves, along the twin's directions
    verdicts: tuple[Verdict, ...]  # (targets,): how far each figure is lowered


@dataclass(frozen=True, eq=False)
class SimpleMove:
    """The change of a figure along a direction, as the twins and a ridge regression predict it."""

    target: str
    direction: str  # what it is of: `TWIN` or `RIDGE`
    by_twin: float  # mean change, seconds
    by_ridge: float
    calibrated: tuple[float, float, float] | None  # that of the ridge; None: not known


@dataclass(frozen=True, eq=False)
class Study:
    """Results of interventions in a twin."""

    gradients: Gradients
    directions: Mapping[str, Direction]  # by the target that each should lower
    perturbations: Mapping[str, tuple[Perturbation, ...]]  # by target, one for each step size
    moves: Moves | None  # None: there is no null, or no refit
    outcomes: Outcomes  # of the performers' twins
    observed: Array  # (people, targets): of the performers themselves, seconds
    observed_correct: Array  # (people, tasks): share of trials; misses count as errors
    observed_missed: Array  # (people, tasks): share of trials
    linear: Mapping[str, LinearMap]  # by target, of the training participants
    simple: tuple[SimpleMove, ...]  # none without training participants
    calibrations: Mapping[str, Calibration]  # by target; empty with too few unseen people
    between_people: float  # rms over edges of the difference of two people's connectomes
    refits_r: Array | None  # (splits, targets): over edges, of twins refitted to two halves
    notes: tuple[str, ...]  # what was left out, and why
    without_moves: str  # why perturbations are not judged; empty: they are

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the figures."""
        return self.gradients.targets


@dataclass(frozen=True, eq=False)
class Plan:
    """The people whose twins perform, and the computations that are possible."""

    bundle: TwinBundle
    performers: tuple[str, ...]  # participants whose twins perform
    fitted: tuple[str, ...]  # the training participants among those at hand
    permutations: int
    seed: int

    @property
    def known(self) -> int:
        """Number of performers in the model's training set."""
        return len(set(self.performers) & set(self.fitted))

    @property
    def without_null(self) -> str:
        """Why there is no null; empty where there is one."""
        why = self._unfit("each permutation")
        if not why and not self.permutations:
            why = "--permutations is 0"
        return why and f"no null: {why}"

    @property
    def refits(self) -> str:
        """Why twins are not refitted to halves of the people; empty: they are."""
        why = self._unfit("each refit")
        if not why and len(self.fitted) < FEWEST_FITTED:
            why = f"fewer than {FEWEST_FITTED} training participants"
        return why and f"not refitted to halves of the people: {why}"

    def _unfit(self, each: str) -> str:
        """Return why nothing is refitted; empty where latent factors and their people are here."""
        part, here = self.bundle.part, len(self.fitted)
        if find_architecture(part.architecture).generates_all:
            return f"{part.architecture} has no latent factors, and {each} would be a training"
        if here < part.people:
            return (
                f"{here} of {counted(part.people, 'training participant')} are here with their "
                "events"
            )
        return ""


def study(plan: Plan, performers: People, fitted_people: People | None) -> Study:
    """Attribute figures to edges, perturb connectomes, and compare the changes with chance.

    `fitted_people` are the training participants; None: they are not needed, or not at hand.
    """
    fitted = plan.bundle.fitted()
    say(f"attribution over {counted(len(performers.labels), 'participant')} …")
    gradients = smooth_gradients(
        fitted.twin.weights, performers.connectomes, performers.segments, seed=plan.seed
    )
    outcomes = performed_outcomes(fitted, performers.connectomes, performers.segments)
    directions, notes = _directions(outcomes, performers.connectomes)
    say(f"perturbations along {counted(len(directions), 'direction')} …")
    perturbations = {
        name: perturb_connectomes(fitted, performers.connectomes, performers.segments, direction)
        for name, direction in directions.items()
    }
    refits = _Refits.of(plan, fitted, performers, fitted_people)
    refits_r, moves = (None, None) if refits is None else refits.judged()
    observed = targets_of_people(performers.segments)
    correct, missed = _observed_shares(performers.segments)
    linear = _linear(fitted_people, gradients.targets)
    return Study(
        gradients=gradients,
        directions=directions,
        perturbations=perturbations,
        moves=moves,
        outcomes=outcomes,
        observed=observed,
        observed_correct=correct,
        observed_missed=missed,
        linear=linear,
        simple=tuple(_simple_moves(plan, fitted, performers, directions, linear)),
        calibrations=_calibrations(plan, outcomes, observed),
        between_people=rms_between(performers.connectomes),
        refits_r=refits_r,
        notes=(*notes, *(note for note in (plan.without_null, plan.refits) if note)),
        without_moves=plan.without_null or plan.refits,
    )


def _observed_shares(segments: Segments) -> tuple[Array, Array]:
    """Return people's shares of correct and of missed trials, (people, tasks) each."""
    found = [
        figures(answers_of(segments, number).answers) for number in range(len(segments.tasks.tasks))
    ]
    return (
        np.stack([of.correct[:, 0] for of in found], axis=1),
        np.stack([of.unanswered[:, 0] for of in found], axis=1),
    )


def _linear(people: People | None, targets: tuple[str, ...]) -> dict[str, LinearMap]:
    """Return maps of edges that need no network, by target; none without training participants."""
    if people is None:
        return {}
    observed = targets_of_people(people.segments)
    found = {
        target: LinearMap.of(people.connectomes, observed[:, number], people.covariates)
        for number, target in enumerate(targets)
    }
    return {target: of for target, of in found.items() if of is not None}


def _simple_moves(
    plan: Plan,
    fitted: Fitted,
    performers: People,
    directions: Mapping[str, Direction],
    linear: Mapping[str, LinearMap],
) -> Iterator[SimpleMove]:
    """Yield changes along the directions of the twin and of the ridge."""
    rows = _spread(len(performers.labels), _NULL_PEOPLE)
    over = performers.connectomes[rows], performers.segments.people(rows)
    ridge = {
        target: found
        for target, of in linear.items()
        if (found := of.ridge_direction(performers.connectomes)) is not None
    }
    slopes = _ridge_calibrations(plan, performers, linear)
    for name, own in ((TWIN, directions), (RIDGE, ridge)):
        changes = changes_along(fitted, own, tuple(linear), *over)
        for (target, of), change in zip(linear.items(), changes, strict=True):
            if target in own:
                by_ridge = float(of.ridge @ own[target].delta(TABLE_STEP_SIZE))
                slope = slopes.get(target)
                calibrated = None if slope is None else slope.interval(by_ridge)
                yield SimpleMove(target, name, float(change), by_ridge, calibrated)


def _ridge_calibrations(
    plan: Plan, performers: People, linear: Mapping[str, LinearMap]
) -> dict[str, Calibration]:
    if plan.known:
        return {}
    names = [target.name for target in targets_of(performers.segments.tasks)]
    observed = dict(zip(names, targets_of_people(performers.segments).T, strict=True))
    found = {
        target: Calibration.of(of.predict(performers.connectomes), observed[target], seed=plan.seed)
        for target, of in linear.items()
    }
    return {target: of for target, of in found.items() if of is not None}


def rms_between(connectomes: Floats) -> float:
    """Return the difference between two people's connectomes, rms over edges and pairs of people.

    Parameters
    ----------
    connectomes
        (people, edges), Fisher z, of two people or more.

    Examples
    --------
    >>> rms_between(np.array([[0.0, 0.0], [3.0, 3.0]]))
    3.0
    """
    return float(np.sqrt(2 * np.var(np.asarray(connectomes, np.float64), axis=0, ddof=1).mean()))


def rms(edges: Array) -> float:
    """Return the size of a change of edges, rms over them.

    Examples
    --------
    >>> rms(np.array([3.0, -3.0]))
    3.0
    """
    return float(np.sqrt(np.mean(edges**2)))


def _directions(
    outcomes: Outcomes, connectomes: Floats
) -> tuple[dict[str, Direction], tuple[str, ...]]:
    """Return the direction that lowers each figure, and sentences on figures without one."""
    found, notes = {}, []
    for target in outcomes.targets:
        try:
            found[target] = Direction.between(connectomes, outcomes.of(target)).reversed
        except ValueError:
            notes.append(f"no direction for {target}: it does not vary between twins")
    return found, tuple(notes)


def _calibrations(plan: Plan, outcomes: Outcomes, observed: Array) -> dict[str, Calibration]:
    """Return the calibration slope of each figure; none if performers are in the training set."""
    if plan.known:
        return {}
    found = {
        target: Calibration.of(outcomes.of(target), observed[:, number], seed=plan.seed)
        for number, target in enumerate(outcomes.targets)
    }
    return {target: of for target, of in found.items() if of is not None}


@dataclass(frozen=True, eq=False)
class _Refits:
    """Twins refitted to the same people, in part or as a whole."""

    plan: Plan
    fitted: Fitted
    people: People  # the training participants
    factors: FittedPeople
    performers: People
    over: People  # performers in the mean attribution

    @classmethod
    def of(
        cls,
        plan: Plan,
        fitted: Fitted,
        performers: People,
        people: People | None,
    ) -> _Refits | None:
        """Prepare the refits; None where they are not possible."""
        if people is None or plan.refits:
            return None
        say(f"latent factors of {counted(len(people.labels), 'participant')} …")
        rows = _spread(len(performers.labels), _NULL_PEOPLE)
        over = People(
            tuple(performers.labels[row] for row in rows),
            performers.connectomes[rows],
            performers.segments.people(rows),
        )
        factors = FittedPeople.of(
            fitted, people.connectomes, people.segments, say, covariates=people.covariates
        )
        return cls(plan, fitted, people, factors, performers, over)

    def judged(self) -> tuple[Array, Moves | None]:
        """Refit twins to halves of the people, and judge perturbations by these and by a null.

        What is compared is computed as the null is: with refitted factors, over the same people.

        Returns
        -------
        tuple
            r over edges of the attributions of two halves, without noise, (splits, targets), and
            what perturbations are judged by; None without a null.
        """
        over = self.over.connectomes, self.over.segments
        tested = with_twin(self.fitted, with_factor_map(self.fitted.twin, self.factors))
        movers = Movers(
            self.performers.connectomes,
            self.performers.segments,
            _spread(len(self.performers.labels), _NULL_PEOPLE),
            self._observed(),
        )
        before = performed_outcomes(tested, movers.connectomes, movers.segments)
        directions = lowering_directions(before, movers.connectomes)
        r: list[Array] = []
        refitted: list[Change] = []
        say(f"twins refitted to halves of {counted(len(self.people.labels), 'participant')} …")
        for twins in refitted_twins(self.fitted, self.factors, splits=SPLITS, seed=self.plan.seed):
            first, second = (
                smooth_gradients(twin.weights, *over, copies=1, noise=0.0) for twin in twins
            )
            r.append(map_correlations(first.edges, second.edges))
            refitted += [
                judged_changes(with_twin(self.fitted, twin), movers, directions) for twin in twins
            ]
        if self.plan.without_null:
            return np.array(r), None
        permuted = tuple(self._permuted(movers))
        change = judged_changes(tested, movers, directions)
        verdicts = judge_moves(change, permuted, refitted, len(self.people.labels))
        return np.array(r), Moves(change, permuted, tuple(refitted), verdicts)

    def _observed(self) -> Array | None:
        """Return the performers' own figures; None where these cannot calibrate changes."""
        number = len(self.performers.labels)
        if self.plan.known or number < FEWEST_PEOPLE:
            return None
        return targets_of_people(self.performers.segments)

    def _permuted(self, movers: Movers) -> Iterator[Change]:
        """Yield changes by twins of permuted behaviour, each along its own directions."""
        number = self.plan.permutations
        report = _every_tenth(number)
        say(f"null of {counted(number, 'permutation')} of behaviour …")
        twins = permuted_twins(self.fitted, self.factors, permutations=number, seed=self.plan.seed)
        for done, twin in enumerate(twins, 1):
            yield judged_changes(with_twin(self.fitted, twin), movers)
            report(done)


def _spread(number: int, most: int) -> NDArray[np.intp]:
    """Return at most `most` evenly spaced rows of `number`."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).round().astype(np.intp))


def _every_tenth(number: int) -> Callable[[int], None]:
    """Return a function that reports the number of completed permutations."""

    def report(done: int) -> None:
        if done % max(1, number // _LINES) == 0:
            say(f"{done} of {counted(number, 'permutation')}")

    return report


def mean_known(values: Array) -> float:
    """Return the mean of the finite values; NaN where none is finite."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
