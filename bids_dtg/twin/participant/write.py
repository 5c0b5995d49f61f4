"""What is written of runs and sets: series, connectomes, quality, the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.files.names import FileKind
from bids_dtg.files.provenance import sets_made_otherwise
from bids_dtg.files.regions.relmat import RELMAT, RegionMatrix, encode_relmat
from bids_dtg.files.sidecars import RESIDUAL_DOF
from bids_dtg.files.text import encoded
from bids_dtg.participants.figures import rounded
from bids_dtg.participants.parcels.measure import MeasuredSeries
from bids_dtg.participants.parcels.write import ParcelWriter
from bids_dtg.participants.sets import RunSet
from bids_dtg.report.pages.participant import discard_report
from bids_dtg.report.panels.panel import write_kept
from bids_dtg.twin.panels.fit import fit_facts
from bids_dtg.twin.panels.traces import keep_traces
from bids_dtg.twin.participant.behaviour import SetBehaviour
from bids_dtg.twin.participant.columns import BEHAVIOUR, TRIALS
from bids_dtg.twin.participant.connectome import SetConnectome
from bids_dtg.twin.participant.request import TwinRequest
from bids_dtg.twin.participant.source import FISHER_Z, MINUTES, RUN, RUNS

PREDICTED, OBSERVED = "twin", "observed"  # values of desc- of behaviour: with a model, without
WEIGHTED_BY = "RunsWeightedBy"  # a key of the sidecar of connectomes
_SAYS = {
    True: "of the twin of the connectome, an estimate and not a measurement, beside what the "
    "participant did",
    False: "of the participant",
}


class TwinWriter(ParcelWriter[TwinRequest]):
    """Writes the files of runs and sets.

    Parameters
    ----------
    request
        What the call asks for.

    Raises
    ------
    OutputError
        By each method that writes: a file cannot be written.
    """

    def write_run(
        self, planned: RunSet, measured: MeasuredSeries, *, seconds: float
    ) -> list[PurePosixPath]:
        """Write what was measured of a run; return the paths.

        Parameters
        ----------
        planned
            Its set.
        measured
            The run.
        seconds
            Time it took.
        """
        # It shows other results, and might not be made anew.
        discard_report(self._request.output, planned.participant)
        return [
            *self.write_series(measured, {}),
            *self.write_coverage(measured),
            *self.write_kept(measured),
            *self.write_quality(measured, seconds),
        ]

    def write_set(
        self,
        planned: RunSet,
        made: SetConnectome,
        behaviour: SetBehaviour | None,
        *,
        left_out: Mapping[str, str],
    ) -> list[PurePosixPath]:
        """Write the connectome of a set, and the behaviour that is known; return the paths.

        Parameters
        ----------
        planned
            The set, which names the files.
        made
            Its connectome.
        behaviour
            Predicted, observed, or both; None: neither.
        left_out
            Why other runs of the set are not part of it, by their titles.
        """
        path = RELMAT.path(self.entities(dict(planned.entities), stat=FISHER_Z))
        matrix = encode_relmat(RegionMatrix(self._request.regions, made.edges))
        files = [*self.write_with(path, matrix, self._edge_facts(made, left_out))]
        if behaviour is not None:
            files += self._write_behaviour(planned, made, behaviour)
        return files

    def notes(
        self,
        planned: RunSet,
        runs: Sequence[MeasuredSeries],
        behaviour: SetBehaviour | None,
        *,
        left_out: Mapping[str, str],
        of_events: Sequence[str],
    ) -> Iterator[str]:
        """Yield sentences on what was unusual of a set and its runs."""
        for measured in runs:
            note = self.cleaning_note(measured)
            for sentence in (*measured.notes, *([note] if note else [])):
                yield f"{measured.run.title}: {sentence}"
        for run, reason in left_out.items():
            yield f"{run} was left out. {reason}"
        for note in of_events:
            yield f"{planned.title}: {note}"
        if behaviour is not None:
            for task, file in behaviour.other_sequences.items():
                yield f"{planned.title}: {task}: performed the trials of {file}, as it has none"
        for note in self._request.notes_on_model(planned.participant):
            yield f"{planned.title}: {note}"
        # Sets of another --combine have other names and stay.
        combine = self._request.combine
        others = sets_made_otherwise(self._request.output, planned.participant, "combine", combine)
        if others:
            yield (
                f"sub-{planned.participant} also has connectomes from calls with another "
                f"--combine than {combine}: {', '.join(others)}. Remove them if they are not "
                "wanted."
            )

    def _edge_facts(self, made: SetConnectome, left_out: Mapping[str, str]) -> dict[str, Any]:
        """Return what the sidecar of a connectome says: how it was made."""
        request, hide = self._request, self._request.path_names.hide
        return {
            "Description": "Connectome: Fisher z of the Pearson correlation between the cleaned "
            "series of each two parcels over the frames kept, averaged over runs; n/a on the "
            "diagonal, and where a parcel has no series",
            "Units": "arbitrary",
            **self.origin(*made.runs),
            RUNS: [
                {
                    RUN: run.run.title,
                    "Weight": round(weight, 4),
                    RESIDUAL_DOF: rounded(run.series.residual_dof),
                    "Frames": len(run.design.keep),
                    "FramesKept": run.design.frames_kept,
                    MINUTES: round(run.design.seconds_kept / 60, 3),
                }
                for run, weight in zip(made.runs, made.weights, strict=True)
            ],
            "ExcludedRuns": {run: hide(why) for run, why in left_out.items()},
            WEIGHTED_BY: RESIDUAL_DOF if made.by_dof else MINUTES,
            "FramesKept": made.frames_kept,
            MINUTES: round(made.minutes, 3),
            RESIDUAL_DOF: rounded(made.residual_dof) if made.by_dof else None,
            **self.cleaning_facts,
            "OptionsSHA256": request.settings.result_hash,
        }

    def _write_behaviour(
        self, planned: RunSet, made: SetConnectome, behaviour: SetBehaviour
    ) -> Iterator[PurePosixPath]:
        predicted = behaviour.performed is not None
        desc = PREDICTED if predicted else OBSERVED
        facts = self._behaviour_facts(planned, made, behaviour)
        entities = self.entities(dict(planned.entities))
        for suffix, words, columns, rows in (
            ("behaviour", "Behaviour in each task and condition", BEHAVIOUR, behaviour.rows()),
            ("trials", "Behaviour in each trial", TRIALS, behaviour.trial_rows()),
        ):
            known = [column for column in columns if _is_known(column.name, predicted=predicted)]
            names = {column.name for column in known}
            table = ResultTable(
                known,
                [{name: _cell(row[name]) for name in row if name in names} for row in rows],
                f"{words}: {_SAYS[predicted]}",
            )
            yield from self.write_with(
                FileKind(suffix, desc, ".tsv").path(entities),
                encoded(table.text),
                {**table.dictionary(), **facts},
            )
        if predicted:
            kept = keep_traces(behaviour.curves(), facts)
            yield from write_kept([kept], entities, self._request.output)

    def _behaviour_facts(
        self, planned: RunSet, made: SetConnectome, behaviour: SetBehaviour
    ) -> dict[str, Any]:
        """Return what sidecars of behaviour say: of what, by which model, how well it fits."""
        request = self._request
        facts = {
            **self.origin(*made.runs),
            "EventFiles": [
                run.file.path.relative_to(request.dataset.bids_dir).as_posix()
                for run in behaviour.seen.runs
            ],
            "SequencesOfOthers": behaviour.other_sequences,
            "Notes": [request.path_names.hide(note) for note in behaviour.notes],
        }
        if request.bundle is None or behaviour.performed is None:
            return facts
        notes = [*request.notes_on_model(planned.participant)]
        notes += [request.connectome_note] if request.connectome_note else []
        return {
            **facts,
            **self.model_facts(),
            **fit_facts(behaviour.fits()),
            "Notes": [*facts["Notes"], *notes],
        }


def _is_known(column: str, *, predicted: bool) -> bool:
    """Return whether a column is known: without a model nothing is that it would have predicted."""
    return predicted or not column.startswith(("predicted_", "group_", "p_"))


def _cell(value: object) -> object:
    # Adding 0 makes of -0.0, of a difference that rounds to nothing, 0.0.
    return round(value, 5) + 0.0 if isinstance(value, float) else value
