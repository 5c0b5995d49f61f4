"""Ways to run the network on a device, which `gpu.py` times and `tests/gpu` compares.

The program uses two of them, the plans of whole grids and of slabs; the others might be faster. On
a CPU, TF32 is imitated by rounding the operands of convolutions to its ten bits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from bids_dtg.contrasts.network.dense import folded_network
from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.network.prepared import prepare
from bids_dtg.contrasts.network.unet import AttentionUNet

Predict = Callable[[np.ndarray], np.ndarray]  # (rois, voxels) to (contrasts, voxels)


@dataclass(frozen=True)
class Form:
    """A way to run the network."""

    words: str  # description in the table
    plan: Literal["", "blocks", "dense", "slabs"] = ""  # empty: none of the program's
    folded: bool = True  # batch norms are folded into the convolutions
    channels_last: bool = True  # order in memory
    precision: Literal["float32", "TF32", "bf16"] = "float32"  # of convolutions
    searched: bool = False  # cuDNN tries its algorithms and takes the fastest
    compiled: bool = False  # by torch.compile
    graph: bool = False  # recorded as a CUDA graph

    @property
    def needs_gpu(self) -> bool:
        return self.graph or self.searched


FORMS = {
    "blocks": Form("plan of blocks, on the CPU", plan="blocks"),
    "eager": Form(
        "eager, as the network is written", folded=False, channels_last=False
    ),
    "folded": Form("batch norms folded", channels_last=False),
    "channels-last": Form("folded, channels last"),
    "dense": Form("**plan of whole grids** (the program's first choice)", plan="dense"),
    "slabs": Form("**plan of slabs** (its second)", plan="slabs"),
    "searched": Form("channels last, fastest algorithms", searched=True),
    "tf32": Form("channels last, TF32", precision="TF32"),
    "tf32-searched": Form(
        "channels last, TF32, fastest algorithms", precision="TF32", searched=True
    ),
    "bf16": Form("channels last, bf16", precision="bf16"),
    "compile": Form("torch.compile", compiled=True),
    "compile-tf32": Form("torch.compile, TF32", compiled=True, precision="TF32"),
    "compile-bf16": Form("torch.compile, bf16", compiled=True, precision="bf16"),
    "graph": Form("CUDA graph", graph=True),
    "graph-tf32": Form("CUDA graph, TF32", graph=True, precision="TF32"),
    "graph-bf16": Form("CUDA graph, bf16", graph=True, precision="bf16"),
}


def make(form: Form, network: AttentionUNet, mask: np.ndarray, device: str) -> Predict:
    """Return a function that predicts maps inside a mask; `network` is in eval mode."""
    if form.plan:
        place = "cpu" if form.plan == "blocks" else device
        return prepare(Parameters.of(network), mask, place, plan=form.plan).predict
    return _UnusedForm(form, network, mask, device)


class _UnusedForm:
    """A form that the program does not use."""

    def __init__(
        self, form: Form, network: AttentionUNet, mask: np.ndarray, device: str
    ) -> None:
        self.form, self.device, self.shape = form, torch.device(device), mask.shape
        network = copy.deepcopy(network).requires_grad_(False)
        if form.folded:
            network = folded_network(network)
        if form.precision == "TF32" and self.device.type == "cpu":
            _imitate_tf32(network)
        self.network = network.to(self.device)
        if form.channels_last:
            self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.voxels = torch.from_numpy(np.flatnonzero(mask)).to(self.device)
        self.run: Callable[[Tensor], Tensor] = self._maps
        if form.compiled:
            self.run = torch.compile(self._maps)
        if form.graph:
            with torch.no_grad(), self._settings():
                self.run = self._recorded(network.in_channels)

    def __call__(self, connectome: np.ndarray) -> np.ndarray:
        with torch.no_grad(), self._settings():
            values = torch.from_numpy(connectome).to(self.device)
            maps: np.ndarray = self.run(values).float().cpu().numpy()
        return maps

    def _maps(self, values: Tensor) -> Tensor:
        rows = values.new_zeros(int(np.prod(self.shape)), len(values))
        rows[self.voxels] = values.T
        grid = rows.view(1, *self.shape, len(values)).permute(0, 4, 1, 2, 3)
        if not self.form.channels_last:
            grid = grid.contiguous()
        maps: Tensor = self.network(grid)[0].flatten(1)[:, self.voxels]
        return maps

    def _recorded(self, rois: int) -> Callable[[Tensor], Tensor]:
        """Record a CUDA graph, after three runs in which algorithms are chosen."""
        values = torch.zeros(rois, len(self.voxels), device=self.device)
        side = torch.cuda.Stream(self.device)
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            for _ in range(3):
                self._maps(values)
        torch.cuda.current_stream(self.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            maps = self._maps(values)

        def replay(new: Tensor) -> Tensor:
            values.copy_(new)
            graph.replay()
            return maps

        return replay

    @contextmanager
    def _settings(self) -> Iterator[None]:
        form = self.form
        cudnn = torch.backends.cudnn.flags(
            enabled=True,
            benchmark=form.searched,
            deterministic=not form.searched,
            allow_tf32=form.precision == "TF32",
        )
        low = torch.autocast(
            self.device.type,
            torch.bfloat16,
            enabled=form.precision == "bf16",
            cache_enabled=not form.graph,
        )
        with cudnn, low:
            yield


def _imitate_tf32(network: nn.Module) -> None:
    """Round the operands of convolutions to a mantissa of 10 bits, as in TF32."""

    def rounded(values: Tensor) -> Tensor:
        bits = values.contiguous().view(torch.int32)
        return ((bits + (1 << 12)) & ~((1 << 13) - 1)).view(torch.float32)

    def round_input(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (rounded(inputs[0]),)

    for layer in network.modules():
        if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
            layer.weight.data = rounded(layer.weight.data)
            layer.register_forward_pre_hook(round_input)


@dataclass(frozen=True)
class Agreement:
    """Agreement of maps with reference maps."""

    least_r: float  # smallest Pearson's r over voxels of any map
    # Largest difference of any map, as a share of its largest value.
    largest_error: float

    @classmethod
    def of(cls, maps: np.ndarray, expected: np.ndarray) -> Agreement:
        """Compare maps (contrasts, voxels)."""
        r = [np.corrcoef(*pair)[0, 1] for pair in zip(maps, expected, strict=True)]
        errors = np.abs(maps - expected).max(axis=1) / np.abs(expected).max(axis=1)
        return cls(float(min(r)), float(errors.max()))


def random_network(
    rois: int, contrasts: int, features: int, **sizes: Any
) -> AttentionUNet:
    """Make a network in eval mode, with random weights and non-trivial batch statistics."""
    torch.manual_seed(0)
    network = AttentionUNet(rois, contrasts, features, **sizes)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.running_mean.normal_(0, 0.2)  # type: ignore[union-attr, operator]
            layer.running_var.uniform_(0.5, 2)  # type: ignore[union-attr, operator]
            nn.init.normal_(layer.weight, 1, 0.3)
            nn.init.normal_(layer.bias, 0, 0.2)
    return network.eval()
