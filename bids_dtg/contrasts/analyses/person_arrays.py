"""People's connectomes and measured maps as arrays on disk: made once, then memory-mapped."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.design import TooShortError
from bids_dtg.cohort.measured_maps import read_measured
from bids_dtg.connectome.connectome import Connectome
from bids_dtg.connectome.design import SECONDS_PER_RUN
from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.connectome.freedom import segment_weight
from bids_dtg.connectome.range.sketch import Rest, pack_rest, unpack_rest
from bids_dtg.contrasts.analyses.cohort_plan import CohortPlan
from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.contrasts.people import Person
from bids_dtg.engine.display import Reporter
from bids_dtg.errors import EmptyMapError, RunError, UnusableMapError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.provenance import file_fingerprint
from bids_dtg.inputs.statmaps import StatMap
from bids_dtg.participants.sets import RunSet
from bids_dtg.settings import OPTIONS
from bids_dtg.stats.map_checks import own_figures
from bids_dtg.version import __version__

# Raised when other maps are left out than before: arrays are made again then.
_CHECKS = 2
_DIGITS = 6  # of a correlation that is kept as text


@dataclass(eq=False)
class MeasuredRest:
    """A person's rest, of all runs that are long enough."""

    # What the range of usual rest is learned from; None: it is learned of no such rest.
    sketches: Rest | None = None
    segments: list[NDArray[np.float16]] = field(default_factory=list)  # each (rois, voxels)
    weights: list[float] = field(default_factory=list)  # what each segment counts
    repetition_times: list[float] = field(default_factory=list)  # seconds a frame, of each run
    # Pearson r of the ROI series of each segment, of a joint form.
    roi_r: list[list[list[float]]] = field(default_factory=list)
    effective_dof: list[float] = field(default_factory=list)  # of each segment

    def add(self, segment: Connectome, *, by_dof: bool) -> None:
        """Take a segment's connectome, weighted by residual degrees of freedom or by time."""
        self.segments.append(segment.r.astype(np.float16))
        self.weights.append(segment_weight(segment.seconds, segment.residual_dof, by_dof=by_dof))
        self.effective_dof.append(segment.effective_dof)
        if segment.roi_r is not None:
            self.roi_r.append(segment.roi_r.round(_DIGITS).tolist())


