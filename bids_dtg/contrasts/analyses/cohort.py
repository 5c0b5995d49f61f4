"""People with rest and measured maps: makes their missing arrays in several processes."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bids_dtg.contrasts.analyses.person_arrays import PersonArrays, read_together
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.contrasts.participant.model import bytes_needed
from bids_dtg.contrasts.people import Person
from bids_dtg.engine.capacity import divide, own_threads
from bids_dtg.engine.child import can_fork
from bids_dtg.engine.machine import share_cores
from bids_dtg.engine.messages import End, Finished, NotBegun, Raised, WorkerDied, follow
from bids_dtg.engine.pool import Pool
from bids_dtg.engine.work import Backlog, Work
from bids_dtg.errors import DatasetError, DtgError, OutputError, SettingsError
from bids_dtg.inputs.statmaps import Statistic
from bids_dtg.notices import counted, duration, named, say
from bids_dtg.progress import Board
from bids_dtg.settings import Settings

# Of a first part of a run, for each place and ROI: a connectome, and sums with maps and confounds.
_BYTES_OF_A_LENGTH = 8


@dataclass(frozen=True, eq=False)
class Cohort:
    """Everybody with both scans."""

    people: tuple[Person, ...]  # sorted by label
    contrasts: tuple[Contrast, ...]  # rows of the maps
    statistic: Statistic  # of the maps
    sessions: str  # a sentence on targets and retests; empty without sessions
    left_out: Mapping[str, str]  # label -> reason, of people with one of the two scans
    failed: int  # how many of these because their data cannot be used
    # Why maps were left out: label -> target or retest -> contrast -> words.
    unusable: Mapping[str, Mapping[str, Mapping[str, str]]]
    # Seconds per frame of everybody's rest; None where runs differ or it is not known.
    repetition_time_s: float | None
    measured: tuple[str, ...] = ()  # sentences on the files of targets, and findings in them

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the people whose data can be used."""
        return tuple(person.label for person in self.people)

    def of(self, labels: Sequence[str]) -> tuple[Person, ...]:
        """Return some people, in the order of the labels; skip those who cannot be used."""
        known = {person.label: person for person in self.people}
        return tuple(known[label] for label in labels if label in known)

    def without(self, left_out: Mapping[str, str]) -> Cohort:
        """Return the same without further people, by the reason that each is left out for."""
        people = tuple(person for person in self.people if person.label not in left_out)
        return dataclasses.replace(self, people=people, left_out={**self.left_out, **left_out})


def reduce_everybody(arrays: PersonArrays) -> dict[str, str]:
    """Read everybody's maps and reduce their rest; return why some cannot be used."""
    missing, failures = _missing(arrays)
    return failures | (_make(arrays, missing) if missing else {})


def gather_cohort(
    arrays: PersonArrays, source: Path, failures: Mapping[str, str] | None = None
) -> Cohort:
    """Read everybody's rest and maps, or map what an earlier call has stored.

    Parameters
    ----------
    arrays
        Arrays of the people of a plan.
    source
        The dataset, for the error.
    failures
        Why people cannot be used who are no longer in the plan, by label.

    Raises
    ------
    DatasetError
        Nobody's data can be used.
    """
    plan = arrays.plan
    missing, failing = _missing(arrays)
    failures = {**(failures or {}), **failing}
    failures |= _make(arrays, missing) if missing else {}
    people = []
    for label in plan.labels:
        if label in failures:
            continue
        try:
            people.append(arrays.open(label))
        except DtgError as err:
            failures[label] = str(err)
    if not people:
        raise nobody(source, failures)
    for label, why in sorted(failures.items()):
        say(f"sub-{label} is left out: {why}")
    return Cohort(
        tuple(people),
        plan.contrasts,
        plan.statistic,
        plan.sessions,
        {**plan.left_out, **failures},
        len(failures),
        {person.label: arrays.unusable(person.label) for person in people},
        _common([time for person in people for time in arrays.repetition_times(person.label)]),
    )


def nobody(source: Path, failures: Mapping[str, str]) -> DatasetError:
    """Say why nobody can be used; return the error."""
    for label, why in sorted(failures.items()):
        say(f"sub-{label} is left out: {why}")
    return DatasetError(
        f"nobody in {source} has usable rest and maps",
        expected="one participant or more; the lines above say what is wrong",
    )


