"""Loops over frames and their gradients, compiled by Numba for training on a CPU.

These are the LSTMs of the encoders, and the transitions of the states. PyTorch, the plain form,
takes four times the processor time: it also computes gradients of inputs that nobody needs, stores
what can be computed again, and clears new memory in each step. Importing this module compiles the
kernels (10 s), or reads what an earlier process has compiled.

All arrays are single precision and in C order. Columns of a matrix are items, or samples of items.
Inner loops have few flat arrays and no branches, so that the compiler makes vector instructions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from numba import float32, njit, void
from threadpoolctl import ThreadpoolController
from torch import Tensor

from bids_dtg.array_types import Float32

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},  # a product and its sum in one instruction
}
_ZERO, _HALF, _ONE, _TWO = map(np.float32, (0, 0.5, 1, 2))
_LOOK = 16  # frames between looks at a gradient that decays
# Share of a gradient that is below the rounding errors of its sum over frames.
_VANISHED = np.float32(1e-12)
# exp(x) = 2ⁿ exp(r), with a whole number n and |r| < ln(2) / 2; constants of the library Cephes.
_MOST = np.float32(87)  # exp of more would not be finite
_LOG2_E, _LN2_HIGH, _LN2_LOW = map(
    np.float32, (1.44269504, 0.693359375, -2.12194440e-4)
)
_E2, _E3, _E4 = map(np.float32, (5.0000001201e-1, 1.6666665459e-1, 4.1665795894e-2))
_E5, _E6, _E7 = map(np.float32, (8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4))
_EXPONENT_OF_1, _MANTISSA_BITS = np.int32(127), np.int32(23)
_MATRIX, _CUBE = float32[:, ::1], float32[:, :, ::1]

_inner: Callable[[Function], Function] = njit(**_OPTIONS)


def _kernel(*types: Any) -> Callable[[Function], Function]:
    """Compile a function for arguments of these types, once for all processes of a user.

    Numba keeps what it has compiled beside the module or in the user's cache folder.
    """

    def compiled(function: Function) -> Function:
        kernel: Function
        try:
            kernel = njit(void(*types), cache=True, **_OPTIONS)(function)
        # A cache that cannot be written, or read, costs the compiling.
        except Exception:
            kernel = njit(void(*types), **_OPTIONS)(function)
        return kernel

    return compiled


@_inner
def _exp(x: Any) -> Any:
    x = _MOST if x > _MOST else x
    x = -_MOST if x < -_MOST else x
    n = np.floor(x * _LOG2_E + _HALF)
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    series = ((((_E7 * r + _E6) * r + _E5) * r + _E4) * r + _E3) * r + _E2
    power = np.int32((np.int32(n) + _EXPONENT_OF_1) << _MANTISSA_BITS)
    return (series * r * r + r + _ONE) * power.view(np.float32)


@_inner
def _sigmoid(x: Any) -> Any:
    return _ONE / (_ONE + _exp(-x))


@_inner
def _tanh(x: Any) -> Any:
    e = _exp(-_TWO * x)
    return (_ONE - e) / (_ONE + e)


@_inner
def _add(total: Float32, part: Float32) -> None:
    for i in range(part.size):
        total[i] += part[i]


@_inner
def _add_product(
    total: Float32, first: Float32, second: Float32, part: Float32
) -> None:
    """Add a matrix product, which is written to `part` first."""
    np.dot(first, second, part)
    _add(total.reshape(-1), part.reshape(-1))


@_inner
def _largest(values: Float32) -> Any:
    most = _ZERO
    for i in range(values.size):
        size = abs(values[i])
        most = size if size > most else most
    return most


@_inner
def _open_sigmoids(gates: Float32, constants: Float32) -> None:
    for i in range(gates.size):
        gates[i] = _sigmoid(gates[i] + constants[i])


@_inner
def _open_tanh(gates: Float32, constants: Float32) -> None:
    for i in range(gates.size):
        gates[i] = _tanh(gates[i] + constants[i])


@_inner
def _remember(
    take: Float32, keep: Float32, change: Float32, old: Float32, new: Float32
) -> None:
    for i in range(new.size):
        new[i] = keep[i] * old[i] + take[i] * change[i]


@_inner
def _show(show: Float32, cell: Float32, units: Float32) -> None:
    for i in range(cell.size):
        units[i] = show[i] * _tanh(cell[i])


@_kernel(_MATRIX, _MATRIX, _MATRIX, _CUBE, _CUBE, _CUBE, _CUBE)
def _forward(
    weights: Float32,
    constants: Float32,
    out: Float32,
    before: Float32,
    gates: Float32,
    cells: Float32,
    results: Float32,
) -> None:
    """Run an LSTM.

    Parameters
    ----------
    weights
        (4 units, units + signals): gates in PyTorch's order, input, forget, cell, output.
    constants
        (4 units, items), what is added to the gates at each frame.
    out
        (results, units): a linear layer over the units of each frame; it may have no results.
    before
        (frames + 1, units + signals, items): at each frame, the units of the frame before above the
        signals. Units after the first frame are written.
    gates
        (frames, 4 units, items), written.
    cells
        (frames + 1, units, items), written after the first frame.
    results
        (frames, results, items), of the linear layer, written.
    """
    frames = len(gates)
    _, units, items = cells.shape
    n = units * items
    constant = constants.reshape(-1)
    for t in range(frames):
        np.dot(weights, before[t], gates[t])
        gate, cell = gates[t].reshape(-1), cells[t + 1].reshape(-1)
        _open_sigmoids(gate[: 2 * n], constant[: 2 * n])
        _open_tanh(gate[2 * n : 3 * n], constant[2 * n : 3 * n])
        _open_sigmoids(gate[3 * n :], constant[3 * n :])
        take = gate[:n]
        keep = gate[n : 2 * n]
        change = gate[2 * n : 3 * n]
        _remember(take, keep, change, cells[t].reshape(-1), cell)
        _show(gate[3 * n :], cell, before[t + 1].reshape(-1)[:n])
        if len(out):
            np.dot(out, before[t + 1, :units], results[t])


# Gradients of gates are those before their sigmoid or tanh. The slope of a sigmoid s is s - s²,
# that of a tanh 1 - tanh².


@_inner
def _back_show(
    show: Float32,
    cell: Float32,
    grad_units: Float32,
    grad_cells: Float32,
    grad_show: Float32,
) -> None:
    for i in range(cell.size):
        output = _tanh(cell[i])
        s = show[i]
        grad_cells[i] += (_ONE - output * output) * s * grad_units[i]
        grad_show[i] = (s - s * s) * output * grad_units[i]


@_inner
def _back_take(
    take: Float32,
    change: Float32,
    grad_cells: Float32,
    grad_take: Float32,
    grad_change: Float32,
) -> None:
    for i in range(take.size):
        t = take[i]
        c = change[i]
        grad_take[i] = (t - t * t) * c * grad_cells[i]
        grad_change[i] = (_ONE - c * c) * t * grad_cells[i]


@_inner
def _back_keep(
    keep: Float32, old: Float32, grad_cells: Float32, grad_keep: Float32
) -> None:
    for i in range(keep.size):
        k = keep[i]
        grad_keep[i] = (k - k * k) * old[i] * grad_cells[i]
        grad_cells[i] = k * grad_cells[i]


@_kernel(*(_MATRIX,) * 2, *(_CUBE,) * 4, *(_MATRIX,) * 4)
def _backward(
    back: Float32,
    out: Float32,
    before: Float32,
    gates: Float32,
    cells: Float32,
    grad_results: Float32,
    grad_last: Float32,
    grad_weights: Float32,
    grad_constants: Float32,
    grad_out: Float32,
) -> None:
    """Add an LSTM's gradient to `grad_weights`, `grad_constants` and `grad_out`.

    Parameters
    ----------
    back
        (units, 4 units), the weights of the units, transposed.
    out, before, gates, cells
        As for `_forward`, which wrote the last three.
    grad_results
        (frames, results, items), gradient of the linear layer's results.
    grad_last
        (units, items), gradient of the last units that does not pass through the linear layer.
    """
    frames = len(gates)
    _, units, items = cells.shape
    n = units * items
    grad_gates = np.empty((4 * units, items), np.float32)
    grad_gate = grad_gates.reshape(-1)
    grad_units = grad_last.copy()
    grad_unit = grad_units.reshape(-1)
    grad_cell = np.zeros(n, np.float32)
    out_back = out.T.copy()
    # Written over at each frame.
    grad_result = np.empty_like(grad_units)
    weights_part, out_part = np.empty_like(grad_weights), np.empty_like(grad_out)
    vanished = _VANISHED * _largest(grad_unit)
    for t in range(frames - 1, -1, -1):
        if len(out):
            _add_product(grad_units, out_back, grad_results[t], grad_result)
            _add_product(grad_out, grad_results[t], before[t + 1, :units].T, out_part)
        gate = gates[t].reshape(-1)
        take = gate[:n]
        keep = gate[n : 2 * n]
        change = gate[2 * n : 3 * n]
        cell, cell_before = cells[t + 1].reshape(-1), cells[t].reshape(-1)
        _back_show(gate[3 * n :], cell, grad_unit, grad_cell, grad_gate[3 * n :])
        _back_take(take, change, grad_cell, grad_gate[:n], grad_gate[2 * n : 3 * n])
        _back_keep(keep, cell_before, grad_cell, grad_gate[n : 2 * n])
        _add_product(grad_weights, grad_gates, before[t].T, weights_part)
        _add(grad_constants.reshape(-1), grad_gate)
        np.dot(back, grad_gates, grad_units)
        # The gradient of an LSTM that is read at the end only decays along the series.
        is_time_to_look = len(out) == 0 and t % _LOOK == 0
        if (
            is_time_to_look
            and max(_largest(grad_unit), _largest(grad_cell)) <= vanished
        ):
            break


@_inner
def _rectify(activity: Float32, constant: Float32) -> None:
    for i in range(activity.size):
        a = activity[i] + constant[i]
        activity[i] = a if a > _ZERO else a * _ZERO


@_inner
def _where_active(gradient: Float32, activity: Float32) -> None:
    for i in range(activity.size):
        gradient[i] = gradient[i] if activity[i] > _ZERO else _ZERO


@_inner
def _error(after: Float32, before: Float32, bias: Float32, change: Float32) -> None:
    for i in range(change.size):
        change[i] = after[i] - before[i] - bias[i] - change[i]


@_inner
def _add_squares(total: Float32, error: Float32) -> None:
    for i in range(error.size):
        total[i] += error[i] * error[i]


@_inner
def _to_gradient(error: Float32, grad_square: Float32) -> None:
    for i in range(error.size):
        error[i] *= -_TWO * grad_square[i]


@_inner
def _subtract(total: Float32, part: Float32) -> None:
    for i in range(part.size):
        total[i] -= part[i]


@_inner
def _transition(
    inputs: Float32,
    after: Float32,
    hidden: Float32,
    constant: Float32,
    out: Float32,
    bias: Float32,
    activity: Float32,
    error: Float32,
) -> None:
    """Write the hidden layer's activity at a frame, and the error of the state it predicts."""
    np.dot(hidden, inputs, activity)
    _rectify(activity.reshape(-1), constant.reshape(-1))
    np.dot(out, activity, error)
    n = error.size
    before, later = inputs.reshape(-1)[:n], after.reshape(-1)[:n]
    _error(later, before, bias.reshape(-1), error.reshape(-1))


