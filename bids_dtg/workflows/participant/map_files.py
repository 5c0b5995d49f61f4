"""The files of one set of contrast maps: names, sidecars and bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.files.derivatives import TEMPLATEFLOW
from bids_dtg.files.names import bids_uri, build_path
from bids_dtg.files.path_names import PathNames
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.imaging.nifti import Intent
from bids_dtg.inputs.run import RestRun, TransformFile
from bids_dtg.report.contents import NOT_MEASURED, SPREAD, SYNTHETIC
from bids_dtg.report.map_reliability import HALVES
from bids_dtg.settings import InputChoice
from bids_dtg.version import __version__
from bids_dtg.workflows.participant.quality import RunSummary, notes_on_set

_NOT_INDIVIDUAL = {
    "Individual": False,
    "IndividualNote": "The model found nothing of this contrast in rest: "
    "its map is the same for everybody.",
}


@dataclass(frozen=True)
class Origin:
    """What maps of one call come from, for their sidecars."""

    source: str  # name of the input dataset in BIDS URIs
    input_type: InputChoice  # of the input dataset
    strategy: str  # by which runs were cleaned
    options_sha256: str  # of the options that shape results
    names: PathNames  # that stand for folders, in sentences on runs


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
) -> PurePosixPath:
    """Return the path of one map or its sidecar, relative to the output folder."""
    named = {
        **entities,
        **bundle.places.entities,
        "contrast": contrast.label,
        "stat": bundle.card.part.statistic,
        "desc": desc,
    }
    return build_path(named, "statmap", extension)


def map_images(
    entities: Mapping[str, str], estimate: Estimate, bundle: ModelBundle, *, threads: int
) -> Iterator[OutputFile]:
    """Encode the maps, and their spread and halves where there are some, a few at a time.

    Parameters
    ----------
    entities
        What the names of the set share.
    estimate
        Maps over the bundle's mask.
    bundle
        Grid and mask.
    threads
        Maps encoded at the same time.
    """
    sets: list[tuple[str, NDArray[np.float32]]] = [(SYNTHETIC, estimate.values)]
    if estimate.spread is not None:
        sets.append((SPREAD, estimate.spread))
    if estimate.halves is not None:
        sets += zip(HALVES, estimate.halves, strict=True)
    intent: Intent = "z score" if bundle.card.part.statistic == "z" else "none"

    def encode(item: tuple[str, Contrast, NDArray[np.float32]]) -> OutputFile:
        desc, contrast, values = item
        data = bundle.places.encode(
            values,
            intent="none" if desc == SPREAD else intent,
            description=f"bids_dtg {__version__} {contrast.label} {desc}",
        )
        return OutputFile(map_path(entities, contrast, desc, ".nii.gz", bundle=bundle), data)

    items = [
        (desc, contrast, row)
        for desc, values in sets
        for contrast, row in zip(estimate.contrasts, values, strict=True)
    ]
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(items), threads):  # no more maps in memory than are encoded
            yield from pool.map(encode, items[first : first + threads])


def map_sidecars(
    entities: Mapping[str, str],
    estimate: Estimate,
    bundle: ModelBundle,
    *,
    runs: Sequence[RunSummary],
    left_out: Mapping[str, str],
    origin: Origin,
) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
    """Yield path and content of the sidecar of every map.

    Parameters
    ----------
    entities
        What the names of the set share.
    estimate
        The maps.
    bundle
        The model.
    runs
        Those that were averaged.
    left_out
        Why other runs of the set were not, by their titles.
    origin
        What the maps come from.
    """
    by_dof = math.isfinite(estimate.residual_dof)
    common = {
        "Sources": [uri for summary in runs for uri in _sources(summary.run, origin.source)],
        **bundle.grid.metadata,
        "Units": bundle.card.part.units,
        "Synthetic": True,
        "ModelName": bundle.card.name,
        "ModelVersion": bundle.card.version,
        "ModelKind": bundle.card.kind,
        "ModelSHA256": bundle.identity,
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
        "GeneratedBy": {"Name": "bids_dtg", "Version": __version__},
    }
    if bundle.card.notice:
        common["ModelNotice"] = bundle.card.notice
    if not bundle.card.for_science:
        common["NotForScience"] = True
    common |= form_facts(bundle.card.part.connectome)
    # Published models have seen no measured maps of people held out, so they cannot say.
    common["Calibrated"] = bundle.calibration is not None
    if bundle.calibration is not None:
        common["CalibrationParticipants"] = bundle.calibration.participants
    if bundle.correction is not None:
        common["Recentred"] = True
        if bundle.card.part.recentring is not None:
            common["RecentringParticipants"] = bundle.card.part.recentring.participants
            if bundle.card.part.recentring.left_out_in_turn:
                common["RecentringLeftOutInTurn"] = True
    common |= notes_on_set(
        bundle.card, runs, input_type=origin.input_type, strategy=origin.strategy
    )
    not_individual = bundle.card.part.not_individual
    for contrast in estimate.contrasts:
        if bundle.card.part.gains is not None:
            common["Gain"] = bundle.card.part.gains[contrast.index]
        individual = {} if contrast.label not in not_individual else _NOT_INDIVIDUAL
        text = {
            SYNTHETIC: f"{NOT_MEASURED}{contrast.description}",
            SPREAD: "Standard deviation over segments of rest of the predicted map: "
            f"{contrast.description}",
            **{
                desc: f"Predicted from the {pieces} pieces of the runs, for the maps' reliability: "
                f"{contrast.description}"
                for desc, pieces in zip(HALVES, ("odd", "even"), strict=True)
            },
        }
        for desc in (
            SYNTHETIC,
            *([SPREAD] if estimate.spread is not None else []),
            *(HALVES if estimate.halves is not None else ()),
        ):
            path = map_path(entities, contrast, desc, ".json", bundle=bundle)
            yield (
                path,
                {
                    "Description": text[desc],
                    "Task": contrast.task,
                    "Contrast": contrast.name,
                    **individual,
                    **common,
                },
            )


def form_facts(form: Form) -> dict[str, Any]:
    """Return what sidecars say of the form of connectomes: nothing of the published one."""
    if form == MARGINAL:
        return {}
    return {
        "Connectome": {
            "Form": form.name,
            "Description": form.row.words,
            "Ridge": form.ridge,
            "RidgePenalty": form.penalty_words,
        }
    }


def penalty_facts(summary: RunSummary) -> dict[str, Any]:
    """Return the ridge penalty of each of a run's segments; nothing where there is none."""
    penalties = [round(penalty, 6) for penalty in summary.penalties]
    return {"RidgePenalties": penalties} if penalties else {}


