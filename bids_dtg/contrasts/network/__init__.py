"""The attention U-Net of DeepTaskGen and its prepared form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bids_dtg.contrasts.network.unet import AttentionUNet

__all__ = ["AttentionUNet"]


def __getattr__(name: str) -> Any:
    # The package must not import torch: its modules `blocks` and `winograd` do without.
    if name == "AttentionUNet":
        from bids_dtg.contrasts.network.unet import AttentionUNet

        return AttentionUNet
    raise AttributeError(f"module 'bids_dtg.contrasts.network' has no attribute {name!r}")
