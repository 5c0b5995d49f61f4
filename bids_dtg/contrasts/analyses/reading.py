"""People's arrays: computed in several processes, kept for all analyses, and memory-mapped.

Each is kept with the facts that it depends on, so that an interrupted run continues where it was,
and other analyses of the same output need not read the images again.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import block_diag

from bids_dtg.array_types import Float32, Float64, Floats, Values
from bids_dtg.cleaning.design import TooShortError
from bids_dtg.cohort.maps import facts_of_files, map_reader, read_measured
from bids_dtg.cohort.recognised_participants import copies_in_words, with_copies
from bids_dtg.connectome.connectome import Connectome
from bids_dtg.connectome.design import segment_weight
from bids_dtg.connectome.form import MARGINAL, rows_of
from bids_dtg.contrasts import group_ica
from bids_dtg.contrasts.analyses.cohort import (
    ARRAYS,
    CohortArrays,
    CohortFiles,
    CohortPlan,
)
from bids_dtg.contrasts.analyses.roi_maps import with_roi_maps
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.panels.presentation import dataset_words
from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.contrasts.participant.model import bytes_needed
from bids_dtg.contrasts.people import Person
from bids_dtg.engine.child import can_fork
from bids_dtg.engine.machine import divide, given_threads, one_blas_thread, share_cores
from bids_dtg.engine.pool import Pool
from bids_dtg.engine.work import Backlog, End, Work, follow
from bids_dtg.errors import (
    DatasetError,
    DtgError,
    OutputError,
    RunError,
    SettingsError,
    UnusableMapError,
    in_one_line,
)
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.atomic import remove_stale_temporaries
from bids_dtg.files.locks import Locks
from bids_dtg.files.provenance import file_fingerprint
from bids_dtg.imaging.places import read_statmap
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.transforms import map_points, read_transforms
from bids_dtg.inputs.participants import Families
from bids_dtg.inputs.rest_sketch import sketch
from bids_dtg.inputs.run import TransformFile
from bids_dtg.inputs.statmaps import StatMap
from bids_dtg.notices import counted, duration, say
from bids_dtg.progress import Board, Reporter
from bids_dtg.settings import OPTIONS, CleaningOptions
from bids_dtg.version import __version__

# Increase this when the checks of maps change, so that arrays are made again.
_CHECKS = 2
# In longer runs, consecutive frames are averaged to this number before the reduction. That is
# enough for the slow BOLD signal, and a quarter of the memory for an HCP run.
_MOST_MEANS = 300
# Every so many voxels, one is used to recognise copies of a person's rest.
_SKETCHED = 50
_LOCK = "cache"  # lock of the process that makes people's arrays
_ArrayAndNotes = tuple[Values, dict[str, Any]]  # notes are stored with the array


def read_arrays(files: CohortFiles, locks: Locks) -> CohortArrays:
    """Read everybody, or map the arrays that an earlier analysis of this output made.

    Nothing is written to the folder of the results.

    Raises
    ------
    SettingsError
        Another analysis is reading people.
    DatasetError
        Nobody's data can be used.
    """
    plan, cache = files.plan, files.plan.cache
    people = []
    failures = _make(files, locks, reduces=False)
    for label in files.labels:
        if label in failures:
            continue
        try:
            sessions = tuple(
                cache.read(_maps_name(label, use)) for use in files.uses(label)
            )
            name = _connectomes_name(plan, label)
            people.append(_person(label, cache, name, sessions, plan.bundle))
        except DtgError as err:
            failures[label] = str(err)
    locks.release(_LOCK)
    files = _without_failures(files, failures)
    notes = {
        label: cache.notes(_connectomes_name(plan, label)) for label in files.labels
    }
    repetition_times = {
        round(seconds, 3)
        for person_notes in notes.values()
        for seconds in person_notes.get("repetition_times", ())
    }
    is_same = len(repetition_times) == 1
    return CohortArrays(
        _with_sketches(files, notes),
        tuple(people),
        unusable={
            (label, use): cache.notes(_maps_name(label, use)).get("unusable", {})
            for label in files.labels
            for use in files.uses(label)
        },
        repetition_time_s=repetition_times.pop() if is_same else None,
    )


def reduce_rest(files: CohortFiles, locks: Locks) -> CohortFiles:
    """Reduce everybody's rest for making ROI maps; run before `read_arrays`."""
    files = _without_failures(files, _make(files, locks, reduces=True))
    cache = files.plan.cache
    notes = {label: cache.notes(_reduced_name(label)) for label in files.labels}
    return _with_sketches(files, notes)


