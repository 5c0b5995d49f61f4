"""A dataset of runs and measured maps, as analyses read it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.card import ModelCard
from bids_dtg.cleaning.design import TooShortError
from bids_dtg.cleaning.strategies import find_strategy
from bids_dtg.cohort.copies import Sketches
from bids_dtg.connectome.design import SECONDS_PER_SEGMENT
from bids_dtg.connectome.form import Form
from bids_dtg.connectome.nested_sets import combination
from bids_dtg.contrasts.analyses.cohort_plan import CohortPlan, plan_cohort
from bids_dtg.contrasts.analyses.person_arrays import PersonArrays
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import KINDS, MapsKind
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.contrasts.bundle.writer import BundleArrays, geometry_files
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.engine.machine import return_memory
from bids_dtg.errors import DatasetError, DtgError, SettingsError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.derivatives import DerivativeDataset, SourceDataset
from bids_dtg.files.path_names import PathNames
from bids_dtg.files.provenance import file_fingerprint
from bids_dtg.imaging.surfaces.dtseries import read_series_header
from bids_dtg.imaging.surfaces.parcel_places import ParcelPlaces
from bids_dtg.inputs.dataset import own_name
from bids_dtg.inputs.find import find_input_runs
from bids_dtg.inputs.selection import PARCELS
from bids_dtg.inputs.space_choice import SpaceRule, names_parcels
from bids_dtg.inputs.splits_file import Families, read_families
from bids_dtg.inputs.statmaps import statmaps_place
from bids_dtg.notices import counted, say
from bids_dtg.participants.request import Asked
from bids_dtg.participants.run_source import plan_run
from bids_dtg.settings import OPTIONS, ModellingOptions, Settings
from bids_dtg.stats.group_ica import GroupIca
from bids_dtg.stats.linear import VOXELS_A_COEFFICIENT

# Of a run with more frames, means of frames in a row make ROI maps: slow enough for BOLD, and a
# quarter of a run of HCP in memory.
_MOST_MEANS = 300
PLACES_AT_2_MM = 100_000  # at least: grey matter has 160,000 voxels there, and 48,000 at 3 mm


def own_form(kind: MapsKind, modelling: ModellingOptions, sets: Sequence[int]) -> Form:
    """Return the form that a kind is trained on, of so many sets of ROI maps.

    Raises
    ------
    SettingsError
        There are several sets, which the kind cannot read.
    """
    several = tuple(sets) if len(sets) > 1 else ()
    if not several or kind.sets:
        return kind.form(several)
    asked = f"--rois {' '.join(map(str, modelling.rois))} was" if modelling.rois else ""
    able = " or ".join(row.name for row in KINDS.values() if row.sets)
    raise SettingsError(
        f"{asked or f'a --model with {maps_in_words(sets)} was'} given for a model of kind "
        f"{kind.name}",
        expected=f"one number, or --architecture {able}",
    )


def template_bundle(
    places: ParcelPlaces,
    roi_maps: NDArray[np.floating],
    part: MapsPart,
    folder: Path,
    record: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
) -> ModelBundle:
    """Make the template of a new model of parcels: places and ROIs without weights.

    Parameters
    ----------
    places, roi_maps
        The places, and the ROI maps (rois, places).
    part
        The card's part, but for the places.
    folder
        What stands for the bundle's folder; nothing is written.
    record
        How the ROI maps were made; None: they were given.
    """
    files = geometry_files(BundleArrays({}, roi_maps, places, places))
    card = ModelCard(
        name="parcels",
        version="1",
        kind=next(iter(KINDS)),
        part=dataclasses.replace(part, places=places.number, parcels=True),
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        record=None if record is None else {"roi_maps": record},
    )
    identity = hashlib.sha256(card.to_json().encode()).hexdigest()
    return ModelBundle(folder, card, identity, places, places, roi_maps)


def sets_that_fit(sets: Sequence[int], places: int) -> tuple[int, ...]:
    """Return the sets of ROI maps that so many places are enough for.

    Examples
    --------
    >>> sets_that_fit((15, 25, 50), 60)
    (15, 25)
    """
    return tuple(rois for rois in sets if places >= VOXELS_A_COEFFICIENT * (1 + rois))


def megabytes(rois: int, places: int) -> float:
    """Return the size of a person's connectome of 16 bits.

    Examples
    --------
    >>> megabytes(175, 163_310).__round__(1)
    57.2
    """
    return 2 * rois * places / 1e6


def maps_in_words(sets: Sequence[int]) -> str:
    """Count ROI maps and their sets.

    Examples
    --------
    >>> maps_in_words((4,)), maps_in_words((15, 25))
    ('4 ROI maps', '40 ROI maps in sets of 15 and 25')
    """
    counts = counted(sum(sets), "ROI map")
    if len(sets) < 2:
        return counts
    *first, last = map(str, sets)
    return f"{counts} in sets of {', '.join(first)} and {last}"


def sets_to_make(kind: MapsKind, bundle: ModelBundle) -> tuple[int, ...]:
    """Return the sets of ROI maps that are made where nobody asks; (): those of the model serve."""
    fine = bundle.places.number >= PLACES_AT_2_MM
    return kind.image_sets if fine and not bundle.card.part.several else ()


@dataclass(frozen=True, eq=False)
class Source:
    """A dataset of resting-state runs, and measured maps in files; nothing is read unasked.

    Raises
    ------
    DtgError
        In each method: data cannot be used.
    """

    request: Request  # input dataset, participants and bundle
    place: Path  # of the measured maps
    maps_words: str  # origin of the masks and ROI maps of a model that is trained here
    own_form: Form | None = None  # of a model that is trained; None: the call reads a model
    learns: tuple[int, ...] = ()  # ROIs of each set of maps to be made from the training people
    sketches: Sketches = field(default_factory=dict)  # of people's cleaned ROI series

    @classmethod
    def prepare(cls, settings: Settings, kind: MapsKind | None) -> Source:
        """Check options, dataset and model before anything is written.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, dataset or model.
        """
        place, others = statmaps_place(settings.inputs.derivatives)
        if (
            kind is not None
            and names_parcels(settings.inputs.space or "")
            and (settings.inputs.model == OPTIONS["model"].field.default)
        ):
            return cls._at_parcels(settings.replace(derivatives=others), kind, place)
        if place is None:
            raise _no_maps(settings)
        request = Request.prepare(settings.replace(derivatives=others))
        card = request.bundle.card
        if kind is not None:
            request = request.with_segments(kind.segment_seconds(card.part.segment_seconds))
        form, sets = None, settings.modelling.rois
        words = f"masks and ROI maps are those of {card.name} {card.version}"
        if kind is not None:
            sets = sets or sets_to_make(kind, request.bundle)
            form = own_form(kind, settings.modelling, sets or card.part.connectome.sets)
            if sets:
                words = f"masks are those of {card.name} {card.version}, with {maps_in_words(sets)}"
        return cls(request, place, words, form, sets)

    @classmethod
    def _at_parcels(cls, settings: Settings, kind: MapsKind, place: Path | None) -> Source:
        """Prepare the training of a model whose places are those of the first person's series."""
        if place is None:
            raise _no_maps(settings)
        made: list[tuple[Form, tuple[int, ...], str]] = []

        def template(asked: Asked) -> ModelBundle:
            places, example = _first_places(asked)
            sets = settings.modelling.rois or sets_that_fit(kind.image_sets, places.number)
            if not sets:
                raise SettingsError(
                    f"a {kind.name} model of {places.density} has no ROI maps",
                    expected="--rois N, or a --model of such places that has some",
                )
            form = own_form(kind, settings.modelling, sets)
            seconds = kind.segment_seconds(SECONDS_PER_SEGMENT)
            part = MapsPart((), segment_seconds=seconds, connectome=form)
            dtype = np.float16 if part.several else np.float32
            maps = np.zeros((sum(sets), places.number), dtype)
            made.append((form, sets, f"places are those of {example}"))
            return template_bundle(places, maps, part, asked.output / "group")

        request = Request.prepare(settings, template)
        ((form, sets, words),) = made
        return cls(request, place, f"{words}, with {maps_in_words(sets)}", form, sets)

    @property
    def learns_maps(self) -> bool:
        """Whether ROI maps are made from the training people, not those of a model."""
        return bool(self.learns)

    @property
    def settings(self) -> Settings:
        """Options of the call."""
        return self.request.settings

    @property
    def dataset(self) -> SourceDataset:
        """The dataset of runs."""
        return self.request.dataset

    @property
    def output(self) -> DerivativeDataset:
        """Folder of the results."""
        return self.request.output

    @property
    def bundle(self) -> ModelBundle:
        """The model, or the template of one that is trained."""
        return self.request.bundle

    @property
    def form(self) -> Form:
        """The form of the model that is trained or read."""
        return self.own_form or self.bundle.card.part.connectome

    @cached_property
    def families(self) -> Families:
        """Families from the first table that has them."""
        roots = (self.dataset.bids_dir, self.dataset.root, self.place)
        return read_families(roots, labels=self.request.participants)

    @property
    def own_name(self) -> str | None:
        """The data set's own name, without which ids identify nobody; None: it has none."""
        return own_name(self.request.dataset)

    @property
    def words(self) -> str:
        """Describe dataset, measured maps and cleaning."""
        how = find_strategy(self.settings.cleaning.denoise_strategy).in_words
        return (
            f"{self.dataset.root} is read as {self.dataset.title}, {how}; measured maps in "
            f"{self.place}"
        )

    @property
    def cleaning(self) -> str:
        """Describe the cleaning."""
        return f"{self.dataset.title}, {self.settings.cleaning.denoise_strategy}"

    @property
    def record(self) -> Mapping[str, Any]:
        """Record how ROI maps were made; rest is reduced as at the participant level."""
        return dict(self.bundle.card.record or {}) if self.learns_maps else {}

    def with_maps_of(self, training: Sequence[str]) -> Source:
        """Make ROI maps by group ICA from the rest of the training people, if asked for.

        Raises
        ------
        DatasetError
            Nobody's rest can be used, or it has too few components.
        """
        if not self.learns_maps:
            return self
        assert self.own_form is not None  # a model that is trained
        maps, record = self._made_maps(training)
        base = self.bundle
        part = dataclasses.replace(base.card.part, connectome=self.own_form)
        if isinstance(base.places, ParcelPlaces):
            kept = maps.astype(np.float16) if part.several else maps
            bundle = template_bundle(base.places, kept, part, base.path, record)
            words = f"{self.maps_words} {self._made_by(training)}"
            request = dataclasses.replace(self.request, bundle=bundle)
            return dataclasses.replace(self, request=request, maps_words=words)
        if not part.several:
            # Over the brain, as the file of one set has them.
            volumes = np.stack([base.voxels.volume(own) for own in maps])
            maps = volumes[:, base.brain_voxels.mask]
        combine = None
        if part.several:
            if found := combination(maps, self.learns):
                maps, combine = maps[found[0]], found[1].astype(np.float32)
            maps = maps.astype(np.float16)  # as kept
        arrays = BundleArrays({}, maps, base.brain, base.places, combine=combine)
        files = geometry_files(arrays, several=part.several)
        card = dataclasses.replace(
            base.card,
            part=part,
            files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
            record={"roi_maps": record},
        )
        identity = hashlib.sha256(card.to_json().encode()).hexdigest()
        bundle = dataclasses.replace(
            base, card=card, identity=identity, roi_maps=maps, combine=combine
        )
        words = f"masks are those of {card.name} {card.version}, with {maps_in_words(self.learns)} "
        words += self._made_by(training)
        request = dataclasses.replace(self.request, bundle=bundle)
        return dataclasses.replace(self, request=request, maps_words=words)

    def _made_by(self, training: Sequence[str]) -> str:
        people = counted(len(training), "training participant")
        return f"made by group ICA of {people} (seed {self._seed})"

    @property
    def _seed(self) -> int:
        return self.settings.modelling.seed

    def _made_maps(self, training: Sequence[str]) -> tuple[NDArray[np.floating], Any]:
        """Make the maps of all sets (rois, places), and their records."""
        places, rois = self.bundle.places.number, sum(self.learns)
        say(
            f"ROI maps: group ICA of {counted(len(training), 'training participant')}; connectomes "
            f"of {rois} ROIs take {megabytes(rois, places):.2g} MB a person and run"
        )
        ica, used = GroupIca(), 0
        reader = self.request.reader(every_part=False)
        for label in training:
            runs = 0
            with suppress(DtgError):  # a later step says so, and leaves the person out
                for run in self.request.runs(label):
                    with suppress(TooShortError):
                        ica.add(reader.courses(run, _MOST_MEANS))
                        runs += 1
            used += runs > 0
            return_memory()
        made, records = zip(*(ica.maps(number, self._seed) for number in self.learns), strict=True)
        records = tuple(dataclasses.replace(record, people=used) for record in records)
        if unsettled := [record.rois for record in records if not record.converged]:
            say(
                f"warning: group ICA of {' and '.join(map(str, unsettled))} maps did not settle; "
                "another --seed or fewer --rois may help"
            )
        several = len(made) > 1
        maps = np.concatenate(made) if several else made[0]
        return maps, [own.to_json() for own in records] if several else records[0].to_json()

    def model(self) -> Model:
        """Prepare the model."""
        return self.request.model()

    @property
    def path_names(self) -> PathNames:
        """Names that replace folders of this machine."""
        return self.request.path_names.plus({"statmaps": self.place})

    def plan(self, contrasts: Sequence[Contrast] | None, *, everything: bool = False) -> CohortPlan:
        """Plan who has both scans, by file names alone."""
        return plan_cohort(self.request, self.place, contrasts, ignore_asked=everything)

    def files(self, plan: CohortPlan) -> Sequence[Path]:
        """Return the files of a plan's people: runs with their confounds, and measured maps."""
        found: list[Path] = []
        for label, maps in plan.people.items():
            with suppress(DtgError):  # a later step says why these runs cannot be used
                for run in self.request.runs(label):
                    found += run.inputs
            for statmap in (*maps.target.values(), *maps.retest.values()):
                found += [path for paths in statmap.files.values() for path in paths]
        return found

    def why_no_rest(self, label: str) -> str | None:
        """Return why a person's runs cannot be used, by their headers and tables."""
        usable, short = False, ""
        try:
            for run in self.request.runs(label):
                try:
                    plan_run(run, self.bundle.space, self.settings.cleaning)
                    usable = True
                except TooShortError as err:
                    short = str(err)
        except DtgError as err:
            return str(err)
        return None if usable else short

    def rest_digests(self, label: str) -> tuple[str, ...]:
        """Return a digest of each file of rest; other cleaning leaves them the same."""
        try:
            runs = [run for planned in self.request.averages(label) for run in planned.runs]
            return tuple(sorted({file_fingerprint(run.bold).ends_sha256 for run in runs}))
        except DtgError:
            return ()  # a later step says why these data cannot be used

    def with_sketches(self, sketches: Sketches) -> Source:
        """Return a copy that knows the rest of people whose runs were read since."""
        return dataclasses.replace(self, sketches=sketches)

    def arrays(self, plan: CohortPlan, store: ArrayStore, form: Form) -> PersonArrays:
        """Return how the arrays of a plan's people are made."""
        return PersonArrays(plan, store, form, self.request)


def _no_maps(settings: Settings) -> SettingsError:
    return SettingsError(
        f"--analysis {settings.modelling.analysis} needs measured maps",
        expected="--derivatives statmaps=PATH",
    )


def _first_places(asked: Asked) -> tuple[ParcelPlaces, str]:
    """Return the parcels of the first series that can be read, and its name.

    Raises
    ------
    DatasetError
        Nobody has one.
    """
    failures: list[DtgError] = []
    space = asked.settings.inputs.space
    rule = SpaceRule(model=PARCELS, asked=space)
    for participant in asked.participants:
        try:
            run = find_input_runs(asked.dataset, participant, asked.selection, rule=rule)[0]
            places = read_series_header(run.bold).places
            assert isinstance(places, ParcelPlaces)  # the rule takes no other series
            return places, run.bold.name
        except DtgError as err:
            failures.append(err)
    raise DatasetError(
        f"nobody in {asked.dataset.root} has a series in {space}: {failures[0].found}",
        expected=failures[0].expected,
        remedy=failures[0].remedy,
    )
