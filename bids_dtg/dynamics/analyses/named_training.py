"""Fit a named model: simulate it with the training people's connectome, and write its bundle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bids_dtg.bundles.people import ModelPeople
from bids_dtg.cohort.basis import BUNDLE, CHECKPOINTS
from bids_dtg.cohort.column import Column
from bids_dtg.cohort.model_analysis import MODEL
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.analysis import NamedAnalysis
from bids_dtg.dynamics.analyses.linear_training import TrainingPeople
from bids_dtg.dynamics.analyses.trust import NAME, SCORES, TRUST, trust_flags, trust_of
from bids_dtg.dynamics.bank import SIMULATIONS, Bank, make_bank, shared_substrate
from bids_dtg.dynamics.bundle.core import CoreFacts
from bids_dtg.dynamics.bundle.named import (
    FittedNamed,
    NamedBundle,
    write_named_bundle,
)
from bids_dtg.dynamics.calibration import CHECKS
from bids_dtg.dynamics.forms import AMORTISED
from bids_dtg.dynamics.linear import FEWEST_PEOPLE, fit_linear
from bids_dtg.dynamics.named import NAMED
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.dynamics.participant.people import NetworkPeople, session_words
from bids_dtg.dynamics.session_statistics import FEWEST_FRAMES
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.notices import counted, named, say
from bids_dtg.report.pages.analysis import AnalysisPageFacts, Matrices, PageSection
from bids_dtg.report.pages.index import INDEX
from bids_dtg.settings import Settings

_AT_ONCE = 20  # people whose series are in memory together
_MOST_REGIONS = 100  # that are simulated in minutes
_CAN_WRITE = (f"{BUNDLE}/", SCORES)
_COLUMNS = (
    NAME,
    Column("words", "Description of it", "of each person"),
    Column("least", "Lower end of the prior, which is uniform", "from"),
    Column("most", "Upper end of the prior", "to"),
    *TRUST,
)


def run_named_training(settings: Settings) -> int:
    """Simulate a named model for everybody, or for the training set of ``--split-file``; return 0.

    Raises
    ------
    DtgError
        Wrong options, files or output folder, fewer than 5 people, or no structural connectome.
    """
    analysis = NamedAnalysis.prepare(settings, MODEL, *_CAN_WRITE)
    recipe = settings.modelling.recipe
    if (analysis.results.path / CHECKPOINTS).is_dir():
        raise SettingsError(
            f"{analysis.results.path} holds the training of a network",
            expected=f"--recipe {AMORTISED} to go on with it, or another --model-name",
        )
    people, session = analysis.people, analysis.people.sessions[0]
    require_small(people)
    labels = tuple(label for label in people.split.training if label in people.of_session(session))
    if len(labels) < FEWEST_PEOPLE:
        raise SettingsError(
            f"there are {counted(len(labels), 'participant')} with rest of "
            f"{session_words(session)} to be trained on",
            expected=f"{FEWEST_PEOPLE} or more: the model is judged beside a linear core of theirs",
        )
    if settings.behaviour.dry_run:
        return analysis.print_plan(f"the model {analysis.name} of {session_words(session)}", labels)
    sketches = people.sketches(labels)
    known = ModelPeople.of_training(analysis.data_set, sketches, people.source.families.by_label)
    others = {own: frozenset(people.of_session(own)) for own in people.sessions[1:]}
    with analysis.results.begun():
        analysis.describe()
        training = TrainingPeople(people.series, session, labels, others)
        core, _ = fit_linear(training, people.tr_seconds)
        length = (session, people.frames_of(session))
        bank = make_bank_of(people, recipe, length, labels, settings.modelling.seed)
        source = people.source
        facts = CoreFacts(
            name=analysis.name,
            recipe_name=recipe,
            session=session,
            data_set=analysis.data_set,
            cleaning=source.cleaning,
            atlas=source.atlas,
            atlas_digest=source.atlas_digest,
            citation=bank.model.citation,
            description=f"{bank.model.words} by {counted(len(labels), 'participant')}, made by "
            "bids_dtg",
        )
        target = analysis.results.bundle
        analysis.results.add(f"{BUNDLE}/")
        fitted = FittedNamed(bank, core, labels, people.regions)
        bundle = write_named_bundle(target, fitted, facts, known)
        say(f"{bundle.card.name} {bundle.card.version} ({bundle.card.kind}): {target}")
        _write_results(analysis, fitted, bundle)
    return 0


def require_small(people: NetworkPeople) -> None:
    """Refuse what a named model cannot be simulated for.

    Parameters
    ----------
    people
        Everybody of the call.

    Raises
    ------
    SettingsError, DatasetError
        There are more than 100 regions, or sessions are too short.
    """
    if len(people.regions) > _MOST_REGIONS:
        raise SettingsError(
            f"--recipe of a named model was given with {len(people.regions)} regions",
            expected=f"at most {_MOST_REGIONS}: simulations of more take hours",
            remedy="choose a coarser atlas, or --recipe linear",
        )
    session = people.sessions[0]
    require_frames(people.frames_of(session), session_words(session))


def require_frames(frames: int, what: str) -> None:
    """Refuse rest that is too short for the dynamics of connectivity.

    Parameters
    ----------
    frames, what
        Their number, and of what, in words.

    Raises
    ------
    DatasetError
        There are fewer than `FEWEST_FRAMES`.
    """
    if frames < FEWEST_FRAMES:
        raise DatasetError(
            f"{what} has {counted(frames, 'frame')}",
            expected=f"{FEWEST_FRAMES} or more: the dynamics of connectivity are fitted, too",
        )


def make_bank_of(
    people: NetworkPeople,
    recipe: str,
    length: tuple[str, int],
    labels: Sequence[str],
    seed: int,
    *,
    checks: int = CHECKS,
) -> Bank:
    """Simulate a named model with what training people share.

    Parameters
    ----------
    people
        Everybody of the call.
    recipe
        A row of `named.NAMED`.
    length
        Name of the session that frequencies are of, and the number of frames to simulate.
    labels
        Of the training people.
    seed
        Of the simulations.
    checks
        Simulations that judge posteriors; 0: they are not judged.

    Raises
    ------
    DatasetError
        Nobody has a structural connectome, or one cannot be used.
    """
    session, frames = length
    weights = people.connectomes(labels)
    if not weights:
        raise DatasetError(
            f"nobody of {named(labels)} has a structural connectome",
            expected=f"one or more: {NAMED[recipe].words} are coupled by their mean",
            remedy="give them with --structural-connectivity, or in --input-arrays under the key "
            "structural; or leave --recipe out",
        )

    def some() -> Iterator[PeopleSeries]:
        for start in range(0, len(labels), _AT_ONCE):
            yield people.series(session, labels[start : start + _AT_ONCE])

    substrate = shared_substrate(weights.values(), some(), people.tr_seconds)
    say(
        f"simulating {NAMED[recipe].words}: {SIMULATIONS + checks} sessions of {frames} frames, "
        f"coupled by the mean of {counted(len(weights), 'structural connectome')}"
    )
    return make_bank(recipe, substrate, frames, seed, checks=checks)


def _rows(bank: Bank) -> list[dict[str, object]]:
    return [
        {
            "name": row.name,
            "words": row.words,
            "least": row.least,
            "most": row.most,
            **trust_of(own),
        }
        for row, own in zip(bank.model.parameters, bank.calibrations, strict=True)
    ]


def _write_results(analysis: NamedAnalysis, fitted: FittedNamed, bundle: NamedBundle) -> None:
    bank, people = fitted.bank, counted(len(fitted.people), "participant")
    table = ResultTable(
        _COLUMNS, _rows(bank), "Whether parameters can be trusted: a row a parameter"
    )
    names = [row.name for row in bank.model.parameters]
    analysis.write(
        {SCORES: table},
        AnalysisPageFacts(
            title=analysis.results.title,
            index=f"../../{INDEX}",
            lead=f"{bank.model.words} with the mean connectome of {people} of "
            f"{analysis.data_set}, {counted(len(fitted.regions), 'region')}, {bank.frames} frames "
            f"of {bank.substrate.tr_seconds:g} s. Connections have no delays, and no haemodynamics "
            "are simulated.",
            flags=trust_flags(dict(zip(names, bank.calibrations, strict=True))),
            sections=(
                PageSection(
                    title="Parameters",
                    text=(
                        f"{SIMULATIONS} sessions were simulated by parameters from the prior, from "
                        f"which a person's are inferred; {CHECKS} further ones judge how well: "
                        "true values and estimates, and whether 90 % intervals hold 90 % of the "
                        "true values.",
                    ),
                    tables=(table.on_page("Simulations with known parameters"),),
                ),
                PageSection(
                    title="Connections",
                    matrices=(
                        Matrices(
                            "Mean structural connectome",
                            {"largest weight 1": bank.substrate.weights},
                        ),
                    ),
                ),
            ),
        ),
    )
    say(f"regions: {named(bundle.regions)}")
