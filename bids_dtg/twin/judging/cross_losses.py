"""The loss of each twin on each person's responses, without running a twin for each pair."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.trial_series import Segments

Values = NDArray[np.float64]
_SMALLEST = 1e-6  # probability; float32 has none much closer to 1


def cross_losses(buttons: NDArray[np.floating[Any]], segments: Segments) -> Values:
    """Return the cross-entropy of each twin's outputs with each person's responses.

    The cross-entropy is linear in the responses, so all pairs take two matrix products.

    Parameters
    ----------
    buttons
        (twins, segments, steps, buttons): probabilities, of twins that saw what the people saw.
    segments
        Segments of people who saw the same; one person is enough.

    Returns
    -------
    numpy.ndarray
        (twins, people): means over scored steps and buttons; NaN for people without scored steps.

    Raises
    ------
    ValueError
        People saw different things, or the outputs do not have the shape of the segments.

    Examples
    --------
    `bids_dtg.twin.judging.matching.match` tests the losses.
    """
    if len(segments.inputs) > 1:
        raise ValueError("people saw different things: run each twin on what each person saw")
    if buttons.shape[1:] != segments.action.shape[1:]:
        raise ValueError(f"outputs are (twins, {segments.action.shape[1:]}), found {buttons.shape}")
    weight = segments.scored.astype(np.float32)
    wanted = segments.action * weight[..., None]
    rest = (1 - segments.action) * weight[..., None]
    likely = np.clip(buttons, _SMALLEST, 1 - _SMALLEST).astype(np.float32)
    total = _flat(np.log(likely)) @ _flat(wanted).T + _flat(np.log1p(-likely)) @ _flat(rest).T
    count = weight.sum(axis=(1, 2)) * segments.action.shape[-1]
    return -np.asarray(total, np.float64) / np.where(count > 0, count, np.nan)


def own_losses(buttons: NDArray[np.floating[Any]], segments: Segments) -> Values:
    """Return the cross-entropy of each person's own twin, (people,), also for different sequences.

    Parameters
    ----------
    buttons
        (1 or people, segments, steps, buttons): probabilities; 1 where one network serves all.
    segments
        Segments of people.
    """
    weight = segments.scored[..., None].astype(np.float64)
    likely = np.clip(buttons, _SMALLEST, 1 - _SMALLEST)
    loss = -(segments.action * np.log(likely) + (1 - segments.action) * np.log1p(-likely))
    count = weight.sum(axis=(1, 2, 3)) * segments.action.shape[-1]
    found: Values = (loss * weight).sum(axis=(1, 2, 3)) / np.where(count > 0, count, np.nan)
    return found


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(len(values), -1)
