"""Fine-tune a trained network on other people, for its own contrasts or for new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.contrasts.analyses.cohort import CohortArrays, CohortPlan
from bids_dtg.contrasts.analyses.evaluation_page import write_evaluation
from bids_dtg.contrasts.analyses.finding import (
    find_cohort,
    find_people,
    print_plan,
    with_file_record,
)
from bids_dtg.contrasts.analyses.fit import (
    check_fit,
    mean_prediction,
    recentred,
    write_fitted,
)
from bids_dtg.contrasts.analyses.judge import score_fit
from bids_dtg.contrasts.analyses.measured import check_measured_maps
from bids_dtg.contrasts.analyses.reading import read_arrays
from bids_dtg.contrasts.analyses.splits import plan_split, sets_of, store_split
from bids_dtg.contrasts.analyses.training_set import leave_out_seen, say_unlisted
from bids_dtg.contrasts.bundle.kinds import tunable
from bids_dtg.contrasts.contrast import Contrast, rows_in_model
from bids_dtg.contrasts.judging.scores import BEFORE
from bids_dtg.contrasts.judging.tables import TRANSFER_COLUMNS, transfer_rows
from bids_dtg.contrasts.options import ContrastsOptions
from bids_dtg.contrasts.people import (
    FitData,
    FittedModel,
    MapModel,
    Person,
    predicted_maps,
)
from bids_dtg.contrasts.plan import CHECKPOINTS, find_recipe
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.errors import BundleError, SettingsError
from bids_dtg.notices import counted, say
from bids_dtg.report.page import Section
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import Split


def run_finetuning(settings: Settings) -> int:
    """Fine-tune `--model`, score it before and after, and write the tuned model.

    Every contrast that test people have is scored, tuned or not, because the publication asks
    whether tuning to one contrast also helps the others (figure 1d).

    Returns
    -------
    How many participants could not be used.

    Raises
    ------
    DtgError
        Options, data or paths cannot be used.

    Notes
    -----
    Schedules 1 (`known`) and 2 (`new`) of Serin et al. 2025.
    """
    recipe = find_recipe(settings.modelling.recipe)
    if settings.modelling.epochs is None:
        settings = settings.replace(epochs=recipe.tuning_epochs)
    plan = CohortPlan.prepare(settings)
    bundle = plan.bundle
    if not plan.kind.tunes:
        raise BundleError(
            f"--model {bundle.name} is of kind {plan.kind.name}",
            expected=f"{tunable()}, which can be fine-tuned",
        )
    plan.kind.require_packages()
    say_unlisted(bundle)
    schedule = settings.part(ContrastsOptions).schedule
    contrasts = None if schedule == "new" else bundle.contrasts
    to_learn = find_people(plan, contrasts)
    if schedule == "known" and len(to_learn.contrasts) != 1:
        number = counted(to_learn.contrasts, "contrast")
        raise SettingsError(
            f"--schedule known was given with {number} ({', '.join(to_learn.contrast_labels[:5])})",
            expected="one contrast, with --contrast",
        )
    files = find_cohort(plan, contrasts, everything=contrasts is not None)
    files = with_file_record(files)
    split = plan_split(files)
    learning = dataclasses.replace(
        split,
        training=tuple(label for label in split.training if label in to_learn.maps),
        validation=tuple(label for label in split.validation if label in to_learn.maps),
    )
    check_fit(to_learn, learning)
    if plan.is_dry:
        return print_plan(files, sets_of(split))
    rows = [*rows_in_model(to_learn.contrasts, files.contrasts).values()]
    with files.plan.results.writing() as locks:
        cohort = read_arrays(files.among(split.everybody), locks)
        return _finetune(check_measured_maps(cohort), rows)


def _finetune(cohort: CohortArrays, rows: Sequence[int]) -> int:
    """Tune to some rows of the people's maps, score all rows, and write the model."""
    plan, bundle = cohort.plan, cohort.plan.bundle
    split = store_split(cohort.files)
    seen = leave_out_seen(cohort.files, split.test)
    test = tuple(
        person.label
        for person in cohort.people_of(split.test)
        if person.label not in seen
    )
    training = _with_rows(cohort.people_of(split.training), rows)
    validation = _with_rows(cohort.people_of(split.validation), rows)
    contrasts = cohort.files.contrasts
    tuned = [contrasts[row] for row in rows]
    data = FitData(training, validation, bundle.places)
    fitted = _tune(plan, data, tuned)
    if plan.settings.part(ContrastsOptions).schedule != "new":
        tuned_rows = [*rows_in_model(tuned, bundle.contrasts).values()]
        fitted = _with_other_rows(plan, fitted, tuned_rows, [*training, *validation])
        contrasts = bundle.contrasts
    scores_of_card = None
    if test:
        split_of_scores = dataclasses.replace(split, test=test)
        scores_of_card = _score(cohort, fitted, tuned, split_of_scores)
    else:
        say("the model is not scored, because there are no test participants")
    model = write_fitted(
        cohort, fitted, split, scores_of_card, contrasts=contrasts, earlier=bundle
    )
    say(f"{model.title}: {model.path}")
    return cohort.files.failed


def _with_rows(people: Sequence[Person], rows: Sequence[int]) -> list[Person]:
    """Return the people who have maps of some rows, with only these rows."""
    index: slice | list[int] = list(rows)
    # Indexing by a slice leaves the maps on disk.
    first, last = rows[0], rows[-1] + 1
    if index == list(range(first, last)):
        index = slice(first, last)
    with_rows = []
    for person in people:
        sessions = tuple(maps[index] for maps in person.sessions)
        if np.isfinite(sessions[0]).any():
            with_rows.append(dataclasses.replace(person, sessions=sessions))
    return with_rows


