"""Evaluate a model's maps against measured maps, and compare it with simple models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bids_dtg.array_types import Float32
from bids_dtg.contrasts.analyses.cohort import CohortArrays, CohortPlan
from bids_dtg.contrasts.analyses.evaluation_page import write_evaluation
from bids_dtg.contrasts.analyses.finding import find_cohort, print_plan
from bids_dtg.contrasts.analyses.judge import score_models
from bids_dtg.contrasts.analyses.measured import check_measured_maps
from bids_dtg.contrasts.analyses.reading import read_arrays
from bids_dtg.contrasts.analyses.simple_models import (
    Predict,
    SimpleModels,
    baselines,
    leave_one_out,
    linear_parcels,
)
from bids_dtg.contrasts.analyses.splits import draw_split, plan_split, say_families
from bids_dtg.contrasts.analyses.training_set import leave_out_seen, say_unlisted
from bids_dtg.contrasts.contrast import contrast_in_words, rows_in_model, task_in_words
from bids_dtg.contrasts.judging.scores import GROUP_AVERAGE
from bids_dtg.contrasts.panels.drawn_maps import draw_side_by_side
from bids_dtg.contrasts.panels.gallery import choose_labels
from bids_dtg.contrasts.people import Person, predicted_maps
from bids_dtg.errors import DatasetError
from bids_dtg.notices import counted, say
from bids_dtg.report.page import Section
from bids_dtg.settings import Settings

_EXAMPLES = 3  # contrasts shown of one person


def run_evaluation(settings: Settings) -> int:
    """Score `--model` on everybody with both scans, or on the test set of `--split-file`.

    People in the training or validation set of the model, or of a model that it was made from,
    are left out (its bundle lists them). Simple models are fitted on the training set of
    `--split-file`. Without that file, the linear model is fitted for each person on all other
    people, and so is the group average, unless the model's bundle holds the mean map of its own
    training people. Models fitted on all others have no scores of individuality.

    Raises
    ------
    DtgError
        Options, data or paths cannot be used.
    """
    plan = CohortPlan.prepare(settings, makes_model=False)
    say_unlisted(plan.bundle)
    files = find_cohort(plan, plan.bundle.contrasts)
    split_file = settings.modelling.split_file
    training: tuple[str, ...] = ()
    test = files.labels
    if split_file is not None:
        split = plan_split(files)
        training, test = split.training, split.test
    else:
        say_families(files)
    seen = leave_out_seen(files, test)
    test = tuple(label for label in test if label not in seen)
    _require_enough(split_file, len(training), len(test))
    if plan.is_dry:
        return print_plan(files, {"fit simple models": training, "test": test})
    with plan.results.writing() as locks:
        cohort = read_arrays(files.among((*training, *test)), locks)
        if split_file is not None:
            draw_split(cohort.files)  # refuses copies of a person in two sets
        seen |= leave_out_seen(cohort.files, test, warns=False)
        cohort = cohort.without(seen)
        training_people = cohort.people_of(training)
        test_people = cohort.people_of([label for label in test if label not in seen])
        _require_enough(split_file, len(training_people), len(test_people))
        return _evaluate(check_measured_maps(cohort), training_people, test_people)


def _evaluate(
    cohort: CohortArrays,
    training: tuple[Person, ...],
    test: tuple[Person, ...],
) -> int:
    plan, bundle = cohort.plan, cohort.plan.bundle
    rows = [*rows_in_model(cohort.files.contrasts, bundle.contrasts).values()]
    model = plan.model

    def predict(person: Person) -> Float32:
        return predicted_maps(model.predict, person)[rows]

    simple = _simple_models(cohort, training, test, rows)
    judged = f"model {bundle.name}"
    scores = score_models(cohort, simple, {judged: predict}, test, judged)

    def sections() -> list[Section]:
        return [_example(cohort, simple, predict, test, scores.of(judged)["r"])]

    evaluation = write_evaluation(cohort, scores, simple, judged, sections=sections)
    say(
        "r: predicted with measured maps; residual r: their deviations from the mean map, n/a for"
    )
    say(
        "models that predict one map for everybody or were fitted for each person on all others"
    )
    rows_of_models: Sequence[Mapping[str, Any]] = evaluation.tables["models"].rows
    for row in rows_of_models:
        residual = row["residual_r"][0] if row.get("residual_r") else "n/a"
        say(f"{row['model']}: r {row['r'][0]}, residual r {residual}")
    say(f"tables and matrices: {plan.results.path}")
    return cohort.files.failed


def _simple_models(
    cohort: CohortArrays,
    training: tuple[Person, ...],
    test: tuple[Person, ...],
    rows: Sequence[int],
) -> SimpleModels:
    """Fit simple models on the training people of a split, else on all people but each in turn.

    `rows` are those of the model's contrasts that were measured.
    """
    bundle, options = cohort.plan.bundle, cohort.plan.settings.modelling
    parcels = linear_parcels(bundle)
    if options.split_file is not None:
        return baselines(training, parcels, options.seed)
    families = cohort.files.families.by_label
    simple = leave_one_out(test, parcels, options.seed, families)
    trained_on = bundle.card.training.participants
    # For a re-centred model, the mean prediction is the training people's mean measured map.
    if bundle.mean is not None and bundle.correction is not None and trained_on:
        simple = simple.with_average(bundle.mean[rows], trained_on)
    return simple


def _example(
    cohort: CohortArrays,
    simple: SimpleModels,
    predict: Predict,
    people: tuple[Person, ...],
    r: pd.Series[float],
) -> Section:
    """Show three contrasts of the person whose r, mean over contrasts, is the median.

    `r` is of each person and contrast.
    """
    mean_r = r.groupby(level="person").mean().sort_values()
    label = str(mean_r.index[(len(mean_r) - 1) // 2])
    person = next(person for person in people if person.label == label)
    sources = {
        "Measured": person.maps,
        "Predicted": predict(person),
        "Group average": simple.models[GROUP_AVERAGE](person),
    }
    places, units = cohort.plan.bundle.places, cohort.plan.bundle.part.units
    labels = cohort.files.contrast_labels
    figures = []
    for chosen in choose_labels(labels)[:_EXAMPLES]:
        row = labels.index(chosen)
        contrast = cohort.files.contrasts[row]
        maps = {
            name: np.asarray(values[row], np.float32)
            for name, values in sources.items()
        }
        name = contrast_in_words(contrast.task, contrast.name)
        title = f"{task_in_words(contrast.task)}: {name}".removeprefix(": ")
        figures.append(draw_side_by_side(maps, places, title=title, units=units))
    facts = {
        "person": f"sub-{label}",
        "r": float(mean_r[label]),
        "people": simple.people,
    }
    return Section(
        "Example",
        template="contrasts/judged_example.html",
        facts=facts,
        figures=figures,
    )


def _require_enough(split_file: Path | None, training: int, people: int) -> None:
    if split_file is not None and (not training or people < 2):
        raise DatasetError(
            f"{split_file} has {training} training and {people} test participants with usable data",
            expected="1 training and 2 test participants, or more",
        )
    if split_file is None and people < 3:
        raise DatasetError(
            f"only {counted(people, 'participant')} with rest and maps outside the model's "
            "training and validation sets, too few to compare",
            expected="3 or more, or --split-file with people to fit simple models on",
        )
