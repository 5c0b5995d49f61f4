"""Files of maps: of an average, tables of their means over atlases, and the half-widths.

All maps of an average share one sidecar, by BIDS inheritance: what differs between contrasts stands
in it by their labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.form import MARGINAL, PENALTY, Form
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.participant.quality import RunSummary, notes_on_average
from bids_dtg.files.names import FileKind, build_path
from bids_dtg.files.regions.cells import name_cell
from bids_dtg.files.sidecars import RESIDUAL_DOF, shared_sidecar_path
from bids_dtg.imaging.atlas import MIN_COVERAGE, Atlas, region_means, region_voxels
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.parcel_places import ParcelPlaces
from bids_dtg.notices import counted
from bids_dtg.participants.origin import atlas_facts, model_facts, run_sources
from bids_dtg.report.contents import DETAILS, LEVEL, NOT_MEASURED, SYNTHETIC, half_width_path
from bids_dtg.version import __version__

if TYPE_CHECKING:
    from bids_dtg.contrasts.participant.request import Request

# Path below the output folder, and content: of a JSON file what it holds.
File = tuple[PurePosixPath, bytes | dict[str, Any]]
Entities = Mapping[str, str]  # what the names of an average's files share
Maps = NDArray[np.float32]  # (contrasts, places), of all of the model's contrasts; NaN: no value

_NOT_INDIVIDUAL = {
    "Individual": False,
    "IndividualNote": "The model found nothing of this contrast in rest: "
    "its map is the same for everybody.",
}
_COVERS = (
    f"{LEVEL} % of the voxels of a newly measured map (one session of the task) of a person like "
    "those whose errors it comes from, on average over people; the noise of the measurement is "
    "included"
)
_NO_INTERVAL = "There is no interval: too few of the people behind it were measured there"
_STEPS = 255  # largest value of 8 bits
REGIONS = FileKind("statmap", "regions", ".tsv")
COLUMNS = ("contrast", "index", "name", "mean", "coverage", "voxels")

_MEANS = "Means of the predicted maps over the parcels of an atlas"


def map_path(
    entities: Entities,
    bundle: ModelBundle,
    extension: str,
    *,
    contrast: str | None = None,
    places: VoxelPlaces | None = None,
) -> PurePosixPath:
    """Return the path of maps or of their sidecar, relative to the output folder.

    `contrast` is None where all are in one file, and `places` where they are the model's.
    """
    named = {
        **entities,
        **(places or bundle.places).entities,
        "contrast": contrast,
        "stat": bundle.card.part.statistic,
        "desc": SYNTHETIC,
    }
    return build_path(named, "statmap", extension)


def map_files(
    entities: Entities,
    maps: Maps,
    contrasts: Sequence[Contrast],
    request: Request,
    places: VoxelPlaces | None = None,
) -> Iterator[File]:
    """Encode maps: a file a contrast, or one of all where they are of parcels.

    Parameters
    ----------
    entities
        What the names of the average share.
    maps
        Of all contrasts, at `places`.
    contrasts
        Those that are written.
    request
        Of the call.
    places
        Voxels of another space; None: the model's places.
    """
    bundle = request.bundle
    if isinstance(bundle.places, ParcelPlaces):
        values = maps[[contrast.index for contrast in contrasts]]
        image = bundle.places.encode_maps(values, [contrast.label for contrast in contrasts])
        yield map_path(entities, bundle, bundle.places.extension), image
        return
    where = places or bundle.voxels
    facts = {
        "Synthetic": True,
        "GeneratedBy": f"bids_dtg {__version__}",
        **model_facts(bundle),
        "DenoiseStrategy": request.settings.cleaning.denoise_strategy,
    }

    def encode(contrast: Contrast) -> File:
        own = {"Description": NOT_MEASURED + contrast.description, "Contrast": contrast.label}
        image = where.encode(
            maps[contrast.index],
            intent="z score" if bundle.card.part.statistic == "z" else "none",
            description=f"bids_dtg {__version__} {contrast.label} {SYNTHETIC}",
            facts={**own, **facts},
        )
        path = map_path(entities, bundle, ".nii.gz", contrast=contrast.label, places=where)
        return path, image

    yield from _in_threads(encode, contrasts, request.capacity.threads)


def average_sidecar(
    entities: Entities,
    estimate: Estimate,
    contrasts: Sequence[Contrast],
    request: Request,
    *,
    runs: Sequence[RunSummary],
    left_out: Mapping[str, str],
) -> File:
    """Return what all files of an average's maps inherit; parameters as of `map_files`.

    Parameters
    ----------
    estimate
        Predicted maps of the average.
    runs
        Quality measures of the runs that were averaged.
    left_out
        Why other runs of the average were not, by their titles.
    """
    by_dof = math.isfinite(estimate.residual_dof)
    bundle, names, settings = request.bundle, request.path_names, request.settings
    training, recentring = bundle.card.training, bundle.card.part.recentring
    source = request.dataset.name
    common = {
        "Description": f"{NOT_MEASURED}{counted(len(contrasts), 'contrast')}, a map each",
        "Sources": [uri for summary in runs for uri in run_sources(summary.run, source)],
        "Synthetic": True,
        "Units": bundle.card.part.units,
        **_places_facts(bundle),
        **model_facts(bundle),
        "ModelTraining": {
            "Data": training.data,
            "Participants": training.participants,
            "RepetitionTime": training.repetition_time_s,
            "Cleaning": training.cleaning,
            "VoxelSize": round(bundle.training_voxel_mm, 4),
        },
        "NSegments": estimate.n_segments,
        "SecondsOfRest": round(estimate.seconds, 3),
        RESIDUAL_DOF: round(estimate.residual_dof, 2) if by_dof else None,
        "SegmentsWeightedBy": RESIDUAL_DOF if by_dof else "SecondsOfRest",
        "OptionsSHA256": settings.result_hash,
        "InputType": settings.inputs.input_type,
        "DenoiseStrategy": settings.cleaning.denoise_strategy,
        "Runs": [summary.facts for summary in runs],
        "ExcludedRuns": {run: names.hide(why) for run, why in left_out.items()},
        **form_facts(bundle.card.part.connectome),
        # Published models have none: no measured maps of held-out people are available.
        "Intervals": bundle.half_widths is not None,
    }
    if bundle.half_widths is not None:
        common |= _interval_facts(bundle)
        if note := _segments_note(bundle.half_widths.segments, estimate.n_segments):
            common["IntervalNote"] = note
    if bundle.correction is not None:
        common["Recentred"] = True
        if recentring is not None:
            common["RecentringParticipants"] = recentring.participants
            if recentring.left_out_in_turn:
                common["RecentringLeftOutInTurn"] = True
    common |= notes_on_average(bundle.card, runs, settings)
    common[DETAILS] = {contrast.label: _contrast_facts(contrast, bundle) for contrast in contrasts}
    return shared_sidecar_path(entities, "statmap"), common


def region_files(
    entities: Entities,
    atlas: Atlas,
    maps: Maps,
    contrasts: Sequence[Contrast],
    *,
    bundle: ModelBundle,
) -> Iterator[File]:
    """Yield an atlas' table of means with its sidecar.

    Parameters
    ----------
    entities
        What the names of the average share.
    atlas
        Its parcels at the model's voxels.
    maps
        Of all contrasts, at the model's voxels.
    contrasts
        Those that are written.
    bundle
        The model.
    """
    named = {**atlas.entities, "stat": bundle.card.part.statistic}
    own = {**entities, "space": bundle.grid.space, **named}
    rows = [contrast.index for contrast in contrasts]
    voxels = region_voxels(maps, atlas)[rows]
    coverage = voxels / np.maximum(atlas.voxels, 1)
    means = region_means(maps, atlas, MIN_COVERAGE)[rows]
    facts = {
        "Description": f"{_MEANS}: a row a contrast and parcel",
        **_columns(bundle),
        "SpatialReference": bundle.grid.metadata["SpatialReference"],
        "MinCoverage": MIN_COVERAGE,
        **atlas_facts(atlas),
    }
    yield REGIONS.path(own, ".json"), facts
    parcels = [f"{index}\t{name_cell(name)}" for index, name in atlas.parcels.items()]
    lines = ["\t".join(COLUMNS)]
    for row, contrast in enumerate(contrasts):
        cells = (values[row].tolist() for values in (means, coverage, voxels))
        for parcel, mean, share, count in zip(parcels, *cells, strict=True):
            cell = "n/a" if math.isnan(mean) else f"{mean:.7g}"
            lines.append(f"{contrast.label}\t{parcel}\t{cell}\t{share:.4f}\t{count}")
    yield REGIONS.path(own, ".tsv"), ("\n".join(lines) + "\n").encode()


def _columns(bundle: ModelBundle) -> dict[str, dict[str, Any]]:
    return {
        "contrast": {"Description": "Contrast of the map, as in contrast- of its file"},
        "index": {"Description": "Label of the parcel in the atlas"},
        "name": {"Description": "Name of the parcel in the atlas' table"},
        "mean": {
            "Description": "Mean of the map over the parcel's voxels that have a value; n/a "
            f"where they are less than {MIN_COVERAGE:g} of the parcel",
            "Units": bundle.card.part.units,
        },
        "coverage": {
            "Description": "Share of the parcel's voxels that have a value, 0 to 1; the "
            "model's mask leaves out some of most parcels"
        },
        "voxels": {"Description": "Voxels of the parcel that have a value"},
    }


def half_width_files(bundle: ModelBundle, threads: int) -> Iterator[File]:
    """Yield the maps of a model's half-widths, the same for all participants, then their sidecar.

    Parameters
    ----------
    bundle
        The model; without half-widths there is no file.
    threads
        Maps encoded at the same time.
    """
    if bundle.half_widths is None:
        return
    values, places = bundle.half_widths.at_places, bundle.places
    if isinstance(places, ParcelPlaces):
        labels = [contrast.label for contrast in bundle.contrasts]
        yield _half_width_path(bundle, places.extension), places.encode_maps(values, labels)
    else:

        def encode(contrast: Contrast) -> File:
            widths = values[contrast.index]
            image = bundle.voxels.encode_steps(
                widths,
                float(np.nanmax(widths, initial=0.0)) / _STEPS or 1.0,
                description=f"bids_dtg {__version__} {contrast.label} half-width",
                facts={"Contrast": contrast.label, **model_facts(bundle)},
            )
            return _half_width_path(bundle, ".nii.gz", contrast.label), image

        yield from _in_threads(encode, bundle.contrasts, threads)
    gaps = np.isnan(values).mean(axis=1)
    content = {
        "Description": f"Half-width of the {LEVEL} % interval around the predicted map, for a new "
        "measurement",
        "Units": bundle.card.part.units,
        **_places_facts(bundle),
        **model_facts(bundle),
        **_interval_facts(bundle),
        "IntervalCovers": _COVERS,
        DETAILS: {
            contrast.label: {
                "Task": contrast.task,
                "Contrast": contrast.name,
                **(
                    {"ShareWithoutInterval": round(float(gap), 4), "MissingValues": _NO_INTERVAL}
                    if gap
                    else {}
                ),
            }
            for contrast, gap in zip(bundle.contrasts, gaps, strict=True)
        },
    }
    yield _half_width_path(bundle, ".json"), content


def half_width_paths(bundle: ModelBundle) -> list[PurePosixPath]:
    """Return the paths of `half_width_files`."""
    if bundle.card.part.parcels:
        images = [_half_width_path(bundle, bundle.places.extension)]
    else:
        images = [_half_width_path(bundle, ".nii.gz", found.label) for found in bundle.contrasts]
    return [*images, _half_width_path(bundle, ".json")]


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


def _in_threads(
    encode: Callable[[Contrast], File], contrasts: Sequence[Contrast], threads: int
) -> Iterator[File]:
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(contrasts), threads):  # no more in memory than are encoded
            yield from pool.map(encode, contrasts[first : first + threads])


def _half_width_path(
    bundle: ModelBundle, extension: str, contrast: str | None = None
) -> PurePosixPath:
    named = {
        **bundle.places.entities,
        "contrast": contrast,
        "stat": bundle.card.part.statistic,
    }
    return half_width_path(named, extension)


def _places_facts(bundle: ModelBundle) -> dict[str, Any]:
    return bundle.metadata if bundle.card.part.parcels else bundle.grid.brain_metadata


def _contrast_facts(contrast: Contrast, bundle: ModelBundle) -> dict[str, Any]:
    """Return the facts of a map that are its contrast's."""
    gains = bundle.card.part.gains
    return {
        "Description": f"{NOT_MEASURED}{contrast.description}",
        "Task": contrast.task,
        "Contrast": contrast.name,
        **({} if gains is None else {"Gain": gains[contrast.index]}),
        **(_NOT_INDIVIDUAL if contrast.label in bundle.card.part.not_individual else {}),
    }


def _interval_facts(bundle: ModelBundle) -> dict[str, Any]:
    """Return the fields on the level of half-widths, and the people behind them."""
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