def _tune(plan: CohortPlan, data: FitData, tuned: Sequence[Contrast]) -> FittedModel:
    """Fine-tune to contrasts, with their own rows of the output layer or with new rows."""
    bundle, modelling = plan.bundle, plan.settings.modelling
    module: Any = plan.kind.module()
    schedule = plan.settings.part(ContrastsOptions).schedule
    state = bundle.network().state_dict()
    if schedule == "new":
        weights = module.with_new_outputs(state, len(tuned), modelling.seed)
    else:
        rows = [*rows_in_model(tuned, bundle.contrasts).values()]
        weights = module.with_rows(state, rows)
    frozen = (module.OUTPUT,) if schedule == "known" else ()
    plan.results.add(f"{CHECKPOINTS}/")
    folder = plan.results.path
    fitted: FittedModel = module.fit(data, plan.settings, folder, say, weights, frozen)
    facts = {"schedule": schedule, "from": bundle.identity}
    record = {**facts, **fitted.record}
    fitted = dataclasses.replace(fitted, kind=plan.kind.name, record=record)
    labels = [contrast.label for contrast in tuned]
    return recentred(fitted, data, labels, modelling.recipe, say)


def _with_other_rows(
    plan: CohortPlan,
    fitted: FittedModel,
    tuned_rows: list[int],
    people: Sequence[Person],
) -> FittedModel:
    """Return the tuned network with all contrasts of the old one.

    `tuned_rows` are the rows of the tuned contrasts in the old model. The other contrasts keep the
    old rows of the output layer. Tuning the other layers shifts their mean maps, so these are
    corrected to the means that the old model predicts for the people it was tuned on. If neither
    the recipe nor the old model re-centres, maps are not corrected.
    """
    bundle = plan.bundle
    module: Any = plan.kind.module()
    old_tensors = module.read(bundle.weights(), bundle.places).arrays
    tensors = module.with_outputs_of(fitted.tensors, old_tensors, tuned_rows)
    model: MapModel = module.of_tensors(tensors, bundle.places, str(bundle.path))
    correction = None
    if fitted.correction is not None or bundle.correction is not None:
        correction = _joined_correction(plan, fitted, model, tuned_rows, people)
    widths = fitted.half_widths
    if widths is not None:
        shape = (len(bundle.contrasts), *widths.lattice.shape)
        values = np.zeros(shape, np.float32)
        values[tuned_rows] = widths.values
        widths = dataclasses.replace(widths, values=values)
    tuned_labels = {bundle.contrasts[row].label for row in tuned_rows}
    same = [label for label in bundle.part.not_individual if label not in tuned_labels]
    return dataclasses.replace(
        fitted,
        tensors=tensors,
        model=model,
        correction=correction,
        half_widths=widths,
        same_for_all=(*same, *fitted.same_for_all),
    )


def _joined_correction(
    plan: CohortPlan,
    fitted: FittedModel,
    model: MapModel,
    tuned_rows: list[int],
    people: Sequence[Person],
) -> Correction:
    """Return the tuned contrasts' correction, and one of the others to their old mean maps."""
    bundle, tuned = plan.bundle, fitted.correction
    number = counted(people, "participant")
    say(f"mean maps of {number} before and after tuning")
    gains = np.ones(len(bundle.contrasts), np.float32)
    if bundle.correction is not None:
        gains = bundle.correction.gains.copy()
    old_model = plan.model
    before = mean_prediction(
        people, lambda person: predicted_maps(old_model.predict, person)
    )
    after = mean_prediction(
        people, lambda person: predicted_maps(model.predict, person)
    )
    gains[tuned_rows] = 1.0 if tuned is None else tuned.gains
    offset = before - gains[:, None] * after
    offset[tuned_rows] = 0.0 if tuned is None else tuned.offset
    return Correction(gains, offset)


def _score(
    cohort: CohortArrays,
    fitted: FittedModel,
    tuned: Sequence[Contrast],
    split: Split,
) -> dict[str, Any]:
    """Score every contrast before and after tuning, compare with simple models, and write all.

    Returns
    -------
    The scores for the bundle's card.
    """
    plan, old_model = cohort.plan, cohort.plan.model
    old_rows = rows_in_model(cohort.files.contrasts, plan.bundle.contrasts)
    rows = list(old_rows.values())
    if plan.settings.part(ContrastsOptions).schedule == "new":
        rows = list(range(len(tuned)))

    def before(person: Person) -> Float32:
        maps = np.full(person.maps.shape, np.nan, np.float32)
        predicted = predicted_maps(old_model.predict, person)
        maps[list(old_rows)] = predicted[list(old_rows.values())]
        return maps

    scores, simple = score_fit(
        cohort,
        fitted,
        split,
        name="tuned",
        before={BEFORE: before} if old_rows else {},
        rows=rows,
    )
    labels = {contrast.label for contrast in tuned}
    table = ResultTable(
        TRANSFER_COLUMNS,
        transfer_rows(scores, "tuned", labels),
        "Scores before and after tuning: one row per contrast",
    )
    plan.results.table("desc-transfer_scores", table)
    section = Section(
        "Before and after",
        template="contrasts/judged_transfer.html",
        tables=[table.on_page("r before and after tuning, by contrast")],
    )
    evaluation = write_evaluation(
        cohort,
        scores,
        simple,
        "tuned",
        record=fitted.record,
        sections=lambda: [section],
    )
    return evaluation.for_card()
