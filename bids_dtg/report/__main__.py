"""A process that makes reports of participants: ``python -m bids_dtg.report OUTPUT_DIR``.

It reads requests from standard input, a JSON object a line, and answers each with a line: what
went wrong, or null. It ends with its input, so it never outlives whoever started it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from bids_dtg.errors import DtgError, internal_error
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.report.pages.participant import write_participant_report

# A report takes seconds; one that hangs, on a file system that is gone, must not hold up the rest.
_LONGEST_SECONDS = 900
_NICENESS = 10  # what is computed for the next participant goes first


def main() -> None:
    """Answer requests until there are no more."""
    with suppress(OSError, AttributeError):  # AttributeError: not on Windows
        os.nice(_NICENESS)
    dataset = DerivativeDataset(Path(sys.argv[1]))
    # Whatever a library prints must not stand between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        if hasattr(signal, "alarm"):  # not on Windows
            signal.alarm(_LONGEST_SECONDS)
        request = json.loads(line)
        error = None
        try:
            write_participant_report(dataset, request["participant"], request["failures"])
        except Exception as err:
            error = str(err) if isinstance(err, DtgError) else internal_error(err)
        print(json.dumps({"participant": request["participant"], "error": error}), file=answers)
        answers.flush()
        if hasattr(signal, "alarm"):
            signal.alarm(0)


if __name__ == "__main__":
    main()
