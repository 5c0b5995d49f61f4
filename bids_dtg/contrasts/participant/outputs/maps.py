"""Files of an average's maps, tables of their means over atlases, and half-widths.

All maps of an average share one sidecar by BIDS inheritance. Fields that differ between contrasts
are listed in it by contrast label.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np

from bids_dtg.array_types import Float32, Floats
from bids_dtg.connectome.form import MARGINAL, PENALTY, Form
from bids_dtg.contrasts.asymmetry import (
    INDEX,
    INDEX_PREDICTED,
    MAP_PREDICTED,
)
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.half_width import LEVEL, half_width_path
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.panels.regions import PARCELS, region_columns, region_table
from bids_dtg.contrasts.participant.quality import RunSummary, notes_on_average
from bids_dtg.files.columns import data_dictionary
from bids_dtg.files.names import FileKind, build_path
from bids_dtg.files.regions import ASYMMETRY, name_cell
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.files.text import read_packaged
from bids_dtg.imaging.atlas import MIN_COVERAGE, Atlas, region_means, region_voxels
from bids_dtg.imaging.grid import standard_grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.inputs.run import SURFACE
from bids_dtg.notices import counted
from bids_dtg.participants.origin import atlas_facts, model_facts, run_sources
from bids_dtg.participants.quality import rounded
from bids_dtg.report.contents import DETAILS, NOT_MEASURED, SYNTHETIC
from bids_dtg.settings import Settings
from bids_dtg.version import __version__

# Path below the output folder, and content (for a JSON file, its fields).
File = tuple[PurePosixPath, bytes | dict[str, Any]]
Entities = Mapping[str, str]  # BIDS entities that an average's file names share

WORDS = tomllib.loads(read_packaged(__package__, "words.toml"))
_STEPS = 255  # largest 8-bit value
REGIONS = FileKind("statmap", "regions", ".tsv")
COLUMNS = tuple(WORDS["regions"])
_FS_LR = "https://templateflow.s3.amazonaws.com/tpl-fsLR"


@dataclass(frozen=True, eq=False)
class AverageMaps:
    """The maps of an average that are written, or a model's half-widths."""

    entities: Entities  # of the average; half-widths have none
    # (contrasts, places), of all contrasts of the model; NaN: no value. Places are the model's, or
    # those of another space or atlas.
    values: Float32
    contrasts: Sequence[Contrast]  # that are written
    bundle: ModelBundle  # the model
    voxels: VoxelPlaces | None = None  # of another space; None: the model's places

    @property
    def labels(self) -> list[str]:
        """Labels of the contrasts."""
        return [contrast.label for contrast in self.contrasts]

    @property
    def chosen(self) -> Float32:
        """The values of the contrasts that are written, (contrasts, places)."""
        return self.values[[contrast.index for contrast in self.contrasts]]


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
        "seg": bundle.part.atlas,
        "contrast": contrast,
        "stat": bundle.part.statistic,
        "desc": SYNTHETIC,
    }
    return build_path(named, "statmap", extension)


def _half_width_path(
    bundle: ModelBundle, extension: str, contrast: str | None = None
) -> PurePosixPath:
    named = {"contrast": contrast, "stat": bundle.part.statistic}
    return half_width_path({**bundle.places.entities, **named}, extension)


def _images(
    average: AverageMaps,
    path: Callable[..., PurePosixPath],
    encode: Callable[[Contrast], bytes],
    threads: int,
) -> Iterator[File]:
    """Yield an image per contrast, encoded in threads; for parcels, one image of all contrasts."""
    places = average.voxels or average.bundle.places
    if isinstance(places, ParcelPlaces):
        image = places.encode_maps(average.chosen, average.labels)
        yield path(places.extension), image
        return
    contrasts = average.contrasts
    with ThreadPoolExecutor(threads) as pool:
        # Only a few images are in memory at a time.
        for first in range(0, len(contrasts), threads):
            some = contrasts[first : first + threads]
            paths = [path(".nii.gz", contrast.label) for contrast in some]
            yield from zip(paths, pool.map(encode, some), strict=True)


