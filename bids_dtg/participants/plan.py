"""What would become of each participant: results, faults that files show, and downloads."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from bids_dtg.cleaning.design import TooShortError
from bids_dtg.cleaning.strategies import find_strategy
from bids_dtg.engine.child import can_fork
from bids_dtg.engine.pool import Pool
from bids_dtg.engine.work import Backlog, End, Work
from bids_dtg.errors import DtgError, RunError, faults_of, without_person
from bids_dtg.files.derivatives import require_writable
from bids_dtg.files.foreign import open_foreign, reading
from bids_dtg.files.names import participant_folder
from bids_dtg.files.provenance import NOT_DONE, has_record, last_model
from bids_dtg.inputs.dataset import say_absent
from bids_dtg.inputs.run import RestRun, is_series
from bids_dtg.inputs.templateflow import NotFetchedError
from bids_dtg.notices import counted, named, say, show
from bids_dtg.participants.request import AveragedRuns, CallRequest
from bids_dtg.participants.run_source import PlannedRun
from bids_dtg.progress import Reporter
from bids_dtg.settings import Settings

# Participants whose files are listed before the first is processed; listing 100,000 takes long.
LISTED_AHEAD = 100
# Participants that the process plans before it answers: an answer takes as long as a small plan.
_GROUP_SIZE = 32
_COMPLETE = "complete, would be skipped"
_SHOWN_REASONS = 20
# What tells apart the same sentence on two participants: paths, labels and numbers.
_PARTICULAR = re.compile(r"\S*/\S*|\b(sub|ses|run)-\w+|\d+(\.\d+)?")


@dataclass(frozen=True)
class Plan:
    """What would become of an average, or of a participant whose runs cannot be found."""

    title: str  # of the average, or of the participant
    outcome: str = ""  # what would be made, where and why
    reason: str = ""  # the same without the place, which other participants may share
    lines: Sequence[str] = ()  # from what it would be made
    short: Sequence[str] = ()  # why runs would be left out
    faults: Sequence[str] = ()  # why nothing would be made
    downloads: Sequence[str] = ()  # files that would be fetched first
    unreached: Sequence[str] = ()  # results that would be lacking beside the others

    @property
    def refused(self) -> Sequence[str]:
        """Why nothing would be made, or else which results would be lacking."""
        return self.faults or self.unreached

    @property
    def reasons(self) -> list[str]:
        """What would become of it, for counts over participants."""
        outcomes = [] if self.faults else [self.reason]
        outcomes += [f"would leave out a run: {line}" for line in self.short]
        if not self.faults:
            outcomes += [f"would first download {file}" for file in self.downloads]
        return [*outcomes, *(f"would fail: {line}" for line in self.refused)]

    def in_words(self, *, details: bool, all_faults: bool) -> list[str]:
        """Return what would be done, or the refusals if nothing would be made."""
        if self.faults:
            return self.refusals(all_faults=all_faults)
        outcome = f"{self.title}: {self.outcome}"
        if not details:
            return [outcome, *self.refusals(all_faults=all_faults)]
        first = [
            f"{self.title}: would first download {file}" for file in self.downloads
        ]
        unreached = [f"    would fail: {line}" for line in self.unreached]
        return [*first, outcome, *self.lines, *unreached]

    def refusals(self, *, all_faults: bool) -> list[str]:
        """Return each fault, or the first and how many there are more; else what is unreached."""
        if all_faults or not self.faults:
            return [f"{self.title}: would fail: {line}" for line in self.refused]
        fault, *further = self.faults
        if further:
            number = counted(further, "further fault")
            fault += f" ({number}: -v names all)"
        return [f"{self.title}: would fail: {fault}"]


Prepare = Callable[[Settings], CallRequest]  # finds and checks what is asked for


def print_plan(request: CallRequest, prepare: Prepare) -> int:
    """Print what would be done; return how many participants would fail or are absent.

    Only headers and tables of the runs are read. Problems that show only in the images, such as
    a damaged file or a wrong field of view, are not found. Runs and their files are named with
    ``-v``, and for a single participant.
    """
    dataset = request.dataset
    require_writable(request.output.root)
    reasons = Reasons()
    failed = 0
    how = find_strategy(request.settings.cleaning.denoise_strategy).in_words
    show(f"{dataset.root} is read as {dataset.title}, {how}")
    say_absent(request.absent)
    show(*note_on_other_model(request))
    verbose = request.settings.behaviour.verbose > 0
    details = verbose or len(request.participants) == 1
    for _, plans in _all_plans(request, prepare, request.participants):
        for plan in plans:
            show(*plan.in_words(details=details, all_faults=verbose))
            reasons.add(plan)
        failed += any(plan.refused for plan in plans)
    titles = [
        request.titles_of_other_combine(participant)
        for participant in request.participants
    ]
    show(*note_on_other_combine(request, titles))
    if len(request.participants) > 1:
        show(*reasons.in_words())
    people = counted(request.participants, "participant")
    show(f"{people}, {failed} would fail; no output was written")
    return failed + (request.absent is not None)


class Reasons:
    """Counts of what would become of averages; sentences that differ in numbers count together."""

    def __init__(self) -> None:
        self._counts, self._first = Counter[str](), dict[str, tuple[str, str]]()

    def add(self, plan: Plan) -> None:
        """Count a plan's reasons."""
        for reason in plan.reasons:
            sentence = _PARTICULAR.sub("", reason)
            self._counts[sentence] += 1
            self._first.setdefault(sentence, (plan.title, reason))

    def in_words(self) -> Iterator[str]:
        """Yield each reason with its count, the most frequent first, as of its first average."""
        yield "in sum (-v names the files of each run):"
        for sentence, count in self._counts.most_common(_SHOWN_REASONS):
            title, reason = self._first[sentence]
            example = f" (first: {title})" if reason.startswith("would fail") else ""
            yield f"{count:8}  {reason}{example}"
        further = len(self._counts) - _SHOWN_REASONS
        if further > 0:
            yield f"          and {counted(further, 'rarer reason')}"


