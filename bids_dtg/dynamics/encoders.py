"""The encoders: bidirectional LSTMs, of all encoders in one loop on the CPU.

PyTorch runs the four LSTMs of a model one after another and computes gradients of inputs, which
nobody needs. One loop over frames for all of them, with the gradient written out, takes a third of
the processor time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

_DIRECTIONS = ("", "_reverse")  # ends of the names of an LSTM's tensors in PyTorch
# PyTorch's order of the gates is input, forget, cell, output. Ours has those of a sigmoid first.
_INPUT, _FORGET, _CELL, _OUTPUT = range(4)
_LOOK = 16  # frames between looks at a gradient that decays
_VANISHED = 1e-12  # share of a gradient that is below the rounding errors of its sum over frames
_ORDER = (_INPUT, _FORGET, _OUTPUT, _CELL)


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
        mean, log_variance = self.out(units).split(self.dimensions, dim=-1)
        return Gaussian(mean, log_variance)


def encode(
    state_encoder: Encoder, region_encoder: Encoder, signals: Tensor, one_hot: Tensor
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

    Returns
    -------
    states
        (frames, items, states).
    region
        (items, region parameters).
    """
    lstms = (state_encoder.lstm, region_encoder.lstm)
    run = _by_pytorch if signals.is_cuda else _in_one_loop
    state_units, region_units = run(lstms, signals, one_hot)
    return state_encoder.gaussian(state_units), region_encoder.gaussian(region_units)


