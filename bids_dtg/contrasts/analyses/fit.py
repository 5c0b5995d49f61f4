"""Fit a model of any kind, re-centre it on other people, and write it as a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32, Mask
from bids_dtg.bundles.card import ModelCard, TrainingData, without_times
from bids_dtg.cohort.result_folder import BUNDLE
from bids_dtg.contrasts.analyses.cohort import CohortArrays, CohortFiles, CohortPlan
from bids_dtg.contrasts.analyses.training_set import record_people
from bids_dtg.contrasts.bundle.arrays import as_stored
from bids_dtg.contrasts.bundle.bundle import BundleArrays, ModelBundle, write_bundle
from bids_dtg.contrasts.bundle.part import (
    GAIN_DIGITS,
    LISTED_MAPS_FILE,
    MapsPart,
    Recentring,
)
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.half_width import LEAST_PEOPLE, LEVEL, HalfWidths, LeftOutErrors
from bids_dtg.contrasts.judging.scores import ceilings
from bids_dtg.contrasts.judging.tables import records
from bids_dtg.contrasts.people import (
    FitData,
    FittedModel,
    Person,
    mean_maps,
    mean_segments,
)
from bids_dtg.contrasts.plan import find_recipe
from bids_dtg.contrasts.recentring import recentre
from bids_dtg.notices import counted, say
from bids_dtg.stats.splits import Split


def check_fit(files: CohortFiles, split: Split) -> None:
    """Check, before any data are read, that the plan's kind can be fitted to these people.

    Raises
    ------
    DtgError
        It cannot, for example because they are too few.
    """
    plan, contrasts = files.plan, len(files.contrasts)
    incomplete = {
        label
        for label in (*split.training, *split.validation)
        if len(files.maps[label].target) != contrasts
    }
    plan.kind.require_people(len(split.training))
    plan.kind.check(
        plan.settings,
        len(split.training),
        len(split.validation),
        incomplete,
        plan.bundle.places,
    )


def fit_model(
    cohort: CohortArrays,
    split: Split,
    folder: Path,
    report: Callable[[str], None],
) -> FittedModel:
    """Fit the plan's kind, and re-centre it on the validation people if the kind needs them.

    Raises
    ------
    DtgError
        The people whose data could be read are too few, or cannot be used.
    """
    plan, kind = cohort.plan, cohort.plan.kind
    modelling = plan.settings.modelling
    training, validation = map(cohort.people_of, (split.training, split.validation))
    labels = cohort.files.contrast_labels
    kind.require_people(len(training))
    data = FitData(training, validation, plan.bundle.places)
    fitted = kind.module().fit(data, plan.settings, folder, report)
    record = {"recipe": modelling.recipe, "seed": modelling.seed, **fitted.record}
    fitted = replace(fitted, kind=kind.name, record=record)
    if fitted.correction is not None:
        individual = fitted.correction.gains.round(GAIN_DIGITS) > 0
    elif not kind.needs_validation:
        pairs = _predicted_and_measured(fitted, training)
        _, individual = recentre(pairs, mean_maps(training))
    else:
        return recentred(fitted, data, labels, modelling.recipe, report)
    return replace(fitted, same_for_all=_same_for_all(individual, labels, report))


def recentred(
    fitted: FittedModel,
    data: FitData,
    contrasts: Sequence[str],
    recipe: str,
    report: Callable[[str], None],
) -> FittedModel:
    """Estimate a model's error in the mean map, and its half-widths, from the validation people.

    Maps stay uncorrected if the recipe says so. Contrasts whose corrected maps are the same for
    everybody are reported.
    """
    validation, places = data.validation, data.places
    pairs = _predicted_and_measured(fitted, validation)
    correction, individual = recentre(pairs, mean_maps(data.training))
    if find_recipe(recipe).recentred:
        # As rounded in the card: a gain that is rounded to 0 is 0 in use.
        individual &= correction.gains.round(GAIN_DIGITS) > 0
        fitted = replace(fitted, correction=correction)
    fitted = replace(fitted, same_for_all=_same_for_all(individual, contrasts, report))
    if len(validation) < LEAST_PEOPLE:
        return fitted
    errors = LeftOutErrors(len(contrasts), places.lattice(places.block_edge))
    for predicted, measured in _predicted_and_measured(fitted, validation):
        errors.add(predicted, measured)
    half_widths = errors.half_widths(segments=mean_segments(validation))
    return replace(fitted, half_widths=half_widths)


def _predicted_and_measured(
    fitted: FittedModel, people: Sequence[Person]
) -> Iterator[tuple[Float32, Float32]]:
    """Yield each person's predicted and measured maps, (contrasts, voxels) each."""
    for person in people:
        yield fitted.predict(person), person.maps


def half_width_words(half_widths: HalfWidths | None, units: str) -> str:
    """Describe the width of a model's intervals and their people, or why there are none."""
    if half_widths is None:
        return f"no half-widths: they need {LEAST_PEOPLE} validation people"
    values = half_widths.at_places
    if np.isnan(values).all():
        return (
            "no half-widths: too few people have values at the same voxels or parcels"
        )
    people = counted(half_widths.people, "participant")
    role = "left out in turn" if half_widths.left_out_in_turn else "not in the fit"
    return (
        f"half-widths of {LEVEL} % intervals: median {np.nanmedian(values):.2f} {units}, "
        f"from {people} {role}"
    )


