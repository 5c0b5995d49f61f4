"""Write the files of an average of contrast maps, and of each of its runs.

Each function returns the paths of what it wrote, or raises `OutputError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.panels.run import nodes_of
from bids_dtg.contrasts.participant.outputs import MAPS, REGIONS
from bids_dtg.contrasts.participant.outputs.maps import (
    WORDS,
    Entities,
    File,
    Maps,
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
    Sampling,
    Target,
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
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.files.names import FileKind, build_path
from bids_dtg.files.sidecars import shared_sidecar_path
from bids_dtg.files.text import read_json, tsv_text, write_json
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.meshes import MeshName
from bids_dtg.imaging.surfaces.painting import Painting
from bids_dtg.participants.origin import WHY_MODEL, model_facts, run_sources
from bids_dtg.participants.request import AveragedRuns, run_entities
from bids_dtg.report.participant import discard_report
from bids_dtg.report.presentation import PanelFile, write_panel_files

_SERIES = FileKind("timeseries", "rois", ".tsv")


def write_run(
    request: Request,
    summary: RunSummary,
    *,
    seconds: float,
    report_files: Sequence[PanelFile],
    connectomes: RunConnectomes | None,
) -> list[PurePosixPath]:
    """Write the files of one run: quality, report data and, if requested, connectomes."""
    entities = run_entities(summary.run)
    not_individual = request.bundle.card.part.not_individual
    figures = {
        **summary.figures,
        "not_individual": ", ".join(not_individual) or None,
        "seconds_processing": round(seconds, 2),
    }
    tables = (request.presentation.quality_file(figures), *report_files)
    files = [*write_panel_files(tables, entities, request.output)]
    nodes_of(request.bundle).write(request.output)
    if connectomes is not None:
        request = request.as_in(summary.run)
        form = request.bundle.card.part.connectome
        for rows in form.set_rows(len(connectomes.roi_r)):
            name = form.set_name(rows)
            of_set = connectomes.of_rows(rows) if name else connectomes
            named = {**entities, "seg": name} if name else entities
            files += _write(request, _connectome_files(request, summary, of_set, named))
    return files


# Long because of its order: what can fail comes before the earlier report is removed.
def write_average(
    request: Request,
    planned: AveragedRuns,
    estimate: Estimate,
    *,
    runs: Sequence[RunSummary],
    left_out: Mapping[str, str],
    elsewhere: Sequence[tuple[Target, VoxelPlaces, Sampling]],
) -> list[PurePosixPath]:
    """Write the maps of an average, also in further spaces, with their sidecar and tables."""
    model, files = request.bundle, _labels(request, elsewhere)
    request = request.as_in(runs[0].run)
    bundle, entities = request.bundle, planned.entities
    maps = estimate.values
    source, names = request.dataset.name, request.path_names
    # Surfaces come first, because an error here must leave earlier results as they are.
    surfaces = request.surfaces(planned)
    root = planned.runs[0].root
    facts_on = partial(
        surface_facts, files=surfaces, root=root, source=source, names=names
    )
    meshes = [(mesh, sample_mesh(model, mesh, surfaces)) for mesh in request.meshes]
    at_atlases = [
        (atlas, at_parcels(model, atlas, maps, surfaces)) for atlas in request.atlases
    ]
    # Remove an earlier report, which shows other maps, in case making the new one fails.
    discard_report(request.output, planned.participant)
    contrasts = _contrasts_with_values(request, maps)
    sidecar = average_sidecar(
        estimate,
        contrasts,
        bundle,
        request.settings,
        source,
        runs=runs,
        left_out={title: names.hide(why) for title, why in left_out.items()},
    )
    if request.why_model:
        sidecar[WHY_MODEL] = request.why_model
    files += _write(request, [(shared_sidecar_path(entities, "statmap"), sidecar)])
    if MAPS in request.kinds:
        files += _write_maps(
            request,
            planned,
            maps,
            contrasts,
            elsewhere=elsewhere,
            meshes=meshes,
            facts_on=facts_on,
        )
    if REGIONS in request.kinds:
        for atlas, values in at_atlases:
            facts = {} if atlas.surface is None else facts_on("fsLR")
            if bundle.card.part.parcels:
                facts = WORDS["painted_regions"]
            regions = region_files(
                entities, atlas, values, contrasts, bundle=bundle, facts=facts
            )
            files += _write(request, regions)
    return files


def _contrasts_with_values(request: Request, maps: Maps) -> list[Contrast]:
    contrasts = request.contrasts
    return [row for row in contrasts if not np.isnan(maps[row.index]).all()]


def _write_maps(
    request: Request,
    planned: AveragedRuns,
    maps: Maps,
    contrasts: Sequence[Contrast],
    *,
    elsewhere: Sequence[tuple[Target, VoxelPlaces, Sampling]],
    meshes: Sequence[tuple[MeshName, Sampling]],
    facts_on: Callable[[MeshName], dict[str, Any]],
) -> list[PurePosixPath]:
    """Write maps at the model's places, in further spaces and on meshes."""
    bundle, entities = request.bundle, planned.entities
    files = _write(request, _map_files(request, entities, maps, contrasts))
    files += _half_widths(request)
    if isinstance(bundle.places, ParcelPlaces):
        for tables in (parcel_files, asymmetry_files):
            files += _write(request, tables(entities, maps, contrasts, bundle))
    root, source = planned.runs[0].root, request.dataset.name
    for target, voxels, sampling in elsewhere:
        files_in_space = space_sidecar(entities, target, bundle, root, source)
        files += _write(request, [files_in_space])
        resampled = sampling.apply(maps)
        in_space = _map_files(request, entities, resampled, contrasts, voxels)
        files += _write(request, in_space)
    for mesh, sampling in meshes:
        on_mesh = surface_map_files(
            entities,
            mesh,
            sampling,
            maps,
            contrasts,
            bundle=bundle,
            facts=facts_on(mesh),
        )
        files += _write(request, on_mesh)
    return files


def _map_files(
    request: Request,
    entities: Entities,
    maps: Maps,
    contrasts: Sequence[Contrast],
    places: VoxelPlaces | None = None,
) -> Iterator[File]:
    return map_files(
        entities,
        maps,
        contrasts,
        request.bundle,
        strategy=request.settings.cleaning.denoise_strategy,
        threads=request.threads,
        places=places,
    )


def _write(request: Request, files: Iterable[File]) -> list[PurePosixPath]:
    output = request.output
    paths = list[PurePosixPath]()
    for path, content in files:
        if isinstance(content, bytes):
            output.write(path, content)
        else:
            write_json(output.path(path), content)
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
    request: Request, elsewhere: Sequence[tuple[Target, VoxelPlaces, Sampling]]
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
    rois = [f"roi{number:02d}" for number in range(1, len(connectomes.roi_r) + 1)]
    sources = run_sources(summary.run, request.dataset.name)
    facts = {"Sources": sources, **model_facts(bundle)}
    whole = connectomes.whole
    assert whole is not None  # requested
    form = whole.form
    places = bundle.places
    of_image = {
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
    yield build_path(of_image, "statmap", places.extension), image
    volume = "map" if bundle.card.part.parcels else "volume"
    words = WORDS["connectome"]["map"]
    sidecar = {
        "Description": words.format(volume=volume, form=form.words),
        "Synthetic": False,  # unlike the maps of the average, whose sidecar applies here too
        "Units": "arbitrary",
        **bundle.metadata,
        **facts,
        **form_facts(form),
    }
    yield build_path(of_image, "statmap", ".json"), sidecar
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