def cohort_of_fold(cohort: CohortArrays, number: int) -> CohortArrays:
    """Return the people with the connectomes of a fold's model; folds are numbered from 1."""
    plan = cohort.plan
    if not plan.folds:
        return cohort
    store, bundle = plan.work, plan.folds[number - 1]
    people = tuple(
        _person(
            person.label,
            store,
            f"fold{number}/{_connectomes_name(plan, person.label)}",
            person.sessions,
            bundle,
        )
        for person in cohort.people
    )
    fold_plan = plan.with_models(bundle, (), plan.roi_maps_words)
    files = dataclasses.replace(cohort.files, plan=fold_plan)
    return dataclasses.replace(cohort, files=files, people=people)


def with_group_maps(
    files: CohortFiles, training: Sequence[str], groups: Sequence[Collection[str]]
) -> CohortFiles:
    """Return the cohort with ROI maps made by group ICA of the training people's reduced rest.

    For each group of a cross-validation, a fold with ROI maps made without that group is added.
    """
    plan = files.plan
    bundle = _with_maps_of(files, training, "ROI maps")
    folds = []
    for number, group in enumerate(groups, 1):
        remaining = [label for label in training if label not in group]
        title = f"ROI maps without group {number}"
        folds.append(_with_maps_of(files, remaining, title))
    people = counted(training, "training participant")
    words = (
        f"{plan.roi_maps_words} made by group ICA of {people} "
        f"(seed {plan.settings.modelling.seed})"
    )
    plan = plan.with_models(bundle, folds, words)
    return dataclasses.replace(files, plan=plan)


def _with_maps_of(files: CohortFiles, labels: Sequence[str], title: str) -> ModelBundle:
    """Return the model with ROI maps of some people, made now or by an interrupted run."""
    plan = files.plan
    store, seed = plan.work, plan.settings.modelling.seed
    name = title.lower().replace(" ", "_")
    facts = {
        "people": {
            label: _rest_arrays(files, label, reduces=True)[0].facts for label in labels
        },
        "sets": list(plan.roi_sets),
        "seed": seed,
    }
    if not store.has(name, facts):
        plan.results.add(f"{ARRAYS}/")
        say(f"{title}: group ICA of {counted(labels, 'participant')}")
        rest = [plan.cache.read(_reduced_name(label)) for label in labels]
        with one_blas_thread():  # faster, because its products are small
            maps, records = group_ica.group_maps(rest, plan.roi_sets, seed, say)
        store.write(name, maps, facts, {"records": records})
    maps, records = store.read(name), store.notes(name)["records"]
    return with_roi_maps(plan.bundle, maps, plan.roi_sets, records)


# Names of arrays, and what they depend on.


def _maps_name(label: str, use: str) -> str:
    return f"sub-{label}/{use}_maps"


def _reduced_name(label: str) -> str:
    return f"sub-{label}/reduced_rest"


def _connectomes_name(plan: CohortPlan, label: str) -> str:
    """Return the name of a person's connectomes; each form and cut has its own."""
    part = plan.bundle.part
    form = "" if plan.form == MARGINAL else f"{plan.form.name}_"
    cut = ""
    if part.joins_runs:
        cut = "_of_sessions"
    elif part.whole_runs:
        cut = "_of_whole_runs"
    return f"sub-{label}/{form}connectomes{cut}"