def map_files(average: AverageMaps, strategy: str, threads: int) -> Iterator[File]:
    """Encode maps: one file per contrast, or for parcels one file of all contrasts.

    Parameters
    ----------
    average
        The maps.
    strategy
        How runs were cleaned.
    threads
        Number of maps encoded at the same time.
    """
    bundle, voxels = average.bundle, average.voxels
    facts = {
        "Synthetic": True,
        "GeneratedBy": f"bids_dtg {__version__}",
        **model_facts(bundle),
        "DenoiseStrategy": strategy,
    }
    intent = "z score" if bundle.part.statistic == "z" else "none"

    def encode(contrast: Contrast) -> bytes:
        contrast_facts = {
            "Description": NOT_MEASURED + contrast.description,
            "Contrast": contrast.label,
        }
        return (voxels or bundle.voxels).encode(
            average.values[contrast.index],
            intent=intent,
            description=f"bids_dtg {__version__} {contrast.label} {SYNTHETIC}",
            facts={**contrast_facts, **facts},
        )

    path = partial(map_path, average.entities, bundle, places=voxels)
    return _images(average, path, encode, threads)


def average_sidecar(
    average: AverageMaps,
    estimate: Estimate,
    settings: Settings,
    source: str,
    *,
    runs: Sequence[RunSummary],
    left_out: Mapping[str, str],
) -> dict[str, Any]:
    """Return the sidecar that all files of an average's maps inherit.

    Parameters
    ----------
    average
        The maps.
    estimate
        The prediction that they are from.
    settings
        The options.
    source
        Name of the dataset in BIDS URIs.
    runs
        Quality metrics of the runs that were averaged.
    left_out
        Reason for each run that was left out, by its title.
    """
    bundle, contrasts = average.bundle, average.contrasts
    by_dof = math.isfinite(estimate.residual_dof)
    part = bundle.part
    sources = list[str]()
    for summary in runs:
        sources += run_sources(summary.run, source)
    common = {
        "Description": f"{NOT_MEASURED}{counted(contrasts, 'contrast')}, one map each",
        "Sources": sources,
        "Synthetic": True,
        "Units": part.units,
        **bundle.metadata,
        **model_facts(bundle),
        "ModelTraining": _training_facts(bundle),
        **_held_out_facts(bundle),
        "NSegments": estimate.n_segments,
        "SecondsOfRest": round(estimate.seconds, 3),
        RESIDUAL_DOF: round(estimate.residual_dof, 2) if by_dof else None,
        "SegmentsWeightedBy": RESIDUAL_DOF if by_dof else "SecondsOfRest",
        "InputType": settings.inputs.input_type,
        "DenoiseStrategy": settings.cleaning.denoise_strategy,
        "Runs": [summary.facts for summary in runs],
        "ExcludedRuns": dict(left_out),
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
    common[DETAILS] = {row.label: _contrast_facts(row, bundle) for row in contrasts}
    return common


def _training_facts(bundle: ModelBundle) -> dict[str, Any]:
    training = bundle.card.training
    facts: dict[str, Any] = {
        "Data": training.data,
        "Participants": training.participants,
        "RepetitionTime": training.repetition_time_s,
        "Cleaning": training.cleaning,
        "VoxelSize": rounded(bundle.training_voxel_mm),
    }
    if bundle.people is None:
        facts["PeopleKnown"] = False
    return facts


def _held_out_facts(bundle: ModelBundle) -> dict[str, Any]:
    """Say how well maps told held-out people apart, if the model's card does."""
    evaluation = bundle.card.evaluation or {}
    held_out = evaluation.get("held_out")
    if held_out is None:
        return {}
    facts = {
        "Participants": held_out["people"],
        "MinutesOfRest": evaluation["minutes_of_rest"],
        "Identified": held_out["identified"],
    }
    return {"ModelHeldOut": facts}


def _contrast_facts(contrast: Contrast, bundle: ModelBundle) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "Description": f"{NOT_MEASURED}{contrast.description}",
        "Task": contrast.task,
        "Contrast": contrast.name,
    }
    gains = bundle.part.gains
    if gains is not None:
        facts["Gain"] = gains[contrast.index]
    return {**facts, **_note_on_individuality(bundle, contrast.label)}


