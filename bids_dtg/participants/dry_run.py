"""What a call would do: which averages would be made from which files, and why."""

from __future__ import annotations

from collections.abc import Iterator

from bids_dtg.cleaning.design import TooShortError
from bids_dtg.cleaning.strategies import find_strategy
from bids_dtg.errors import DtgError
from bids_dtg.files.names import participant_folder
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.templateflow import TransformPlannedError
from bids_dtg.notices import counted, show
from bids_dtg.participants.averages import AveragedRuns
from bids_dtg.participants.request import CallRequest
from bids_dtg.participants.run_source import PlannedRun


def print_plan(request: CallRequest) -> int:
    """Print the plan of a call; return how many participants would fail.

    Of the runs, headers and tables are read, and no image: what only shows in the images, as a
    damaged file or a wrong field of view, is not found.
    """
    failed, dataset = 0, request.dataset
    how = find_strategy(request.settings.cleaning.denoise_strategy).in_words
    show(f"{dataset.root} is read as {dataset.title}, {how}")
    for participant in request.participants:
        try:
            plans = [_plan(planned, request) for planned in request.averages(participant)]
            for _, lines in plans:
                for line in lines:
                    show(line)
            failed += any(fails for fails, _ in plans)
        except TransformPlannedError as err:
            show(f"sub-{participant}: would first download a transform: {err.found}")
        except DtgError as err:
            failed += 1
            show(f"sub-{participant}: would fail: {err}")
    people = counted(len(request.participants), "participant")
    show(f"{people}, {failed} would fail; no output was written")
    return failed


def _plan(planned: AveragedRuns, request: CallRequest) -> tuple[bool, list[str]]:
    """Return whether an average would fail, and the lines about it."""
    request = request.of_average(planned)
    reason = request.why_incomplete(planned, request.fingerprints(planned))
    if reason is None:
        return False, [f"{planned.title}: complete, would be skipped"]
    lines, short = list[str](), 0
    for run in planned.runs:
        try:
            lines += _of_run(run, request.plan_of(run))
        except DtgError as err:
            short += isinstance(err, TooShortError)
            if not isinstance(err, TooShortError) or short == len(planned.runs):
                return True, [f"{planned.title}: would fail: {err}"]
            lines.append(f"    leaves out {run.title}: {err}")
    what, more = request.would_make(planned)
    session = dict(planned.entities).get("ses")
    folder = request.output.root / participant_folder(planned.participant, session) / "func"
    head = f"{planned.title}: would write {what} to {folder} ({reason})"
    return False, [head, *lines, *more]


def _of_run(run: RestRun, found: PlannedRun) -> Iterator[str]:
    yield f"    reads {run.bold}"
    yield f"    in {run.space_reason}"
    for transform in run.transforms:
        yield f"    through {transform.path}" + " (inverse)" * transform.inverse
    design = found.design
    dof = f", {design.residual_dof():.0f} degrees of freedom" if run.dof_known else ""
    yield f"    with {design.seconds_kept / 60:.1f} minutes{dof} left after cleaning"
    for note in found.notes:
        yield f"    note: {note}"
