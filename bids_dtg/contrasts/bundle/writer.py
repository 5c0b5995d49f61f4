"""Write the bundle of a model of contrast maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_dtg.bundles.card import WEIGHTS_FILE, ModelCard
from bids_dtg.bundles.people import PEOPLE_FILE, ModelPeople
from bids_dtg.bundles.writer import require_finite, write_files
from bids_dtg.contrasts.bundle.arrays import (
    encode_half_widths,
    encode_mean,
    encode_offset,
    geometry_files,
    half_width_facts,
)
from bids_dtg.contrasts.bundle.bundle import ModelBundle, load_bundle
from bids_dtg.contrasts.bundle.part import (
    GAIN_DIGITS,
    HALF_WIDTH_FILE,
    MEAN_FILE,
    OFFSET_FILE,
    MapsPart,
)
from bids_dtg.contrasts.half_width import HalfWidths
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.files.tensors import encode_arrays
from bids_dtg.imaging.places import Places

_NOT_FINITE = (
    "look for measured maps that are far larger than the others, or train with a lower "
    "--learning-rate"
)


@dataclass(frozen=True, eq=False)
class BundleArrays:
    """The arrays of a bundle."""

    # The model's tensors, by its kind's names (arrays, or tensors on the CPU without gradients).
    tensors: Mapping[str, ArrayLike]
    roi_maps: NDArray[np.floating]  # (rois, brain voxels); of several sets (rois, places)
    brain: Places  # where the ROI series are computed, on the card's grid
    places: Places  # where the model reads and predicts, on the same grid; or the brain itself
    # Correction of the model's maps; the card's `recentring` says how it was found.
    correction: Correction | None = None
    # (contrasts, places), of the model's maps, corrected, for its training people; None: not known
    mean: NDArray[np.float32] | None = None
    # (rois, maps), where maps of several sets are combinations of `roi_maps`; None: they are those.
    combine: NDArray[np.floating] | None = None
    half_widths: HalfWidths | None = None  # of intervals around the maps; None: none


def write_bundle(
    folder: str | Path,
    card: ModelCard[MapsPart],
    arrays: BundleArrays,
    people: ModelPeople | None = None,
) -> ModelBundle:
    """Write a bundle and load it back from where it was written.

    All files are written into a hidden folder next to `folder`, loaded once as a check, and then
    renamed. The same input gives the same bytes.

    Parameters
    ----------
    folder
        Folder of the bundle. If the same bundle exists there, nothing is done; one that differs
        only in its scores (`evaluation`) counts as the same, as recomputed scores may be rounded
        differently.
    card
        The model's card; `files`, `gains` and `half_width` are filled in here.
    arrays
        Weights, ROI maps, masks and further arrays of the bundle.
    people
        People used to make the model; None: the bundle has no list of them.

    Returns
    -------
    ModelBundle
        The bundle as loaded from `folder`.

    Raises
    ------
    BundleError
        If something else is at `folder`, the parts do not belong together, or a value is not
        finite.
    OutputError
        If the folder cannot be written.
    """
    correction, part = arrays.correction, card.part
    of_correction = {} if correction is None else vars(correction)
    of_mean = {} if arrays.mean is None else {"mean": arrays.mean}
    require_finite({**arrays.tensors, **of_correction, **of_mean}, _NOT_FINITE)
    geometry = arrays.brain, arrays.places, arrays.roi_maps, arrays.combine
    files = {
        WEIGHTS_FILE: encode_arrays(arrays.tensors),
        **geometry_files(geometry, several=part.several),
    }
    if correction is not None:
        files[OFFSET_FILE] = encode_offset(correction.offset)
        gains = tuple(round(float(gain), GAIN_DIGITS) for gain in correction.gains)
        part = replace(part, gains=gains)
    if arrays.half_widths is not None:
        files[HALF_WIDTH_FILE] = encode_half_widths(arrays.half_widths)
        part = replace(part, half_width=half_width_facts(arrays.half_widths))
    if arrays.mean is not None:
        files[MEAN_FILE] = encode_mean(arrays.mean)
    if people is not None:
        files[PEOPLE_FILE] = people.encode()
    return write_files(Path(folder), replace(card, part=part), files, load_bundle)
