"""The second half of the work: predict, average and write one set of contrast maps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from bids_dtg.connectome.connectome import Connectome, RunConnectomes
from bids_dtg.contrasts.maps import ContrastMaps, MapAverage
from bids_dtg.contrasts.parcels import parcel_means
from bids_dtg.engine.display import Clock, Reporter
from bids_dtg.errors import RunError
from bids_dtg.files.names import build_path
from bids_dtg.files.provenance import recorded_outputs, sets_made_otherwise, write_completion
from bids_dtg.files.text import write_json, write_tsv
from bids_dtg.imaging.atlas import Atlas
from bids_dtg.imaging.nifti import encode_maps
from bids_dtg.workflows.participant.half_widths import half_width_images, half_width_sidecars
from bids_dtg.workflows.participant.job import Job
from bids_dtg.workflows.participant.map_files import (
    SYNTHETIC,
    map_images,
    map_sidecars,
    model_entities,
)
from bids_dtg.workflows.participant.map_reliability import write_map_reliability
from bids_dtg.workflows.participant.quality import (
    COLUMNS,
    RunSummary,
    cleaning_note,
    quality_dictionary,
    quality_row,
)
from bids_dtg.workflows.participant.read import RunRead, SetBegun
from bids_dtg.workflows.participant.run_details import write_run_details
from bids_dtg.workflows.participant.sets import run_entities


@dataclass(frozen=True)
class MadeSet:
    """What became of a set."""

    notes: tuple[str, ...]  # sentences for the log
    summary: str  # one line for people


class MapSetMaker:
    """Predicts and averages the maps of a set as its runs arrive, then writes them."""

    def __init__(self, begun: SetBegun, job: Job, clock: Clock) -> None:
        self.begun, self._job, self._clock = begun, job, clock
        self._average = MapAverage()
        self._halves = (MapAverage(), MapAverage())  # of the odd and the even pieces, on request
        # All of a run, so that the process that reads can end before the network takes memory.
        self._segments: list[Connectome] = []
        self._summaries: list[RunSummary] = []
        self._left_out: dict[str, str] = {}
        self._files: list[PurePosixPath] = []

    def add_segment(self, connectome: Connectome) -> None:
        """Keep a segment's connectome until its run has been read."""
        self._segments.append(connectome)

    def add_run(self, read: RunRead, reporter: Reporter) -> None:
        """Predict the maps of the run's segments, and write what belongs to the run.

        Raises
        ------
        RunError
            The device has too little memory.
        OutputError
            A file cannot be written.
        """
        start, count = time.perf_counter(), len(self._segments)
        while self._segments:
            reporter.stage("predicting", 1 - len(self._segments) / count)
            segment = self._segments.pop(0)
            with self._clock.time("network"):
                self._average.add(self._job.model.predict(segment.r), segment.seconds)
            for note in self._job.model.take_notes():
                reporter.note(f"warning: {note}")
        for average, half in zip(self._halves, read.halves or (), strict=False):
            with self._clock.time("network"):
                average.add(self._job.model.predict(half.r), half.seconds)
        seconds = read.seconds + time.perf_counter() - start
        with self._clock.time("write"):
            self._files += _write_quality(read.summary, seconds, self._job)
            self._files += write_run_details(read.details, self._job)
            if read.connectomes is not None:
                self._files += _write_connectome(read.summary, read.connectomes, self._job)
        self._summaries.append(read.summary)

    def leave_out(self, run: str, reason: str) -> None:
        """Remember a run that is not part of the average."""
        self._left_out[run] = reason

    def finish(self, reporter: Reporter) -> MadeSet:
        """Write the maps, and last the record that the set is complete.

        Raises
        ------
        RunError
            No run was long enough.
        OutputError
            A file cannot be written.
        """
        title, output = self.begun.planned.title, self._job.output
        if not self._summaries:
            reasons = " ".join(self._left_out.values())
            raise RunError(f"{title} has no run that is long enough: {reasons}")
        reporter.stage("writing", 1.0)
        maps = self._average.result()
        if self._job.settings.outputs.half_maps:
            odd, even = (average.result().mean for average in self._halves)
            maps = replace(maps, halves=(odd, even))
        with self._clock.time("write"):
            before = recorded_outputs(output, title)
            self._files += self._write_maps(maps)
            # What other options had written, as a spread over segments, must not lie beside.
            for left in set(before) - set(self._files):
                output.path(left).unlink(missing_ok=True)
            output.update_participants()
            # Last: whoever is killed before this line does all of the above again.
            write_completion(
                output,
                title,
                options=self._job.recorded_options,
                inputs=self.begun.inputs,
                outputs=[output.path(path) for path in self._files],
            )
        notes = [f"{one.run.title}: {note}" for one in self._summaries for note in one.notes]
        notes += [
            f"{one.run.title} is {one.judged.verdict} for the model: "
            + "; ".join(one.judged.reasons)
            for one in self._summaries
            if one.judged.verdict != "in range"
        ]
        notes += [f"{run} was left out. {reason}" for run, reason in self._left_out.items()]
        notes += self._notes_on_other_maps()
        settings, training = self._job.settings, self._job.bundle.card.training
        if note := cleaning_note(
            training, settings.inputs.input_type, settings.cleaning.denoise_strategy
        ):
            notes.append(note)
        return MadeSet(tuple(notes), self._line(maps))

    def _notes_on_other_maps(self) -> list[str]:
        """Warn of maps that an earlier call averaged otherwise: they have other names and stay."""
        participant, combine = self.begun.planned.participant, self._job.settings.outputs.combine
        others = sets_made_otherwise(self._job.output, participant, "combine", combine)
        if not others:
            return []
        return [
            f"sub-{participant} also has maps from calls with another --combine than {combine}: "
            f"{', '.join(others)}. Remove them if they are not wanted."
        ]

    def _write_maps(self, maps: ContrastMaps) -> Iterator[PurePosixPath]:
        job, entities = self._job, dict(self.begun.planned.entities)
        sidecars = map_sidecars(
            entities,
            maps,
            self._summaries,
            self._left_out,
            job.bundle,
            job.settings,
            job.dataset.name,
        )
        for path, content in sidecars:
            write_json(job.output.path(path), content)
            yield path
        for image in map_images(entities, maps, job.bundle, job.threads):
            job.output.write(image.path, image.data)
            yield image.path
        for path, content in half_width_sidecars(
            entities, job.bundle, job.settings.outputs.interval_level
        ):
            write_json(job.output.path(path), content)
            yield path
        for image in half_width_images(entities, job.bundle, job.settings.outputs.interval_level):
            job.output.write(image.path, image.data)
            yield image.path
        if maps.halves is not None:
            yield from write_map_reliability(entities, maps.halves, job)
        if job.atlas is not None:
            yield _write_parcels(entities, maps, job.atlas, job)

    def _line(self, maps: ContrastMaps) -> str:
        runs = f"{len(self._summaries)} run{'s' * (len(self._summaries) > 1)}"
        segments = f"{maps.n_segments} segment{'s' * (maps.n_segments > 1)}"
        coverage = min(one.coverage for one in self._summaries)
        left_out = f"; {len(self._left_out)} left out as too short" if self._left_out else ""
        return (
            f"{len(maps.mean)} maps from {maps.seconds / 60:.1f} minutes of rest "
            f"({runs}, {segments}), coverage {coverage:.1%}{left_out}"
        )


