"""Lapses: errors and misses that no network makes, added to the outcomes that it predicts.

A network says how likely the correct button, another one and no response are in each trial. Where
it is sure and wrong, one trial costs more than all others bring. In a share of the trials, the
weight of lapses, people therefore do as the training people did in the same condition: correct,
wrong and missed in these people's shares. The weight of each condition is the one with the largest
likelihood of what the training people did. No probability is 0 or 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.decoding import Decoded, decode
from bids_dtg.twin.trial_series import Segments, TrialRows

Values = NDArray[np.float64]

LEAST_WEIGHT = 0.001  # where the network alone is best: also then nothing is certain
_ADDED = 0.5  # trials of each outcome, so that no share is 0
_HALVINGS = 50  # of the range of a weight


@dataclass(frozen=True, eq=False)
class Lapses:
    """Weights of lapses, and what people do in them; the last condition is of trials without one.

    Arrays may have a first axis of people, whose twins are of different fits (`joined`).
    """

    weight: Values  # (tasks, 1 + conditions)
    shares: Values  # (tasks, 1 + conditions, 3): correct, wrong, miss

    @classmethod
    def of(cls, buttons: NDArray[np.floating[Any]], segments: Segments) -> Lapses:
        """Fit lapses to what training people did in segments.

        Parameters
        ----------
        buttons
            (people or 1, segments, steps, buttons): outputs of the people's networks, or of that of
            the group.
        segments
            What the people saw and did.
        """
        rows = segments.trials
        there = rows.scored & (rows.task >= 0)
        happened = _happened(rows)
        predicted = np.broadcast_to(_predicted(decode(buttons, segments), rows), happened.shape)
        tasks = segments.tasks.tasks
        groups = 1 + max(len(task.conditions) for task in tasks)
        weight, shares = np.empty((len(tasks), groups)), np.empty((len(tasks), groups, 3))
        for task in range(len(tasks)):
            own = there & (rows.task == task)
            for group in range(groups):
                # Trials without a condition lapse as those of the task do.
                some = own & (rows.condition == group)
                used = some if group < groups - 1 and some.any() else own
                weight[task, group], shares[task, group] = _fitted(predicted[used], happened[used])
        return cls(weight, shares)

    @classmethod
    def joined(cls, rows: Sequence[NDArray[np.integer]], parts: Sequence[Lapses]) -> Lapses:
        """Return the lapses of everybody, of fits that each serve some of the people.

        Parameters
        ----------
        rows
            The people of each fit, by row; each is in one.
        parts
            The lapses of each fit.
        """
        people = sum(map(len, rows))
        weight = np.empty((people, *parts[0].weight.shape))
        shares = np.empty((people, *parts[0].shares.shape))
        for own, part in zip(rows, parts, strict=True):
            weight[own], shares[own] = part.weight, part.shares
        return cls(weight, shares)

    def mixed(
        self,
        outcomes: NDArray[np.floating[Any]],
        task: int | NDArray[np.integer],
        condition: NDArray[np.integer],
    ) -> Values:
        """Return outcomes with lapses.

        Parameters
        ----------
        outcomes
            (..., trials, 3): probabilities of correct, wrong and miss, by a network.
        task
            Index of the trials' task, or of each trial's, (..., trials).
        condition
            (..., trials): index of each trial's condition; -1: none.

        Examples
        --------
        >>> lapses = Lapses(np.array([[0.1, 0.1]]), np.array([[[0.8, 0.1, 0.1]] * 2]))
        >>> lapses.mixed(np.array([[1.0, 0.0, 0.0]]), 0, np.array([0])).round(3)
        array([[0.98, 0.01, 0.01]])
        """
        at: tuple[Any, ...] = (np.broadcast_to(task, condition.shape), condition)
        if self.weight.ndim > 2:
            at = (np.arange(len(self.weight))[:, None], *at)
        weight = self.weight[at][..., None]
        found: Values = (1 - weight) * outcomes + weight * self.shares[at]
        return found


def _predicted(decoded: Decoded, rows: TrialRows) -> Values:
    """Return a network's probabilities of correct, wrong and miss, (people or 1, trials, 3)."""
    ends = np.asarray(decoded.ends, np.float64)
    own = np.arange(ends.shape[-1]) == rows.correct_button[..., None]
    right, total = (ends * own).sum(axis=-1), np.broadcast_arrays(ends.sum(axis=-1), own[..., 0])[0]
    return np.stack([right, total - right, 1.0 - total], axis=-1).clip(0.0, 1.0)


def _happened(rows: TrialRows) -> NDArray[np.bool_]:
    """Return whether people's trials were correct, wrong and missed, (people, trials, 3)."""
    missed = ~rows.correct & ~np.isfinite(rows.rt_seconds)
    return np.stack([rows.correct, ~rows.correct & ~missed, missed], axis=-1)


def _fitted(predicted: Values, happened: NDArray[np.bool_]) -> tuple[float, Values]:
    """Return the weight of lapses and their shares, of trials (trials, 3) of a condition.

    The likelihood of what happened has one maximum over weights: its slope falls.
    """
    counts = happened.sum(axis=0) + _ADDED
    shares: Values = counts / counts.sum()
    network, lapse = predicted[happened], (happened * shares)[happened]
    low, high = LEAST_WEIGHT, 1.0
    for _ in range(_HALVINGS):
        weight = (low + high) / 2
        rising = ((lapse - network) / (network + weight * (lapse - network))).sum() > 0
        low, high = (weight, high) if rising else (low, weight)
    return low, shares
