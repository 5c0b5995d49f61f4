"""Computations of interventions: attributions, their null, perturbations and random controls."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.engine.gpu import resolve_device
from bids_dtg.notices import counted, say
from bids_dtg.settings import Settings
from bids_dtg.training.loop import Workplace
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.fitting import Fitted, fit
from bids_dtg.twin.interventions.attribution import FittedPeople, null_gradients
from bids_dtg.twin.interventions.calibration import Calibration
from bids_dtg.twin.interventions.gradients import Gradients, smooth_gradients
from bids_dtg.twin.interventions.outcomes import Outcomes
from bids_dtg.twin.interventions.perturbations import (
    Direction,
    Perturbation,
    performed_outcomes,
    perturb_connectomes,
    random_directions,
)
from bids_dtg.twin.interventions.significance import NullComparison, compare_with_null
from bids_dtg.twin.interventions.stability import (
    FEWEST_FITTED,
    map_correlations,
    mapped_gradients,
    refitted_halves,
)
from bids_dtg.twin.judging.cohort import targets_of_people
from bids_dtg.twin.recipe import find_architecture
from bids_dtg.twin.trial_series import Segments

Array = NDArray[np.float64]
Floats = NDArray[np.floating]

CONTROLS = 20  # random directions
# Along each of them, in standard deviations of people; the last one is that of the table.
CONTROL_STEP_SIZES = (1.0, 2.0)
TABLE_STEP_SIZE = CONTROL_STEP_SIZES[-1]
SPLITS = 5  # of the fitted people into halves
# People in the mean attribution of refitted twins: attributions differ little between people.
_NULL_PEOPLE = 10
_LINES = 10  # progress lines of the permutations
OVER_PEOPLE, OVER_FITTED, OVER_SEEDS = (
    "halves of the people averaged over",
    "refitted to halves of the people",
    "the group's network of another seed",
)


@dataclass(frozen=True, eq=False)
class People:
    """People with connectomes, and what they saw and did."""

    labels: tuple[str, ...]
    connectomes: Floats  # (people, edges), Fisher z
    segments: Segments


@dataclass(frozen=True, eq=False)
class Stability:
    """Correlations of attributions between two twins, or of one twin over different people."""

    comparison: str  # what differs
    r: Array  # (comparisons, targets): over edges


@dataclass(frozen=True, eq=False)
class Study:
    """Results of interventions in a twin."""

    labels: tuple[str, ...]  # participants whose twins perform
    gradients: Gradients
    directions: Mapping[str, Direction]  # by the target that each should lower
    perturbations: Mapping[str, tuple[Perturbation, ...]]  # by target, one for each step size
    controls: tuple[tuple[Perturbation, ...], ...]  # (directions, step sizes), random
    control_directions: tuple[Direction, ...]
    calibrations: Mapping[str, Calibration]  # by target; empty with too few unseen people
    between_people: float  # rms over edges of the difference of two people's connectomes
    stability: tuple[Stability, ...]
    null: NullComparison | None
    refitted_r: Array | None  # (targets,): attribution of the null's unpermuted twin, with the map
    notes: tuple[str, ...]  # what was left out, and why

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
        part, here = self.bundle.part, len(self.fitted)
        if find_architecture(part.architecture).generates_all:
            return (
                f"no null: {part.architecture} has no latent factors, and each permutation would "
                "be a training"
            )
        if part.bold:
            return "no null: the model predicts BOLD too, which is not read here"
        if here < part.people:
            return (
                f"no null: {here} of {counted(part.people, 'training participant')} are here with "
                "their events"
            )
        return "" if self.permutations else "no null: --permutations is 0"

    @property
    def refits(self) -> str:
        """Why twins are not refitted to halves and with another seed; empty: they are."""
        if find_architecture(self.bundle.part.architecture).generates_all:
            return (
                "not refitted, for stability over people and seeds: "
                f"{self.bundle.part.architecture} has no latent factors, and each refit would be a "
                "training"
            )
        why = dataclasses.replace(self, permutations=1).without_null
        few = len(self.fitted) < FEWEST_FITTED
        why = why or (f"fewer than {FEWEST_FITTED} training participants" if few else "")
        return why and f"not refitted, for stability over people and seeds: {_reason(why)}"


def _reason(why: str) -> str:
    return why.removeprefix("no null: ")


def study(
    plan: Plan, performers: People, fitted_people: People | None, settings: Settings, work: Path
) -> Study:
    """Attribute figures to edges, perturb connectomes, and compare both with chance.

    `fitted_people` are the training participants; None: they are not needed, or not at hand. `work`
    is the folder of checkpoints of a further training.
    """
    fitted = plan.bundle.fitted()
    say(f"attribution over {counted(len(performers.labels), 'participant')} …")
    gradients = smooth_gradients(
        fitted.twin.weights, performers.connectomes, performers.segments, seed=plan.seed
    )
    outcomes = performed_outcomes(fitted, performers.connectomes, performers.segments)
    directions, notes = _directions(outcomes, performers.connectomes)
    say(f"perturbations along {counted(len(directions), 'direction')}, {CONTROLS} random ones …")
    perturbations = {
        name: perturb_connectomes(fitted, performers.connectomes, performers.segments, direction)
        for name, direction in directions.items()
    }
    controls = random_directions(performers.connectomes, CONTROLS, plan.seed)
    refits = _Refits.of(plan, fitted, gradients, performers, fitted_people)
    own_halves = Stability(OVER_PEOPLE, map_correlations(*gradients.halves)[None])
    null, refitted_r = (None, None) if refits is None else refits.null()
    return Study(
        labels=performers.labels,
        gradients=gradients,
        directions=directions,
        perturbations=perturbations,
        controls=tuple(
            perturb_connectomes(
                fitted, performers.connectomes, performers.segments, direction, CONTROL_STEP_SIZES
            )
            for direction in controls
        ),
        control_directions=tuple(controls),
        calibrations=_calibrations(plan, outcomes, performers.segments),
        between_people=rms_between(performers.connectomes),
        stability=(own_halves, *(() if refits is None else refits.stability(settings, work))),
        null=null,
        refitted_r=refitted_r,
        notes=(*notes, *(note for note in (plan.without_null, plan.refits) if note)),
    )


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
            raises = Direction.between(connectomes, outcomes.of(target))
        except ValueError:
            notes.append(f"no direction for {target}: it does not vary between twins")
            continue
        found[target] = Direction(-raises.unit, raises.length)
    return found, tuple(notes)


def _calibrations(plan: Plan, outcomes: Outcomes, segments: Segments) -> dict[str, Calibration]:
    """Return the calibration slope of each figure; none if performers are in the training set."""
    if plan.known:
        return {}
    observed = targets_of_people(segments)
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
    gradients: Gradients  # of the twin itself
    people: People  # the training participants
    factors: FittedPeople
    performers: People
    over: People  # performers in the mean attribution

    @classmethod
    def of(
        cls,
        plan: Plan,
        fitted: Fitted,
        gradients: Gradients,
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
        factors = FittedPeople.of(fitted, people.connectomes, people.segments)
        return cls(plan, fitted, gradients, people, factors, performers, over)

    def null(self) -> tuple[NullComparison | None, Array | None]:
        """Compare the attribution with its null, and correlate it with the twin's own.

        The attribution that is compared is computed as the null is: with refitted factors, over
        the same people, without noise.
        """
        if self.plan.without_null:
            return None, None
        over = (self.over.connectomes, self.over.segments)
        observed = mapped_gradients(self.fitted, self.factors, *over)
        number = self.plan.permutations
        say(f"null of {counted(number, 'permutation')} of behaviour …")
        null = null_gradients(
            self.fitted,
            self.factors,
            *over,
            permutations=number,
            seed=self.plan.seed,
            report=_every_tenth(number),
        )
        regions = self.plan.bundle.part.regions
        found = compare_with_null(observed, null, self.performers.connectomes, regions=regions)
        return found, map_correlations(observed.edges, self.gradients.edges)

    def stability(self, settings: Settings, work: Path) -> tuple[Stability, ...]:
        """Return the correlations of attributions between refitted twins."""
        say(f"twins refitted to halves of {counted(len(self.people.labels), 'participant')} …")
        halves = refitted_halves(
            self.fitted,
            self.factors,
            self.over.connectomes,
            self.over.segments,
            splits=SPLITS,
            seed=self.plan.seed,
        )
        return (
            Stability(OVER_FITTED, np.array(list(halves))),
            Stability(OVER_SEEDS, self._other_seed(settings, work)[None]),
        )

    def _other_seed(self, settings: Settings, work: Path) -> Array:
        """Correlate the attributions of the twin and of a training with another seed."""
        seed = self.fitted.seed + 1
        say(f"a second training, of seed {seed} …")
        other = fit(
            self.people.connectomes,
            self.people.segments,
            people=self.people.labels,
            architecture=find_architecture(self.fitted.architecture, self.fitted.recipe),
            seed=seed,
            workplace=Workplace(
                work,
                device=resolve_device(settings.resources.device),
                progress=sys.stderr.isatty(),
            ),
            report=say,
        )
        own, others = (
            smooth_gradients(
                twin.weights, self.over.connectomes, self.over.segments, copies=1, noise=0.0
            )
            for twin in (self.fitted.twin, other.twin)
        )
        return map_correlations(own.edges, others.edges)


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
