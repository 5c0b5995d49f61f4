"""The attention U-Net of DeepTaskGen and its prepared form.

- `unet`: the network, with the parameter names of the published checkpoints
- `parameters`: the parameters as arrays, with checked shapes
- `kind`: the network as a kind of model, and its output layer for fine-tuning
- `prepared`: the prepared form, which gives the same maps faster and in less memory
- `dense`: its plan for the GPU, on whole grids
- `blocks_plan`: its plan for the CPU, which computes only what the mask's voxels depend on
- `blocks`: blocks of a layer, the rows that they read, and the layers on them
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bids_dtg.first_use import at_first_use

if TYPE_CHECKING:
    from bids_dtg.contrasts.network.unet import AttentionUNet

__all__ = ["AttentionUNet"]


# The package must not import torch: only its modules `unet` and `dense` do.
__getattr__ = at_first_use(__name__, {"AttentionUNet": "unet"})