def _write_parcels(
    entities: dict[str, str], maps: ContrastMaps, atlas: Atlas, job: Job
) -> PurePosixPath:
    named = {
        **entities,
        "space": job.bundle.grid.space,
        "seg": atlas.name,
        "stat": "mean",
        "desc": SYNTHETIC,
    }
    path = build_path(named, "statmap", ".tsv")
    means = parcel_means(maps.mean, atlas.labels, list(atlas.parcels))
    rows = [
        [contrast.label, *(f"{value:.6g}" if value == value else None for value in row)]
        for contrast, row in zip(job.bundle.contrasts, means, strict=True)
    ]
    write_tsv(job.output.path(path), ["contrast", *atlas.parcels.values()], rows)
    return path


def _write_quality(summary: RunSummary, seconds: float, job: Job) -> Iterator[PurePosixPath]:
    entities = run_entities(summary.run)
    table = build_path(entities, "qc", ".tsv")
    write_tsv(job.output.path(table), list(COLUMNS), [quality_row(summary, seconds)])
    yield table
    dictionary = build_path(entities, "qc", ".json")
    write_json(job.output.path(dictionary), quality_dictionary())
    yield dictionary


def _write_connectome(
    summary: RunSummary, result: RunConnectomes, job: Job
) -> Iterator[PurePosixPath]:
    entities = run_entities(summary.run)
    rois = [f"roi{number:02d}" for number in range(1, len(result.roi_r) + 1)]
    correlated = {**entities, "stat": "pearsoncorrelation", "desc": "connectome"}

    path = build_path({**correlated, **model_entities(job.bundle)}, "statmap", ".nii.gz")
    assert result.whole is not None  # asked for with --write-connectome
    image = encode_maps(
        result.whole.r,
        job.bundle.mask,
        job.bundle.grid,
        intent="correlation",
        description="bids_dtg connectome, a volume an ROI",
    )
    job.output.write(path, image)
    yield path

    path = build_path({**entities, "desc": "rois"}, "timeseries", ".tsv")
    write_tsv(job.output.path(path), rois, [[f"{y:.6g}" for y in row] for row in result.series])
    yield path
