"""Evaluate a model's maps against measured maps, and compare it with simple models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_dtg.contrasts.analyses.cohort import Cohort
from bids_dtg.contrasts.analyses.judge import (
    Predict,
    SimpleModels,
    baselines,
    leave_one_out,
    linear_parcels,
    score_models,
    write_scores,
)
from bids_dtg.contrasts.analyses.measured import with_measured
from bids_dtg.contrasts.analyses.reading import read
from bids_dtg.contrasts.analyses.splits import draw_split, plan_split, say_families
from bids_dtg.contrasts.analyses.training_set import leave_out_seen, say_unlisted
from bids_dtg.contrasts.judging.scores import GROUP_AVERAGE
from bids_dtg.contrasts.panels.maps import (
    choose_labels,
    contrast_in_words,
    draw_side_by_side,
    task_in_words,
)
from bids_dtg.contrasts.people import Person, predicted_maps
from bids_dtg.errors import DatasetError
from bids_dtg.inputs.statmaps import plain_contrast
from bids_dtg.notices import counted, say
from bids_dtg.report.page import Section
from bids_dtg.settings import Settings

Array = NDArray[np.float32]
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
    cohort = Cohort.prepare(settings)
    say_unlisted(cohort.bundle)
    cohort = cohort.find(cohort.bundle.contrasts)
    split_file, judged_on = settings.modelling.split_file, cohort.labels
    fitted_on: tuple[str, ...] = ()
    if split_file is not None:
        split = plan_split(cohort)
        fitted_on, judged_on = split.training, split.test
    else:
        say_families(cohort)
    seen = leave_out_seen(cohort, judged_on)
    judged_on = tuple(label for label in judged_on if label not in seen)
    _require_enough(split_file, len(fitted_on), len(judged_on))
    if cohort.is_dry:
        return cohort.print_plan({"fit simple models": fitted_on, "test": judged_on})
    with cohort.results.begun() as locks:
        cohort = read(cohort.among((*fitted_on, *judged_on)), locks)
        if split_file is not None:
            draw_split(cohort)  # refuses copies of a person in two sets
        seen |= leave_out_seen(cohort, judged_on, warns=False)
        cohort = cohort.without(seen)
        training = cohort.of(fitted_on)
        people = cohort.of([label for label in judged_on if label not in seen])
        _require_enough(split_file, len(training), len(people))
        return _evaluate(with_measured(cohort), training, people)


def _evaluate(
    cohort: Cohort, training: tuple[Person, ...], people: tuple[Person, ...]
) -> int:
    settings, bundle, model = cohort.settings, cohort.bundle, cohort.model
    known = {
        plain_contrast(contrast.label): contrast.index for contrast in bundle.contrasts
    }
    rows = [known[plain_contrast(contrast.label)] for contrast in cohort.contrasts]

    def predict(person: Person) -> Array:
        return predicted_maps(model.predict, person)[rows]

    parcels, seed = linear_parcels(bundle), settings.modelling.seed
    if settings.modelling.split_file is not None:
        simple = baselines(training, parcels, seed)
    else:
        simple = leave_one_out(people, parcels, seed, cohort.families.by_label)
        trained_on = bundle.card.training.participants
        # For a re-centred model, the mean prediction is the training people's mean measured map.
        if bundle.mean is not None and bundle.correction is not None and trained_on:
            simple = simple.with_average(bundle.mean[rows], trained_on)
    judged = f"model {bundle.card.name}"
    found = score_models(cohort, simple, {judged: predict}, people, judged)
    sections = []
    if cohort.results.has_pages:
        sections = [_example(cohort, simple, predict, people, found.of(judged)["r"])]
    evaluation = write_scores(cohort, found, simple, judged, sections=sections)
    say(
        "r: predicted with measured maps; residual r: their deviations from the mean map, n/a for"
    )
    say(
        "models that predict one map for everybody or were fitted for each person on all others"
    )
    for row in evaluation["rows"]:
        residual = row["residual_r"][0] if row.get("residual_r") else "n/a"
        say(f"{row['model']}: r {row['r'][0]}, residual r {residual}")
    say(f"tables and matrices: {cohort.results.path}")
    return cohort.failed


def _example(
    cohort: Cohort,
    simple: SimpleModels,
    predict: Predict,
    people: tuple[Person, ...],
    r: pd.Series[float],
) -> Section:
    """Show three contrasts of the person whose r, mean over contrasts, is the median.

    `r` is of each person and contrast.
    """
    of_people = r.groupby(level="person").mean().sort_values()
    label = str(of_people.index[(len(of_people) - 1) // 2])
    person = next(person for person in people if person.label == label)
    group = simple.models[GROUP_AVERAGE](person)
    predicted, measured = predict(person), person.maps
    labels = [contrast.label for contrast in cohort.contrasts]
    figures = []
    for chosen in choose_labels(labels)[:_EXAMPLES]:
        row = labels.index(chosen)
        contrast = cohort.contrasts[row]
        maps = {
            "Measured": measured[row],
            "Predicted": predicted[row],
            "Group average": group[row],
        }
        title = contrast_in_words(contrast.task, contrast.name)
        name = f"{task_in_words(contrast.task)}: {title}".removeprefix(": ")
        maps = {key: np.asarray(values, np.float32) for key, values in maps.items()}
        places, units = cohort.bundle.places, cohort.bundle.card.part.units
        figures.append(draw_side_by_side(maps, places, title=name, units=units))
    facts = {
        "person": f"sub-{label}",
        "r": float(of_people[label]),
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
