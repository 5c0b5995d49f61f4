"""Published checkpoints, read by the workflow that the published network belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bids_dtg.workflows import DEFAULT, find_workflow


def read_lightning_checkpoint(path: str | Path) -> Any:
    """Read the published network from a Lightning checkpoint (``.ckpt``), executing nothing in it.

    Parameters
    ----------
    path
        Checkpoint: a torch zip file whose pickle is a dictionary with the key ``state_dict``.

    Returns
    -------
    bids_dtg.contrasts.network.unet.AttentionUNet
        In eval mode, float32, on the CPU, with the sizes of the tensors.

    Raises
    ------
    BundleError
        The file is missing, not a whole checkpoint, holds objects other than tensors and plain
        values, or its tensors are not those of the network.
    """
    reader = find_workflow(DEFAULT).read_checkpoint
    assert reader is not None
    return reader(path)
