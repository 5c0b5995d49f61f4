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
from numpy.typing import NDArray
from scipy.linalg import block_diag

from bids_dtg.cleaning.design import TooShortError
from bids_dtg.cohort.known_people import copies_in_words, with_copies
from bids_dtg.cohort.maps import facts_of_files, read_measured
from bids_dtg.connectome.connectome import Connectome
from bids_dtg.connectome.design import segment_weight
from bids_dtg.connectome.form import MARGINAL, rows_of
from bids_dtg.contrasts import group_ica
from bids_dtg.contrasts.analyses.cohort import ARRAYS, WORK, Cohort
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
_EVERY = 50  # every so many voxels, one is used to recognise copies of a person's rest
_LOCK = "cache"  # lock of the process that makes people's arrays
_Made = tuple[NDArray[Any], dict[str, Any]]  # an array, and the notes stored with it


def read(cohort: Cohort, locks: Locks) -> Cohort:
    """Read everybody, or map the arrays that an earlier analysis of this output made.

    Nothing is written to the folder of the results.

    Raises
    ------
    SettingsError
        Another analysis is reading people.
    DatasetError
        Nobody's data can be used.
    """
    store, people = cohort.cache, []
    failures = _make(cohort, locks, reduces=False)
    for label in cohort.labels:
        if label in failures:
            continue
        try:
            sessions = tuple(
                store.read(_maps(label, side)) for side in cohort.sides(label)
            )
            people.append(
                _person(label, store, _rest(cohort, label), sessions, cohort.bundle)
            )
        except DtgError as err:
            failures[label] = str(err)
    locks.release(_LOCK)
    cohort = _without(cohort, failures)
    notes = {label: store.notes(_rest(cohort, label)) for label in cohort.labels}
    times = {
        round(seconds, 3)
        for own in notes.values()
        for seconds in own.get("repetition_times", ())
    }
    cohort = dataclasses.replace(
        cohort,
        people=tuple(people),
        unusable={
            label: {
                side: dict(store.notes(_maps(label, side)).get("unusable", {}))
                for side in cohort.sides(label)
            }
            for label in cohort.labels
        },
        repetition_time_s=times.pop() if len(times) == 1 else None,
    )
    return _knowing(cohort, notes)


def reduced(cohort: Cohort, locks: Locks) -> Cohort:
    """Reduce everybody's rest for making ROI maps; run before `read`."""
    cohort = _without(cohort, _make(cohort, locks, reduces=True))
    notes = {label: cohort.cache.notes(_reduced(label)) for label in cohort.labels}
    return _knowing(cohort, notes)


def of_fold(cohort: Cohort, number: int) -> Cohort:
    """Return the people with the connectomes of a fold's model; folds are numbered from 1."""
    if not cohort.folds:
        return cohort
    bundle, store = cohort.folds[number - 1], _work(cohort)
    people = tuple(
        _person(
            one.label,
            store,
            f"fold{number}/{_rest(cohort, one.label)}",
            one.sessions,
            bundle,
        )
        for one in cohort.people
    )
    request = dataclasses.replace(cohort.request, bundle=bundle)
    return dataclasses.replace(cohort, request=request, people=people, folds=())


def with_maps_of(
    cohort: Cohort, training: Sequence[str], groups: Sequence[Collection[str]] = ()
) -> Cohort:
    """Return the cohort with ROI maps made by group ICA of the training people's reduced rest.

    For each group of a cross-validation, a fold with ROI maps made without that group is added.
    """
    bundle, folds = _made_of(cohort, training, "ROI maps"), []
    for number, group in enumerate(groups, 1):
        others = [label for label in training if label not in group]
        folds.append(_made_of(cohort, others, f"ROI maps without group {number}"))
    seed, who = (
        cohort.settings.modelling.seed,
        counted(len(training), "training participant"),
    )
    words = f"{cohort.maps_words} made by group ICA of {who} (seed {seed})"
    request = dataclasses.replace(cohort.request, bundle=bundle)
    return dataclasses.replace(
        cohort, request=request, folds=tuple(folds), maps_words=words
    )


