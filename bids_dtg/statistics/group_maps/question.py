"""The test over participants' maps, its participants, and their maps."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.features import (
    FeatureSource,
    MeasuredFeatures,
    find_features,
)
from bids_dtg.cohort.people import GroupPeople
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.inputs.statmaps import statmaps_place
from bids_dtg.notices import counted, named, say
from bids_dtg.stats.cohort.coding import Coded
from bids_dtg.stats.cohort.exchangeability import permutations, sign_flips
from bids_dtg.stats.cohort.pooled_fdr import why_no_q
from bids_dtg.stats.cohort.second_level import GroupDesign

MAPS, MEASURED = _VOXELWISE = ("maps", "measured")


@dataclass(frozen=True, eq=False)
class Draws:
    """Signs or orders of some people, which all contrasts of these people share."""

    values: NDArray[np.integer[Any]]  # (draws, people)
    words: tuple[str, ...]  # what was flipped or swapped, in sentences
    no_q: str = ""  # why no false discovery rate follows from them; empty: one does
    unfair: str = ""  # why nothing at all follows from them; empty: it does


@dataclass(frozen=True, eq=False)
class Question:
    """A test and its participants."""

    kind: str  # a value of --design
    people: GroupPeople  # people with all that is needed
    tested: NDArray[np.float64]  # (people,)
    covariates: Coded
    words: str  # description of the test; the effect is positive if the first exceeds the second
    sessions: tuple[str, ...] = ()  # for a paired test: the second minus the first

    @property
    def restricted(self) -> bool:
        """Whether people are related, or of several sites, so that they are not exchangeable."""
        related = len(np.unique(self.people.families)) < len(self.people)
        return related or (self.people.sites is not None and not self.tests_mean)

    @property
    def tests_mean(self) -> bool:
        """Whether a mean is tested against 0, so that signs are flipped."""
        return self.kind in ("one-sample", "paired")

    def design(self, rows: NDArray[np.intp]) -> GroupDesign:
        """Return the design of some of the people.

        Raises
        ------
        ValueError
            A column is tested that is the same for all of them.
        """
        own, _ = self._given(rows)
        design = GroupDesign(self.tested[rows], own.values if own.names else None)
        if design.tests_mean and not self.tests_mean:
            raise ValueError(f"what is tested is the same for all {len(rows)} who have maps of it")
        return design

    def _given(self, rows: NDArray[np.intp]) -> tuple[Coded, str]:
        """Return the covariates of some of the people, and why sites are none of them."""
        own = self.covariates.of(rows)
        if self.tests_mean:  # signs are flipped, for which sites do not matter
            return own, ""
        labels = [self.people.labels[row] for row in rows]
        name = self.people.settings.statistics.phenotype[0]
        return self.people.with_sites(labels, own, name, self.tested[rows])

    @cached_property
    def given(self) -> tuple[str, ...]:
        """Names of the columns that are taken out; sites are among them."""
        return self._given(np.arange(len(self.people)))[0].names

    @cached_property
    def no_sites(self) -> str:
        """Why sites are not taken out; empty where they are, or need not be."""
        return self._given(np.arange(len(self.people)))[1]

    def draws(self, rows: NDArray[np.intp], number: int, seed: int) -> Draws:
        """Draw signs or orders of some of the people, and describe them."""
        families = self.people.families[rows]
        if self.tests_mean:
            flips = sign_flips(number, families, seed=seed)
            return Draws(flips.signs, flips.words, why_no_q(number, flips.possible))
        sites = None if self.people.sites is None else self.people.sites[rows]
        options = self.people.settings.statistics
        within = options.within_families
        orders = permutations(number, families, sites=sites, within_families=within, seed=seed)
        words, no_q = orders.words, why_no_q(number, orders.possible)
        if trouble := orders.trouble_with(options.phenotype[0], self.tested[rows]):
            say(f"warning: {trouble}")
            words, no_q = (*words, trouble), f"no permutation changes {options.phenotype[0]}"
        return Draws(orders.orders, words, no_q)


def ask(people: GroupPeople) -> Question:
    """Compose the test from the options of the call.

    Raises
    ------
    SettingsError
        Options do not fit each other, or a column does not fit the design.
    DatasetError
        No participant has all values.
    """
    options = people.settings.statistics
    if len(options.phenotype) > 1:
        raise SettingsError(
            f"--phenotype names {named(options.phenotype)}",
            expected="one column for stats; associate tests several",
        )
    kind = options.design or ("" if options.phenotype else "one-sample")
    if kind in ("one-sample", "paired") and options.phenotype:
        raise SettingsError(
            f"--design {kind} tests no column, and --phenotype names {options.phenotype[0]}",
            remedy="give it as --covariates",
        )
    if kind in ("two-sample", "regression") and not options.phenotype:
        raise SettingsError(f"--design {kind} needs --phenotype NAME")
    people = people.complete([*options.phenotype, *options.covariates])
    covariates = people.covariates(options.covariates)
    if kind == "paired":
        return _ask_paired(people, covariates)
    if kind == "one-sample":
        words = "the mean of the maps against 0"
        return Question(kind, people, np.ones(len(people)), covariates, words)
    return _ask_column(people, kind, covariates)


def _ask_paired(people: GroupPeople, covariates: Coded) -> Question:
    sessions = people.settings.inputs.session_label
    if len(sessions) != 2:
        raise SettingsError(
            f"--design paired with {counted(len(sessions), 'session')}",
            expected="--session-label FIRST SECOND, two sessions of the same people",
        )
    first, second = sessions
    words = f"maps of session {second} against those of session {first}"
    return Question("paired", people, np.ones(len(people)), covariates, words, (first, second))


def _ask_column(people: GroupPeople, kind: str, covariates: Coded) -> Question:
    column = people.column(people.settings.statistics.phenotype[0])
    levels = column.levels
    kind = kind or ("two-sample" if len(levels) == 2 else "regression")
    if kind == "two-sample":
        if len(levels) != 2:
            raise SettingsError(
                f"{column.name} has {counted(len(levels), 'level')}, such as {levels[0]}",
                expected="two for a two-sample test",
            )
        tested = np.array([float(column.texts[label] == levels[1]) for label in people.labels])
        words = (
            f"participants with {column.name} {levels[1]} against those with {column.name} "
            f"{levels[0]}"
        )
    else:
        if not column.is_number or len(levels) < 2:
            raise SettingsError(
                f"{column.name} has the values {named(levels)}",
                expected="numbers that differ for a regression, or two levels",
            )
        tested = np.array([column.numbers[label] for label in people.labels])
        words = f"the change of maps with {column.name}"
    return Question(kind, people, tested, covariates, words)


def of_those_who_have(
    question: Question, sources: Mapping[str, Sequence[FeatureSource]]
) -> Question:
    """Return the question for people with maps of all kinds; report the others.

    Parameters
    ----------
    question
        Contrast and covariates, with a row for each participant of the call.
    sources
        Sources of maps, from `find_sources`.

    Raises
    ------
    DatasetError
        No participant has maps of all kinds.
    """
    people = question.people
    sessions = question.sessions or (None,)
    has = frozenset.intersection(
        *(
            _has(source, session)
            for own in sources.values()
            for source, session in zip(own, sessions, strict=True)
        )
    )
    kept = np.array([label in has for label in people.labels])
    if gone := [label for label in people.labels if label not in has]:
        kinds = "of all kinds" if not question.sessions else "of all kinds and both sessions"
        who = named([f"sub-{label}" for label in gone])
        say(f"left out: {counted(len(gone), 'participant')} without maps {kinds} ({who})")
    if not kept.any():
        raise DatasetError("no participant has maps of all kinds that are asked for")
    return dataclasses.replace(
        question,
        people=people.of(has),
        tested=question.tested[kept],
        covariates=question.covariates.of(kept),
    )


def find_sources(question: Question) -> dict[str, tuple[FeatureSource, ...]]:
    """Find the maps of each kind: one source, or one for each session.

    Parameters
    ----------
    question
        The test and its people.

    Raises
    ------
    SettingsError, DatasetError
        A requested kind is no map, or no participant has it.
    """
    people = question.people
    place, _ = statmaps_place(people.settings.inputs.derivatives)
    default = (MAPS, MEASURED) if place is not None else (MAPS,)
    asked = people.settings.statistics.feature_sets
    if unknown := [name for name in asked if name not in _VOXELWISE]:
        raise SettingsError(
            f"--feature-sets {unknown[0]} is not looked at by stats",
            expected=f"of {named(_VOXELWISE)}",
            remedy="associate tests regions",
        )
    groups = [of_session(people, label) for label in question.sessions] or [people]
    found: dict[str, tuple[FeatureSource, ...]] = {}
    for own in groups:
        for source in find_features(own, default):
            found[source.kind.name] = (*found.get(source.kind.name, ()), source)
    return {kind: own for kind, own in found.items() if len(own) == len(groups)}


def of_session(people: GroupPeople, session: str) -> GroupPeople:
    """Return people with their maps of one session alone.

    Raises
    ------
    DatasetError
        Nobody has maps of it.
    """
    of_it = re.compile(rf"_ses-{re.escape(session.removeprefix('ses-'))}(_|$)")
    averages = {
        label: tuple(made for made in own if of_it.search(made.title))
        for label, own in people.averages.items()
    }
    averages = {label: own for label, own in averages.items() if own}
    if not averages:
        raise DatasetError(
            f"no participant has maps of session {session}",
            remedy="call the participant level with --combine session, and check --session-label",
        )
    settings = people.settings.replace(session_label=(session,))
    return dataclasses.replace(people, settings=settings, averages=averages)


def _has(source: FeatureSource, session: str | None) -> frozenset[str]:
    if session is None or not isinstance(source, MeasuredFeatures):
        return source.has
    wanted = session.removeprefix("ses-")
    return frozenset(
        label
        for label, maps in source.maps.items()
        if all(statmap.session == wanted for statmap in maps.values())
    )
