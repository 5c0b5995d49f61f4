"""Train a model on people's rest and maps, score it on others, and write it as a bundle."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.bundles.card import ModelCard, TrainingData, without_times
from bids_dtg.cohort.basis import BUNDLE
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.cohort.seen_people import EXCLUDED, left_out_table, seen_on_page
from bids_dtg.contrasts.analyses.analysis import Analysis
from bids_dtg.contrasts.analyses.baselines import (
    GROUP_AVERAGE,
    LINEAR,
    SimpleModels,
    SimplePlan,
)
from bids_dtg.contrasts.analyses.cohort import Cohort
from bids_dtg.contrasts.analyses.cohort_plan import CohortPlan
from bids_dtg.contrasts.analyses.fit import (
    check_fit,
    fit_model,
    half_width_words,
    mean_prediction,
    mean_segments,
)
from bids_dtg.contrasts.analyses.folds import Folds, draw_folds, judge_folds
from bids_dtg.contrasts.analyses.measured import QUALITY_TABLE, TARGETS_TABLE
from bids_dtg.contrasts.analyses.page import ModelPageFacts, write_model_page
from bids_dtg.contrasts.analyses.score import (
    PUBLISHED_OPPONENTS,
    RETEST,
    SIMPLE,
    score_fit,
)
from bids_dtg.contrasts.analyses.score_columns import (
    CONTRAST_COLUMNS,
    MODEL_COLUMNS,
    PART_COLUMNS,
    PERSON_COLUMNS,
    TEST_COLUMNS,
)
from bids_dtg.contrasts.analyses.splits import draw_split, keep_split, plan_split, sets_of
from bids_dtg.contrasts.analyses.tissues import tissues_of
from bids_dtg.contrasts.analyses.training_set import record_people
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import LINEAR as LINEAR_KIND
from bids_dtg.contrasts.bundle.kinds import MapsKind, find_kind
from bids_dtg.contrasts.bundle.part import MapsPart, Recentring
from bids_dtg.contrasts.bundle.writer import BundleArrays, as_kept, write_bundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.fitted import FittedModel
from bids_dtg.contrasts.judging.ceilings import Ceilings
from bids_dtg.contrasts.judging.model_scores import ModelScores, mean_over
from bids_dtg.contrasts.judging.model_table import (
    ALL_PLACES,
    CONVENTIONS,
    DEFINITIONS,
    WITHIN_GROUPS,
    ceiling_row,
    comparison_rows,
    contrast_rows,
    predictability_rows,
    published_tests,
    summary_row,
    tissue_rows,
)
from bids_dtg.contrasts.judging.person_rows import half_rows, person_rows
from bids_dtg.contrasts.people import Person
from bids_dtg.contrasts.plan import hinge_weight
from bids_dtg.notices import counted, say
from bids_dtg.report.pages.index import INDEX, MODEL_PAGE
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import DRAWN, Split


def run_training(settings: Settings) -> int:
    """Train, score and write a model; return how many participants could not be used.

    Raises
    ------
    DtgError
        Wrong options, data or places.
    """
    kind = find_kind(settings.modelling.architecture or LINEAR_KIND.name)
    kind.require_recipe(settings.modelling.recipe)
    hinge_weight(settings.modelling.recipe, settings.modelling.alpha)
    if kind.is_network:
        kind.module().require_packages()
    analysis = Analysis.prepare(settings, kind=kind)
    plan = analysis.plan(None)
    analysis = analysis.of_data(plan)
    planned = plan_split(analysis, plan, needs_validation=kind.needs_validation)
    check_fit(kind, analysis, plan, planned)
    if analysis.is_dry:
        folds = draw_folds(analysis, planned, kind)
        judging = (
            {f"judge by, in {folds.words} left out in turn": planned.training} if folds else {}
        )
        return analysis.print_plan(plan, {**sets_of(planned), **judging})
    with analysis.begun() as locks:
        if analysis.source.learns_maps:
            # People whose rest made these maps must not be drawn into the test set later.
            keep_split(analysis.results, planned)
            analysis = analysis.with_maps_of(planned.training)
        plan = plan.of(planned.everybody)
        return _train(analysis, kind, plan, analysis.cohort(plan, locks))


def _train(analysis: Analysis, kind: MapsKind, plan: CohortPlan, cohort: Cohort) -> int:
    analysis = analysis.knowing(cohort)
    split = draw_split(analysis, cohort.labels, needs_validation=kind.needs_validation)
    keep_split(analysis.results, split)
    training, validation, test = (getattr(split, name) for name in DRAWN)
    say(f"{len(training)} to train, {len(validation)} to validate, {len(test)} to test")
    folds = draw_folds(analysis, split, kind)

    def fit_others(
        of_fold: Analysis, people: Cohort, labels: Sequence[str], folder: Path
    ) -> tuple[FittedModel, Cohort]:
        others = Split(tuple(labels), (), ())
        made = fit_model(kind, of_fold, people, others, folder=folder, report=lambda line: None)
        return made, people

    folder = analysis.folder_of_fit()
    fitted = fit_model(kind, analysis, cohort, split, folder=folder, report=say)
    if folds is not None:
        fitted = dataclasses.replace(fitted, record={**fitted.record, **folds.to_json()})
    evaluation: dict[str, Any] | None
    if folds is not None:
        say(f"cross-validation: {folds.words} are left out in turn")
        found, simple = judge_folds(analysis, folds, plan, cohort, fit_others)
        evaluation = write_tables(
            analysis, found, cohort, simple=simple, judged="model", fitted=fitted, folds=folds
        )
    else:
        evaluation = score_fitted(
            analysis,
            fitted,
            cohort,
            training=cohort.of(training),
            test=cohort.of(test),
        )
    bundle = write_fitted(
        analysis,
        fitted,
        cohort,
        contrasts=cohort.contrasts,
        split=split,
        evaluation=evaluation,
    )
    say(f"{bundle.card.name} {bundle.card.version} ({fitted.kind}): {bundle.path}")
    analysis.store.discard("work")
    return cohort.failed


def score_fitted(
    analysis: Analysis,
    fitted: FittedModel,
    cohort: Cohort,
    *,
    training: Sequence[Person],
    test: Sequence[Person],
) -> dict[str, Any] | None:
    """Score a model and simple ones on the test people; None if there are none."""
    if not test:
        say(
            f"no test participants: the model of {counted(len(training), 'participant')} is not "
            "scored, so its accuracy is unknown"
        )
        return None
    plan, tissues = SimplePlan.of(analysis), tissues_of(analysis.bundle.places)
    found, simple = score_fit(plan, fitted, training, test, tissues=tissues, report=say)
    return write_tables(analysis, found, cohort, simple=simple, judged="model", fitted=fitted)


def write_tables(
    analysis: Analysis,
    found: Sequence[ModelScores],
    cohort: Cohort,
    *,
    simple: SimpleModels,
    judged: str,
    fitted: FittedModel | None = None,
    folds: Folds | None = None,
) -> dict[str, Any]:
    """Write scores, tests, matrices and the page; return what the bundle's card keeps of them.

    `simple` are the simple models for comparison, `judged` is the name of the evaluated model,
    `fitted` is that model if this call has fitted it, and `folds` are the groups of people if
    cross-validation judges.
    """
    labels = [contrast.label for contrast in cohort.contrasts]
    people = found[0].measured.shape[1]
    by_name = {
        scores.name: dataclasses.replace(scores, name=simple.linear)
        if scores.name == LINEAR
        else scores
        for scores in found
    }
    found = tuple(by_name.values())
    model, group, retest = by_name[judged], by_name[GROUP_AVERAGE], by_name.get(RETEST)
    rows = [summary_row(scores, group, retest) for scores in found]
    if retest is not None:
        rows.append(ceiling_row(retest))
    ceilings = _ceilings(analysis, cohort)
    whole = ceilings.get(ALL_PLACES)
    of_people = _people_tables(cohort, (model, group), ceilings)
    facts = {"participants": people, "conventions": CONVENTIONS, "against": GROUP_AVERAGE}
    facts["simple_models"] = simple.record
    same = [label for label, alike in zip(labels, model.same_for_all, strict=True) if alike]
    facts["same_for_all"] = same
    facts |= folds.to_json() if folds else {}
    compared = comparison_rows(model, [by_name[name] for name in SIMPLE if name in by_name])
    opponents = [by_name[name] for name in PUBLISHED_OPPONENTS if name in by_name]
    analysis.write_scores(
        {
            "models": ResultTable(MODEL_COLUMNS, rows, "Scores: a row a model"),
            "contrasts": ResultTable(
                CONTRAST_COLUMNS,
                contrast_rows(found, group, labels, whole),
                "Scores: a row a contrast and model",
            ),
            "tests": ResultTable(
                TEST_COLUMNS,
                published_tests(model, opponents, labels),
                "The published tests: a row a contrast, score and opponent",
            ),
            **of_people,
        },
        {**facts, "fitted_on": simple.people, "model": judged, "comparisons": compared},
    )
    means = {}
    for scores in found:
        shapes = {matrix.shape for matrix in scores.matrices.values()}
        # Of people with all contrasts.
        if len(scores.matrices) == len(labels) and shapes == {(people, people)}:
            stacked = np.stack([scores.matrices[q] for q in range(len(labels))])
            name = "".join(letter for letter in scores.name.title() if letter.isalnum())
            analysis.store.write(f"matrices/{name}", stacked, {"model": scores.name})
            means[scores.name] = mean_over(stacked, axis=0)
    fitted_on = counted(simple.people, "participant")
    basis = simple.words or f"Simple models were fitted on {fitted_on}."
    who = "test participant" if folds is None else "participant"
    if folds is not None:
        basis = f"{folds.lead} Simple models were fitted like the model."
    elif fitted is not None:
        basis = f"The model and simple models were fitted on {fitted_on}."
    if fitted is not None:
        basis += f" {fitted.words}" if fitted.words else ""
    if cohort.left_out:
        hide = analysis.results.path_names.hide
        left_out = {label: hide(reason) for label, reason in cohort.left_out.items()}
        analysis.results.table(EXCLUDED, left_out_table(left_out))
    basis += seen_on_page(cohort.left_out)
    page = ModelPageFacts(
        title=analysis.results.title,
        index=f"../../{INDEX}",
        lead=f"{counted(people, who)} of {analysis.source.dataset.name}, "
        f"{counted(len(labels), 'contrast')}. {cohort.sessions} {basis} "
        f"The model reads {analysis.form.row.words}. "
        "Another person's prediction decides whether the model is individual, its own mean "
        "prediction whether it is worth using.",
        definitions={**DEFINITIONS, **(WITHIN_GROUPS if folds else {})},
        rows=rows,
        contrasts=labels,
        r={scores.name: mean_over(scores.scores["r"], axis=1) for scores in found},
        matrices=means,
        judged=judged,
        comparisons=compared,
        fitted_on=simple.people,
        history=({} if fitted is None else fitted.record).get("network", {}).get("history", ()),
        measured=cohort.measured,
        tables=(TARGETS_TABLE, QUALITY_TABLE),
        same_for_all=same,
        ceilings=whole,
        parts=of_people["parts"].rows,
    )
    analysis.results.write_page(MODEL_PAGE, partial(write_model_page, facts=page))
    analysis.store.discard("work")
    by_contrast = predictability_rows(model, labels)
    scored = {**facts, "rows": rows, "comparisons": compared, "contrasts": by_contrast}
    return scored | _kept_ceilings(whole, labels)


def _ceilings(analysis: Analysis, cohort: Cohort) -> dict[str, Ceilings]:
    """Return the ceilings of all places and of tissues, of everybody who was measured twice."""
    found = {ALL_PLACES: Ceilings.of(cohort.people)}
    if found[ALL_PLACES] is not None:
        for tissue, here in tissues_of(analysis.bundle.places).items():
            found[tissue] = Ceilings.of(cohort.people, here)
    return {part: ceilings for part, ceilings in found.items() if ceilings is not None}


def _people_tables(
    cohort: Cohort,
    scores: tuple[ModelScores, ModelScores],
    ceilings: Mapping[str, Ceilings],
) -> dict[str, ResultTable]:
    """Return tables of people, and of tissues and halves of people.

    `scores` are those of the evaluated model and of the group average.
    """
    model, group = scores
    people = person_rows(model, group, cohort.of(model.labels))
    parts = [*tissue_rows(model, group, ceilings), *half_rows(people)]
    return {
        "people": ResultTable(PERSON_COLUMNS, people, "Scores: a row a participant"),
        "parts": ResultTable(
            PART_COLUMNS, parts, "Scores of the model by tissue, and of halves of participants"
        ),
    }


def _kept_ceilings(ceilings: Ceilings | None, labels: Sequence[str]) -> dict[str, Any]:
    """Return the ceilings as a card's evaluation keeps them; nothing where none are known."""
    return {} if ceilings is None else {"ceilings": ceilings.rows(labels)}


