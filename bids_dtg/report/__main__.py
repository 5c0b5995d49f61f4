"""A process that makes reports of participants: ``python -m bids_dtg.report OUTPUT_DIR``.

It reads requests from standard input, one JSON object per line, and answers each with a line of
JSON: the error or null. It ends when its input ends, so it never outlives
the process that started it.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from bids_dtg.errors import DtgError, in_one_line
from bids_dtg.notices import run_program

_NICENESS = 10  # lower priority than the processing of the next participants


def main() -> int:
    """Answer requests until there are no more, and return the exit code."""
    with suppress(OSError, AttributeError):  # AttributeError: not on Windows
        os.nice(_NICENESS)
    # Imported here, so that no library opens a file before standard streams are usable.
    from bids_dtg.files.derivatives import DerivativeDataset
    from bids_dtg.report.participant import prepare_reports, write_participant_report

    dataset = DerivativeDataset(Path(sys.argv[1]))
    with suppress(DtgError):  # the first request raises it again, and reports it
        prepare_reports(dataset)
    # What libraries print must not be mixed with the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request, error = json.loads(line), None
        try:
            write_participant_report(
                dataset, request["participant"], request["failures"]
            )
        except Exception as err:
            error = in_one_line(err)
        print(json.dumps(error), file=answers, flush=True)
    sys.stdout = answers
    return 0


if __name__ == "__main__":
    run_program("bids_dtg.report", main)
