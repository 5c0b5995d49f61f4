"""What a call would do: which sets would be made from which files, and why."""

from __future__ import annotations

from collections.abc import Iterator

from bids_dtg.cleaning.strategies import find_strategy
from bids_dtg.errors import DtgError
from bids_dtg.files.names import participant_folder
from bids_dtg.inputs.templateflow import TransformMissingError
from bids_dtg.workflows.participant.request import Request


def print_plan(request: Request) -> int:
    """Print the plan of a call; return how many participants could not be planned."""
    failed, how = 0, find_strategy(request.settings.cleaning.denoise_strategy).in_words
    print(f"{request.dataset.root} is read as {request.dataset.title}, {how}")
    for participant in request.participants:
        try:
            for line in _lines(participant, request):
                print(line)
        except TransformMissingError as err:
            fetched = request.settings.inputs.templateflow_download
            failed += not fetched
            print(f"sub-{participant}: would {'first download' if fetched else 'fail'}: {err}")
        except DtgError as err:
            failed += 1
            print(f"sub-{participant}: would fail: {err}")
    print(f"{len(request.participants)} participants, {failed} would fail; no output was written")
    return failed


def _lines(participant: str, request: Request) -> Iterator[str]:
    for planned in request.map_sets(participant):
        reason = request.why_incomplete(planned, request.fingerprints(planned))
        if reason is None:
            yield f"{planned.title}: complete, would be skipped"
            continue
        session = dict(planned.entities).get("ses")
        folder = request.output.root / participant_folder(participant, session) / "func"
        count = len(request.bundle.contrasts)
        yield f"{planned.title}: would write {count} maps to {folder} ({reason})"
        for run in planned.runs:
            yield f"    reads {run.bold}"
            yield f"    in {run.space_reason}"
            for transform in run.transforms:
                yield f"    through {transform.path}" + " (inverse)" * transform.inverse
