"""Evaluate a model's maps against measured ones, beside simple models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.analyses.analysis import Analysis
from bids_dtg.contrasts.analyses.baselines import SimplePlan, baselines, leave_one_out
from bids_dtg.contrasts.analyses.cohort import Cohort
from bids_dtg.contrasts.analyses.cohort_plan import CohortPlan
from bids_dtg.contrasts.analyses.predict import keep_predictions
from bids_dtg.contrasts.analyses.score import retest_maps, score_models
from bids_dtg.contrasts.analyses.seen import unseen
from bids_dtg.contrasts.analyses.splits import plan_split, say_families
from bids_dtg.contrasts.analyses.train import write_tables
from bids_dtg.contrasts.people import Person, mean_maps, predicted_maps
from bids_dtg.errors import DatasetError
from bids_dtg.inputs.statmaps import plain_contrast
from bids_dtg.notices import counted, say
from bids_dtg.settings import Settings

Array = NDArray[np.float32]


def run_evaluation(settings: Settings) -> int:
    """Score `--model` on everybody with both scans, or on the test set of `--split-file`.

    Nobody counts on whom the model, or one that it was made from, was trained or tuned (its
    bundle knows them); whom it was calibrated on counts, as no interval is judged. Simple models
    need people to be fitted on: the training set of `--split-file`. Without one, the group average
    and the linear model of each person are those of all the others, and say nothing of
    individuality.

    Raises
    ------
    DtgError
        Wrong options, data or places.
    """
    analysis = Analysis.prepare(settings, makes="evaluation")
    plan = analysis.plan(analysis.bundle.contrasts)
    fitted_on, judged_on = _whom(analysis, plan)
    if analysis.is_dry:
        return analysis.print_plan(plan, {"fit simple models": fitted_on, "test": judged_on})
    with analysis.begun() as locks:
        cohort = analysis.cohort(plan.of((*fitted_on, *judged_on)), locks)
        return _evaluate(analysis, cohort, fitted_on, judged_on)


def _evaluate(
    analysis: Analysis, cohort: Cohort, fitted_on: Sequence[str], judged_on: Sequence[str]
) -> int:
    settings, bundle, model = analysis.settings, analysis.bundle, analysis.model
    training, people = cohort.of(fitted_on), cohort.of(judged_on)
    _require_enough(settings.modelling.split_file, training, people)
    known = {plain_contrast(contrast.label): contrast.index for contrast in bundle.contrasts}
    rows = [known[plain_contrast(contrast.label)] for contrast in cohort.contrasts]

    kept: dict[str, Array] = {}
    if bundle.card.part.grid is None:
        maps = keep_predictions(analysis, people)
        kept = {person.label: own for person, own in zip(people, maps, strict=True)}

    def predict(person: Person) -> Array:
        own = kept.get(person.label)
        return (predicted_maps(model, person) if own is None else own)[rows]

    alone = settings.modelling.split_file is None
    mean = mean_maps(people if alone else training)
    if alone:
        simple = leave_one_out(people, mean, SimplePlan.of(analysis))
    else:
        simple = baselines(training, mean, SimplePlan.of(analysis))
    judged = f"model {bundle.card.name}"
    found = score_models(
        {**simple.models, judged: predict, **retest_maps(people)},
        people,
        judged,
        training_mean=None if alone else mean,
        store=analysis.store,
        report=say,
        # What is fitted on all others knows each of them: it looks more like them than like
        # oneself.
        leave_one_out=tuple(simple.models) if alone else (),
    )
    evaluation = write_tables(
        analysis, found, cohort, people=len(people), simple=simple, judged=judged
    )
    for row in evaluation["rows"]:
        say(f"{row['model']}: r {row['r'][0]}, residual r {(row.get('residual_r') or ['-'])[0]}")
    say(f"tables and matrices: {analysis.folder}")
    return cohort.failed


def _whom(analysis: Analysis, plan: CohortPlan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose whom simple models are fitted on, and on whom all are judged.

    Raises
    ------
    DatasetError, SettingsError
        There are too few, or somebody or a family is on two sides.
    """
    settings, people = analysis.settings, plan.labels
    training: tuple[str, ...] = ()
    if settings.modelling.split_file is not None:
        split = plan_split(analysis, plan)
        training, people = split.training, split.test
    else:
        say_families(analysis, people)
    people = unseen(analysis.source, people)
    _require_enough(settings.modelling.split_file, training, people)
    return training, people


def _require_enough(
    split_file: Path | None, training: Sequence[object], people: Sequence[object]
) -> None:
    if split_file is not None and (not training or len(people) < 2):
        raise DatasetError(
            f"{split_file}: {len(training)} training and {len(people)} test "
            "participants can be used",
            expected="1 and 2 or more",
        )
    if split_file is None and len(people) < 3:
        raise DatasetError(
            f"only {counted(len(people), 'participant')} with rest and maps, on whom the model was "
            "neither trained nor tuned: too few to compare",
            expected="3 or more, or --split-file with people to train simple models on",
        )
