"""The network's parameters as arrays, with checked names and shapes, without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Float64, Values
from bids_dtg.errors import BundleError

if TYPE_CHECKING:
    from torch import Tensor, nn

# Their shapes give the sizes of the network: (features, ROIs, …) and (contrasts, features, …).
FIRST_WEIGHT, LAST_WEIGHT = "in_block.conv.0.weight", "out_block.1.weight"
# A batch norm's counter, the only parameter that is an integer.
_COUNTER = "num_batches_tracked"
_EPSILON = 1e-5  # torch's default for batch norm
_PAIR = tuple[Float64, Float64]


@dataclass(frozen=True)
class Sizes:
    """The sizes of a network, the arguments of `unet.AttentionUNet`."""

    in_channels: int
    out_channels: int
    features: int
    levels: int

    @classmethod
    def of(cls, arrays: Mapping[str, Values], source: str) -> Sizes:
        """Read the sizes from the shapes of the parameters.

        Raises
        ------
        BundleError
            The first or the last weight is missing or is not that of a convolution.
        """
        for name in (FIRST_WEIGHT, LAST_WEIGHT):
            if name not in arrays:
                raise not_the_network(source, f"{name} missing")
            if arrays[name].ndim != 5 or 0 in arrays[name].shape:
                raise not_the_network(source, f"{name} has shape {arrays[name].shape}")
        features, in_channels = arrays[FIRST_WEIGHT].shape[:2]
        levels = 0
        while f"downs.{levels}.conv.0.weight" in arrays:
            levels += 1
        return cls(in_channels, arrays[LAST_WEIGHT].shape[0], features, levels)

    @property
    def widths(self) -> list[int]:
        """Channels of the levels, the finest first."""
        return [self.features * 2**level for level in range(self.levels + 1)]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each parameter and buffer, by its published name.

        Examples
        --------
        >>> Sizes(50, 47, features=64, levels=1).shapes()["out_block.1.weight"]
        (47, 64, 1, 1, 1)
        """
        return dict(self._shapes())

    def _shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        widths = self.widths
        rising = widths[::-1]
        yield from _block("in_block", self.in_channels, self.features)
        for level, (above, below) in enumerate(pairwise(widths)):
            yield from _block(f"downs.{level}", above, below)
        yield from _block("bottleneck", widths[-1], 2 * widths[-1])
        for level, width in enumerate(rising):
            # Transposed: input channels come first.
            yield f"upscale.{level}.weight", (2 * width, width, 3, 3, 3)
            yield f"upscale.{level}.bias", (width,)
            gate = f"attention_gates.{level}"
            for part, outputs in (("W_g", width), ("W_x", width), ("psi.0", 1)):
                yield from _layer(f"{gate}.{part}", width, outputs, edge=1)
        for level, width in enumerate(rising[:-1]):
            yield from _block(f"ups.{level}", 2 * width, width)
        yield from _block("out_block.0", 2 * self.features, self.features)
        yield from _layer("out_block.1", self.features, self.out_channels, edge=1)


