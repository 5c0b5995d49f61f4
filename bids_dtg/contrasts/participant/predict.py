"""The second half of the work: predict and average the maps of runs, and write them."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from bids_dtg.connectome.connectome import Connectome, RunConnectomes
from bids_dtg.connectome.joined import JoinedRuns
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.maps import Estimate, MapAverage, require_finite
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.participant.outputs.choice import NOT_YET, in_words
from bids_dtg.contrasts.participant.outputs.surfaces import template_note
from bids_dtg.contrasts.participant.outputs.write import Writer
from bids_dtg.contrasts.participant.quality import (
    RunSummary,
    notes_on_average,
)
from bids_dtg.contrasts.participant.read import RunRead, SegmentRead
from bids_dtg.engine.gpu import map_device
from bids_dtg.engine.machine import available_cores
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.participants.read import AverageBegun, RunPart
from bids_dtg.participants.worker import MadeAverage
from bids_dtg.progress import Clock, Reporter

_LARGEST_R = 1.001  # a correlation, with the rounding of half precision


def predict_maps(
    connectome: Connectome | RunConnectomes,
    bundle: ModelBundle,
    *,
    device: str = "auto",
    threads: int | None = None,
) -> Estimate:
    """Predict contrast maps from the connectome of one or several segments of rest.

    Parameters
    ----------
    connectome
        (rois, voxels of the bundle's mask). For a `RunConnectomes`, the maps of the segments are
        averaged, as the program does.
    bundle
        Model that predicts the maps.
    device
        Device that computes: cpu, cuda, or auto, which is the CPU.
    threads
        Threads to compute with; by default all cores.

    Returns
    -------
    Estimate
        (contrasts, voxels of the bundle's mask).

    Raises
    ------
    SettingsError
        The device is not there, or the model reads connectomes of another form.
    BundleError
        The weights cannot be read.
    RunError
        There is too little memory, or the maps are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from bids_dtg.contrasts.bundle.bundle import load_bundle
    >>> bundle = load_bundle("demo")
    >>> r = np.zeros((bundle.rois, bundle.places.number), np.float32)
    >>> estimate = predict_maps(Connectome(r, frames=100, seconds=432.0), bundle, device="cpu")
    >>> estimate.values.shape, len(estimate.contrasts)
    ((47, 163310), 47)
    """
    _segments(connectome, bundle)
    model = Model(bundle, map_device(device), threads or available_cores())
    estimate = estimate_maps(connectome, model)
    if bundle.half_widths is not None:
        estimate = replace(estimate, half_widths=bundle.half_widths.at_places)
    for note in model.take_notes():
        warnings.warn(note, stacklevel=2)
    return estimate


def estimate_maps(connectome: Connectome | RunConnectomes, model: Model) -> Estimate:
    """Predict the maps of one or several segments of rest by a prepared model.

    Raises
    ------
    BundleError, RunError
        See `predict_maps`.
    """
    if isinstance(connectome, Connectome):
        return _result(_average(model, [connectome]), model)
    return _result(_average(model, connectome.segments), model)


def _segments(connectome: Connectome | RunConnectomes, bundle: ModelBundle) -> Sequence[Connectome]:
    """Return the segments of what a caller gave, once the model can read each."""
    if not isinstance(connectome, Connectome | RunConnectomes):
        raise TypeError(
            f"the connectome is a {type(connectome).__name__}. Expected: of measure or "
            "measure_array, or Connectome(r, frames, seconds)"
        )
    parts = [connectome] if isinstance(connectome, Connectome) else connectome.segments
    for part in parts:
        require_form(part, bundle)
    return parts


def require_form(connectome: Connectome, bundle: ModelBundle) -> None:
    """Refuse a connectome of another form than the model reads.

    Raises
    ------
    SettingsError
        It is of another form, or holds what is no correlation where that is its form.
    """
    form, read = connectome.form, bundle.card.part.connectome
    if form != read:
        raise SettingsError(
            f"the connectome is of the form {form.title}",
            expected=f"{read.title}, which {bundle.card.name} reads",
            remedy="measure the run with this model's bundle",
        )
    largest = float(np.max(np.abs(connectome.r), initial=0.0))
    if not form.row.joint and largest > _LARGEST_R and math.isfinite(largest):
        raise SettingsError(
            f"the connectome has values up to {largest:.3g}",
            expected="correlations, -1 to 1 (Pearson r, not Fisher's z)",
        )


def _average(model: Model, connectomes: Sequence[Connectome]) -> MapAverage:
    known = all(math.isfinite(connectome.residual_dof) for connectome in connectomes)
    average = MapAverage(by_dof=known)
    for connectome in connectomes:
        _add(average, model, connectome)
    return average


def _add(average: MapAverage, model: Model, connectome: Connectome) -> None:
    # Overflow is refused later.
    with np.errstate(over="ignore", invalid="ignore"):
        maps = model.predict(connectome.r)
        require_finite(maps, model.contrasts)
        average.add(
            maps,
            seconds=connectome.seconds,
            residual_dof=connectome.residual_dof,
            data=(connectome.r != 0).any(axis=0) if model.by_place else None,
        )


def _result(average: MapAverage, model: Model) -> Estimate:
    """Return the average of maps; refuse values that have overflowed."""
    with np.errstate(over="ignore", invalid="ignore"):
        estimate = average.result(model.contrasts)
    values = estimate.values
    if average.data.ndim:
        values = values[:, ~np.isnan(values).all(axis=0)]  # where there are data
    require_finite(values, estimate.contrasts)
    return estimate


class Samples:
    """What a model predicts from: segments as they come, or the joined runs of each session."""

    def __init__(self, model: Model, average: MapAverage) -> None:
        self._model, self._average = model, average
        self._joins = model.joins_runs
        self._joined = JoinedRuns()
        self._session: str | None = None  # label of the session whose runs are joined

    def add(self, connectome: Connectome, session: str | None) -> None:
        """Predict the maps of a segment, or join a run to the others of its session.

        Runs come session by session, each as a whole where runs are joined.

        Raises
        ------
        RunError
            The device has too little memory, or a map is not finite.
        """
        if not self._joins:
            _add(self._average, self._model, connectome)
            return
        if session != self._session:
            self._end_session()
        self._session = session
        self._joined.add(connectome)

    def average(self) -> MapAverage:
        """Return the average of all maps, with those of the last session.

        Raises
        ------
        RunError
            See `add`.
        """
        self._end_session()
        return self._average

    def _end_session(self) -> None:
        if self._joined.begun:
            _add(self._average, self._model, self._joined.connectome())
            self._joined = JoinedRuns()


class MapAverageMaker:
    """Predicts and averages the maps of an average as its runs arrive, then has them written."""

    def __init__(
        self,
        begun: AverageBegun,
        *,
        model: Model,
        writer: Writer,
        clock: Clock,
        unmet: Mapping[str, str] | None = None,
    ) -> None:
        self._unmet = unmet or {}
        self.begun, self._model, self._writer, self._clock = begun, model, writer, clock
        self._samples = Samples(model, MapAverage(by_dof=begun.planned.by_dof))
        self._seconds = 0.0  # spent on maps of the run whose segments arrive
        self._summaries: list[RunSummary] = []
        self._left_out: dict[str, str] = {}
        self._files: list[PurePosixPath] = []

    def take(self, part: RunPart, reporter: Reporter) -> None:
        """Predict the maps of a segment, or write the files of a run.

        Raises
        ------
        RunError
            The device has too little memory, or a map is not finite.
        OutputError
            A file cannot be written.
        """
        if isinstance(part, SegmentRead):
            reporter.stage("predicting", part.share)
            self._predict(part.connectome, part.session)
            for note in self._model.take_notes():
                reporter.note(f"warning: {note}")
        elif isinstance(part, RunRead):
            self._add_run(part)

    def _add_run(self, read: RunRead) -> None:
        """Write the files of a run."""
        seconds, self._seconds = read.seconds + self._seconds, 0.0
        with self._clock.time("write"):
            self._files += self._writer.write_run(
                read.summary, seconds=seconds, kept=read.kept, connectomes=read.connectomes
            )
        self._summaries.append(read.summary)

    def _predict(self, connectome: Connectome, session: str | None) -> None:
        start = time.perf_counter()
        with self._clock.time("network"):
            self._samples.add(connectome, session)
        self._seconds += time.perf_counter() - start

    def leave_out(self, run: str, reason: str) -> None:
        """Record a run that is not part of the average."""
        self._left_out[run] = reason

    def finish(self, reporter: Reporter) -> MadeAverage:
        """Write the maps, and last the record that the average is complete.

        Raises
        ------
        RunError
            No run was long enough, or the average is not finite.
        OutputError
            A file cannot be written.
        """
        planned, writer = self.begun.planned, self._writer
        if not self._summaries:
            reasons = " ".join(self._left_out.values())
            raise RunError(f"{planned.title} has no run that can be used: {reasons}")
        reporter.stage("writing", 1.0)
        with self._clock.time("network"):
            average = self._samples.average()
        estimate = _result(average, self._model)
        with self._clock.time("write"):
            self._files += writer.write_average(
                planned,
                estimate,
                runs=self._summaries,
                left_out=self._left_out,
            )
            writer.complete(
                *(planned, self.begun.inputs, self._files),
                runs=self._summaries,
                adds=self.begun.reason.startswith(NOT_YET),
            )
        words = in_words(writer.request.wanted)
        summary = _line(words, estimate, self._summaries, left_out=len(self._left_out))
        return MadeAverage(tuple(self._notes()), summary, self._unmet)

    def _notes(self) -> list[str]:
        notes = [
            f"{summary.run.title}: {note}" for summary in self._summaries for note in summary.notes
        ]
        notes += [
            f"{summary.run.title} is {summary.judged.verdict} for the model: "
            + "; ".join(summary.judged.reasons)
            for summary in self._summaries
            if summary.judged.verdict != "inside"
        ]
        notes += [f"{run} was left out. {reason}" for run, reason in self._left_out.items()]
        notes += self._notes_on_other_maps()
        request, planned = self._writer.request, self.begun.planned
        if note := template_note(request.surfaces(planned)):
            notes.append(f"{planned.title}: {note}")
        more = notes_on_average(
            request.bundle.card,
            self._summaries,
            input_type=request.settings.inputs.input_type,
            strategy=request.settings.cleaning.denoise_strategy,
        )
        notes += more.values()
        return notes

    def _notes_on_other_maps(self) -> list[str]:
        """Warn of maps that an earlier call averaged otherwise: they have other names and stay."""
        participant = self.begun.planned.participant
        others = self._writer.made_otherwise(participant)
        if not others:
            return []
        return [
            f"sub-{participant} also has maps from calls with another --combine than "
            f"{self._writer.request.combine}: "
            f"{', '.join(others)}. Remove them if they are not wanted."
        ]


def _line(what: str, estimate: Estimate, runs: Sequence[RunSummary], *, left_out: int) -> str:
    """Summarise the result in one line."""
    of_runs = f"{len(runs)} run{'s' * (len(runs) > 1)}"
    segments = f"{estimate.n_segments} segment{'s' * (estimate.n_segments > 1)}"
    coverage = min(summary.coverage for summary in runs)
    short = f"; {left_out} left out, with too little left" if left_out else ""
    return (
        f"{what} from {estimate.seconds / 60:.1f} minutes of rest "
        f"({of_runs}, {segments}), coverage {coverage:.1%}{short}"
    )