def _run_facts(summary: RunSummary, names: PathNames) -> dict[str, Any]:
    return {
        "Run": summary.run.title,
        "RepetitionTime": summary.figures["repetition_time"],
        "VoxelSize": summary.figures["voxel_size"],
        RESIDUAL_DOF: summary.figures["residual_dof"],
        "EffectiveDegreesOfFreedom": summary.figures["effective_dof"],
        "NSegments": summary.n_segments,
        **penalty_facts(summary),
        "Space": summary.run.space,
        "SpaceReason": names.hide(summary.run.space_reason),
        **({"CleanedAs": summary.run.cleaned_as} if summary.run.cleaned_as else {}),
        "Transforms": [_used(transform) for transform in summary.run.transforms],
        "Interpolation": summary.interpolation,
        "Range": summary.judged.verdict,
        "RangeReasons": list(summary.judged.reasons),
        "TrainingDistance": summary.figures["training_distance"],
        "Confounds": _camel_case(summary.confounds),
        "Cleaning": _camel_case(summary.cleaning),
        "Notes": [names.hide(note) for note in summary.notes],
    }


def _camel_case(values: Mapping[str, Any]) -> dict[str, Any]:
    """Name values as BIDS metadata are: frames_kept becomes FramesKept."""
    return {key.title().replace("_", ""): value for key, value in values.items()}


def _used(transform: TransformFile) -> str:
    return transform.path.name + (" (inverse)" if transform.inverse else "")


def _sources(run: RestRun, source: str) -> list[str]:
    transforms = (transform.path for transform in run.transforms)
    files = (run.bold, run.mask, run.confounds, *transforms)
    return [
        bids_uri(source, path.relative_to(run.root).as_posix())
        if path.is_relative_to(run.root)
        # A transform of TemplateFlow's folder, wherever this machine has it.
        else bids_uri(TEMPLATEFLOW, f"{path.parent.name}/{path.name}")
        for path in files
        if path
    ]
