"""Write the files of an average of contrast maps, and of each of its runs.

Each function returns the paths of what it wrote, or raises `OutputError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.panels.run import nodes_of
from bids_dtg.contrasts.participant.outputs import MAPS, REGIONS
from bids_dtg.contrasts.participant.outputs.maps import (
    WORDS,
    Entities,
    File,
    average_sidecar,
    form_facts,
    half_width_files,
    half_width_paths,
    map_files,
    parcel_files,
    region_files,
)
from bids_dtg.contrasts.participant.outputs.spaces import Target, space_sidecar
from bids_dtg.contrasts.participant.outputs.surfaces import (
    at_parcels,
    sample_mesh,
    surface_facts,
    surface_map_files,
)
from bids_dtg.contrasts.participant.quality import RunSummary
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.files.names import FileKind, build_path
from bids_dtg.files.text import read_json, tsv_text, write_json
from bids_dtg.imaging.placement import PointSampling
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.participants.origin import model_facts, run_sources
from bids_dtg.participants.request import AveragedRuns, run_entities
from bids_dtg.report.participant import discard_report
from bids_dtg.report.presentation import Kept, write_kept
from bids_dtg.report.quality import write_quality

_SERIES = FileKind("timeseries", "rois", ".tsv")


def write_run(
    request: Request,
    summary: RunSummary,
    *,
    seconds: float,
    report_files: Sequence[Kept],
    connectomes: RunConnectomes | None,
) -> list[PurePosixPath]:
    """Write the files of one run: quality, report data and, if requested, connectomes."""
    entities = run_entities(summary.run)
    figures = {
        **summary.figures,
        "not_individual": ", ".join(request.bundle.card.part.not_individual) or None,
        "seconds_processing": round(seconds, 2),
    }
    columns = request.presentation.quality_columns
    files = [*write_quality(figures, columns, entities, request.output)]
    files += write_kept(report_files, entities, request.output)
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


def write_average(
    request: Request,
    planned: AveragedRuns,
    estimate: Estimate,
    *,
    runs: Sequence[RunSummary],
    left_out: Mapping[str, str],
    elsewhere: Sequence[tuple[Target, VoxelPlaces, PointSampling]],
) -> list[PurePosixPath]:
    """Write the maps of an average, also in further spaces, with their sidecar and tables."""
    request = request.as_in(runs[0].run)
    bundle, entities, maps = request.bundle, planned.entities, estimate.values
    root, source = planned.runs[0].root, request.dataset.name
    # Surfaces come first, because an error here must leave earlier results as they are.
    surfaces = request.surfaces(planned)
    meshes = [(name, sample_mesh(bundle, name, surfaces)) for name in request.meshes]
    at_atlases = [
        (atlas, at_parcels(bundle, atlas, maps, surfaces)) for atlas in request.atlases
    ]
    # Remove an earlier report, which shows other maps, in case making the new one fails.
    discard_report(request.output, planned.participant)
    contrasts = [
        contrast
        for contrast in request.contrasts
        if not np.isnan(maps[contrast.index]).all()
    ]
    sidecar = average_sidecar(
        entities, estimate, contrasts, request, runs=runs, left_out=left_out
    )
    files = _write(request, [sidecar])
    if MAPS in request.kinds:
        files += _write(request, map_files(entities, maps, contrasts, request))
        files += _half_widths(request)
        if isinstance(bundle.places, ParcelPlaces):
            files += _write(request, parcel_files(entities, maps, contrasts, bundle))
        for target, voxels, sampling in elsewhere:
            files += _write(
                request, [space_sidecar(entities, target, bundle, root, source)]
            )
            moved = map_files(
                entities, sampling.apply(maps), contrasts, request, voxels
            )
            files += _write(request, moved)
        for name, sampling in meshes:
            facts = surface_facts(name, surfaces, root, source, request.path_names)
            samples = surface_map_files(
                *(entities, name, sampling, maps, contrasts), bundle=bundle, facts=facts
            )
            files += _write(request, samples)
    if REGIONS in request.kinds:
        for atlas, values in at_atlases:
            facts = {}
            if atlas.surface is not None:
                names = request.path_names
                facts = surface_facts("fsLR", surfaces, root, source, names)
            regions = region_files(
                entities, atlas, values, contrasts, bundle=bundle, facts=facts
            )
            files += _write(request, regions)
    return files


def _write(request: Request, files: Iterable[File]) -> list[PurePosixPath]:
    output, paths = request.output, list[PurePosixPath]()
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
    there = all(output.path(path).exists() for path in paths)
    # Existing files may be of another model that an earlier run used.
    if (
        not there
        or read_json(output.path(paths[-1])).get("ModelSHA256") != bundle.identity
    ):
        values = bundle.half_widths.at_places
        _write(request, half_width_files(bundle, values, request.threads))
    return paths


def _connectome_files(
    request: Request,
    summary: RunSummary,
    connectomes: RunConnectomes,
    entities: Entities,
) -> Iterator[File]:
    """Yield the files of a run's connectome, of one set of ROIs."""
    bundle, source = request.bundle, request.dataset.name
    rois = [f"roi{number:02d}" for number in range(1, len(connectomes.roi_r) + 1)]
    whole, places = connectomes.whole, bundle.places
    assert whole is not None  # asked for
    form = whole.form
    named = {
        **entities,
        **places.entities,
        "stat": form.statistic,
        "desc": "connectome",
    }
    if isinstance(places, ParcelPlaces):
        there = np.where(connectomes.covered, whole.r, np.float32("nan"))
        image = places.encode_maps(there, rois)
    else:
        image = bundle.voxels.encode(
            whole.r,
            intent="none" if form.joint else "correlation",
            description="bids_dtg connectome, one volume per ROI",
        )
    yield build_path(named, "statmap", places.extension), image
    words, origin = WORDS["connectome"], {"Sources": run_sources(summary.run, source)}
    volume = "map" if bundle.card.part.parcels else "volume"
    content = {
        "Description": words["map"].format(volume=volume, form=form.words),
        "Synthetic": False,  # unlike the maps of the average, whose sidecar applies here too
        "Units": "arbitrary",
        **bundle.metadata,
        **origin,
        **model_facts(bundle),
        **form_facts(form),
    }
    yield build_path(named, "statmap", ".json"), content
    rows = [[f"{y:.6g}" for y in frame] for frame in connectomes.series]
    yield _SERIES.path(entities), tsv_text(rois, rows).encode()
    content = {
        "Description": words["series"],
        **{
            roi: {"Description": f"ROI map {number} of the model", "Units": "arbitrary"}
            for number, roi in enumerate(rois, start=1)
        },
        "RepetitionTime": summary.figures["repetition_time"],
        "Frames": summary.figures["frames"],
        "FramesKept": len(connectomes.series),
        **origin,
        **model_facts(bundle),
    }
    yield _SERIES.path(entities, ".json"), content