def _made_of(cohort: Cohort, people: Sequence[str], title: str) -> ModelBundle:
    """Return the model with ROI maps of some people, made now or found from an interrupted run."""
    store, seed = _work(cohort), cohort.settings.modelling.seed
    name = title.lower().replace(" ", "_")
    facts = {
        "people": {
            label: _wanted(cohort, label, reduces=True)[0].facts for label in people
        },
        "sets": list(cohort.learns),
        "seed": seed,
    }
    if not store.has(name, facts):
        cohort.results.add(f"{ARRAYS}/")
        say(f"{title}: group ICA of {counted(len(people), 'participant')}")
        rest = [cohort.cache.read(_reduced(label)) for label in people]
        with one_blas_thread():  # faster, because its products are small
            maps, records = group_ica.group_maps(rest, cohort.learns, seed, say)
        store.write(name, maps, facts, {"records": records})
    return with_roi_maps(
        cohort.bundle, store.read(name), cohort.learns, store.notes(name)["records"]
    )


# Names of arrays, and what they depend on.


def _maps(label: str, side: str) -> str:
    return f"sub-{label}/{side}_maps"


def _reduced(label: str) -> str:
    return f"sub-{label}/reduced_rest"


def _rest(cohort: Cohort, label: str) -> str:
    """Return the name of a person's connectomes; each form and cut has its own."""
    part, form = (
        cohort.bundle.card.part,
        "" if cohort.form == MARGINAL else f"{cohort.form.name}_",
    )
    cut = "_of_whole_runs" if part.whole_runs else ""
    return f"sub-{label}/{form}connectomes" + (
        "_of_sessions" if part.of_sessions else cut
    )


def _work(cohort: Cohort) -> ArrayStore:
    """Return the store of arrays that are needed only until the model is made."""
    return ArrayStore(cohort.store.root / WORK)


class _Array(NamedTuple):
    """An array of a person: where it is kept, and everything that it depends on."""

    store: ArrayStore
    name: str
    facts: Mapping[str, Any]

    @property
    def is_made(self) -> bool:
        """Whether it exists and was made from the present inputs."""
        return self.store.has(self.name, self.facts)


def _measured(cohort: Cohort, label: str) -> dict[str, _Array]:
    """Return the arrays of a person's measured maps, by side."""
    found = {}
    for side in cohort.sides(label):
        maps = cohort.planned(label, side)
        spaces = sorted(
            {statmap.space or "" for statmap in maps.values()} & set(cohort.ways)
        )
        used = {space: file_fingerprint(cohort.ways[space]) for space in spaces}
        transforms = {space: dict(one) for space, one in used.items()}
        facts = {
            "geometry": _geometry(cohort.bundle),
            "rows": cohort.rows,
            "statistic": cohort.statistic,
            "checks": _CHECKS,
            # Only file names and content hashes, because these facts are published.
            "files": facts_of_files(
                [statmap.files[cohort.statistic] for statmap in maps.values()]
            ),
            **({"transforms": transforms} if transforms else {}),
        }
        found[side] = _Array(cohort.cache, _maps(label, side), facts)
    return found


def _wanted(cohort: Cohort, label: str, *, reduces: bool) -> list[_Array]:
    """Return the arrays of a person's rest: for the model, then for each fold."""
    request, part = cohort.request, cohort.bundle.card.part
    planned, known = request.averages(label), request.shaping_options()
    facts: dict[str, Any] = {
        "options": {
            name: known[name]
            for name, option in OPTIONS.items()
            if option.part is CleaningOptions and name in known
        },
        "version": __version__,
        "inputs": {
            path: dict(fingerprint)
            for plan in planned
            for path, fingerprint in request.fingerprints(plan).items()
        },
    }
    if reduces:
        geometry = _geometry(cohort.bundle)
        *_, maps = part.of_geometry
        del geometry[maps]
        facts |= {
            "geometry": geometry,
            "means": _MOST_MEANS,
            "components": group_ica.FIRST,
        }
        return [_Array(cohort.cache, _reduced(label), facts)]
    cut = {
        "segment_seconds": part.segment_seconds,
        **({"sample": part.sample} if part.of_sessions else {}),
        "weighted_by": "dof" if all(plan.by_dof for plan in planned) else "seconds",
    }
    name = _rest(cohort, label)
    places = [(cohort.cache, name, cohort.bundle)]
    places += [
        (_work(cohort), f"fold{n}/{name}", own) for n, own in enumerate(cohort.folds, 1)
    ]
    return [
        _Array(store, name, facts | {"geometry": _geometry(bundle)} | cut)
        for store, name, bundle in places
    ]


