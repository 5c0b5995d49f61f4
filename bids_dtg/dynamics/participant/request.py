"""What a run of the participant level asks for, checked: atlas, model, structural connectomes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bids_dtg.bundles.store import kind_of
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.parcels import fill_gaps
from bids_dtg.dynamics.bundle.kind import BY_NAME
from bids_dtg.dynamics.bundle.linear import LinearBundle
from bids_dtg.dynamics.bundle.network import SAME_TR
from bids_dtg.dynamics.networks import LEAST_FRAMES, MOST_CENSORED
from bids_dtg.dynamics.panels import PRESENTATION
from bids_dtg.dynamics.panels.words import NetworkMethods, dataset_words
from bids_dtg.engine.pool import in_own_process
from bids_dtg.errors import BundleError, DatasetError, RunError
from bids_dtg.files.derivatives import DatasetWords
from bids_dtg.inputs.rest_sketch import sketch
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.structural import (
    StructuralMatrix,
    StructuralSource,
    find_structural,
)
from bids_dtg.notices import counted
from bids_dtg.participants.parcels import MeasuredSeries, ParcelRequest
from bids_dtg.participants.request import AveragedRuns
from bids_dtg.participants.run_source import PlannedRun
from bids_dtg.report.presentation import Presentation
from bids_dtg.settings import Combine, Settings


@dataclass(frozen=True, eq=False)
class NetworkRequest(ParcelRequest[LinearBundle]):
    """The checked request of a run; each step of the work gets only the parts it uses."""

    presentation: ClassVar[Presentation] = PRESENTATION
    without_model: ClassVar[str] = "series and functional connectivity only"

    structural: StructuralSource | None  # structural connectomes; None: not given

    @classmethod
    def prepare(cls, settings: Settings) -> NetworkRequest:
        """Check options, dataset and model before anything is written.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, dataset or model.
        """
        fields = cls.shared_fields(settings, _load)
        request = cls(**fields, structural=find_structural(fields["settings"]))
        request._require_shared_matrix()
        return request

    def _require_shared_matrix(self) -> None:
        """Refuse a matrix for all participants that nobody's run could use."""
        if self.structural is None or not self.structural.is_shared:
            return
        try:
            in_own_process(partial(self.structural.of, "", None, self.regions))
        except RunError as err:
            raise err.as_kind(DatasetError, "--structural-connectivity: ") from err

    @property
    def combine(self) -> Combine:
        """Each run has its own results; series are not averaged."""
        return "run"

    def dataset_words(self) -> DatasetWords:
        """Return the description of the output, given the model."""
        card = None if self.bundle is None else self.bundle.card
        notice = self.dataset.notice if card is None else card.notice
        return dataset_words(None if card is None else card.kind, notice)

    def notes(self) -> Iterator[str]:
        """Yield lines on the atlas and the model."""
        yield f"series of {counted(self.regions, 'parcel')} of the atlas {self.atlas.key}"
        yield from super().notes()

    def note_on_person(self, measured: MeasuredSeries) -> str:
        """Return a sentence if the participant is in the model's training set."""
        if self.bundle is None:
            return ""
        series, _ = fill_gaps(measured.series.values, measured.series.keep)
        return self.note_on_training(measured.run.participant, sketch(series))

    def structural_of(self, run: RestRun) -> StructuralMatrix | None:
        """Read the structural connectome of a run's participant; None if none were given.

        Raises
        ------
        RunError
            The participant has none, or it cannot be used.
        """
        if self.structural is None:
            return None
        return self.structural.of(run.participant, run.session, self.regions)

    def input_files(self, planned: AveragedRuns) -> Iterable[Path]:
        """Yield the input files of a planned result."""
        yield from super().input_files(planned)
        if self.structural is not None:
            yield from self.structural.files_of(
                planned.participant, planned.entities.get("ses")
            )

    def shaping_options(self) -> dict[str, Any]:
        """Return all options that change results."""
        options = super().shaping_options()
        # Files are identified by a hash of their content, so their path does not matter.
        is_given = self.structural is not None
        options["structural_connectivity"] = "given" if is_given else None
        return options

    def require_usable(self, measured: MeasuredSeries) -> None:
        """Refuse a run that does not fit the model (see `plan_of`), or lacks a parcel's series."""
        self._require_fits(measured.design)
        super().require_usable(measured)

    def plan_of(self, run: RestRun) -> PlannedRun:
        """Plan the cleaning of a run, from the header of its file and its tables alone.

        Raises
        ------
        RunError
            The run cannot be used, it has no structural connectome, or it does not fit the model
            in repetition time, number of frames or share of censored frames.
        """
        planned = super().plan_of(run)
        self._require_fits(planned.design)
        self.structural_of(run)
        return planned

    def _require_fits(self, design: TemporalDesign) -> None:
        if self.bundle is None:
            return
        used = np.flatnonzero(design.keep)
        frames = int(used[-1] - used[0]) + 1 if len(used) else 0
        model = self.bundle.name
        model_tr = self.bundle.part.tr_seconds
        if abs(design.tr_seconds - model_tr) > SAME_TR * model_tr:
            raise RunError(
                f"the frames are {design.tr_seconds:g} s apart and those of the model {model} "
                f"{model_tr:g} s",
                expected=f"a difference of at most {SAME_TR:.0%}, as the model's step is one frame",
                remedy="use a model trained on series with the same repetition time",
            )
        if frames < LEAST_FRAMES:
            raise RunError(
                f"there are {counted(frames, 'frame')} from the first to the last kept one",
                expected=f"{LEAST_FRAMES} or more",
            )
        share = 1 - len(used) / frames
        if share > MOST_CENSORED:
            raise RunError(
                f"{share:.0%} of the {frames} frames from the first to the last kept one were "
                "censored",
                expected=f"at most {MOST_CENSORED:.0%}, for the model",
                remedy="raise --fd-threshold, or leave out the run with --bids-filter-file",
            )

    def would_make(self, planned: AveragedRuns) -> tuple[str, list[str]]:
        """Describe the results of a run."""
        what = f"series of {counted(self.regions, 'parcel')}"
        if self.bundle is not None:
            what += f" and a process by {self.bundle.name}"
        return what, []

    def methods_facts(self) -> NetworkMethods:
        """Return the facts of the run for the methods text."""
        structural = ""
        if self.structural is not None:
            structural = "a matrix for each participant"
            if self.structural.is_shared:
                structural = "one matrix for all participants"
        return NetworkMethods(
            self.series_words,
            structural,
            core=None if self.bundle is None else self.bundle.part,
        )


def _load(name_or_path: str) -> LinearBundle:
    """Load a linear core.

    Raises
    ------
    BundleError
        There is no such model, it is damaged, or it is a network.
    """
    kind = BY_NAME.get(kind_of(name_or_path))
    if kind is not None and not kind.suits_new_people:
        raise BundleError(
            f"the model {name_or_path} is a network, which knows only the people it was fitted to",
            expected="a linear core, which applies to new people",
            remedy="train one with --architecture linear, or leave out --model",
        )
    return LinearBundle.load(name_or_path)
