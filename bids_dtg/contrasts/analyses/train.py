"""Train a model on people's rest and maps, score it on others, and write it as a bundle."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Values
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.contrasts.analyses.cohort import (
    FOLDS,
    WORK,
    CohortArrays,
    CohortFiles,
    CohortPlan,
)
from bids_dtg.contrasts.analyses.evaluation_page import write_evaluation
from bids_dtg.contrasts.analyses.finding import (
    find_cohort,
    print_plan,
    with_file_record,
)
from bids_dtg.contrasts.analyses.fit import check_fit, fit_model, write_fitted
from bids_dtg.contrasts.analyses.judge import score_fit
from bids_dtg.contrasts.analyses.measured import check_measured_maps
from bids_dtg.contrasts.analyses.reading import (
    cohort_of_fold,
    read_arrays,
    reduce_rest,
    with_group_maps,
)
from bids_dtg.contrasts.analyses.roi_maps import maps_in_words, sets_that_fit
from bids_dtg.contrasts.analyses.simple_models import SimpleModels
from bids_dtg.contrasts.analyses.splits import (
    Groups,
    draw_folds,
    groups_in_words,
    plan_split,
    range_of,
    sets_of,
    store_split,
)
from bids_dtg.contrasts.bundle.kinds import KINDS, find_kind
from bids_dtg.contrasts.judging.scores import (
    Scores,
    join_groups,
    store_scores,
    stored_scores,
)
from bids_dtg.contrasts.plan import CHECKPOINTS
from bids_dtg.engine.machine import one_blas_thread
from bids_dtg.files.columns import Column
from bids_dtg.files.foreign import sha256_of_file
from bids_dtg.files.locks import Locks
from bids_dtg.notices import counted, duration, say
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import Split
from bids_dtg.version import __version__

FEW_FOR_ICA = 10  # with fewer training people, ROI maps made from their rest are poor
# Time of one fit, with ROI maps and connectomes, over that of reducing everybody's rest.
_TIMES_AS_LONG = 2
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
    kind = find_kind(settings.modelling.architecture or next(iter(KINDS)))
    kind.require_recipe(settings.modelling.recipe)
    kind.require_packages()
    plan = CohortPlan.prepare(settings, kind)
    files = with_file_record(find_cohort(plan, None))
    split = plan_split(files)
    plan = _with_roi_sets(files.plan, len(split.training))
    files = dataclasses.replace(files, plan=plan)
    check_fit(files, split)
    if plan.is_dry:
        sets = sets_of(split)
        groups = draw_folds(files, split)
        if groups:
            use = f"cross-validate, {groups_in_words(groups)} left out in turn"
            sets[use] = split.training
        return print_plan(files, sets)
    with plan.results.writing() as locks:
        files = files.among(split.everybody)
        if plan.roi_sets:
            files = _with_roi_maps(files, locks)
        return _train(check_measured_maps(read_arrays(files, locks)))


def _with_roi_sets(plan: CohortPlan, training: int) -> CohortPlan:
    """Decide whether ROI maps are made from the training people's rest; report why not."""
    card, kind = plan.bundle.card, plan.kind
    if plan.roi_sets or not kind.sets or card.part.several:
        return plan
    people = counted(training, "training participant")
    if training < FEW_FOR_ICA and plan.settings.inputs.model is not None:
        say(
            f"ROI maps are taken from {card.name}: group ICA of {people} would make poor ones"
        )
        return plan
    if training < FEW_FOR_ICA:
        say(
            f"warning: group ICA of {people} makes poor ROI maps; use {FEW_FOR_ICA} or more "
            "participants, or the ROI maps of a model given by --model"
        )
    sets = sets_that_fit(kind.image_sets, plan.bundle.places.number)
    words = f"masks are those of {card.title}, with {maps_in_words(sets)}"
    return dataclasses.replace(plan, roi_sets=sets, roi_maps_words=words)


def _with_roi_maps(files: CohortFiles, locks: Locks) -> CohortFiles:
    """Reduce everybody's rest, and make ROI maps of the training people and for each fold.

    The split is stored, so that nobody whose rest made these maps is drawn into the test set later.
    """
    say(
        "rest is read twice: first to make ROI maps, then to compute connectomes with them"
    )
    start = time.monotonic()
    files = reduce_rest(files, locks)
    seconds = time.monotonic() - start
    split = store_split(files)
    groups = draw_folds(files, split)
    fits = 1 + len(groups)
    if seconds > 1:  # else it was reduced by an earlier run
        remaining = duration(_TIMES_AS_LONG * seconds * fits)
        say(
            f"ROI maps, connectomes and {counted(fits, 'fit')} will take about {remaining}"
        )
    return with_group_maps(files, split.training, groups)


