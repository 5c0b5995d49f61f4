"""Recurrent networks with different weights for each person, with an explicit gradient.

PyTorch's recurrent layers share one weight matrix. Here each person has one, and all people take a
step in one batched matrix product; on the CPU so many at a time that their weights stay in its
cache, from one step to the next. States are kept once, people first, so that what comes before and
after the recurrence is one matrix product a person over all steps, forwards and backwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

# Weights of people who take their steps together, on the CPU.
_CACHED_BYTES = 2**22


def recur(inputs: Tensor, into: Tensor, bias: Tensor, recurrent: Tensor, out_of: Tensor) -> Tensor:
    """Return the outputs of tanh networks whose states start at 0.

    The state is ``h[t] = tanh(into @ x[t] + bias + recurrent @ h[t - 1])``, the output is
    ``out_of @ h[t]``.

    Parameters
    ----------
    inputs
        (1 or people, segments, steps, inputs); 1 where all people see the same. It gets no
        gradient.
    into
        (people, units, inputs).
    bias
        (people, units).
    recurrent
        (people, units, units): to a unit (row) from a unit (column).
    out_of
        (people, outputs, units).

    Returns
    -------
    torch.Tensor
        (people, segments, steps, outputs).

    Raises
    ------
    ValueError
        The shapes do not go together.

    Examples
    --------
    >>> seen, one = torch.tensor([1.0, 0.0]).reshape(1, 1, 2, 1), torch.ones(1, 1, 1)
    >>> recur(seen, one, torch.zeros(1, 1), one / 2, one).flatten()
    tensor([0.7616, 0.3634])
    """
    people, units = bias.shape
    if recurrent.shape != (people, units, units):
        raise ValueError(
            f"weights have the shape {tuple(recurrent.shape)}, expected {(people, units, units)}: "
            "people, units and units of the biases"
        )
    if into.shape != (people, units, inputs.shape[3]):
        raise ValueError(
            f"weights of inputs have the shape {tuple(into.shape)}, expected "
            f"{(people, units, inputs.shape[3])}: people, units and inputs"
        )
    if (out_of.shape[0], out_of.shape[2]) != (people, units):
        raise ValueError(
            f"weights of outputs have the shape {tuple(out_of.shape)}, expected {people} people "
            f"and {units} units"
        )
    if len(inputs) not in (1, people) or not inputs.shape[2]:
        raise ValueError(
            f"inputs are {tuple(inputs.shape)}, expected 1 or {people} people, and steps"
        )
    if inputs.requires_grad:
        raise ValueError("inputs get no gradient, and these ask for one")
    outputs: Tensor = _Recurrence.apply(  # type: ignore[no-untyped-call]
        inputs.transpose(1, 2).contiguous(), into, bias, recurrent, out_of
    )
    return outputs.transpose(1, 2)


class _Recurrence(torch.autograd.Function):
    """Inputs, states and outputs are (people, steps, segments, inputs, units or outputs).

    Within the loops, `own` are the states of some people, and `now` a step of them, (people,
    segments, units), in memory without gaps, as batched products write their result.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, into: Tensor, bias: Tensor, recurrent: Tensor, out_of: Tensor
    ) -> Tensor:
        people, (steps, segments) = len(bias), inputs.shape[1:3]
        states = inputs.new_empty(people, steps, segments, bias.shape[1])
        outputs = inputs.new_empty(people, steps, segments, out_of.shape[1])
        for some in _together(recurrent):
            own, back = states[some], recurrent[some].transpose(1, 2)
            seen, drive = _of(inputs, some, len(own)), own.flatten(1, 2)
            torch.baddbmm(bias[some, None], seen, into[some].transpose(1, 2), out=drive)
            before, *later = own.unbind(1)
            now = torch.empty_like(before, memory_format=torch.contiguous_format)
            before.tanh_()
            for state in later:
                torch.baddbmm(state, before, back, out=now)
                torch.tanh(now, out=state)
                before = state
            read = outputs[some].flatten(1, 2)
            torch.bmm(own.flatten(1, 2), out_of[some].transpose(1, 2), out=read)
        ctx.save_for_backward(inputs, into, recurrent, out_of, states)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, into, recurrent, out_of, states = ctx.saved_tensors
        gradient = gradient.contiguous()
        found = [torch.empty_like(each) for each in (into, recurrent, out_of)]
        of_bias = into.new_empty(into.shape[:2])
        of_into, of_recurrent, of_out = found
        for some in _together(recurrent):
            own, weights, given = states[some], recurrent[some], gradient[some].flatten(1, 2)
            # Of the states, and step by step of what goes into tanh.
            slopes = torch.bmm(given, out_of[some]).view_as(own)
            each_state, each_slope = own.unbind(1), slopes.unbind(1)
            now = each_slope[-1].clone(memory_format=torch.contiguous_format)
            _through_tanh(now, each_state[-1], each_slope[-1])
            for step in range(len(each_slope) - 2, -1, -1):
                torch.baddbmm(each_slope[step], each_slope[step + 1], weights, out=now)
                _through_tanh(now, each_state[step], each_slope[step])
            flat = slopes.flatten(1, 2)
            torch.bmm(flat.transpose(1, 2), _of(inputs, some, len(own)), out=of_into[some])
            torch.sum(flat, 1, out=of_bias[some])
            later, earlier = slopes[:, 1:].flatten(1, 2), own[:, :-1].flatten(1, 2)
            torch.bmm(later.transpose(1, 2), earlier, out=of_recurrent[some])
            torch.bmm(given.transpose(1, 2), own.flatten(1, 2), out=of_out[some])
        return None, of_into, of_bias, of_recurrent, of_out


def _through_tanh(gradient: Tensor, state: Tensor, found: Tensor) -> None:
    torch.addcmul(gradient, gradient * state, state, value=-1, out=found)


def _of(inputs: Tensor, some: slice, people: int) -> Tensor:
    """Return the inputs of some people as (people, steps and segments, inputs)."""
    flat = inputs.flatten(1, 2)
    return flat.expand(people, -1, -1) if len(flat) == 1 else flat[some]


def _together(weights: Tensor) -> Iterator[slice]:
    """Yield the people who take their steps together; their states do not depend on it."""
    each = weights.element_size() * weights.shape[1] ** 2
    most = max(1, _CACHED_BYTES // each) if weights.device.type == "cpu" else len(weights)
    return (slice(start, start + most) for start in range(0, len(weights), most))
