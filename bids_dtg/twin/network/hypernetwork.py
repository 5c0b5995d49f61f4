"""The published hypernetwork: a perceptron that puts out all weights of a main network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bids_dtg.twin.network.main import MainWeights, Sizes


class HyperNetwork(nn.Module):
    """Makes a main network from a connectome (Takahashi et al., 2026).

    Dropout, then three linear layers with Mish between them; only the widths of the two hidden
    layers differ between people.

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
    last_layer_scale
        Factor of the last layer's initial weights. At 1, as published, networks start at the edge
        of stability, and a few large updates make them unstable.

    Examples
    --------
    >>> sizes = Sizes(inputs=9, units=400, buttons=23)
    >>> with torch.device("meta"):
    ...     network = HyperNetwork(99_235, sizes, hidden=200)
    >>> sum(weights.numel() for weights in network.parameters())
    54785623
    """

    def __init__(
        self,
        edges: int,
        sizes: Sizes,
        *,
        hidden: int,
        dropout: float = 0.1,
        last_layer_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.sizes = sizes
        self.dropout = nn.Dropout(dropout)
        self.first = nn.Linear(edges, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, sizes.weights)
        # The mean and the scale of each edge over training people.
        self.register_buffer("edge_mean", torch.zeros(edges))
        self.register_buffer("edge_sd", torch.ones(edges))
        with torch.no_grad():
            self.last.weight.mul_(last_layer_scale)
            self.last.bias.mul_(last_layer_scale)

    edge_mean: Tensor
    edge_sd: Tensor

    def forward(self, connectomes: Tensor) -> MainWeights:
        """Return main networks of connectomes (people, edges)."""
        scaled = (connectomes - self.edge_mean) / self.edge_sd
        found = nn.functional.mish(self.first(self.dropout(scaled)))
        flat = self.last(nn.functional.mish(self.middle(found)))
        return MainWeights.of_flat(flat, self.sizes)
