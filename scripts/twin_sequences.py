"""Make the trial sequences that simulated twins perform, from public event files.

python scripts/twin_sequences.py BIDS_FOLDER

BIDS_FOLDER holds the events.tsv files of OpenNeuro ds005237 1.1.3 (CC0). A sequence has the most
common order of trials, with the median of each time over the participants who saw it. No responses
are kept.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pandas as pd

TARGET = (
    Path(__file__).parent.parent / "bids_dtg" / "twin" / "phantom" / "sequence_files"
)
TASKS = ("hammerAP", "stroopAP", "stroopPA")
# Columns that say what was shown; all others are times or responses.
SHOWN = (
    "trial_type",
    "stimulus_text",
    "stimulus_color",
    "stimLeft",
    "stimTop",
    "stimRight",
)
RESPONSES = ("response_time", "accuracy_binarized")


def sequence(folder: Path, task: str) -> tuple[pd.DataFrame, int]:
    """Return a task's sequence, and the number of participants who saw it."""
    paths = sorted(folder.rglob(f"*_task-{task}_*events.tsv"))
    tables = [
        pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False) for path in paths
    ]
    shown = [column for column in SHOWN if column in tables[0]]
    orders = [table[shown].apply(lambda column: column.str.strip()) for table in tables]
    keys = [order.to_csv() for order in orders]
    common, _ = Counter(keys).most_common(1)[0]
    same = [table for table, key in zip(tables, keys, strict=True) if key == common]
    table = orders[keys.index(common)].reindex(columns=tables[0].columns)
    for column in table.columns.difference([*shown, *RESPONSES]):
        times = pd.concat(
            [pd.to_numeric(t[column], errors="coerce") for t in same], axis=1
        )
        table[column] = times.median(axis=1).round(4)
    # The source's value for trials without a response.
    table["accuracy_binarized"] = 0.0
    return table, len(same)


def main() -> None:
    """Write the three sequences."""
    TARGET.mkdir(exist_ok=True)
    for task in TASKS:
        table, people = sequence(Path(sys.argv[1]), task)
        path = TARGET / f"task-{task}_events.tsv"
        table.to_csv(path, sep="\t", index=False, na_rep="n/a", lineterminator="\n")
        print(f"{path.name}: {len(table)} trials, as {people} participants saw them")


if __name__ == "__main__":
    main()