def note_on_other_combine(
    request: CallRequest, titles_of_people: Sequence[tuple[str, ...]]
) -> Iterator[str]:
    """Yield a line on averages of another ``--combine`` in OUTPUT_DIR.

    `titles_of_people` are the titles of each participant, who may have none.
    """
    titles = [title for person in titles_of_people for title in person]
    if titles:
        number = sum(map(bool, titles_of_people))
        yield (
            f"OUTPUT_DIR also has {request.presentation.noun} of another --combine than "
            f"{request.settings.outputs.averaging}, of "
            f"{counted(number, 'participant')} ({named(titles)}): they stay, and at "
            "the group level --combine chooses"
        )


def note_on_other_model(request: CallRequest) -> Iterator[str]:
    """Yield a line if results of another model, which OUTPUT_DIR has, would be replaced."""
    before = last_model(request.output)
    if request.bundle is None or before in ("", request.bundle.record):
        return
    earlier, model = (_short(record) for record in (before, request.bundle.record))
    results = request.presentation.noun
    yield (
        f"OUTPUT_DIR has {results} of the model {earlier}: those of the participants of this call "
        f"are replaced by {results} of {model}; choose another OUTPUT_DIR to keep both"
    )


def _short(record: str) -> str:
    """Return name and version of a model, and the start of its digest, from its record."""
    name, _, digest = record.rpartition(" ")
    return f"{name} ({digest[:8]})"


