"""Half-width maps: the width of prediction intervals around the predicted maps.

They are the model's, the same for all participants: their files are written once in a dataset,
in the folder of the template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.participant.outputs.layers import Layer
from bids_dtg.contrasts.participant.outputs.map_files import OutputFile, contrast_facts
from bids_dtg.errors import SettingsError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.warp import Warp
from bids_dtg.participants.origin import model_facts
from bids_dtg.report.contents import half_width_desc, half_width_path
from bids_dtg.stats.conformal import LEAST_PEOPLE
from bids_dtg.version import __version__

_STEPS = 255  # largest value of 8 bits
_NO_INTERVAL = (
    f"There is no interval: fewer than {LEAST_PEOPLE} people of the calibration were measured there"
)


def check_level(bundle: ModelBundle, level: int) -> None:
    """Refuse a level that the model has not been calibrated for.

    Raises
    ------
    SettingsError
        Naming the levels that it has.
    """
    if bundle.calibration is not None and level not in bundle.calibration.levels:
        raise SettingsError(
            f"--interval-level is {level}",
            expected=f"a level that {bundle.card.name} is calibrated for: "
            f"{', '.join(map(str, bundle.calibration.levels))}",
        )


@lru_cache(maxsize=1)
def half_width_layer(bundle: ModelBundle, level: int) -> Layer | None:
    """Return the half-widths of a level in percent; None where the model has no calibration."""
    if bundle.calibration is None:
        return None
    words = f"Half-width of the {level} % interval around the predicted map: "
    values = bundle.calibration.half_widths(level)
    return Layer(half_width_desc(level), bundle.contrasts, values, words, everybody=True)


def half_width_paths(
    bundle: ModelBundle, level: int, contrasts: Sequence[Contrast], grid: Grid | None = None
) -> tuple[PurePosixPath, ...]:
    """Return the paths of the half-width maps of contrasts, relative to the output folder.

    `grid` is that of another template; None: the model's.
    """
    if bundle.calibration is None:
        return ()
    where = grid or bundle.grid
    return tuple(_path(contrast, bundle, level, where, ".nii.gz") for contrast in contrasts)


def half_width_images(
    bundle: ModelBundle,
    level: int,
    contrasts: Sequence[Contrast],
    warp: Warp | None = None,
    *,
    threads: int,
) -> Iterator[OutputFile]:
    """Yield the half-width maps; none if the model carries no calibration.

    Parameters
    ----------
    bundle
        Bundle of the model that predicted the maps.
    level
        Of the intervals, in percent.
    contrasts
        Those whose maps are wanted.
    warp
        Brings them to another template; None: they stay on the model's grid.
    threads
        Maps encoded at the same time.
    """
    if (layer := half_width_layer(bundle, level)) is None:
        return
    voxels = bundle.voxels if warp is None else warp.voxels

    def encode(contrast: Contrast) -> OutputFile:
        row = layer.values[contrast.index]
        text = f"bids_dtg {__version__} {contrast.label} {layer.desc}"
        path = _path(contrast, bundle, level, voxels.grid, ".nii.gz")
        widths = row if warp is None else warp.apply(row[None])[0]
        return OutputFile(path, encode_half_widths(voxels, widths, text))

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(encode, contrasts)


def half_width_sidecars(
    bundle: ModelBundle,
    level: int,
    contrasts: Sequence[Contrast],
    grid: Grid | None = None,
    facts_of_space: Mapping[str, Any] | None = None,
) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
    """Yield path and content of the sidecars of contrasts' half-width maps of a level in percent.

    `grid` is that of another template, and `facts_of_space` its sidecar fields; None: the model's.
    """
    calibration, layer = bundle.calibration, half_width_layer(bundle, level)
    if calibration is None or layer is None:
        return
    missing = calibration.without_interval.mean(axis=1)
    for contrast in contrasts:
        facts: dict[str, Any] = {}
        if share := round(float(missing[contrast.index]), 4):
            facts = {"ShareWithoutInterval": share, "MissingValues": _NO_INTERVAL}
        yield (
            _path(contrast, bundle, level, grid or bundle.grid, ".json"),
            {
                **contrast_facts(layer, contrast, bundle),
                **(facts_of_space or bundle.grid.brain_metadata),
                "Units": bundle.card.part.units,
                "IntervalLevel": level / 100,
                "IntervalCovers": f"{level} % of the voxels of a newly measured map (one session "
                "of the task) of a person like those of the calibration, on average over people; "
                "the noise of the measurement is included",
                "CalibrationParticipants": calibration.participants,
                "CalibrationSegments": calibration.segments,
                **facts,
                **model_facts(bundle),
            },
        )


def encode_half_widths(voxels: VoxelPlaces, widths: NDArray[np.float32], description: str) -> bytes:
    """Encode a map in 8 bits or, if it has gaps, in floats with as many steps."""
    step = float(np.nanmax(widths, initial=0.0)) / _STEPS or 1.0
    return voxels.encode_steps(widths, step, description=description)


def _path(
    contrast: Contrast, bundle: ModelBundle, level: int, grid: Grid, extension: str
) -> PurePosixPath:
    named = {
        **grid.entities,
        "contrast": contrast.label,
        "stat": bundle.card.part.statistic,
    }
    return half_width_path(named, level, bundle.identity, extension)
