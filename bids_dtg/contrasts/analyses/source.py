"""Where the people of an analysis come from: a dataset of runs and measured maps, or arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from bids_dtg.bundles.people import hash_rest
from bids_dtg.cleaning.design import TooShortError
from bids_dtg.cleaning.strategies import find_strategy
from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.analyses.cohort import make_side_by_side
from bids_dtg.contrasts.analyses.cohort_plan import CohortPlan, plan_cohort
from bids_dtg.contrasts.analyses.person_arrays import PersonArrays, RunArrays
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.bundle.kinds import MapsKind
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.errors import DtgError, SettingsError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.derivatives import DerivativeDataset, SourceDataset
from bids_dtg.files.path_names import PathNames
from bids_dtg.files.provenance import file_fingerprint
from bids_dtg.inputs.dataset import own_name
from bids_dtg.inputs.splits_file import Families, read_families
from bids_dtg.inputs.statmaps import statmaps_place
from bids_dtg.participants.run_source import plan_run
from bids_dtg.settings import Settings


class Source(Protocol):
    """What an analysis asks of the data, whatever they are; nothing is read before it is asked.

    Raises
    ------
    DtgError
        By each method: data cannot be used.
    """

    @property
    def settings(self) -> Settings:
        """Options of the call, with what was found out of the data."""
        ...

    @property
    def dataset(self) -> SourceDataset:
        """The dataset, or the folder that names it."""
        ...

    @property
    def output(self) -> DerivativeDataset:
        """Where results go."""
        ...

    @property
    def bundle(self) -> ModelBundle:
        """The model; of one that is made from arrays its places and ROI maps alone."""
        ...

    @property
    def place(self) -> Path:
        """Folder of the measured maps."""
        ...

    @property
    def families(self) -> Families:
        """Who is related."""
        ...

    @property
    def own_name(self) -> str | None:
        """The data set's own name, with which an id means a person; None: it has none."""
        ...

    @property
    def words(self) -> str:
        """What is read, and how rest is cleaned, for people."""
        ...

    @property
    def cleaning(self) -> str:
        """How rest was cleaned, for the card of a model."""
        ...

    @property
    def maps_words(self) -> str:
        """Whose masks and ROI maps a model that is made here has."""
        ...

    @property
    def record(self) -> Mapping[str, Any]:
        """How rest was reduced, for the card's `record`, where that is not what runs are."""
        ...

    @property
    def learns_maps(self) -> bool:
        """Whether the ROI maps are made from the training people."""
        ...

    def with_maps_of(self, training: Sequence[str]) -> Source:
        """Return the same with ROI maps, made from training people where that was asked for."""
        ...

    def model(self) -> Model:
        """Make what predicts maps; it is prepared when it is first needed."""
        ...

    @property
    def path_names(self) -> PathNames:
        """Names that stand for folders in what is written for others."""
        ...

    def plan(self, contrasts: Sequence[Contrast] | None) -> CohortPlan:
        """Find out who has both scans, without reading any; None: all contrasts of the maps."""
        ...

    def why_no_rest(self, label: str) -> str | None:
        """Return why a person's rest cannot be used, as far as headers show it; else None."""
        ...

    def id_of(self, label: str) -> str:
        """Return the label where it is of the data themselves; empty where it is a number here."""
        ...

    def rest_hashes(self, label: str) -> tuple[str, ...]:
        """Return hashes by which a person's rest is known again, as a bundle keeps them."""
        ...

    def arrays(self, plan: CohortPlan, store: ArrayStore, form: Form) -> PersonArrays:
        """Return how the arrays of a plan's people are made."""
        ...

    def make(self, arrays: PersonArrays, labels: Sequence[str]) -> Mapping[str, str]:
        """Make people's arrays; return why some of them failed."""
        ...


