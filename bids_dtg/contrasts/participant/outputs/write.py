"""Write the files of an average of contrast maps, and of each of its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from bids_dtg.cleaning.confounds import NOT_IN_TABLE
from bids_dtg.cleaning.words import Lacking
from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.panels.connectome import nodes_of
from bids_dtg.contrasts.participant.outputs.choice import HALF_WIDTHS, MAPS, REGIONS, Choice
from bids_dtg.contrasts.participant.outputs.half_width_files import (
    half_width_images,
    half_width_paths,
    half_width_sidecars,
)
from bids_dtg.contrasts.participant.outputs.layers import Layer, half_width_layer, maps_layer
from bids_dtg.contrasts.participant.outputs.map_files import (
    Origin,
    average_sidecar,
    form_facts,
    map_images,
    map_sidecars,
)
from bids_dtg.contrasts.participant.outputs.parcel_files import (
    layer_files,
    layer_path,
    layer_sidecars,
)
from bids_dtg.contrasts.participant.outputs.region_files import RegionTables
from bids_dtg.contrasts.participant.outputs.space_files import (
    space_facts,
    space_images,
    space_sidecars,
)
from bids_dtg.contrasts.participant.outputs.spaces import Target
from bids_dtg.contrasts.participant.outputs.surface_files import SurfaceMaps
from bids_dtg.contrasts.participant.quality import RunSummary
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import build_path
from bids_dtg.files.provenance import Fingerprint, completion_record, sets_made_otherwise
from bids_dtg.files.text import write_json, write_tsv
from bids_dtg.imaging.surfaces.parcel_places import ParcelPlaces
from bids_dtg.imaging.warp import Warp
from bids_dtg.participants.averages import AveragedRuns, run_entities
from bids_dtg.participants.complete import complete_average
from bids_dtg.participants.origin import model_facts, run_sources
from bids_dtg.report.pages.participant import discard_report
from bids_dtg.report.panels.panel import Kept, write_kept
from bids_dtg.report.presentation import Presentation
from bids_dtg.report.quality import write_quality


@dataclass(frozen=True, eq=False)
class Writer:
    """Writes the files of averages of maps; each method returns the paths of what it wrote.

    Raises
    ------
    OutputError
        In each method: a file cannot be written.
    """

    output: DerivativeDataset  # the output dataset
    bundle: ModelBundle  # the model whose maps they are
    origin: Origin  # origin of the maps, for their sidecars
    options: Mapping[str, Any]  # options that change results, for the completion records
    surfaces: SurfaceMaps  # writes maps on surfaces
    regions: RegionTables  # makes the tables of means over parcels
    threads: int  # maps encoded at the same time
    presentation: Presentation  # whose quality columns are written
    methods: Callable[[Lacking], str]  # methods text, by what confound tables lack
    targets: Callable[[AveragedRuns], Sequence[Target]]  # further spaces of an average
    choice: Choice  # what is written of each average

    def write_run(
        self,
        summary: RunSummary,
        *,
        seconds: float,
        kept: Sequence[Kept],
        connectomes: RunConnectomes | None,
    ) -> list[PurePosixPath]:
        """Write the files of one run: quality, report data and, if requested, connectomes."""
        entities = run_entities(summary.run)
        figures = {
            **summary.figures,
            "not_individual": ", ".join(self.bundle.card.part.not_individual) or None,
            "seconds_processing": round(seconds, 2),
        }
        columns = self.presentation.quality_columns
        files = [*write_quality(figures, columns, entities, self.output)]
        files += write_kept(kept, entities, self.output)
        for nodes in nodes_of(self.bundle).values():
            nodes.write(self.output)
        if connectomes is not None:
            form = self.bundle.card.part.connectome
            for name, rows in form.set_rows(len(connectomes.roi_r)).items():
                own = connectomes.of_rows(rows) if name else connectomes
                files += self._write_connectome(summary, own, {"seg": name} if name else {})
        return files

    def write_average(
        self,
        planned: AveragedRuns,
        estimate: Estimate,
        *,
        runs: Sequence[RunSummary],
        left_out: Mapping[str, str],
    ) -> list[PurePosixPath]:
        """Write the maps of an average with their sidecars and tables."""
        entities = dict(planned.entities)
        # First, as the surfaces may be refused.
        meshes = self.surfaces.read(planned)
        targets = self.targets(planned)
        warps = [(target, target.warp(self.bundle.voxels)) for target in targets]
        # An earlier report shows other maps, and a new one may fail.
        discard_report(self.output, planned.participant)
        choice = self.choice_of(planned)
        maps = maps_layer(estimate, self.bundle, choice.contrasts)
        images = [maps] if MAPS in choice.kinds else []
        # Half-widths are the same for all participants, and written once.
        widths = half_width_layer(self.bundle, choice.contrasts)
        shared = [widths] if widths is not None and HALF_WIDTHS in choice.kinds else []
        path, content = average_sidecar(
            entities,
            estimate,
            self.bundle,
            runs=runs,
            left_out=left_out,
            origin=self.origin,
        )
        write_json(self.output.path(path), content)
        if self.bundle.card.part.parcels:
            return [
                path,
                *self._write_parcels(entities, [*images, *shared]),
            ]
        return [
            path,
            *self._write_maps(entities, images),
            *self._write_half_widths(shared),
            *self._write_spaces(planned, images, warps, shared),
            *self.surfaces.write(planned, [*images, *shared], meshes, self.output),
            *(self._write_regions(entities, maps) if REGIONS in choice.kinds else ()),
        ]

    def choice_of(self, planned: AveragedRuns) -> Choice:
        """Return what is written of an average: what was asked for, and what is there already."""
        return self.choice.with_made(completion_record(self.output, planned.title))

    def complete(
        self,
        planned: AveragedRuns,
        inputs: Mapping[str, Fingerprint],
        files: Sequence[PurePosixPath],
        *,
        runs: Sequence[RunSummary],
    ) -> None:
        """Record that an average is complete, after all its other files have been written."""
        lacking = Lacking.of_runs(
            (run.confounds.get(NOT_IN_TABLE, ()) for run in runs),
            frames=any(run.confounds.get("dropped_interpolated") for run in runs),
        )
        complete_average(
            self.output,
            planned,
            inputs,
            files,
            options=self.options,
            methods=(lacking, self.methods(lacking)),
            made=self.choice_of(planned).to_json(),
        )

    def made_otherwise(self, participant: str) -> tuple[str, ...]:
        """Return the titles of averages that an earlier call averaged differently."""
        return sets_made_otherwise(self.output, participant, "combine", self.options["combine"])

    def _write_maps(
        self, entities: Mapping[str, str], layers: Sequence[Layer]
    ) -> Iterator[PurePosixPath]:
        for path, content in map_sidecars(entities, layers, self.bundle):
            write_json(self.output.path(path), content)
            yield path
        for image in map_images(entities, layers, self.bundle, threads=self.threads):
            self.output.write(image.path, image.data)
            yield image.path

    def _write_parcels(
        self, entities: Mapping[str, str], layers: Sequence[Layer]
    ) -> Iterator[PurePosixPath]:
        """Write a file for each kind of value; those that all participants share once."""
        bundle = self.bundle
        for layer in layers:
            # Of all contrasts: another call may choose others, and finds the file there.
            whole = replace(layer, contrasts=bundle.contrasts) if layer.everybody else layer
            paths = [
                layer_path(entities, layer, bundle, extension)
                for extension in (".json", bundle.places.extension)
            ]
            yield from paths
            if layer.everybody and all(self.output.path(path).exists() for path in paths):
                continue
            for path, content in layer_sidecars(entities, [whole], bundle):
                write_json(self.output.path(path), content)
            for file in layer_files(entities, [whole], bundle):
                self.output.write(file.path, file.data)

    def _write_half_widths(
        self,
        layers: Sequence[Layer],
        target: Target | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Iterator[PurePosixPath]:
        """Write the files that are the same for all participants, unless they exist.

        `target` is another template, and `facts` its sidecar fields.
        """
        grid = None if target is None else target.grid
        for layer in layers:
            images = half_width_paths(self.bundle, layer, grid)
            files = [
                *images,
                *(path.with_name(path.name.removesuffix(".nii.gz") + ".json") for path in images),
            ]
            if not all(self.output.path(path).exists() for path in files):
                sidecars = half_width_sidecars(self.bundle, layer, grid, facts)
                for path, content in sidecars:
                    write_json(self.output.path(path), content)
                warp = None if target is None else target.warp(self.bundle.voxels)
                for image in half_width_images(self.bundle, layer, warp, threads=self.threads):
                    self.output.write(image.path, image.data)
            yield from files

    def _write_spaces(
        self,
        planned: AveragedRuns,
        layers: Sequence[Layer],
        warps: Sequence[tuple[Target, Warp]],
        shared: Sequence[Layer],
    ) -> Iterator[PurePosixPath]:
        """Write the maps, and the half-widths, in further spaces."""
        entities, root = dict(planned.entities), planned.runs[0].root
        for target, warp in warps:
            facts = space_facts(target, self.bundle, root, self.origin.source)
            # On a template they are the same for all participants.
            own = [*layers, *(shared if target.personal else ())]
            sidecars = space_sidecars(entities, own, self.bundle, target, facts)
            for path, content in sidecars:
                write_json(self.output.path(path), content)
                yield path
            for image in space_images(entities, own, self.bundle, warp, threads=self.threads):
                self.output.write(image.path, image.data)
                yield image.path
            if not target.personal:
                yield from self._write_half_widths(shared, target, facts)

    def _write_regions(self, entities: Mapping[str, str], maps: Layer) -> Iterator[PurePosixPath]:
        for path, content in self.regions.sidecars(entities):
            write_json(self.output.path(path), content)
            yield path
        for file in self.regions.files(entities, maps):
            self.output.write(file.path, file.data)
            yield file.path

    def _write_connectome(
        self, summary: RunSummary, connectomes: RunConnectomes, of_set: Mapping[str, str]
    ) -> Iterator[PurePosixPath]:
        entities = {**run_entities(summary.run), **of_set}
        rois = [f"roi{number:02d}" for number in range(1, len(connectomes.roi_r) + 1)]
        whole = connectomes.whole
        assert whole is not None  # asked for with --write-connectome
        form = whole.form
        named = {
            **entities,
            **self.bundle.places.entities,
            "stat": form.row.statistic,
            "desc": "connectome",
        }
        places = self.bundle.places
        path = build_path(named, "statmap", places.extension)
        if isinstance(places, ParcelPlaces):
            there = np.where(connectomes.covered, whole.r, np.float32("nan"))
            image = places.encode_maps(there, rois)
        else:
            image = places.encode(
                whole.r,
                intent="none" if form.row.joint else "correlation",
                description="bids_dtg connectome, a volume an ROI",
            )
        self.output.write(path, image)
        yield path
        content = {
            "Description": "Connectome of all frames of the run that were kept, a "
            f"{'map' if self.bundle.card.part.parcels else 'volume'} an ROI: {form.row.words}",
            "Synthetic": False,  # unlike the maps of the average, whose sidecar applies here too
            "Units": "arbitrary",
            **self.bundle.metadata,
            "Sources": run_sources(summary.run, self.origin.source),
            **model_facts(self.bundle),
            **form_facts(form),
        }
        path = build_path(named, "statmap", ".json")
        write_json(self.output.path(path), content)
        yield path

        path = build_path({**entities, "desc": "rois"}, "timeseries", ".tsv")
        rows = [[f"{y:.6g}" for y in frame] for frame in connectomes.series]
        write_tsv(self.output.path(path), rois, rows)
        yield path
        content = {
            "Description": "Cleaned series of the model's ROI maps (first stage of dual "
            "regression): a row a frame that was kept, a column an ROI, in the order of the maps",
            **{
                roi: {"Description": f"ROI map {number} of the model", "Units": "arbitrary"}
                for number, roi in enumerate(rois, start=1)
            },
            "RepetitionTime": summary.figures["repetition_time"],
            "Frames": summary.figures["frames"],
            "FramesKept": len(connectomes.series),
            "Sources": run_sources(summary.run, self.origin.source),
            **model_facts(self.bundle),
        }
        path = build_path({**entities, "desc": "rois"}, "timeseries", ".json")
        write_json(self.output.path(path), content)
        yield path
