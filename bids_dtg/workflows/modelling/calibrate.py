"""Calibrate a model's intervals on people with both scans whom it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.bundles.writer import extend_bundle
from bids_dtg.contrasts.people import Person, filled, mean_maps, predicted_maps
from bids_dtg.errors import DatasetError
from bids_dtg.inputs.splits_file import read_sets
from bids_dtg.notices import say
from bids_dtg.settings import Settings
from bids_dtg.stats.conformal import DEFAULT_LEVEL, LEAST_PEOPLE, Calibration, cell_block, coverage
from bids_dtg.stats.splits import SETS
from bids_dtg.workflows.modelling.analysis import Analysis
from bids_dtg.workflows.modelling.cohort_plan import CohortPlan
from bids_dtg.workflows.modelling.splits import keep_earlier, untrained

Array = NDArray[np.float32]


def run_calibration(settings: Settings) -> int:
    """Write a copy of `--model` with intervals; return how many participants could not be used.

    Of `--split-file` the validation set is taken; otherwise everybody whom the model was not
    trained on.

    Raises
    ------
    DtgError
        Wrong options, data or places.
    """
    name = f"model-{settings.modelling.model_name}"
    analysis = Analysis.prepare(settings, name, repeatable=False)
    bundle = analysis.bundle
    plan = analysis.plan(bundle.contrasts)
    if len(plan.contrasts) != len(bundle.contrasts):
        raise DatasetError(
            f"measured maps are of {len(plan.contrasts)} contrasts of the model",
            expected=f"all {len(bundle.contrasts)}",
        )
    labels = _labels(settings.modelling.split_file, bundle, plan)
    cohort = analysis.cohort(plan.of(labels))
    people = tuple(p for p in cohort.of(labels) if np.isfinite(p.maps).any(axis=1).all())
    _require_enough(people)
    errors = _errors(analysis, people)
    calibration = Calibration.fit(
        errors,
        bundle.places.lattice(cell_block(bundle.places.spacing_mm)),
        round(float(np.mean([len(person.connectomes) for person in people]))),
    )
    widths = calibration.half_widths(DEFAULT_LEVEL)
    held = [coverage(own, widths).mean() for own in errors]
    analysis.store.discard("work")
    keep_earlier(analysis.folder, bundle)
    made = extend_bundle(bundle, analysis.folder / "bundle", calibration=calibration)
    say(
        f"{len(people)} people: intervals of {DEFAULT_LEVEL} % hold {100 * np.mean(held):.1f} % of "
        f"their own voxels; median half-width {np.median(widths):.2f} {bundle.card.part.units}"
    )
    say(f"{made.card.name} {made.card.version} with intervals: {made.path}")
    return cohort.failed


def _labels(split_file: Path | None, bundle: ModelBundle, plan: CohortPlan) -> tuple[str, ...]:
    """Choose whom to calibrate on: with all contrasts, and not trained on."""
    labels = plan.labels
    if split_file is not None:
        chosen = set(read_sets(split_file, SETS)["validation"])
        labels = tuple(label for label in labels if label in chosen)
    labels = plan.complete(untrained(bundle, labels))
    _require_enough(labels)
    return labels


def _require_enough(people: Sequence[object]) -> None:
    if len(people) < LEAST_PEOPLE:
        raise DatasetError(
            f"{len(people)} participants with all contrasts, whom the model was not trained on, "
            "are too few for intervals",
            expected=f"{LEAST_PEOPLE} or more",
        )


def _errors(analysis: Analysis, people: tuple[Person, ...]) -> Array:
    """Return measured less predicted maps, (people, contrasts, voxels), on disk."""
    mean = mean_maps(people)
    errors: Array = analysis.store.create("work/errors", (len(people), *mean.shape), np.float32)
    for number, person in enumerate(people):
        errors[number] = filled(person, mean) - predicted_maps(analysis.model, person)
        say(f"{number + 1}/{len(people)} sub-{person.label}: maps predicted")
    return errors