def _geometry(bundle: ModelBundle) -> dict[str, str]:
    """Return checksums of the bundle files that define the grid and the ROIs."""
    return {name: bundle.card.files[name] for name in bundle.card.part.of_geometry}


def _person(
    label: str,
    store: ArrayStore,
    name: str,
    sessions: tuple[NDArray[np.floating], ...],
    bundle: ModelBundle,
) -> Person:
    """Map a person's connectomes, after comparing them with their checksum."""
    notes = store.notes(name)
    known = {key: own for key, own in notes.items() if own is not None}
    return Person(
        label,
        store.read(name),
        tuple(notes["weights"]),
        sessions,
        bundle.card.part.connectome,
        notes["seconds"] / 60 or float("nan"),
        known.get("residual_dof", float("nan")),
        known.get("fd_mm", float("nan")),
        known.get("deviation", 1.0),
    )


def _without(cohort: Cohort, failures: Mapping[str, str]) -> Cohort:
    """Return the cohort without people whose data cannot be used; report them."""
    for label, why in sorted(failures.items()):
        say(f"sub-{label} is left out: {why}")
    kept = cohort.without(failures)
    if not kept.maps:
        raise DatasetError(
            f"nobody in {cohort.request.dataset.root} has usable rest and maps",
            expected="one participant or more; the lines above say what is wrong",
        )
    return dataclasses.replace(kept, failed=cohort.failed + len(failures))


def _knowing(cohort: Cohort, notes: Mapping[str, Mapping[str, Any]]) -> Cohort:
    """Return the cohort with people's sketches; report who has the same rest, once."""
    sketches = {label: own.get("sketches", {}) for label, own in notes.items()}
    said = copies_in_words(cohort.families, cohort.sketches)
    cohort = dataclasses.replace(cohort, sketches=sketches)
    for line in copies_in_words(cohort.families, sketches):
        if line not in said:
            say(line)
    return cohort


def _make(cohort: Cohort, locks: Locks, *, reduces: bool) -> dict[str, str]:
    """Make missing arrays, under a lock; return why some people cannot be used.

    Raises
    ------
    OutputError, SettingsError
        Arrays or temporary files cannot be written, whoever's data are read.
    """
    root = cohort.cache.root
    locks.require(
        _LOCK, what=f"{root}, to read people,", remedy="choose another OUTPUT_DIR"
    )
    failures, missing = {}, []
    for label in cohort.labels:
        try:
            arrays = (
                *_measured(cohort, label).values(),
                *_wanted(cohort, label, reduces=reduces),
            )
            if not all(array.is_made for array in arrays):
                missing.append(label)
        except DtgError as err:
            failures[label] = str(err)
    remove_stale_temporaries(root)
    words = dataset_words(cohort.bundle.card)
    cohort.results.output.describe(cohort.request.dataset, words)
    if not missing:
        return failures
    bundle, settings = _together(cohort.bundle, cohort.folds), cohort.request.settings
    processes, _ = divide(
        settings.resources,
        units=len(missing),
        bytes_each=bytes_needed(bundle.places.number, bundle.rois, on_cpu=True),
        on_cpu=True,
    )
    forked = can_fork()  # such processes share what is prepared here
    prepare = partial(_begin, cohort, reduces, _reader(cohort) if forked else None)
    begun, rounds = time.monotonic(), math.ceil(len(missing) / processes) - 1
    with Board(len(missing), stages=settings.behaviour.verbose > 0) as board:
        pool = Pool(prepare, processes, forked=forked, before_start=board.before_fork)
        messages = pool.run(Backlog(missing))
        with closing(follow(messages, board, lambda label: f"sub-{label}")) as ends:
            for number, (_, end) in enumerate(ends, 1):
                failure = _failure(end)
                if number == 1 and rounds:
                    left = rounds * (time.monotonic() - begun)
                    board.note(f"reading the others will take about {duration(left)}")
                if failure is not None:
                    failures[end.label] = failure
                board.advance(failed=failure is not None)
    return failures


