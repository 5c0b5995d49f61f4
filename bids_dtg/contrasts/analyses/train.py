"""Train a model on people's rest and maps, score it on others, and write it as a bundle."""

from __future__ import annotations

import dataclasses
import time

from bids_dtg.cohort.result_table import Column, ResultTable
from bids_dtg.contrasts.analyses.cohort import FOLDS, WORK, Cohort, names_model
from bids_dtg.contrasts.analyses.fit import check_fit, fit_model, write_fitted
from bids_dtg.contrasts.analyses.judge import SimpleModels, score_fit, write_scores
from bids_dtg.contrasts.analyses.measured import with_measured
from bids_dtg.contrasts.analyses.reading import of_fold, read, reduced, with_maps_of
from bids_dtg.contrasts.analyses.roi_maps import maps_in_words, sets_that_fit
from bids_dtg.contrasts.analyses.splits import (
    Groups,
    draw_folds,
    groups_in_words,
    kept_split,
    plan_split,
    range_of,
    sets_of,
)
from bids_dtg.contrasts.bundle.kinds import LINEAR, MapsKind, find_kind
from bids_dtg.contrasts.judging.scores import Scores, join_groups
from bids_dtg.contrasts.plan import CHECKPOINTS
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.files.locks import Locks
from bids_dtg.notices import counted, duration, say
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import DRAWN, Split

FEW = 10  # training people: the rest of fewer makes poor ROI maps
_TIMES_AS_LONG = 2  # as to reduce everybody's rest takes one fit, with its ROI maps and connectomes
_FOLD_COLUMNS = (
    Column("participant_id", "Participant"),
    Column("group", "Number of the group that was left out of the fit together"),
)


def run_training(settings: Settings) -> int:
    """Train, score and write a model; return how many participants could not be used.

    Raises
    ------
    DtgError
        Wrong options, data or places.
    """
    kind = find_kind(settings.modelling.architecture or LINEAR.name)
    kind.require_recipe(settings.modelling.recipe)
    if kind.is_network:
        kind.module().require_packages()
    cohort = Cohort.prepare(settings, kind).find(None).of_data()
    planned = plan_split(cohort, needs_validation=kind.is_network)
    cohort = _learning(cohort, kind, len(planned.training))
    check_fit(kind, cohort, planned)
    if cohort.is_dry:
        plan = sets_of(planned)
        if groups := draw_folds(cohort, planned, kind):
            plan[f"judge by, in {groups_in_words(groups)} left out in turn"] = planned.training
        return cohort.print_plan(plan)
    with cohort.results.begun() as locks:
        cohort = cohort.among(planned.everybody)
        if cohort.learns:
            cohort = _with_roi_maps(cohort, kind, locks)
        return _train(with_measured(read(cohort, locks)), kind)


def _learning(cohort: Cohort, kind: MapsKind, training: int) -> Cohort:
    """Decide whether ROI maps are made of the rest of so many training people; say why."""
    card = cohort.bundle.card
    if cohort.learns or not kind.sets or card.part.several:
        return cohort
    few, who = training < FEW, counted(training, "training participant")
    if few and names_model(cohort.settings):
        say(f"ROI maps are those of {card.name}: group ICA of {who} would make poor ones")
        return cohort
    if few:
        say(
            f"warning: group ICA of {who} makes poor ROI maps; a --model that is named brings "
            f"its own, and {FEW} or more participants make good ones"
        )
    sets = sets_that_fit(kind.image_sets, cohort.bundle.places.number)
    words = f"masks are those of {card.name} {card.version}, with {maps_in_words(sets)}"
    return dataclasses.replace(cohort, learns=sets, maps_words=words)


def _with_roi_maps(cohort: Cohort, kind: MapsKind, locks: Locks) -> Cohort:
    """Reduce everybody's rest, and make ROI maps of the training people's, also without each fold.

    The split is kept: people whose rest made these maps must not be drawn into the test set later.
    """
    say("rest is read twice: to make ROI maps of it, then with these")
    begun = time.monotonic()
    cohort = reduced(cohort, locks)
    seconds = time.monotonic() - begun
    split = kept_split(cohort, needs_validation=kind.is_network)
    groups = draw_folds(cohort, split, kind)
    if seconds > 1:  # else it was reduced by an earlier call
        left = duration(_TIMES_AS_LONG * seconds * (1 + len(groups)))
        say(f"ROI maps, connectomes and {counted(1 + len(groups), 'fit')} take about {left}")
    return with_maps_of(cohort, split.training, groups)


