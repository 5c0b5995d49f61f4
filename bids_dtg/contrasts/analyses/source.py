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
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import KINDS, MapsKind
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.contrasts.bundle.writer import BundleArrays, geometry_files
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.errors import DatasetError, DtgError, SettingsError
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
from bids_dtg.settings import OPTIONS, Settings
from bids_dtg.stats.linear import VOXELS_A_COEFFICIENT

FEW = 10  # training people: the rest of fewer makes poor ROI maps


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
    """Return the sets of ROI maps that so many places are enough for, or else as many as are.

    Examples
    --------
    >>> sets_that_fit((15, 25, 50), 60), sets_that_fit((15, 25), 12)
    ((15, 25), (5,))
    """
    most = int(places / VOXELS_A_COEFFICIENT) - 1
    return tuple(rois for rois in sets if rois <= most) or (most,)


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
        if kind is None:
            return cls(request, place, "")
        sets = card.part.connectome.sets
        if sets and not kind.sets:
            able = " or ".join(row.name for row in KINDS.values() if row.sets)
            raise SettingsError(
                f"a --model with {maps_in_words(sets)} was given for a model of kind {kind.name}",
                expected=f"--architecture {able}, or a model with one set",
            )
        words = f"masks and ROI maps are those of {card.name} {card.version}"
        return cls(request.with_form(kind.form(sets)), place, words)

    @classmethod
    def _at_parcels(cls, settings: Settings, kind: MapsKind, place: Path | None) -> Source:
        """Prepare the training of a model whose places are those of the first person's series."""
        if place is None:
            raise _no_maps(settings)
        made: list[tuple[tuple[int, ...], str]] = []

        def template(asked: Asked) -> ModelBundle:
            places, example = _first_places(asked)
            if not kind.sets:
                raise SettingsError(
                    f"a {kind.name} model of {places.density} has no ROI maps",
                    expected="--architecture linear, or a --model of such places that has some",
                )
            sets = sets_that_fit(kind.sets, places.number)
            form = kind.form(sets if len(sets) > 1 else ())
            seconds = kind.segment_seconds(SECONDS_PER_SEGMENT)
            part = MapsPart((), segment_seconds=seconds, connectome=form)
            dtype = np.float16 if part.several else np.float32
            maps = np.zeros((sum(sets), places.number), dtype)
            made.append((sets, f"places are those of {example}"))
            return template_bundle(places, maps, part, asked.output / "group")

        request = Request.prepare(settings, template)
        ((sets, words),) = made
        return cls(request, place, f"{words}, with {maps_in_words(sets)}", sets)

    def learning(self, kind: MapsKind, training: int) -> Source:
        """Decide whether ROI maps are made of the rest of so many training people; say why."""
        if self.learns:
            return self
        card = self.bundle.card
        if not kind.sets or card.part.several:
            return self
        sets = sets_that_fit(kind.image_sets, self.bundle.places.number)
        few = training < FEW
        who = counted(training, "training participant")
        if self.settings.inputs.model != OPTIONS["model"].field.default and few:
            say(f"ROI maps are those of {card.name}: group ICA of {who} would make poor ones")
            return self
        if few:
            say(
                f"warning: group ICA of {who} makes poor ROI maps; a --model that is named brings "
                f"its own, and {FEW} or more participants make good ones"
            )
        words = f"masks are those of {card.name} {card.version}, with {maps_in_words(sets)}"
        return dataclasses.replace(self, learns=sets, maps_words=words)

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
        return self.bundle.card.part.connectome

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

    def with_maps(self, maps: NDArray[np.floating], records: Sequence[Mapping[str, Any]]) -> Source:
        """Return a copy with ROI maps (of all sets, places) that were made of people's rest."""
        base, several = self.bundle, len(self.learns) > 1
        form = dataclasses.replace(self.form, sets=self.learns if several else ())
        part = dataclasses.replace(base.card.part, connectome=form)
        record = records if several else records[0]
        words = f"{self.maps_words} made by group ICA of " + (
            f"{counted(records[0]['people'], 'training participant')} (seed {self._seed})"
        )
        combine = None
        if isinstance(base.places, ParcelPlaces):
            kept = maps.astype(np.float16) if several else maps
            bundle = template_bundle(base.places, kept, part, base.path, record)
            request = dataclasses.replace(self.request, bundle=bundle)
            return dataclasses.replace(self, request=request, maps_words=words)
        if not several:
            # Over the brain, as the file of one set has them.
            volumes = np.stack([base.voxels.volume(own) for own in maps])
            maps = volumes[:, base.brain_voxels.mask]
        else:
            if found := combination(maps, self.learns):
                maps, combine = maps[found[0]], found[1].astype(np.float32)
            maps = maps.astype(np.float16)  # as kept
        arrays = BundleArrays({}, maps, base.brain, base.places, combine=combine)
        files = geometry_files(arrays, several=several)
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
        request = dataclasses.replace(self.request, bundle=bundle)
        return dataclasses.replace(self, request=request, maps_words=words)

    @property
    def _seed(self) -> int:
        return self.settings.modelling.seed

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
