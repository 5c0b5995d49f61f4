"""What all sets of maps of one call share: dataset, model, places, options."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.cleaning.confounds import confound_files
from bids_dtg.cleaning.custom import check_custom_place
from bids_dtg.cleaning.strategies import resolve
from bids_dtg.connectome.device import Arrays, arrays_on
from bids_dtg.connectome.range.judge import RangeJudge
from bids_dtg.engine.capacity import divide
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.files.derivatives import DerivativeDataset, check_output_location
from bids_dtg.files.provenance import (
    Fingerprint,
    file_fingerprint,
    input_fingerprints,
    package_versions,
    why_incomplete,
)
from bids_dtg.imaging.atlas import Atlas, read_atlas
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.header import read_header
from bids_dtg.imaging.sampling import LatticeSampling
from bids_dtg.inputs.dataset import InputDataset, find_dataset, select_participants
from bids_dtg.inputs.find import find_input_runs
from bids_dtg.inputs.index import read_filter_file
from bids_dtg.inputs.selection import Selection
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.report.methods import MethodsFacts
from bids_dtg.settings import Settings
from bids_dtg.version import __version__
from bids_dtg.workflows.participant.half_widths import check_level
from bids_dtg.workflows.participant.measure import ModelVoxels
from bids_dtg.workflows.participant.model import Model, obtain_bundle, resolve_device
from bids_dtg.workflows.participant.sets import MapSet, plan_map_sets


@dataclass(frozen=True, eq=False)
class Job:
    """What all sets of one call share."""

    settings: Settings  # options of the call
    dataset: InputDataset  # where the runs come from
    participants: tuple[str, ...]  # labels to process
    bids_filter: Mapping[str, Any]  # of the filter file
    database_dir: Path | None  # where pybids keeps its database
    output: DerivativeDataset  # where results go
    bundle: ModelBundle  # the model
    voxels: ModelVoxels  # the model's voxels in the order of the pass
    model: Model  # its network, prepared in the background
    arrays: Arrays  # where sums are computed
    atlas: Atlas | None  # parcels for the table of means
    processes: int  # that work on participants at the same time
    threads: int  # of each process, to compute with

    @classmethod
    def prepare(cls, settings: Settings) -> Job:
        """Check everything that can be checked before anything is written.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, dataset or model.
        """
        dataset = find_dataset(
            settings.inputs.bids_dir, settings.inputs.derivatives, settings.inputs.input_type
        )
        settings = settings.replace(
            input_type=dataset.input_type,
            denoise_strategy=resolve(settings.cleaning, dataset.input_type).denoise_strategy,
        )
        output = check_output_location(settings.inputs.output_dir, dataset)
        participants = select_participants(dataset, settings.inputs.participant_label)
        if settings.cleaning.custom_confounds is not None:
            check_custom_place(settings.cleaning.custom_confounds)
        filters = settings.inputs.bids_filter_file
        bids_filter = read_filter_file(filters) if filters else {}
        device = resolve_device(settings.resources.device)
        bundle = obtain_bundle(settings.inputs.model, may_fetch=not settings.behaviour.dry_run)
        check_level(bundle, settings.outputs.interval_level)
        capacity = divide(
            settings,
            participants=len(participants),
            voxels=int(bundle.mask.sum()),
            on_cpu=device == "cpu",
        )
        atlas = settings.outputs.atlas
        return cls(
            settings=settings,
            dataset=dataset,
            participants=participants,
            bids_filter=bids_filter,
            database_dir=_database_dir(settings, dataset, output),
            output=DerivativeDataset(output),
            bundle=bundle,
            voxels=ModelVoxels.of(bundle),
            model=Model(bundle, device, capacity.threads),
            # The sums need float64, which Apple's GPUs have not.
            arrays=arrays_on("cpu" if device == "mps" else device),
            atlas=read_atlas(atlas, bundle.grid, bundle.mask) if atlas else None,
            processes=capacity.processes,
            threads=capacity.threads,
        )

    def map_sets(self, participant: str) -> tuple[MapSet, ...]:
        """Find a participant's runs and group them.

        Raises
        ------
        RunError
            There is no run that can be used.
        """
        settings = self.settings
        # A plan downloads nothing.
        download = settings.inputs.templateflow_download and not settings.behaviour.dry_run
        runs = find_input_runs(
            self.dataset,
            participant,
            Selection(settings.inputs.session_label, settings.inputs.task_id, settings.inputs.run),
            rule=SpaceRule(
                model=self.bundle.grid.space,
                asked=settings.inputs.space,
                on_lattice=partial(_lies_on_lattice, grid=self.bundle.grid),
                templateflow=TemplateFlow.here(download=download),
            ),
            bids_filter=self.bids_filter,
            database_dir=self.database_dir,
        )
        return plan_map_sets(runs, self.settings.outputs.combine)

    @cached_property
    def range_judge(self) -> RangeJudge:
        """What runs are compared with, to tell whether the model is for them."""
        bundle, voxels = self.bundle, self.voxels
        grey = voxels.maps[:, : voxels.grey_voxels]
        return RangeJudge.of(grey, bundle.mask, bundle.grid.affine, bundle.training_range)

    @cached_property
    def recorded_options(self) -> dict[str, Any]:
        """Return all that shapes results beside the inputs; a change makes sets be redone."""
        options = {
            **self.settings.result_options,
            "model": self.bundle.identity,
            "version": __version__,
        }
        if self.settings.outputs.atlas is not None:
            options["atlas_ends_sha256"] = file_fingerprint(self.settings.outputs.atlas).ends_sha256
        return options

    def fingerprints(self, planned: MapSet) -> dict[str, Fingerprint]:
        """Take the fingerprints of a set's inputs."""
        paths = [
            path
            for run in planned.runs
            for path in (*run.inputs, *confound_files(run, self.settings.cleaning))
        ]
        return input_fingerprints(paths, self.dataset.root)

    def why_incomplete(self, planned: MapSet, inputs: Mapping[str, Fingerprint]) -> str | None:
        """Say why a set must be made (again); None where it is complete."""
        return why_incomplete(
            self.output, planned.title, options=self.recorded_options, inputs=inputs
        )

    def methods_facts(self) -> MethodsFacts:
        """Return what the methods text says of this call."""
        settings, bundle = self.settings, self.bundle
        return MethodsFacts(
            version=__version__,
            model_name=f"{bundle.card.name} {bundle.card.version}",
            model_sha256=bundle.identity,
            model_notice=bundle.card.notice,
            n_rois=len(bundle.roi_maps),
            n_voxels=self.voxels.grey_voxels,
            n_contrasts=len(bundle.contrasts),
            space=bundle.grid.space,
            segment_seconds=bundle.card.segment_seconds,
            input_type=self.dataset.input_type,
            cleaning=settings.cleaning,
            combine=settings.outputs.combine,
            recentred=bundle.correction is not None,
            packages=package_versions(),
        )