def write_fitted(
    analysis: Analysis,
    fitted: FittedModel,
    cohort: Cohort,
    *,
    contrasts: Sequence[Contrast],
    split: Split,
    evaluation: dict[str, Any] | None,
    earlier: ModelBundle | None = None,
) -> ModelBundle:
    """Write the bundle of a fitted model below the analysis' folder.

    `cohort` has connectomes as the model reads them, `split` holds its sets of people, and
    `earlier` is the model whose weights the training started from.
    """
    base, training = analysis.bundle, cohort.of(split.training)
    in_turn, labels = fitted.left_out_in_turn, [contrast.label for contrast in cohort.contrasts]
    recentring = Recentring(
        participants=len(training) if in_turn else len(split.validation),
        segments=mean_segments(cohort.people),
        left_out_in_turn=in_turn,
    )
    card = ModelCard(
        name=analysis.name,
        version="1",
        kind=fitted.kind,
        part=MapsPart(
            contrasts=tuple(contrasts),
            grid=base.card.part.grid,
            places=base.card.part.places,
            parcels=base.card.part.parcels,
            segment_seconds=_sample_seconds(base.card.part, training),
            sample=base.card.part.sample,
            statistic=cohort.statistic,
            units=cohort.statistic if cohort.statistic != "effect" else "arbitrary",
            recentring=None if fitted.correction is None else recentring,
            same_for_all=fitted.same_for_all,
            connectome=analysis.form,
        ),
        description=f"Trained with bids_dtg on {counted(len(training), 'participant')}; "
        f"{analysis.source.maps_words}.",
        training=TrainingData(
            data=analysis.source.dataset.name,
            repetition_time_s=cohort.repetition_time_s,
            cleaning=analysis.source.cleaning,
            participants=len(training),
        ),
        for_science=base.card.for_science,
        notice=base.card.notice,
        record=without_times({**fitted.record, **analysis.source.record}),
        evaluation=evaluation or _kept_ceilings(Ceilings.of(cohort.people), labels) or None,
    )
    # As users of the bundle will predict.
    kept = dataclasses.replace(fitted, correction=as_kept(fitted.correction))
    arrays = BundleArrays(
        fitted.tensors,
        base.roi_maps,
        base.brain,
        base.places,
        fitted.correction,
        mean_prediction(training, kept.predict),
        base.combine,
        fitted.half_widths,
    )
    say(half_width_words(fitted.half_widths, card.part.units))
    people = record_people(analysis.source, dataclasses.asdict(split), earlier)
    return write_bundle(analysis.results.add(f"{BUNDLE}/"), card, arrays, people)


def _sample_seconds(part: MapsPart, training: Sequence[Person]) -> float:
    """Return the length of rest in one sample: of joined runs, the training people's mean."""
    minutes = [person.minutes for person in training]
    if not part.of_sessions or not np.isfinite(minutes).all():
        return part.segment_seconds
    return round(60 * sum(minutes) / sum(len(person.connectomes) for person in training), 1)
