"""The demo's confounders: a change of the connectome does less than predicted where causes act.

Two further worlds of the simulator have causes that change connectome and responses at once:
measured ones (age, motion), and ones that nobody measured (arousal, own non-decision time).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.adjustment import Adjustment, Covariates
from bids_dtg.twin.demo_perturbation import DemoPerturbation, perturb_people
from bids_dtg.twin.judging.cohort import targets_of_people
from bids_dtg.twin.phantom.files import write_twin_people
from bids_dtg.twin.phantom.people import TwinPeople, simulate_twin_people
from bids_dtg.twin.phantom.sequences import TrialSequence
from bids_dtg.twin.phantom.world import Regime
from bids_dtg.twin.trial_series import Segments, stack_people

if TYPE_CHECKING:
    from bids_dtg.twin.fitting import Fitted

Values = NDArray[np.float64]

REGIMES: tuple[Regime, ...] = ("measured", "unmeasured")
NONE, TAKEN_OUT = "none", "measured_taken_out"
# Of people without and with confounders, as the table names them.
WORDS: Mapping[str, str] = MappingProxyType(
    {
        NONE: "no other cause",
        "measured": "age and motion",
        TAKEN_OUT: "these taken out (--covariates)",
        "unmeasured": "causes that nobody measured",
    }
)
_MS, _RT = 1000.0, 0  # the first target of people is their mean response time


@dataclass(frozen=True, eq=False)
class ConfoundedPeople:
    """People of a world with confounders, and what they did."""

    people: TwinPeople
    segments: Segments


@dataclass(frozen=True, eq=False)
class ConfoundedChange:
    """What a perturbation does in people without or with confounders."""

    name: str  # key of `WORDS`
    found: DemoPerturbation | None  # None: twins do not differ


def simulate_confounded(
    folder: Path, people: TwinPeople, sequence: TrialSequence, *, seed: int
) -> dict[str, ConfoundedPeople]:
    """Simulate as many people with confounders, and write them into folders of their regimes.

    Parameters
    ----------
    folder
        Folder that gets a folder for each regime, as of `write_twin_people`.
    people
        People without confounders, who have the same traits.
    sequence
        Trials that they perform.
    seed
        Seed of the people and their responses.
    """
    found: dict[str, ConfoundedPeople] = {}
    for regime in REGIMES:
        own = simulate_twin_people(
            len(people.persons), regime, regions=people.world.regions, seed=seed
        )
        runs = own.runs([sequence], seed=seed)
        write_twin_people(folder / regime, own, [sequence], runs)
        found[regime] = ConfoundedPeople(own, stack_people(runs))
    return found


def perturb_confounded(
    fitted: Fitted, confounded: Mapping[str, ConfoundedPeople], known: int, *, seed: int
) -> Iterator[ConfoundedChange]:
    """Refit the twins to people with confounders, and perturb the connectomes of unseen ones.

    The network of the group is kept; people's factors and their regression on connectomes are
    fitted anew.

    Parameters
    ----------
    fitted
        Twins of people without confounders.
    confounded
        People of each regime.
    known
        How many of them are fitted; the others are unseen.
    seed
        Seed of intervals.
    """
    # Imported here, so that a missing package is reported at once.
    from bids_dtg.twin.interventions.attribution import FittedPeople, with_factor_map
    from bids_dtg.twin.interventions.moves import with_twin

    anew = replace(fitted, own_factors=None)
    for regime, own in confounded.items():
        people = len(own.people.persons)
        rows, unseen = np.arange(known), np.arange(known, people)
        fitted_to = FittedPeople.of(anew, own.people.connectomes[rows], own.segments.people(rows))
        segments = own.segments.people(unseen)
        observed = targets_of_people(segments)[:, _RT]
        for name, shown, covariates in _shown(regime, own.people, known):
            factors = replace(fitted_to.factors, covariates=covariates)
            mapped = replace(fitted_to, connectomes=shown.connectomes[rows], factors=factors)
            twins = with_twin(fitted, with_factor_map(fitted.twin, mapped))
            others = shown.select(unseen)
            found = perturb_people(twins, others, segments, observed, seed=seed, controls=0)
            yield ConfoundedChange(name, found)


def _shown(
    regime: str, people: TwinPeople, known: int
) -> Iterator[tuple[str, TwinPeople, Values | None]]:
    """Yield people with their connectomes, and with these at the same measured confounders.

    With these come the confounders of the people who are fitted to.
    """
    yield regime, people, None
    measured = people.covariates
    if measured:
        values = np.stack(list(measured.values()), axis=1)
        names, edges = tuple(measured), people.connectomes
        of_all, of_known = Covariates(names, values), Covariates(names, values[:known])
        of_fit = Adjustment.fit(edges[:known], of_known)
        adjusted = of_fit.apply(edges, of_all).astype(np.float32)
        yield TAKEN_OUT, replace(people, connectomes=adjusted), of_fit.columns(of_known)


def confounded_words(changes: Sequence[ConfoundedChange]) -> Iterator[str]:
    """Yield the results as lines of a table, and what they say."""
    yield "the same, where other causes change connectome and response times at once:"
    yield f"  {'':32}{'rt: r':>5}   {'predicted, times the slope (ms)':>32}{'true (ms)':>12}"
    for change in changes:
        yield f"  {WORDS[change.name]:32}{_cells(change.found)}"
    yield "With such causes, edges predict times that they do not make: a high r does not show that"
    yield "a change does what is predicted. --covariates takes out columns of participants.tsv;"
    yield "what nobody measured stays. Where r is near 0, nothing is predicted."


def _cells(found: DemoPerturbation | None) -> str:
    if found is None:
        return "twins do not differ"
    return f"{found.r:5.2f}   {found.calibrated_words or 'n/a':>32}{_MS * found.true[-1]:+12.0f}"
