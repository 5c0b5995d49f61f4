"""A bundle's `reference.safetensors`: what is added to each map after the model, in 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.tensors import from_steps, read_tensors, to_steps

REFERENCE_FILE = "reference.safetensors"

# (contrasts, voxels of the mask) int8, and what one unit of each contrast stands for.
_OFFSET, _SCALE = "offset", "offset_scale"


@dataclass(frozen=True)
class Recentring:
    """How the error in a model's mean maps was found; the offset is in `REFERENCE_FILE`."""

    participants: int  # people with both scans, whom the model was not trained on
    segments: int  # segments of rest that each of their predictions is the mean of
    lattice: str = "grid"  # where the offset lies: at every voxel of the mask

    @classmethod
    def read(cls, card: JsonFields) -> Recentring:
        """Read the field `recentring` of a card.

        Raises
        ------
        BundleError
            If it does not hold what it should.
        """
        fields = card.nested("recentring")
        lattice = fields.text("lattice")
        if lattice != "grid":
            raise fields.wrong("lattice", lattice, "grid")
        recentring = cls(fields.whole("participants"), fields.whole("segments"), lattice)
        fields.refuse_unknown()
        return recentring


def encode_offset(offset: NDArray[np.float32]) -> bytes:
    """Make the file's bytes from an offset (contrasts, voxels); the same for the same input.

    A contrast's largest value becomes 127: what is lost is at most half of a 127th of it.
    """
    steps, scale = to_steps(offset)
    return safetensors.numpy.save({_OFFSET: steps, _SCALE: scale})


def read_offset(path: Path, contrasts: int, voxels: int) -> NDArray[np.float32]:
    """Read an offset, (contrasts, voxels).

    Raises
    ------
    BundleError
        If the file is damaged or holds something else.
    """
    expected = {_OFFSET: ("int8", (contrasts, voxels)), _SCALE: ("float32", (contrasts,))}
    tensors = read_tensors(path, expected)
    return from_steps(tensors[_OFFSET], tensors[_SCALE])