@dataclass(frozen=True, eq=False)
class DatasetSource:
    """A dataset of resting-state runs, and measured maps in files (`Source`)."""

    request: Request  # input dataset, participants and bundle
    place: Path  # of the measured maps
    maps_words: str  # as `Source`
    learns_maps: bool = False  # the ROI maps are those of a model

    @classmethod
    def prepare(cls, settings: Settings, kind: MapsKind | None) -> DatasetSource:
        """Check everything that can be checked before anything is written.

        Parameters
        ----------
        settings
            Options of the call.
        kind
            Of a model that is made; None: there is a model.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, dataset or model.
        """
        place, others = statmaps_place(settings.inputs.derivatives)
        if place is None:
            raise SettingsError(
                f"--analysis {settings.modelling.analysis} needs measured maps",
                expected="--derivatives statmaps=PATH, or --input-arrays FILE",
            )
        request = Request.prepare(settings.replace(derivatives=others))
        card = request.bundle.card
        if kind is not None:
            request = request.with_segments(kind.segment_seconds(card.part.segment_seconds))
        words = f"masks and ROI maps are those of {card.name} {card.version}"
        return cls(request, place, words)

    @property
    def settings(self) -> Settings:
        """As `Source`."""
        return self.request.settings

    @property
    def dataset(self) -> SourceDataset:
        """As `Source`."""
        return self.request.dataset

    @property
    def output(self) -> DerivativeDataset:
        """As `Source`."""
        return self.request.output

    @property
    def bundle(self) -> ModelBundle:
        """As `Source`."""
        return self.request.bundle

    @cached_property
    def families(self) -> Families:
        """Of the first table that has families."""
        return read_families((self.dataset.bids_dir, self.dataset.root, self.place))

    @property
    def own_name(self) -> str | None:
        """As `Source`."""
        return own_name(self.request.dataset)

    @property
    def words(self) -> str:
        """As `Source`."""
        how = find_strategy(self.settings.cleaning.denoise_strategy).in_words
        return (
            f"{self.dataset.root} is read as {self.dataset.title}, {how}; measured maps in "
            f"{self.place}"
        )

    @property
    def cleaning(self) -> str:
        """As `Source`."""
        return f"{self.dataset.title}, {self.settings.cleaning.denoise_strategy}"

    @property
    def record(self) -> Mapping[str, Any]:
        """Return nothing: rest is reduced as at the participant level."""
        return {}

    def with_maps_of(self, training: Sequence[str]) -> DatasetSource:
        """Return the same: the ROI maps are those of a model."""
        return self

    def model(self) -> Model:
        """As `Source`."""
        return self.request.model()

    @property
    def path_names(self) -> PathNames:
        """As `Source`."""
        return self.request.path_names.plus({"statmaps": self.place})

    def plan(self, contrasts: Sequence[Contrast] | None) -> CohortPlan:
        """As `Source`, by the names of files alone."""
        return plan_cohort(self.request, self.place, contrasts)

    def why_no_rest(self, label: str) -> str | None:
        """As `Source`."""
        usable, short = False, ""
        try:
            for run in self.request.runs(label):
                try:
                    plan_run(run, self.bundle.grid.space, self.settings.cleaning)
                    usable = True
                except TooShortError as err:
                    short = str(err)
        except DtgError as err:
            return str(err)
        return None if usable else short

    def id_of(self, label: str) -> str:
        """Return the label."""
        return label

    def rest_hashes(self, label: str) -> tuple[str, ...]:
        """Return those of the id and a file of rest each; other cleaning leaves them the same."""
        try:
            runs = [run for planned in self.request.sets(label) for run in planned.runs]
            digests = sorted({file_fingerprint(run.bold).ends_sha256 for run in runs})
            return tuple(hash_rest(label, digest) for digest in digests)
        except DtgError:
            return ()  # a later step says why these data cannot be used

    def arrays(self, plan: CohortPlan, store: ArrayStore, form: Form) -> PersonArrays:
        """As `Source`."""
        return RunArrays(plan, store, form, self.request)

    def make(self, arrays: PersonArrays, labels: Sequence[str]) -> Mapping[str, str]:
        """Make people's arrays in processes side by side."""
        assert isinstance(arrays, RunArrays)
        return make_side_by_side(arrays, labels)
