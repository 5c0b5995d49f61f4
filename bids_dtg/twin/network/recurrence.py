"""The recurrence of many networks with different weights, with an explicit gradient.

PyTorch's recurrent layers share one weight matrix. Here each person has one, and all people take a
step in one batched matrix product; on the CPU so many at a time that their weights stay in its
cache, from one step to the next. The gradient of the weights is accumulated once over all steps
instead of once a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

# Weights of people who take their steps together, on the CPU.
_CACHED_BYTES = 2**22


def recur(drive: Tensor, weights: Tensor) -> Tensor:
    """Return the states of tanh networks that start at 0.

    The state is ``h[t] = tanh(drive[t] + weights @ h[t - 1])``.

    Parameters
    ----------
    drive
        (steps, people, segments, units): external input of each unit, biases included.
    weights
        (people, units, units): to a unit (row) from a unit (column).

    Returns
    -------
    torch.Tensor
        States, of the shape of `drive`.

    Raises
    ------
    ValueError
        The shapes do not go together.

    Examples
    --------
    >>> drive = torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1)
    >>> recur(drive, torch.full((1, 1, 1), 0.5)).flatten()
    tensor([0.7616, 0.3634])
    """
    people, units = drive.shape[1], drive.shape[3]
    if weights.shape != (people, units, units):
        raise ValueError(
            f"weights have the shape {tuple(weights.shape)}, expected {(people, units, units)}: "
            "people, units and units of the drive"
        )
    states: Tensor = _Recurrence.apply(drive, weights)  # type: ignore[no-untyped-call]
    return states


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, drive: Tensor, weights: Tensor) -> Tensor:
        # Each step is contiguous, whatever the drive's layout: products need no copies.
        states = torch.empty_like(drive, memory_format=torch.contiguous_format)
        back = weights.transpose(1, 2).contiguous()
        torch.tanh(drive[0], out=states[0])
        for some in _together(weights):
            given, found, own = drive[:, some], states[:, some], back[some]
            for step in range(1, len(drive)):
                torch.baddbmm(given[step], found[step - 1], own, out=found[step])
                found[step].tanh_()
        ctx.save_for_backward(states, weights)
        return states

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        states, weights = ctx.saved_tensors
        to_drive = torch.empty_like(states)
        last = len(states) - 1
        torch.mul(gradient[last], 1 - states[last] ** 2, out=to_drive[last])
        for some in _together(weights):
            given, found, own = gradient[:, some], to_drive[:, some], weights[some]
            slopes = states[:, some]
            for step in range(last - 1, -1, -1):
                torch.baddbmm(given[step], found[step + 1], own, out=found[step])
                found[step].mul_(1 - slopes[step] ** 2)
        # (steps, people, segments, units) -> people, steps and segments together, units
        later = to_drive[1:].transpose(0, 1).flatten(1, 2)
        earlier = states[:-1].transpose(0, 1).flatten(1, 2)
        return to_drive, torch.bmm(later.transpose(1, 2), earlier)


def _together(weights: Tensor) -> Iterator[slice]:
    """Yield the people who take their steps together; their states do not depend on it."""
    each = weights.element_size() * weights.shape[1] ** 2
    most = max(1, _CACHED_BYTES // each) if weights.device.type == "cpu" else len(weights)
    return (slice(start, start + most) for start in range(0, len(weights), most))
