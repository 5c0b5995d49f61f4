"""Writes the files of runs and averages: series, connectomes, quality, the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import RunError
from bids_dtg.files.columns import Column
from bids_dtg.files.names import FileKind
from bids_dtg.files.regions import RELMAT, relationship_facts
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.files.text import encoded, tsv_text
from bids_dtg.participants.parcels import MeasuredSeries, ParcelWriter
from bids_dtg.participants.quality import rounded
from bids_dtg.participants.request import AveragedRuns
from bids_dtg.twin.bold_runs import BoldRun
from bids_dtg.twin.panels.behaviour import SERIES, encode_trial_series
from bids_dtg.twin.participant.behaviour import (
    QUANTILES,
    AverageBehaviour,
    AverageConnectome,
)
from bids_dtg.twin.participant.connectomes import FISHER_Z, MINUTES, RUN, RUNS
from bids_dtg.twin.participant.request import TwinRequest
from bids_dtg.twin.participant.task_bold import (
    TASK_SERIES,
    TaskRun,
    encode_task_bold,
)

# Not "task" and "run": pybids takes keys of that name for entities, and refuses.
_TASK = Column("task_name", "Task, by its name in the model or in the task file")
_OWN = Column(
    "own_sequence",
    "Whether the trials are the participant's own; false: those of the first event file of the "
    "task in the dataset, with its responses ignored",
)
BEHAVIOUR = (
    _TASK,
    Column(
        "condition",
        "Condition of the trials; effect: the second condition minus the first",
    ),
    Column(
        "trials",
        "Number of trials that count: the participant's scored trials; all trials where the "
        "sequence is not the participant's own",
    ),
    _OWN,
    Column(
        "predicted_rt_seconds",
        "Mean over trials of the twin's mean response time: an estimate",
        unit="s",
    ),
    Column(
        "group_rt_seconds",
        "Mean over trials of the group network's mean response time, without a connectome",
        unit="s",
    ),
    Column("observed_rt_seconds", "Mean response time of the participant", unit="s"),
    Column(
        "observed_median_rt_seconds",
        "Median response time of the participant",
        unit="s",
    ),
    *(
        column.of(outcome)
        for outcome in ("correct", "miss")
        for column in (
            Column(
                "predicted_{}",
                "Mean over trials of the twin's probability of the outcome {}: an estimate",
            ),
            Column(
                "observed_{}", "Share of the participant's trials with the outcome {}"
            ),
        )
    ),
)
TRIALS = (
    _TASK,
    Column("events_file", "Event file of the run"),
    _OWN,
    Column("trial", "Number of the trial in its run, by onset, from 1"),
    Column("onset", "Onset of the trial in its run", unit="s"),
    Column("condition", "Condition of the trial"),
    Column("correct_button", "The correct button"),
    *Column(
        "predicted_rt_q{}_seconds",
        "Time by which the twin gives {} % of its responses to the trial: an estimate",
        unit="s",
    ).each(round(100 * share) for share in QUANTILES),
    Column(
        "predicted_button",
        "Most likely button of the twin at the end of the response window",
    ),
    Column("p_correct", "Probability of the correct button, by the twin: an estimate"),
    Column(
        "p_miss",
        "Probability of no response within the window, by the twin: an estimate",
    ),
    Column("observed_rt_seconds", "Response time of the participant", unit="s"),
    Column(
        "observed_button", "Button that the participant pressed; n/a: none, or unknown"
    ),
    Column("observed_correct", "Whether the participant pressed the correct button"),
    Column("scored", "Whether the participant's trial is scored"),
)


_PREDICTED = FileKind("timeseries", "predicted", ".tsv")
WEIGHTED_BY = "RunsWeightedBy"  # a key of the sidecar of connectomes
_SAYS = "of the connectome's twin, an estimate and not a measurement, and of the participant"


class TwinWriter(ParcelWriter[TwinRequest]):
    """Writes the files of runs and averages.

    Raises
    ------
    OutputError
        A file cannot be written; raised by each method that writes.
    """

    def write_run(
        self, measured: MeasuredSeries, *, seconds: float
    ) -> list[PurePosixPath]:
        """Write the series and quality of a run; return the paths."""
        return [
            *self.write_series(measured, {}),
            *self.write_coverage(measured),
            *self.write_page_files(measured, seconds),
        ]

    def write_task_run(self, measured: MeasuredSeries) -> Iterator[PurePosixPath]:
        """Write the series of a task run; yield the paths.

        Raises
        ------
        RunError
            No parcel has a mean signal, of which values are percent.
        """
        series, run = measured.series, measured.run
        names = self._request.regions
        assert isinstance(run, TaskRun)
        assert series.percent is not None
        if not np.isfinite(series.percent).any():
            raise RunError(
                f"{run.bold} has no mean signal",
                expected="BOLD with its mean, as fMRIPrep leaves it",
            )
        values = (series.values * series.percent[:, None]).T.astype(np.float32)
        bold = BoldRun(values, series.tr_seconds, run.start_seconds)
        events = PurePosixPath(run.events.relative_to(self._request.dataset.bids_dir))
        facts = self.series_facts(measured, {}, ())
        yield from self.write_with(
            TASK_SERIES.path(self.entities_of_run(measured)),
            *encode_task_bold(names, bold, events, **facts),
        )

    def write_average(
        self,
        planned: AveragedRuns,
        connectome: AverageConnectome,
        behaviour: AverageBehaviour | None,
        *,
        left_out: Mapping[str, str],
    ) -> list[PurePosixPath]:
        """Write an average's connectome, and its twin's behaviour; return the paths.

        `left_out` gives the reason for each run that was left out of the average.
        """
        path = RELMAT.path(self.entities(planned.entities, stat=FISHER_Z))
        facts = self._edge_facts(connectome, left_out) | relationship_facts(
            "Fisher z", "Inverse hyperbolic tangent of the Pearson correlation"
        )
        files = [*self.write_matrix(path, connectome.edges, facts)]
        if behaviour is not None:
            files += self._write_behaviour(planned, connectome, behaviour)
        return files

    def notes(
        self,
        planned: AveragedRuns,
        connectome: AverageConnectome,
        behaviour: AverageBehaviour | None,
        *,
        event_notes: Sequence[str],
    ) -> Iterator[str]:
        """Yield sentences on exceptions in an average and its runs."""
        for measured in connectome.runs:
            yield from self.run_notes(measured)
        for note in event_notes:
            yield f"{planned.title}: {note}"
        if behaviour is not None:
            for task, file in behaviour.other_sequences.items():
                yield f"{planned.title}: {task}: no own event file; performed the trials of {file}"
        for note in self._request.notes_on_model(planned.participant, connectome.upper):
            yield f"{planned.title}: {note}"

    def _edge_facts(
        self, connectome: AverageConnectome, left_out: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return the sidecar fields of a connectome: how it was made."""
        hide = self._request.path_names.hide
        return {
            "Description": "Connectome: Fisher z of the Pearson correlation between the cleaned "
            "series of each pair of parcels over the frames kept, averaged over runs; n/a on the "
            "diagonal, and where a parcel has no series",
            "Units": "arbitrary",
            **self.origin(*connectome.runs),
            RUNS: [
                {
                    RUN: run.run.title,
                    "Weight": round(weight, 4),
                    RESIDUAL_DOF: rounded(run.series.residual_dof),
                    "Frames": len(run.design.keep),
                    "FramesKept": run.design.frames_kept,
                    MINUTES: round(run.design.seconds_kept / 60, 3),
                    **self.surface_facts(run),
                }
                for run, weight in zip(connectome.runs, connectome.weights, strict=True)
            ],
            "ExcludedRuns": {run: hide(why) for run, why in left_out.items()},
            WEIGHTED_BY: RESIDUAL_DOF if connectome.by_dof else MINUTES,
            "FramesKept": connectome.frames_kept,
            MINUTES: round(connectome.minutes, 3),
            RESIDUAL_DOF: rounded(connectome.residual_dof)
            if connectome.by_dof
            else None,
            **self.cleaning_facts,
        }

    def _write_behaviour(
        self,
        planned: AveragedRuns,
        connectome: AverageConnectome,
        behaviour: AverageBehaviour,
    ) -> Iterator[PurePosixPath]:
        facts = self._behaviour_facts(planned, connectome, behaviour)
        entities = self.entities(planned.entities)
        for suffix, words, columns, rows in (
            (
                "behaviour",
                "Behaviour in each task and condition",
                BEHAVIOUR,
                behaviour.rows(),
            ),
            ("trials", "Behaviour in each trial", TRIALS, behaviour.trial_rows()),
        ):
            table = ResultTable(
                columns,
                [{name: _cell(value) for name, value in row.items()} for row in rows],
                f"{words}: {_SAYS}",
            )
            yield from self.write_with(
                FileKind(suffix, "twin", ".tsv").path(entities),
                encoded(table.text),
                {**table.dictionary(), **facts},
            )
        if behaviour.bold:
            yield from self._write_bold(_PREDICTED.path(entities), behaviour, facts)
        curves = encode_trial_series(behaviour.curves(), facts)
        yield from self.write_with(SERIES.path(entities), *curves)

    def _write_bold(
        self, path: PurePosixPath, behaviour: AverageBehaviour, facts: Mapping[str, Any]
    ) -> Iterator[PurePosixPath]:
        """Write the BOLD of a twin: one row per volume of each run, one column per region."""
        rows = [
            (
                run.file.path.name,
                f"{at:.3f}",
                *(f"{v:.5g}" if np.isfinite(v) else None for v in values),
            )
            for run, bold in zip(behaviour.runs, behaviour.bold, strict=False)
            if bold is not None
            for at, values in zip(bold.seconds, bold.values, strict=True)
        ]
        text = tsv_text(["events_file", "seconds", *behaviour.regions], rows)
        yield from self.write_with(
            path,
            encoded(text),
            {
                "Description": "BOLD of each region, predicted by the connectome's twin and not "
                "measured: one row per volume, at the training people's repetition time",
                "Units": "as task BOLD was given in training",
                "events_file": {"Description": "Event file of the run"},
                "seconds": {
                    "Description": "Time of the volume in the run",
                    "Units": "s",
                },
                **facts,
            },
        )

    def _behaviour_facts(
        self,
        planned: AveragedRuns,
        connectome: AverageConnectome,
        behaviour: AverageBehaviour,
    ) -> dict[str, Any]:
        """Return the sidecar fields of behaviour: its sources, and the model."""
        request = self._request
        notes = [request.path_names.hide(note) for note in behaviour.notes]
        notes += request.notes_on_model(planned.participant, connectome.upper)
        notes += [request.connectome_note] if request.connectome_note else []
        return {
            **self.origin(*connectome.runs),
            "EventFiles": [
                run.file.path.relative_to(request.dataset.bids_dir).as_posix()
                for run in behaviour.runs
            ],
            "SequencesOfOthers": behaviour.other_sequences,
            "Notes": notes,
            **self.model_facts(),
        }


def _cell(value: object) -> object:
    # Adding 0 turns -0.0, a difference that rounds to zero, into 0.0.
    return round(value, 5) + 0.0 if isinstance(value, float) else value
