"""The encoders: bidirectional LSTMs, by PyTorch or by compiled kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from bids_dtg.dynamics.kernels import Memory

_DIRECTIONS = ("", "_reverse")  # ends of the names of an LSTM's tensors in PyTorch


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A Gaussian with independent dimensions."""

    mean: Tensor
    log_variance: Tensor  # same shape as the mean

    @property
    def sd(self) -> Tensor:
        """Standard deviations."""
        return torch.exp(0.5 * self.log_variance)

    def at(self, noise: Tensor, samples: int = 0) -> Tensor:
        """Return samples, from noise of variance 1 with `samples` as its additional axis."""
        return torch.addcmul(
            self.mean.unsqueeze(samples), self.sd.unsqueeze(samples), noise
        )

    def kl(self) -> Tensor:
        """Return the KL divergence of each element from a Gaussian of mean 0 and variance 1."""
        return 0.5 * (
            self.log_variance.exp() + self.mean.square() - 1.0 - self.log_variance
        )


class Encoder(nn.Module):
    """A bidirectional LSTM over a series; a linear layer gives mean and log variance."""

    def __init__(self, inputs: int, units: int, dimensions: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, units, bidirectional=True)
        self.out = nn.Linear(2 * units, 2 * dimensions)
        self.dimensions = dimensions
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        for name, parameter in self.lstm.named_parameters():
            self._start(name, parameter, units)

    @staticmethod
    def _start(name: str, parameter: nn.Parameter, units: int) -> None:
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(parameter)
        else:
            nn.init.zeros_(parameter)
            if name.startswith("bias_ih"):  # bias of the forget gates
                nn.init.ones_(parameter[units : 2 * units])
            else:  # PyTorch's LSTM has a second bias, which the model lacks
                parameter.requires_grad_(False)

    def gaussian(self, units: Tensor) -> Gaussian:
        """Return the Gaussian that the linear layer makes of the LSTM's units, (..., 2 units)."""
        return self._split(self.out(units))

    def gaussian_of(self, results: Sequence[Tensor]) -> Gaussian:
        """Return the same of the linear layer's products with the units of each direction.

        Each is (frames, 2 dimensions, items), in the order of its direction.
        """
        forward, backward = results
        summed = forward + backward.flip(0) + self.out.bias.unsqueeze(1)
        return self._split(summed.transpose(1, 2))

    def _split(self, values: Tensor) -> Gaussian:
        mean, log_variance = values.chunk(2, dim=-1)
        return Gaussian(mean, log_variance)


def encode(
    state_encoder: Encoder,
    region_encoder: Encoder,
    signals: Tensor,
    one_hot: Tensor,
    memory: Memory | None = None,
) -> tuple[Gaussian, Gaussian]:
    """Return the posterior of the states at each frame, and that of the region parameters.

    Parameters
    ----------
    state_encoder, region_encoder
        Two encoders with the same number of units. The state encoder is read at each frame, the
        region encoder at the end of each direction.
    signals
        (frames, 2, items): series and network input.
    one_hot
        (items, people): the person of each item.
    memory
        Memory of the compiled kernels, which then take the place of PyTorch's LSTM on the CPU and
        in single precision; None: PyTorch's.

    Returns
    -------
    states
        (frames, items, states).
    region
        (items, region parameters).
    """
    lstms = (state_encoder.lstm, region_encoder.lstm)
    if memory is None or signals.is_cuda or signals.dtype != torch.float32:
        state_units, region_units = _by_pytorch(lstms, signals, one_hot)
        states = state_encoder.gaussian(state_units)
    else:
        layers = (state_encoder.out.weight, state_encoder.out.weight[:0])
        (results, _), (_, last) = (
            _by_kernels(lstm, layer, signals, one_hot, memory)
            for lstm, layer in zip(lstms, layers, strict=True)
        )
        states = state_encoder.gaussian_of(results)
        region_units = torch.cat(last).T
    return states, region_encoder.gaussian(region_units)


def _by_pytorch(
    lstms: Sequence[nn.LSTM], signals: Tensor, one_hot: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the units of the first LSTM at each frame, and the last units of the second.

    Returns
    -------
    every_frame
        (frames, items, 2 units): forward and backward in time.
    last
        (items, 2 units): forward at the last frame, backward at the first.
    """
    people = one_hot.expand(len(signals), *one_hot.shape)
    inputs = torch.cat((signals.transpose(1, 2), people), -1)
    state_lstm, region_lstm = lstms
    every_frame, _ = state_lstm(inputs)
    _, (last, _) = region_lstm(inputs)
    return every_frame, torch.cat((last[0], last[1]), -1)


def _by_kernels(
    lstm: nn.LSTM, layer: Tensor, signals: Tensor, one_hot: Tensor, memory: Memory
) -> tuple[list[Tensor], list[Tensor]]:
    """Return what `run_lstm` returns of each direction of an LSTM, each in its own order of frames.

    `layer` has the weights of a linear layer over the units of both, (results, 2 units).
    """
    from bids_dtg.dynamics.kernels import run_lstm

    results, last = [], []
    directions = (signals, signals.flip(0))
    layers = layer.chunk(2, dim=1)
    for end, inputs, direction_layer in zip(
        _DIRECTIONS, directions, layers, strict=True
    ):
        input_weights = getattr(lstm, f"weight_ih_l0{end}")
        unit_weights = getattr(lstm, f"weight_hh_l0{end}")
        bias = getattr(lstm, f"bias_ih_l0{end}") + getattr(lstm, f"bias_hh_l0{end}")
        signal_weights, person_weights = input_weights[:, :2], input_weights[:, 2:]
        weights = torch.cat((unit_weights, signal_weights), 1)
        # A person's column of the weights is the same at each frame.
        constants = person_weights @ one_hot.T + bias.unsqueeze(1)
        frame_results, last_units = run_lstm(
            weights, constants, direction_layer, inputs, memory
        )
        results.append(frame_results)
        last.append(last_units)
    return results, last
