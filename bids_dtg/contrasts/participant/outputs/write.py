"""What is written of a set of contrast maps, and of each of its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from bids_dtg.cleaning.confounds import NOT_IN_TABLE
from bids_dtg.cleaning.words import Lacking
from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.panels.individuality import write_individuality
from bids_dtg.contrasts.panels.map_reliability import write_map_reliability
from bids_dtg.contrasts.participant.outputs.half_widths import (
    half_width_images,
    half_width_layer,
    half_width_paths,
    half_width_sidecars,
)
from bids_dtg.contrasts.participant.outputs.layers import Layer, set_layers, whose
from bids_dtg.contrasts.participant.outputs.map_files import (
    Origin,
    form_facts,
    map_images,
    map_sidecars,
    set_sidecar,
)
from bids_dtg.contrasts.participant.outputs.region_files import RegionTables
from bids_dtg.contrasts.participant.outputs.space_files import (
    space_facts,
    space_images,
    space_sidecars,
)
from bids_dtg.contrasts.participant.outputs.spaces import Target
from bids_dtg.contrasts.participant.outputs.surface_files import Mesh, SurfaceMaps
from bids_dtg.contrasts.participant.quality import RunSummary
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import build_path
from bids_dtg.files.provenance import Fingerprint, sets_made_otherwise
from bids_dtg.files.text import write_json, write_tsv
from bids_dtg.imaging.warp import Warp
from bids_dtg.participants.complete import complete_set
from bids_dtg.participants.origin import model_facts, run_sources
from bids_dtg.participants.sets import RunSet, run_entities
from bids_dtg.report.pages.participant import discard_report
from bids_dtg.report.panels.panel import Kept, write_kept
from bids_dtg.report.presentation import Presentation
from bids_dtg.report.quality import write_quality


@dataclass(frozen=True, eq=False)
class Writer:
    """Writes the files of sets of maps; each method returns the paths of what it wrote.

    Raises
    ------
    OutputError
        By each method: a file cannot be written.
    """

    output: DerivativeDataset  # where they go
    bundle: ModelBundle  # the model whose maps they are
    origin: Origin  # what their sidecars say of where they come from
    options: Mapping[str, Any]  # what shapes results beside inputs, for the completion records
    interval_level: int  # of the intervals, in percent
    surfaces: SurfaceMaps  # what is written on surfaces
    regions: RegionTables  # what makes the tables of means over parcels
    threads: int  # maps encoded at the same time
    presentation: Presentation  # whose quality columns are written
    methods: Callable[[Lacking], str]  # text of sets, by what the tables of their runs lack
    targets: Callable[[RunSet], Sequence[Target]]  # other spaces that a set is also written in

    def write_run(
        self,
        summary: RunSummary,
        *,
        seconds: float,
        kept: Sequence[Kept],
        connectomes: RunConnectomes | None,
    ) -> list[PurePosixPath]:
        """Write what belongs to one run: quality, what its report shows, connectomes if wanted.

        Parameters
        ----------
        summary
            Figures and decisions.
        seconds
            Time it took.
        kept
            Small files that its report is drawn from.
        connectomes
            None: they are not written.
        """
        entities = run_entities(summary.run)
        figures = {
            **summary.figures,
            "not_individual": ", ".join(self.bundle.card.part.not_individual) or None,
            "seconds_processing": round(seconds, 2),
        }
        columns = self.presentation.quality_columns
        files = [*write_quality(figures, columns, entities, self.output)]
        files += write_kept(kept, entities, self.output)
        if connectomes is not None:
            files += self._write_connectome(summary, connectomes)
        return files

    def write_set(
        self,
        planned: RunSet,
        estimate: Estimate,
        *,
        runs: Sequence[RunSummary],
        left_out: Mapping[str, str],
    ) -> list[PurePosixPath]:
        """Write the maps of a set with their sidecars, and the tables that go with them.

        Parameters
        ----------
        planned
            The set, which names the files.
        estimate
            Its maps.
        runs
            Those that were averaged.
        left_out
            Why other runs of the set were not, by their titles.
        """
        entities = dict(planned.entities)
        # First, as they may be refused.
        meshes = self.surfaces.read(planned)
        warps = [(target, target.warp(self.bundle.voxels)) for target in self.targets(planned)]
        # It shows other maps, and might not be made anew.
        discard_report(self.output, planned.participant)
        layers = set_layers(estimate, self.bundle)
        path, content = set_sidecar(
            entities,
            estimate,
            self.bundle,
            runs=runs,
            left_out=left_out,
            origin=self.origin,
            interval_level=self.interval_level,
        )
        write_json(self.output.path(path), content)
        return [
            path,
            *self._write_maps(entities, layers),
            *self._write_half_widths(),
            *self._write_spaces(planned, layers, warps),
            *self._write_surfaces(planned, layers, meshes),
            *self._write_tables(entities, estimate, layers),
        ]

    def complete(
        self,
        planned: RunSet,
        inputs: Mapping[str, Fingerprint],
        files: Sequence[PurePosixPath],
        *,
        runs: Sequence[RunSummary],
    ) -> None:
        """Record that a set is complete, once all else of it has been written.

        Parameters
        ----------
        planned
            The set.
        inputs
            What it depends on.
        files
            All that was written of it.
        runs
            Those that were averaged.
        """
        complete_set(
            self.output,
            planned,
            inputs,
            files,
            options=self.options,
            lacking=Lacking.of_runs(run.confounds.get(NOT_IN_TABLE, ()) for run in runs),
            methods=self.methods,
        )

    def made_otherwise(self, participant: str) -> tuple[str, ...]:
        """Return the titles of sets that an earlier call averaged otherwise."""
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

    def _write_half_widths(
        self, target: Target | None = None, facts: Mapping[str, Any] | None = None
    ) -> Iterator[PurePosixPath]:
        """Write what is the same for all participants, unless it is there.

        `target` is another template, and `facts` what its sidecars say of it.
        """
        grid = None if target is None else target.grid
        images = half_width_paths(self.bundle, self.interval_level, grid)
        files = [
            *images,
            *(path.with_name(path.name.removesuffix(".nii.gz") + ".json") for path in images),
        ]
        if not all(self.output.path(path).exists() for path in files):
            sidecars = half_width_sidecars(self.bundle, self.interval_level, grid, facts)
            for path, content in sidecars:
                write_json(self.output.path(path), content)
            warp = None if target is None else target.warp(self.bundle.voxels)
            made = half_width_images(self.bundle, self.interval_level, warp, threads=self.threads)
            for image in made:
                self.output.write(image.path, image.data)
        yield from files

    def _write_spaces(
        self, planned: RunSet, layers: Sequence[Layer], warps: Sequence[tuple[Target, Warp]]
    ) -> Iterator[PurePosixPath]:
        """Write the maps in other spaces, and the half-widths there."""
        entities, root = dict(planned.entities), planned.runs[0].root
        widths = half_width_layer(self.bundle, self.interval_level)
        for target, warp in warps:
            facts = space_facts(target, self.bundle, root, self.origin.source)
            # On a template they are the same for all participants.
            own = [*layers, widths] if target.personal and widths is not None else layers
            sidecars = space_sidecars(entities, own, self.bundle, target, facts)
            for path, content in sidecars:
                write_json(self.output.path(path), content)
                yield path
            for image in space_images(entities, own, self.bundle, warp, threads=self.threads):
                self.output.write(image.path, image.data)
                yield image.path
            if not target.personal:
                yield from self._write_half_widths(target, facts)

    def _write_surfaces(
        self, planned: RunSet, layers: Sequence[Layer], meshes: Sequence[Mesh]
    ) -> Iterator[PurePosixPath]:
        half_widths = half_width_layer(self.bundle, self.interval_level)
        everything = [*layers, *([] if half_widths is None else [half_widths])]
        return self.surfaces.write(planned, everything, meshes, self.output)

    def _write_tables(
        self, entities: Mapping[str, str], estimate: Estimate, layers: Sequence[Layer]
    ) -> Iterator[PurePosixPath]:
        if estimate.halves is not None:
            yield from write_map_reliability(
                entities, estimate.contrasts, estimate.halves, self.output
            )
        if self.bundle.deviation is not None:
            yield from write_individuality(
                entities, estimate, self.bundle, self.output, whose=whose(self.bundle)
            )
        for path, content in self.regions.sidecars(entities, layers):
            write_json(self.output.path(path), content)
            yield path
        for file in self.regions.files(entities, layers):
            self.output.write(file.path, file.data)
            yield file.path

    def _write_connectome(
        self, summary: RunSummary, connectomes: RunConnectomes
    ) -> Iterator[PurePosixPath]:
        entities = run_entities(summary.run)
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
        path = build_path(named, "statmap", ".nii.gz")
        image = self.bundle.places.encode(
            whole.r,
            intent="none" if form.row.joint else "correlation",
            description="bids_dtg connectome, a volume an ROI",
        )
        self.output.write(path, image)
        yield path
        content = {
            "Description": "Connectome of all frames of the run that were kept, a volume an "
            f"ROI: {form.row.words}",
            "Synthetic": False,  # unlike the maps of the set, whose sidecar applies here too
            "Units": "arbitrary",
            **self.bundle.grid.metadata,
            "Sources": run_sources(summary.run, self.origin.source),
            **model_facts(self.bundle),
            **form_facts(form),
        }
        if form.row.joint:
            assert whole.roi_r is not None  # a joint form has them
            penalty = form.penalty(whole.roi_r, whole.effective_dof)
            content["RidgePenalties"] = [round(penalty, 6)]
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
