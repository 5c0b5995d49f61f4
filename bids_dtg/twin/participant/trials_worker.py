"""The work on one participant without a network: events to predicted later trials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar

from bids_dtg.cleaning.words import Lacking
from bids_dtg.engine.display import Clock, Reporter
from bids_dtg.inputs.run import RestRun
from bids_dtg.notices import counted
from bids_dtg.participants.complete import complete_average
from bids_dtg.participants.origin import model_facts
from bids_dtg.participants.read import AverageBegun, RunPart, Send
from bids_dtg.participants.worker import LevelWork, MadeAverage
from bids_dtg.report.pages.participant import discard_report
from bids_dtg.twin.panels.own_trials import own_trials_facts
from bids_dtg.twin.participant.behaviour import AverageBehaviour
from bids_dtg.twin.participant.events import AverageEvents
from bids_dtg.twin.participant.own_trials import forecast_without_network, require_some
from bids_dtg.twin.participant.trials_request import TrialsRequest
from bids_dtg.twin.participant.write import write_behaviour


@dataclass(frozen=True, eq=False)
class TrialsSteps:
    """The steps of the work on a participant."""

    request: TrialsRequest

    forks: ClassVar[bool] = True  # nothing runs on a GPU

    def work(self) -> TrialsWork:
        """Return the work, in the process that does it."""
        return TrialsWork(self.request)


class TrialsWork(LevelWork):
    """Predicts a participant's later trials and writes them."""

    request: TrialsRequest

    def read_run(self, run: RestRun, clock: Clock, send: Send) -> None:
        """Read nothing: participants have no runs of rest here."""

    def maker(self, begun: AverageBegun, clock: Clock) -> TrialsMaker:
        """Return the maker of a participant's behaviour."""
        return TrialsMaker(begun, self.request)


class TrialsMaker:
    """Makes the behaviour of a participant."""

    def __init__(self, begun: AverageBegun, request: TrialsRequest) -> None:
        self.begun, self._request = begun, request

    def take(self, part: RunPart, reporter: Reporter) -> None:
        """Take nothing: there are no runs of rest."""

    def leave_out(self, run: str, reason: str) -> None:
        """Leave nothing out, for the same reason."""

    def finish(self, reporter: Reporter) -> MadeAverage:
        """Predict and write, and finally write the record.

        Raises
        ------
        RunError
            No event file can be used, or no trial be predicted.
        OutputError
            A file cannot be written.
        """
        request, planned = self._request, self.begun.planned
        found = request.events.of(planned)
        behaviour = self._behave(found)
        note = request.note_on(planned.participant, found.runs)
        notes = [*behaviour.notes, *([note] if note else [])]
        # The report shows earlier results, and might not be made again.
        discard_report(request.output, planned.participant)
        files = list(self._write(behaviour, notes))
        complete_average(
            request.output,
            planned,
            self.begun.inputs,
            files,
            options=request.recorded_options,
            methods=(Lacking(), request.methods(Lacking())),
        )
        return MadeAverage(
            tuple(f"{planned.title}: {note}" for note in notes),
            "; ".join(
                f"{own.task}: {counted(own.known, 'trial')} known, {own.predicted} predicted"
                for own in behaviour.own_trials()
            ),
        )

    def _behave(self, found: AverageEvents) -> AverageBehaviour:
        """Predict later trials."""
        request = self._request
        seen = request.see(found)
        forecasts = forecast_without_network(request.bundle.closed_forms(), seen, request.own)
        require_some(forecasts.of_task, forecasts.notes)
        return AverageBehaviour(seen, None, (*found.notes, *forecasts.notes), forecasts)

    def _write(self, behaviour: AverageBehaviour, notes: list[str]) -> Iterator[PurePosixPath]:
        request, part = self._request, self._request.bundle.part
        entities: dict[str, str | None] = {**dict(self.begun.planned.entities)}
        facts: dict[str, Any] = {
            "EventFiles": [
                run.file.path.relative_to(request.dataset.bids_dir).as_posix()
                for run in behaviour.seen.runs
            ],
            "Notes": [request.path_names.hide(note) for note in notes],
            **model_facts(request.bundle),
            "ModelTraining": {"Participants": part.people, "Data": part.data_set},
            **own_trials_facts(behaviour.own_trials()),
            "OptionsSHA256": request.settings.result_hash,
        }
        return write_behaviour(request.output, behaviour, entities, facts)
