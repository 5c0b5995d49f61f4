"""Half-width maps: how far a newly measured map lies from the predicted one, most of the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.errors import SettingsError
from bids_dtg.imaging.nifti import encode_integers
from bids_dtg.report.contents import half_width_desc
from bids_dtg.version import __version__
from bids_dtg.workflows.participant.map_files import OutputFile, map_path

_STEPS = 255  # the largest value of 8 bits


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
    entities: Mapping[str, str], bundle: ModelBundle, level: int
) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
    """Yield path and content of the sidecars of the half-width maps."""
    calibration = bundle.calibration
    if calibration is None:
        return
    for contrast in bundle.contrasts:
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
                "ModelName": bundle.card.name,
                "ModelVersion": bundle.card.version,
                "ModelKind": bundle.card.kind,
                "ModelSHA256": bundle.identity,
                **({} if bundle.card.for_science else {"NotForScience": True}),
                "GeneratedBy": {"Name": "bids_dtg", "Version": __version__},
            },
        )


@lru_cache(maxsize=1)
def _encoded(bundle: ModelBundle, level: int) -> tuple[bytes, ...]:
    """Encode the maps once: they are the model's, the same for all people."""
    assert bundle.calibration is not None
    images = []
    for contrast, widths in zip(
        bundle.contrasts, bundle.calibration.half_widths(level), strict=True
    ):
        slope = float(widths.max()) / _STEPS
        volume = bundle.places.volume(np.rint(widths / slope).astype(np.uint8))
        text = f"bids_dtg {__version__} {contrast.label} {half_width_desc(level)}"
        images.append(encode_integers(volume, bundle.grid, slope=slope, description=text))
    return tuple(images)
