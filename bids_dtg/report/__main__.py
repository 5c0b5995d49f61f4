"""A process that makes reports of participants: ``python -m bids_dtg.report OUTPUT_DIR``.

It reads requests from standard input, a JSON object a line, and answers each with a JSON object on
a line: the participant, and the error or null. It ends when its input ends, so it never outlives
the process that started it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bids_dtg.errors import DtgError, internal_error
from bids_dtg.notices import say
from bids_dtg.streams import run_program

_EXIT_USAGE = 2
# A report takes seconds; one that hangs, on a file system that is gone, must not hold up the rest.
_LONGEST_SECONDS = 900
_LONGEST_REQUEST = 2**24  # bytes; what has no end is no request
_NICENESS = 10  # what is computed for the next participant goes first


def main() -> int:
    """Answer requests until there are no more, and return the exit code."""
    if len(sys.argv) != 2:
        say("usage: python -m bids_dtg.report OUTPUT_DIR")
        return _EXIT_USAGE
    with suppress(OSError, AttributeError):  # AttributeError: not on Windows
        os.nice(_NICENESS)
    # Here, so that no library opens a file before standard streams are usable.
    from bids_dtg.files.derivatives import DerivativeDataset
    from bids_dtg.report.pages.participant import prepare_reports, write_participant_report

    dataset = DerivativeDataset(Path(sys.argv[1]))
    with suppress(DtgError):  # the first request meets it, and reports it
        prepare_reports(dataset)
    # Whatever a library prints must not stand between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    for request in _requests():
        if hasattr(signal, "alarm"):  # not on Windows
            signal.alarm(_LONGEST_SECONDS)
        error = None
        try:
            write_participant_report(dataset, request["participant"], request["failures"])
        except Exception as err:
            error = str(err) if isinstance(err, DtgError) else internal_error(err)
        print(json.dumps({"participant": request["participant"], "error": error}), file=answers)
        answers.flush()
        if hasattr(signal, "alarm"):
            signal.alarm(0)
    sys.stdout = answers
    return 0


def _requests() -> Iterator[dict[str, Any]]:
    try:
        while line := sys.stdin.readline(_LONGEST_REQUEST):
            yield json.loads(line)
    except (OSError, ValueError) as err:
        say(f"bids_dtg.report: error: standard input is no list of requests: {err}")
        raise SystemExit(_EXIT_USAGE) from err


if __name__ == "__main__":
    run_program("bids_dtg.report", main)
