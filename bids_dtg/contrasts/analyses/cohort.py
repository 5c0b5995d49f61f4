"""People with rest and measured maps, in three stages, each complete when it exists.

A `CohortPlan` follows from the options: dataset, model and folders. `CohortFiles` are the people
who have both scans, known from file names (`bids_dtg.contrasts.analyses.finding`). `CohortArrays`
are those whose data could be read (`bids_dtg.contrasts.analyses.reading`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from bids_dtg.bundles.store import unreadable_folders, which_unreadable
from bids_dtg.cohort.recognised_participants import EXCLUDED, Sketches, with_copies
from bids_dtg.cohort.result_folder import BUNDLE, MODEL, ResultFolder
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.analyses.roi_maps import maps_in_words, parcel_template
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import KINDS, MapsKind
from bids_dtg.contrasts.contrast import Contrast, by_plain_label
from bids_dtg.contrasts.participant.model import DEFAULT, Model, default_model
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.contrasts.people import Person
from bids_dtg.contrasts.plan import CHECKPOINTS
from bids_dtg.errors import SettingsError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.inputs.participants import Families, read_families
from bids_dtg.inputs.space_choice import names_parcels
from bids_dtg.inputs.statmaps import (
    PersonMaps,
    Statistic,
    StatMap,
    describe_files,
    describe_sessions,
    statmaps_place,
)
from bids_dtg.settings import Settings

ARRAYS = "arrays"  # folder of the arrays of one analysis
WORK = "folds"  # its subfolder for arrays that are needed only until the model is made
FOLDS = "desc-folds_participants"  # table of the groups of a cross-validation
_CAN_WRITE = (
    f"{BUNDLE}/",
    f"{ARRAYS}/",
    f"{CHECKPOINTS}/",
    "desc-*_scores",
    "desc-targets_files",
    "desc-measuredMaps_qc",
    "desc-split_participants",
    FOLDS,
    EXCLUDED,
)
USES = ("target", "retest")  # the maps to predict, and those of a later session


@dataclass(frozen=True, eq=False)
class CohortPlan:
    """What an analysis of people's maps is to use: dataset, measured maps, model and folders."""

    settings: Settings  # of the run
    request: Request  # dataset, participants, and the model that is read or trained
    statmaps: Path  # folder of the measured maps
    results: ResultFolder  # where results go, below the output folder
    roi_maps_words: str  # origin of the masks and ROI maps of a model to be trained
    kind_name: str  # of the model that is made or evaluated
    makes_model: bool  # else the model is evaluated
    # ROIs of each set of maps to be made from the training people; empty: the model has the maps.
    roi_sets: tuple[int, ...] = ()
    # Models of a cross-validation, with ROI maps of their own; empty: they share the model's maps.
    folds: tuple[ModelBundle, ...] = ()

    @classmethod
    def prepare(
        cls,
        settings: Settings,
        kind: MapsKind | None = None,
        *,
        makes_model: bool = True,
    ) -> CohortPlan:
        """Check options, dataset and model before anything is written.

        Parameters
        ----------
        settings
            Options of the run.
        kind
            Kind of a model to be trained, which decides on the form of the connectome and on
            cutting runs into segments; None: both are those of ``--model``.
        makes_model
            Whether a model is made; else ``--model`` is evaluated.

        Raises
        ------
        DtgError
            Options, dataset or model cannot be used.
        """
        statmaps, derivatives = statmaps_place(settings.inputs.derivatives)
        if statmaps is None:
            raise SettingsError(
                f"--analysis {settings.modelling.analysis} needs measured maps",
                expected="--derivatives statmaps=PATH",
            )
        template = None
        reads_parcels = names_parcels(settings.inputs.space or "")
        if kind is not None and reads_parcels and settings.inputs.model is None:
            template = partial(parcel_template, kind)
        elif kind is not None and settings.inputs.model is None:
            _require_default(settings)
        request = Request.prepare(settings.replace(derivatives=derivatives), template)
        card = request.bundle.card
        sets: tuple[int, ...] = ()
        if template is not None:
            sets = card.part.connectome.sets or (len(request.bundle.roi_maps),)
            words = f"{card.description}, with {maps_in_words(sets)}"
        else:
            words = f"masks and ROI maps are those of {card.title}"
            if kind is not None:
                form = _form_of(kind, card.part.connectome.sets)
                seconds = kind.segment_seconds(card.part.segment_seconds)
                request = request.trained(form, seconds)
        results = ResultFolder.for_model(
            settings,
            request.output,
            MODEL if makes_model else "evaluation",
            None if makes_model else request.bundle,
            _CAN_WRITE,
            request.path_names.plus({"statmaps": statmaps}),
        )
        name = card.kind if kind is None else kind.name
        return cls(settings, request, statmaps, results, words, name, makes_model, sets)

    @property
    def name(self) -> str:
        """Name of the model that is made, or of the evaluation."""
        return self.results.name.partition("-")[2]

    @property
    def kind(self) -> MapsKind:
        """The kind of the model that is made or evaluated."""
        return KINDS[self.kind_name]

    @property
    def bundle(self) -> ModelBundle:
        """The model that is read, or the template of the one that is trained."""
        return self.request.bundle

    @property
    def form(self) -> Form:
        """The form of people's connectomes."""
        return self.bundle.part.connectome

    @cached_property
    def model(self) -> Model:
        """The model that is read, prepared when first used."""
        request = self.request
        return Model(request.bundle, request.device, request.threads)

    @property
    def store(self) -> ArrayStore:
        """Folder of the arrays of this analysis only."""
        return ArrayStore(self.results.path / ARRAYS)

    @property
    def work(self) -> ArrayStore:
        """Folder of arrays that are needed only until the model is made."""
        return ArrayStore(self.store.root / WORK)

    @property
    def cache(self) -> ArrayStore:
        """Folder of people's arrays, which all analyses of an output share."""
        return ArrayStore(self.request.output.path("group") / "cache")

    @property
    def is_dry(self) -> bool:
        """Whether this is a dry run."""
        return self.settings.behaviour.dry_run

    @cached_property
    def table_families(self) -> Families:
        """Families from the first table that has them."""
        dataset = self.request.dataset
        folders = (dataset.bids_dir, dataset.root, self.statmaps)
        return read_families(folders, labels=self.request.participants)

    def with_models(
        self, bundle: ModelBundle, folds: Sequence[ModelBundle], words: str
    ) -> CohortPlan:
        """Return the plan with other ROI maps, of the model and of each fold."""
        request = dataclasses.replace(self.request, bundle=bundle)
        return dataclasses.replace(
            self, request=request, folds=tuple(folds), roi_maps_words=words
        )