def _train(cohort: Cohort, kind: MapsKind) -> int:
    split = kept_split(cohort, needs_validation=kind.is_network)
    training, validation, test = (getattr(split, name) for name in DRAWN)
    say(f"{len(training)} to train, {len(validation)} to validate, {len(test)} to test")
    cohort.results.add(f"{CHECKPOINTS}/")
    fitted = fit_model(kind, cohort, split, cohort.results.path, say)
    groups, evaluation = draw_folds(cohort, split, kind), None
    if groups:
        say(f"cross-validation: {groups_in_words(groups)} are left out in turn")
        sizes = [len(group) for group in groups]
        drawn = {"groups": sizes, "seed": cohort.settings.modelling.seed, "families": "together"}
        fitted = dataclasses.replace(fitted, record={**fitted.record, "cross_validation": drawn})
        found, simple = judge_folds(cohort, groups, kind)
    elif test:
        found, simple = score_fit(cohort, fitted, split)
    else:
        say(
            f"no test participants: the model of {counted(len(training), 'participant')} is not "
            "scored, so its accuracy is unknown"
        )
    if groups or test:
        simple = dataclasses.replace(simple, words=f"{simple.words} {fitted.words}".strip())
        evaluation = write_scores(cohort, found, simple, "model", record=fitted.record)
    bundle = write_fitted(cohort, fitted, split, evaluation)
    say(f"{bundle.card.name} {bundle.card.version} ({fitted.kind}): {bundle.path}")
    for work in ("work", WORK):
        cohort.store.discard(work)
    return cohort.failed


def judge_folds(cohort: Cohort, groups: Groups, kind: MapsKind) -> tuple[Scores, SimpleModels]:
    """Fit a kind to all but each group in turn, score it and simple models, and join the scores.

    Everything that a fit learns is learned anew: ROI maps, coefficients and gains. A group is
    judged among its own people, by one fit, as test people are: the mean map of all others lacks a
    person's own maps, so that predictions of different fits differ by who was left out.

    Returns
    -------
    The scores, and what the simple models were fitted on, with sentences on it for the page.
    """
    rows = [
        {"participant_id": f"sub-{label}", "group": number}
        for number, group in enumerate(groups, 1)
        for label in group
    ]
    words = "Groups of the cross-validation: one row per participant, in the order of the matrices"
    cohort.results.table(FOLDS, ResultTable(_FOLD_COLUMNS, rows, words))
    by_group, records = [], []
    for number, group in enumerate(groups, 1):
        others = [person.label for person in cohort.people if person.label not in group]
        say(
            f"group {number} of {len(groups)}: {counted(len(group), 'participant')} left "
            f"out, {len(others)} fitted"
        )
        fold, split = of_fold(cohort, number), Split(tuple(others), (), tuple(group))
        fitted = fit_model(kind, fold, split, cohort.store.root / WORK, lambda line: None)
        with one_blas_thread():
            found, simple = score_fit(fold, fitted, split, lambda line: None)
        by_group.append(found)
        records.append(simple.record)
    record = {name: [one[name] for one in records if name in one] for name in records[0]}
    people = sum(map(len, groups))
    fitted_on = [people - len(group) for group in groups]
    words = (
        f"Scores and verdicts are of cross-validation: {groups_in_words(groups)} (families "
        f"together, seed {cohort.settings.modelling.seed}) were left out in turn. A fit to the "
        f"{range_of(fitted_on)} others, with all that it chooses, predicted each group, and people "
        f"are compared within their group alone. The model in the bundle is a fit to all {people}. "
        "Each participant is tested, and trains the others' predictions: intervals and p of "
        "differences count differences as varying \N{SQUARE ROOT}2 times as much as they do. "
        "Simple models were fitted like the model."
    )
    return join_groups(by_group), SimpleModels({}, record, min(fitted_on), words=words)