def _by_pytorch(
    lstms: Sequence[nn.LSTM], signals: Tensor, one_hot: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what `_in_one_loop` returns, by the LSTM of PyTorch, which is fast on a GPU."""
    people = one_hot.expand(len(signals), *one_hot.shape)
    inputs = torch.cat((signals.transpose(1, 2), people), -1)
    state_lstm, region_lstm = lstms
    every_frame, _ = state_lstm(inputs)
    _, (last, _) = region_lstm(inputs)
    return every_frame, torch.cat((last[0], last[1]), -1)


def _in_one_loop(
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
    weights, constants = [], []
    for lstm in lstms:
        for end in _DIRECTIONS:
            of_inputs = _in_our_order(getattr(lstm, f"weight_ih_l0{end}"))
            of_units = _in_our_order(getattr(lstm, f"weight_hh_l0{end}"))
            bias = getattr(lstm, f"bias_ih_l0{end}") + getattr(lstm, f"bias_hh_l0{end}")
            of_signals, of_people = of_inputs[:, :2], of_inputs[:, 2:]
            weights.append(torch.cat((of_units, of_signals), 1))
            # A person's column of the weights is the same at each frame.
            constants.append(of_people @ one_hot.T + _in_our_order(bias).unsqueeze(1))
    both_directions = torch.stack((signals, signals.flip(0)), 1)
    inputs = both_directions.repeat(1, len(lstms), 1, 1)
    every_frame, last = _Loop.apply(  # type: ignore[no-untyped-call]
        torch.stack(weights), torch.stack(constants), inputs
    )
    forward, backward = every_frame.unbind(1)
    every_frame = torch.cat((forward, backward.flip(0)), 1).transpose(1, 2)
    return every_frame, last.flatten(0, 1).T


def _in_our_order(rows: Tensor) -> Tensor:
    gates = rows.chunk(4)
    return torch.cat([gates[gate] for gate in _ORDER])


class _Loop(torch.autograd.Function):
    """LSTMs that run side by side, with the gradient of their weights but not of their inputs.

    Arguments are weights (lstms, 4 units, units + signals), constants (lstms, 4 units, items) and
    inputs (frames, lstms, signals, items). Results are the units of the first half of the LSTMs at
    each frame, (frames, lstms / 2, units, items), and the last units of the others.
    """

    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, constants: Tensor, inputs: Tensor
    ) -> tuple[Tensor, Tensor]:
        frames, lstms, signals, items = inputs.shape
        size = weights.shape[2] - signals
        # At each frame, the units of the frame before above the signals.
        before = inputs.new_zeros(frames + 1, lstms, size + signals, items)
        before[:-1, :, size:] = inputs
        gates = inputs.new_empty(frames, lstms, 4 * size, items)
        cells = inputs.new_zeros(frames + 1, lstms, size, items)
        outputs = inputs.new_empty(frames, lstms, size, items)  # tanh of the cells
        cell, units = cells[0], before[1:, :, :size].unbind()
        for frame, (of_frame, gate) in enumerate(
            zip(before[:-1], _by_frame(gates), strict=True)
        ):
            torch.baddbmm(constants, weights, of_frame, out=gate.all)
            gate.opened.sigmoid_()
            gate.change.tanh_()
            cell = torch.mul(gate.keep, cell, out=cells[frame + 1])
            cell.addcmul_(gate.take, gate.change)
            output = torch.tanh(cell, out=outputs[frame])
            torch.mul(gate.show, output, out=units[frame])
        ctx.save_for_backward(weights, before, gates, cells, outputs)
        half = lstms // 2
        return before[1:, :half, :size], before[-1, half:, :size].clone()

    @staticmethod
    def backward(
        ctx: Any, of_frames: Tensor, of_last: Tensor
    ) -> tuple[Tensor, Tensor, None]:
        weights, before, gates, cells, outputs = ctx.saved_tensors
        frames, lstms, size, _ = outputs.shape
        of_weights = torch.zeros_like(weights)
        of_constants = torch.zeros_like(gates[0])
        of_units = torch.cat((of_frames[-1], of_last))
        of_cells = torch.zeros_like(cells[0])
        half = lstms // 2
        vanished = _VANISHED * float(of_last.abs().max())
        remaining = frames
        # The gradient of LSTMs that are read at the end only decays along the series. When it
        # has vanished, the others go on without them.
        for running in (lstms, half):
            gradient = _Gradient(
                weights[:running, :, :size],
                of_weights[:running],
                of_constants[:running],
                of_units[:running],
                of_cells[:running],
            )
            steps = zip(
                _by_frame(gates[:remaining, :running]),
                before[:remaining, :running].transpose(2, 3),
                cells[:remaining, :running],
                outputs[:remaining, :running],
                strict=True,
            )
            for gate, units_before, cell_before, output in reversed(list(steps)):
                gradient.step_back(gate, units_before, cell_before, output)
                remaining -= 1
                if remaining > 0:
                    gradient.of_units[:half].add_(of_frames[remaining - 1])
                is_time_to_look = running > half and remaining % _LOOK == 0
                if is_time_to_look and gradient.largest_from(half) <= vanished:
                    break
            of_units = gradient.of_units
        return of_weights, of_constants, None


class _Gradient:
    """Gradients of LSTMs, which go back in time frame by frame.

    Parameters
    ----------
    unit_weights
        The LSTMs' weights of the units of the frame before, (lstms, 4 units, units).
    of_weights, of_constants
        Gradients of the weights and constants, summed over frames; each step adds to them.
    of_units, of_cells
        Gradients of the units and cells at the latest frame, (lstms, units, items); each step
        replaces them with those at the frame before.
    """

    def __init__(
        self,
        unit_weights: Tensor,
        of_weights: Tensor,
        of_constants: Tensor,
        of_units: Tensor,
        of_cells: Tensor,
    ) -> None:
        self.of_weights = of_weights
        self.of_constants = of_constants
        self.of_units = of_units
        self.of_cells = of_cells
        lstms, size, items = of_cells.shape
        self._back = unit_weights.transpose(1, 2).contiguous()
        # Written over in each step, since new tensors would take time.
        self._of_gates = _Gates.of(torch.empty_like(of_constants))
        of_take_and_keep = self._of_gates.all[:, : 2 * size]
        self._of_take_and_keep = of_take_and_keep.view(lstms, 2, size, items)
        self._slope = torch.empty_like(of_cells)
        self._ones = torch.ones_like(of_cells)

    def step_back(
        self, gate: _Gates, units_before: Tensor, cell_before: Tensor, output: Tensor
    ) -> None:
        """Go back by one frame, from what `_Loop.forward` computed there."""
        of_gates, of_cells = self._of_gates, self.of_cells
        # The slope of a tanh is 1 - tanh², that of a sigmoid s - s².
        torch.addcmul(self._ones, output, output, value=-1, out=self._slope)
        of_cells.addcmul_(self._slope.mul_(gate.show), self.of_units)
        opened, change = gate.opened, gate.change
        torch.addcmul(opened, opened, opened, value=-1, out=of_gates.opened)
        torch.addcmul(self._ones, change, change, value=-1, out=of_gates.change)
        of_gates.show.mul_(output).mul_(self.of_units)
        of_gates.take.mul_(change)
        of_gates.keep.mul_(cell_before)
        self._of_take_and_keep.mul_(of_cells.unsqueeze(1))
        of_gates.change.mul_(gate.take).mul_(of_cells)
        self.of_weights.baddbmm_(of_gates.all, units_before)
        self.of_constants.add_(of_gates.all)
        of_cells.mul_(gate.keep)
        self.of_units = torch.bmm(self._back, of_gates.all)

    def largest_from(self, lstm: int) -> Tensor:
        """Return the largest gradient at the latest frame, of this LSTM and those after it."""
        of_both = torch.maximum(self.of_units[lstm:].abs(), self.of_cells[lstm:].abs())
        return of_both.max()


class _Gates(NamedTuple):
    """Views of the gates of LSTMs, (…, lstms, units, items)."""

    all: Tensor
    opened: Tensor  # the three gates of a sigmoid
    take: Tensor
    keep: Tensor
    show: Tensor
    change: Tensor

    @classmethod
    def of(cls, gates: Tensor) -> _Gates:
        take, keep, show, change = torch.chunk(gates, 4, dim=-2)
        opened = torch.narrow(gates, -2, 0, 3 * take.shape[-2])
        return cls(gates, opened, take, keep, show, change)


def _by_frame(gates: Tensor) -> list[_Gates]:
    """Return views of the gates at each frame; made together, since each takes time of its own."""
    return list(
        map(_Gates._make, zip(*map(torch.unbind, _Gates.of(gates)), strict=True))
    )