def _reader(cohort: Cohort) -> Reader:
    # One thread each, because sums over several threads are rounded differently, and arrays
    # would depend on the number of processes.
    settings = cohort.request.settings
    threads = given_threads(settings.resources) or 1
    bundle = _together(cohort.bundle, cohort.folds)
    return Reader(bundle, settings.cleaning, threads=threads, keep_whole=False)


def _begin(cohort: Cohort, reduces: bool, reader: Reader | None) -> Work[None]:
    """Prepare the work of a process."""
    reader = reader or _reader(cohort)
    share_cores(reader.threads)
    return partial(_make_person, cohort, reduces, reader)


def _failure(end: End[None]) -> str | None:
    """Return why a person's arrays were not made; raise errors that the data did not cause."""
    if end.died:
        return f"the process that worked on this participant died: {end.died}"
    if isinstance(end.error, OutputError | SettingsError):
        raise end.error
    return in_one_line(end.error) if end.error else None


def _make_person(
    cohort: Cohort, reduces: bool, reader: Reader, label: str, reporter: Reporter
) -> None:
    """Make the missing arrays of a person."""
    reporter.stage("measured maps", 0.0)
    measured, copies = _measured(cohort, label), {}
    for side, array in measured.items():
        maps = cohort.planned(label, side)
        if not array.is_made:
            values, unusable = read_maps(cohort, maps)
            array.store.write(array.name, values, array.facts, {"unusable": unusable})
        if len(measured) > 1:  # a retest that is a copy would give a noise ceiling of 1
            session = f"session {next(iter(maps.values())).session}"
            copies[session] = sketch(np.nan_to_num(array.store.read(array.name)))
    with_copies(Families({}, ""), {label: copies}, "set of measured maps", "")
    wanted = _wanted(cohort, label, reduces=reduces)
    if not all(array.is_made for array in wanted):
        make = _reduce if reduces else _connectomes
        for array, (values, notes) in zip(
            wanted, make(cohort, reader, label, reporter), strict=True
        ):
            if not array.is_made:
                array.store.write(array.name, values, array.facts, notes)
    reporter.finish("reduced" if reduces else "read")


def read_maps(
    cohort: Cohort, maps: Mapping[str, StatMap]
) -> tuple[NDArray[np.float32], dict[str, str]]:
    """Read measured maps, (contrasts, voxels), and return why some cannot be used."""
    rows, places = cohort.rows, cohort.bundle.places
    array = np.full((len(rows), places.number), np.nan, np.float32)
    unusable = {}
    points = _points(cohort)
    for contrast, statmap in maps.items():
        read_at: Callable[[Path], NDArray[np.float32]]
        read_at = (
            places if isinstance(places, ParcelPlaces) else cohort.bundle.voxels
        ).read
        if (space := statmap.space or "") in points:
            read_at = partial(read_statmap, points=points[space], space=space)
        try:
            array[rows[contrast]] = read_measured(statmap, cohort.statistic, read_at)
        except UnusableMapError as err:
            unusable[contrast] = err.found
    if len(unusable) == len(maps):
        first, *_ = unusable.values()
        raise RunError(
            f"none of {len(maps)} measured maps can be used, because {first}",
            expected="a statistic map of the whole brain",
        )
    return array, unusable


@lru_cache(maxsize=1)
def _points(cohort: Cohort) -> Mapping[str, NDArray[np.float64]]:
    """Return positions of the model's voxels in other templates, (voxels, 3) in RAS+ mm."""
    return {
        space: map_points(
            cohort.bundle.voxels.points, read_transforms([TransformFile(path)])
        )
        for space, path in cohort.ways.items()
    }


