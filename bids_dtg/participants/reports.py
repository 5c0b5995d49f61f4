"""Make and remake the pages of an output folder, and verify its files.

While participants are processed, reports are made one at a time by a process of low priority.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from bids_dtg.engine.child import describe_end
from bids_dtg.engine.machine import THREAD_VARIABLES, WAIT_VARIABLES
from bids_dtg.errors import DatasetError, DtgError, OutputError
from bids_dtg.files.derivatives import DerivativeDataset, participants_in
from bids_dtg.files.foreign import require_result
from bids_dtg.files.names import plain_label
from bids_dtg.files.provenance import (
    Failure,
    all_failures,
    completed_titles,
    verify_outputs,
)
from bids_dtg.inputs.dataset import choose_participants, say_absent
from bids_dtg.notices import counted, say, show, visible
from bids_dtg.participants.request import CallRequest
from bids_dtg.report.contents import find_participant_labels
from bids_dtg.report.methods import write_all_methods
from bids_dtg.report.participant import INDEX, report_path, write_index
from bids_dtg.report.presentation import presentation_of
from bids_dtg.settings import Settings

# How long the process may take to end once it has no more requests.
_LEAVE_SECONDS = 10.0


class Reports:
    """Makes the reports of participants while others are processed.

    The process (`bids_dtg.report`) starts at once, so that it is ready for the first request, and
    again if it dies. Nothing here raises an error once processing has begun; where a report cannot
    be made, a warning is printed and the results are kept.

    Parameters
    ----------
    output
        The output dataset.
    wanted
        Whether reports are made at all.
    note
        Shows a line to the user; called from other threads.
    """

    def __init__(
        self, output: DerivativeDataset, *, wanted: bool, note: Callable[[str], None]
    ) -> None:
        self._output = output
        self._wanted = wanted
        self._note = note
        self.failed = 0  # reports that could not be made
        self.has_index = True  # whether the index could be updated
        self._thread = ThreadPoolExecutor(1, "reports")
        self._asked: list[Future[None]] = []
        self._given_up = False
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Reports:
        if self._wanted:
            with suppress(OSError):  # the first report fails with it
                self._process = self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the requested reports and update the index; after an error, give them up."""
        self._given_up = kind is not None
        # A process that was never asked would first finish its preparation.
        if self._process is not None and (self._given_up or not self._asked):
            self._process.kill()
        waiting = sum(not (report.running() or report.done()) for report in self._asked)
        if waiting and not self._given_up:
            self._note(f"waiting for {waiting + 1} reports")
        self._thread.shutdown(cancel_futures=self._given_up)
        self._end()
        if self._given_up:
            return
        try:
            write_index(self._output, wanted=self._wanted)
        except DtgError as err:
            self.has_index = False
            self._note(f"warning: no index page: {err}")

    @property
    def missing(self) -> str:
        """The pages that could not be made, in words; empty: none."""
        pages = [counted(self.failed, "report")] if self.failed else []
        pages += [] if self.has_index else ["the index page"]
        return f"{' and '.join(pages)} could not be made" if pages else ""

    def request(
        self,
        participant: str,
        failures: Sequence[Failure] = (),
        *,
        changed: bool = True,
    ) -> None:
        """Ask for a participant's report; reports are made in the order of the requests.

        Parameters
        ----------
        participant
            Participant's label, without ``sub-``.
        failures
            Failures of this participant in this run of the program.
        changed
            Whether any result is new; if not, and nothing failed, an existing report is kept.
        """
        # A name that would act on a terminal names no file.
        if not self._wanted or visible(participant) != participant:
            return
        if (
            not (changed or failures)
            and report_path(self._output, participant).is_file()
        ):
            return
        messages = {failure.what: failure.message for failure in failures}
        self._asked.append(self._thread.submit(self._make, participant, messages))

    def _make(self, participant: str, failures: Mapping[str, str]) -> None:
        """Have a report made; count and show one that could not be made."""
        error = self._ask({"participant": participant, "failures": failures})
        if error and not self._given_up:
            self.failed += 1
            self._note(f"sub-{participant}: warning: no report: {error}")

    def _ask(self, request: Mapping[str, Any]) -> str | None:
        try:
            process = self._process = self._process or self._start()
        except OSError as err:
            return str(err)
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended; the read below returns nothing
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        if line := process.stdout.readline():
            return json.loads(line)
        self._end()  # the next request starts it again
        return f"its process died: {describe_end(process.returncode)}"

    def _start(self) -> subprocess.Popen[str]:
        # One thread, as the cores are busy with other work. A new session, so that Ctrl-C does
        # not reach it: this process decides when it ends.
        threads = dict.fromkeys(THREAD_VARIABLES, "1")
        return subprocess.Popen(
            [sys.executable, "-m", "bids_dtg.report", str(self._output.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={**WAIT_VARIABLES, **os.environ, **threads, "PYTHONUTF8": "1"},
            start_new_session=True,
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(OSError, ValueError, subprocess.TimeoutExpired):
                process.communicate(timeout=_LEAVE_SECONDS)
            process.kill()
            process.wait()


def write_methods(request: CallRequest) -> None:
    """Write the methods texts of all averages in the output, and of those that are planned."""
    write_all_methods(request.output, request.methods())


def remake_reports(settings: Settings) -> int:
    """Remake reports from what the output folder holds; return how many pages could not be made.

    Raises
    ------
    DatasetError
        The output folder has no such participants, or reports cannot be made here.
    """
    output = existing_output(settings.inputs.output_dir)
    wanted, absent = participants_asked(settings, output)
    say_absent(absent)
    failures: dict[str, list[Failure]] = {}
    for failure in all_failures(output):
        failures.setdefault(failure.participant, []).append(failure)
    with Reports(output, wanted=True, note=say) as reports:
        for label in wanted:
            reports.request(label, failures.get(label, ()))
    outcome = f"{counted(len(wanted) - reports.failed, 'report')} made"
    pages = f": {output.root / INDEX}" if reports.has_index else ""
    say(outcome + pages + (f"; {reports.missing}" if reports.missing else ""))
    return reports.failed + (not reports.has_index) + (absent is not None)


def participants_asked(
    settings: Settings, output: DerivativeDataset, labels: Sequence[str] | None = None
) -> tuple[tuple[str, ...], DatasetError | None]:
    """Return the requested participants of an output folder, or all if none were requested.

    What to say of requested ones that are not there is returned, too; None if there are none.

    Parameters
    ----------
    settings, output
        All options of the run, and its output folder.
    labels
        All participants in it; None: those with files.

    Raises
    ------
    DatasetError
        No requested participant is in the folder, or the folder has none.
    """
    labels = find_participant_labels(output) if labels is None else labels
    if not labels:
        raise DatasetError(
            f"{output.root} has no results of any participant",
            remedy="run the participant level first",
        )
    wanted = {plain_label(label, "sub") for label in settings.inputs.participant_label}
    return choose_participants(wanted, labels, output.root)


def existing_output(output_dir: Path) -> DerivativeDataset:
    """Return the output folder of earlier runs.

    Raises
    ------
    DatasetError
        The folder holds no results.
    """
    root = output_dir.absolute()
    description = root / "dataset_description.json"
    require_result(description, root)
    if not description.is_file():
        raise DatasetError(
            f"OUTPUT_DIR {root} holds no results",
            expected="an output folder of the participant level",
            remedy="run the participant level first",
        )
    return DerivativeDataset(root)


def verify_participants(settings: Settings) -> int:
    """Compare participants' files with their completion records; print a line for each.

    A damaged average is marked in its record, so that the next run makes it again. Nothing
    else is written, and no model is used.

    Returns
    -------
    How many participants are incomplete or damaged.

    Raises
    ------
    DatasetError
        The output folder has no such participants.
    """
    output = existing_output(settings.inputs.output_dir)
    titles: dict[str, list[str]] = {label: [] for label in participants_in(output.root)}
    for title in completed_titles(output):
        label = title.partition("_")[0]
        if label.startswith("sub-"):
            titles.setdefault(label.removeprefix("sub-"), []).append(title)
    labels, absent = participants_asked(settings, output, sorted(titles))
    say_absent(absent)
    results = presentation_of(output).noun
    damaged = sum(
        not _is_whole(output, label, titles[label], results) for label in labels
    )
    again = "; run participant again without --verify to remake damaged files"
    remedy = again if damaged else ""
    say(
        f"{counted(labels, 'participant')} checked, {damaged} incomplete or damaged{remedy}"
    )
    return damaged + (absent is not None)


def _is_whole(
    output: DerivativeDataset, label: str, titles: list[str], results: str
) -> bool:
    """Print and return whether a participant is complete; `results` names what was averaged."""
    damaged: list[str] = []
    for title in titles:
        try:
            damaged += verify_outputs(output, title)
        except OutputError as err:
            damaged.append(f"{title}, which cannot be marked for the next run ({err})")
    if not titles:
        show(f"sub-{label}: no set of {results} is complete")
    elif damaged:
        show(f"sub-{label}: damaged: {', '.join(damaged)}")
    else:
        show(f"sub-{label}: complete ({counted(titles, 'set')} of {results})")
    return bool(titles) and not damaged