@_kernel(_CUBE, *(_MATRIX,) * 5)
def _squares(
    inputs: Float32,
    hidden: Float32,
    constant: Float32,
    out: Float32,
    bias: Float32,
    total: Float32,
) -> None:
    """Add up the squares of all errors; arguments as for `transition_squares`, bias by column."""
    activity, error = np.empty_like(constant), np.empty_like(bias)
    for t in range(len(inputs) - 1):
        now, after = inputs[t], inputs[t + 1]
        _transition(now, after, hidden, constant, out, bias, activity, error)
        _add_squares(total.reshape(-1), error.reshape(-1))


@_kernel(_CUBE, *(_MATRIX,) * 5, _CUBE, *(_MATRIX,) * 4)
def _squares_backward(
    inputs: Float32,
    hidden: Float32,
    constant: Float32,
    out: Float32,
    bias: Float32,
    grad_total: Float32,
    grad_inputs: Float32,
    grad_hidden: Float32,
    grad_constant: Float32,
    grad_out: Float32,
    grad_bias: Float32,
) -> None:
    """Add the gradients of `_squares` to the last five arrays.

    The hidden layer is computed again: to store that of all frames would take longer.
    """
    activity, error = np.empty_like(constant), np.empty_like(bias)
    grad_activity, inputs_part = np.empty_like(constant), np.empty_like(inputs[0])
    hidden_part, out_part = np.empty_like(hidden), np.empty_like(out)
    hidden_back, out_back = hidden.T.copy(), out.T.copy()
    n = bias.size
    for t in range(len(inputs) - 1):
        now, after = inputs[t], inputs[t + 1]
        _transition(now, after, hidden, constant, out, bias, activity, error)
        _to_gradient(error.reshape(-1), grad_total.reshape(-1))
        grad_change, grad_states = error, error.reshape(-1)
        _add(grad_bias.reshape(-1), grad_states)
        _add_product(grad_out, grad_change, activity.T, out_part)
        np.dot(out_back, grad_change, grad_activity)
        _where_active(grad_activity.reshape(-1), activity.reshape(-1))
        _add(grad_constant.reshape(-1), grad_activity.reshape(-1))
        _add_product(grad_hidden, grad_activity, now.T, hidden_part)
        _add_product(grad_inputs[t], hidden_back, grad_activity, inputs_part)
        # The error is the state after, minus the state before, minus the predicted change.
        _add(grad_inputs[t].reshape(-1)[:n], grad_states)
        _subtract(grad_inputs[t + 1].reshape(-1)[:n], grad_states)


