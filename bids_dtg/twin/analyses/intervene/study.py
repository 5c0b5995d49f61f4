"""What is computed for interventions in twins: attributions, their null, moves beside controls."""

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
from bids_dtg.twin.interventions.moves import (
    Direction,
    Move,
    dose_response,
    performed_outcomes,
    random_directions,
)
from bids_dtg.twin.interventions.outcomes import Outcomes
from bids_dtg.twin.interventions.significance import NullComparison, compare_with_null
from bids_dtg.twin.interventions.stability import (
    FEWEST_FITTED,
    map_correlations,
    mapped_gradients,
    refitted_halves,
)
from bids_dtg.twin.judging.cohort import targets_of_people
from bids_dtg.twin.recipe import find_architecture
from bids_dtg.twin.traces import Segments

Array = NDArray[np.float64]
Floats = NDArray[np.floating]

CONTROLS = 20  # random directions
# Along each of them, in standard deviations of people; the last one is that of the table.
CONTROL_DOSES = (1.0, 2.0)
TABLE_DOSE = CONTROL_DOSES[-1]
SPLITS = 5  # of the fitted people into halves
# Over whom attributions of refitted twins are averaged: they differ little between people.
_NULL_PEOPLE = 10
_LINES = 10  # a line of so many permutations is said
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
    """How alike the attributions of two twins are, or of one over different people."""

    comparison: str  # what differs
    r: Array  # (comparisons, targets): over edges


@dataclass(frozen=True, eq=False)
class Study:
    """What interventions in a twin come to."""

    labels: tuple[str, ...]  # of those whose twins perform
    gradients: Gradients
    directions: Mapping[str, Direction]  # by the target that each is meant to lower
    moves: Mapping[str, tuple[Move, ...]]  # by the same, a dose each
    controls: tuple[tuple[Move, ...], ...]  # (directions, doses), along random directions
    control_directions: tuple[Direction, ...]
    calibrations: Mapping[str, Calibration]  # by target; none where too few unseen people are here
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
    """Whose twins are moved, and what else can be computed."""

    bundle: TwinBundle
    performers: tuple[str, ...]  # whose twins perform
    fitted: tuple[str, ...]  # whom the model was fitted to, of those at hand
    permutations: int
    seed: int

    @property
    def known(self) -> int:
        """How many of those whose twins perform the model was fitted to."""
        return len(set(self.performers) & set(self.fitted))

    @property
    def without_null(self) -> str:
        """Why there is no null; empty where there is one."""
        part, here = self.bundle.part, len(self.fitted)
        if find_architecture(part.architecture).generates_all:
            return f"no null: {part.architecture} has no codes, and each would be a training"
        if part.bold:
            return "no null: the model predicts BOLD too, which is not read here"
        if here < part.people:
            return (
                f"no null: {here} of {counted(part.people, 'participant')} whom the model was "
                "fitted to are here with their events"
            )
        return "" if self.permutations else "no null: --permutations is 0"

    @property
    def refits(self) -> str:
        """Why twins are not fitted again to halves and with another seed; empty: they are."""
        if find_architecture(self.bundle.part.architecture).generates_all:
            return (
                "not fitted again, for stability over people and seeds: "
                f"{self.bundle.part.architecture} has no codes, and each would be a training"
            )
        why = dataclasses.replace(self, permutations=1).without_null
        few = len(self.fitted) < FEWEST_FITTED
        why = why or (f"fewer than {FEWEST_FITTED} participants fitted to" if few else "")
        return why and f"not fitted again, for stability over people and seeds: {_reason(why)}"


def _reason(why: str) -> str:
    return why.removeprefix("no null: ")


