"""Fit a linear core to people's series, and write its bundle, tables and page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bids_dtg.bundles.people import ModelPeople
from bids_dtg.cohort.result_folder import BUNDLE, CHECKPOINTS, MODEL
from bids_dtg.cohort.result_table import Column, ResultTable
from bids_dtg.dynamics.analyses.analysis import DynamicsAnalysis
from bids_dtg.dynamics.bundle.kind import NETWORK
from bids_dtg.dynamics.bundle.linear import LinearPart, write_linear_bundle
from bids_dtg.dynamics.components import MOST_PEOPLE, Components, find_components
from bids_dtg.dynamics.linear import (
    FEWEST_PEOPLE,
    GRID,
    GRID_TR,
    LinearModel,
    TrainingPerson,
    covariances_of,
    fit_core,
)
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.dynamics.participant.people import session_words
from bids_dtg.errors import SettingsError
from bids_dtg.notices import counted, say
from bids_dtg.report import figures
from bids_dtg.report.flags import Flag
from bids_dtg.report.page import Section
from bids_dtg.settings import Settings

_SHRINKAGE_FILE, _COMPONENTS_FILE = "desc-shrinkage_scores", "desc-components_scores"
_AT_ONCE = 20  # people whose series are in memory together
_SHRINKAGE = (
    Column("frames", "Frames of a person that the training people's mean counts as much as"),
    Column(
        "nll",
        "Negative log density of a frame given those before it, of other frames of the same "
        "people, by a process shrunk so; mean over people; less is better",
        "nll, process",
        unit="nats per region and frame",
    ),
    Column(
        "nll_single",
        "Negative log density of single frames of these, by a covariance shrunk so; mean over "
        "people; less is better, where halves of a session judge",
        "nll, single frames",
        unit="nats per region and frame",
    ),
    Column(
        "fit",
        "Pearson r of functional connectivity of these frames with one shrunk so, mean over "
        "people; more is better, where another session judges",
        "r, connectivity",
    ),
)
_COMPONENTS = (
    Column("name", "Component"),
    Column("share", "Share of the variance of covariances over people", "share of variance"),
    Column("icc", "ICC(A,1) between two sessions of the training people", "retest ICC"),
)


def run_linear_training(settings: Settings) -> int:
    """Fit a linear core to everybody, or to the training set of ``--split-file``; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or output folder, or fewer than 5 people.
    """
    can_write = (f"{BUNDLE}/", _SHRINKAGE_FILE, _COMPONENTS_FILE)
    analysis = DynamicsAnalysis.prepare(settings, MODEL, *can_write)
    if (analysis.results.path / CHECKPOINTS).is_dir():
        raise SettingsError(
            f"{analysis.results.path} holds the training of a network",
            expected=f"--architecture {NETWORK} to go on with it, or another --model-name",
        )
    people, session = analysis.people, analysis.people.sessions[0]
    labels = tuple(label for label in people.split.training if label in people.of_session(session))
    require_enough(len(labels), f"with rest of {session_words(session)} to be trained on")
    if settings.behaviour.dry_run:
        return analysis.print_plan(f"the model {analysis.name} of {session_words(session)}", labels)
    if len(people.sessions) > 1:
        say(f"{session_words(session)} is trained on; --session-label chooses another")
    known = ModelPeople.of_training(
        analysis.data_set, people.sketches(labels), people.source.families.by_label
    )
    others = {own: frozenset(people.of_session(own)) for own in people.sessions[1:]}
    training = TrainingPeople(people.series, session, labels, others)
    with analysis.results.begun():
        analysis.describe()
        model = fit_core(training, people.tr_seconds)
        components = find_components(training.drawn(MOST_PEOPLE, settings.modelling.seed))
        target = analysis.results.bundle
        analysis.results.add(f"{BUNDLE}/")
        bundle = write_linear_bundle(
            target,
            model,
            components,
            known,
            labels=labels,
            regions=people.regions,
            frames=people.frames_of(session),
            tr_seconds=people.tr_seconds,
            description=f"A linear core of {counted(len(labels), 'participant')}, made by bids_dtg",
            **analysis.card_facts,
        )
        say(f"{bundle.card.name} {bundle.card.version} ({bundle.card.kind}): {target}")
        _write_results(analysis, model, components, bundle.part)
    return 0


@dataclass(frozen=True, eq=False)
class TrainingPeople:
    """Training people, read anew, a few at a time, whenever they are gone through."""

    read: Callable[[str, Sequence[str]], PeopleSeries]  # some people's series in a session
    session: str  # that is trained on
    labels: Sequence[str]
    # Who has further sessions, by session; the first that a person has judges the shrinkage.
    others: Mapping[str, Collection[str]]

    def drawn(self, most: int, seed: int) -> TrainingPeople:
        """Return at most so many of them, drawn by the seed, in their order."""
        if len(self.labels) <= most:
            return self
        rows = np.random.default_rng(seed).choice(len(self.labels), most, replace=False)
        return replace(self, labels=[self.labels[row] for row in sorted(rows)])

    def __iter__(self) -> Iterator[TrainingPerson]:
        for start in range(0, len(self.labels), _AT_ONCE):
            some = self.labels[start : start + _AT_ONCE]
            first = self.read(self.session, some)
            others = [
                self.read(session, own)
                for session, there in self.others.items()
                if (own := [label for label in some if label in there])
            ]
            for row, label in enumerate(some):
                again = next((own for own in others if label in own.people), None)
                yield TrainingPerson.of(
                    first.series[row],
                    None if first.kept is None else first.kept[row],
                    None if again is None else covariances_of(again, again.people.index(label)),
                    dof=first.dof_of(row),
                )


def require_enough(
    people: int, words: str, remedy: str = "scan more people, or give more of them"
) -> None:
    """Refuse fewer people than a linear core is trained on.

    Parameters
    ----------
    people, words
        How many there are, and who they are, for the error.
    remedy
        What to do, for the error.

    Raises
    ------
    SettingsError
        There are fewer.
    """
    if people >= FEWEST_PEOPLE:
        return
    raise SettingsError(
        f"there {'is' if people == 1 else 'are'} {counted(people, 'participant')} {words}",
        expected=f"{FEWEST_PEOPLE} or more: a linear core is shrunk to their mean",
        remedy=remedy,
    )


def _write_results(
    analysis: DynamicsAnalysis, model: LinearModel, components: Components | None, part: LinearPart
) -> None:
    """Write tables and page."""
    tables = {_SHRINKAGE_FILE: _shrinkage_table(model, part.tr_seconds)}
    if components is not None:
        tables[_COMPONENTS_FILE] = _components_table(components)
    process = model.infer_group()
    transitions = {
        f"{counted(lag, 'frame')} before": values
        for lag, values in enumerate(process.transitions, 1)
    }
    sections = [_shrinkage_section(model, part.frames, tables[_SHRINKAGE_FILE])]
    if components is not None:
        words = "Scores of components are features for statistics: they are of covariances that "
        shown = tables[_COMPONENTS_FILE].on_page("Components")
        sections.append(Section("Features", (f"{words}are not shrunken.",), (shown,)))
    mean = Section(
        title="Mean of the training people",
        figures=(
            figures.matrices("Functional connectivity", {"mean": process.connectivity}),
            figures.matrices("Transition: rows follow from columns", transitions),
        ),
    )
    analysis.write_page(
        tables,
        f"A linear core of {counted(part.people, 'participant')} of {analysis.data_set}, "
        f"{counted(part.regions, 'region')}, {part.frames} frames of "
        f"{part.tr_seconds:g} s.",
        (*sections, mean),
        _flags(model),
    )


def _shrinkage_table(model: LinearModel, tr_seconds: float) -> ResultTable:
    own, rows = model.shrinkage, []
    for value, *scores in zip(GRID, *own.scores, strict=True) if own.scores else ():
        frames = round(value * GRID_TR / tr_seconds)
        rows.append(
            {"frames": frames, **dict(zip(("nll", "nll_single", "fit"), scores, strict=True))}
        )
    return ResultTable(_SHRINKAGE, rows, "How strongly people are shrunk: one row per shrinkage")


def _shrinkage_section(model: LinearModel, frames: int, table: ResultTable) -> Section:
    own = model.shrinkage
    chosen = (
        f"chosen by {own.chosen_by} of training people"
        if own.chosen_by
        else "fixed, as fewer than 10 people have frames to choose it by"
    )
    share = own.own_share(frames)
    return Section(
        title="Shrinkage",
        text=(
            "A person's covariances are mixed with the training people's mean, which counts as "
            f"much as {own.process:g} frames of the person for the process, and "
            f"{own.connectivity:g} for functional connectivity of another day (of {frames} frames "
            f"then {share:.2f} own and {1 - share:.2f} mean); {chosen}.",
        ),
        tables=(table.on_page("Scores of the shrinkage"),) if table.rows else (),
    )


def _components_table(components: Components) -> ResultTable:
    iccs = components.reliability or (None,) * len(components.loadings)
    rows = [
        {"name": f"component{number}", "share": share, "icc": icc}
        for number, (share, icc) in enumerate(zip(components.shares, iccs, strict=True), 1)
    ]
    description = "Features of people, and how reliable they are: one row per component"
    return ResultTable(_COMPONENTS, rows, description)


def _flags(model: LinearModel) -> list[Flag]:
    """Return what few frames left out of the model."""
    found = []
    if model.diagonal_share:
        found.append(
            f"Training people have few frames for as many regions: {model.diagonal_share:.0%} of "
            "the mean is of regions without connections"
        )
    if model.order == 1:
        found.append("A frame follows from the last one alone, for the same reason")
    return [Flag("warning", text) for text in found]
