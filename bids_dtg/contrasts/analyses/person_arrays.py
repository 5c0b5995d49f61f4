"""People's connectomes and measured maps as arrays on disk, computed once and memory-mapped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from bids_dtg.cleaning.design import TooShortError
from bids_dtg.cohort.copies import with_copies
from bids_dtg.cohort.measured_maps import read_measured
from bids_dtg.connectome.connectome import Connectome
from bids_dtg.connectome.effective_dof import segment_weight
from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.connectome.joined import JoinedRuns
from bids_dtg.contrasts.analyses.cohort_plan import CohortPlan
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.contrasts.people import Person
from bids_dtg.errors import EmptyMapError, RunError, UnusableMapError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.provenance import file_fingerprint
from bids_dtg.imaging.statmap import read_statmap
from bids_dtg.imaging.transforms.chain import map_points
from bids_dtg.imaging.transforms.itk import read_transforms
from bids_dtg.inputs.rest_sketch import sketch
from bids_dtg.inputs.run import TransformFile
from bids_dtg.inputs.splits_file import Families
from bids_dtg.inputs.statmaps import StatMap
from bids_dtg.participants.averages import AveragedRuns
from bids_dtg.progress import Reporter
from bids_dtg.settings import OPTIONS
from bids_dtg.stats.group_ica import FIRST, reduce_rest
from bids_dtg.stats.map_checks import own_figures
from bids_dtg.version import __version__

# Raised when other maps are left out than before: arrays are made again then.
_CHECKS = 2
_DIGITS = 6  # of a correlation that is kept as text
_ROWS = 16  # at a time
# Of a run with more frames, means of frames in a row are reduced: slow enough for BOLD, and a
# quarter of a run of HCP in memory.
_MOST_MEANS = 300
_REDUCED = "reduced_rest"
_EVERY = 50  # of so many places, one serves to know the rest of a copy


@dataclass(eq=False)
class MeasuredRest:
    """A person's rest: the segments of all runs that are long enough."""

    segments: list[NDArray[np.float16]] = field(default_factory=list)  # each (rois, voxels)
    weights: list[float] = field(default_factory=list)  # weight of each segment
    repetition_times: list[float] = field(default_factory=list)  # seconds a frame, of each run
    seconds: float = 0.0  # of all segments; 0: not known
    residual_dof: float = 0.0  # of all segments; 0 and NaN: not known
    # Mean framewise displacement in mm of each run, NaN: not known; and its frames.
    fd_mm: list[tuple[float, int]] = field(default_factory=list)
    sketches: dict[str, str] = field(default_factory=dict)  # by run, as of `Person`

    def add(self, segment: Connectome, *, by_dof: bool) -> None:
        """Add a segment's connectome, weighted by residual degrees of freedom or by time."""
        self.segments.append(segment.r.astype(np.float16))
        self.weights.append(segment_weight(segment.seconds, segment.residual_dof, by_dof=by_dof))
        self.seconds += segment.seconds
        self.residual_dof += segment.residual_dof

    def notes(self) -> dict[str, Any]:
        """Return what is stored beside the connectomes."""
        return {
            "weights": self.weights,
            "repetition_times": self.repetition_times,
            "seconds": self.seconds,
            "residual_dof": self.residual_dof if self.residual_dof > 0 else None,
            "fd_mm": self.mean_fd_mm,
            "sketches": self.sketches,
        }

    @property
    def mean_fd_mm(self) -> float | None:
        """Mean framewise displacement over all frames of all runs; None where it is not known."""
        frames = sum(number for _, number in self.fd_mm)
        mean = sum(fd * number for fd, number in self.fd_mm) / max(frames, 1)
        return mean if frames and np.isfinite(mean) else None


