"""A bundle's `calibration.safetensors`: what makes intervals of its maps; a few hundred KB."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.tensors import from_steps, read_tensors, to_steps
from bids_dtg.errors import BundleError
from bids_dtg.stats.conformal import Calibration, UsualError, lattice_shape

CALIBRATION_FILE = "calibration.safetensors"
_QUANTILES, _USUAL, _SCALE = "quantiles", "usual_error", "usual_error_scale"


def encode_calibration(calibration: Calibration) -> bytes:
    """Make the file's bytes; the same for the same input."""
    steps, scale = to_steps(calibration.usual.values)
    # A step of 0 would be an interval without width.
    tensors = {_QUANTILES: calibration.quantiles, _USUAL: np.maximum(steps, 1), _SCALE: scale}
    return safetensors.numpy.save(tensors)


def calibration_facts(calibration: Calibration) -> dict[str, Any]:
    """Return the field `calibration` of a card."""
    return {
        "participants": calibration.participants,
        "segments": calibration.segments,
        "levels": list(calibration.levels),
        "block": calibration.usual.block,
    }


def read_calibration(
    folder: Path, facts: Mapping[str, Any], mask: NDArray[np.bool_], contrasts: int
) -> Calibration:
    """Read the calibration that a card's field `calibration` tells of.

    Raises
    ------
    BundleError
        If the field or the file is not what it should be.
    """
    path = folder / CALIBRATION_FILE
    fields = JsonFields(facts, str(folder / "model.json"), "calibration.")
    participants, segments = fields.whole("participants"), fields.whole("segments")
    block, levels = fields.whole("block"), fields.value("levels")
    fields.refuse_unknown()
    if not isinstance(levels, list) or not all(type(level) is int for level in levels):
        raise fields.wrong("levels", levels, "whole numbers of percent")
    lattice = lattice_shape(mask.shape, block)
    tensors = read_tensors(
        path,
        {
            _QUANTILES: ("float32", (contrasts, len(levels))),
            _USUAL: ("int8", (contrasts, *lattice)),
            _SCALE: ("float32", (contrasts,)),
        },
    )
    try:
        usual = UsualError(from_steps(tensors[_USUAL], tensors[_SCALE]), mask, block)
        return Calibration(participants, segments, tuple(levels), tensors[_QUANTILES], usual)
    except ValueError as err:
        raise BundleError(f"{path}: {err}", remedy="fetch or make the bundle again") from err
