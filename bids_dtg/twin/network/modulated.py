"""A network of the group, and the modulations by which a person's network differs from it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bids_dtg.twin.network.main import MainWeights, Sizes

BUTTON_BIAS = -2.0  # of the read-out at first: buttons are mostly not pressed


class ModulatedNetwork(nn.Module):
    """A group network whose units, strongest modes and read-outs are modulated for each person.

    A person's modulation is ``directions @ factors``: a gain and a bias for each unit (FiLM:
    Perez et al., 2018, doi:10.1609/aaai.v32i1.11671), a change of each of the `rank` strongest
    singular modes of the recurrent weights, a gain for each input channel, a gain and an offset for
    each output. Factors of zero are the average person.

    Parameters
    ----------
    sizes
        Numbers of inputs, units and outputs of the group network.
    rank
        Number of modes of the recurrent weights in which people differ.

    Examples
    --------
    >>> network = ModulatedNetwork(Sizes(inputs=9, units=64, buttons=3), rank=8)
    >>> network.modulations
    151
    >>> network.weights(torch.zeros(5, 151)).recurrent.shape
    torch.Size([5, 64, 64])
    """

    left: Tensor  # (units, rank): modes of the recurrent weights, scaled by their strength
    right: Tensor  # (units, rank)

    def __init__(self, sizes: Sizes, *, rank: int) -> None:
        super().__init__()
        self.sizes, self.rank = sizes, min(rank, sizes.units)
        bound = 1.0 / math.sqrt(sizes.units)
        units, outputs = sizes.units, sizes.buttons
        self.input = nn.Parameter(torch.empty(units, sizes.inputs).uniform_(-bound, bound))
        self.recurrent = nn.Parameter(torch.empty(units, units).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(units))
        self.output = nn.Parameter(torch.empty(outputs, units).uniform_(-bound, bound))
        self.output_bias = nn.Parameter(torch.full((outputs,), BUTTON_BIAS))
        self.register_buffer("left", torch.zeros(units, self.rank))
        self.register_buffer("right", torch.zeros(units, self.rank))
        self.find_modes()

    @property
    def parts(self) -> dict[str, int]:
        """Parts of a modulation in order, with the number of values of each."""
        sizes = self.sizes
        return {
            "gains": sizes.units,
            "biases": sizes.units,
            "modes": self.rank,
            "channels": sizes.inputs,
            "button_gains": sizes.buttons,
            "button_offsets": sizes.buttons,
        }

    @property
    def modulations(self) -> int:
        """Number of values of a modulation."""
        return sum(self.parts.values())

    @torch.no_grad()
    def find_modes(self) -> None:
        """Compute the strongest modes of the current recurrent weights."""
        left, strengths, right = torch.linalg.svd(self.recurrent)
        self.left.copy_(left[:, : self.rank] * strengths[: self.rank])
        self.right.copy_(right[: self.rank].T)

    def weights(self, modulation: Tensor) -> MainWeights:
        """Return the networks of modulations (people, modulations); zeros give the group's."""
        split = torch.split(modulation, list(self.parts.values()), dim=1)
        part = dict(zip(self.parts, split, strict=True))
        gains = 1 + part["gains"]
        modes = (self.left * part["modes"][:, None]) @ self.right.T
        return MainWeights(
            input=gains[:, :, None] * self.input * (1 + part["channels"])[:, None],
            recurrent=gains[:, :, None] * self.recurrent + modes,
            bias=gains * self.bias + part["biases"],
            output=(1 + part["button_gains"])[:, :, None] * self.output,
            output_bias=self.output_bias + part["button_offsets"],
        )

    def group_weights(self) -> MainWeights:
        """Return the group's network, with an axis of one person."""
        return self.weights(self.input.new_zeros(1, self.modulations))