@dataclass(frozen=True, eq=False)
class PersonArrays(ABC):
    """The arrays of the people of a plan.

    Raises
    ------
    DtgError
        By each method: a person's data cannot be used.
    """

    plan: CohortPlan  # whose maps, and which rows they have
    store: ArrayStore  # where arrays are kept
    form: Form  # of the connectomes

    sketched: ClassVar[bool] = True  # whether the range of usual rest is learned from it

    def are_made(self, label: str) -> bool:
        """Tell whether all arrays of a person are there, made from what there is now."""
        return all(
            self.store.has(name, self.facts_of_maps(label, maps))
            for name, maps in self._maps(label).items()
        ) and self._rest_is_made(label, self.facts_of_rest(label))

    def would_replace(self, label: str) -> bool:
        """Return whether to make a person's arrays is to replace some made from other things."""
        names = (*self._maps(label), *self._of_rest(label))
        return any(map(self.store.holds, names)) and not self.are_made(label)

    def make(self, label: str, reporter: Reporter) -> None:
        """Make those arrays of a person that are not there.

        Parameters
        ----------
        label
            Without sub-.
        reporter
            Shows how far it is.
        """
        reporter.stage("measured maps", 0.0)
        for name, maps in self._maps(label).items():
            facts = self.facts_of_maps(label, maps)
            if not self.store.has(name, facts):
                values, unusable = self.read_maps(label, maps)
                self.store.write(name, values, facts, {"unusable": unusable})
        facts = self.facts_of_rest(label)
        if not self._rest_is_made(label, facts):
            measured = self.measure_rest(label, reporter)
            if not measured.segments:
                raise RunError(f"sub-{label} has no run of rest with enough left after cleaning")
            notes = {
                "weights": measured.weights,
                "repetition_times": measured.repetition_times,
                "roi_r": measured.roi_r,
                "effective_dof": measured.effective_dof,
            }
            self.store.write(self._rest(label), np.stack(measured.segments), facts, notes)
            if measured.sketches is not None:
                cells, notes = pack_rest(measured.sketches)
                self.store.write(self._sketches(label), cells, facts, notes)
        reporter.finish("read")

    def open(self, label: str) -> Person:
        """Map a person's arrays, which are there; all of them are read once, and compared."""
        notes, sketch = self.store.notes(self._rest(label)), self._sketches(label)
        rest = (
            unpack_rest(self.store.read(sketch), self.store.notes(sketch))
            if self.sketched
            else None
        )
        known = self.form.row.joint and bool(notes["roi_r"])
        return Person(
            label,
            self.store.read(self._rest(label)),
            tuple(notes["weights"]),
            tuple(self.store.read(name) for name in self._maps(label)),
            rest,
            self.form,
            np.array(notes["roi_r"]) if known else None,
            tuple(notes["effective_dof"]) if known else (),
        )

    @property
    @abstractmethod
    def segment_seconds(self) -> float:
        """Length of rest that makes a connectome."""

    @abstractmethod
    def facts_of_maps(self, label: str, maps: Mapping[str, StatMap]) -> dict[str, Any]:
        """Return all that an array of measured maps depends on."""

    @abstractmethod
    def read_maps(
        self, label: str, maps: Mapping[str, StatMap]
    ) -> tuple[NDArray[np.float32], dict[str, str]]:
        """Return a person's maps, and why some cannot be used: those count as not measured."""

    @abstractmethod
    def facts_of_rest(self, label: str) -> dict[str, Any]:
        """Return all that a person's connectomes depend on."""

    @abstractmethod
    def measure_rest(self, label: str, reporter: Reporter) -> MeasuredRest:
        """Reduce a person's rest to connectomes."""

    def repetition_times(self, label: str) -> tuple[float, ...]:
        """Return the seconds a frame of a person's runs, which are there."""
        return tuple(self.store.notes(self._rest(label)).get("repetition_times", ()))

    def unusable(self, label: str) -> dict[str, dict[str, str]]:
        """Return why maps of a person are left out: of targets and retests, by contrast."""
        return {
            name.rpartition("/")[2].removesuffix("_maps"): dict(
                self.store.notes(name).get("unusable", {})
            )
            for name in self._maps(label)
        }

    def _rest(self, label: str) -> str:
        """Return the name of a person's connectomes, which are kept in each form apart."""
        return _connectomes(label, self.form) + self._whole

    def _sketches(self, label: str) -> str:
        return f"sub-{label}/sketches{self._whole}"

    @property
    def _whole(self) -> str:
        """What ends the names of arrays of runs that are not cut: they are kept apart."""
        return "_of_whole_runs" if self.segment_seconds >= SECONDS_PER_RUN else ""

    def _of_rest(self, label: str) -> tuple[str, ...]:
        return (self._rest(label), *([self._sketches(label)] if self.sketched else []))

    def _rest_is_made(self, label: str, facts: Mapping[str, Any]) -> bool:
        return all(self.store.has(name, facts) for name in self._of_rest(label))

    def _maps(self, label: str) -> dict[str, Mapping[str, StatMap]]:
        """Return whose maps are in which array, by its name: the target first."""
        found = self.plan.people[label]
        sides = {"target": found.target} if found.target else {}
        sides |= {"retest": found.retest} if found.target and found.retested else {}
        return {f"sub-{label}/{side}_maps": maps for side, maps in sides.items()}


