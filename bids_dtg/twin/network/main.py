"""The main network: a recurrent network with a linear read-out, whose weights differ by person.

Its inputs are the stimuli and the task; its outputs are buttons:
``h[t] = tanh(W_ih x[t] + b_ih + W_hh h[t-1] + b_hh)`` and ``y[t+1] = W_ho h[t] + b_ho``
(Takahashi et al., 2026, whose network has outputs for BOLD too).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from bids_dtg.twin.network.recurrence import recur

# People who perform together. Their states, of 64 units over a usual task, stay below the 32 MiB
# that the C library keeps when they are freed; larger ones get new memory each time.
AT_ONCE = 24


@dataclass(frozen=True)
class Sizes:
    """Numbers of inputs, units and outputs of main networks."""

    inputs: int  # channels of the stimulus, and task flags
    units: int  # of the recurrent layer
    buttons: int  # outputs, which are probabilities

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of a network's weights, in their published flat order."""
        units = self.units
        return {
            "input": (units, self.inputs),
            "recurrent": (units, units),
            "input_bias": (units,),
            "recurrent_bias": (units,),
            "output": (self.buttons, units),
            "output_bias": (self.buttons,),
        }

    @property
    def weights(self) -> int:
        """Number of weights of a network.

        Examples
        --------
        >>> Sizes(inputs=9, units=64, buttons=3).weights
        4995
        """
        return sum(map(prod, self.shapes.values()))


@dataclass(frozen=True, eq=False)
class MainWeights:
    """Weights of one network for each person; each tensor has people first."""

    input: Tensor  # (people, units, inputs)
    recurrent: Tensor  # (people, units, units)
    bias: Tensor  # (people, units)
    output: Tensor  # (people, outputs, units)
    output_bias: Tensor  # (people, outputs)

    @classmethod
    def of_flat(cls, flat: Tensor, sizes: Sizes) -> MainWeights:
        """Return the weights that flat rows (people, weights) hold, in the published order.

        Examples
        --------
        >>> sizes = Sizes(inputs=2, units=3, buttons=1)
        >>> MainWeights.of_flat(torch.zeros(5, sizes.weights), sizes).recurrent.shape
        torch.Size([5, 3, 3])
        """
        parts = torch.split(flat, [prod(shape) for shape in sizes.shapes.values()], dim=1)
        named = {
            name: part.reshape(len(flat), *shape)
            for (name, shape), part in zip(sizes.shapes.items(), parts, strict=True)
        }
        return cls(
            input=named["input"],
            recurrent=named["recurrent"],
            bias=named["input_bias"] + named["recurrent_bias"],
            output=named["output"],
            output_bias=named["output_bias"],
        )


def perform(weights: MainWeights, inputs: Tensor) -> Tensor:
    """Run networks on inputs and return their outputs.

    Parameters
    ----------
    weights
        Weights of each person's network, or of one network that all people share.
    inputs
        (1 or people, segments, steps, inputs); 1 where all people see the same. Inputs are delayed
        by one step, as `bids_dtg.twin.trial_series` makes them, so that the output of a step
        depends on earlier stimuli only. They get no gradient.

    Returns
    -------
    torch.Tensor
        (people, segments, steps, outputs): buttons as logits.

    Examples
    --------
    >>> sizes = Sizes(inputs=2, units=3, buttons=1)
    >>> weights = MainWeights.of_flat(torch.zeros(5, sizes.weights), sizes)
    >>> perform(weights, torch.zeros(1, 4, 6, 2)).shape
    torch.Size([5, 4, 6, 1])
    """
    people = len(inputs)
    if len(weights.bias) == 1 < people:  # one network: people are more segments of it
        outputs = perform(weights, inputs.flatten(0, 1)[None])
        return outputs.reshape(*inputs.shape[:3], -1)
    outputs = recur(inputs, weights.input, weights.bias, weights.recurrent, weights.output)
    return outputs + weights.output_bias[:, None, None]
