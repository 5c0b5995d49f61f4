"""One set of contrast maps: measure its runs, predict, write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from bids_dtg.bids.atomic import write_json, write_tsv
from bids_dtg.bids.names import build_path
from bids_dtg.bids.query import RestRun
from bids_dtg.contrasts.parcels import parcel_means
from bids_dtg.contrasts.prediction import ContrastMaps, MapAverage
from bids_dtg.errors import RunError
from bids_dtg.imaging.atlas import Atlas
from bids_dtg.imaging.nifti import encode_maps
from bids_dtg.workflows.job import Job
from bids_dtg.workflows.maps import SYNTHETIC, map_images, map_sidecars, model_entities
from bids_dtg.workflows.plan import MapSet, run_entities
from bids_dtg.workflows.progress import Clock, Reporter
from bids_dtg.workflows.quality import (
    COLUMNS,
    RunSummary,
    quality_dictionary,
    quality_row,
    summarise,
)
from bids_dtg.workflows.rest import MeasuredRun, TooShortError, measure_rest_run

# Share of a set's progress that each stage takes, for the bar only.
_READ, _PREDICTED = 0.5, 0.9


@dataclass(frozen=True)
class MadeSet:
    """What became of a set."""

    files: tuple[PurePosixPath, ...]  # written, relative to the output root
    notes: tuple[str, ...]  # sentences for the log
    summary: str  # one line for people


def make_map_set(planned: MapSet, job: Job, clock: Clock, reporter: Reporter) -> MadeSet:
    """Measure the runs of a set, predict its maps and write all its files.

    A run that is too short is left out where others remain; it is named in the
    sidecars and in the notes.

    Raises
    ------
    RunError
        A run cannot be used, or all are too short.
    OutputError
        A file cannot be written.
    """
    average = MapAverage()
    summaries: list[RunSummary] = []
    excluded: dict[str, str] = {}
    files: list[PurePosixPath] = []
    for number, run in enumerate(planned.runs):
        stages = _Stages(reporter, number, len(planned.runs))
        try:
            summary, written = _use_run(run, job, average, clock, stages)
        except TooShortError as err:
            if len(planned.runs) == 1:
                raise
            excluded[run.title] = str(err)
            continue
        summaries.append(summary)
        files += written
    if not summaries:
        raise RunError(f"{planned.title} has no run that is long enough: {_joined(excluded)}")
    reporter.stage("writing", _PREDICTED)
    maps = average.result()
    with clock.time("write"):
        files += _write_maps(planned, maps, summaries, excluded, job)
    notes = [f"{one.run.title}: {note}" for one in summaries for note in one.notes]
    notes += [f"{name} was left out. {reason}" for name, reason in excluded.items()]
    return MadeSet(tuple(files), tuple(notes), _line(maps, summaries, excluded))


@dataclass(frozen=True)
class _Stages:
    """Places a run's stages on the bar of its set."""

    reporter: Reporter
    number: int  # position of the run in the set
    runs: int  # runs in the set

    def __call__(self, name: str, share: float) -> None:
        done = _READ * share if name == "reading" else _READ + (_PREDICTED - _READ) * share
        self.reporter.stage(name, (self.number + done) / self.runs)


def _use_run(
    run: RestRun, job: Job, average: MapAverage, clock: Clock, stages: _Stages
) -> tuple[RunSummary, list[PurePosixPath]]:
    """Measure one run and add its maps to the average."""
    start = time.perf_counter()
    stages("reading", 0.0)
    job.model.begin()
    measured = measure_rest_run(
        run,
        job.bundle,
        job.voxels,
        job.settings,
        arrays=job.arrays,
        clock=clock,
        progress=lambda share: stages("reading", share),
    )
    summary, segments = summarise(measured), measured.connectomes.segments
    files: list[PurePosixPath] = []
    if job.settings.write_connectome:
        with clock.time("write"):
            files += _write_connectome(measured, job)
    # Connectomes of the halves and the whole need not lie beside the network's memory.
    del measured
    for number, segment in enumerate(segments):
        stages("predicting", number / len(segments))
        with clock.time("network"):
            average.add(job.model.predict(segment.r), segment.seconds)
    with clock.time("write"):
        files += _write_quality(summary, time.perf_counter() - start, job)
    return summary, files


def _write_maps(
    planned: MapSet,
    maps: ContrastMaps,
    summaries: list[RunSummary],
    excluded: dict[str, str],
    job: Job,
) -> Iterator[PurePosixPath]:
    entities = dict(planned.entities)
    sidecars = map_sidecars(
        entities, maps, summaries, excluded, job.bundle, job.settings, job.dataset.name
    )
    for path, content in sidecars:
        write_json(job.output.path(path), content)
        yield path
    for image in map_images(entities, maps, job.bundle, job.threads):
        job.output.write(image.path, image.data)
        yield image.path
    if job.atlas is not None:
        yield _write_parcels(entities, maps, job.atlas, job)


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


def _write_connectome(one: MeasuredRun, job: Job) -> Iterator[PurePosixPath]:
    entities, result = run_entities(one.run), one.connectomes
    rois = [f"roi{number:02d}" for number in range(1, len(result.roi_r) + 1)]
    correlated = {**entities, "stat": "pearsoncorrelation", "desc": "connectome"}

    path = build_path({**correlated, **model_entities(job.bundle)}, "statmap", ".nii.gz")
    image = encode_maps(
        result.whole.r,
        job.bundle.mask,
        job.bundle.grid,
        intent="correlation",
        description="bids_dtg connectome, a volume an ROI",
    )
    job.output.write(path, image)
    yield path

    path = build_path(correlated, "relmat", ".tsv")
    write_tsv(job.output.path(path), rois, [[f"{r:.6f}" for r in row] for row in result.roi_r])
    yield path

    path = build_path({**entities, "desc": "rois"}, "timeseries", ".tsv")
    write_tsv(job.output.path(path), rois, [[f"{y:.6g}" for y in row] for row in result.series])
    yield path


def _line(maps: ContrastMaps, summaries: list[RunSummary], excluded: dict[str, str]) -> str:
    runs = f"{len(summaries)} run{'s' * (len(summaries) > 1)}"
    segments = f"{maps.n_segments} segment{'s' * (maps.n_segments > 1)}"
    coverage = min(one.coverage for one in summaries)
    text = (
        f"{len(maps.mean)} maps from {maps.seconds / 60:.1f} minutes of rest "
        f"({runs}, {segments}), coverage {coverage:.1%}"
    )
    return text + (f"; {len(excluded)} left out as too short" if excluded else "")


def _joined(reasons: dict[str, str]) -> str:
    return " ".join(reasons.values())