@dataclass(frozen=True, eq=False)
class RunArrays(PersonArrays):
    """Those of people whose runs and maps are files of a dataset."""

    request: Request  # input dataset, bundle and options
    reader: Reader | None = None  # reduces runs of rest; None: nothing is made

    @property
    def segment_seconds(self) -> float:
        """As `PersonArrays`."""
        return self.request.bundle.card.part.segment_seconds

    def facts_of_maps(self, label: str, maps: Mapping[str, StatMap]) -> dict[str, Any]:
        """As `PersonArrays`."""
        return {
            "geometry": self._geometry(),
            "rows": self.plan.rows,
            "combined": {
                contrast: [statmap.combination(self.plan.statistic), self.plan.statistic]
                for contrast, statmap in maps.items()
            },
            "checks": _CHECKS,
            # Names alone, for these facts are passed on with the output; content decides.
            "files": [
                {"name": path.name, **dataclasses.asdict(file_fingerprint(path))}
                for statmap in maps.values()
                for path in statmap.sources(self.plan.statistic)
            ],
        }

    def read_maps(
        self, label: str, maps: Mapping[str, StatMap]
    ) -> tuple[NDArray[np.float32], dict[str, str]]:
        """As `PersonArrays`."""
        rows = self.plan.rows
        array = np.full((len(rows), self.request.bundle.places.number), np.nan, np.float32)
        unusable = {}
        for contrast, statmap in maps.items():
            try:
                values = read_measured(statmap, self.plan.statistic, self.request.bundle.places)
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

    def facts_of_rest(self, label: str) -> dict[str, Any]:
        """As `PersonArrays`."""
        planned = self.request.sets(label)
        return {
            "geometry": self._geometry(),
            "segment_seconds": self.segment_seconds,
            "options": self._cleaning(),
            "version": __version__,
            "weighted_by": "dof" if _by_dof(planned) else "seconds",
            "inputs": {
                path: dataclasses.asdict(fingerprint)
                for plan in planned
                for path, fingerprint in self.request.fingerprints(plan).items()
            },
        }

    def measure_rest(self, label: str, reporter: Reporter) -> MeasuredRest:
        """As `PersonArrays`, in one pass over each run."""
        assert self.reader is not None
        planned = self.request.sets(label)
        found, by_dof = MeasuredRest(Rest((), ())), _by_dof(planned)
        for run in (run for plan in planned for run in plan.runs):
            try:
                measured = self.reader.measure(
                    run, progress=lambda share: reporter.stage("rest", share)
                )
            except TooShortError:
                continue
            assert found.sketches is not None
            found.sketches += self.reader.sketch(measured.connectomes)
            found.repetition_times.append(measured.design.tr_seconds)
            for segment in measured.connectomes.segments:
                found.add(segment, by_dof=by_dof)
        return found

    def _geometry(self) -> dict[str, str]:
        """Return checksums of what decides where arrays lie and what their ROIs are."""
        card = self.request.bundle.card
        return {name: card.files[name] for name in card.part.of_geometry}

    def _cleaning(self) -> dict[str, Any]:
        """Return the options that connectomes depend on; others would make them be read again."""
        known = self.request.recorded_options
        return {
            name: known[name]
            for name, option in OPTIONS.items()
            if option.part == "cleaning" and name in known
        }


def _by_dof(planned: tuple[RunSet, ...]) -> bool:
    """Return whether a person's segments are weighted by their residual degrees of freedom."""
    return all(plan.by_dof for plan in planned)


def keep_in_form(person: Person, form: Form, store: ArrayStore) -> Person:
    """Return a person whose connectomes have another ridge, kept in a store and mapped from it.

    Parameters
    ----------
    person
        Of a joint form.
    form
        The same with another ridge.
    store
        Of the analysis that wants it; arrays that are there already are not made again.

    Raises
    ------
    ValueError
        As `Person.with_form`.
    OutputError
        The store cannot be written or read.
    """
    if form == person.form:
        return person
    name = _connectomes(person.label, form)
    facts = {"of": person.fingerprint(), "from": person.form.ridge}
    if not store.has(name, facts):
        store.write(name, person.with_form(form).connectomes, facts)
    return dataclasses.replace(person, connectomes=store.read(name), form=form)


def _connectomes(label: str, form: Form) -> str:
    """Return the name of an array; values of each form and ridge are kept apart."""
    if form == MARGINAL:
        return f"sub-{label}/connectomes"
    ridge = "" if form == Form(form.name) else f"-{form.ridge:g}"
    return f"sub-{label}/{form.name}{ridge}_connectomes"