class _Array(NamedTuple):
    """An array of a person: where it is kept, and everything that it depends on."""

    store: ArrayStore
    name: str
    facts: Mapping[str, Any]

    @property
    def exists(self) -> bool:
        """Whether it exists and was made from the present inputs."""
        return self.store.has(self.name, self.facts)


def _map_arrays(files: CohortFiles, label: str) -> dict[str, _Array]:
    """Return the arrays of a person's measured maps, by use."""
    plan = files.plan
    arrays = {}
    for use in files.uses(label):
        statmaps = files.planned(label, use).values()
        spaces = {statmap.space or "" for statmap in statmaps}
        transforms = {
            space: dict(file_fingerprint(files.transforms[space]))
            for space in sorted(spaces & set(files.transforms))
        }
        # Only file names and content hashes, because these facts are published.
        hashes = facts_of_files(
            [statmap.files[files.statistic] for statmap in statmaps]
        )
        facts = {
            "geometry": plan.bundle.geometry,
            "rows": files.rows,
            "statistic": files.statistic,
            "checks": _CHECKS,
            "files": hashes,
            **({"transforms": transforms} if transforms else {}),
        }
        arrays[use] = _Array(plan.cache, _maps_name(label, use), facts)
    return arrays


def _rest_arrays(files: CohortFiles, label: str, *, reduces: bool) -> list[_Array]:
    """Return the arrays of a person's rest: for the model, then for each fold."""
    plan, request = files.plan, files.plan.request
    part = plan.bundle.part
    averages, options = request.averages(label), request.shaping_options()
    facts: dict[str, Any] = {
        "options": {
            name: options[name]
            for name, option in OPTIONS.items()
            if option.part is CleaningOptions and name in options
        },
        "version": __version__,
        "inputs": {
            path: dict(fingerprint)
            for average in averages
            for path, fingerprint in request.fingerprints(average).items()
        },
    }
    if reduces:
        geometry = plan.bundle.geometry
        del geometry[list(geometry)[-1]]  # ROI maps are made from these arrays
        facts |= {
            "geometry": geometry,
            "means": _MOST_MEANS,
            "components": group_ica.FIRST,
        }
        return [_Array(plan.cache, _reduced_name(label), facts)]
    by_dof = all(average.by_dof for average in averages)
    cut = {
        "segment_seconds": part.segment_seconds,
        **({"sample": part.sample} if part.joins_runs else {}),
        "weighted_by": "dof" if by_dof else "seconds",
    }
    name = _connectomes_name(plan, label)
    model_facts = facts | {"geometry": plan.bundle.geometry} | cut
    arrays = [_Array(plan.cache, name, model_facts)]
    for number, bundle in enumerate(plan.folds, 1):
        fold_facts = facts | {"geometry": bundle.geometry} | cut
        fold_name = f"fold{number}/{name}"
        arrays.append(_Array(plan.work, fold_name, fold_facts))
    return arrays


def _person(
    label: str,
    store: ArrayStore,
    name: str,
    sessions: tuple[Floats, ...],
    bundle: ModelBundle,
) -> Person:
    """Map a person's connectomes, after comparing them with their checksum."""
    notes = {
        key: value for key, value in store.notes(name).items() if value is not None
    }
    return Person(
        label,
        store.read(name),
        tuple(notes["weights"]),
        sessions,
        bundle.part.connectome,
        minutes=notes["seconds"] / 60 or np.nan,
        residual_dof=notes.get("residual_dof", np.nan),
        fd_mm=notes.get("fd_mm", np.nan),
        deviation=notes.get("deviation", 1.0),
    )


def _without_failures(files: CohortFiles, failures: Mapping[str, str]) -> CohortFiles:
    """Return the cohort without people whose data cannot be used; report them."""
    for label, reason in sorted(failures.items()):
        say(f"sub-{label} is left out: {reason}")
    usable = files.without(failures)
    if not usable.maps:
        raise DatasetError(
            f"nobody in {files.plan.request.dataset.root} has usable rest and maps",
            expected="one participant or more; the lines above say what is wrong",
        )
    return dataclasses.replace(usable, failed=files.failed + len(failures))


