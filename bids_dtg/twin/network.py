"""Networks that perform tasks, and modules that generate their weights from connectomes.

The main network is recurrent with a linear read-out, and its weights differ by person. Its inputs
are the stimuli and the task; its outputs are buttons, and regions where it was trained on BOLD:
``h[t] = tanh(W_ih x[t] + b_ih + W_hh h[t-1] + b_hh)`` and ``y[t+1] = W_ho h[t] + b_ho``
(Takahashi et al., 2026, doi:10.34133/bmef.0231).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

# People whose networks run together. With 64 units and a usual task their states stay below 32 MiB,
# memory that the C library reuses; larger blocks are allocated anew each time.
AT_ONCE = 24
OTHER_UNITS = 0.1  # factor of the first weights of units that follow no ridge
BUTTON_BIAS = -2.0  # of the read-out before training, as buttons are mostly not pressed


@dataclass(frozen=True)
class Sizes:
    """Numbers of inputs, units and outputs of main networks."""

    inputs: int  # channels of the stimulus, and task flags
    units: int  # of the recurrent layer
    outputs: int  # buttons, which are logits, then regions of BOLD

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of a network's weights, in their published flat order."""
        units = self.units
        return {
            "input": (units, self.inputs),
            "recurrent": (units, units),
            "input_bias": (units,),
            "recurrent_bias": (units,),
            "output": (self.outputs, units),
            "output_bias": (self.outputs,),
        }

    @property
    def weights(self) -> int:
        """Number of weights of a network.

        Examples
        --------
        >>> Sizes(inputs=9, units=64, outputs=3).weights
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
    def from_flat(cls, flat: Tensor, sizes: Sizes) -> MainWeights:
        """Return the weights that flat rows (people, weights) hold, in the published order.

        Examples
        --------
        >>> sizes = Sizes(inputs=2, units=3, outputs=1)
        >>> MainWeights.from_flat(torch.zeros(5, sizes.weights), sizes).recurrent.shape
        torch.Size([5, 3, 3])
        """
        parts = torch.split(
            flat, [prod(shape) for shape in sizes.shapes.values()], dim=1
        )
        named = {
            name: part.reshape(len(flat), *shape)
            for (name, shape), part in zip(sizes.shapes.items(), parts, strict=True)
        }
        bias = named.pop("input_bias") + named.pop("recurrent_bias")
        return cls(bias=bias, **named)

    def flat(self) -> Tensor:
        """Return flat rows (people, weights), of which `from_flat` makes the same networks."""
        parts = (self.input, self.recurrent, self.bias, torch.zeros_like(self.bias))
        return torch.cat(
            [part.flatten(1) for part in (*parts, self.output, self.output_bias)], 1
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
        depends on earlier stimuli only.

    Returns
    -------
    torch.Tensor
        (people, segments, steps, outputs): buttons as logits.

    Examples
    --------
    >>> sizes = Sizes(inputs=2, units=3, outputs=1)
    >>> weights = MainWeights.from_flat(torch.zeros(5, sizes.weights), sizes)
    >>> perform(weights, torch.zeros(1, 4, 6, 2)).shape
    torch.Size([5, 4, 6, 1])
    """
    # People who share a network become more segments.
    if len(weights.bias) == 1 < len(inputs):
        outputs = perform(weights, inputs.flatten(0, 1)[None])
        return outputs.reshape(*inputs.shape[:3], -1)
    people, (segments, steps) = len(weights.bias), inputs.shape[1:3]
    seen = inputs.transpose(1, 2).flatten(1, 2).expand(people, -1, -1)
    driven = torch.baddbmm(weights.bias[:, None], seen, weights.input.mT)
    back = weights.recurrent.mT
    over_time: list[Tensor] = []  # states of the units, which start at 0
    for drive in driven.reshape(people, steps, segments, -1).unbind(1):
        over_time.append(
            torch.tanh(
                torch.baddbmm(drive, over_time[-1], back) if over_time else drive
            )
        )
    states = torch.stack(over_time, 2).flatten(1, 2)
    del over_time  # as large as the states
    outputs = states @ weights.output.mT + weights.output_bias[:, None]
    return outputs.reshape(people, segments, steps, -1)


class ModulatedNetwork(nn.Module):
    """A group network whose units, strongest modes and read-outs are modulated for each person.

    A modulation is a gain and a bias for each unit (FiLM: Perez et al., 2018,
    doi:10.1609/aaai.v32i1.11671), a change of each of the `rank` strongest singular modes of the
    recurrent weights, a gain for each input channel, a gain and an offset for each output. A
    modulation of zeros is the average person.

    Parameters
    ----------
    sizes
        Numbers of inputs, units and outputs of the group network.
    rank
        Number of modes of the recurrent weights in which people differ.

    Examples
    --------
    >>> network = ModulatedNetwork(Sizes(inputs=9, units=64, outputs=3), rank=8)
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
        units, outputs = sizes.units, sizes.outputs
        self.input = nn.Parameter(
            torch.empty(units, sizes.inputs).uniform_(-bound, bound)
        )
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
            "output_gains": sizes.outputs,
            "output_offsets": sizes.outputs,
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
            output=(1 + part["output_gains"])[:, :, None] * self.output,
            output_bias=self.output_bias + part["output_offsets"],
        )

    def group_weights(self) -> MainWeights:
        """Return the group's network, with an axis of one person."""
        return self.weights(self.input.new_zeros(1, self.modulations))