@dataclass(frozen=True, eq=False)
class Parameters:
    """The checked parameters and buffers of a network, in float32, by their published names."""

    sizes: Sizes
    arrays: Mapping[str, Values]

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Values], source: str = "the tensors"
    ) -> Parameters:
        """Check parameters, and copy them.

        Parameters
        ----------
        arrays
            Parameters and buffers under the published names, without a prefix.
        source
            Source to name in errors, usually the path of the file.

        Raises
        ------
        BundleError
            One is missing, unknown, of the wrong shape or type, or not finite.
        """
        sizes = Sizes.of(arrays, source)
        shapes = sizes.shapes()
        differences = [f"{name} missing" for name in sorted(shapes.keys() - arrays)]
        differences += [f"{name} unknown" for name in sorted(arrays.keys() - shapes)]
        if differences:
            words = f"{len(differences)} name(s) differ, first {differences[0]}"
            raise not_the_network(source, words)
        checked = {
            name: _checked(name, arrays[name], shape, source)
            for name, shape in shapes.items()
        }
        return cls(sizes, checked)

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], source: str = "the tensors"
    ) -> Parameters:
        """Check torch tensors, and copy them (see `from_arrays`)."""
        arrays = {}
        for name, tensor in tensors.items():
            on_cpu = tensor.detach().cpu()
            if on_cpu.is_floating_point():
                on_cpu = on_cpu.float()  # NumPy lacks some of torch's floating types
            arrays[name] = on_cpu.numpy()
        return cls.from_arrays(arrays, source)

    @classmethod
    def of(cls, network: nn.Module) -> Parameters:
        """Copy a network's parameters and running statistics."""
        return cls.from_tensors(network.state_dict(), "the network")

    def layer(self, name: str) -> tuple[Float32, Float32]:
        """Return weight and bias of a layer."""
        return self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"]

    def pointwise(self, name: str) -> tuple[Float32, Float32]:
        """Return a 1×1×1 convolution as a matrix (in, out) and a bias."""
        weight, bias = self.layer(name)
        return np.ascontiguousarray(weight.reshape(weight.shape[:2]).T), bias

    def convolution(self, block: str) -> _PAIR:
        """Return a block's weight (out, in, 3, 3, 3) and bias, with its batch norm folded in.

        Source: Jacob et al. 2018, "Quantization and training of neural networks for efficient
        integer-arithmetic-only inference", CVPR, equation 14; computed in 64 bits.
        """
        layer = self.layer(f"{block}.conv.0")
        weight, bias = (array.astype(np.float64) for array in layer)
        gain, shift = self.layer(f"{block}.conv.1")
        norm = f"{block}.conv.1.running_"
        mean, variance = self.arrays[f"{norm}mean"], self.arrays[f"{norm}var"]
        # A negative variance gives maps that are not finite, which are refused later.
        with np.errstate(invalid="ignore"):
            scale = gain / np.sqrt(variance.astype(np.float64) + _EPSILON)
        return weight * scale[:, None, None, None, None], (bias - mean) * scale + shift


def check_input_shape(shape: tuple[int, ...], in_channels: int, levels: int) -> None:
    """Raise ValueError unless `shape` is (n, in_channels, i, j, k), large enough to be halved."""
    smallest = 2 ** (levels + 1)
    if len(shape) != 5 or shape[1] != in_channels or min(shape[2:]) < smallest:
        raise ValueError(
            f"input of shape {shape}, but the network needs (n, {in_channels}, i, j, k) "
            f"with i, j, k of at least {smallest}"
        )


def not_the_network(source: str, fact: str) -> BundleError:
    """Make the error for tensors that are not those of the network."""
    return BundleError(
        f"{source} does not hold the weights of the network: {fact}",
        expected="the published names and shapes",
    )


def _layer(
    name: str, inputs: int, outputs: int, edge: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs, edge, edge, edge)
    yield f"{name}.bias", (outputs,)


def _block(
    name: str, inputs: int, outputs: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the names and shapes of a convolution and its batch norm."""
    yield from _layer(f"{name}.conv.0", inputs, outputs, edge=3)
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.conv.1.{part}", (outputs,)
    yield f"{name}.conv.1.{_COUNTER}", ()


def _checked(
    name: str, array: Values, shape: tuple[int, ...], source: str
) -> NDArray[np.generic]:
    """Return a copy of a parameter, in float32, or int64 for a counter."""
    is_counter = name.endswith(_COUNTER)
    wanted: np.dtype[Any] = np.dtype(np.int64 if is_counter else np.float32)
    if array.shape != shape:
        raise not_the_network(source, f"{name} has shape {array.shape}, not {shape}")
    if np.issubdtype(array.dtype, np.floating) == is_counter:
        raise not_the_network(source, f"{name} has type {array.dtype}, not {wanted}")
    # Overflow gives infinite values, which are refused below.
    with np.errstate(over="ignore"):
        copy = array.astype(wanted)
    if not np.isfinite(copy).all():
        raise not_the_network(source, f"{name} has values that are not finite")
    return copy