@dataclass(frozen=True, eq=False)
class CohortFiles:
    """The people who have both scans, and their files, known from file names."""

    plan: CohortPlan
    maps: Mapping[str, PersonMaps]  # by label, sorted
    contrasts: tuple[Contrast, ...]  # rows of the maps
    statistic: Statistic  # of the maps
    left_out: Mapping[str, str]  # label -> reason
    notes: tuple[str, ...]  # decisions on tasks, spaces and runs
    # By template of measured maps, the transform that takes points there from the model's space.
    transforms: Mapping[str, Path]
    # Of the rest that has been read until now, by label and run; the same rest has the same sketch.
    sketches: Sketches = field(default_factory=dict)
    failed: int = 0  # how many of those left out have data that cannot be used

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the people."""
        return tuple(self.maps)

    @property
    def contrast_labels(self) -> list[str]:
        """Labels of the contrasts, in the order of the rows."""
        return [contrast.label for contrast in self.contrasts]

    @property
    def rows(self) -> dict[str, int]:
        """Row of each contrast, by its `plain_contrast`."""
        contrasts = by_plain_label(self.contrasts)
        return {label: contrast.index for label, contrast in contrasts.items()}

    @property
    def sessions_in_words(self) -> str:
        """A sentence on targets and retests; empty without sessions."""
        return describe_sessions(self.maps.values())

    @property
    def targets_in_words(self) -> str:
        """A sentence on the files of the targets."""
        return describe_files(tuple(self.maps.values()), self.statistic)

    @cached_property
    def families(self) -> Families:
        """Families; labels with the same rest count as one family too."""
        return with_copies(self.plan.table_families, self.sketches)

    def among(self, labels: Collection[str]) -> CohortFiles:
        """Return the files of some of the people."""
        maps = {label: maps for label, maps in self.maps.items() if label in labels}
        return dataclasses.replace(self, maps=maps)

    def without(self, left_out: Mapping[str, str]) -> CohortFiles:
        """Return the files without the people in `left_out` (label -> reason)."""
        remaining = self.among(
            [label for label in self.labels if label not in left_out]
        )
        return dataclasses.replace(remaining, left_out={**self.left_out, **left_out})

    def planned(self, label: str, use: str) -> Mapping[str, StatMap]:
        """Return a person's maps by contrast: the targets, or the retests if they count."""
        maps = self.maps[label]
        if use == USES[0]:
            return maps.target
        return maps.retest if maps.target.keys() == maps.retest.keys() else {}

    def uses(self, label: str) -> tuple[str, ...]:
        """Return which maps a person has: the target first."""
        return tuple(use for use in USES if self.planned(label, use))