class LowRank(nn.Module):
    """Makes main networks from connectomes, by way of measures of behaviour.

    Ridges predict the measures from the connectome, and a modulation gives the network these.

    Parameters
    ----------
    edges, measures
        Length of a connectome's vector of edges, and number of measures.
    sizes, rank
        As in `ModulatedNetwork`.
    """

    edge_mean: Tensor  # (edges,), of the training people
    edge_weights: Tensor  # (edges, measures): measure per unit of an edge; 0: nothing is predicted
    of_measures: Tensor  # (modulations, measures): modulation per unit of a measure

    def __init__(self, edges: int, measures: int, sizes: Sizes, *, rank: int) -> None:
        super().__init__()
        self.network = ModulatedNetwork(sizes, rank=rank)
        self.register_buffer("edge_mean", torch.zeros(edges))
        self.register_buffer("edge_weights", torch.zeros(edges, measures))
        self.register_buffer(
            "of_measures", torch.zeros(self.network.modulations, measures)
        )

    def start_from(self, group: ModulatedNetwork) -> None:
        """Take the weights of the group's network."""
        self.network.load_state_dict(group.state_dict())

    def measures(self, connectomes: Tensor) -> Tensor:
        """Predict measures minus those of the group, (people, measures)."""
        return (connectomes - self.edge_mean) @ self.edge_weights

    def forward(self, connectomes: Tensor) -> MainWeights:
        """Return main networks of connectomes (people, edges)."""
        return self.with_measures(self.measures(connectomes))

    def with_measures(self, measures: Tensor) -> MainWeights:
        """Return main networks whose measures differ so much from those of the group."""
        return self.network.weights(measures @ self.of_measures.T)

    @property
    def differ(self) -> bool:
        """Whether different connectomes give different networks; else all are the group's."""
        return bool(self.edge_weights.any())

    def group(self) -> MainWeights:
        """Return the group's network, with an axis of one person."""
        return self.network.group_weights()


class HyperNetwork(nn.Module):
    """Makes all weights of main networks from connectomes (Takahashi et al., 2026).

    Dropout, then three linear layers with Mish activations between them.

    Parameters
    ----------
    edges
        Length of a connectome's vector of edges.
    sizes
        Numbers of inputs, units and outputs of main networks.
    hidden
        Number of units of each hidden layer.
    dropout
        Share of edges that a training step leaves out.
    with_group
        Whether training starts from a network of the group.

    Examples
    --------
    >>> sizes = Sizes(inputs=9, units=400, outputs=23)
    >>> with torch.device("meta"):
    ...     network = HyperNetwork(99_235, sizes, hidden=200)
    >>> sum(weights.numel() for weights in network.parameters())
    54785623
    """

    edge_mean: Tensor  # (edges,): mean and scale of each edge over training people
    edge_sd: Tensor
    # (weights,), of the group's network; None: there is none
    group_weights: Tensor | None

    def __init__(
        self,
        edges: int,
        sizes: Sizes,
        *,
        hidden: int,
        dropout: float = 0.1,
        with_group: bool = False,
    ) -> None:
        super().__init__()
        self.sizes = sizes
        self.dropout = nn.Dropout(dropout)
        self.first = nn.Linear(edges, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, sizes.weights)
        self.register_buffer("edge_mean", torch.zeros(edges))
        self.register_buffer("edge_sd", torch.ones(edges))
        group = torch.zeros(sizes.weights) if with_group else None
        self.register_buffer("group_weights", group)

    @torch.no_grad()
    def start_from(self, group: ModulatedNetwork) -> None:
        """Generate the group's network from all connectomes."""
        assert self.group_weights is not None
        self.group_weights.copy_(group.group_weights().flat()[0])
        self.last.bias.copy_(self.group_weights)
        self.last.weight.zero_()

    @torch.no_grad()
    def start_with(self, ridges: Tensor) -> None:
        """Let the first units follow predictions of ridges, and minus these.

        Parameters
        ----------
        ridges
            (edges, measures): weights of scaled edges; of more measures than there are pairs of
            units, the first ones are used.
        """
        rows = torch.stack([ridges.T, -ridges.T], 1).flatten(0, 1)
        rows = rows[: len(self.first.weight)]
        self.first.weight[: len(rows)] = rows
        self.first.bias[: len(rows)] = 0
        self.first.weight[len(rows) :] *= OTHER_UNITS

    def forward(self, connectomes: Tensor) -> MainWeights:
        """Return main networks of connectomes (people, edges)."""
        scaled = (connectomes - self.edge_mean) / self.edge_sd
        first = nn.functional.mish(self.first(self.dropout(scaled)))
        hidden = nn.functional.mish(self.middle(first))
        return MainWeights.from_flat(self.last(hidden), self.sizes)

    @property
    def differ(self) -> bool:
        """Whether different connectomes give different networks; else all are the group's."""
        return bool(self.last.weight.any())

    def group(self) -> MainWeights | None:
        """Return the group's network, with an axis of one person; None: there is none."""
        if self.group_weights is None:
            return None
        return MainWeights.from_flat(self.group_weights[None], self.sizes)