def refuse_to_replace(arrays: PersonArrays, users: Sequence[str]) -> None:
    """Refuse to replace arrays that other analyses are using.

    Raises
    ------
    SettingsError
        With the name of one such analysis.
    """
    replaced = [label for label in arrays.plan.labels if users and arrays.would_replace(label)]
    if replaced:
        raise SettingsError(
            f"arrays of {counted(len(replaced), 'participant')} ({named(replaced)}) in "
            f"{arrays.store.root} would be made anew from other options or files, and are in use "
            f"by {users[0]}",
            remedy="wait until it has ended, or choose another OUTPUT_DIR",
        )


def _common(times: Sequence[float]) -> float | None:
    """Return the common repetition time of all runs, to the millisecond."""
    known = {round(time, 3) for time in times}
    return known.pop() if len(known) == 1 else None


def _missing(arrays: PersonArrays) -> tuple[list[str], dict[str, str]]:
    """Return whose arrays must be made, and who cannot be used at all."""
    missing, failures = [], {}
    for label in arrays.plan.labels:
        try:
            if not arrays.are_made(label):
                missing.append(label)
        except DtgError as err:
            failures[label] = str(err)
    return missing, failures


def _make(arrays: PersonArrays, labels: Sequence[str]) -> dict[str, str]:
    """Make people's arrays in several processes; return why some of them failed.

    Raises
    ------
    OutputError, SettingsError
        Arrays or temporary files cannot be written; this is not caused by a participant's data.
    """
    request = arrays.request
    settings = request.settings
    # One thread each: sums of several threads are rounded otherwise, and arrays would depend on
    # how many processes there are.
    threads = own_threads(settings.resources) or 1
    bundle = read_together(request.bundle, arrays.folds)
    capacity = divide(
        settings.resources,
        units=len(labels),
        bytes_each=bytes_needed(bundle.places.number, bundle.rois, on_cpu=True),
        on_cpu=True,
    )
    # A process that was forked shares what was prepared.
    forked = can_fork()
    prepare = (
        partial(_work, arrays, _reader(arrays, threads))
        if forked
        else partial(_prepare, settings, arrays, threads)
    )
    failures, begun = {}, time.monotonic()
    with Board(len(labels), stages=settings.behaviour.verbose > 0) as board:
        pool = Pool(prepare, capacity.processes, forked=forked, before_start=board.before_fork)
        messages = pool.run(Backlog(labels))
        with closing(follow(messages, board, lambda label: f"sub-{label}")) as ends:
            for number, (_, end) in enumerate(ends, 1):
                failure = _failure(end)
                rounds = math.ceil(len(labels) / capacity.processes) - 1
                if number == 1 and rounds:
                    left = rounds * (time.monotonic() - begun)
                    board.note(f"reading the others takes about {duration(left)}")
                if failure is not None:
                    failures[end.label] = failure
                board.advance(failed=failure is not None)
    return failures


def _failure(end: End[None]) -> str | None:
    """Return why a person's arrays were not made.

    Raises
    ------
    OutputError, SettingsError
        Arrays or temporary files cannot be written.
    """
    match end:
        case Finished():
            return None
        case Raised(error=OutputError() | SettingsError() as err):
            raise err
        case Raised(error=DtgError() as err):
            return str(err)
        case Raised(error=err):
            return f"internal error: {type(err).__name__}: {err}"
        case WorkerDied(reason=reason) | NotBegun(reason=reason):
            return f"the process that worked on it died: {reason}"


def _reader(arrays: PersonArrays, threads: int) -> Reader:
    together = read_together(arrays.request.bundle, arrays.folds)
    return dataclasses.replace(arrays.request, bundle=together).reader(
        threads=threads, every_part=False
    )


def _prepare(settings: Settings, arrays: PersonArrays, threads: int) -> Work[None]:
    """Prepare the work in a process that was started, not forked."""
    return _work(arrays, _reader(arrays, threads))


def _work(arrays: PersonArrays, reader: Reader) -> Work[None]:
    share_cores(reader.threads)
    return dataclasses.replace(arrays, reader=reader).make
