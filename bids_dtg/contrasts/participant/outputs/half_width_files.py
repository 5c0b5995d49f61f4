"""Files of half-widths: the width of prediction intervals around the predicted maps.

They are the model's, the same for all participants: written once in a dataset, in the folder of the
template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.participant.outputs.layers import Layer
from bids_dtg.contrasts.participant.outputs.map_files import (
    OutputFile,
    contrast_facts,
    interval_facts,
)
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.warp import Warp
from bids_dtg.participants.origin import model_facts
from bids_dtg.report.contents import half_width_path
from bids_dtg.version import __version__

_STEPS = 255  # largest value of 8 bits


def half_width_paths(
    bundle: ModelBundle, layer: Layer, grid: Grid | None = None
) -> tuple[PurePosixPath, ...]:
    """Return the paths of the maps of half-widths, below the output folder.

    `grid` is that of another template; None: the model's.
    """
    where = grid or bundle.grid
    return tuple(_path(contrast, bundle, where, ".nii.gz") for contrast in layer.contrasts)


def half_width_images(
    bundle: ModelBundle, layer: Layer, warp: Warp | None = None, *, threads: int
) -> Iterator[OutputFile]:
    """Yield the maps of half-widths.

    Parameters
    ----------
    bundle
        Bundle of the model that predicted the maps.
    layer
        The half-widths.
    warp
        Brings them to another template; None: they stay on the model's grid.
    threads
        Maps encoded at the same time.
    """
    voxels = bundle.voxels if warp is None else warp.voxels

    def encode(contrast: Contrast) -> OutputFile:
        row = layer.values[contrast.index]
        text = f"bids_dtg {__version__} {contrast.label} {layer.desc}"
        path = _path(contrast, bundle, voxels.grid, ".nii.gz")
        widths = row if warp is None else warp.apply(row[None])[0]
        return OutputFile(path, encode_half_widths(voxels, widths, text))

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(encode, layer.contrasts)


def half_width_sidecars(
    bundle: ModelBundle,
    layer: Layer,
    grid: Grid | None = None,
    facts_of_space: Mapping[str, Any] | None = None,
) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
    """Yield path and content of the sidecars of the maps of half-widths.

    `grid` is that of another template, and `facts_of_space` its sidecar fields; None: the model's.
    """
    for contrast in layer.contrasts:
        yield (
            _path(contrast, bundle, grid or bundle.grid, ".json"),
            {
                **contrast_facts(layer, contrast, bundle),
                **(facts_of_space or bundle.grid.brain_metadata),
                "Units": bundle.card.part.units,
                **interval_facts(bundle),
                **model_facts(bundle),
            },
        )


def encode_half_widths(voxels: VoxelPlaces, widths: NDArray[np.float32], description: str) -> bytes:
    """Encode a map in 8 bits or, if it has gaps, in floats with as many steps."""
    step = float(np.nanmax(widths, initial=0.0)) / _STEPS or 1.0
    return voxels.encode_steps(widths, step, description=description)


def _path(contrast: Contrast, bundle: ModelBundle, grid: Grid, extension: str) -> PurePosixPath:
    named = {
        **grid.entities,
        "contrast": contrast.label,
        "stat": bundle.card.part.statistic,
    }
    return half_width_path(named, bundle.identity, extension)
