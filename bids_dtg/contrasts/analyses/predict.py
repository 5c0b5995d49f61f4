"""Predict maps of people whose data are arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.analyses.analysis import Analysis
from bids_dtg.contrasts.analyses.training_set import why_left_out
from bids_dtg.contrasts.people import Person, predicted_maps
from bids_dtg.errors import DatasetError
from bids_dtg.files.array_store import Stream, write_npz
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.imaging.surfaces.grayordinates import Grayordinates
from bids_dtg.notices import counted, say
from bids_dtg.settings import Settings
from bids_dtg.version import __version__

PREDICTIONS_FILE = "desc-predictions.npz"
_MOST_NAMES = 100  # in a line
Array = NDArray[np.float32]


def run_prediction(settings: Settings) -> int:
    """Write maps of everybody outside the model's training set; return how many failed.

    People in the training or validation set of the model, or of a model that it was made from,
    get no map: it would look better than any other person's.

    Raises
    ------
    DtgError
        Wrong options, data or places, or nobody is left.
    """
    analysis = Analysis.prepare(settings, makes="prediction")
    plan = analysis.plan(analysis.bundle.contrasts)
    seen = [*why_left_out(analysis, plan.labels, relatives=False)]
    labels = tuple(label for label in plan.labels if label not in seen)
    if seen:
        more = f" and {len(seen) - _MOST_NAMES} more" if len(seen) > _MOST_NAMES else ""
        names = ", ".join(seen[:_MOST_NAMES])
        name = analysis.bundle.card.name
        say(f"no maps are made of {names}{more}: {name} was trained or tuned on them")
    if not labels:
        raise DatasetError(
            f"nobody is left of {counted(len(plan.labels), 'participant')}",
            expected="people with rest outside the model's training and validation sets",
        )
    if analysis.is_dry:
        return analysis.print_plan(plan.of(labels), {"predict": labels})
    with analysis.begun() as locks:
        cohort = analysis.cohort(plan.of(labels), locks)
        keep_predictions(analysis, cohort.people)
        analysis.store.discard("work")
        say(f"maps: {analysis.folder / PREDICTIONS_FILE}")
    return cohort.failed


def keep_predictions(analysis: Analysis, people: Sequence[Person]) -> Array:
    """Predict people's maps, write them to the analysis' folder, and return them.

    The same model and the same rest give the same bytes, whatever files the rest was read from.

    Returns
    -------
    (people, contrasts of the model, places), on disk until the store's `work` is discarded.
    """
    bundle, source = analysis.bundle, analysis.source
    assert isinstance(bundle.places, ListedPlaces | Grayordinates)
    shape = (len(people), len(bundle.contrasts), bundle.places.number)
    maps: Array = analysis.store.create("work/predictions", shape, np.float32)
    for number, person in enumerate(people):
        maps[number] = predicted_maps(analysis.model, person)
    path = analysis.results.add(PREDICTIONS_FILE)
    write_npz(
        path,
        {
            "people": np.array([person.label for person in people]),
            "contrasts": np.array([contrast.label for contrast in bundle.contrasts]),
            "places": np.array(bundle.places.names),
            "values": Stream(shape, np.dtype("<f4"), iter(maps)),
        },
    )
    card = bundle.card
    facts = {
        "Description": "Predicted maps (people, contrasts, places) under the key values; people, "
        "contrasts and places have the names. Predicted from resting-state fMRI, not measured",
        "Units": card.part.units,
        "ModelName": card.name,
        "ModelVersion": card.version,
        "ModelKind": card.kind,
        "ModelSHA256": bundle.identity,
        "ModelConnectome": card.part.connectome.to_json(),
        "SegmentSeconds": card.part.segment_seconds,
        "ForScience": card.for_science,
        "Notice": card.notice,
        "DataSet": source.dataset.name,
        "Version": __version__,
    }
    analysis.results.json(path.stem, {key: fact for key, fact in facts.items() if fact != ""})
    return maps
