"""Files of an average's maps, tables of their means over atlases, and half-widths.

All maps of an average share one sidecar by BIDS inheritance. Fields that differ between contrasts
are listed in it by contrast label.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.form import MARGINAL, PENALTY, Form
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.half_width import LEVEL, half_width_path
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.participant.quality import RunSummary, notes_on_average
from bids_dtg.files.names import FileKind, build_path
from bids_dtg.files.regions import name_cell, number_lines
from bids_dtg.files.sidecars import RESIDUAL_DOF, shared_sidecar_path
from bids_dtg.files.text import read_packaged
from bids_dtg.imaging.atlas import MIN_COVERAGE, Atlas, region_means, region_voxels
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.inputs.run import SURFACE
from bids_dtg.notices import counted
from bids_dtg.participants.origin import atlas_facts, model_facts, run_sources
from bids_dtg.participants.quality import rounded
from bids_dtg.report.contents import DETAILS, NOT_MEASURED, SYNTHETIC
from bids_dtg.version import __version__

if TYPE_CHECKING:
    from bids_dtg.contrasts.participant.request import Request

# Path below the output folder, and content (for a JSON file, its fields).
File = tuple[PurePosixPath, bytes | dict[str, Any]]
Entities = Mapping[str, str]  # BIDS entities that an average's file names share
Maps = NDArray[
    np.float32
]  # (contrasts, voxels), of all contrasts of the model; NaN: no value

WORDS = tomllib.loads(read_packaged(__package__, "words.toml"))
_STEPS = 255  # largest 8-bit value
REGIONS = FileKind("statmap", "regions", ".tsv")
COLUMNS = tuple(WORDS["regions"])
_FS_LR = "https://templateflow.s3.amazonaws.com/tpl-fsLR"
PARCELS = FileKind("statmap", "parcels", ".tsv")


def map_path(
    entities: Entities,
    bundle: ModelBundle,
    extension: str,
    contrast: str | None = None,
    *,
    places: VoxelPlaces | None = None,
) -> PurePosixPath:
    """Return the path of maps or of their sidecar, relative to the output folder.

    `contrast` is None if all contrasts are in one file, `places` if they are the model's.
    """
    named = {
        **entities,
        **(places or bundle.places).entities,
        "contrast": contrast,
        "stat": bundle.card.part.statistic,
        "desc": SYNTHETIC,
    }
    return build_path(named, "statmap", extension)


def _half_width_path(
    bundle: ModelBundle, extension: str, contrast: str | None = None
) -> PurePosixPath:
    named = {"contrast": contrast, "stat": bundle.card.part.statistic}
    return half_width_path({**bundle.places.entities, **named}, extension)


def _images(
    values: Maps,
    contrasts: Sequence[Contrast],
    bundle: ModelBundle,
    path: Callable[..., PurePosixPath],
    encode: Callable[[Contrast], bytes],
    threads: int,
) -> Iterator[File]:
    """Yield an image per contrast, encoded in threads; for parcels, one image of all contrasts."""
    if isinstance(bundle.places, ParcelPlaces):
        chosen = values[[contrast.index for contrast in contrasts]]
        image = bundle.places.encode_maps(
            chosen, [contrast.label for contrast in contrasts]
        )
        yield path(bundle.places.extension), image
        return
    with ThreadPoolExecutor(threads) as pool:
        for first in range(
            0, len(contrasts), threads
        ):  # hold only a few images in memory
            some = contrasts[first : first + threads]
            paths = [path(".nii.gz", contrast.label) for contrast in some]
            yield from zip(paths, pool.map(encode, some), strict=True)


def map_files(
    entities: Entities,
    maps: Maps,
    contrasts: Sequence[Contrast],
    request: Request,
    places: VoxelPlaces | None = None,
) -> Iterator[File]:
    """Encode maps: one file per contrast, or for parcels one file of all contrasts.

    Parameters
    ----------
    entities
        BIDS entities of the average.
    maps
        Maps of all contrasts, at `places`.
    contrasts
        Contrasts to write.
    request
        What the user asks for.
    places
        Voxels of another space; None: the model's voxels or parcels.
    """
    bundle = request.bundle
    facts = {
        "Synthetic": True,
        "GeneratedBy": f"bids_dtg {__version__}",
        **model_facts(bundle),
        "DenoiseStrategy": request.settings.cleaning.denoise_strategy,
    }

    def encode(contrast: Contrast) -> bytes:
        own = {
            "Description": NOT_MEASURED + contrast.description,
            "Contrast": contrast.label,
        }
        return (places or bundle.voxels).encode(
            maps[contrast.index],
            intent="z score" if bundle.card.part.statistic == "z" else "none",
            description=f"bids_dtg {__version__} {contrast.label} {SYNTHETIC}",
            facts={**own, **facts},
        )

    path = partial(map_path, entities, bundle, places=places)
    return _images(maps, contrasts, bundle, path, encode, request.threads)


def average_sidecar(
    entities: Entities,
    estimate: Estimate,
    contrasts: Sequence[Contrast],
    request: Request,
    *,
    runs: Sequence[RunSummary],
    left_out: Mapping[str, str],
) -> File:
    """Return the sidecar that all files of an average's maps inherit.

    Parameters
    ----------
    entities, contrasts, request
        As for `map_files`.
    estimate
        Predicted maps of the average.
    runs
        Quality metrics of the runs that were averaged.
    left_out
        Reason for each run that was left out, by its title.
    """
    by_dof = math.isfinite(estimate.residual_dof)
    bundle, names, settings = request.bundle, request.path_names, request.settings
    part, training, source = (
        bundle.card.part,
        bundle.card.training,
        request.dataset.name,
    )
    common = {
        "Description": f"{NOT_MEASURED}{counted(len(contrasts), 'contrast')}, one map each",
        "Sources": [
            uri for summary in runs for uri in run_sources(summary.run, source)
        ],
        "Synthetic": True,
        "Units": part.units,
        **bundle.metadata,
        **model_facts(bundle),
        "ModelTraining": {
            "Data": training.data,
            "Participants": training.participants,
            "RepetitionTime": training.repetition_time_s,
            "Cleaning": training.cleaning,
            "VoxelSize": rounded(bundle.training_voxel_mm),
            **({"PeopleKnown": False} if bundle.people is None else {}),
        },
        "NSegments": estimate.n_segments,
        "SecondsOfRest": round(estimate.seconds, 3),
        RESIDUAL_DOF: round(estimate.residual_dof, 2) if by_dof else None,
        "SegmentsWeightedBy": RESIDUAL_DOF if by_dof else "SecondsOfRest",
        "InputType": settings.inputs.input_type,
        "DenoiseStrategy": settings.cleaning.denoise_strategy,
        "Runs": [summary.facts for summary in runs],
        "ExcludedRuns": {run: names.hide(why) for run, why in left_out.items()},
        **form_facts(part.connectome),
        # Published models have no intervals, because these need measured maps of held-out people.
        "Intervals": bundle.half_widths is not None,
        **_interval_facts(bundle),
        **_note_on_intervals(bundle, estimate.n_segments),
    }
    if bundle.correction is not None:
        common["Recentred"] = True
        if part.recentring is not None:
            common["RecentringParticipants"] = part.recentring.participants
            if part.recentring.left_out_in_turn:
                common["RecentringLeftOutInTurn"] = True
    common |= notes_on_average(bundle.card, runs, settings)
    common[DETAILS] = {
        contrast.label: {
            "Description": f"{NOT_MEASURED}{contrast.description}",
            "Task": contrast.task,
            "Contrast": contrast.name,
            **({} if part.gains is None else {"Gain": part.gains[contrast.index]}),
            **_note_on_individuality(bundle, contrast.label),
        }
        for contrast in contrasts
    }
    return shared_sidecar_path(entities, "statmap"), common


def _note_on_individuality(bundle: ModelBundle, label: str) -> dict[str, Any]:
    """Note that a contrast's map is the same for everybody, or hardly tells people apart."""
    if label in bundle.card.part.not_individual:
        return dict(WORDS["not_individual"])
    if label not in (scores := bundle.hardly_individual):
        return {}
    mean, low, high = scores[label]
    words = WORDS["hardly_individual"]
    return {
        key: text.format(mean=mean, low=low, high=high) for key, text in words.items()
    }