def _with_sketches(
    files: CohortFiles, notes: Mapping[str, Mapping[str, Any]]
) -> CohortFiles:
    """Return the cohort with people's sketches; report who has the same rest, once."""
    sketches = {
        label: person_notes.get("sketches", {}) for label, person_notes in notes.items()
    }
    earlier_lines = copies_in_words(files.families, files.sketches)
    files = dataclasses.replace(files, sketches=sketches)
    for line in copies_in_words(files.families, sketches):
        if line not in earlier_lines:
            say(line)
    return files


def _make(files: CohortFiles, locks: Locks, *, reduces: bool) -> dict[str, str]:
    """Make missing arrays, under a lock; return why some people cannot be used.

    Raises
    ------
    OutputError, SettingsError
        Arrays or temporary files cannot be written, whoever's data are read.
    """
    plan, root = files.plan, files.plan.cache.root
    locks.require(
        _LOCK, what=f"{root}, to read people,", remedy="choose another OUTPUT_DIR"
    )
    failures: dict[str, str] = {}
    missing = []
    for label in files.labels:
        try:
            arrays = (
                *_map_arrays(files, label).values(),
                *_rest_arrays(files, label, reduces=reduces),
            )
            if not all(array.exists for array in arrays):
                missing.append(label)
        except DtgError as err:
            failures[label] = str(err)
    remove_stale_temporaries(root)
    words = dataset_words(plan.bundle.card)
    plan.results.output.describe(plan.request.dataset, words)
    if missing:
        failures |= _make_in_pool(files, missing, reduces=reduces)
    return failures


def _make_in_pool(
    files: CohortFiles, labels: Sequence[str], *, reduces: bool
) -> dict[str, str]:
    """Make people's arrays in several processes; return why some people cannot be used."""
    plan, settings = files.plan, files.plan.request.settings
    bundle = _with_folds(plan)
    processes, _ = divide(
        settings.resources,
        units=len(labels),
        bytes_each=bytes_needed(bundle.places.number, bundle.rois, on_cpu=True),
        on_cpu=True,
    )
    forked = can_fork()  # such processes share what is prepared here
    reader = _reader(plan) if forked else None
    prepare = partial(_begin, files, reduces, reader)
    start = time.monotonic()
    later_rounds = math.ceil(len(labels) / processes) - 1
    failures = {}
    with Board(len(labels), stages=settings.behaviour.verbose > 0) as board:
        pool = Pool(prepare, processes, forked=forked, before_start=board.before_fork)
        messages = pool.run(Backlog(labels))
        with closing(follow(messages, board, lambda label: f"sub-{label}")) as ends:
            for number, (_, end) in enumerate(ends, 1):
                failure = _failure(end)
                if number == 1 and later_rounds:
                    seconds = later_rounds * (time.monotonic() - start)
                    board.note(
                        f"reading the others will take about {duration(seconds)}"
                    )
                if failure is not None:
                    failures[end.label] = failure
                board.advance(failed=failure is not None)
    return failures


def _reader(plan: CohortPlan) -> Reader:
    # One thread each, because sums over several threads are rounded differently, and arrays
    # would depend on the number of processes.
    settings = plan.request.settings
    threads = given_threads(settings.resources) or 1
    bundle = _with_folds(plan)
    return Reader(bundle, settings.cleaning, threads=threads, keep_whole=False)


def _begin(files: CohortFiles, reduces: bool, reader: Reader | None) -> Work[None]:
    """Prepare the work of a process."""
    reader = reader or _reader(files.plan)
    share_cores(reader.threads)
    return partial(_make_person, files, reduces, reader)


