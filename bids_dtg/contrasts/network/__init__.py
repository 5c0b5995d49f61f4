"""The attention U-Net of DeepTaskGen and its prepared form.

- `unet`: the network, with the parameter names of the published checkpoints
- `parameters`: the parameters as arrays, checked against the sizes they have
- `weights`: prepares its output layer for fine-tuning
- `kind`: the network as a kind of model
- `prepared`: the prepared form: the same maps, faster and in less memory
- `dense`: its plan for the GPU: whole grids
- `blocks_plan`: its plan for the CPU: only what the mask's voxels depend on
- `blocks`: which blocks of a layer are computed, and which rows they read
- `upscaling`: transposed convolution and resize on rows
- `winograd`: convolutions on blocks by Winograd's filtering
- `threads`: threads that each process whole chunks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bids_dtg.contrasts.network.unet import AttentionUNet

__all__ = ["AttentionUNet"]


def __getattr__(name: str) -> Any:
    # The package must not import torch: only its modules `unet` and `dense` do.
    if name == "AttentionUNet":
        from bids_dtg.contrasts.network.unet import AttentionUNet

        return AttentionUNet
    raise AttributeError(f"module 'bids_dtg.contrasts.network' has no attribute {name!r}")
