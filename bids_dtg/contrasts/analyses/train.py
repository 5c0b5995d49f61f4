"""Train a model on people's rest and maps, score it on others, and write it as a bundle."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from bids_dtg.contrasts.judging.scores import (
    Scores,
    join_groups,
    store_scores,
    stored_scores,
)
from bids_dtg.contrasts.plan import CHECKPOINTS
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.foreign import sha256_of_file
from bids_dtg.files.locks import Locks
from bids_dtg.notices import counted, duration, say
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import DRAWN, Split
from bids_dtg.version import __version__

FEW = 10  # with fewer training people, ROI maps made from their rest are poor
_TIMES_AS_LONG = (
    2  # one fit, with ROI maps and connectomes, over reducing everybody's rest
)
_FOLD_COLUMNS = (
    Column("participant_id", "Participant"),
    Column("group", "Number of the participant's group, which is left out together"),
)


def run_training(settings: Settings) -> int:
    """Train, score and write a model; return how many participants could not be used.

    Raises
    ------
    DtgError
        Options, data or paths cannot be used.
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
            plan[f"cross-validate, {groups_in_words(groups)} left out in turn"] = (
                planned.training
            )
        return cohort.print_plan(plan)
    with cohort.results.begun() as locks:
        cohort = cohort.among(planned.everybody)
        if cohort.learns:
            cohort = _with_roi_maps(cohort, kind, locks)
        return _train(with_measured(read(cohort, locks)), kind)


def _learning(cohort: Cohort, kind: MapsKind, training: int) -> Cohort:
    """Decide whether ROI maps are made from the training people's rest; report why not."""
    card = cohort.bundle.card
    if cohort.learns or not kind.sets or card.part.several:
        return cohort
    few, who = training < FEW, counted(training, "training participant")
    if few and names_model(cohort.settings):
        say(
            f"ROI maps are taken from {card.name}: group ICA of {who} would make poor ones"
        )
        return cohort
    if few:
        say(
            f"warning: group ICA of {who} makes poor ROI maps; use {FEW} or more participants, or "
            "the ROI maps of a model given by --model"
        )
    sets = sets_that_fit(kind.image_sets, cohort.bundle.places.number)
    words = f"masks are those of {card.name} {card.version}, with {maps_in_words(sets)}"
    return dataclasses.replace(cohort, learns=sets, maps_words=words)


def _with_roi_maps(cohort: Cohort, kind: MapsKind, locks: Locks) -> Cohort:
    """Reduce everybody's rest, and make ROI maps of the training people and for each fold.

    The split is kept, so that nobody whose rest made these maps is drawn into the test set later.
    """
    say(
        "rest is read twice: first to make ROI maps, then to compute connectomes with them"
    )
    begun = time.monotonic()
    cohort = reduced(cohort, locks)
    seconds = time.monotonic() - begun
    split = kept_split(cohort, needs_validation=kind.is_network)
    groups = draw_folds(cohort, split, kind)
    if seconds > 1:  # else it was reduced by an earlier run
        left = duration(_TIMES_AS_LONG * seconds * (1 + len(groups)))
        say(
            f"ROI maps, connectomes and {counted(1 + len(groups), 'fit')} will take about {left}"
        )
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
        drawn = {
            "groups": sizes,
            "seed": cohort.settings.modelling.seed,
            "families": "together",
        }
        fitted = dataclasses.replace(
            fitted, record={**fitted.record, "cross_validation": drawn}
        )
        found, simple = judge_folds(cohort, groups, kind)
    elif test:
        found, simple = score_fit(cohort, fitted, split)
    else:
        say(
            f"no test participants, so the model of {counted(len(training), 'participant')} is not "
            "scored and its accuracy is unknown"
        )
    if groups or test:
        simple = dataclasses.replace(
            simple, words=f"{simple.words} {fitted.words}".strip()
        )
        evaluation = write_scores(cohort, found, simple, "model", record=fitted.record)
    bundle = write_fitted(cohort, fitted, split, evaluation)
    say(f"{bundle.card.name} {bundle.card.version} ({fitted.kind}): {bundle.path}")
    for work in ("work", WORK):
        cohort.store.discard(work)
    return cohort.failed


def judge_folds(
    cohort: Cohort, groups: Groups, kind: MapsKind
) -> tuple[Scores, SimpleModels]:
    """Leave each group out in turn, fit on the others, and score the model and simple models.

    Each fit learns everything anew: ROI maps, coefficients and gains. As with test people, only
    people predicted by the same fit are compared with each other, because the fits of different
    groups have different mean maps.

    Returns
    -------
    The scores, and a record of the simple models, with sentences for the page.
    """
    rows = [
        {"participant_id": f"sub-{label}", "group": number}
        for number, group in enumerate(groups, 1)
        for label in group
    ]
    words = "Groups of the cross-validation: one row per participant, in the order of the matrices"
    cohort.results.table(FOLDS, ResultTable(_FOLD_COLUMNS, rows, words))
    by_group, records = [], []
    store = ArrayStore(cohort.store.root / WORK)
    for number, group in enumerate(groups, 1):
        others = [person.label for person in cohort.people if person.label not in group]
        title = f"group {number} of {len(groups)}: {counted(len(group), 'participant')} left out"
        fold, split = of_fold(cohort, number), Split(tuple(others), (), tuple(group))
        name, facts = f"scores{number}", _facts_of_scores(fold, split, kind)
        if stored := stored_scores(store, name, facts):
            say(f"{title}, scored by an earlier call")
        else:
            say(f"{title}, fit on {len(others)}")
            fitted = fit_model(kind, fold, split, store.root, lambda line: None)
            with one_blas_thread():
                scores, simple = score_fit(fold, fitted, split, lambda line: None)
            store_scores(store, name, scores, facts, simple.record)
            stored = scores, simple.record
        by_group.append(stored[0])
        records.append(stored[1])
    record = {
        name: [one[name] for one in records if name in one] for name in records[0]
    }
    people = sum(map(len, groups))
    fitted_on = [people - len(group) for group in groups]
    words = (
        f"Scores and verdicts are from cross-validation: {groups_in_words(groups)} (the folds; "
        f"families are together, seed {cohort.settings.modelling.seed}) were left out in turn. "
        f"Each fold was predicted by a complete fit to the {range_of(fitted_on)} others. The model "
        f"in the bundle is a fit to all {people}. Simple models were fitted in the same way."
    )
    return join_groups(by_group), SimpleModels({}, record, min(fitted_on), words=words)


def _facts_of_scores(fold: Cohort, split: Split, kind: MapsKind) -> dict[str, Any]:
    """Return everything that the scores of a group depend on, as JSON values."""
    arrays = {
        person.label: [
            _sha256_of(array) for array in (person.connectomes, *person.sessions)
        ]
        for person in fold.people
    }
    part = fold.bundle.card.part
    return {
        "version": __version__,
        "kind": kind.name,
        "options": fold.settings.result_options
        | {"seed": fold.settings.modelling.seed},
        "contrasts": [contrast.label for contrast in fold.contrasts],
        "geometry": {name: fold.bundle.card.files[name] for name in part.of_geometry},
        "arrays": arrays,
        "weights": {person.label: list(person.weights) for person in fold.people},
        "families": dict(fold.families.by_label),
        "split": dataclasses.asdict(split),
    }


def _sha256_of(array: NDArray[Any]) -> str:
    """Return the SHA-256 of the file that an array is mapped from."""
    assert isinstance(array, np.memmap)
    return sha256_of_file(Path(str(array.filename)))