@dataclass(frozen=True, eq=False)
class CohortArrays:
    """The people whose data could be read, with their arrays."""

    files: CohortFiles  # of the same people
    people: tuple[Person, ...]  # sorted by label
    # Why maps were left out, by contrast; of each person's targets and retests.
    unusable: Mapping[tuple[str, str], Mapping[str, str]]
    # Seconds per frame of everybody's rest; None where runs differ or it is not known.
    repetition_time_s: float | None
    findings: tuple[str, ...] = ()  # sentences on the measured maps, for the page

    @property
    def plan(self) -> CohortPlan:
        """What the analysis is to use."""
        return self.files.plan

    def people_of(self, labels: Sequence[str]) -> tuple[Person, ...]:
        """Return some people, in the order of the labels; skip those who cannot be used."""
        people = {person.label: person for person in self.people}
        return tuple(people[label] for label in labels if label in people)

    def without(self, left_out: Mapping[str, str]) -> CohortArrays:
        """Return the arrays without the people in `left_out` (label -> reason)."""
        people = [person for person in self.people if person.label not in left_out]
        files = self.files.without(left_out)
        return dataclasses.replace(self, files=files, people=tuple(people))


def _require_default(settings: Settings) -> None:
    """Refuse to train where neither ``--model`` nor the publication's model has masks and ROIs.

    Raises
    ------
    SettingsError
        The model that would be used has parcels, which are no template for voxels.
    """
    if default_model() != DEFAULT:
        raise SettingsError(
            f"--analysis {settings.modelling.analysis} was given without --model, from which a new "
            f"model takes its masks and ROI maps, and the usual one, {DEFAULT}, is not installed"
            f"{which_unreadable(unreadable_folders(DEFAULT))}",
            expected="--model with a model of voxels, or --space fsLR:seg-NAME to train on parcels",
            remedy=f"dtg-models fetch {DEFAULT}, or --model demo to try it on simulated data",
        )


def _form_of(kind: MapsKind, sets: Sequence[int]) -> Form:
    """Return the form of connectome that a kind is trained on, given the sets of ROI maps.

    Raises
    ------
    SettingsError
        There are several sets, and the kind reads only one.
    """
    if sets and not kind.sets:
        able = " or ".join(row.name for row in KINDS.values() if row.sets)
        raise SettingsError(
            f"a --model with {maps_in_words(sets)} was given for a model of kind {kind.name}",
            expected=f"--architecture {able}, or a model with one set",
        )
    return Form(kind.connectome, tuple(sets))
