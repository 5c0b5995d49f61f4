"""Trial sequences of a real study, which simulated people perform.

The faces and Stroop runs of the Transdiagnostic Connectome Project ship with the package (OpenNeuro
ds005237 1.1.3, CC0, doi:10.18112/openneuro.ds005237.v1.1.3; Chopra et al.,
doi:10.1101/2024.06.18.24309054), as its participants saw them, without responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.foreign import parse_table
from bids_dtg.files.text import read_packaged
from bids_dtg.twin.tasks import Task, find_task
from bids_dtg.twin.trials import Trials, read_trials

# Task entity of each shipped sequence -> name of its task.
SEQUENCES: Mapping[str, str] = {
    "hammerAP": "faces",
    "stroopAP": "stroop",
    "stroopPA": "stroop",
}
_WORD = "stimulus_text"  # the column with the word, which may name a wrong button


@dataclass(frozen=True, eq=False)
class TrialSequence:
    """Stimuli of a run, without responses."""

    name: str  # task entity of its event files
    trials: Trials  # without responses
    rows: tuple[Mapping[str, str], ...]  # of the event file, a row a trial
    lure: NDArray[np.int8]  # (n,): the button that the word stands for; -1: no word


def trial_sequence(name: str) -> TrialSequence:
    """Return a shipped sequence.

    Parameters
    ----------
    name
        ``hammerAP`` (faces), ``stroopAP`` or ``stroopPA``.

    Raises
    ------
    ValueError
        There is no such sequence.

    Examples
    --------
    >>> stroop = trial_sequence("stroopAP")
    >>> stroop.trials.task.name, len(stroop.rows), stroop.lure[:3]
    ('stroop', 78, array([2, 0, 1], dtype=int8))
    """
    if name not in SEQUENCES:
        raise ValueError(f"a shipped sequence is one of {', '.join(SEQUENCES)}, not {name!r}")
    file = f"sequence_files/task-{name}_events.tsv"
    rows = parse_table(read_packaged("bids_dtg.twin.phantom", file), Path(file)).dicts()
    task = find_task(SEQUENCES[name])
    return TrialSequence(name, read_trials(task, rows), tuple(rows), _lures(task, rows))


def _lures(task: Task, rows: list[dict[str, str]]) -> NDArray[np.int8]:
    words = [row.get(_WORD, "") for row in rows]
    return np.array([task.buttons.index(w) if w in task.buttons else -1 for w in words], np.int8)
