"""Curves of the mean trial over people, observed and predicted by networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.curves import MeanTrial, observed_curves, predicted_curves
from bids_dtg.twin.decoding import Decoded, Values, decode
from bids_dtg.twin.trial_series import Segments

PEOPLE = "people"  # name of the observed curves


def curves_of_people(
    segments: Segments, outputs: Mapping[str, Values]
) -> dict[str, tuple[MeanTrial, ...]]:
    """Return the mean trial of each task and condition, by `PEOPLE` and by name of the outputs.

    All scored trials count.

    Parameters
    ----------
    segments
        Segments with an axis of people.
    outputs
        (1 or people, s, steps, buttons) of networks that performed them, by name; 1 where one
        network serves all.
    """
    rows = [segments.trials.person(number) for number in range(len(segments.action))]
    tasks = segments.tasks
    found = {PEOPLE: mean_of_people(observed_curves(row, tasks, row.scored) for row in rows)}
    for name, own_outputs in outputs.items():
        decoded = decode(own_outputs, segments)
        found[name] = mean_of_people(
            predicted_curves(_person(decoded, number), row, tasks, row.scored)
            for number, row in enumerate(rows)
        )
    return found


def mean_of_people(curves: Iterable[Sequence[MeanTrial]]) -> tuple[MeanTrial, ...]:
    """Return the mean over people of their mean trials, in which each person counts the same.

    Parameters
    ----------
    curves
        Mean trials of each person; a person without trials of a condition is not part of its mean.

    Examples
    --------
    >>> at, half, none = np.array([0.0, 0.08]), np.array([0.0, 0.5]), np.array([0.0, 0.0])
    >>> mean, = mean_of_people(
    ...     [[MeanTrial(0, 0, 9, at, half, half)], [MeanTrial(0, 0, 3, at, none, none)], []]
    ... )
    >>> mean.trials, mean.answered.tolist()
    (12, [0.0, 0.25])
    """
    groups: dict[tuple[int, int], list[MeanTrial]] = {}
    for person in curves:
        for mean in person:
            groups.setdefault((mean.task, mean.condition), []).append(mean)
    return tuple(
        MeanTrial(
            *key,
            sum(mean.trials for mean in groups[key]),
            groups[key][0].seconds,
            np.mean([mean.answered for mean in groups[key]], axis=0),
            np.mean([mean.correct for mean in groups[key]], axis=0),
        )
        for key in sorted(groups)
    )


def _person(decoded: Decoded, number: int) -> Decoded:
    """Return the decoded trials of one person, trials at the front."""

    def own(values: NDArray[Any], axes: int) -> NDArray[Any]:
        return values if values.ndim == axes else values[min(number, len(values) - 1)]

    return Decoded(
        seconds=own(decoded.seconds, 2),
        curve=own(decoded.curve, 3),
        answered=own(decoded.answered, 2),
        rt_seconds=own(decoded.rt_seconds, 1),
        button=own(decoded.button, 1),
    )
