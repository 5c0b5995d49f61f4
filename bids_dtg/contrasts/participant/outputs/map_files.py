"""The files of one average of contrast maps: names, sidecars and bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from bids_dtg.connectome.form import MARGINAL, PENALTY, Form
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.panels.predictability import predictability_facts
from bids_dtg.contrasts.participant.outputs.layers import Layer
from bids_dtg.contrasts.participant.quality import RunSummary, notes_on_average
from bids_dtg.files.names import build_path
from bids_dtg.files.path_names import PathNames
from bids_dtg.files.sidecars import RESIDUAL_DOF, shared_sidecar_path
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.inputs.run import TransformFile
from bids_dtg.notices import counted
from bids_dtg.participants.origin import camel_case, model_facts, run_sources
from bids_dtg.settings import InputChoice
from bids_dtg.stats.half_width import LEVEL
from bids_dtg.version import __version__

_NO_INTERVAL = "There is no interval: too few of the people behind it were measured there"
_NOT_INDIVIDUAL = {
    "Individual": False,
    "IndividualNote": "The model found nothing of this contrast in rest: "
    "its map is the same for everybody.",
}


@dataclass(frozen=True)
class Origin:
    """Origin of the maps of one call, for their sidecars."""

    source: str  # name of the input dataset in BIDS URIs
    input_type: InputChoice  # of the input dataset
    strategy: str  # by which runs were cleaned
    options_sha256: str  # hash of the options that change results
    names: PathNames  # replace folders in sentences on runs


@dataclass(frozen=True)
class OutputFile:
    """A file to be written below the output folder."""

    path: PurePosixPath  # relative to the output folder
    data: bytes  # its whole content


def map_path(
    entities: Mapping[str, str],
    contrast: Contrast,
    desc: str,
    extension: str,
    *,
    bundle: ModelBundle,
    places: Places | None = None,
) -> PurePosixPath:
    """Return the path of one map or its sidecar, relative to the output folder.

    `places` are those of its values; None: the model's.
    """
    named = {
        **entities,
        **(places or bundle.places).entities,
        "contrast": contrast.label,
        "stat": bundle.card.part.statistic,
        "desc": desc,
    }
    return build_path(named, "statmap", extension)


def map_images(
    entities: Mapping[str, str],
    layers: Sequence[Layer],
    bundle: ModelBundle,
    *,
    threads: int,
    places: VoxelPlaces | None = None,
) -> Iterator[OutputFile]:
    """Encode the maps of layers, a few at a time.

    Parameters
    ----------
    entities
        What the names of the average share.
    layers
        Kinds of values. A contrast without a value has no map.
    bundle
        Bundle of the model that predicted the maps.
    threads
        Maps encoded at the same time.
    places
        Where the values are; None: the bundle's places.
    """
    where = places or bundle.voxels

    def encode(item: tuple[Layer, Contrast]) -> OutputFile:
        layer, contrast = item
        values = layer.values[contrast.index]
        text = f"bids_dtg {__version__} {contrast.label} {layer.desc}"
        data = where.encode(values, intent=layer.intent, description=text)
        path = map_path(entities, contrast, layer.desc, ".nii.gz", bundle=bundle, places=where)
        return OutputFile(path, data)

    items = list(maps_of(layers))
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(items), threads):  # no more maps in memory than are encoded
            yield from pool.map(encode, items[first : first + threads])


def map_sidecars(
    entities: Mapping[str, str], layers: Sequence[Layer], bundle: ModelBundle
) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
    """Yield path and content of each map's sidecar: fields that differ within the set.

    Parameters
    ----------
    entities
        What the names of the average share.
    layers
        Kinds of values over the bundle's places.
    bundle
        Bundle of the model that predicted the maps.
    """
    for layer, contrast in maps_of(layers):
        yield (
            map_path(entities, contrast, layer.desc, ".json", bundle=bundle),
            {
                **contrast_facts(layer, contrast, bundle),
                **bundle.grid.brain_metadata,
                "Units": bundle.card.part.units,
            },
        )


def contrast_facts(layer: Layer, contrast: Contrast, bundle: ModelBundle) -> dict[str, Any]:
    """Return the sidecar fields of a map and its contrast, in any space."""
    gains = bundle.card.part.gains
    return {
        "Description": f"{layer.words}{contrast.description}",
        "Task": contrast.task,
        "Contrast": contrast.name,
        **predictability_facts(bundle.card.evaluation, contrast.label),
        **({} if gains is None else {"Gain": gains[contrast.index]}),
        **(_NOT_INDIVIDUAL if contrast.label in bundle.card.part.not_individual else {}),
        **_missing_facts(layer, contrast),
    }


def _missing_facts(layer: Layer, contrast: Contrast) -> dict[str, Any]:
    """Return the sidecar fields on what a half-width means, and where there is none."""
    if not layer.covers:
        return {}
    share = round(float(np.isnan(layer.values[contrast.index]).mean()), 4)
    missing = {"ShareWithoutInterval": share, "MissingValues": _NO_INTERVAL} if share else {}
    return {"IntervalCovers": layer.covers, **missing}


def average_sidecar(
    entities: Mapping[str, str],
    estimate: Estimate,
    bundle: ModelBundle,
    *,
    runs: Sequence[RunSummary],
    left_out: Mapping[str, str],
    origin: Origin,
) -> tuple[PurePosixPath, dict[str, Any]]:
    """Return path and content of the fields that all files of an average's maps inherit.

    Parameters
    ----------
    entities
        What the names of the average share.
    estimate
        Predicted maps of the set.
    bundle
        Bundle of the model that predicted the maps.
    runs
        Quality measures of the runs that were averaged.
    left_out
        Why other runs of the average were not, by their titles.
    origin
        What the maps come from.
    """
    by_dof = math.isfinite(estimate.residual_dof)
    common = {
        "Sources": [uri for summary in runs for uri in run_sources(summary.run, origin.source)],
        "Synthetic": True,
        **model_facts(bundle),
        "ModelTraining": {
            "Data": bundle.card.training.data,
            "Participants": bundle.card.training.participants,
            "RepetitionTime": bundle.card.training.repetition_time_s,
            "Cleaning": bundle.card.training.cleaning,
            "VoxelSize": round(bundle.training_voxel_mm, 4),
        },
        "NSegments": estimate.n_segments,
        "SecondsOfRest": round(estimate.seconds, 3),
        RESIDUAL_DOF: round(estimate.residual_dof, 2) if by_dof else None,
        "SegmentsWeightedBy": RESIDUAL_DOF if by_dof else "SecondsOfRest",
        "OptionsSHA256": origin.options_sha256,
        "InputType": origin.input_type,
        "DenoiseStrategy": origin.strategy,
        "Runs": [_run_facts(summary, origin.names) for summary in runs],
        "ExcludedRuns": {run: origin.names.hide(why) for run, why in left_out.items()},
    }
    common |= form_facts(bundle.card.part.connectome)
    # For published models no measured maps of held-out people are available: they have no
    # evaluation.
    common["Intervals"] = bundle.half_widths is not None
    if bundle.half_widths is not None:
        common |= interval_facts(bundle)
        if note := _segments_note(bundle.half_widths.segments, estimate.n_segments):
            common["IntervalNote"] = note
    if bundle.correction is not None:
        common["Recentred"] = True
        if bundle.card.part.recentring is not None:
            common["RecentringParticipants"] = bundle.card.part.recentring.participants
            if bundle.card.part.recentring.left_out_in_turn:
                common["RecentringLeftOutInTurn"] = True
    common |= notes_on_average(
        bundle.card, runs, input_type=origin.input_type, strategy=origin.strategy
    )
    return shared_sidecar_path(entities, "statmap"), common


def interval_facts(bundle: ModelBundle) -> dict[str, Any]:
    """Return the sidecar fields on the level of half-widths, and the people behind them."""
    found = bundle.half_widths
    assert found is not None  # there are intervals
    return {
        "IntervalLevel": LEVEL / 100,
        "IntervalParticipants": found.people,
        "IntervalSegments": found.segments,
    }


def _segments_note(usual: int, segments: int) -> str:
    """Note that maps average another number of segments than those behind the intervals."""
    if segments == usual:
        return ""
    than = "wider" if segments < usual else "narrower"
    return (
        f"The maps are means of {counted(segments, 'segment')} of rest; the intervals come from "
        f"means of {usual}: the right ones may be {than}."
    )


def maps_of(layers: Sequence[Layer]) -> Iterator[tuple[Layer, Contrast]]:
    """Yield each map of layers that is written and has a value, with its contrast."""
    for layer in layers:
        for contrast in layer.contrasts:
            if not np.isnan(layer.values[contrast.index]).all():
                yield layer, contrast


def form_facts(form: Form) -> dict[str, Any]:
    """Return the sidecar fields on the form of connectomes: none for the published form."""
    if form == MARGINAL:
        return {}
    return {
        "Connectome": {
            "Form": form.name,
            "Description": form.row.words,
            "RidgePenalty": PENALTY,
            "PlacesStandardised": form.standardised,
        }
    }


def _run_facts(summary: RunSummary, names: PathNames) -> dict[str, Any]:
    return {
        "Run": summary.run.title,
        "RepetitionTime": summary.figures["repetition_time"],
        "VoxelSize": summary.figures["voxel_size"],
        RESIDUAL_DOF: summary.figures["residual_dof"],
        "EffectiveDegreesOfFreedom": summary.figures["effective_dof"],
        "NSegments": summary.n_segments,
        "Space": summary.run.space,
        "SpaceReason": names.hide(summary.run.space_reason),
        **({"CleanedAs": summary.run.cleaned_as} if summary.run.cleaned_as else {}),
        "Transforms": [_used(transform) for transform in summary.run.transforms],
        "Interpolation": summary.interpolation,
        "TrainingDistribution": summary.judged.verdict,
        "TrainingDistributionReasons": list(summary.judged.reasons),
        "Confounds": camel_case(summary.confounds),
        "Cleaning": camel_case(summary.cleaning),
        "Notes": [names.hide(note) for note in summary.notes],
    }


def _used(transform: TransformFile) -> str:
    return transform.path.name + (" (inverse)" if transform.inverse else "")
