"""Half-width maps: how far a newly measured map lies from the predicted one, most of the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.errors import SettingsError
from bids_dtg.imaging.nifti import encode_integers
from bids_dtg.notices import counted
from bids_dtg.report.contents import half_width_desc
from bids_dtg.stats.conformal import LEAST_PEOPLE, Calibration
from bids_dtg.version import __version__
from bids_dtg.workflows.participant.map_files import OutputFile, map_path

_STEPS = 255  # the largest value of 8 bits
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


def half_width_images(
    entities: Mapping[str, str], bundle: ModelBundle, level: int
) -> Iterator[OutputFile]:
    """Yield the half-width maps of a set; none where the model carries no calibration."""
    if bundle.calibration is None:
        return
    desc = half_width_desc(level)
    for contrast, data in zip(bundle.contrasts, _encoded(bundle, level), strict=True):
        yield OutputFile(map_path(entities, contrast, desc, ".nii.gz", bundle=bundle), data)


def half_width_sidecars(
    entities: Mapping[str, str], bundle: ModelBundle, level: int, *, segments: int
) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
    """Yield path and content of the sidecars of the half-width maps.

    Parameters
    ----------
    entities
        What the names of the set share.
    bundle
        The model.
    level
        Of the intervals, in percent.
    segments
        Of rest, of which the predicted maps are the mean.
    """
    calibration = bundle.calibration
    if calibration is None:
        return
    missing = _missing_intervals(bundle)
    for contrast in bundle.contrasts:
        facts: dict[str, Any] = {}
        if share := missing[contrast.index]:
            facts = {"ShareWithoutInterval": share, "MissingValues": _NO_INTERVAL}
        if note := _segments_note(calibration, segments):
            facts["SegmentsNote"] = note
        path = map_path(entities, contrast, half_width_desc(level), ".json", bundle=bundle)
        yield (
            path,
            {
                "Description": f"Half-width of the {level} % interval around the predicted map: "
                f"{contrast.description}",
                "Task": contrast.task,
                "Contrast": contrast.name,
                "Units": bundle.card.part.units,
                "IntervalLevel": level / 100,
                "IntervalCovers": f"{level} % of the voxels of a newly measured map (one session "
                "of the task) of a person like those of the calibration, on average over people; "
                "the measurement's noise is in it",
                "CalibrationParticipants": calibration.participants,
                "CalibrationSegments": calibration.segments,
                **facts,
                "ModelName": bundle.card.name,
                "ModelVersion": bundle.card.version,
                "ModelKind": bundle.card.kind,
                "ModelSHA256": bundle.identity,
                **({} if bundle.card.for_science else {"NotForScience": True}),
                "GeneratedBy": {"Name": "bids_dtg", "Version": __version__},
            },
        )


@lru_cache(maxsize=1)
def _missing_intervals(bundle: ModelBundle) -> tuple[float, ...]:
    """Return the share of voxels without an interval, a contrast."""
    assert bundle.calibration is not None
    shares = bundle.calibration.without_interval.mean(axis=1)
    return tuple(round(float(share), 4) for share in shares)


def _segments_note(calibration: Calibration, segments: int) -> str | None:
    """Say that maps are the mean of another number of segments than those of the calibration."""
    if segments == calibration.segments:
        return None
    than = "wider" if segments < calibration.segments else "narrower"
    return (
        f"The map is the mean of {counted(segments, 'segment')} of rest; the intervals come from "
        f"means of {calibration.segments}: those that hold may be {than}."
    )


@lru_cache(maxsize=1)
def _encoded(bundle: ModelBundle, level: int) -> tuple[bytes, ...]:
    """Encode the maps once: they are the model's, the same for all people."""
    assert bundle.calibration is not None
    half_widths = bundle.calibration.half_widths(level)
    return tuple(
        _image(bundle, widths, f"bids_dtg {__version__} {contrast.label} {half_width_desc(level)}")
        for contrast, widths in zip(bundle.contrasts, half_widths, strict=True)
    )


def _image(bundle: ModelBundle, widths: NDArray[np.float32], text: str) -> bytes:
    """Encode a map in 8 bits or, where there are gaps, in floats of as many steps."""
    known = np.isfinite(widths)
    slope = float(widths[known].max(initial=0.0)) / _STEPS or 1.0
    if known.all():
        volume = bundle.voxels.volume(np.rint(widths / slope).astype(np.uint8))
        return encode_integers(volume, bundle.grid, slope=slope, description=text)
    steps = np.rint(widths / np.float32(slope)) * np.float32(slope)
    return bundle.places.encode(steps, description=text)
