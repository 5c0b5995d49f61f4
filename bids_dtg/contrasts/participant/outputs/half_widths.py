"""Half-width maps: the width of prediction intervals around the predicted maps.

Of two kinds: for a new measurement and, where people of the calibration had a second session, for
the person's true map. Where one width holds for all participants, the files are the model's: they
are written once in a dataset, in the folder of the template. Where widths depend on how far the
person is from others, or on the amount of rest, they are the person's.
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
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.participant.outputs.layers import Layer
from bids_dtg.contrasts.participant.outputs.map_files import OutputFile, contrast_facts
from bids_dtg.errors import SettingsError
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.warp import Warp
from bids_dtg.participants.origin import model_facts
from bids_dtg.report.contents import (
    HALF_WIDTH,
    TRUE_HALF_WIDTH,
    half_width_descs,
    half_width_path,
)
from bids_dtg.stats.width_factors import MEASURED, TRUE, deviation_bins
from bids_dtg.version import __version__

_STEPS = 255  # largest value of 8 bits
_OWN_STEP = 1 / 64  # of a person's own half-widths, times their root mean square
# By kind: what an interval is for, and what it holds.
_WORDS = {
    MEASURED: (
        "a new measurement",
        "{level} % of the voxels of a newly measured map (one session of the task) of a person "
        "like those of the calibration, on average over people; the noise of the measurement is "
        "included",
    ),
    TRUE: (
        "the person's true map",
        "{level} % of the voxels of the true map (without the noise of a measurement) of a person "
        "like those of the calibration, on average over people; a newly measured map is outside "
        "far more often",
    ),
}


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


def half_width_layers(
    bundle: ModelBundle, level: int, estimate: Estimate | None = None
) -> tuple[Layer, ...]:
    """Return the half-widths of a level in percent, of both kinds; () without a calibration.

    Parameters
    ----------
    bundle
        The model that predicted the maps.
    level
        Of the intervals, in percent.
    estimate
        A person's maps; None: the half-widths of nobody in particular.
    """
    names = zip((MEASURED, TRUE), half_width_descs(level), strict=True)
    found = ((row, desc, _usual_widths(bundle, level, row)) for row, desc in names)
    return tuple(
        _layer(bundle, desc, row, usual, estimate)
        for row, desc, usual in found
        if usual is not None
    )


@lru_cache(maxsize=2)
def _usual_widths(bundle: ModelBundle, level: int, row: int) -> NDArray[np.float32] | None:
    calibration = bundle.calibration
    if calibration is None:
        return None
    return calibration.true_half_widths(level) if row == TRUE else calibration.half_widths(level)


def _layer(
    bundle: ModelBundle,
    desc: str,
    row: int,
    usual: NDArray[np.float32],
    estimate: Estimate | None,
) -> Layer:
    level = int(desc.removeprefix(TRUE_HALF_WIDTH).removeprefix(HALF_WIDTH))
    own = None if estimate is None else personal_factors(bundle, row, estimate)
    of, covers = _WORDS[row]
    return Layer(
        desc,
        bundle.contrasts,
        usual if own is None else usual * own,
        f"Half-width of the {level} % interval around the predicted map, for {of}: ",
        everybody=own is None,
        step=None if own is None else _OWN_STEP,
        covers=covers.format(level=level),
    )


def personal_factors(
    bundle: ModelBundle, row: int, estimate: Estimate
) -> NDArray[np.float32] | None:
    """Return factors on usual half-widths, (contrasts, places); None: they hold for everybody.

    Parameters
    ----------
    bundle
        The model, with a calibration.
    row
        `MEASURED` or `TRUE`.
    estimate
        The person's maps.
    """
    calibration = bundle.calibration
    factors = None if calibration is None else calibration.factors
    if factors is None:
        return None
    of_rest = factors.of_segments(row, estimate.n_segments)
    whole = np.float32(1.0 if of_rest is None else of_rest)
    if factors.personal(row) and bundle.deviation is not None:
        bins = deviation_bins(bundle.deviation.deviations(estimate.values))
        return np.asarray(whole * factors.by_deviation[row][bins], np.float32)
    return None if whole == 1 else np.full(estimate.values.shape, whole, np.float32)


def half_width_paths(
    bundle: ModelBundle, layer: Layer, contrasts: Sequence[Contrast], grid: Grid | None = None
) -> tuple[PurePosixPath, ...]:
    """Return the paths of maps of half-widths that hold for everybody, below the output folder.

    `grid` is that of another template; None: the model's.
    """
    where = grid or bundle.grid
    return tuple(_path(contrast, bundle, layer, where, ".nii.gz") for contrast in contrasts)


def half_width_images(
    bundle: ModelBundle,
    layer: Layer,
    contrasts: Sequence[Contrast],
    warp: Warp | None = None,
    *,
    threads: int,
) -> Iterator[OutputFile]:
    """Yield the maps of half-widths that hold for everybody.

    Parameters
    ----------
    bundle
        Bundle of the model that predicted the maps.
    layer
        The half-widths.
    contrasts
        Those whose maps are wanted.
    warp
        Brings them to another template; None: they stay on the model's grid.
    threads
        Maps encoded at the same time.
    """
    voxels = bundle.voxels if warp is None else warp.voxels

    def encode(contrast: Contrast) -> OutputFile:
        row = layer.values[contrast.index]
        text = f"bids_dtg {__version__} {contrast.label} {layer.desc}"
        path = _path(contrast, bundle, layer, voxels.grid, ".nii.gz")
        widths = row if warp is None else warp.apply(row[None])[0]
        return OutputFile(path, encode_half_widths(voxels, widths, text))

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(encode, contrasts)


def half_width_sidecars(
    bundle: ModelBundle,
    layer: Layer,
    contrasts: Sequence[Contrast],
    grid: Grid | None = None,
    facts_of_space: Mapping[str, Any] | None = None,
) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
    """Yield path and content of the sidecars of maps of half-widths that hold for everybody.

    `grid` is that of another template, and `facts_of_space` its sidecar fields; None: the model's.
    """
    for contrast in contrasts:
        yield (
            _path(contrast, bundle, layer, grid or bundle.grid, ".json"),
            {
                **contrast_facts(layer, contrast, bundle),
                **(facts_of_space or bundle.grid.brain_metadata),
                "Units": bundle.card.part.units,
                **calibration_facts(bundle, layer),
                **model_facts(bundle),
            },
        )


def calibration_facts(bundle: ModelBundle, layer: Layer) -> dict[str, Any]:
    """Return the sidecar fields on the level and the people of a layer's half-widths."""
    calibration = bundle.calibration
    assert calibration is not None  # its half-widths are the layer
    level = int(layer.desc.removeprefix(TRUE_HALF_WIDTH).removeprefix(HALF_WIDTH))
    retest = calibration.true_error
    return {
        "IntervalLevel": level / 100,
        "CalibrationParticipants": calibration.participants,
        **({"CalibrationRetestParticipants": retest.people} if retest else {}),
        "CalibrationSegments": calibration.segments,
    }


def encode_half_widths(voxels: VoxelPlaces, widths: NDArray[np.float32], description: str) -> bytes:
    """Encode a map in 8 bits or, if it has gaps, in floats with as many steps."""
    step = float(np.nanmax(widths, initial=0.0)) / _STEPS or 1.0
    return voxels.encode_steps(widths, step, description=description)


def _path(
    contrast: Contrast, bundle: ModelBundle, layer: Layer, grid: Grid, extension: str
) -> PurePosixPath:
    named = {
        **grid.entities,
        "contrast": contrast.label,
        "stat": bundle.card.part.statistic,
    }
    return half_width_path(named, layer.desc, bundle.identity, extension)
