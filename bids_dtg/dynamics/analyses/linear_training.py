"""Fit a linear core to regional time series, and write its bundle, tables and page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bids_dtg.cohort.result_folder import BUNDLE, CHECKPOINTS, MODEL
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.analysis import DynamicsAnalysis
from bids_dtg.dynamics.bundle.kind import NETWORK_MODEL
from bids_dtg.dynamics.bundle.linear import LinearPart, write_linear_bundle
from bids_dtg.dynamics.components import MOST_PEOPLE, Components, find_components
from bids_dtg.dynamics.linear import (
    FEWEST_PEOPLE,
    GRID,
    GRID_TR,
    LagCovariances,
    LinearModel,
    TrainingPerson,
    covariances_of,
    fit_core,
)
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.dynamics.participant.sources import session_words
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.columns import Column
from bids_dtg.notices import counted, say
from bids_dtg.report import figures
from bids_dtg.report.page import Section
from bids_dtg.settings import Settings

_SHRINKAGE_FILE, _COMPONENTS_FILE = "desc-shrinkage_scores", "desc-components_scores"
_AT_ONCE = 20  # people whose series are in memory together
_SHRINKAGE = (
    Column(
        "frames",
        "Weight of the training people's mean, in frames of a person's session",
    ),
    Column(
        "nll",
        "Negative log density of other frames of the same people, each given the frames before "
        "it, by the shrunken process; mean over people; less is better",
        "nll, process",
        unit="nats per region and frame",
    ),
    Column(
        "nll_single",
        "Negative log density of the same frames, one by one, by the shrunken covariance; mean "
        "over people; less is better; it decides where halves of a session are compared",
        "nll, single frames",
        unit="nats per region and frame",
    ),
    Column(
        "fit",
        "Pearson r between functional connectivity in these frames and the shrunken one, mean over "
        "people; more is better; it decides where sessions are compared",
        "r, connectivity",
    ),
)
_COMPONENTS = (
    Column("name", "Component"),
    Column(
        "share", "Share of the variance of covariances over people", "share of variance"
    ),
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
            expected=f"--architecture {NETWORK_MODEL.architecture} to continue it, or another "
            "--model-name",
        )
    people = analysis.people
    session, *further_sessions = people.sessions
    labels = people.labels_in(session, people.split.training)
    require_enough(len(labels), f"with data in {session_words(session)} to train on")
    if settings.behaviour.dry_run:
        return analysis.print_plan(
            f"the model {analysis.name} of {session_words(session)}", labels
        )
    if further_sessions:
        say(f"training on {session_words(session)}; --session-label chooses another")
    training_people = analysis.training_hashes(labels)
    people_again = {
        further: frozenset(people.labels_in(further)) for further in further_sessions
    }
    training = TrainingPeople(people.series, session, labels, people_again)
    with analysis.writing():
        model = fit_core(training, people.tr_seconds)
        drawn = training.drawn(MOST_PEOPLE, settings.modelling.seed)
        components = find_components(drawn)
        bundle = write_linear_bundle(
            analysis.results.add(f"{BUNDLE}/"),
            model,
            components,
            training_people,
            labels=labels,
            regions=people.regions,
            frames=people.rest[session].frames,
            tr_seconds=people.tr_seconds,
            description=f"Trained with bids_dtg on {counted(labels, 'participant')}",
            **analysis.card_facts,
        )
        say(f"{bundle.title} ({bundle.card.kind}): {bundle.path}")
        _write_results(analysis, model, components, bundle.part)
    return 0


@dataclass(frozen=True, eq=False)
class TrainingPeople:
    """Training people, read again at each iteration, a few at a time."""

    # Reads some people's series in a session.
    reader: Callable[[str, Sequence[str]], PeopleSeries]
    session: str  # the training session
    labels: Sequence[str]
    # People with further sessions, by session; a person's first one judges the shrinkage.
    people_again: Mapping[str, Collection[str]]

    def drawn(self, most: int, seed: int) -> TrainingPeople:
        """Return at most `most` of the people, drawn by the seed, in the same order."""
        if len(self.labels) <= most:
            return self
        rows = np.random.default_rng(seed).choice(len(self.labels), most, replace=False)
        return replace(self, labels=[self.labels[row] for row in sorted(rows)])

    def __iter__(self) -> Iterator[TrainingPerson]:
        for start in range(0, len(self.labels), _AT_ONCE):
            some = self.labels[start : start + _AT_ONCE]
            first = self.reader(self.session, some)
            again: dict[str, LagCovariances] = {}
            for session, people in self.people_again.items():
                if labels := [
                    label for label in some if label in people and label not in again
                ]:
                    series = self.reader(session, labels)
                    for row, label in enumerate(series.people):
                        again[label] = covariances_of(series, row)
            for row, label in enumerate(some):
                keep = None if first.keep is None else first.keep[row]
                try:
                    person_rest = TrainingPerson.of(
                        first.series[row], keep, again.get(label), dof=first.dof_of(row)
                    )
                except ValueError as err:  # of a half, such as one without kept frames
                    raise DatasetError(
                        f"sub-{label}, {session_words(self.session)}: {err}",
                        remedy="leave this participant out",
                    ) from err
                yield person_rest


def require_enough(
    people: int, words: str, remedy: str = "add people to the training set"
) -> None:
    """Refuse fewer people than a linear core needs for training.

    Parameters
    ----------
    people, words
        Number of people, and who they are, for the error.
    remedy
        What to do, for the error.

    Raises
    ------
    SettingsError
        There are too few people.
    """
    if people >= FEWEST_PEOPLE:
        return
    raise SettingsError(
        f"there {'is' if people == 1 else 'are'} {counted(people, 'participant')} {words}",
        expected=f"{FEWEST_PEOPLE} or more, as a linear core shrinks people to their mean",
        remedy=remedy,
    )


def _write_results(
    analysis: DynamicsAnalysis,
    model: LinearModel,
    components: Components | None,
    part: LinearPart,
) -> None:
    """Write tables and page."""
    tables = {_SHRINKAGE_FILE: _shrinkage_table(model, part.tr_seconds)}
    process = model.infer_group()
    transitions = {
        f"{counted(lag, 'frame')} before": values
        for lag, values in enumerate(process.transitions, 1)
    }
    sections = [_shrinkage_section(model, part.frames, tables[_SHRINKAGE_FILE])]
    if components is not None:
        words = (
            "Component scores are features for statistics. They come from unshrunken "
            "covariances."
        )
        tables[_COMPONENTS_FILE] = table = _components_table(components)
        sections.append(Section("Features", (words,), (table.on_page("Components"),)))
    mean = Section(
        title="Mean of the training people",
        figures=(
            figures.matrices("Functional connectivity", {"mean": process.connectivity}),
            figures.matrices(
                "Transition, from the column's to the row's region", transitions
            ),
        ),
    )
    analysis.write_page(
        tables,
        f"A linear core of {counted(part.people, 'participant')} of {analysis.data_set}, "
        f"{counted(part.regions, 'region')}, {part.frames} frames of "
        f"{part.tr_seconds:g} s.",
        (*sections, mean),
        _warnings(model),
    )


def _shrinkage_table(model: LinearModel, tr_seconds: float) -> ResultTable:
    rows = []
    if model.shrinkage.scores:
        by_strength = zip(GRID, *model.shrinkage.scores, strict=True)
        for value, nll, nll_single, fit in by_strength:
            frames = round(value * GRID_TR / tr_seconds)
            scores = {"nll": nll, "nll_single": nll_single, "fit": fit}
            rows.append({"frames": frames, **scores})
    return ResultTable(
        _SHRINKAGE, rows, "Scores by strength of shrinkage: one row per strength"
    )


def _shrinkage_section(model: LinearModel, frames: int, table: ResultTable) -> Section:
    shrinkage = model.shrinkage
    chosen = (
        f"chosen by {shrinkage.chosen_by} of training people"
        if shrinkage.chosen_by
        else "fixed, as fewer than 10 people have data to choose them by"
    )
    share = shrinkage.own_share(frames)
    return Section(
        title="Shrinkage",
        text=(
            "A person's covariances are averaged with the training people's mean. The mean has the "
            f"weight of {shrinkage.process:g} frames for the process, and of "
            f"{shrinkage.connectivity:g} frames for functional connectivity on another "
            f"day (in a session of {frames} frames, {share:.2f} own and "
            f"{1 - share:.2f} mean). These weights were {chosen}.",
        ),
        tables=(table.on_page("Scores of the shrinkage"),) if table.rows else (),
    )


def _components_table(components: Components) -> ResultTable:
    iccs = components.reliability or (None,) * len(components.loadings)
    rows = [
        {"name": f"component{number}", "share": share, "icc": icc}
        for number, (share, icc) in enumerate(
            zip(components.shares, iccs, strict=True), 1
        )
    ]
    description = "Components as features, and their reliability: one row per component"
    return ResultTable(_COMPONENTS, rows, description)


def _warnings(model: LinearModel) -> list[str]:
    """Return warnings about a model that was simplified for lack of frames."""
    warnings = []
    if model.diagonal_share:
        warnings.append(
            "The training people have few frames for so many regions, so mean covariances between "
            f"regions were reduced by {model.diagonal_share:.0%}"
        )
    if model.order == 1:
        warnings.append(
            "For the same reason, a frame is predicted from the last frame alone"
        )
    return warnings