_BLAS = ThreadpoolController()  # has SciPy's, which Numba's matrix products have loaded


def _run(kernel: Callable[..., None], *arrays: Float32) -> None:
    """Call a kernel on one thread: a frame's matrix products are too small to share."""
    with _BLAS.limit(limits=1, user_api="blas"):
        kernel(*arrays)


class Memory:
    """What gradients need of a forward pass, kept from step to step, as new memory takes time.

    As many blocks are kept as were needed at one time, and none is larger than the largest need.

    Examples
    --------
    >>> memory = Memory()
    >>> block = memory.take(10)
    >>> memory.give_back(block)
    >>> memory.take(8) is block, memory.take(8) is block
    (True, False)
    """

    def __init__(self) -> None:
        self._spare: list[Float32] = []

    def take(self, size: int) -> Float32:
        """Return a block of at least `size` values that nothing else uses."""
        block = self._spare.pop() if self._spare else np.empty(0, np.float32)
        return block if block.size >= size else np.empty(size, np.float32)

    def give_back(self, block: Float32) -> None:
        """Let a later pass write over a block."""
        self._spare.append(block)


def run_lstm(
    weights: Tensor, constants: Tensor, out: Tensor, signals: Tensor, memory: Memory
) -> tuple[Tensor, Tensor]:
    """Run an LSTM and a linear layer over its units, with gradients of all but the signals.

    Parameters
    ----------
    weights
        (4 units, units + signals), gates in PyTorch's order.
    constants
        (4 units, items), what is added to the gates at each frame.
    out
        (results, units), the linear layer; it may have no results.
    signals
        (frames, signals, items).
    memory
        Where the pass keeps what its gradient needs.

    Returns
    -------
    results
        (frames, results, items), of the linear layer.
    last
        (units, items), after the last frame.

    Examples
    --------
    >>> memory, signals = Memory(), torch.zeros(20, 2, 5)
    >>> weights, constants, out = torch.zeros(12, 5), torch.ones(12, 5), torch.ones(4, 3)
    >>> results, last = run_lstm(weights, constants, out, signals, memory)
    >>> results.shape, last.shape
    (torch.Size([20, 4, 5]), torch.Size([3, 5]))
    """
    tensors = [tensor.contiguous() for tensor in (weights, constants, out, signals)]
    results, last = _Lstm.apply(*tensors, memory)  # type: ignore[no-untyped-call]
    return results, last


