"""Write the bundle of a model of contrast maps, or a copy of one with further parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_dtg.bundles.card import WEIGHTS_FILE, ModelCard
from bids_dtg.bundles.people import PEOPLE_FILE, ModelPeople
from bids_dtg.bundles.writer import require_finite, write_copy, write_files
from bids_dtg.contrasts.bundle.arrays import (
    HALF_WIDTH_FILE,
    MEAN_FILE,
    OFFSET_FILE,
    encode_half_widths,
    encode_listed_maps,
    encode_mean,
    encode_offset,
    encode_parcels,
    encode_places,
    from_steps,
    half_width_facts,
    to_steps,
)
from bids_dtg.contrasts.bundle.bundle import ModelBundle, load_bundle
from bids_dtg.contrasts.bundle.part import (
    BRAIN_MASK_FILE,
    GAIN_DIGITS,
    LISTED_MAPS_FILE,
    MAPS_FILE,
    MASK_FILE,
    PLACES_FILE,
    MapsPart,
)
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.files.tensors import encode_arrays
from bids_dtg.imaging.places import ListedPlaces, Places
from bids_dtg.imaging.surfaces.parcel_places import ParcelPlaces
from bids_dtg.stats.half_width import HalfWidths

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
        The model's card; `files` and `gains` are filled in here.
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
    folder = Path(folder)
    correction = arrays.correction
    of_correction = {} if correction is None else vars(correction)
    require_finite({**arrays.tensors, **of_correction}, _NOT_FINITE)
    geometry = geometry_files(arrays, several=card.part.several)
    files = {WEIGHTS_FILE: encode_arrays(arrays.tensors), **geometry}
    if arrays.correction is not None:
        files[OFFSET_FILE] = encode_offset(arrays.correction.offset)
        gains = tuple(round(float(gain), GAIN_DIGITS) for gain in arrays.correction.gains)
        card = replace(card, part=replace(card.part, gains=gains))
    if arrays.half_widths is not None:
        files[HALF_WIDTH_FILE] = encode_half_widths(arrays.half_widths)
        facts = half_width_facts(arrays.half_widths)
        card = replace(card, part=replace(card.part, half_width=facts))
    if arrays.mean is not None:
        files[MEAN_FILE] = encode_mean(arrays.mean)
    if people is not None:
        files[PEOPLE_FILE] = people.encode()
    return write_files(folder, card, files, load_bundle)


def as_kept(correction: Correction | None) -> Correction | None:
    """Return a correction as a bundle restores it: with rounded gains, and in 127 steps."""
    if correction is None:
        return None
    gains = [round(float(gain), GAIN_DIGITS) for gain in correction.gains]
    return Correction(np.array(gains, np.float32), from_steps(*to_steps(correction.offset)))


def extend_bundle(
    bundle: ModelBundle,
    folder: Path,
    *,
    half_widths: HalfWidths | None = None,
    mean: bytes | None = None,
    people: ModelPeople | None = None,
) -> ModelBundle:
    """Write a copy of a bundle with other half-widths, another mean or another list of people.

    Given parts replace those of the bundle; all other bytes stay the same. `mean` is the content of
    its file.

    Raises
    ------
    BundleError
        If something is at `folder` already, or the parts do not belong together.
    OutputError
        If the folder cannot be written.
    """
    added, part = {}, bundle.card.part
    if half_widths is not None:
        added[HALF_WIDTH_FILE] = encode_half_widths(half_widths)
        part = replace(part, half_width=half_width_facts(half_widths))
    if mean is not None:
        added[MEAN_FILE] = mean
    if people is not None:
        added[PEOPLE_FILE] = people.encode()
    card = replace(bundle.card, part=part)
    return write_copy(bundle, folder, card, added, load_bundle)


def geometry_files(arrays: BundleArrays, *, several: bool = False) -> dict[str, bytes]:
    """Return the files, by name, that define grid and ROIs.

    Parameters
    ----------
    arrays
        Of the bundle.
    several
        Whether its ROI maps are of several sets, which a file of 16 bits keeps.
    """
    listed = encode_listed_maps(arrays.roi_maps)
    if isinstance(arrays.places, ParcelPlaces):
        return {PLACES_FILE: encode_parcels(arrays.places), LISTED_MAPS_FILE: listed}
    if isinstance(arrays.places, ListedPlaces):
        return {PLACES_FILE: encode_places(arrays.places), LISTED_MAPS_FILE: listed}
    masks = {
        BRAIN_MASK_FILE: _encode_mask(arrays.brain, "brain mask"),
        MASK_FILE: _encode_mask(arrays.places, "model mask"),
    }
    if several:
        return {LISTED_MAPS_FILE: encode_listed_maps(arrays.roi_maps, arrays.combine), **masks}
    return {
        MAPS_FILE: arrays.brain.encode(arrays.roi_maps, description="ROI maps"),
        **masks,
    }


def _encode_mask(places: Places, description: str) -> bytes:
    return places.encode(np.ones(places.number, np.float32), description=description)