def _same_for_all(
    individual: Mask,
    contrasts: Sequence[str],
    report: Callable[[str], None],
) -> tuple[str, ...]:
    """Report and return the labels of contrasts whose maps do not differ between people."""
    same = tuple(
        label
        for label, differs in zip(contrasts, individual, strict=True)
        if not differs
    )
    if same:
        report(
            f"the same map for everybody in {len(same)} of {counted(individual, 'contrast')} "
            f"(no individual differences were found): {', '.join(same)}"
        )
    return same


def mean_prediction(
    people: Sequence[Person], predict: Callable[[Person], Float32]
) -> Float32:
    """Return the mean of the maps that a model predicts for people, (contrasts, voxels)."""
    first, *later = people
    total = predict(first).astype(np.float64)
    for person in later:
        total += predict(person)
    return (total / len(people)).astype(np.float32)


def write_fitted(
    cohort: CohortArrays,
    fitted: FittedModel,
    split: Split,
    evaluation: dict[str, Any] | None,
    *,
    contrasts: Sequence[Contrast] = (),
    earlier: ModelBundle | None = None,
) -> ModelBundle:
    """Write the bundle of a fitted model below the folder of its analysis.

    Parameters
    ----------
    cohort
        The people, with the model's masks and ROI maps.
    fitted, split, evaluation
        The model, its training and validation people, and its scores on others.
    contrasts
        Contrasts of the model; empty: those of the people's maps.
    earlier
        The model whose weights the training started from.
    """
    plan, base = cohort.plan, cohort.plan.bundle
    training = cohort.people_of(split.training)
    # Predict with the rounded gains of the bundle, as its users will.
    correction = as_stored(fitted.correction, base.part)
    rounded = replace(fitted, correction=correction)
    arrays = BundleArrays(
        fitted.tensors,
        base.roi_maps,
        base.brain,
        base.places,
        fitted.correction,
        mean_prediction(training, rounded.predict),
        base.combine,
        fitted.half_widths,
        fitted.asymmetry_widths,
        mapped=LISTED_MAPS_FILE in base.card.files,
    )
    part = _part_of(cohort, fitted, split, contrasts or cohort.files.contrasts)
    card = _card_of(cohort, fitted, part, len(training), evaluation, earlier)
    say(half_width_words(fitted.half_widths, part.units))
    people = record_people(cohort.files, asdict(split), earlier)
    return write_bundle(plan.results.add(f"{BUNDLE}/"), card, arrays, people)


def _part_of(
    cohort: CohortArrays,
    fitted: FittedModel,
    split: Split,
    contrasts: Sequence[Contrast],
) -> MapsPart:
    """Return what a card says of the maps of a fitted model."""
    training, statistic = cohort.people_of(split.training), cohort.files.statistic
    in_turn = fitted.left_out_in_turn
    recentring = Recentring(
        participants=len(training) if in_turn else len(split.validation),
        segments=mean_segments(cohort.people),
        left_out_in_turn=in_turn,
    )
    base = cohort.plan.bundle.part
    return replace(
        base,
        contrasts=tuple(contrasts),
        segment_seconds=_sample_seconds(base, training),
        statistic=statistic,
        units=statistic if statistic != "effect" else "arbitrary",
        recentring=None if fitted.correction is None else recentring,
        gains=None,  # as the half-widths, `write_bundle` gives those of the fit
        half_width=None,
        same_for_all=fitted.same_for_all,
    )


def _card_of(
    cohort: CohortArrays,
    fitted: FittedModel,
    part: MapsPart,
    training: int,
    evaluation: dict[str, Any] | None,
    earlier: ModelBundle | None,
) -> ModelCard[MapsPart]:
    """Return the card of a model that was fitted on a number of training people."""
    plan, request = cohort.plan, cohort.plan.request
    base = plan.bundle.card
    limits = records(ceilings(cohort.people, cohort.files.contrast_labels))
    people = counted(training, "participant")
    roi_maps_record = dict(base.record or {}) if plan.roi_sets else {}
    strategy = request.settings.cleaning.denoise_strategy
    return ModelCard(
        name=plan.name,
        version="1",
        kind=fitted.kind,
        part=part,
        description=f"Trained with bids_dtg on {people}; {plan.roi_maps_words}.",
        training=TrainingData(
            data=request.dataset.name,
            repetition_time_s=cohort.repetition_time_s,
            cleaning=f"{request.dataset.title}, {strategy}",
            participants=training,
        ),
        for_science=base.for_science and not request.dataset.notice,
        notice=_notice(plan, earlier),
        record=without_times({**fitted.record, **roi_maps_record}),
        evaluation=evaluation or ({"ceilings": limits} if limits else None),
    )


def _notice(plan: CohortPlan, earlier: ModelBundle | None) -> str:
    """Return the notice of a fitted model: that of its data, and of what it took from a model.

    A model that only gave masks or ROI maps was not trained on these people, and what its own
    notice says of training people is not true of them.
    """
    card, data_notice = plan.bundle.card, plan.request.dataset.notice
    if earlier is not None or card.for_science:
        return card.notice or data_notice
    words = plan.roi_maps_words
    maps_words = f"{words[:1].upper()}{words[1:]}"
    return (
        data_notice
        or f"{maps_words}. {card.name} is not for science, and so this model is not."
    )


def _sample_seconds(part: MapsPart, training: Sequence[Person]) -> float:
    """Return the seconds of rest per sample; if runs are joined, the training people's mean."""
    minutes = [person.minutes for person in training]
    if not part.joins_runs or not np.isfinite(minutes).all():
        return part.segment_seconds
    return round(
        60 * sum(minutes) / sum(len(person.connectomes) for person in training), 1
    )