class _Lstm(torch.autograd.Function):
    """`run_lstm` and its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        weights: Tensor,
        constants: Tensor,
        out: Tensor,
        signals: Tensor,
        memory: Memory,
    ) -> tuple[Tensor, Tensor]:
        rows, columns = weights.shape
        units = rows // 4
        frames, _, items = signals.shape
        shapes = (
            (frames + 1, columns, items),
            (frames, rows, items),
            (frames + 1, units, items),
        )
        ends = np.cumsum([np.prod(shape) for shape in shapes])
        block = memory.take(int(ends[-1]))
        parts = np.split(block[: ends[-1]], ends[:-1])
        before, gates, cells = map(np.reshape, parts, shapes)
        before[0, :units] = cells[0] = 0.0
        before[:-1, units:] = signals.numpy()
        results = torch.empty(frames, len(out), items)
        inputs = [tensor.numpy() for tensor in (weights, constants, out)]
        _run(_forward, *inputs, before, gates, cells, results.numpy())
        last = torch.from_numpy(before[-1, :units].copy())
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(weights, constants, out)
            ctx.pass_arrays = before, gates, cells
            ctx.memory = memory
            ctx.block = block
        else:
            memory.give_back(block)
        return results, last

    @staticmethod
    def backward(
        ctx: Any, grad_results: Tensor, grad_last: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None]:
        weights, _, out = ctx.saved_tensors
        gradients = [torch.zeros_like(tensor) for tensor in ctx.saved_tensors]
        back = weights[:, : out.shape[1]].T
        _run(
            _backward,
            back.contiguous().numpy(),
            out.contiguous().numpy(),
            *ctx.pass_arrays,
            grad_results.contiguous().numpy(),
            grad_last.contiguous().numpy(),
            *(gradient.numpy() for gradient in gradients),
        )
        ctx.memory.give_back(ctx.block)
        return gradients[0], gradients[1], gradients[2], None, None


def transition_squares(
    inputs: Tensor, hidden: Tensor, constant: Tensor, out: Tensor, bias: Tensor
) -> Tensor:
    """Return the sum over frames of the squared errors with which states are predicted.

    Parameters
    ----------
    inputs
        (frames, inputs, columns): states of each frame, below them further inputs.
    hidden
        (hidden, inputs), weights of the hidden layer.
    constant
        (hidden, columns), what is added to the hidden layer at each frame.
    out
        (states, hidden), weights of the second layer.
    bias
        (states,), its bias.

    Returns
    -------
    Tensor
        (states, columns).

    Examples
    --------
    >>> inputs, hidden = torch.ones(20, 3, 5), torch.ones(4, 3)
    >>> weights = hidden, torch.zeros(4, 5), torch.zeros(2, 4), torch.full((2,), 0.5)
    >>> float(transition_squares(inputs, *weights)[0, 0])
    4.75
    """
    biases = bias.unsqueeze(1).expand(-1, inputs.shape[-1])
    tensors = [t.contiguous() for t in (inputs, hidden, constant, out, biases)]
    return _Squares.apply(*tensors)  # type: ignore[no-untyped-call]


class _Squares(torch.autograd.Function):
    """`transition_squares` and its gradient."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        total = torch.zeros_like(tensors[-1])
        _run(_squares, *(tensor.numpy() for tensor in (*tensors, total)))
        ctx.save_for_backward(*tensors)
        return total

    @staticmethod
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor, ...]:
        tensors = ctx.saved_tensors
        gradients = tuple(torch.zeros_like(tensor) for tensor in tensors)
        arrays = (*tensors, grad_total.contiguous(), *gradients)
        _run(_squares_backward, *(tensor.numpy() for tensor in arrays))
        return gradients
