"""Figures of twins' behaviour by person: response times, condition effects, errors, misses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.decoding import decode
from bids_dtg.twin.judging.behaviour import figures
from bids_dtg.twin.judging.cohort import answers_of, figures_of, targets_of
from bids_dtg.twin.trial_series import Segments

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Figures of the behaviour of people's twins; NaN where a person has no such trial."""

    targets: tuple[str, ...]  # as `bids_dtg.twin.judging.cohort.targets_of` names them
    seconds: (
        Values  # (people, targets): mean over trials of the median; second less first condition
    )
    tasks: tuple[str, ...]
    correct: Values  # (people, tasks): share of the trials whose likeliest button is correct
    unanswered: Values  # (people, tasks): share of the trials that are missed more often than not

    def of(self, target: str) -> Values:
        """Return one of `targets` for each person, (people,), seconds."""
        return self.seconds[:, self.targets.index(target)]


def outcomes_of(buttons: NDArray[np.floating], segments: Segments) -> Outcomes:
    """Return the figures of network outputs.

    Parameters
    ----------
    buttons
        (people, segments, steps, buttons): probabilities of presses.
    segments
        What the people saw, and which of their trials are scored.

    Raises
    ------
    ValueError
        The outputs are not of these segments.
    """
    decoded, seconds, correct, unanswered = decode(buttons, segments), [], [], []
    for number, task in enumerate(segments.tasks.tasks):
        answers = answers_of(segments, number)
        own = answers.decoded(decoded)
        seconds += figures_of(own, task)
        found = figures(own)
        correct.append(found.correct[:, 0])
        unanswered.append(found.unanswered[:, 0])
    return Outcomes(
        targets=tuple(target.name for target in targets_of(segments.tasks)),
        seconds=np.stack(seconds, axis=1),
        tasks=segments.tasks.names,
        correct=np.stack(correct, axis=1),
        unanswered=np.stack(unanswered, axis=1),
    )