def _note_on_individuality(bundle: ModelBundle, label: str) -> dict[str, Any]:
    """Note that a contrast's map is the same for everybody, or hardly tells people apart."""
    if label in bundle.part.not_individual:
        return dict(WORDS["not_individual"])
    scores = bundle.hardly_individual
    if label not in scores:
        return {}
    mean, low, high = scores[label]
    words = WORDS["hardly_individual"]
    return {
        key: text.format(mean=mean, low=low, high=high) for key, text in words.items()
    }


def region_files(
    average: AverageMaps, atlas: Atlas, facts: Mapping[str, Any]
) -> Iterator[File]:
    """Yield the table of means over an atlas' parcels, with its sidecar.

    Parameters
    ----------
    average
        The maps, at the atlas' voxels or vertices.
    atlas
        The atlas at the model's voxels, or at a surface's vertices.
    facts
        Further fields of the sidecar.
    """
    maps, bundle = average.values, average.bundle
    words = WORDS["regions_of_vertices"]
    space, reference = SURFACE, _FS_LR
    if atlas.surface is None:
        words = WORDS["regions"]
        grid = bundle.part.grid or standard_grid()  # parcels are painted on it
        space, reference = grid.space, grid.metadata["SpatialReference"]
    atlas_entities = {**atlas.entities, "stat": bundle.part.statistic}
    entities = {**average.entities, "space": space, **atlas_entities}
    rows = [contrast.index for contrast in average.contrasts]
    counts = region_voxels(maps, atlas)[rows]
    coverage = counts / np.maximum(atlas.voxels, 1)
    means = region_means(maps, atlas, MIN_COVERAGE)[rows]
    columns = {
        name: {"Description": text.format(least=MIN_COVERAGE)}
        for name, text in words.items()
    }
    columns["mean"]["Units"] = bundle.part.units
    content = {
        "Description": "Means of the predicted maps over the parcels of an atlas, one row per "
        "contrast and parcel",
        **columns,
        "SpatialReference": reference,
        "MinCoverage": MIN_COVERAGE,
        **atlas_facts(atlas),
        **facts,
    }
    yield REGIONS.path(entities, ".json"), content
    parcels = [f"{index}\t{name_cell(name)}" for index, name in atlas.parcels.items()]
    lines = ["\t".join(words)]
    for row, contrast in enumerate(average.labels):
        cells = (values[row].tolist() for values in (means, coverage, counts))
        for parcel, mean, share, count in zip(parcels, *cells, strict=True):
            cell = "n/a" if math.isnan(mean) else f"{mean:.7g}"
            lines.append(f"{contrast}\t{parcel}\t{cell}\t{share:.4f}\t{count}")
    yield REGIONS.path(entities, ".tsv"), ("\n".join(lines) + "\n").encode()


def parcel_files(average: AverageMaps) -> Iterator[File]:
    """Yield the table of a model of parcels: predicted, the group's, and their difference."""
    bundle, maps = average.bundle, average.values
    assert isinstance(bundle.places, ParcelPlaces)  # of a model of parcels
    unknown = np.full_like(maps, np.nan)
    group = unknown if bundle.mean is None else bundle.mean
    widths = unknown if bundle.half_widths is None else bundle.half_widths.at_places
    columns = {
        "predicted": maps,
        "group": group,
        "difference": maps - group,
        "half_width": widths,
    }
    about = "Predicted values at the model's parcels, one row per contrast and parcel"
    return _table_files(average, PARCELS, bundle.places.names, columns, about)


