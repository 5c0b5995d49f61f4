"""Write the files of an average of contrast maps, and of each of its runs.

Each function returns the paths of what it wrote, or raises `OutputError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.panels.run import nodes_of, roi_names
from bids_dtg.contrasts.participant.outputs import MAPS, REGIONS
from bids_dtg.contrasts.participant.outputs.maps import (
    WORDS,
    AverageMaps,
    Entities,
    File,
    asymmetry_files,
    average_sidecar,
    form_facts,
    half_width_files,
    half_width_paths,
    map_files,
    parcel_files,
    region_files,
)
from bids_dtg.contrasts.participant.outputs.spaces import (
    LABEL_EXTENSIONS,
    T1W,
    label_files,
    space_sidecar,
)
from bids_dtg.contrasts.participant.outputs.surfaces import (
    at_parcels,
    sample_mesh,
    surface_facts,
    surface_map_files,
)
from bids_dtg.contrasts.participant.quality import RunSummary
from bids_dtg.contrasts.participant.request import Request, SpaceSampling
from bids_dtg.files.names import FileKind, build_path
from bids_dtg.files.sidecars import shared_sidecar_path
from bids_dtg.files.text import read_json, tsv_text
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.painting import Painting
from bids_dtg.participants.origin import (
    WHY_MODEL,
    begin_replacing,
    model_facts,
    run_sources,
)
from bids_dtg.participants.request import AveragedRuns, run_entities
from bids_dtg.report.presentation import PanelFile, write_panel_files

_SERIES = FileKind("timeseries", "rois", ".tsv")


@dataclass(frozen=True, eq=False)
class RunRead:
    """What is written of a run; its segments are averaged with those of other runs."""

    summary: RunSummary  # quality measures and decisions
    connectomes: RunConnectomes | None  # only if they are written
    report_files: tuple[PanelFile, ...]  # small files for the report
    seconds: float  # time for its connectomes


def write_run(
    request: Request, run: RunRead, seconds_of_maps: float
) -> list[PurePosixPath]:
    """Write the files of one run: quality, report data and, if requested, connectomes."""
    summary, connectomes = run.summary, run.connectomes
    entities = run_entities(summary.run)
    not_individual = request.bundle.part.not_individual
    figures = {
        **summary.figures,
        "not_individual": ", ".join(not_individual) or None,
        "seconds_processing": round(run.seconds + seconds_of_maps, 2),
    }
    tables = (request.presentation.quality_file(figures), *run.report_files)
    files = [*write_panel_files(tables, entities, request.output)]
    nodes_of(request.bundle).write(request.output)
    if connectomes is not None:
        request = request.as_in(summary.run)
        form = request.bundle.part.connectome
        for rows in form.set_rows(len(connectomes.roi_r)):
            name = form.set_name(rows)
            set_connectomes = connectomes.of_rows(rows) if name else connectomes
            named = {**entities, "seg": name} if name else entities
            files += _write(
                request, _connectome_files(request, summary, set_connectomes, named)
            )
    return files


# Long because of its order: what can fail comes before the earlier report is removed.
def write_average(
    request: Request,
    planned: AveragedRuns,
    estimate: Estimate,
    *,
    runs: Sequence[RunSummary],
    left_out: Mapping[str, str],
    elsewhere: Sequence[SpaceSampling],
) -> list[PurePosixPath]:
    """Write the maps of an average, also in further spaces, with their sidecar and tables."""
    model, files = request.bundle, _labels(request, elsewhere)
    request = request.as_in(runs[0].run)
    source, names = request.dataset.name, request.path_names
    # Surfaces come first, because an error here must leave earlier results as they are.
    surfaces = request.surfaces(planned)
    root = planned.runs[0].root
    facts_on = partial(
        surface_facts, files=surfaces, root=root, source=source, names=names
    )
    maps = estimate.values
    meshes = [(mesh, sample_mesh(model, mesh, surfaces)) for mesh in request.meshes]
    at_atlases = [
        (atlas, at_parcels(model, atlas, maps, surfaces)) for atlas in request.atlases
    ]
    begin_replacing(request, planned)
    contrasts = [
        row for row in request.contrasts if not np.isnan(maps[row.index]).all()
    ]
    average = AverageMaps(planned.entities, maps, contrasts, request.bundle)
    sidecar = average_sidecar(
        average,
        estimate,
        request.settings,
        source,
        runs=runs,
        left_out={title: names.hide(why) for title, why in left_out.items()},
    )
    if request.why_model:
        sidecar[WHY_MODEL] = request.why_model
    shared = shared_sidecar_path(planned.entities, "statmap")
    files += _write(request, [(shared, sidecar)])
    if MAPS in request.kinds:
        files += _half_widths(request)
        files += _write(request, _map_files(request, average))
        for target, voxels, sampling in elsewhere:
            in_space = replace(average, values=sampling.apply(maps), voxels=voxels)
            space_facts = space_sidecar(in_space, target, root, source)
            files += _write(request, [space_facts])
            files += _write(request, _map_files(request, in_space))
        for mesh, sampling in meshes:
            on_mesh = surface_map_files(average, mesh, sampling, facts_on(mesh))
            files += _write(request, on_mesh)
    if REGIONS in request.kinds:
        for atlas, values in at_atlases:
            facts = {} if atlas.surface is None else facts_on("fsLR")
            if request.parcels is not None:
                facts = WORDS["painted_regions"]
            at_atlas = replace(average, values=values)
            files += _write(request, region_files(at_atlas, atlas, facts))
    return files


def _map_files(request: Request, average: AverageMaps) -> Iterator[File]:
    """Yield maps at places of voxels, or at parcels with their tables."""
    strategy = request.settings.cleaning.denoise_strategy
    yield from map_files(average, strategy, request.threads)
    if request.parcels is not None and average.voxels is None:
        yield from parcel_files(average)
        yield from asymmetry_files(average)


def _write(request: Request, files: Iterable[File]) -> list[PurePosixPath]:
    paths = list[PurePosixPath]()
    for path, content in files:
        request.output.write(path, content)
        paths.append(path)
    return paths


def _half_widths(request: Request) -> list[PurePosixPath]:
    """Write the files of the model's half-widths, unless they exist; return their paths."""
    bundle, output = request.bundle, request.output
    if bundle.half_widths is None:
        return []
    paths = half_width_paths(bundle)
    if all(output.path(path).exists() for path in paths):
        # Existing files may be of another model that an earlier run used.
        sidecar = read_json(output.path(paths[-1]))
        if sidecar.get("ModelSHA256") == bundle.identity:
            return paths
    values = bundle.half_widths.at_places
    _write(request, half_width_files(bundle, values, request.threads))
    return paths