@dataclass(frozen=True, eq=False)
class PersonArrays:
    """The arrays of the people of a plan, whose runs and maps are files of a dataset.

    Raises
    ------
    DtgError
        In each method: a person's data cannot be used.
    """

    plan: CohortPlan  # people, maps and their rows
    store: ArrayStore  # where arrays are kept
    request: Request  # input dataset, bundle and options
    reader: Reader | None = None  # reduces runs of rest; None: arrays are only read
    reduces: bool = False  # whether rest is reduced for group ICA, not to connectomes
    # Models of a cross-validation, which differ in their ROI maps, and where their arrays are.
    folds: tuple[ModelBundle, ...] = ()
    work: ArrayStore | None = None

    def are_made(self, label: str) -> bool:
        """Return whether all arrays of a person exist and match the present inputs."""
        return all(
            self.store.has(name, self.facts_of_maps(label, maps))
            for name, maps in self._maps(label).items()
        ) and all(
            store.has(name, self.facts_of_rest(label, bundle))
            for store, name, bundle in self._of_rest(label)
        )

    def would_replace(self, label: str) -> bool:
        """Return whether making a person's arrays would replace some of other inputs."""
        names = (*self._maps(label), *(name for _, name, _ in self._of_rest(label)))
        return any(map(self.store.holds, names)) and not self.are_made(label)

    def make(self, label: str, reporter: Reporter) -> None:
        """Make the missing arrays of a person."""
        reporter.stage("measured maps", 0.0)
        sides, copies = self._maps(label), {}
        for name, maps in sides.items():
            facts = self.facts_of_maps(label, maps)
            if not self.store.has(name, facts):
                values, unusable = self.read_maps(label, maps)
                self.store.write(name, values, facts, {"unusable": unusable})
            if len(sides) > 1:  # a retest that is a copy would be a ceiling of 1
                session = f"session {next(iter(maps.values())).session}"
                copies[session] = sketch(np.nan_to_num(self.store.read(name)))
        with_copies(Families({}, ""), {label: copies}, "set of measured maps", "")
        missing = [
            (store, name, facts, number)
            for number, (store, name, bundle) in enumerate(self._of_rest(label))
            if not store.has(name, facts := self.facts_of_rest(label, bundle))
        ]
        if missing and self.reduces:
            ((store, name, facts, _),) = missing
            store.write(name, *self._reduced_rest(label, facts, reporter))
        elif missing:
            measured = self.measure_rest(label, reporter)
            if not measured[0].segments:
                raise RunError(f"sub-{label} has no run of rest with enough left after cleaning")
            ways = "--session-label, --bids-filter-file"
            with_copies(Families({}, ""), {label: measured[0].sketches}, options=ways)
            for store, name, facts, number in missing:
                own = measured[number]
                store.write(name, np.stack(own.segments), facts, own.notes())
        reporter.finish("reduced" if self.reduces else "read")

    def open(self, label: str, fold: int = 0) -> Person:
        """Map a person's existing arrays; all are read once and compared with their checksums.

        Of a fold, connectomes have its ROI maps.
        """
        store, name, bundle = self._of_rest(label)[fold]
        notes = store.notes(name)
        return Person(
            label,
            store.read(name),
            tuple(notes["weights"]),
            tuple(self.store.read(name) for name in self._maps(label)),
            bundle.card.part.connectome,
            notes["seconds"] / 60 or float("nan"),
            _known(notes.get("residual_dof")),
            _known(notes.get("fd_mm")),
            notes.get("sketches", {}),
        )

    def sketches(self, label: str) -> Mapping[str, str]:
        """Return what a person's rest is known by, by run, once it was read or reduced."""
        store, name, _ = self._of_rest(label)[0]
        return dict(store.notes(name).get("sketches", {}))

    def reduced(self, label: str) -> NDArray[np.float32]:
        """Map a person's reduced rest (places, components)."""
        return self.store.read(f"sub-{label}/{_REDUCED}")

    def repetition_times(self, label: str) -> tuple[float, ...]:
        """Return the repetition times of a person's runs, from the stored arrays."""
        return tuple(self.store.notes(self._rest(label)).get("repetition_times", ()))

    def unusable(self, label: str) -> dict[str, dict[str, str]]:
        """Return why maps of a person are left out, by target or retest and by contrast."""
        return {
            name.rpartition("/")[2].removesuffix("_maps"): dict(
                self.store.notes(name).get("unusable", {})
            )
            for name in self._maps(label)
        }

    def _rest(self, label: str) -> str:
        """Return the name of a person's connectomes; each form has its own."""
        return _connectomes(label, self.form) + self._whole

    @property
    def _whole(self) -> str:
        """Ending of array names of uncut and of joined runs, which are stored separately."""
        if self.part.of_sessions:
            return "_of_sessions"
        return "_of_whole_runs" if self.part.whole_runs else ""

    def _of_rest(self, label: str) -> list[tuple[ArrayStore, str, ModelBundle]]:
        """Return where arrays of a person's rest are, and of which model: folds come last."""
        bundle = self.request.bundle
        if self.reduces:
            return [(self.store, f"sub-{label}/{_REDUCED}", bundle)]
        found = [(self.store, self._rest(label), bundle)]
        for number, of_fold in enumerate(self.folds, 1):
            assert self.work is not None
            found.append((self.work, f"fold{number}/{self._rest(label)}", of_fold))
        return found

    def _maps(self, label: str) -> dict[str, Mapping[str, StatMap]]:
        """Return the session of the maps in each array, by array name: the target first."""
        found = self.plan.people[label]
        sides = {"target": found.target} if found.target else {}
        sides |= {"retest": found.retest} if found.target and found.retested else {}
        return {f"sub-{label}/{side}_maps": maps for side, maps in sides.items()}

    @property
    def form(self) -> Form:
        """The form of the connectomes."""
        return self.part.connectome

    @property
    def part(self) -> MapsPart:
        """The part of the card that says what a sample is."""
        return self.request.bundle.card.part

    def facts_of_maps(self, label: str, maps: Mapping[str, StatMap]) -> dict[str, Any]:
        """Return what an array of measured maps depends on."""
        return {
            "geometry": _geometry(self.request.bundle),
            "rows": self.plan.rows,
            "combined": {
                contrast: [statmap.combination(self.plan.statistic), self.plan.statistic]
                for contrast, statmap in maps.items()
            },
            "checks": _CHECKS,
            # File names alone, as these facts are published with the output; contents decide.
            "files": [
                {"name": path.name, **dataclasses.asdict(file_fingerprint(path))}
                for statmap in maps.values()
                for path in statmap.sources(self.plan.statistic)
            ],
            **self._transforms(maps),
        }

    def _transforms(self, maps: Mapping[str, StatMap]) -> dict[str, Any]:
        """Return the transforms of maps in other templates; nothing where there are none."""
        spaces = {statmap.space or "" for statmap in maps.values()} & set(self.plan.ways)
        used = {space: file_fingerprint(self.plan.ways[space]) for space in sorted(spaces)}
        return {"transforms": {k: dataclasses.asdict(v) for k, v in used.items()}} if used else {}

    def read_maps(
        self, label: str, maps: Mapping[str, StatMap]
    ) -> tuple[NDArray[np.float32], dict[str, str]]:
        """Read a person's measured maps."""
        rows = self.plan.rows
        array = np.full((len(rows), self.request.bundle.places.number), np.nan, np.float32)
        unusable = {}
        for contrast, statmap in maps.items():
            try:
                values = read_measured(statmap, self.plan.statistic, self._reading(statmap))
                why = own_figures(values).unusable
            except EmptyMapError:
                why = "it is empty"
            except UnusableMapError as err:
                why = err.found
            if why:
                unusable[contrast] = why
            else:
                array[rows[contrast]] = values
        if len(unusable) == len(maps):
            (first, why), *_ = unusable.items()
            path = maps[first].sources(self.plan.statistic)[0]
            raise RunError(
                f"none of {len(maps)} measured maps can be used, as {path}: {why}",
                expected="a statistic map of the whole brain",
            )
        return array, unusable

    def facts_of_rest(self, label: str, bundle: ModelBundle) -> dict[str, Any]:
        """Return what an array of a person's rest depends on."""
        planned, geometry = self.request.averages(label), _geometry(bundle)
        facts: dict[str, Any] = {
            "options": self._cleaning(),
            "version": __version__,
            "inputs": {
                path: dataclasses.asdict(fingerprint)
                for plan in planned
                for path, fingerprint in self.request.fingerprints(plan).items()
            },
        }
        if self.reduces:
            *_, maps = bundle.card.part.of_geometry
            del geometry[maps]
            return facts | {"geometry": geometry, "means": _MOST_MEANS, "components": FIRST}
        return facts | {
            "geometry": geometry,
            "segment_seconds": self.part.segment_seconds,
            **({"sample": self.part.sample} if self.part.of_sessions else {}),
            "weighted_by": "dof" if _by_dof(planned) else "seconds",
        }

    def _reduced_rest(
        self, label: str, facts: Mapping[str, Any], reporter: Reporter
    ) -> tuple[NDArray[np.float32], Mapping[str, Any], Mapping[str, Any]]:
        """Reduce a person's rest in one pass over each run; return it with facts and notes."""
        assert self.reader is not None
        found: NDArray[np.float32] | None = None
        sketches: dict[str, str] = {}
        for run in self.request.runs(label):
            reporter.stage(f"rest of {run.title}", 0.0)
            with suppress(TooShortError):
                courses = self.reader.courses(run, _MOST_MEANS)
                sketches[run.title] = sketch(courses[::_EVERY])
                found = reduce_rest(courses, found)
        if found is None:
            raise RunError(f"sub-{label} has no run of rest with enough left after cleaning")
        return found, facts, {"sketches": sketches}

    def measure_rest(self, label: str, reporter: Reporter) -> list[MeasuredRest]:
        """Compute a person's connectomes, in one pass over each run: of the model, and of folds."""
        assert self.reader is not None
        planned = self.request.averages(label)
        by_dof = _by_dof(planned)
        rois = [bundle.rois for bundle in (self.request.bundle, *self.folds)]
        found = [MeasuredRest() for _ in rois]
        sessions: dict[str | None, JoinedRuns] = {}
        for run in (run for plan in planned for run in plan.runs):
            try:
                measured = self.reader.measure(
                    run, progress=lambda share: reporter.stage("rest", share)
                )
            except TooShortError:
                continue
            for number, own in enumerate(found):
                first = sum(rois[:number])
                rows = slice(first, first + rois[number])
                own.repetition_times.append(measured.design.tr_seconds)
                own.sketches[run.title] = sketch(measured.connectomes.series[:, rows].T)
                fd = measured.confounds.mean_fd_mm
                own.fd_mm.append((np.nan if fd is None else fd, len(measured.design.keep)))
                for segment in measured.connectomes.segments:
                    if self.part.of_sessions:
                        sessions.setdefault(run.session, JoinedRuns()).add(segment)
                    else:
                        part = dataclasses.replace(segment, r=segment.r[rows])
                        own.add(part, by_dof=by_dof)
        for joined in sessions.values():
            found[0].add(joined.connectome(), by_dof=by_dof)
        return found

    def _reading(self, statmap: StatMap) -> Callable[[Path], NDArray[np.float32]]:
        """Return what reads the files of a map at the model's places."""
        if statmap.space not in self.plan.ways:
            return self.request.bundle.places.read
        space = statmap.space or ""
        return partial(read_statmap, points=self._points[space], space=space)

    @cached_property
    def _points(self) -> Mapping[str, NDArray[np.float64]]:
        """Where the model's voxels lie in other templates, (voxels, 3) RAS+ mm of each."""
        points = self.request.bundle.voxels.points
        return {
            space: map_points(points, read_transforms([TransformFile(path)]))
            for space, path in self.plan.ways.items()
        }

    def _cleaning(self) -> dict[str, Any]:
        """Return the options that connectomes depend on: others need new connectomes."""
        known = self.request.recorded_options
        return {
            name: known[name]
            for name, option in OPTIONS.items()
            if option.part == "cleaning" and name in known
        }


def _geometry(bundle: ModelBundle) -> dict[str, str]:
    """Return checksums of the files that define grid and ROIs."""
    return {name: bundle.card.files[name] for name in bundle.card.part.of_geometry}


def read_together(bundle: ModelBundle, folds: Sequence[ModelBundle]) -> ModelBundle:
    """Return a model that has the ROI maps of all, so that one pass over a run is enough."""
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
    card = dataclasses.replace(
        bundle.card, part=dataclasses.replace(bundle.card.part, connectome=form)
    )
    return dataclasses.replace(
        bundle,
        card=card,
        roi_maps=np.concatenate(maps),
        combine=block_diag(*combine).astype(np.float32),
    )


def _known(number: float | None) -> float:
    return float("nan") if number is None else number


def _by_dof(planned: tuple[AveragedRuns, ...]) -> bool:
    """Return whether a person's segments are weighted by their residual degrees of freedom."""
    return all(plan.by_dof for plan in planned)


def _connectomes(label: str, form: Form) -> str:
    """Return the name of an array; each form has its own."""
    return f"sub-{label}/" + ("" if form == MARGINAL else f"{form.name}_") + "connectomes"
