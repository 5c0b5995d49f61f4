"""The files of one average of contrast maps: names, sidecars and bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.form import MARGINAL, PENALTY, Form
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.panels.predictability import predictability_facts
from bids_dtg.contrasts.participant.outputs.layers import Layer, deviation_facts
from bids_dtg.contrasts.participant.quality import RunSummary, notes_on_average
from bids_dtg.files.names import build_path
from bids_dtg.files.path_names import PathNames
from bids_dtg.files.sidecars import RESIDUAL_DOF, shared_sidecar_path
from bids_dtg.imaging.places import Places, VoxelPlaces
from bids_dtg.inputs.run import TransformFile
from bids_dtg.notices import counted
from bids_dtg.participants.origin import camel_case, cleaning_note, model_facts, run_sources
from bids_dtg.settings import InputChoice
from bids_dtg.stats.conformal import LEAST_PEOPLE, Calibration
from bids_dtg.stats.width_factors import MEASURED
from bids_dtg.version import __version__

_STEPS = 127  # largest value of 8 bits on either side of 0
_NO_INTERVAL = (
    f"There is no interval: fewer than {LEAST_PEOPLE} people of the calibration were measured there"
)
_FAR = 1.25  # times the rest of the calibration, in minutes or dof, or as many times fewer
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
        if layer.step is None:
            data = where.encode(values, intent=layer.intent, description=text)
        else:
            data = where.encode_steps(
                values, _step(values, layer.step), description=text, noisy=True
            )
        path = map_path(entities, contrast, layer.desc, ".nii.gz", bundle=bundle, places=where)
        return OutputFile(path, data)

    items = list(maps_of(layers))
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(items), threads):  # no more maps in memory than are encoded
            yield from pool.map(encode, items[first : first + threads])


def _step(values: NDArray[np.float32], least: float) -> float:
    """Return the step of a map's image: larger for large values, and where 8 bits need it."""
    rms = float(np.sqrt(np.nanmean(np.square(values))))
    return max(least * max(rms, 1.0), float(np.nanmax(np.abs(values))) / _STEPS)


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
                "Units": layer.units or bundle.card.part.units,
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
        **_interval_facts(layer, contrast),
    }


def _interval_facts(layer: Layer, contrast: Contrast) -> dict[str, Any]:
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
    interval_level: int,
) -> tuple[PurePosixPath, dict[str, Any]]:
    """Return path and content of the fields that all files of an average's maps inherit.

    Parameters
    ----------
    entities
        What the names of the average share.
    estimate
        Predicted maps of the set, with spread and halves.
    bundle
        Bundle of the model that predicted the maps.
    runs
        Quality measures of the runs that were averaged.
    left_out
        Why other runs of the average were not, by their titles.
    origin
        What the maps come from.
    interval_level
        Level of the prediction intervals, in percent (``--interval-level``).
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
    common["Calibrated"] = bundle.calibration is not None
    if bundle.calibration is not None:
        common["CalibrationParticipants"] = bundle.calibration.participants
        common["IntervalLevel"] = interval_level / 100
        if bundle.calibration.true_error is not None:
            common["CalibrationRetestParticipants"] = bundle.calibration.true_error.people
        if note := interval_note(bundle, estimate, runs, origin):
            common["IntervalNote"] = note
    common |= deviation_facts(bundle)
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


def interval_note(
    bundle: ModelBundle, estimate: Estimate, runs: Sequence[RunSummary], origin: Origin
) -> str:
    """Say how an average differs from those that the intervals come from; empty: it does not."""
    calibration = bundle.calibration
    assert calibration is not None  # there are intervals
    notes = [_segments_note(calibration, estimate.n_segments)]
    if not notes[0]:
        notes.append(_amount_note(calibration, estimate))
    training = replace(bundle.card.training, cleaning=calibration.cleaning)
    cleaned = {summary.run.cleaned_as for summary in runs}
    if calibration.cleaning and any(
        cleaning_note(training, origin.input_type, origin.strategy, one) for one in cleaned
    ):
        notes.append(
            f"The intervals come from runs cleaned otherwise ({calibration.cleaning}): the right "
            "ones may differ."
        )
    return " ".join(filter(None, notes))


def _amount_note(calibration: Calibration, estimate: Estimate) -> str:
    """Note that maps are of another amount of rest, in minutes or as cleaning leaves it."""
    minutes, dof = estimate.seconds / 60, estimate.residual_dof
    # NaN: what the calibration had is not known.
    for times, found, usual in (
        (
            minutes / calibration.minutes,
            f"{minutes:.1f} minutes of rest",
            f"{calibration.minutes:.1f}",
        ),
        (
            dof / calibration.residual_dof,
            f"{dof:.0f} residual degrees of freedom",
            f"{calibration.residual_dof:.0f}",
        ),
    ):
        if times > _FAR or times < 1 / _FAR:
            than = "wider" if times < 1 else "narrower"
            return (
                f"The maps are of {found}, the intervals of {usual}: the right ones may be {than}."
            )
    return ""


def _segments_note(calibration: Calibration, segments: int) -> str:
    """Note that maps average another number of segments than those of the calibration."""
    if segments == calibration.segments:
        return ""
    found = counted(segments, "segment")
    factors = calibration.factors
    factor = None if factors is None else factors.of_segments(MEASURED, segments)
    if factor is not None:
        return (
            f"The maps are means of {found} of rest, most of the calibration's of "
            f"{calibration.segments}: half-widths are those of maps from {found}, which the "
            "calibration has, too."
        )
    than = "wider" if segments < calibration.segments else "narrower"
    return (
        f"The maps are means of {found} of rest; the "
        f"intervals come from means of {calibration.segments}: the right ones may be {than}."
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
        "TrainingDistance": summary.figures["training_distance"],
        "Confounds": camel_case(summary.confounds),
        "Cleaning": camel_case(summary.cleaning),
        "Notes": [names.hide(note) for note in summary.notes],
    }


def _used(transform: TransformFile) -> str:
    return transform.path.name + (" (inverse)" if transform.inverse else "")