def _failure(end: End[None]) -> str | None:
    """Return why a person's arrays were not made; raise errors that the data did not cause."""
    if end.died:
        return f"the process that worked on this participant died: {end.died}"
    if isinstance(end.error, OutputError | SettingsError):
        raise end.error
    return in_one_line(end.error) if end.error else None


def _make_person(
    files: CohortFiles, reduces: bool, reader: Reader, label: str, reporter: Reporter
) -> None:
    """Make the missing arrays of a person."""
    reporter.stage("measured maps", 0.0)
    map_arrays = _map_arrays(files, label)
    sketches = {}
    for use, array in map_arrays.items():
        statmaps = files.planned(label, use)
        if not array.exists:
            values, unusable = read_maps(files, statmaps)
            array.store.write(array.name, values, array.facts, {"unusable": unusable})
        # A retest that is a copy would give a noise ceiling of 1.
        if len(map_arrays) > 1:
            session = f"session {next(iter(statmaps.values())).session}"
            sketches[session] = sketch(np.nan_to_num(array.store.read(array.name)))
    with_copies(Families(), {label: sketches}, "set of measured maps", "")
    rest_arrays = _rest_arrays(files, label, reduces=reduces)
    if not all(array.exists for array in rest_arrays):
        make = _reduce if reduces else _connectomes
        contents = make(files.plan, reader, label, reporter)
        for array, (values, notes) in zip(rest_arrays, contents, strict=True):
            if not array.exists:
                array.store.write(array.name, values, array.facts, notes)
    reporter.finish("reduced" if reduces else "read")


def read_maps(
    files: CohortFiles, statmaps: Mapping[str, StatMap]
) -> tuple[Float32, dict[str, str]]:
    """Read measured maps, (contrasts, voxels), and return why some cannot be used."""
    bundle, rows = files.plan.bundle, files.rows
    places = bundle.places if isinstance(bundle.places, ParcelPlaces) else bundle.voxels
    maps = np.full((len(rows), places.number), np.nan, np.float32)
    unusable = {}
    points = _points(files)
    for contrast, statmap in statmaps.items():
        space = statmap.space or ""
        read_file: Callable[[Path], Float32]
        if space in points:
            read_file = partial(read_statmap, points=points[space], space=space)
        else:
            read_file = map_reader(places, space)
        try:
            maps[rows[contrast]] = read_measured(statmap, files.statistic, read_file)
        except UnusableMapError as err:
            unusable[contrast] = err.found
    if len(unusable) == len(statmaps):
        first_reason, *_ = unusable.values()
        raise RunError(
            f"none of {len(statmaps)} measured maps can be used, because {first_reason}",
            expected="a statistic map of the whole brain",
        )
    return maps, unusable


@lru_cache(maxsize=1)
def _points(files: CohortFiles) -> Mapping[str, Float64]:
    """Return positions of the model's voxels in other templates, (voxels, 3) in RAS+ mm."""
    points = {}
    for space, path in files.transforms.items():
        transforms = read_transforms([TransformFile(path)])
        points[space] = map_points(files.plan.bundle.voxels.points, transforms)
    return points


def _reduce(
    plan: CohortPlan, reader: Reader, label: str, reporter: Reporter
) -> list[_ArrayAndNotes]:
    """Reduce a person's rest in one pass over each run."""
    rest: Float32 | None = None
    sketches: dict[str, str] = {}
    for run in plan.request.runs(label):
        reporter.stage(f"rest of {run.title}", 0.0)
        with suppress(TooShortError):
            courses = reader.courses(run, _MOST_MEANS)
            sketches[run.title] = sketch(courses[::_SKETCHED])
            rest = group_ica.reduce_rest(courses, rest)
    if rest is None:
        raise _too_short(label)
    return [(rest, {"sketches": sketches})]