def region_files(
    entities: Entities,
    atlas: Atlas,
    maps: Maps,
    contrasts: Sequence[Contrast],
    *,
    bundle: ModelBundle,
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[File]:
    """Yield the table of means over an atlas' parcels, with its sidecar.

    Parameters
    ----------
    entities
        BIDS entities of the average.
    atlas
        The atlas at the model's voxels, or at a surface's vertices.
    maps
        Maps of all contrasts, at the same voxels or vertices.
    contrasts
        Contrasts to write.
    bundle
        The model.
    facts
        Further fields of the sidecar.
    """
    if atlas.surface is None:
        words, space = WORDS["regions"], bundle.grid.space
        reference = bundle.grid.metadata["SpatialReference"]
    else:
        words, space, reference = WORDS["regions_of_vertices"], SURFACE, _FS_LR
    named = {**atlas.entities, "stat": bundle.card.part.statistic}
    own = {**entities, "space": space, **named}
    rows = [contrast.index for contrast in contrasts]
    counts = region_voxels(maps, atlas)[rows]
    coverage = counts / np.maximum(atlas.voxels, 1)
    means = region_means(maps, atlas, MIN_COVERAGE)[rows]
    columns = {
        name: {"Description": text.format(least=MIN_COVERAGE)}
        for name, text in words.items()
    }
    columns["mean"]["Units"] = bundle.card.part.units
    content = {
        "Description": "Means of the predicted maps over the parcels of an atlas, one row per "
        "contrast and parcel",
        **columns,
        "SpatialReference": reference,
        "MinCoverage": MIN_COVERAGE,
        **atlas_facts(atlas),
        **facts,
    }
    yield REGIONS.path(own, ".json"), content
    parcels = [f"{index}\t{name_cell(name)}" for index, name in atlas.parcels.items()]
    lines = ["\t".join(words)]
    for row, contrast in enumerate(contrasts):
        cells = (values[row].tolist() for values in (means, coverage, counts))
        for parcel, mean, share, count in zip(parcels, *cells, strict=True):
            cell = "n/a" if math.isnan(mean) else f"{mean:.7g}"
            lines.append(f"{contrast.label}\t{parcel}\t{cell}\t{share:.4f}\t{count}")
    yield REGIONS.path(own, ".tsv"), ("\n".join(lines) + "\n").encode()


def parcel_files(
    entities: Entities, maps: Maps, contrasts: Sequence[Contrast], bundle: ModelBundle
) -> Iterator[File]:
    """Yield the table of a model of parcels: predicted values, the group's, and their difference.

    Parameters are as for `region_files`.
    """
    own = {**entities, **bundle.places.entities, "stat": bundle.card.part.statistic}
    columns = {
        name: {"Description": text.format(level=LEVEL)}
        for name, text in WORDS["parcels"].items()
    }
    for name in list(columns)[2:]:
        columns[name]["Units"] = bundle.card.part.units
    about = "Predicted values at the model's parcels, one row per contrast and parcel"
    yield (
        PARCELS.path(own, ".json"),
        {"Description": about, **columns, **model_facts(bundle)},
    )
    assert isinstance(bundle.places, ParcelPlaces)  # of a model of parcels
    unknown = np.full_like(maps, np.nan)
    group = unknown if bundle.mean is None else bundle.mean
    widths = unknown if bundle.half_widths is None else bundle.half_widths.at_places
    lines = ["\t".join(columns)]
    for contrast in contrasts:
        row = contrast.index
        values = np.stack(
            [maps[row], group[row], maps[row] - group[row], widths[row]], axis=1
        )
        for name, numbers in zip(
            bundle.places.names, number_lines(values), strict=True
        ):
            lines.append(f"{contrast.label}\t{name_cell(name)}\t{numbers}")
    yield PARCELS.path(own), ("\n".join(lines) + "\n").encode()


def half_width_files(bundle: ModelBundle, values: Maps, threads: int) -> Iterator[File]:
    """Yield the maps of a model's half-widths, the same for all participants, then their sidecar.

    Parameters
    ----------
    bundle
        The model.
    values
        Its half-widths at its voxels or parcels.
    threads
        Number of maps encoded at the same time.
    """

    def encode(contrast: Contrast) -> bytes:
        widths = values[contrast.index]
        return bundle.voxels.encode_steps(
            widths,
            float(np.nanmax(widths, initial=0.0)) / _STEPS or 1.0,
            description=f"bids_dtg {__version__} {contrast.label} half-width",
            facts={"Contrast": contrast.label, **model_facts(bundle)},
        )

    path = partial(_half_width_path, bundle)
    yield from _images(values, bundle.contrasts, bundle, path, encode, threads)
    details: dict[str, dict[str, Any]] = {
        contrast.label: {"Task": contrast.task, "Contrast": contrast.name}
        for contrast in bundle.contrasts
    }
    for gap, own in zip(np.isnan(values).mean(axis=1), details.values(), strict=True):
        if gap:
            own |= {"ShareWithoutInterval": round(float(gap), 4)}
            own |= {"MissingValues": WORDS["no_interval"]}
    content = {
        "Description": WORDS["half_width"].format(level=LEVEL),
        "Units": bundle.card.part.units,
        **bundle.metadata,
        **model_facts(bundle),
        **_interval_facts(bundle),
        "IntervalCovers": WORDS["interval_covers"].format(level=LEVEL),
        DETAILS: details,
    }
    yield path(".json"), content


def half_width_paths(bundle: ModelBundle) -> list[PurePosixPath]:
    """Return the paths of `half_width_files`."""
    if bundle.card.part.parcels:
        images = [_half_width_path(bundle, bundle.places.extension)]
    else:
        images = [
            _half_width_path(bundle, ".nii.gz", found.label)
            for found in bundle.contrasts
        ]
    return [*images, _half_width_path(bundle, ".json")]


def form_facts(form: Form) -> dict[str, Any]:
    """Return the sidecar fields on the form of connectome; none for the published form."""
    if form == MARGINAL:
        return {}
    return {
        "Connectome": {
            "Form": form.name,
            "Description": form.words,
            "RidgePenalty": PENALTY,
            "PlacesStandardised": form.joint,
        }
    }


def _interval_facts(bundle: ModelBundle) -> dict[str, Any]:
    """Return the fields on the intervals' level and the people they were estimated from."""
    if (found := bundle.half_widths) is None:
        return {}
    return {
        "IntervalLevel": LEVEL / 100,
        "IntervalParticipants": found.people,
        "IntervalSegments": found.segments,
    }


def _note_on_intervals(bundle: ModelBundle, segments: int) -> dict[str, str]:
    """Note that maps average another number of segments than the intervals assume."""
    if (found := bundle.half_widths) is None or segments == found.segments:
        return {}
    than = "wider" if segments < found.segments else "narrower"
    return {
        "IntervalNote": f"The maps are means over {counted(segments, 'segment')} of rest, but the "
        f"intervals are for means over {found.segments}: correct ones may be {than}."
    }