def fetch_ahead(request: CallRequest, prepare: Prepare) -> None:
    """Fetch the TemplateFlow files of the first participants before any run is read.

    What files show to be wrong with these participants is said before the first download. Files
    that only other participants need are fetched when these are processed.

    Raises
    ------
    NotFetchedError
        A file cannot be fetched.
    """
    people = request.participants[:LISTED_AHEAD]
    planning = replace(request, plans=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the work on the participant repeats them
        waiting = [
            participant
            for participant in people
            if _would_download(planning, participant)
        ]
        if not waiting:
            return
        plans = dict(_all_plans(planning, prepare, people))
        for plan in (plan for person_plans in plans.values() for plan in person_plans):
            say(*plan.refusals(all_faults=request.settings.behaviour.verbose > 0))
        for participant in waiting:
            if any(plan.downloads and not plan.faults for plan in plans[participant]):
                _fetch(request, participant)


def _all_plans(
    request: CallRequest,
    prepare: Prepare,
    participants: Sequence[str],
    group_size: int = _GROUP_SIZE,
) -> Iterator[tuple[str, list[Plan]]]:
    """Yield participants and their plans, made in another process, as damaged files may end it.

    If it ends, the participants of the group that it was planning are planned one by one.
    """
    forked = can_fork()
    planning = partial(_planning, request, None if forked else prepare)
    groups = [
        " ".join(participants[first : first + group_size])
        for first in range(0, len(participants), group_size)
    ]
    with closing(Pool(planning, 1, forked=forked).run(Backlog(groups))) as messages:
        for _, message in messages:
            if not isinstance(message, End):
                continue
            group = message.label.split()
            if message.result is not None:
                yield from zip(group, message.result, strict=True)
            elif len(group) > 1:
                yield from _all_plans(request, prepare, group, group_size=1)
            else:
                yield group[0], [_plan_of_end(message)]


def _planning(request: CallRequest, prepare: Prepare | None) -> Work[list[list[Plan]]]:
    """Return the work of planning a group; `prepare` finds the request again where it is given."""
    if prepare is not None:
        request = replace(prepare(request.settings), plans=request.plans)

    def plans_of_group(group: str, _reporter: Reporter) -> list[list[Plan]]:
        return [plans_of(request, participant) for participant in group.split()]

    return plans_of_group


def _plan_of_end(end: End[list[list[Plan]]]) -> Plan:
    """Return the plan of a participant whose files ended the process that read them."""
    if end.error is not None and not isinstance(end.error, DtgError):
        raise end.error
    why = end.error or f"the process that read its files died: {end.died}"
    return Plan(f"sub-{end.label}", faults=[str(why)])


def plans_of(request: CallRequest, participant: str) -> list[Plan]:
    """Plan the averages of a participant; nothing is fetched if the request plans."""
    try:
        averages = request.averages(participant)
    except Exception as err:
        faults = [without_person(line, participant) for line in faults_of(err)]
        return [Plan(f"sub-{participant}", faults=faults)]
    plans = [_plan(request, planned) for planned in averages]
    for number, plan in enumerate(plans):
        faults = [without_person(line, participant) for line in plan.faults]
        plans[number] = replace(plan, faults=_each_once(faults))
    return plans


def _each_once(faults: Sequence[str]) -> list[str]:
    """Leave out a fault that another one repeats with more words, such as a remedy.

    Examples
    --------
    >>> _each_once(["a is damaged.", "b is empty.", "a is damaged. To do: copy it."])
    ['b is empty.', 'a is damaged. To do: copy it.']
    """
    lines = list(dict.fromkeys(faults))
    return [
        line
        for line in lines
        if not any(line != longer and longer.startswith(line) for longer in lines)
    ]


def _plan(request: CallRequest, planned: AveragedRuns) -> Plan:
    faults: list[str] = []
    lines: list[str] = []
    short: list[str] = []
    reason = None
    try:
        request = request.for_average(planned)
        reason = _why_incomplete(request, planned)
        if reason is None:
            return Plan(planned.title, _COMPLETE, _COMPLETE)
    except Exception as err:
        faults += faults_of(err)
    for run in planned.runs:
        try:
            lines += _run_lines(run, request.plan_of(run))
        except TooShortError as err:
            short.append(str(err))
            lines.append(f"    leaves out {run.title}: {err}")
        except Exception as err:
            faults += faults_of(err)
    if short and len(short) == len(planned.runs):
        faults.append(short[0])
    try:
        what, further = request.would_make(planned)
        downloads = dict.fromkeys(
            step.missing for step in request.steps(planned) if step.missing
        )
        unreached = request.unreached(planned)
    except Exception as err:
        return Plan(planned.title, faults=[*dict.fromkeys([*faults, *faults_of(err)])])
    session = planned.entities.get("ses")
    session_folder = participant_folder(planned.participant, session)
    folder = request.output.root / session_folder / "func"
    return Plan(
        planned.title,
        f"would write {what} to {folder} ({reason})",
        f"would write {what} ({reason})",
        lines=[*lines, *further],
        short=short,
        faults=faults,
        downloads=[*downloads],
        unreached=unreached,
    )


def _why_incomplete(request: CallRequest, planned: AveragedRuns) -> str | None:
    """Return why an average would be made; inputs without a record are only opened."""
    if has_record(request.output, planned.title):
        return request.why_incomplete(planned, request.fingerprints(planned))
    for path in request.input_files(planned):
        with reading(path, RunError), open_foreign(path):
            pass
    return NOT_DONE


def _run_lines(run: RestRun, planned: PlannedRun) -> Iterator[str]:
    yield f"    reads {run.bold}"
    yield f"    in {run.space_reason}"
    if run.surfaces and not run.surfaces.sides:
        yield f"    on a template's surface, as {run.surfaces.reason}"
    transforms = [*run.transforms]
    if run.surfaces:
        transforms += (*run.surfaces.to_t1w, *run.surfaces.transforms)
    for transform in transforms:
        direction = " (inverse)" if transform.inverse else ""
        yield f"    through {transform.path}{direction}"
    design = planned.design
    dof = f", {design.residual_dof():.0f} degrees of freedom" if run.dof_known else ""
    yield f"    with {design.seconds_kept / 60:.1f} minutes{dof} left after cleaning"
    for note in planned.notes:
        yield f"    note: {note}"
    if not (run.mask or run.cleaned_before or is_series(run.bold)):
        yield "    note: without a brain mask, every voxel with signal would be used"


def _would_download(planning: CallRequest, participant: str) -> bool:
    try:
        return any(
            step.missing
            for planned in planning.averages(participant)
            for step in planning.for_average(planned).steps(planned)
        )
    except Exception:
        return False  # the work on the participant reports it


def _fetch(request: CallRequest, participant: str) -> None:
    try:
        for planned in request.averages(participant):
            for _ in request.for_average(planned).steps(planned):
                pass
    except NotFetchedError:
        raise
    except Exception:
        return  # the work on the participant reports it
