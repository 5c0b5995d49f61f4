"""Train a model on people's rest and maps, score it on others, and write it as a bundle."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from bids_dtg.bundles.card import ModelCard, TrainingData, without_times
from bids_dtg.cohort.basis import BUNDLE
from bids_dtg.contrasts.analyses.cohort import WORK, Cohort, names_model
from bids_dtg.contrasts.analyses.fit import (
    check_fit,
    fit_model,
    half_width_words,
    mean_prediction,
)
from bids_dtg.contrasts.analyses.folds import draw_folds, groups_in_words, judge_folds
from bids_dtg.contrasts.analyses.judge import score_fit, write_scores
from bids_dtg.contrasts.analyses.measured import with_measured
from bids_dtg.contrasts.analyses.reading import read, reduced, with_maps_of
from bids_dtg.contrasts.analyses.roi_maps import maps_in_words, sets_that_fit
from bids_dtg.contrasts.analyses.splits import kept_split, plan_split, sets_of
from bids_dtg.contrasts.analyses.training_set import record_people
from bids_dtg.contrasts.bundle.arrays import as_kept
from bids_dtg.contrasts.bundle.bundle import BundleArrays, ModelBundle, write_bundle
from bids_dtg.contrasts.bundle.kinds import LINEAR as LINEAR_KIND
from bids_dtg.contrasts.bundle.kinds import MapsKind, find_kind
from bids_dtg.contrasts.bundle.part import MapsPart, Recentring
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.judging.scores import ceilings
from bids_dtg.contrasts.judging.tables import records
from bids_dtg.contrasts.people import FittedModel, Person, mean_segments
from bids_dtg.contrasts.plan import CHECKPOINTS
from bids_dtg.files.locks import Locks
from bids_dtg.notices import counted, duration, say
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import DRAWN, Split

FEW = 10  # training people: the rest of fewer makes poor ROI maps
_TIMES_AS_LONG = 2  # as to reduce everybody's rest takes one fit, with its ROI maps and connectomes


def run_training(settings: Settings) -> int:
    """Train, score and write a model; return how many participants could not be used.

    Raises
    ------
    DtgError
        Wrong options, data or places.
    """
    kind = find_kind(settings.modelling.architecture or LINEAR_KIND.name)
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
    fitted = fit_model(kind, cohort, split, folder=cohort.results.path, report=say)
    groups, evaluation = draw_folds(cohort, split, kind), None
    if groups:
        say(f"cross-validation: {groups_in_words(groups)} are left out in turn")
        sizes = [len(group) for group in groups]
        drawn = {"groups": sizes, "seed": cohort.settings.modelling.seed, "families": "together"}
        fitted = dataclasses.replace(fitted, record={**fitted.record, "cross_validation": drawn})
        found, simple = judge_folds(cohort, groups, kind)
    elif test:
        found, simple = score_fit(cohort, fitted, cohort.of(training), cohort.of(test))
    else:
        say(
            f"no test participants: the model of {counted(len(training), 'participant')} is not "
            "scored, so its accuracy is unknown"
        )
    if groups or test:
        simple = dataclasses.replace(simple, words=f"{simple.words} {fitted.words}".strip())
        evaluation = write_scores(cohort, found, simple, "model", record=fitted.record)
    bundle = write_fitted(
        cohort, fitted, contrasts=cohort.contrasts, split=split, evaluation=evaluation
    )
    say(f"{bundle.card.name} {bundle.card.version} ({fitted.kind}): {bundle.path}")
    for work in ("work", WORK):
        cohort.store.discard(work)
    return cohort.failed


def write_fitted(
    cohort: Cohort,
    fitted: FittedModel,
    *,
    contrasts: Sequence[Contrast],
    split: Split,
    evaluation: dict[str, Any] | None,
    earlier: ModelBundle | None = None,
) -> ModelBundle:
    """Write the bundle of a fitted model below the folder of its analysis.

    `cohort` has connectomes as the model reads them, `split` holds its sets of people, and
    `earlier` is the model whose weights the training started from.
    """
    request = cohort.request
    base, training = cohort.bundle, cohort.of(split.training)
    in_turn, labels = fitted.left_out_in_turn, [contrast.label for contrast in cohort.contrasts]
    limits = records(ceilings(cohort.people, labels))
    recentring = Recentring(
        participants=len(training) if in_turn else len(split.validation),
        segments=mean_segments(cohort.people),
        left_out_in_turn=in_turn,
    )
    made = dict(base.card.record or {}) if cohort.learns else {}
    card = ModelCard(
        name=cohort.name,
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
            connectome=cohort.form,
        ),
        description=f"Trained with bids_dtg on {counted(len(training), 'participant')}; "
        f"{cohort.maps_words}.",
        training=TrainingData(
            data=request.dataset.name,
            repetition_time_s=cohort.repetition_time_s,
            cleaning=f"{request.dataset.title}, {request.settings.cleaning.denoise_strategy}",
            participants=len(training),
        ),
        for_science=base.card.for_science,
        notice=base.card.notice,
        record=without_times({**fitted.record, **made}),
        evaluation=evaluation or ({"ceilings": limits} if limits else None),
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
    people = record_people(cohort, dataclasses.asdict(split), earlier)
    return write_bundle(cohort.results.add(f"{BUNDLE}/"), card, arrays, people)


def _sample_seconds(part: MapsPart, training: Sequence[Person]) -> float:
    """Return the length of rest in one sample: of joined runs, the training people's mean."""
    minutes = [person.minutes for person in training]
    if not part.of_sessions or not np.isfinite(minutes).all():
        return part.segment_seconds
    return round(60 * sum(minutes) / sum(len(person.connectomes) for person in training), 1)
