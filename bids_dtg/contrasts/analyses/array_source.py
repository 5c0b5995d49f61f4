"""People as arrays, of one or several files, as a source of people for analyses."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cleaning.design import TooShortError
from bids_dtg.cohort.copies import Sketches
from bids_dtg.connectome.connectome import Connectome, run_connectomes
from bids_dtg.connectome.design import SECONDS_PER_SEGMENT, TemporalDesign
from bids_dtg.connectome.form import Form
from bids_dtg.connectome.moments import RunVoxels, measure_run
from bids_dtg.connectome.passes import Blocks
from bids_dtg.contrasts.analyses.cohort_plan import CohortPlan, contrast_rows
from bids_dtg.contrasts.analyses.person_arrays import MeasuredRest, PersonArrays
from bids_dtg.contrasts.analyses.source import (
    lengths_of,
    maps_in_words,
    megabytes,
    own_form,
    sets_that_fit,
    template_bundle,
)
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import MapsKind
from bids_dtg.contrasts.bundle.part import RUN, MapsPart
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.kind import LINEAR_MEANS
from bids_dtg.contrasts.participant.model import Model, obtain_bundle
from bids_dtg.contrasts.weighted_files import shared_maps
from bids_dtg.engine.display import Reporter, make_board
from bids_dtg.engine.gpu import map_device
from bids_dtg.engine.machine import share_cores
from bids_dtg.errors import (
    BundleError,
    DatasetError,
    DtgError,
    OutputError,
    RunError,
    SettingsError,
)
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.derivatives import (
    DerivativeDataset,
    SourceDataset,
    check_output_location,
    refuse_model_folder,
)
from bids_dtg.files.names import plain_label
from bids_dtg.files.path_names import PathNames, machine_folders
from bids_dtg.files.provenance import file_fingerprint
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.imaging.surfaces.grayordinates import (
    Grayordinates,
    read_cifti_header,
    standard_grayordinates,
)
from bids_dtg.inputs.arrays import ArrayPeople, PeopleArray, choose_sessions, read_arrays
from bids_dtg.inputs.dataset import name_folder
from bids_dtg.inputs.splits_file import Families
from bids_dtg.inputs.statmaps import PersonMaps, StatMap, plain_contrast
from bids_dtg.notices import counted, say
from bids_dtg.settings import OPTIONS, ModellingOptions, Settings
from bids_dtg.stats.group_ica import GroupIca, standardised_places
from bids_dtg.stats.map_checks import own_figures
from bids_dtg.version import __version__

_FRAMES = 64  # summed at once
_CLEANED = "arrays, cleaned before; residual degrees of freedom not known"


@dataclass(frozen=True, eq=False)
class ArrayPlan(CohortPlan):
    """Participants whose rest and maps are arrays."""

    maps_source: str = ""  # names of the files with maps

    @property
    def files(self) -> tuple[str, ...]:
        """Describe the arrays of measured maps in a sentence; no sentence if there are none."""
        if not self.maps_source:
            return ()
        maps = counted(len(self.people) * len(self.contrasts), f"{self.statistic} map")
        return (f"{maps} of {counted(len(self.people), 'participant')}, from {self.maps_source}",)


@dataclass(frozen=True, eq=False)
class ArraySource:
    """People of array files (`bids_dtg.contrasts.analyses.source.Source`)."""

    settings: Settings  # options of the call
    people: ArrayPeople  # what the files hold
    dataset: SourceDataset  # the folder that names the data set
    output: DerivativeDataset  # where results go
    bundle: ModelBundle  # the model; for training, only its places and ROI maps
    measured: bool = True  # whether measured maps are wanted
    maps_words: str = ""  # as `Source`
    learns: tuple[int, ...] = ()  # ROIs of each set of maps to be made from the training people
    # Minutes of parts of the rest of training people, whose connectomes are wanted, too.
    lengths: tuple[float, ...] = ()

    @classmethod
    def prepare(
        cls, settings: Settings, kind: MapsKind | None, *, measured: bool = True
    ) -> ArraySource:
        """Check options, files and model before anything is written.

        Parameters
        ----------
        settings
            Options of the call, composed and checked.
        kind
            Kind of the model to be trained; None: the call reads a model.
        measured
            Whether measured maps are wanted.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, files or model.
        """
        dataset = name_folder(settings.inputs.bids_dir)
        output = check_output_location(settings.inputs.output_dir, dataset)
        modelling = settings.modelling
        people = read_arrays(modelling.input_arrays, modelling.array_key)
        if people.rest:
            rest = choose_sessions(people.rest, settings.inputs.session_label)
            people = dataclasses.replace(people, rest=rest)
        if measured and people.targets is None:
            raise DatasetError(
                "no file has measured maps under the key targets",
                expected="targets (people, contrasts, places)",
                remedy="give the key with --array-key targets=KEY",
            )
        sets: tuple[int, ...] = ()
        lengths: tuple[float, ...] = ()
        if kind is None:
            bundle = obtain_bundle(settings.inputs.model, may_fetch=not settings.behaviour.dry_run)
            refuse_model_folder(output, bundle.path)
            bundle.require_finite()
            _require_same_places(bundle, people)
            words = f"ROI maps are those of {bundle.card.name} {bundle.card.version}"
        else:
            _refuse_a_model(settings)
            shared = None if people.connectomes else shared_maps(modelling.add_sums)
            if shared is not None and people.roi_maps is None:
                people = dataclasses.replace(people, roi_maps=shared[0])
            form, sets = _form(kind, modelling, people, shared[1] if shared else ())
            maps, words = _roi_maps(people, sets)
            part = MapsPart(
                (),
                segment_seconds=kind.segment_seconds(SECONDS_PER_SEGMENT),
                connectome=form,
                sample=modelling.sample or RUN,
            )
            lengths = lengths_of(form)
            bundle = _base(people, maps, part, output / "group")
        return cls(
            settings=settings,
            people=people,
            dataset=dataset,
            output=DerivativeDataset(output),
            bundle=bundle,
            measured=measured,
            maps_words=words,
            learns=sets,
            lengths=lengths,
        )

    @property
    def learns_maps(self) -> bool:
        """Whether ROI maps are made from the training people."""
        return bool(self.learns)

    @property
    def place(self) -> Path:
        """Folder of the file with measured maps."""
        held = self.people.targets
        return self.people.files[0].parent if held is None else held.stored.path.parent

    def form(self, kind: MapsKind | None) -> Form:
        """Return the form of the bundle, which is made for the kind."""
        return self.bundle.card.part.connectome

    @property
    def families(self) -> Families:
        """Families from the arrays' key ``families``."""
        return self.people.families

    @property
    def own_name(self) -> str | None:
        """Return the data set's name: from the folder's description, else the folder's name."""
        return str(self.dataset.description.get("Name") or "").strip() or self.dataset.name

    @property
    def words(self) -> str:
        """Describe the arrays and how their rest was cleaned."""
        files = ", ".join(str(path) for path in self.people.files)
        rest = "connectomes made elsewhere" if self.people.connectomes else "rest cleaned before"
        return f"{files}: {rest}, at {counted(len(self.people.places), 'place')}"

    @property
    def cleaning(self) -> str:
        """Describe the cleaning of the arrays."""
        return _CLEANED

    @property
    def record(self) -> Mapping[str, Any]:
        """Record how ROI maps were made, and which degrees of freedom are used."""
        if self.people.connectomes is not None:
            return {"arrays": {"connectomes": "made elsewhere"}}
        dof = {"effective_dof": "of the frames less one: the cleaning is not known"}
        return {**(self.bundle.card.record or {}), "arrays": dof}

    def with_maps_of(self, training: Sequence[str]) -> ArraySource:
        """Make ROI maps by group ICA from the rest of the training people.

        Raises
        ------
        DatasetError
            Nobody's rest can be used, or it has too few components.
        """
        share_cores(1)  # sums of several threads are rounded otherwise
        ica, seed = GroupIca(), self.settings.modelling.seed
        size = megabytes(sum(self.learns), len(self.people.places), self.lengths)
        say(
            f"ROI maps: group ICA of {counted(len(training), 'training participant')}; connectomes "
            f"of {sum(self.learns)} ROIs take {size:.2g} MB a person"
        )
        for label in self._in_order(training):
            for array in self.people.sessions_of(label):
                try:
                    ica.add(self.people.read(array, label))
                except RunError:
                    continue  # a later step says so, and leaves the person out
        made, records = zip(*(ica.maps(rois, seed) for rois in self.learns), strict=True)
        if unsettled := [record.rois for record in records if not record.converged]:
            say(
                f"warning: group ICA of {' and '.join(map(str, unsettled))} maps did not settle; "
                "another --seed or fewer --rois may help"
            )
        several = len(made) > 1
        # As the bundle keeps them.
        maps = np.concatenate(made).astype(np.float16) if several else made[0]
        record = [own.to_json() for own in records] if several else records[0].to_json()
        part = self.bundle.card.part
        bundle = _base(self.people, maps, part, self.output.path("group"), record)
        words = (
            f"{maps_in_words(self.learns)} made by group ICA of "
            f"{counted(records[0].people, 'training participant')} (seed {seed})"
        )
        return dataclasses.replace(self, bundle=bundle, maps_words=words)

    def model(self) -> Model:
        """Prepare the bundle's model."""
        return Model(self.bundle, map_device(self.settings.resources.device), 1)

    @property
    def path_names(self) -> PathNames:
        """Names that replace folders of this machine."""
        folders = {"bids": self.dataset.root, "output": self.output.root}
        arrays = {f"arrays{n}": path.parent for n, path in enumerate(self.people.files, 1)}
        model = Path(self.settings.inputs.model)
        given = {"model": self.bundle.path if model.exists() else None}
        split = self.settings.modelling.split_file
        given["split-file"] = split.parent if split else None
        return PathNames.of(folders).plus(arrays).plus(given).plus(machine_folders())

    def plan(self, contrasts: Sequence[Contrast] | None) -> CohortPlan:
        """Plan from the arrays who has rest and maps; leave out everybody else.

        Raises
        ------
        DatasetError
            Nobody has both, or the arrays have no contrast of the model.
        """
        people, asked = self.people, self._asked()
        for note in people.notes:
            say(note)
        if people.structural is not None:
            say("structural connectomes are not used by models of contrasts")
        if not self.measured:
            wanted = [label for label in asked if people.has_rest(label)]
            found = {label: PersonMaps({}, {}) for label in sorted(wanted)}
            left_out = {label: "no rest" for label in asked if label not in found}
            return ArrayPlan(found, tuple(contrasts or ()), "effect", left_out, "")
        if bad := [name for name in people.contrasts if not re.search("[A-Za-z0-9]", name)]:
            raise DatasetError(
                f"a contrast is called {bad[0]}", expected="letters from a to z, or digits, in it"
            )
        names = {plain_contrast(name): name for name in people.contrasts}
        if len(names) < len(people.contrasts):
            raise DatasetError(
                f"two contrasts have names of the same letters: {', '.join(people.contrasts[:9])}",
                expected="names that differ by letters or digits",
            )
        rows = contrast_rows(
            people.contrasts, contrasts, self._own_contrasts, self.settings.modelling.contrast
        )
        assert people.targets is not None
        path = people.targets.stored.path
        keys = [plain_contrast(row.label) for row in rows]
        left_out = {label: "no measured maps" for label in asked if not people.has_targets(label)}
        left_out |= {label: "no rest" for label in asked if not people.has_rest(label)}
        both = {
            label: PersonMaps(
                {
                    key: StatMap(
                        label,
                        None,
                        names[key],
                        files={"effect": (path,)},
                        patterns={"effect": path.name},
                    )
                    for key in keys
                },
                {},
            )
            for label in sorted(asked)
            if label not in left_out
        }
        if not both:
            raise DatasetError(
                "nobody has both rest and measured maps in these files",
                expected="the same names under the key people",
            )
        return ArrayPlan(both, rows, "effect", left_out, "", maps_source=path.name)

    @property
    def _own_contrasts(self) -> tuple[Contrast, ...]:
        return self.bundle.contrasts

    def _asked(self) -> tuple[str, ...]:
        """Return everybody, or the participants asked for.

        Raises
        ------
        DatasetError
            A participant who was asked for is missing.
        """
        labels = self.settings.inputs.participant_label
        asked = tuple(dict.fromkeys(plain_label(label, "sub") for label in labels))
        if absent := [label for label in asked if label not in self.people.labels]:
            raise DatasetError(
                f"no file has {', '.join(absent)}",
                expected=f"labels such as {', '.join(self.people.labels[:5])}",
            )
        return asked or self.people.labels

    def files(self, plan: CohortPlan) -> Sequence[Path]:
        """Return nothing: all is in the arrays."""
        return ()

    def why_no_rest(self, label: str) -> str | None:
        """Return why a person's rest is too short, or None."""
        arrays = self.people.sessions_of(label)
        if self.people.connectomes is not None or any(map(self._is_long, arrays)):
            return None
        return str(self._too_short(label))

    def _is_long(self, array: PeopleArray) -> bool:
        minutes = array.stored.shape[2] * array.tr_seconds / 60
        return minutes >= self.settings.cleaning.min_minutes

    def _too_short(self, label: str) -> TooShortError:
        return TooShortError(
            f"sub-{label} has less than {self.settings.cleaning.min_minutes:g} minutes of rest",
            expected="that long, or a smaller --min-minutes",
        )

    def id_of(self, label: str) -> str:
        """Return the label, where a file names people."""
        return "" if self.people.numbered else label

    def rest_digests(self, label: str) -> tuple[str, ...]:
        """Return a digest of the values of each session."""
        return tuple(sorted(self.people.fingerprint(label)))

    @cached_property
    def sketches(self) -> Sketches:
        """As `Source`: of everybody who was asked for, by session."""
        return {
            label: {f"session {name}": own for name, own in self.people.sketches(label).items()}
            for label in self._asked()
        }

    def with_sketches(self, sketches: Sketches) -> ArraySource:
        """Return the same: the values of arrays are known from the start."""
        return self

    def arrays(self, plan: CohortPlan, store: ArrayStore, form: Form) -> PersonArrays:
        """Return how the arrays of a plan's people are made."""
        return RowArrays(plan, store, form, self.lengths, self)

    def make(self, arrays: PersonArrays, labels: Sequence[str]) -> Mapping[str, str]:
        """Make people's arrays one after the other, in the order of the file's rows.

        Raises
        ------
        OutputError, SettingsError
            Arrays cannot be written; this is not caused by a participant's data.
        """
        share_cores(1)  # sums of several threads are rounded otherwise
        failures = {}
        with make_board(len(labels), verbose=self.settings.behaviour.verbose) as board:
            lane = board.lane(0)
            for label in self._in_order(labels):
                lane.start(f"sub-{label}")
                try:
                    arrays.make(label, lane)
                except (OutputError, SettingsError):
                    raise
                except DtgError as err:
                    failures[label] = str(err)
                board.advance(failed=label in failures)
        return failures

    def facts_of(self, array: PeopleArray, label: str) -> dict[str, Any]:
        """Return a fingerprint that changes when a person's row changes."""
        stored = array.stored
        return {
            "file": stored.path.name,
            "state": self._states[stored.path],
            "key": stored.key,
            "row": array.rows[label],
            "tr_seconds": None if np.isnan(array.tr_seconds) else array.tr_seconds,
        }

    @cached_property
    def _states(self) -> Mapping[Path, Any]:
        return {path: dataclasses.asdict(file_fingerprint(path)) for path in self.people.files}

    def _in_order(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return people in the order of their rows."""
        wanted = set(labels)
        return tuple(label for label in self.people.labels if label in wanted)


@dataclass(frozen=True, eq=False)
class RowArrays(PersonArrays):
    """Arrays of people who are rows of array files."""

    source: ArraySource  # the array files

    summarised: ClassVar[bool] = False  # runs of images are not compared with such rest

    @property
    def part(self) -> MapsPart:
        """The part of the bundle's card that says what a sample is."""
        return self.source.bundle.card.part

    def facts_of_maps(self, label: str, maps: Mapping[str, StatMap]) -> dict[str, Any]:
        """Return what a person's array of measured maps depends on."""
        held = self.source.people.targets
        assert held is not None
        facts = self.source.facts_of(held, label)
        return {"rows": self.plan.rows, "array": facts, "contrasts": list(maps)}

    def read_maps(
        self, label: str, maps: Mapping[str, StatMap]
    ) -> tuple[NDArray[np.float32], dict[str, str]]:
        """Read a person's measured maps."""
        people, rows = self.source.people, self.plan.rows
        names = {plain_contrast(name): number for number, name in enumerate(people.contrasts)}
        given = people.read_targets(label)
        array = np.full((len(rows), given.shape[1]), np.nan, np.float32)
        unusable = {}
        for contrast in maps:
            values = given[names[contrast]]
            if why := own_figures(values).unusable:
                unusable[contrast] = why
            else:
                array[rows[contrast]] = values
        if len(unusable) == len(maps):
            why = next(iter(unusable.values()))
            raise RunError(
                f"none of {len(maps)} measured maps of sub-{label} can be used: {why}",
                expected="values at most places",
            )
        return array, unusable

    def facts_of_rest(self, label: str) -> dict[str, Any]:
        """Return what a person's connectomes depend on."""
        card = self.source.bundle.card
        return {
            "geometry": {name: card.files[name] for name in card.part.of_geometry},
            "segment_seconds": self.part.segment_seconds,
            **({"sample": self.part.sample} if self.part.of_sessions else {}),
            "min_minutes": self.source.settings.cleaning.min_minutes,
            "version": __version__,
            "arrays": [
                self.source.facts_of(array, label)
                for array in self.source.people.sessions_of(label)
            ],
        }

    def measure_rest(self, label: str, reporter: Reporter) -> MeasuredRest:
        """Compute a person's connectomes: one for each segment of a session."""
        people, found = self.source.people, MeasuredRest()
        for array in people.sessions_of(label):
            if people.connectomes is not None:
                found.segments.append(people.read(array, label).astype(np.float16))
                found.weights.append(1.0)
            elif self.source._is_long(array):
                self._add_session(found, people.read(array, label), array.tr_seconds)
        if not found.segments:
            raise self.source._too_short(label)
        return found

    def _add_session(
        self, found: MeasuredRest, rest: NDArray[np.float32], tr_seconds: float
    ) -> None:
        found.repetition_times.append(tr_seconds)
        for segment in self._connectomes(rest, tr_seconds, self.part.cut_seconds):
            found.add(segment, by_dof=False)
        for minutes in self.lengths:
            frames = round(60 * minutes / tr_seconds)
            for number in range(rest.shape[1] // frames):
                part = rest[:, number * frames : (number + 1) * frames]
                (short,) = self._connectomes(part, tr_seconds, np.inf)
                found.add_shorter(minutes, short.r)

    def _connectomes(
        self, rest: NDArray[np.float32], tr_seconds: float, segment_seconds: float
    ) -> tuple[Connectome, ...]:
        bundle, frames = self.source.bundle, rest.shape[1]
        if self.form.standardised:
            rest = standardised_places(rest)
        # Cleaned before: which columns were removed is not known.
        design = TemporalDesign.build(None, [], np.ones(frames, dtype=bool), tr_seconds)

        def blocks() -> Blocks:
            for first in range(0, frames, _FRAMES):
                yield first, np.ascontiguousarray(rest[:, first : first + _FRAMES].T)

        maps = bundle.roi_maps.astype(np.float32, copy=False)
        everywhere = np.ones(len(rest), dtype=bool)
        moments = measure_run(
            blocks,
            design,
            RunVoxels(maps, len(rest), everywhere, sets=self.form.sets),
            segments=design.segments(segment_seconds),
        )
        return run_connectomes(moments, form=self.form, every_part=False).segments


def _form(
    kind: MapsKind, modelling: ModellingOptions, people: ArrayPeople, given: tuple[int, ...]
) -> tuple[Form, tuple[int, ...]]:
    """Return the form that a kind is trained on, and ROIs of each set of maps that are to be made.

    `given` are the sets of ROI maps that other sites' sums came with.

    Raises
    ------
    SettingsError
        There are several sets, which the kind or the form cannot read.
    """
    sets = modelling.rois
    if people.connectomes is not None:
        return kind.form(modelling.connectome), sets  # there is no rest to make maps of
    form = own_form(kind, modelling, sets)
    if form.fixed is None:
        return form, sets
    if people.roi_maps is not None and sum(given) == len(people.roi_maps):
        return dataclasses.replace(form, sets=given if len(given) > 1 else ()), sets
    if not sets and people.roi_maps is None and not modelling.add_sums:
        sets = sets_that_fit(kind.sets, len(people.places))
    return dataclasses.replace(form, sets=sets if len(sets) > 1 else ()), sets


def _roi_maps(people: ArrayPeople, sets: tuple[int, ...]) -> tuple[NDArray[np.floating], str]:
    """Return the ROI maps of a model to be trained, and a note on their origin.

    Raises
    ------
    SettingsError
        There are no ROI maps, or two sources of them.
    """
    places = len(people.places)
    if people.connectomes is not None:
        if sets:
            raise SettingsError(
                "--rois was given with connectomes", expected="rest to make maps of"
            )
        number = people.connectomes.stored.shape[1]
        return np.zeros((number, places), np.float32), "connectomes were made elsewhere"
    if (people.roi_maps is None) == (not sets):
        what = "roi_maps in a file, and --rois" if sets else "rest without ROI maps"
        raise SettingsError(
            f"there is {what}",
            expected="the key roi_maps (rois, places), or --rois N to make N maps from the "
            "training participants' rest",
            remedy=f"with --add-sums, the files {LINEAR_MEANS} have ROI maps",
        )
    if people.roi_maps is not None:
        return people.roi_maps, f"{counted(len(people.roi_maps), 'ROI map')} as given"
    dtype = np.float16 if len(sets) > 1 else np.float32
    return np.zeros((sum(sets), places), dtype), maps_in_words(sets)


def _base(
    people: ArrayPeople,
    roi_maps: NDArray[np.floating],
    part: MapsPart,
    folder: Path,
    record: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
) -> ModelBundle:
    """Make the template bundle of a new model from arrays: places and ROIs without weights."""
    return template_bundle(_places(people), roi_maps, part, folder, record)


def _places(people: ArrayPeople) -> ListedPlaces | Grayordinates:
    """Return the places of the arrays.

    Raises
    ------
    DatasetError, RunError
        The arrays are not of the grayordinates that they name.
    """
    if people.grayordinates is None:
        return ListedPlaces(people.places, people.adjacency)
    places: Grayordinates | ListedPlaces
    if isinstance(people.grayordinates, str):
        places = standard_grayordinates()
    else:
        what = "a CIFTI file of maps or series, whose places are those of the arrays"
        places = read_cifti_header(people.grayordinates, what).places
    if places.number != len(people.places):
        raise DatasetError(
            f"the arrays have {counted(len(people.places), 'place')}, and grayordinates is "
            f"{people.grayordinates}",
            expected=f"{places.number} places, in its order",
        )
    return places


def _refuse_a_model(settings: Settings) -> None:
    if settings.inputs.model != OPTIONS["model"].field.default:
        raise SettingsError(
            f"--model {settings.inputs.model} was given with --analysis train and --input-arrays",
            expected="no --model: ROI maps are those under the key roi_maps, or made by --rois N",
        )


def _require_same_places(bundle: ModelBundle, people: ArrayPeople) -> None:
    card = bundle.card
    if not isinstance(bundle.places, ListedPlaces | Grayordinates):
        raise BundleError(
            f"{card.name} is a model of voxels on a grid, which reads images",
            expected="a model that was trained on arrays",
        )
    own, given = bundle.places.names, people.places
    of_cifti = bundle.card.part.cifti
    if len(own) != len(given) or (people.places_named and own != given and not of_cifti):
        first = next((a for a, b in zip(own, given, strict=False) if a != b), own[-1])
        raise DatasetError(
            f"the arrays have {counted(len(given), 'place')}, and {card.name} was trained on "
            f"{len(own)}; the first that differs is {first}",
            expected="the same places in the same order",
        )
    made_elsewhere = not bundle.roi_maps.any()
    if made_elsewhere != (people.connectomes is not None):
        reads, has = ("connectomes", "rest") if made_elsewhere else ("rest", "connectomes")
        raise DatasetError(f"{card.name} reads {reads}, and the arrays have {has}", expected=reads)
    if people.connectomes is not None:
        found = people.connectomes.stored.shape[1]
        if found != bundle.rois:
            raise DatasetError(
                f"connectomes have {found} ROIs", expected=f"{bundle.rois}, as {card.name}"
            )
    if people.roi_maps is not None:
        say(f"roi_maps of the arrays are not used: {card.name} has its own")
