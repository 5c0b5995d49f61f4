"""The public path of what reads published checkpoints: the slice's function, imported when used."""

from __future__ import annotations

import pytest

from bids_dtg.bundles import checkpoint
from bids_dtg.contrasts.bundle.checkpoint import read_lightning_checkpoint


def test_it_is_the_function_of_the_slice():
    assert checkpoint.read_lightning_checkpoint is read_lightning_checkpoint
    with pytest.raises(AttributeError, match="read_checkpoint"):
        _ = checkpoint.read_checkpoint
