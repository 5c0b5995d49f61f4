"""Fit a linear core to people's series, and write its bundle, table and page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bids_dtg.bundles.people import ModelPeople
from bids_dtg.cohort.basis import BUNDLE, CHECKPOINTS
from bids_dtg.cohort.column import Column
from bids_dtg.cohort.model_analysis import MODEL
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.analysis import LinearAnalysis
from bids_dtg.dynamics.bundle.kind import NETWORK
from bids_dtg.dynamics.bundle.linear import (
    CoreFacts,
    FittedLinear,
    LinearBundle,
    write_linear_bundle,
)
from bids_dtg.dynamics.components import MOST_PEOPLE, Components
from bids_dtg.dynamics.linear import (
    FEWEST_PEOPLE,
    GRID,
    GRID_TR,
    LinearModel,
    TrainingPerson,
    fit_core,
)
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.dynamics.participant.people import session_words
from bids_dtg.dynamics.retest import covariances_of, draw, find_components
from bids_dtg.errors import SettingsError
from bids_dtg.notices import counted, named, say
from bids_dtg.report.flags import Flag
from bids_dtg.report.pages.analysis import AnalysisPageFacts, Matrices, PageSection
from bids_dtg.report.pages.index import INDEX
from bids_dtg.settings import Settings

_CAN_WRITE = (f"{BUNDLE}/", "desc-strengths_scores", "desc-features_scores")
_AT_ONCE = 20  # people whose series are in memory together
_STRENGTHS = (
    Column("frames", "Frames of a person that the training people's mean counts as much as"),
    Column(
        "nll_1",
        "Negative log density of a frame of other frames of the same people, given those before "
        "it, by a transition shrunk so; mean over people; less is better",
        "nll, transition",
        unit="nats a region a frame",
    ),
    Column(
        "nll_0",
        "Negative log density of single frames of these, by a covariance shrunk so; mean over "
        "people; less is better, where no other session judges",
        "nll, covariance",
        unit="nats a region a frame",
    ),
    Column(
        "fit",
        "Pearson r of functional connectivity of other frames of the same people with one shrunk "
        "so, mean over people; more is better, where another session judges",
        "r, connectivity",
    ),
    Column("chosen", "Whether it was chosen: transition, covariance, both, or none"),
)
_FEATURES = (
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
    analysis = LinearAnalysis.prepare(settings, MODEL, *_CAN_WRITE)
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
    sketches = people.sketches(labels)
    known = ModelPeople.of_training(analysis.data_set, sketches, people.source.families.by_label)
    others_of = {own: frozenset(people.of_session(own)) for own in people.sessions[1:]}
    training = TrainingPeople(people.series, session, labels, others_of)
    with analysis.results.begun():
        analysis.describe()
        fitted = FittedLinear(
            fit_core(training, people.tr_seconds),
            labels,
            people.regions,
            people.frames_of(session),
            people.tr_seconds,
            components=find_components(training.drawn(MOST_PEOPLE, settings.modelling.seed)),
        )
        target = analysis.results.bundle
        analysis.results.add(f"{BUNDLE}/")
        bundle = write_linear_bundle(target, fitted, _facts(analysis, fitted), known)
        say(f"{bundle.card.name} {bundle.card.version} ({bundle.card.kind}): {target}")
        _write_results(analysis, fitted, bundle)
    return 0


@dataclass(frozen=True, eq=False)
class TrainingPeople:
    """Training people, read anew, a few at a time, whenever they are gone through."""

    read: Callable[[str, Sequence[str]], PeopleSeries]  # some people's series in a session
    session: str  # that is trained on
    labels: Sequence[str]
    # Who has further sessions, by session; the first that a person has judges strengths.
    others: Mapping[str, Collection[str]]

    def drawn(self, most: int, seed: int) -> TrainingPeople:
        """Return at most so many of them, drawn by the seed."""
        return dataclasses.replace(self, labels=draw(self.labels, most, seed))

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


def _facts(analysis: LinearAnalysis, fitted: FittedLinear) -> CoreFacts:
    return CoreFacts(
        **analysis.card_facts,
        description=f"A linear core of {counted(len(fitted.people), 'participant')}, made by "
        "bids_dtg",
    )


def _strength_rows(fitted: FittedLinear) -> list[dict[str, object]]:
    strengths = fitted.model.strengths
    if not strengths.densities:
        return []
    rows = []
    figures = (strengths.densities, strengths.frame_densities, strengths.fits)
    for value, density, single, fit in zip(GRID, *figures, strict=True):
        frames = value * GRID_TR / fitted.tr_seconds
        chosen = [
            name
            for name, own in (
                ("transition", strengths.transition),
                ("covariance", strengths.covariance),
            )
            if own == frames
        ]
        words = "both" if len(chosen) > 1 else "".join(chosen) or "none"
        row: dict[str, object] = {"frames": round(frames), "nll_1": density, "nll_0": single}
        rows.append({**row, "fit": fit, "chosen": words})
    return rows


def _write_results(analysis: LinearAnalysis, fitted: FittedLinear, bundle: LinearBundle) -> None:
    model, people = fitted.model, counted(len(fitted.people), "participant")
    strengths = model.strengths
    table = ResultTable(
        _STRENGTHS, _strength_rows(fitted), "How strongly people are shrunk: a row a strength"
    )
    chosen = (
        f"chosen by {strengths.chosen_by} of training people"
        if strengths.chosen_by
        else "fixed, as fewer than 10 people have frames to choose them by"
    )
    process = model.infer_group()
    features = ResultTable(
        _FEATURES,
        _component_rows(fitted.components),
        "Features of people, and how reliable they are: a row a component",
    )
    analysis.write(
        {
            "desc-strengths_scores": table,
            **({"desc-features_scores": features} if features.rows else {}),
        },
        AnalysisPageFacts(
            title=analysis.results.title,
            index=f"../../{INDEX}",
            lead=f"A linear core of {people} of {analysis.data_set}, "
            f"{counted(len(fitted.regions), 'region')}, {fitted.frames} frames of "
            f"{fitted.tr_seconds:g} s.",
            flags=_flags(model),
            sections=(
                PageSection(
                    title="Strengths",
                    text=(
                        "A person's covariances are mixed with the training people's mean, which "
                        f"counts as much as {strengths.transition:g} frames of the person for the "
                        f"transition, and {strengths.covariance:g} for the covariance of a frame; "
                        f"{chosen}.",
                    ),
                    tables=(table.on_page("Scores of strengths"),) if table.rows else (),
                ),
                *_features_section(features),
                PageSection(
                    title="Mean of the training people",
                    matrices=(
                        Matrices("Functional connectivity", {"mean": process.connectivity}),
                        Matrices(
                            "Transition: rows follow from columns",
                            {
                                f"{counted(lag, 'frame')} before": values
                                for lag, values in enumerate(process.transitions, 1)
                            },
                        ),
                    ),
                ),
            ),
        ),
    )
    say(f"regions: {named(bundle.regions)}")


def _component_rows(components: Components | None) -> list[dict[str, object]]:
    if components is None:
        return []
    iccs = components.reliability or (None,) * len(components.loadings)
    return [
        {"name": f"component{number}", "share": share, "icc": icc}
        for number, (share, icc) in enumerate(zip(components.shares, iccs, strict=True), 1)
    ]


def _features_section(features: ResultTable) -> Iterator[PageSection]:
    if features.rows:
        yield PageSection(
            title="Features",
            text=(
                "Scores of components are features for statistics: they are of covariances that "
                "are not shrunken.",
            ),
            tables=(features.on_page("Components"),),
        )


def _flags(model: LinearModel) -> list[Flag]:
    """Return what few frames left out of the model."""
    found = []
    if model.unconnected:
        found.append(
            f"Training people have few frames for as many regions: {model.unconnected:.0%} of the "
            "mean is of regions without connections"
        )
    if model.order == 1:
        found.append("A frame follows from the last one alone, for the same reason")
    return [Flag("warning", text) for text in found]