def _connectomes(
    plan: CohortPlan, reader: Reader, label: str, reporter: Reporter
) -> list[_ArrayAndNotes]:
    """Compute a person's connectomes for the model and the folds, in one pass over each run."""
    part, averages = plan.bundle.part, plan.request.averages(label)
    # Rows of the connectomes: those of the model, then those of each fold.
    rows = rows_of([bundle.rois for bundle in (plan.bundle, *plan.folds)])
    sketches: dict[str, str] = {}
    segments: list[Connectome] = []
    sessions: dict[str | None, Connectome] = {}
    repetition_times, motion = [], []
    for run in (run for average in averages for run in average.runs):
        try:
            measured = reader.measure(
                run, progress=lambda share: reporter.stage("rest", share)
            )
        except TooShortError:
            continue
        repetition_times.append(measured.design.tr_seconds)
        motion.append((measured.confounds.mean_fd_mm, len(measured.design.keep)))
        sketches[run.title] = sketch(measured.connectomes.series[:, rows[0]].T)
        for segment in measured.connectomes.segments:
            if not part.joins_runs:
                segments.append(segment)
                continue
            earlier = sessions.get(run.session)
            joined = segment if earlier is None else earlier.joined(segment)
            sessions[run.session] = joined
    segments += sessions.values()
    if not segments:
        raise _too_short(label)
    options = "--session-label, --bids-filter-file"
    with_copies(Families(), {label: sketches}, options=options)
    by_dof = all(average.by_dof for average in averages)
    notes = _notes_on_rest(segments, repetition_times, motion, by_dof=by_dof)
    notes["sketches"] = sketches
    return [
        (
            np.stack(
                [segment.r[model_rows].astype(np.float16) for segment in segments]
            ),
            notes,
        )
        for model_rows in rows
    ]


def _notes_on_rest(
    segments: Sequence[Connectome],
    repetition_times: Sequence[float],
    motion: Sequence[tuple[float | None, int]],
    *,
    by_dof: bool,
) -> dict[str, Any]:
    """Return what a person's connectomes were computed from; `motion` has FD and frames of runs."""
    residual_dof = sum(segment.residual_dof for segment in segments)
    notes = {
        "weights": [
            segment_weight(segment.seconds, segment.residual_dof, by_dof=by_dof)
            for segment in segments
        ],
        "repetition_times": repetition_times,
        "seconds": sum(segment.seconds for segment in segments),
        "residual_dof": residual_dof if residual_dof > 0 else None,
        "fd_mm": _mean_fd_mm(motion),
    }
    deviation = min(segment.deviation for segment in segments)
    if deviation < 1:
        notes["deviation"] = deviation
    return notes


def _mean_fd_mm(motion: Sequence[tuple[float | None, int]]) -> float | None:
    """Return the mean of runs' framewise displacement, weighted by frames; None: not known."""
    frames = sum(number for _, number in motion)
    total = sum(
        (np.nan if fd_mm is None else fd_mm) * number for fd_mm, number in motion
    )
    mean = total / max(frames, 1)
    return mean if frames and np.isfinite(mean) else None


def _too_short(label: str) -> RunError:
    return RunError(
        f"sub-{label} has no resting-state run with enough data left after cleaning"
    )


def _with_folds(plan: CohortPlan) -> ModelBundle:
    """Return the model with the ROI maps of all folds, so that one pass over a run is enough."""
    bundle = plan.bundle
    if not plan.folds:
        return bundle
    maps, combine = [], []
    sets: list[int] = []
    for model in (bundle, *plan.folds):
        part = model.part
        roi_maps = model.roi_maps if part.several else model.place_roi_maps
        maps.append(roi_maps)
        combine.append(
            np.eye(len(roi_maps)) if model.combine is None else model.combine
        )
        sets += part.connectome.sets or (len(roi_maps),)
    form = dataclasses.replace(bundle.part.connectome, sets=tuple(sets))
    part = dataclasses.replace(bundle.part, connectome=form)
    return dataclasses.replace(
        bundle,
        card=dataclasses.replace(bundle.card, part=part),
        roi_maps=np.concatenate(maps),
        combine=block_diag(*combine).astype(np.float32),
    )