def _labels(
    request: Request, elsewhere: Sequence[SpaceSampling]
) -> list[PurePosixPath]:
    """Write label images of templates in which parcels are painted; return their paths.

    All participants share them.
    """
    output, paths = request.output, list[PurePosixPath]()
    for target, voxels, sampling in elsewhere:
        if MAPS not in request.kinds or not isinstance(sampling, Painting):
            continue
        if target.grid.space == T1W:  # the person's own
            continue
        files = label_files(request.bundle, target, voxels, sampling)
        sidecar, facts = next(files)
        shared = [sidecar.with_suffix(extension) for extension in LABEL_EXTENSIONS]
        exist = all(output.path(path).exists() for path in shared)
        if not exist or read_json(output.path(sidecar)) != facts:
            _write(request, [*files, (sidecar, facts)])
        paths += shared
    return paths


def _connectome_files(
    request: Request,
    summary: RunSummary,
    connectomes: RunConnectomes,
    entities: Entities,
) -> Iterator[File]:
    """Yield the files of a run's connectome, of one set of ROIs."""
    bundle = request.bundle
    rois = roi_names(len(connectomes.roi_r))
    sources = run_sources(summary.run, request.dataset.name)
    facts = {"Sources": sources, **model_facts(bundle)}
    whole = connectomes.whole
    assert whole is not None  # requested
    form = whole.form
    places = bundle.places
    image_entities = {
        **places.entities,
        **entities,  # perhaps with a set of ROIs as seg-
        "stat": form.statistic,
        "desc": "connectome",
    }
    if isinstance(places, ParcelPlaces):
        values = np.where(connectomes.covered, whole.r, np.float32("nan"))
        image = places.encode_maps(values, rois)
    else:
        image = bundle.voxels.encode(
            whole.r,
            intent="none" if form.joint else "correlation",
            description="bids_dtg connectome, one volume per ROI",
        )
    yield build_path(image_entities, "statmap", places.extension), image
    volume = "map" if bundle.part.parcels else "volume"
    words = WORDS["connectome"]["map"]
    sidecar = {
        "Description": words.format(volume=volume, form=form.words),
        "Synthetic": False,  # unlike the maps of the average, whose sidecar applies here too
        "Units": "arbitrary",
        **bundle.metadata,
        **facts,
        **form_facts(form),
    }
    yield build_path(image_entities, "statmap", ".json"), sidecar
    yield from _series_files(summary, connectomes, rois, entities, facts)


def _series_files(
    summary: RunSummary,
    connectomes: RunConnectomes,
    rois: Sequence[str],
    entities: Entities,
    facts: Mapping[str, Any],
) -> Iterator[File]:
    """Yield the table of a run's ROI series, with its sidecar."""
    rows = [[f"{value:.6g}" for value in frame] for frame in connectomes.series]
    yield _SERIES.path(entities), tsv_text(rois, rows).encode()
    columns = {
        roi: {"Description": f"ROI map {number} of the model", "Units": "arbitrary"}
        for number, roi in enumerate(rois, start=1)
    }
    sidecar = {
        "Description": WORDS["connectome"]["series"],
        **columns,
        "RepetitionTime": summary.figures["repetition_time"],
        "Frames": summary.figures["frames"],
        "FramesKept": len(connectomes.series),
        **facts,
    }
    yield _SERIES.path(entities, ".json"), sidecar
