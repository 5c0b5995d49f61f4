"""Over people, how well maps of two halves of rest agree beyond the mean map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.panels.map_reliability import (
    EVEN,
    LEAST_PEOPLE,
    ODD,
    HalfAgreement,
    agreement_of_halves,
)
from bids_dtg.errors import RunError
from bids_dtg.imaging.nifti import read_volume
from bids_dtg.report.contents import SYNTHETIC, AverageFiles, MapFile

# Voxels, evenly spread, at which halves are compared: a contrast of 1,000 people takes 80 MB.
_COMPARED_VOXELS = 10_000


def agreements(
    averages: Sequence[AverageFiles], mask: NDArray[np.bool_], contrasts: Sequence[str]
) -> Iterator[HalfAgreement]:
    """Yield the agreement of half-maps for each contrast; nothing if people are too few.

    Parameters
    ----------
    averages
        Sets of one model and one cleaning; of each person, the first with half-maps is used.
    mask
        (i, j, k), voxels where maps have values.
    contrasts
        Labels, in the order of the result.
    """
    chosen: dict[str, AverageFiles] = {}
    for made in averages:
        if all(half.is_file() for found in made.maps for half in _halves(found)):
            chosen.setdefault(made.title.partition("_")[0], made)
    voxels = np.flatnonzero(mask)
    voxels = voxels[np.linspace(0, len(voxels) - 1, min(_COMPARED_VOXELS, len(voxels)), dtype=int)]
    for label in contrasts:
        pairs = []
        for made in chosen.values():
            found = next(found for found in made.maps if found.label == label)
            try:
                pairs.append([_read(path, mask, voxels) for path in _halves(found)])
            except RunError:
                continue  # a damaged half-map: this person does not count for the contrast
        if len(pairs) >= LEAST_PEOPLE:
            odd, even = np.stack(pairs, axis=1)
            yield agreement_of_halves(label, odd, even)


def _halves(found: MapFile) -> tuple[Path, Path]:
    odd, even = (
        found.path.with_name(found.path.name.replace(f"_desc-{SYNTHETIC}_", f"_desc-{desc}_"))
        for desc in (ODD, EVEN)
    )
    return odd, even


def _read(path: Path, mask: NDArray[np.bool_], voxels: NDArray[np.intp]) -> NDArray[np.float32]:
    values, _ = read_volume(path)
    if values.shape != mask.shape:
        raise RunError(f"{path} has sizes {values.shape}", expected=f"{mask.shape}")
    return np.nan_to_num(np.asarray(values, np.float32).reshape(-1)[voxels])