def study(
    plan: Plan, performers: People, fitted_people: People | None, settings: Settings, work: Path
) -> Study:
    """Attribute figures to edges, move connectomes, and compare both with what chance gives.

    Parameters
    ----------
    plan
        What is computed.
    performers
        Whose twins perform.
    fitted_people
        Whom the model was fitted to; None: they are not needed, or not at hand.
    settings
        Options of the call: the device of a further training.
    work
        Folder of checkpoints of that training.
    """
    fitted = plan.bundle.fitted()
    say(f"attribution over {counted(len(performers.labels), 'participant')} …")
    gradients = smooth_gradients(
        fitted.twin.weights, performers.connectomes, performers.segments, seed=plan.seed
    )
    outcomes = performed_outcomes(fitted, performers.connectomes, performers.segments)
    directions, notes = _directions(outcomes, performers.connectomes)
    say(f"moves along {counted(len(directions), 'direction')} and {CONTROLS} random ones …")
    moves = {
        name: dose_response(fitted, performers.connectomes, performers.segments, direction)
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
        moves=moves,
        controls=tuple(
            dose_response(
                fitted, performers.connectomes, performers.segments, direction, CONTROL_DOSES
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
    """Return how far apart two people's connectomes are, rms over edges and pairs of people.

    Parameters
    ----------
    connectomes
        (people, edges), of two people or more.

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
    """Return the directions that lower each figure, and sentences on figures that have none."""
    found, notes = {}, []
    for target in outcomes.targets:
        try:
            raises = Direction.between(connectomes, outcomes.of(target))
        except ValueError:
            notes.append(f"no direction of {target}: twins do not differ in it")
            continue
        found[target] = Direction(-raises.unit, raises.length)
    return found, tuple(notes)


def _calibrations(plan: Plan, outcomes: Outcomes, segments: Segments) -> dict[str, Calibration]:
    """Return by what slope changes of figures are believed; of people who are not fitted to."""
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
    """Twins of the same people that are fitted again, in part or as a whole."""

    plan: Plan
    fitted: Fitted
    gradients: Gradients  # of the twin itself
    people: People  # whom it was fitted to
    codes: FittedPeople
    performers: People
    over: People  # of them, whom attributions are averaged over

    @classmethod
    def of(
        cls,
        plan: Plan,
        fitted: Fitted,
        gradients: Gradients,
        performers: People,
        people: People | None,
    ) -> _Refits | None:
        """Return them; None where they cannot be fitted."""
        if people is None or plan.refits:
            return None
        say(f"codes of {counted(len(people.labels), 'participant')} …")
        rows = _spread(len(performers.labels), _NULL_PEOPLE)
        over = People(
            tuple(performers.labels[row] for row in rows),
            performers.connectomes[rows],
            performers.segments.people(rows),
        )
        codes = FittedPeople.of(fitted, people.connectomes, people.segments)
        return cls(plan, fitted, gradients, people, codes, performers, over)

    def null(self) -> tuple[NullComparison | None, Array | None]:
        """Return the attribution beside its null, and how it agrees with the twin's own.

        What is compared with the null is made as the null is: with codes found again, over the
        same people, without noise.
        """
        if self.plan.without_null:
            return None, None
        over = (self.over.connectomes, self.over.segments)
        observed = mapped_gradients(self.fitted, self.codes, *over)
        number = self.plan.permutations
        say(f"null of {counted(number, 'permutation')} of behaviour …")
        null = null_gradients(
            self.fitted,
            self.codes,
            *over,
            permutations=number,
            seed=self.plan.seed,
            report=_every_tenth(number),
        )
        regions = self.plan.bundle.part.regions
        found = compare_with_null(observed, null, self.performers.connectomes, regions=regions)
        return found, map_correlations(observed.edges, self.gradients.edges)

    def stability(self, settings: Settings, work: Path) -> tuple[Stability, ...]:
        """Return how alike the attributions of twins are that are fitted again."""
        say(f"twins refitted to halves of {counted(len(self.people.labels), 'participant')} …")
        halves = refitted_halves(
            self.fitted,
            self.codes,
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
        """Return how alike the attribution is of the same recipe with another seed."""
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
    """Return rows of some of so many people, from the first to the last."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).round().astype(np.intp))


def _every_tenth(number: int) -> Callable[[int], None]:
    """Return what says how many permutations are done."""

    def report(done: int) -> None:
        if done % max(1, number // _LINES) == 0:
            say(f"{done} of {counted(number, 'permutation')}")

    return report


def mean_known(values: Array) -> float:
    """Return the mean of the values that are known; NaN where none is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