def asymmetry_files(average: AverageMaps) -> Iterator[File]:
    """Yield the same of left minus right and its index; nothing where parcels are no pairs."""
    bundle = average.bundle
    homologues, mean = bundle.homologues, bundle.mean
    if homologues is None or mean is None:
        return
    predicted = bundle.predicted_sides
    details = {
        label: dict(
            zip((MAP_PREDICTED, INDEX_PREDICTED), predicted[label], strict=True)
        )
        for label in average.labels
        if label in predicted
    }
    group = homologues.values(mean, mean)
    # An index is of deviations, so that pairs without data do not change its level.
    deviation = homologues.values(average.values - mean.astype(np.float64), mean)
    widths = np.full_like(group, np.nan)
    if bundle.asymmetry_widths is not None:
        widths = bundle.asymmetry_widths
    columns = {
        "predicted": group + deviation,
        "group": group,
        "difference": deviation,
        "half_width": widths,
    }
    names = (*homologues.names, INDEX)
    about = WORDS["asymmetry_about"]
    facts = {DETAILS: details}
    yield from _table_files(average, ASYMMETRY, names, columns, about, facts)


def _table_files(
    average: AverageMaps,
    kind: FileKind,
    names: Sequence[str],
    columns: Mapping[str, Floats],
    about: str,
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[File]:
    """Yield a table of values of a model of parcels, after its sidecar."""
    bundle = average.bundle
    part = bundle.part
    entities = {
        **average.entities,
        **bundle.places.entities,
        "stat": part.statistic,
    }
    sidecar = {
        "Description": about,
        **data_dictionary(region_columns(kind, part.units)),
        **model_facts(bundle),
        **facts,
    }
    yield kind.path(entities, ".json"), sidecar
    rows = {contrast.label: contrast.index for contrast in average.contrasts}
    yield kind.path(entities), region_table(kind, names, columns, rows)


def half_width_files(
    bundle: ModelBundle, values: Float32, threads: int
) -> Iterator[File]:
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
        step = float(np.nanmax(widths, initial=0.0)) / _STEPS or 1.0
        return bundle.voxels.encode_steps(
            widths,
            step,
            description=f"bids_dtg {__version__} {contrast.label} half-width",
            facts={"Contrast": contrast.label, **model_facts(bundle)},
        )

    path = partial(_half_width_path, bundle)
    contrasts = bundle.contrasts
    widths_of_model = AverageMaps({}, values, contrasts, bundle)
    yield from _images(widths_of_model, path, encode, threads)
    details = dict[str, dict[str, Any]]()
    gaps = np.isnan(values).mean(axis=1)  # (contrasts,), shares without an interval
    for contrast, gap in zip(contrasts, gaps, strict=True):
        facts: dict[str, Any] = {"Task": contrast.task, "Contrast": contrast.name}
        if gap:
            facts["ShareWithoutInterval"] = round(float(gap), 4)
            facts["MissingValues"] = WORDS["no_interval"]
        details[contrast.label] = facts
    content = {
        "Description": WORDS["half_width"].format(level=LEVEL),
        "Units": bundle.part.units,
        **bundle.metadata,
        **model_facts(bundle),
        **_interval_facts(bundle),
        "IntervalCovers": WORDS["interval_covers"].format(level=LEVEL),
        DETAILS: details,
    }
    yield path(".json"), content


def half_width_paths(bundle: ModelBundle) -> list[PurePosixPath]:
    """Return the paths of `half_width_files`."""
    path = partial(_half_width_path, bundle)
    if bundle.part.parcels:
        images = [path(bundle.places.extension)]
    else:
        images = [path(".nii.gz", contrast.label) for contrast in bundle.contrasts]
    return [*images, path(".json")]


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
    widths = bundle.half_widths
    if widths is None:
        return {}
    return {
        "IntervalLevel": LEVEL / 100,
        "IntervalParticipants": widths.people,
        "IntervalSegments": widths.segments,
    }


def _note_on_intervals(bundle: ModelBundle, segments: int) -> dict[str, str]:
    """Note that maps average another number of segments than the intervals assume."""
    widths = bundle.half_widths
    if widths is None or segments == widths.segments:
        return {}
    size = "wider" if segments < widths.segments else "narrower"
    return {
        "IntervalNote": f"The maps are means over {counted(segments, 'segment')} of rest, but the "
        f"intervals are for means over {widths.segments}: correct ones may be {size}."
    }
