"""People with rest and measured maps: found, read once into arrays, and related to each other."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.store import note_on_namesakes
from bids_dtg.cleaning.design import TooShortError
from bids_dtg.cleaning.strategies import find_strategy
from bids_dtg.cohort.basis import BUNDLE, OwnModel, UsedModel
from bids_dtg.cohort.copies import copies_in_words, with_copies
from bids_dtg.cohort.kept_means import facts_of_files
from bids_dtg.cohort.measured_maps import read_measured
from bids_dtg.cohort.result_folder import DEFAULT_NAME, ResultFolder
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.cohort.seen_people import EXCLUDED
from bids_dtg.connectome.design import SECONDS_PER_SEGMENT
from bids_dtg.connectome.effective_dof import segment_weight
from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.connectome.joined import JoinedRuns
from bids_dtg.contrasts import group_ica
from bids_dtg.contrasts.analyses.roi_maps import (
    first_places,
    maps_in_words,
    parcel_template,
    read_together,
    sets_that_fit,
    with_roi_maps,
)
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import KINDS, MapsKind
from bids_dtg.contrasts.contrast import Contrast, hcp_contrasts
from bids_dtg.contrasts.linear import rows_of
from bids_dtg.contrasts.panels.presentation import PRESENTATION
from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.contrasts.participant.model import Model, bytes_needed
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.contrasts.people import Person
from bids_dtg.contrasts.plan import CHECKPOINTS
from bids_dtg.engine.capacity import divide, own_threads
from bids_dtg.engine.child import can_fork
from bids_dtg.engine.machine import one_blas_thread, share_cores
from bids_dtg.engine.messages import End, Finished, NotBegun, Raised, WorkerDied, follow
from bids_dtg.engine.pool import Pool
from bids_dtg.engine.work import Backlog, Work
from bids_dtg.errors import (
    DatasetError,
    DtgError,
    EmptyMapError,
    OutputError,
    RunError,
    SettingsError,
    UnusableMapError,
)
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.atomic import remove_stale_temporaries
from bids_dtg.files.locks import Locks
from bids_dtg.files.names import plain_label
from bids_dtg.files.provenance import file_fingerprint
from bids_dtg.imaging.statmap import read_statmap
from bids_dtg.imaging.transforms.chain import map_points
from bids_dtg.imaging.transforms.itk import read_transforms
from bids_dtg.inputs.dataset import own_name
from bids_dtg.inputs.rest_sketch import sketch
from bids_dtg.inputs.run import TransformFile
from bids_dtg.inputs.selection import PARCELS
from bids_dtg.inputs.space_choice import names_parcels
from bids_dtg.inputs.splits_file import Families, read_families
from bids_dtg.inputs.statmap_files import find_statmap_files
from bids_dtg.inputs.statmaps import (
    PersonMaps,
    StatFile,
    Statistic,
    StatMap,
    choose_sessions,
    choose_statistic,
    describe_files,
    describe_sessions,
    group_maps,
    in_space,
    name_targets,
    nearest_contrast,
    plain_contrast,
    statmaps_place,
    with_families,
)
from bids_dtg.notices import counted, duration, named, say, show
from bids_dtg.participants.averages import AveragedRuns
from bids_dtg.participants.request import Asked
from bids_dtg.participants.run_source import plan_run
from bids_dtg.progress import Board, Reporter
from bids_dtg.settings import OPTIONS, Settings
from bids_dtg.stats.map_checks import own_figures
from bids_dtg.version import __version__

FEW = 10  # training people: the rest of fewer makes poor ROI maps
# Raised when other maps are left out than before: arrays are made again then.
_CHECKS = 2
# Of a run with more frames, means of frames in a row are reduced: slow enough for BOLD, and a
# quarter of a run of HCP in memory.
_MOST_MEANS = 300
_REDUCED = "reduced_rest"
_EVERY = 50  # of so many places, one serves to know the rest of a copy
ARRAYS = "arrays"  # folder of an analysis' own
WORK = "folds"  # its folder of what serves until the model is made
FOLDS = "desc-folds_participants"  # table of the groups of a cross-validation
_CAN_WRITE = (
    *(f"{BUNDLE}/", f"{ARRAYS}/", f"{CHECKPOINTS}/"),
    *("desc-*_scores", "desc-targets_files", "desc-measuredMaps_qc", "desc-split_participants"),
    *(FOLDS, EXCLUDED),
)
# Locks of the arrays of people: who makes some and, one for each folder, who uses them.
_CACHE_LOCK, _CACHE_USERS = "cache", "cache-used-by-"
SIDES = ("target", "retest")  # the maps to predict, and those of a later session


@dataclass(frozen=True, eq=False)
class Cohort:
    """The people of one call of an analysis: `prepare`, then `find`, then `read`.

    Raises
    ------
    DtgError
        In each method: options, files or data cannot be used.
    """

    settings: Settings  # of the call
    makes: Literal["model", "evaluation"]
    request: Request  # input dataset, participants and the model that is read or trained
    place: Path  # of the measured maps
    results: ResultFolder  # where results go, below the output folder
    kind: MapsKind | None  # of a model that is trained
    maps_words: str = ""  # origin of the masks and ROI maps of such a model
    learns: tuple[int, ...] = ()  # ROIs of each set of maps to be made from the training people
    folds: tuple[ModelBundle, ...] = ()  # models of a cross-validation, which have own ROI maps

    # What file names say.
    maps: Mapping[str, PersonMaps] = field(default_factory=dict)  # by label, sorted
    contrasts: tuple[Contrast, ...] = ()  # rows of the maps
    statistic: Statistic = "z"  # of the maps
    left_out: Mapping[str, str] = field(default_factory=dict)  # label -> reason
    notes: tuple[str, ...] = ()  # decisions on tasks, spaces and runs
    # By template, the transform that maps points of the model's space to those of such maps.
    ways: Mapping[str, Path] = field(default_factory=dict)

    # What was read.
    people: tuple[Person, ...] = ()  # sorted by label
    failed: int = 0  # how many are left out because their data cannot be used
    sketches: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of rest, by run
    # Why maps were left out: label -> target or retest -> contrast -> words.
    unusable: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    # Seconds per frame of everybody's rest; None where runs differ or it is not known.
    repetition_time_s: float | None = None
    measured: tuple[str, ...] = ()  # sentences on the files of targets, and findings in them

    # How a process reads people.
    reduces: bool = False  # whether rest is reduced for group ICA, not to connectomes
    reader: Reader | None = None

    @classmethod
    def prepare(
        cls,
        settings: Settings,
        kind: MapsKind | None = None,
        makes: Literal["model", "evaluation"] = "model",
    ) -> Cohort:
        """Check options, dataset and model before anything is written.

        `kind` is that of a model that is to be trained: it decides which form of the connectome
        people are read to, and whether runs are cut; None: as ``--model`` reads.
        """
        place, others = statmaps_place(settings.inputs.derivatives)
        if place is None:
            raise SettingsError(
                f"--analysis {settings.modelling.analysis} needs measured maps",
                expected="--derivatives statmaps=PATH",
            )
        asked = settings.replace(derivatives=others)
        of_parcels = names_parcels(settings.inputs.space or "") and not _names_model(settings)
        sets: tuple[int, ...] = ()
        if kind is not None and of_parcels:
            request, sets, words = _prepare_at_parcels(asked, kind)
        else:
            request = Request.prepare(asked)
            card = request.bundle.card
            words = f"masks and ROI maps are those of {card.name} {card.version}"
            if kind is not None:
                request = request.trained(
                    _form_of(kind, card.part.connectome.sets),
                    kind.segment_seconds(card.part.segment_seconds),
                )
        bundle, own = request.bundle, makes == "model"
        basis: OwnModel | UsedModel = UsedModel.of(bundle.card, bundle.identity, makes)
        if own:
            basis = OwnModel(settings, repeatable=True)
        name = settings.modelling.model_name or (DEFAULT_NAME if own else bundle.card.name)
        names = request.path_names.plus({"statmaps": place})
        results = ResultFolder(
            settings, request.output, f"{makes}-{name}", _CAN_WRITE, basis, names
        )
        results.refuse_others()
        return cls(settings, makes, request, place, results, kind, words, sets)

    @property
    def name(self) -> str:
        """Name of the model that is made, or of the evaluation."""
        return self.results.name.removeprefix(f"{self.makes}-")

    @property
    def bundle(self) -> ModelBundle:
        """The model that is read, or the template of the one that is trained."""
        return self.request.bundle

    @property
    def form(self) -> Form:
        """The form of the connectomes that people are read to."""
        return self.bundle.card.part.connectome

    @cached_property
    def model(self) -> Model:
        """The model that is read, prepared at its first use."""
        request = self.request
        return Model(request.bundle, request.device, request.capacity.threads)

    @property
    def store(self) -> ArrayStore:
        """Folder of the arrays that belong to this analysis alone."""
        return ArrayStore(self.results.path / ARRAYS)

    @property
    def cache(self) -> ArrayStore:
        """Folder of people's arrays, which all analyses of an output share."""
        return ArrayStore(self.request.output.path("group") / "cache")

    @property
    def is_dry(self) -> bool:
        """Whether the call is a dry run."""
        return self.settings.behaviour.dry_run

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the people who have both scans; once they were read, of those who are used."""
        return tuple(self.maps)

    @property
    def rows(self) -> dict[str, int]:
        """Row of each contrast, by its `plain_contrast`."""
        return {plain_contrast(contrast.label): contrast.index for contrast in self.contrasts}

    @property
    def sessions(self) -> str:
        """A sentence on targets and retests; empty without sessions."""
        return describe_sessions(self.maps.values())

    @property
    def files(self) -> tuple[str, ...]:
        """Sentences on the files of the targets."""
        return describe_files(tuple(self.maps.values()), self.statistic)

    def of(self, labels: Sequence[str]) -> tuple[Person, ...]:
        """Return some people, in the order of the labels; skip those who cannot be used."""
        known = {person.label: person for person in self.people}
        return tuple(known[label] for label in labels if label in known)

    def among(self, labels: Collection[str]) -> Cohort:
        """Return the same of some people only."""
        maps = {label: own for label, own in self.maps.items() if label in labels}
        people = tuple(person for person in self.people if person.label in labels)
        return dataclasses.replace(self, maps=maps, people=people)

    def without(self, left_out: Mapping[str, str]) -> Cohort:
        """Return the same without further people, by the reason that each is left out for."""
        kept = self.among([label for label in self.labels if label not in left_out])
        return dataclasses.replace(kept, left_out={**self.left_out, **left_out})

    @cached_property
    def table_families(self) -> Families:
        """Families from the first table that has them."""
        dataset = self.request.dataset
        roots = (dataset.bids_dir, dataset.root, self.place)
        return read_families(roots, labels=self.request.participants)

    @cached_property
    def families(self) -> Families:
        """The same; labels with the same rest, once it was read, are one family."""
        return with_copies(self.table_families, self.sketches)

    @property
    def data_name(self) -> str | None:
        """Name of the data set, without which ids identify nobody; None: it has none."""
        return own_name(self.request.dataset)

    def rest_digests(self, label: str) -> tuple[str, ...]:
        """Return a digest of each file of rest; other cleaning leaves them the same."""
        try:
            runs = self.request.runs(label)
            return tuple(sorted({file_fingerprint(run.bold).ends_sha256 for run in runs}))
        except DtgError:
            return ()  # a later step says why these data cannot be used

    # Who has both scans, by file names alone.

    def found(self, contrasts: Sequence[Contrast] | None, *, everything: bool = False) -> Cohort:
        """Find who has both scans, by file names alone.

        Parameters
        ----------
        contrasts
            Rows of the maps; None: all that the maps have.
        everything
            Whether `--contrast` does not choose among them.
        """
        request, bundle = self.request, self.bundle
        there = find_statmap_files(self.place)
        ways, lacks = _ways(request, there.files)
        try:
            files, of_space = in_space(there.files, bundle.space, ways)
        except DatasetError as err:
            remedy = next((lack.remedy for lack in lacks if lack.remedy), None)
            raise DatasetError(err.found, expected=err.expected, remedy=remedy) from err
        known = (*hcp_contrasts(), *bundle.contrasts)
        tasks = {plain_contrast(row.label): plain_contrast(row.task) for row in known}
        files, of_tasks = name_targets(files, tasks)
        asked = () if everything else self.settings.modelling.contrast
        rows = contrast_rows([file.contrast for file in files], contrasts, bundle.contrasts, asked)
        wanted = {plain_contrast(row.label) for row in rows}
        files = tuple(file for file in files if plain_contrast(file.contrast) in wanted)
        with_maps = sorted({file.participant for file in files})
        own = [file for file in files if file.participant in request.participants]
        preferred = [plain_label(label, "ses") for label in self.settings.inputs.session_label]
        by_person: dict[str, list[StatMap]] = {}
        for statmap in group_maps(own):
            by_person.setdefault(statmap.participant, []).append(statmap)
        maps = {who: choose_sessions(them, preferred) for who, them in sorted(by_person.items())}
        if not maps:
            raise DatasetError(
                f"nobody who is worked on in {request.dataset.root} has maps in {self.place}",
                expected=f"the same labels; maps are of {', '.join(with_maps[:5])}",
            )
        statistic, of_runs = choose_statistic(maps)
        for who, them in maps.items():
            retest = {key: own for key, own in them.retest.items() if statistic in own.files}
            maps[who] = dataclasses.replace(them, retest=retest)
        left_out = {who: "no measured maps" for who in request.participants if who not in maps}
        if not request.settings.inputs.participant_label:  # others were not asked for
            left_out |= {who: "no rest" for who in with_maps if who not in request.participants}
        ours = there.predicted and (
            f"{counted(there.predicted, 'file')} among the measured maps are predictions of "
            "bids_dtg and are not used"
        )
        names = own_names(rows) if contrasts is None else ""
        notes = tuple(note for note in (of_tasks, of_space, of_runs, ours, names) if note)
        return dataclasses.replace(
            self,
            maps=maps,
            contrasts=rows,
            statistic=statistic,
            left_out=left_out,
            notes=notes,
            ways=ways,
        )

    def find(self, contrasts: Sequence[Contrast] | None, *, everything: bool = False) -> Cohort:
        """Find who has both scans, as `found`, and say what was found."""
        cohort = self.found(contrasts, everything=everything)
        for why in sorted(set(cohort.left_out.values())):
            who = [label for label, reason in cohort.left_out.items() if reason == why]
            say(f"left out: {counted(len(who), 'participant')} with {why} ({named(who)})")
        for line in (cohort.sessions, *cohort.files, *cohort.notes):
            if line:
                say(line)
        predicted = self.bundle.card.part.statistic
        if contrasts is not None and cohort.statistic != predicted:
            say(
                f"the model predicts {predicted} and the measured maps are {cohort.statistic}: "
                "their scales and intervals cannot be compared"
            )
        if not self.is_dry:
            return cohort
        no_rest = {label: self._why_no_rest(label) for label in cohort.labels}
        failures = {label: reason for label, reason in no_rest.items() if reason}
        for label, reason in failures.items():
            say(f"sub-{label} would be left out: {reason}")
        return cohort.among([label for label in cohort.labels if label not in failures])

    def _why_no_rest(self, label: str) -> str | None:
        """Return why a person's runs cannot be used, by their headers and tables."""
        usable, short = False, ""
        try:
            for run in self.request.runs(label):
                try:
                    plan_run(run, self.bundle.space, self.request.settings.cleaning)
                    usable = True
                except TooShortError as err:
                    short = str(err)
        except DtgError as err:
            return str(err)
        return None if usable else short

    def of_data(self) -> Cohort:
        """Return the same for a model that rests on these people's files.

        Raises
        ------
        SettingsError
            A model is there that was made of other data.
        """
        files: list[Path] = []
        for label, maps in self.maps.items():
            with suppress(DtgError):  # a later step says why these runs cannot be used
                for run in self.request.runs(label):
                    files += run.inputs
            for statmap in (*maps.target.values(), *maps.retest.values()):
                files += statmap.files.values()
        results = self.results.of_data(files, self.request.dataset.root)
        return dataclasses.replace(self, results=results)

    def print_plan(self, sets: Mapping[str, Sequence[str]]) -> int:
        """Print what the call would do; return 0, the number of failures."""
        labels, dataset = [row.label for row in self.contrasts], self.request.dataset
        how = find_strategy(self.request.settings.cleaning.denoise_strategy).in_words
        show(f"{dataset.root} is read as {dataset.title}, {how}; measured maps in {self.place}")
        show(f"{counted(len(labels), 'contrast')} ({self.statistic}): {', '.join(labels)}")
        for use, people in sets.items():
            if people:
                show(f"to {use}: {counted(len(people), 'participant')} ({named(people)})")
        own = self.makes == "model"
        what = f"the model {self.name}" if own else f"scores of {self.bundle.card.name}"
        show(
            f"would write {what} to {self.results.path}, and arrays of people to {self.cache.root}"
        )
        show("no image was read, and no output was written")
        return 0

    # Reading them.

    @contextmanager
    def begun(self) -> Iterator[Locks]:
        """Lock the folder and start to write.

        Raises
        ------
        SettingsError
            Another call works in this folder, or has just made a model in it.
        """
        with self.results.begun() as locks:
            if note := note_on_namesakes(self.settings.inputs.model):
                say(note)
            yield locks

    def read(self, locks: Locks) -> Cohort:
        """Read everybody, or map the arrays that an earlier analysis of this output has made.

        Nothing is written in the folder of the results.

        Raises
        ------
        SettingsError
            Another analysis is reading people, or uses arrays that this one would replace.
        DatasetError
            Nobody's data can be used.
        """
        failures, people = self._make_arrays(locks), []
        for label in self.labels:
            if label not in failures:
                try:
                    people.append(self.open(label))
                except DtgError as err:
                    failures[label] = str(err)
        locks.release(_CACHE_LOCK)
        cohort = self._with_failures(failures)
        rests = [self.cache.notes(self._rest(person.label)) for person in people]
        times = {round(seconds, 3) for own in rests for seconds in own.get("repetition_times", ())}
        unusable = {
            label: {
                side: dict(self.cache.notes(f"sub-{label}/{side}_maps").get("unusable", {}))
                for side in self._sides(label)
            }
            for label in cohort.labels
        }
        return dataclasses.replace(
            cohort,
            people=tuple(people),
            unusable=unusable,
            repetition_time_s=times.pop() if len(times) == 1 else None,
        )._knowing({person.label: person.sketches for person in people})

    def reduced(self, locks: Locks) -> Cohort:
        """Reduce everybody's rest, for ROI maps, as `read`; nobody is read yet."""
        reduces = dataclasses.replace(self, reduces=True)
        cohort = self._with_failures(reduces._make_arrays(locks))
        locks.release(_CACHE_LOCK)
        notes = {label: self.cache.notes(f"sub-{label}/{_REDUCED}") for label in cohort.labels}
        return cohort._knowing({label: own.get("sketches", {}) for label, own in notes.items()})

    def _with_failures(self, failures: Mapping[str, str]) -> Cohort:
        for label, why in sorted(failures.items()):
            say(f"sub-{label} is left out: {why}")
        cohort = self.without(failures)
        if not cohort.maps:
            raise DatasetError(
                f"nobody in {self.request.dataset.root} has usable rest and maps",
                expected="one participant or more; the lines above say what is wrong",
            )
        return dataclasses.replace(cohort, failed=self.failed + len(failures))

    def _knowing(self, sketches: Mapping[str, Mapping[str, str]]) -> Cohort:
        """Return the same, which knows who has the same rest; report them once."""
        said = copies_in_words(self.families, self.sketches)
        cohort = dataclasses.replace(self, sketches=sketches)
        for line in copies_in_words(cohort.families, sketches):
            if line not in said:
                say(line)
        return cohort

    def of_fold(self, number: int) -> Cohort:
        """Return the people as the model of a fold, the first being 1, reads them."""
        if not self.folds:
            return self
        request = dataclasses.replace(self.request, bundle=self.folds[number - 1])
        people = tuple(self.open(label, number) for label in self.labels)
        return dataclasses.replace(self, request=request, people=people, folds=())

    def _make_arrays(self, locks: Locks) -> dict[str, str]:
        """Make missing arrays, under a lock; return why some people cannot be used."""
        root = self.cache.root
        locks.require(
            _CACHE_LOCK, what=f"{root}, to read people,", remedy="choose another OUTPUT_DIR"
        )
        missing, failures = [], {}
        for label in self.labels:
            try:
                if not self.are_made(label):
                    missing.append(label)
            except DtgError as err:
                failures[label] = str(err)
        users = locks.others(_CACHE_USERS)
        replaced = [label for label in missing if users and self._holds(label)]
        if replaced:
            raise SettingsError(
                f"arrays of {counted(len(replaced), 'participant')} ({named(replaced)}) in "
                f"{root} would be made anew from other options or files, and are in use "
                f"by {users[0]}",
                remedy="wait until it has ended, or choose another OUTPUT_DIR",
            )
        locks.take(f"{_CACHE_USERS}{self.results.path.name}")
        remove_stale_temporaries(root)
        words = PRESENTATION.dataset_words(self.bundle.card)
        self.results.describe(self.request.dataset, words)
        return failures | (_make(self, missing) if missing else {})

    # The arrays of a person.

    def are_made(self, label: str) -> bool:
        """Return whether all arrays of a person exist and match the present inputs."""
        return all(
            self.cache.has(f"sub-{label}/{side}_maps", self._facts_of_maps(maps))
            for side, maps in self._sides(label).items()
        ) and all(
            store.has(name, self._facts_of_rest(label, bundle))
            for store, name, bundle in self._of_rest(label)
        )

    def _holds(self, label: str) -> bool:
        """Return whether some arrays of a person are there, whatever from."""
        names = [f"sub-{label}/{side}_maps" for side in self._sides(label)]
        return any(map(self.cache.holds, (*names, self._of_rest(label)[0][1])))

    def make(self, label: str, reporter: Reporter) -> None:
        """Make the missing arrays of a person, whose runs a reader reduces."""
        reporter.stage("measured maps", 0.0)
        sides, copies = self._sides(label), {}
        for side, maps in sides.items():
            name, facts = f"sub-{label}/{side}_maps", self._facts_of_maps(maps)
            if not self.cache.has(name, facts):
                values, unusable = self.read_maps(maps)
                self.cache.write(name, values, facts, {"unusable": unusable})
            if len(sides) > 1:  # a retest that is a copy would be a ceiling of 1
                session = f"session {next(iter(maps.values())).session}"
                copies[session] = sketch(np.nan_to_num(self.cache.read(name)))
        with_copies(Families({}, ""), {label: copies}, "set of measured maps", "")
        missing = [
            (store, name, facts, number)
            for number, (store, name, bundle) in enumerate(self._of_rest(label))
            if not store.has(name, facts := self._facts_of_rest(label, bundle))
        ]
        made = (self._reduce if self.reduces else self._measure)(label, reporter) if missing else []
        for store, name, facts, number in missing:
            store.write(name, made[number][0], facts, made[number][1])
        reporter.finish("reduced" if self.reduces else "read")

    def open(self, label: str, fold: int = 0) -> Person:
        """Map a person's existing arrays; all are read once and compared with their checksums.

        Of a fold, connectomes have its ROI maps.
        """
        store, name, bundle = self._of_rest(label)[fold]
        notes = store.notes(name)
        known = {key: own for key, own in notes.items() if own is not None}
        return Person(
            label,
            store.read(name),
            tuple(notes["weights"]),
            tuple(self.cache.read(f"sub-{label}/{side}_maps") for side in self._sides(label)),
            bundle.card.part.connectome,
            notes["seconds"] / 60 or float("nan"),
            known.get("residual_dof", float("nan")),
            known.get("fd_mm", float("nan")),
            notes.get("sketches", {}),
        )

    def _sides(self, label: str) -> dict[str, Mapping[str, StatMap]]:
        """Return the maps of the session of each array: the target first."""
        return {side: maps for side in SIDES if (maps := self.planned(label, side))}

    def planned(self, label: str, side: str) -> Mapping[str, StatMap]:
        """Return a person's maps by contrast: the targets, or the retests if they count."""
        own = self.maps[label]
        if side == SIDES[0]:
            return own.target
        return own.retest if own.target and own.retested else {}

    def _rest(self, label: str) -> str:
        """Return the name of a person's connectomes; each form and cut has its own."""
        part, form = self.bundle.card.part, "" if self.form == MARGINAL else f"{self.form.name}_"
        cut = "_of_whole_runs" if part.whole_runs else ""
        return f"sub-{label}/{form}connectomes" + ("_of_sessions" if part.of_sessions else cut)

    def _of_rest(self, label: str) -> list[tuple[ArrayStore, str, ModelBundle]]:
        """Return where arrays of a person's rest are, and of which model: folds come last."""
        if self.reduces:
            return [(self.cache, f"sub-{label}/{_REDUCED}", self.bundle)]
        name, work = self._rest(label), ArrayStore(self.store.root / WORK)
        folds = [(work, f"fold{n}/{name}", own) for n, own in enumerate(self.folds, 1)]
        return [(self.cache, name, self.bundle), *folds]

    def _facts_of_maps(self, maps: Mapping[str, StatMap]) -> dict[str, Any]:
        """Return what an array of measured maps depends on."""
        spaces = {statmap.space or "" for statmap in maps.values()} & set(self.ways)
        used = {space: file_fingerprint(self.ways[space]) for space in sorted(spaces)}
        transforms = {space: dataclasses.asdict(found) for space, found in used.items()}
        return {
            "geometry": _geometry(self.bundle),
            "rows": self.rows,
            "statistic": self.statistic,
            "checks": _CHECKS,
            # File names alone, as these facts are published with the output; contents decide.
            "files": facts_of_files([statmap.files[self.statistic] for statmap in maps.values()]),
            **({"transforms": transforms} if transforms else {}),
        }

    def _facts_of_rest(self, label: str, bundle: ModelBundle) -> dict[str, Any]:
        """Return what an array of a person's rest depends on."""
        planned, part, known = (
            self.request.averages(label),
            self.bundle.card.part,
            self.request.recorded_options,
        )
        facts: dict[str, Any] = {
            "options": {
                name: known[name]
                for name, option in OPTIONS.items()
                if option.part == "cleaning" and name in known
            },
            "version": __version__,
            "inputs": {
                path: dataclasses.asdict(fingerprint)
                for plan in planned
                for path, fingerprint in self.request.fingerprints(plan).items()
            },
        }
        geometry = _geometry(bundle)
        if self.reduces:
            *_, maps = bundle.card.part.of_geometry
            del geometry[maps]
            reduced = {"means": _MOST_MEANS, "components": group_ica.FIRST}
            return facts | {"geometry": geometry, **reduced}
        return facts | {
            "geometry": geometry,
            "segment_seconds": part.segment_seconds,
            **({"sample": part.sample} if part.of_sessions else {}),
            "weighted_by": "dof" if _by_dof(planned) else "seconds",
        }

    def read_maps(self, maps: Mapping[str, StatMap]) -> tuple[NDArray[np.float32], dict[str, str]]:
        """Read measured maps, (contrasts, places), and say why some are not used."""
        rows = self.rows
        array = np.full((len(rows), self.bundle.places.number), np.nan, np.float32)
        unusable = {}
        for contrast, statmap in maps.items():
            read: Callable[[Path], NDArray[np.float32]] = self.bundle.places.read
            if (space := statmap.space or "") in self.ways:
                read = partial(read_statmap, points=self._points[space], space=space)
            try:
                values = read_measured(statmap, self.statistic, read)
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
            path = maps[first].files[self.statistic]
            raise RunError(
                f"none of {len(maps)} measured maps can be used, as {path}: {why}",
                expected="a statistic map of the whole brain",
            )
        return array, unusable

    @cached_property
    def _points(self) -> Mapping[str, NDArray[np.float64]]:
        """Where the model's voxels lie in other templates, (voxels, 3) RAS+ mm of each."""
        points = self.bundle.voxels.points
        return {
            space: map_points(points, read_transforms([TransformFile(path)]))
            for space, path in self.ways.items()
        }

    def _reduce(self, label: str, reporter: Reporter) -> list[tuple[NDArray[Any], dict[str, Any]]]:
        """Reduce a person's rest in one pass over each run."""
        assert self.reader is not None
        found: NDArray[np.float32] | None = None
        sketches: dict[str, str] = {}
        for run in self.request.runs(label):
            reporter.stage(f"rest of {run.title}", 0.0)
            with suppress(TooShortError):
                courses = self.reader.courses(run, _MOST_MEANS)
                sketches[run.title] = sketch(courses[::_EVERY])
                found = group_ica.reduce_rest(courses, found)
        if found is None:
            raise _too_short(label)
        return [(found, {"sketches": sketches})]

    def _measure(self, label: str, reporter: Reporter) -> list[tuple[NDArray[Any], dict[str, Any]]]:
        """Compute a person's connectomes, in one pass over each run: of the model, and of folds."""
        assert self.reader is not None
        planned, part = self.request.averages(label), self.bundle.card.part
        by_dof = _by_dof(planned)
        rois = [bundle.rois for bundle in (self.bundle, *self.folds)]
        rows = rows_of(rois)
        segments, times, fd = [], [], []
        sketches: list[dict[str, str]] = [{} for _ in rows]
        sessions: dict[str | None, JoinedRuns] = {}
        for run in (run for plan in planned for run in plan.runs):
            try:
                measured = self.reader.measure(
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
                    sessions.setdefault(run.session, JoinedRuns()).add(segment)
                else:
                    segments.append(segment)
        segments += [joined.connectome() for joined in sessions.values()]
        if not segments:
            raise _too_short(label)
        ways = "--session-label, --bids-filter-file"
        with_copies(Families({}, ""), {label: sketches[0]}, options=ways)
        frames = sum(number for _, number in fd)
        mean_fd = sum(mm * number for mm, number in fd) / max(frames, 1)
        dof = sum(segment.residual_dof for segment in segments)
        notes = {
            "weights": [
                segment_weight(segment.seconds, segment.residual_dof, by_dof=by_dof)
                for segment in segments
            ],
            "repetition_times": times,
            "seconds": sum(segment.seconds for segment in segments),
            "residual_dof": dof if dof > 0 else None,
            "fd_mm": mean_fd if frames and np.isfinite(mean_fd) else None,
        }
        return [
            (
                np.stack([segment.r[some].astype(np.float16) for segment in segments]),
                {**notes, "sketches": own},
            )
            for own, some in zip(sketches, rows, strict=True)
        ]

    # ROI maps of a model that is trained.

    def learning(self, training: int) -> Cohort:
        """Decide whether ROI maps are made of the rest of so many training people; say why."""
        card = self.bundle.card
        if self.learns or self.kind is None or not self.kind.sets or card.part.several:
            return self
        few, who = training < FEW, counted(training, "training participant")
        if few and _names_model(self.settings):
            say(f"ROI maps are those of {card.name}: group ICA of {who} would make poor ones")
            return self
        if few:
            say(
                f"warning: group ICA of {who} makes poor ROI maps; a --model that is named brings "
                f"its own, and {FEW} or more participants make good ones"
            )
        sets = sets_that_fit(self.kind.image_sets, self.bundle.places.number)
        words = f"masks are those of {card.name} {card.version}, with {maps_in_words(sets)}"
        return dataclasses.replace(self, learns=sets, maps_words=words)

    def with_maps_of(
        self, training: Sequence[str], groups: Sequence[Collection[str]] = ()
    ) -> Cohort:
        """Return a copy with ROI maps by group ICA of the training people's reduced rest.

        Each of the groups that are left out of a fit in turn has a fold without their rest.
        """
        bundle, folds = self._made_of(training, "ROI maps"), []
        for number, group in enumerate(groups, 1):
            others = [label for label in training if label not in group]
            folds.append(self._made_of(others, f"ROI maps without group {number}"))
        seed, who = self.settings.modelling.seed, counted(len(training), "training participant")
        words = f"{self.maps_words} made by group ICA of {who} (seed {seed})"
        request = dataclasses.replace(self.request, bundle=bundle)
        return dataclasses.replace(self, request=request, folds=tuple(folds), maps_words=words)

    def _made_of(self, people: Sequence[str], title: str) -> ModelBundle:
        """Return the model with ROI maps of some people; a killed call's are found again."""
        reduces, seed = dataclasses.replace(self, reduces=True), self.settings.modelling.seed
        store, name = ArrayStore(self.store.root / WORK), title.lower().replace(" ", "_")
        facts = {
            "people": {label: reduces._facts_of_rest(label, self.bundle) for label in people},
            "sets": list(self.learns),
            "seed": seed,
        }
        if not store.has(name, facts):
            self.results.add(f"{ARRAYS}/")
            say(f"{title}: group ICA of {counted(len(people), 'participant')}")
            rest = [self.cache.read(f"sub-{label}/{_REDUCED}") for label in people]
            with one_blas_thread():  # its products are small: threads wait for each other
                maps, records = group_ica.group_maps(rest, self.learns, seed, say)
            store.write(name, maps, facts, {"records": records})
        records = store.notes(name)["records"]
        return with_roi_maps(self.bundle, store.read(name), self.learns, records)

    # Its results.

    def folder_of_fit(self) -> Path:
        """Return the folder of a fit's checkpoints, and record it as this analysis' own."""
        self.results.add(f"{CHECKPOINTS}/")
        return self.results.path

    def write_scores(self, tables: Mapping[str, ResultTable], facts: Mapping[str, Any]) -> None:
        """Write tables of scores by name; `facts` extend the models' table's dictionary."""
        self.results.add(f"{ARRAYS}/")
        for name, table in tables.items():
            self.results.table(f"desc-{name}_scores", table)
        self.results.json("desc-models_scores", {**tables["models"].dictionary(), **facts})


def _names_model(settings: Settings) -> bool:
    """Return whether a model was named, not taken by default."""
    return bool(settings.inputs.model != OPTIONS["model"].default)


def _form_of(kind: MapsKind, sets: Sequence[int]) -> Form:
    """Return the form that a kind is trained on, of a model's sets of ROI maps.

    Raises
    ------
    SettingsError
        There are several sets, which the kind cannot read.
    """
    if sets and not kind.sets:
        able = " or ".join(row.name for row in KINDS.values() if row.sets)
        raise SettingsError(
            f"a --model with {maps_in_words(sets)} was given for a model of kind {kind.name}",
            expected=f"--architecture {able}, or a model with one set",
        )
    return Form(kind.connectome, tuple(sets))


def _prepare_at_parcels(settings: Settings, kind: MapsKind) -> tuple[Request, tuple[int, ...], str]:
    """Prepare the training of a model whose places are those of the first person's series."""
    made: list[tuple[tuple[int, ...], str]] = []

    def template(asked: Asked) -> ModelBundle:
        places, example = first_places(asked)
        if not kind.sets:
            raise SettingsError(
                f"a {kind.name} model of {places.density} has no ROI maps",
                expected="--architecture linear, or a --model of such places that has some",
            )
        sets = sets_that_fit(kind.sets, places.number)
        made.append((sets, f"places are those of {example}, with {maps_in_words(sets)}"))
        form = Form(kind.connectome, sets if len(sets) > 1 else ())
        seconds = kind.segment_seconds(SECONDS_PER_SEGMENT)
        return parcel_template(places, sets, form, seconds, asked.output.root / "group")

    request = Request.prepare(settings, template)
    return request, *made[0]


def _by_dof(planned: Sequence[AveragedRuns]) -> bool:
    """Return whether a person's segments are weighted by their residual degrees of freedom."""
    return all(plan.by_dof for plan in planned)


def _too_short(label: str) -> RunError:
    return RunError(f"sub-{label} has no run of rest with enough left after cleaning")


def _geometry(bundle: ModelBundle) -> dict[str, str]:
    """Return checksums of the files that define grid and ROIs."""
    return {name: bundle.card.files[name] for name in bundle.card.part.of_geometry}


def _ways(request: Request, files: Sequence[StatFile]) -> tuple[dict[str, Path], list[RunError]]:
    """Return transforms to other templates that maps are in, and what other templates lack."""
    ways: dict[str, Path] = {}
    lacks: list[RunError] = []
    model = request.bundle.space
    spaces = {file.space for file in files if file.space not in (None, model, PARCELS)}
    if model == PARCELS:
        return ways, lacks
    for space in sorted(filter(None, spaces)):
        try:
            ways[space] = request.templateflow.transform(model, space)
        except RunError as err:
            lacks.append(err)
    return ways, lacks


def _examples(contrasts: Iterable[Contrast]) -> list[str]:
    return [contrast.label for contrast in contrasts][:4]


def contrast_rows(
    found: Sequence[str],
    contrasts: Sequence[Contrast] | None,
    own: Sequence[Contrast],
    labels: Sequence[str],
) -> tuple[Contrast, ...]:
    """Return the contrasts to work on, numbered anew.

    Parameters
    ----------
    found
        Labels of the measured maps.
    contrasts
        Contrasts to choose from; None: all.
    own
        The model's contrasts, whose descriptions are kept.
    labels
        Labels or tasks of ``--contrast``; empty: all.

    Raises
    ------
    DatasetError
        None of these is present.
    """
    present = {plain_contrast(label): label for label in found}
    known = {plain_contrast(contrast.label): contrast for contrast in hcp_contrasts()}
    known |= {plain_contrast(contrast.label): contrast for contrast in own}
    tasks = {name: known[key].task if key in known else "" for key, name in present.items()}
    labels = with_families(labels, tasks)
    asked = [plain_contrast(label) for label in labels]
    if unknown := [label for label in labels if plain_contrast(label) not in present]:
        near = [nearest_contrast(label, present.values()) for label in unknown]
        meant = " or ".join(label for label in near if label is not None)
        raise DatasetError(
            f"--contrast names {', '.join(unknown)}, which no map is of",
            expected=f"of {', '.join(sorted(present.values())[:60])}",
            remedy=f"did you mean {meant}?" if meant else None,
        )
    if contrasts is not None:
        keys = [plain_contrast(contrast.label) for contrast in contrasts]
        keys = [key for key in keys if key in present and (not asked or key in asked)]
    else:
        order = [key for key in known if key in present]
        keys = [
            key for key in order + sorted(set(present) - set(order)) if not asked or key in asked
        ]
    if not keys:
        raise DatasetError(
            "no measured map is of a contrast of the model",
            expected=f"labels such as {', '.join(_examples(contrasts or known.values()))}; found "
            f"{', '.join(sorted(present.values())[:6])}",
        )
    made = []
    for number, key in enumerate(keys):
        label = "".join(letter for letter in present[key] if letter.isascii() and letter.isalnum())
        given = known.get(key) or Contrast(number, label, "", present[key], present[key])
        made.append(dataclasses.replace(given, index=number))
    return tuple(made)


def own_names(contrasts: Sequence[Contrast]) -> str:
    """Name the contrasts that are none of HCP's, in a sentence; empty where there are none.

    Examples
    --------
    >>> own_names(contrast_rows(["WM 0bk:faces", "SOCIAL:rnd"], None, (), ()))
    'no contrast of HCP, so kept under its own name: 1 of 2 contrasts (SOCIALrnd)'
    """
    known = {plain_contrast(contrast.label) for contrast in hcp_contrasts()}
    own = [row.label for row in contrasts if plain_contrast(row.label) not in known]
    if not own:
        return ""
    under = "its own name" if len(own) == 1 else "their own names"
    number = f"{len(own)} of {counted(len(contrasts), 'contrast')}"
    return f"no contrast of HCP, so kept under {under}: {number} ({', '.join(own)})"


def _make(cohort: Cohort, labels: Sequence[str]) -> dict[str, str]:
    """Make people's arrays in several processes; return why some of them failed.

    Raises
    ------
    OutputError, SettingsError
        Arrays or temporary files cannot be written; this is not caused by a participant's data.
    """
    request = cohort.request
    settings = request.settings
    # One thread each: sums of several threads are rounded otherwise, and arrays would depend on
    # how many processes there are.
    threads = own_threads(settings.resources) or 1
    bundle = read_together(request.bundle, cohort.folds)
    capacity = divide(
        settings.resources,
        units=len(labels),
        bytes_each=bytes_needed(bundle.places.number, bundle.rois, on_cpu=True),
        on_cpu=True,
    )
    # A process that was forked shares what was prepared.
    forked = can_fork()
    prepare = (
        partial(_work, cohort, _reader(cohort, threads))
        if forked
        else partial(_prepare, dataclasses.replace(cohort, kind=None), threads)
    )
    failures, begun = {}, time.monotonic()
    with Board(len(labels), stages=settings.behaviour.verbose > 0) as board:
        pool = Pool(prepare, capacity.processes, forked=forked, before_start=board.before_fork)
        messages = pool.run(Backlog(labels))
        with closing(follow(messages, board, lambda label: f"sub-{label}")) as ends:
            for number, (_, end) in enumerate(ends, 1):
                failure = _failure(end)
                rounds = math.ceil(len(labels) / capacity.processes) - 1
                if number == 1 and rounds:
                    left = rounds * (time.monotonic() - begun)
                    board.note(f"reading the others takes about {duration(left)}")
                if failure is not None:
                    failures[end.label] = failure
                board.advance(failed=failure is not None)
    return failures


def _failure(end: End[None]) -> str | None:
    """Return why a person's arrays were not made.

    Raises
    ------
    OutputError, SettingsError
        Arrays or temporary files cannot be written.
    """
    match end:
        case Finished():
            return None
        case Raised(error=OutputError() | SettingsError() as err):
            raise err
        case Raised(error=DtgError() as err):
            return str(err)
        case Raised(error=err):
            return f"internal error: {type(err).__name__}: {err}"
        case WorkerDied(reason=reason) | NotBegun(reason=reason):
            return f"the process that worked on it died: {reason}"


def _reader(cohort: Cohort, threads: int) -> Reader:
    together = read_together(cohort.bundle, cohort.folds)
    cleaning = cohort.request.settings.cleaning
    return Reader.of(together, cleaning, threads=threads, every_part=False)


def _prepare(cohort: Cohort, threads: int) -> Work[None]:
    """Prepare the work in a process that was started, not forked."""
    return _work(cohort, _reader(cohort, threads))


def _work(cohort: Cohort, reader: Reader) -> Work[None]:
    share_cores(reader.threads)
    return dataclasses.replace(cohort, reader=reader).make