def _lies_on_lattice(path: Path, *, grid: Grid) -> bool:
    """Tell whether a file's voxels are the grid's, by its header; a damaged one's are not."""
    try:
        header = read_header(path)
        LatticeSampling.between(header.shape, header.affine, grid, np.empty(0, np.intp))
    except RunError:
        return False
    return True


def _database_dir(settings: Settings, dataset: InputDataset, output: Path) -> Path | None:
    """Return the folder of pybids' database, emptied if that was asked for.

    Raises
    ------
    SettingsError
        It would lie in the input, or the output in it.
    """
    work, database = settings.resources.work_dir, settings.inputs.bids_database_dir
    own = work / "bids_dtg_database" if work else None
    for option, folder in (("--work-dir", own), ("--bids-database-dir", database)):
        if folder is None:
            continue
        place = folder.resolve()
        inputs = {dataset.root.resolve(), dataset.bids_dir.resolve()}
        if inputs & set(place.parents) and output not in place.parents:
            raise SettingsError(
                f"{option} {folder} is inside the input dataset",
                expected="a folder elsewhere, as nothing is written there but OUTPUT_DIR",
            )
        if place in (output, *output.parents):
            raise SettingsError(
                f"OUTPUT_DIR {output} is where {option} keeps its database ({place})",
                remedy="choose another folder for one of them",
            )
    if own and settings.resources.clean_workdir and not settings.behaviour.dry_run:
        shutil.rmtree(own, ignore_errors=True)
    return database or own