def _reduce(
    cohort: Cohort, reader: Reader, label: str, reporter: Reporter
) -> list[_Made]:
    """Reduce a person's rest in one pass over each run."""
    found: NDArray[np.float32] | None = None
    sketches: dict[str, str] = {}
    for run in cohort.request.runs(label):
        reporter.stage(f"rest of {run.title}", 0.0)
        with suppress(TooShortError):
            courses = reader.courses(run, _MOST_MEANS)
            sketches[run.title] = sketch(courses[::_EVERY])
            found = group_ica.reduce_rest(courses, found)
    if found is None:
        raise _too_short(label)
    return [(found, {"sketches": sketches})]


def _connectomes(
    cohort: Cohort, reader: Reader, label: str, reporter: Reporter
) -> list[_Made]:
    """Compute a person's connectomes for the model and the folds, in one pass over each run."""
    part = cohort.bundle.card.part
    rows = rows_of([bundle.rois for bundle in (cohort.bundle, *cohort.folds)])
    segments, times, fd = [], [], []
    sketches: list[dict[str, str]] = [{} for _ in rows]
    sessions: dict[str | None, Connectome] = {}
    planned = cohort.request.averages(label)
    for run in (run for plan in planned for run in plan.runs):
        try:
            measured = reader.measure(
                run, progress=lambda share: reporter.stage("rest", share)
            )
        except TooShortError:
            continue
        times.append(measured.design.tr_seconds)
        moved = measured.confounds.mean_fd_mm
        fd.append((np.nan if moved is None else moved, len(measured.design.keep)))
        for own, some in zip(sketches, rows, strict=True):
            own[run.title] = sketch(measured.connectomes.series[:, some].T)
        for segment in measured.connectomes.segments:
            if part.of_sessions:
                joined = sessions.get(run.session)
                sessions[run.session] = (
                    segment if joined is None else joined.joined(segment)
                )
            else:
                segments.append(segment)
    segments += sessions.values()
    if not segments:
        raise _too_short(label)
    ways = "--session-label, --bids-filter-file"
    with_copies(Families({}, ""), {label: sketches[0]}, options=ways)
    frames = sum(number for _, number in fd)
    mean_fd = sum(mm * number for mm, number in fd) / max(frames, 1)
    dof, by_dof = (
        sum(one.residual_dof for one in segments),
        all(plan.by_dof for plan in planned),
    )
    notes = {
        "weights": [
            segment_weight(one.seconds, one.residual_dof, by_dof=by_dof)
            for one in segments
        ],
        "repetition_times": times,
        "seconds": sum(segment.seconds for segment in segments),
        "residual_dof": dof if dof > 0 else None,
        "fd_mm": mean_fd if frames and np.isfinite(mean_fd) else None,
    }
    if (deviation := min(segment.deviation for segment in segments)) < 1:
        notes["deviation"] = deviation
    return [
        (
            np.stack([segment.r[some].astype(np.float16) for segment in segments]),
            {**notes, "sketches": own},
        )
        for own, some in zip(sketches, rows, strict=True)
    ]


def _too_short(label: str) -> RunError:
    return RunError(
        f"sub-{label} has no resting-state run with enough data left after cleaning"
    )


def _together(bundle: ModelBundle, folds: Sequence[ModelBundle]) -> ModelBundle:
    """Return a model with the ROI maps of all folds, so that one pass over a run is enough."""
    if not folds:
        return bundle
    maps, combine = [], []
    sets: list[int] = []
    for own in (bundle, *folds):
        given = own.roi_maps if own.card.part.several else own.place_roi_maps
        maps.append(given)
        combine.append(np.eye(len(given)) if own.combine is None else own.combine)
        sets += own.card.part.connectome.sets or (len(given),)
    form = dataclasses.replace(bundle.card.part.connectome, sets=tuple(sets))
    part = dataclasses.replace(bundle.card.part, connectome=form)
    return dataclasses.replace(
        bundle,
        card=dataclasses.replace(bundle.card, part=part),
        roi_maps=np.concatenate(maps),
        combine=block_diag(*combine).astype(np.float32),
    )
