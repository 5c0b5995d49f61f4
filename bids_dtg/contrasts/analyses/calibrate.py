"""Calibrate a model's prediction intervals on people outside its training set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.basis import BUNDLE
from bids_dtg.contrasts.analyses.analysis import Analysis
from bids_dtg.contrasts.analyses.cohort import Cohort
from bids_dtg.contrasts.analyses.cohort_plan import CohortPlan
from bids_dtg.contrasts.analyses.fit import learn_distribution, sums_over
from bids_dtg.contrasts.analyses.map_errors import MapErrors
from bids_dtg.contrasts.analyses.splits import say_families
from bids_dtg.contrasts.analyses.training_set import (
    leave_out_seen,
    record_people,
    why_left_out,
)
from bids_dtg.contrasts.bundle.writer import extend_bundle
from bids_dtg.contrasts.people import Person, maps_by_segments
from bids_dtg.errors import DatasetError
from bids_dtg.imaging.atlas import Atlas, choose_atlases
from bids_dtg.inputs.regions.atlases import atlas_datasets
from bids_dtg.inputs.splits_file import read_sets
from bids_dtg.inputs.statmaps import plain_contrast
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.notices import counted, named, say
from bids_dtg.settings import Settings
from bids_dtg.stats.conformal import DEFAULT_LEVEL, LEAST_PEOPLE, Calibration, coverage
from bids_dtg.stats.deviation import Deviation, UsualShare
from bids_dtg.stats.parcel_intervals import ParcelIntervals, parcel_errors
from bids_dtg.stats.splits import SETS
from bids_dtg.stats.true_maps import LEAST_RETEST

Array = NDArray[np.float32]
_OWN = "calibration"  # whose mean and spread a model has that had none


def run_calibration(settings: Settings) -> int:
    """Write a copy of `--model` with intervals; return how many participants could not be used.

    With `--split-file`, its calibration set is used, or its test set where it has none; otherwise
    everybody. People in a training or validation set of the model, or of a model that it was made
    from, are left out.

    Raises
    ------
    DtgError
        Wrong options, data or places.
    """
    analysis = Analysis.prepare(settings, repeatable=False)
    bundle = analysis.bundle
    plan = analysis.plan(bundle.contrasts)
    if plan.statistic != bundle.card.part.statistic:
        raise DatasetError(
            f"measured maps are {plan.statistic}, and the model predicts "
            f"{bundle.card.part.statistic}",
            expected="the same statistic: intervals are in its unit",
        )
    labels, atlases = _labels(analysis, plan), _atlases(analysis)
    if analysis.is_dry:
        return analysis.print_plan(plan, {"calibrate": labels})
    with analysis.begun() as locks:
        plan = plan.of(labels)
        cohort = analysis.read(plan, locks)
        analysis = analysis.knowing(cohort)
        cohort = cohort.without(leave_out_seen(analysis, cohort.labels))
        _require_enough(cohort.people)
        return _calibrate(analysis, analysis.with_measured(plan, cohort), atlases)


def _calibrate(analysis: Analysis, cohort: Cohort, atlases: Sequence[Atlas]) -> int:
    bundle = analysis.bundle
    people = cohort.people
    labels = [contrast.label for contrast in cohort.contrasts]
    errors, deviation = _errors(analysis, people, labels)
    calibration = errors.calibration(analysis.source.cleaning)
    widths = calibration.half_widths(DEFAULT_LEVEL)
    if np.isnan(widths).all():
        raise DatasetError(
            f"no contrast was measured in {LEAST_PEOPLE} of {counted(len(people), 'participant')}",
            expected=f"{LEAST_PEOPLE} or more who were measured at the same places",
        )
    held = np.nanmean([coverage(own, widths) for own in errors.first])
    least = analysis.settings.outputs.min_coverage
    of_parcels = _parcel_intervals(errors, atlases, calibration.segments, least)
    analysis.store.discard("work")
    used = {"calibration": [person.label for person in people]}
    made = extend_bundle(
        bundle,
        analysis.results.add(f"{BUNDLE}/"),
        calibration=calibration,
        parcel_intervals=of_parcels,
        # The training distribution of the model is kept.
        training_distribution=learn_distribution(people, bundle)
        if bundle.training_distribution is None
        else None,
        people=record_people(analysis.source, used, earlier=bundle),
        deviation=deviation,
    )
    say(
        f"{len(people)} people: intervals of {DEFAULT_LEVEL} % hold {100 * held:.1f} % of "
        f"their own voxels; median half-width {np.nanmedian(widths):.2f} {bundle.card.part.units}"
    )
    say(_true_words(calibration, errors.retest))
    for key, intervals in of_parcels.items():
        say(_parcel_words(key, intervals, bundle.card.part.units))
    if words := _without_interval(calibration, [contrast.label for contrast in bundle.contrasts]):
        say(words)
    say(f"{made.card.name} {made.card.version} with intervals: {made.path}")
    return cohort.failed


def _labels(analysis: Analysis, plan: CohortPlan) -> tuple[str, ...]:
    """Choose the people to calibrate on, all of them outside the training set."""
    split_file, labels = analysis.settings.modelling.split_file, plan.labels
    if split_file is not None:
        sets = read_sets(split_file, SETS, labels)
        name = "calibration" if sets["calibration"] else "test"
        say(f"calibrated on the {name} set of {split_file}")
        labels = tuple(label for label in labels if label in sets[name])
    say_families(analysis, labels)
    seen = why_left_out(analysis, labels)
    labels = tuple(label for label in labels if label not in seen)
    _require_enough(labels)
    return labels


def _atlases(analysis: Analysis) -> tuple[Atlas, ...]:
    """Return the atlases whose parcels get intervals; skip the default one if it does not fit."""
    bundle, settings = analysis.bundle, analysis.settings
    if bundle.card.part.grid is None:
        return ()
    return choose_atlases(
        settings.outputs.atlases,
        bundle.voxels,
        templateflow=TemplateFlow.here(download=settings.inputs.templateflow_download),
        datasets=atlas_datasets(settings.inputs.derivatives),
    )


def _require_enough(people: Sequence[object]) -> None:
    if len(people) < LEAST_PEOPLE:
        raise DatasetError(
            f"only {counted(len(people), 'participant')} outside the model's training and "
            "validation sets: too few for intervals",
            expected=f"{LEAST_PEOPLE} or more",
        )


def _errors(
    analysis: Analysis, people: tuple[Person, ...], labels: Sequence[str]
) -> tuple[MapErrors, Deviation]:
    """Return measured minus predicted maps, and what the predicted ones have in common.

    Rows are the model's contrasts; `labels` are the people's. Mean and spread are the bundle's,
    where it has them.
    """
    bundle, contrasts = analysis.bundle, analysis.bundle.contrasts
    rows = {plain_contrast(contrast.label): contrast.index for contrast in contrasts}
    chosen = [rows[plain_contrast(label)] for label in labels]
    errors = MapErrors(analysis.store, people, len(contrasts), bundle.places)
    # Kept where each person is compared with the others, once all are known.
    maps: Array | None = None
    if bundle.deviation is None:
        maps = analysis.store.create("work/predicted", errors.first.shape, np.float32)
    sums, shares = sums_over(bundle.places), list[float]()
    for number, person in enumerate(people):
        predicted = errors.add(number, chosen, maps_by_segments(analysis.model, person))
        if bundle.deviation is not None:
            shares.append(errors.compare(number, bundle.deviation, predicted))
        if maps is not None:
            maps[number] = predicted
            sums.add(predicted)
        say(f"{number + 1}/{len(people)} sub-{person.label}: maps predicted")
    deviation, segments = bundle.deviation, errors.segments
    if deviation is None:
        assert maps is not None
        deviation = sums.deviation(segments=segments, of=_OWN)
        for number, own in enumerate(maps):
            others = sums.without(own).deviation(segments=segments, of=_OWN)
            shares.append(errors.compare(number, others, own))
    return errors, replace(deviation, usual=UsualShare.of(shares))


def _parcel_intervals(
    errors: MapErrors, atlases: Sequence[Atlas], segments: int, least: float
) -> dict[str, ParcelIntervals]:
    """Learn half-widths of the intervals around parcel means, by atlas.

    Parcels whose measured share is below `least` are left out.
    """
    return {
        atlas.key: ParcelIntervals.fit(
            parcel_errors(errors.first, atlas, least),
            segments,
            atlas.digest,
            retest=None if errors.second is None else parcel_errors(errors.second, atlas, least),
        )
        for atlas in atlases
    }


def _true_words(calibration: Calibration, retest: int) -> str:
    """Say how wide intervals for true maps are, or why there are none."""
    widths = calibration.true_half_widths(DEFAULT_LEVEL)
    if calibration.true_error is None or widths is None:
        return (
            f"no half-widths for true maps: {counted(retest, 'participant')} had a second session "
            f"of the task (at least {LEAST_RETEST})"
        )
    return (
        f"{calibration.true_error.people} with a second session: median half-width for the "
        f"person's true map {np.nanmedian(widths):.2f}"
    )


def _parcel_words(key: str, intervals: ParcelIntervals, units: str) -> str:
    widths, without = intervals.half_widths(DEFAULT_LEVEL), intervals.without_interval
    if without.all():
        return f"{key}: no intervals, as no parcel was measured in {LEAST_PEOPLE} people"
    some = f", none for {100 * without.mean():.1f} % of parcels and contrasts"
    return (
        f"{key}: means over parcels have a median half-width of {np.nanmedian(widths):.2f} {units}"
        f"{some if without.any() else ''}"
    )


def _without_interval(calibration: Calibration, labels: Sequence[str]) -> str | None:
    """Describe where there are no intervals; None if there are intervals everywhere."""
    shares = calibration.without_interval.mean(axis=1)
    if not shares.any():
        return None
    none = [label for label, share in zip(labels, shares, strict=True) if share == 1]
    whole = f"; none at all: {named(none)}" if none else ""
    return (
        f"no interval for {100 * shares.mean():.1f} % of voxels and contrasts, where fewer than "
        f"{LEAST_PEOPLE} people were measured{whole}"
    )
