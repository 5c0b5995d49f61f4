"""What a call would do: which sets would be made from which files, and why."""

from __future__ import annotations

from collections.abc import Iterator

from bids_dtg.cleaning.strategies import find_strategy
from bids_dtg.errors import DtgError
from bids_dtg.files.names import participant_folder
from bids_dtg.inputs.templateflow import TransformMissingError
from bids_dtg.workflows.participant.job import Job


def print_plan(job: Job) -> int:
    """Print the plan of a call; return how many participants could not be planned."""
    failed, how = 0, find_strategy(job.settings.cleaning.denoise_strategy).in_words
    print(f"{job.dataset.root} is read as {job.dataset.title}, {how}")
    for participant in job.participants:
        try:
            for line in _lines(participant, job):
                print(line)
        except TransformMissingError as err:
            fetched = job.settings.inputs.templateflow_download
            failed += not fetched
            print(f"sub-{participant}: would {'first download' if fetched else 'fail'}: {err}")
        except DtgError as err:
            failed += 1
            print(f"sub-{participant}: would fail: {err}")
    print(f"{len(job.participants)} participants, {failed} would fail; no output was written")
    return failed


def _lines(participant: str, job: Job) -> Iterator[str]:
    for planned in job.map_sets(participant):
        reason = job.why_incomplete(planned, job.fingerprints(planned))
        if reason is None:
            yield f"{planned.title}: complete, would be skipped"
            continue
        session = dict(planned.entities).get("ses")
        folder = job.output.root / participant_folder(participant, session) / "func"
        count = len(job.bundle.contrasts)
        yield f"{planned.title}: would write {count} maps to {folder} ({reason})"
        for run in planned.runs:
            yield f"    reads {run.bold}"
            yield f"    in {run.space_reason}"
            for transform in run.transforms:
                yield f"    through {transform.path}" + " (inverse)" * transform.inverse