def _train(cohort: CohortArrays) -> int:
    """Fit and score a model, and write it."""
    plan = cohort.plan
    split = store_split(cohort.files)
    say(
        f"{len(split.training)} to train, {len(split.validation)} to validate, "
        f"{len(split.test)} to test"
    )
    plan.results.add(f"{CHECKPOINTS}/")
    fitted = fit_model(cohort, split, plan.results.path, say)
    groups = draw_folds(cohort.files, split)
    judged: tuple[Scores, SimpleModels] | None = None
    if groups:
        say(f"cross-validation: {groups_in_words(groups)} are left out in turn")
        drawn = {
            "groups": [len(group) for group in groups],
            "seed": plan.settings.modelling.seed,
            "families": "together",
        }
        record = {**fitted.record, "cross_validation": drawn}
        fitted = dataclasses.replace(fitted, record=record)
        judged = judge_folds(cohort, groups)
    elif split.test:
        judged = score_fit(cohort, fitted, split)
    else:
        people = counted(split.training, "participant")
        say(
            f"no test participants, so the model of {people} is not "
            "scored and its accuracy is unknown"
        )
    scores_of_card: dict[str, Any] | None = None
    if judged is not None:
        scores, simple = judged
        words = f"{simple.words} {fitted.words}".strip()
        simple = dataclasses.replace(simple, words=words)
        evaluation = write_evaluation(
            cohort, scores, simple, "model", record=fitted.record
        )
        scores_of_card = evaluation.for_card()
    bundle = write_fitted(cohort, fitted, split, scores_of_card)
    say(f"{bundle.title} ({fitted.kind}): {bundle.path}")
    for work in ("work", WORK):
        plan.store.discard(work)
    return cohort.files.failed


def judge_folds(cohort: CohortArrays, groups: Groups) -> tuple[Scores, SimpleModels]:
    """Leave each group out in turn, fit on the others, and score the model and simple models.

    Each fit learns everything anew: ROI maps, coefficients and gains. As with test people, only
    people predicted by the same fit are compared with each other, because the fits of different
    groups have different mean maps.

    Returns
    -------
    The scores, and a record of the simple models, with sentences for the page.
    """
    plan = cohort.plan
    _write_groups(plan, groups)
    group_scores, records = [], []
    for number, group in enumerate(groups, 1):
        title = (
            f"group {number} of {len(groups)}: {counted(group, 'participant')} left out"
        )
        scores, record = _judge_fold(cohort, number, group, title)
        group_scores.append(scores)
        records.append(record)
    simple_models = {
        name: [record[name] for record in records if name in record]
        for name in records[0]
    }
    people = sum(map(len, groups))
    fitted_on = [people - len(group) for group in groups]
    words = (
        f"Scores and verdicts are from cross-validation: {groups_in_words(groups)} (the folds; "
        f"families are together, seed {plan.settings.modelling.seed}) were left out in turn. "
        f"Each fold was predicted by a complete fit to the {range_of(fitted_on)} others. The model "
        f"in the bundle is a fit to all {people}. Simple models were fitted in the same way."
    )
    simple = SimpleModels({}, simple_models, min(fitted_on), words=words)
    rows = {person.label: row for row, person in enumerate(cohort.people)}
    group_rows = [[rows[label] for label in group if label in rows] for group in groups]
    return join_groups(group_scores, group_rows), simple


def _write_groups(plan: CohortPlan, groups: Groups) -> None:
    """Write which group of the cross-validation each person is in."""
    rows = [
        {"participant_id": f"sub-{label}", "group": number}
        for number, group in enumerate(groups, 1)
        for label in group
    ]
    rows.sort(key=lambda row: str(row["participant_id"]))
    words = "Groups of the cross-validation: one row per participant, in the order of the matrices"
    plan.results.table(FOLDS, ResultTable(_FOLD_COLUMNS, rows, words))


def _judge_fold(
    cohort: CohortArrays,
    number: int,
    group: Sequence[str],
    title: str,
) -> tuple[Scores, Mapping[str, Any]]:
    """Return scores of a group by a fit without it, and a record of simple models.

    An interrupted call's are used if everything that they depend on is the same.
    """
    store = cohort.plan.work
    labels = [person.label for person in cohort.people]
    training = tuple(label for label in labels if label not in group)
    fold, split = cohort_of_fold(cohort, number), Split(training, (), tuple(group))
    name, facts = f"scores{number}", _facts_of_scores(fold, split)
    stored = stored_scores(store, name, facts)
    if stored is not None:
        say(f"{title}, scored by an earlier call")
        return stored
    say(f"{title}, fit on {len(training)}")
    fitted = fit_model(fold, split, store.root, lambda line: None)
    with one_blas_thread():
        scores, simple = score_fit(fold, fitted, split, lambda line: None)
    store_scores(store, name, scores, facts, simple.record)
    return scores, simple.record


def _facts_of_scores(fold: CohortArrays, split: Split) -> dict[str, Any]:
    """Return everything that the scores of a group depend on, as JSON values."""
    arrays = {
        person.label: [
            _sha256_of(array) for array in (person.connectomes, *person.sessions)
        ]
        for person in fold.people
    }
    settings = fold.plan.settings
    return {
        "version": __version__,
        "kind": fold.plan.kind.name,
        "options": settings.result_options | {"seed": settings.modelling.seed},
        "contrasts": fold.files.contrast_labels,
        "geometry": fold.plan.bundle.geometry,
        "arrays": arrays,
        "weights": {person.label: list(person.weights) for person in fold.people},
        "families": dict(fold.files.families.by_label),
        "split": dataclasses.asdict(split),
    }


def _sha256_of(array: Values) -> str:
    """Return the SHA-256 of the file that an array is mapped from."""
    assert isinstance(array, np.memmap)
    return sha256_of_file(Path(str(array.filename)))
