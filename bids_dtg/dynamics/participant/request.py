"""The request of a call for series and network parameters, found and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bids_dtg.bundles.bundle import kind_of
from bids_dtg.cohort.result_folder import data_set_name
from bids_dtg.cohort.seen_people import labels_alone
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.dynamics.bundle.kind import NETWORK_MODEL
from bids_dtg.dynamics.bundle.linear import LinearBundle, load_linear_bundle
from bids_dtg.dynamics.networks import LEAST_FRAMES
from bids_dtg.dynamics.panels.presentation import PRESENTATION
from bids_dtg.dynamics.panels.words import LinearCore, NetworkMethods
from bids_dtg.dynamics.participant.infer import Modelled
from bids_dtg.dynamics.participant.output_people import MOST_FILLED
from bids_dtg.errors import BundleError, RunError
from bids_dtg.inputs.dataset import name_folder
from bids_dtg.inputs.rest_sketch import sketch
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.structural import StructuralMatrix, StructuralSource, find_structural
from bids_dtg.notices import counted
from bids_dtg.participants.averages import AveragedRuns
from bids_dtg.participants.parcels.measure import MeasuredSeries
from bids_dtg.participants.parcels.request import ParcelRequest, load_asked
from bids_dtg.participants.request import Asked
from bids_dtg.participants.run_source import PlannedRun
from bids_dtg.report.presentation import Presentation
from bids_dtg.settings import Combine, Settings


@dataclass(frozen=True, eq=False)
class NetworkRequest(ParcelRequest[LinearBundle]):
    """The request of a call; each step of the work gets only the parts it uses."""

    presentation: ClassVar[Presentation] = PRESENTATION

    structural: StructuralSource | None  # of structural connectomes; None: not given

    @classmethod
    def prepare(cls, settings: Settings) -> NetworkRequest:
        """Check options, dataset and model before anything is written.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, dataset or model.
        """
        asked = Asked.of(settings)
        bundle = load_asked(asked.settings, _load)
        structural = find_structural(asked.settings)
        shared = cls.shared_fields(asked, bundle)
        if structural is not None:
            regions = tuple(shared["atlases"][0].parcels.values())
            structural.require_choice(asked.participants, regions)
        return cls(**shared, structural=structural)

    @property
    def combine(self) -> Combine:
        """Results are for single runs: series are not averaged."""
        return "run"

    def why_not_modelled(self) -> str | None:
        """Say why no run is modelled; None if the call has a model."""
        return "no --model was given" if self.bundle is None else None

    def notes(self) -> Iterable[str]:
        """Yield lines on the atlas and the model."""
        yield f"series of the {counted(len(self.regions), 'parcel')} of {self.atlas.key}"
        if self.bundle is None:
            yield "series and functional connectivity alone: no --model was given"
            return
        if self.bundle.card.notice:
            yield f"{self.bundle.card.name}: {self.bundle.card.notice}"
        if not self.bundle.by_content:
            yield labels_alone(self.bundle.card.name)

    def notes_on_model(self, modelled: Modelled | None, participant: str) -> Iterator[str]:
        """Yield a sentence if the participant, with these series, is in the training set."""
        if self.bundle is None or modelled is None:
            return
        data_set = data_set_name(self.settings, name_folder(self.settings.inputs.bids_dir))
        if note := self.bundle.note_on(participant, data_set, [sketch(modelled.series)]):
            yield note

    def structural_of(self, planned: AveragedRuns) -> StructuralMatrix | None:
        """Read the structural connectome of an average's participant; None if none were given.

        Raises
        ------
        RunError
            The participant has none, or one that cannot be used.
        """
        if self.structural is None:
            return None
        session = dict(planned.entities).get("ses")
        return self.structural.of(planned.participant, session, self.regions)

    def input_files(self, planned: AveragedRuns) -> Iterable[Path]:
        """Yield the input files of an average."""
        yield from super().input_files(planned)
        structural = self.structural_of(planned)
        if structural is not None:
            yield structural.path

    def shaping_options(self) -> dict[str, Any]:
        """Return all options that change results."""
        found = super().shaping_options()
        # Files are hashed by content: a moved file is the same.
        found["structural_connectivity"] = None if self.structural is None else "given"
        if self.bundle is not None:
            found["model"] = self.bundle.identity
        return found

    def require_usable(self, measured: MeasuredSeries) -> None:
        """Refuse a run that the model cannot describe, see `plan_of`."""
        self._require_fits(measured.design)

    def plan_of(self, run: RestRun) -> PlannedRun:
        """Plan the cleaning of a run, from its file's header and its tables alone.

        Raises
        ------
        RunError
            The run cannot be used, or the model cannot describe it: its repetition time, the
            number of its frames, or the share of frames to fill.
        """
        found = super().plan_of(run)
        self._require_fits(found.design)
        return found

    def _require_fits(self, design: TemporalDesign) -> None:
        if self.bundle is None:
            return
        kept = np.flatnonzero(design.keep)
        frames = int(kept[-1] - kept[0]) + 1 if len(kept) else 0
        self.bundle.require_frames(design.tr_seconds, frames)
        share = 1 - len(kept) / frames
        if share > MOST_FILLED:
            raise RunError(
                f"{share:.0%} of the {frames} frames from the first to the last that is kept were "
                "left out, and would be filled for the model",
                expected=f"at most {MOST_FILLED:.0%}",
                remedy="raise --fd-threshold, or leave out the run with --run",
            )

    def would_make(self, planned: AveragedRuns) -> tuple[str, list[str]]:
        """Describe the results of a run."""
        what = f"series of {counted(len(self.regions), 'parcel')}"
        if self.bundle is not None:
            what += f" and a process by {self.bundle.card.name}"
        return what, []

    def methods_facts(self) -> NetworkMethods:
        """Return the facts of the call for the methods text."""
        bundle = self.bundle
        return NetworkMethods(
            atlas=self.atlas.key,
            parcels=len(self.regions),
            min_coverage=self.settings.outputs.min_coverage,
            structural=self._structural_words,
            core=None if bundle is None else _core_words(bundle),
            most_filled=MOST_FILLED,
            least_frames=LEAST_FRAMES,
        )

    @property
    def _structural_words(self) -> str:
        if self.structural is None:
            return ""
        return (
            "one matrix for all participants"
            if self.structural.is_shared
            else "a matrix of each participant"
        )


def _core_words(bundle: LinearBundle) -> LinearCore:
    part = bundle.part
    return LinearCore(
        regions=part.regions,
        people=part.people,
        data_set=part.data_set,
        order=part.order,
        shrinkage_seconds=part.process_shrinkage * part.tr_seconds,
    )


def _load(name_or_path: str) -> LinearBundle:
    """Load a linear core.

    Raises
    ------
    BundleError
        There is none of that name, it is damaged, or it is a network.
    """
    if kind_of(name_or_path) == NETWORK_MODEL.name:
        raise BundleError(
            f"the model {name_or_path} is a network, which knows only the people it was fitted to",
            expected="a linear core, which describes anybody",
            remedy="train one with --architecture linear, or leave out --model",
        )
    core = load_linear_bundle(name_or_path)
    core.check_weights()
    return core
