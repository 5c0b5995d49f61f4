"""Write and read the files of a model of maps besides its weights.

- geometry: masks and ROI maps on a grid; without a grid, ROI maps over CIFTI parcels or over
  numbered places
- offset: the map that re-centring adds
- half-widths: half-widths of prediction intervals
- mean: the mean prediction for the training people

Tensors must have the shapes that the card gives. Rows of large arrays are stored as 8-bit integers
with a scale; the offset of a model of parcels is stored as it is. The card's SHA-256
sums show whether a file was changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.array_types import Float32, Floats
from bids_dtg.bundles.bundle import read_tensors
from bids_dtg.bundles.card import CARD_FILE, ModelCard
from bids_dtg.contrasts.bundle.part import (
    BRAIN_MASK_FILE,
    GAIN_DIGITS,
    HALF_WIDTH_FILE,
    LISTED_MAPS_FILE,
    MAPS_FILE,
    MASK_FILE,
    OFFSET_FILE,
    PARCELS_FILE,
    HalfWidthFacts,
    MapsPart,
)
from bids_dtg.contrasts.half_width import HalfWidths
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.errors import MAKE_BUNDLE_AGAIN, BundleError, RunError
from bids_dtg.files.foreign import reading
from bids_dtg.files.tensors import TensorFile, encode_arrays
from bids_dtg.imaging.bold import stream_blocks
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import read_header, read_mask
from bids_dtg.imaging.places import ListedPlaces, Places, VoxelPlaces
from bids_dtg.imaging.sampling import LatticeSampling
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces

# Names of tensors. 8-bit tensors are int8, and NAME_scale is the value of one step in each row.
OFFSET, _HALF_WIDTH = "offset", "half_width"
_LISTED_MAPS, _COMBINE = "roi_maps", "combine"
_LARGEST_STEP = 127  # of int8
# Volumes that are read together, while the next ones are decompressed.
_VOLUMES_PER_BLOCK = 4


# Places of the ROI series and of the predictions, ROI maps and `combine`, as in `ModelBundle`.
Geometry = tuple[Places, Places, Floats, Float32 | None]


def geometry_files(geometry: Geometry, *, mapped: bool = False) -> dict[str, bytes]:
    """Return the files, by name, that define grid and ROIs; `mapped`: ROI maps as tensors."""
    brain, places, roi_maps, combine = geometry
    files = {}
    if mapped or not isinstance(brain, VoxelPlaces):
        combined = {} if combine is None else {_COMBINE: combine}
        files[LISTED_MAPS_FILE] = encode_arrays({_LISTED_MAPS: roi_maps, **combined})
    else:
        files[MAPS_FILE] = brain.encode(roi_maps, description="ROI maps")
    if isinstance(places, ParcelPlaces):
        files[PARCELS_FILE] = places.to_xml()
    masks = (
        (BRAIN_MASK_FILE, brain, "brain mask"),
        (MASK_FILE, places, "model mask"),
    )
    for name, mask, words in masks:
        if isinstance(mask, VoxelPlaces):
            ones = np.ones(mask.number, np.float32)
            files[name] = mask.encode(ones, description=words)
    return files


def read_geometry(folder: Path, card: ModelCard[MapsPart], rois: int) -> Geometry:
    """Read what `geometry_files` wrote; the weights need `rois` ROIs.

    Raises
    ------
    BundleError
        If a file is damaged or holds something else.
    """
    part = card.part
    listed = sum(part.connectome.sets)
    if part.several and listed != rois:
        raise BundleError(
            f"{folder / CARD_FILE} lists {listed} ROI maps under rois",
            expected=f"{rois}, the number that the weights read",
            remedy=MAKE_BUNDLE_AGAIN,
        )
    if part.grid is not None:
        brain = _read_voxels(folder / BRAIN_MASK_FILE, part.grid)
        mask = _read_voxels(folder / MASK_FILE, part.grid)
        if part.several:
            listed_maps = _read_listed_maps(folder, rois, mask.number, mapped=True)
            return brain, mask, *listed_maps
        *_, maps_file = part.files_of_geometry(card.files)
        return brain, mask, _read_brain_maps(folder / maps_file, rois, brain), None
    number = part.places or 0
    if part.atlas is not None:
        file = folder / PARCELS_FILE
        places: Places = read_parcels(file, number, part.atlas)
    roi_maps, combine = _read_listed_maps(folder, rois, number, mapped=part.several)
    # After the maps, which refuse a number whose names would fill the memory.
    if part.atlas is None:
        places = ListedPlaces(tuple(str(place + 1) for place in range(number)))
    return places, places, roi_maps, combine


def _read_brain_maps(path: Path, rois: int, brain: VoxelPlaces) -> Float32:
    """Read maps of one set over the brain mask: mapped from a file of tensors, or from NIfTI."""
    if path.name != MAPS_FILE:
        expected = {_LISTED_MAPS: ("float32", (rois, brain.number))}
        tensors = read_tensors(path, expected, mapped=[_LISTED_MAPS])
        _check_values(path, tensors[_LISTED_MAPS])
        return tensors[_LISTED_MAPS]
    roi_maps = read_roi_maps(path, brain)
    if len(roi_maps) != rois:
        raise BundleError(
            f"{path} holds {len(roi_maps)} ROI maps",
            expected=f"{rois}, the number that the weights read",
        )
    return roi_maps


def read_roi_maps(path: Path, brain: VoxelPlaces) -> Float32:
    """Read ROI maps over the brain mask.

    Parameters
    ----------
    path
        4-D NIfTI, one volume per ROI, on the grid or on any crop, flip or larger field of view
        of its lattice that covers the brain mask. It is never resampled.
    brain
        Voxels of the model's brain mask.

    Returns
    -------
    numpy.ndarray
        (rois, brain voxels).

    Raises
    ------
    BundleError
        If the file is damaged, not 4-D, on another lattice or too small, has values that
        are not finite, or a map that is constant over the brain mask.
    """
    with as_bundle_error("fetch or make the file again"):
        header = read_header(path)
        if len(header.shape) != 4:
            raise BundleError(
                f"{path} has sizes {header.shape}", expected="4-D, a volume per ROI"
            )
        sampling = LatticeSampling.between(
            header.shape, header.affine, brain.grid, brain.positions, name=str(path)
        )
        if not sampling.covered.all():
            missing = np.count_nonzero(~sampling.covered)
            raise BundleError(
                f"{path} does not cover {missing} voxels of the brain mask",
                expected="maps that cover all of the mask",
            )
        roi_maps = np.empty((header.frames, brain.number), np.float32)
        done = 0
        for block in stream_blocks(header, _VOLUMES_PER_BLOCK):
            out = roi_maps[done : done + len(block)]
            done += len(sampling.apply(block, header.slope, header.inter, out=out))
    _check_values(path, roi_maps)
    return roi_maps


def _read_voxels(path: Path, grid: Grid) -> VoxelPlaces:
    with as_bundle_error(MAKE_BUNDLE_AGAIN):
        mask = read_mask(path, grid)
    if not mask.any():
        raise BundleError(
            f"{path} is an empty mask", expected="some voxels", remedy=MAKE_BUNDLE_AGAIN
        )
    return VoxelPlaces.within(grid, mask)


def _check_values(path: Path, roi_maps: Float32) -> None:
    lowest, highest = roi_maps.min(axis=1), roi_maps.max(axis=1)
    # NaN and infinity show in the smallest and largest values.
    wrong = np.flatnonzero(~(np.isfinite(lowest) & np.isfinite(highest)))
    if wrong.size:
        raise BundleError(
            f"{path}: ROI map {wrong[0]} (from 0) has NaN or infinite values in the brain mask"
        )
    constant = np.flatnonzero(lowest == highest)
    if constant.size:
        raise BundleError(
            f"{path}: ROI map {constant[0]} (from 0) is constant over the brain mask",
            expected="maps that differ between voxels, because ROI series are regression weights",
        )


@contextmanager
def as_bundle_error(
    remedy: str | None = None, expected: str | None = None
) -> Iterator[None]:
    """Turn errors about images into errors about a bundle; replace remedy or expectation."""
    try:
        yield
    except RunError as err:
        raise err.as_kind(BundleError, expected=expected, remedy=remedy) from err


def read_parcels(path: Path, number: int, atlas: str) -> ParcelPlaces:
    """Read CIFTI parcels of an atlas, and check their number.

    Raises
    ------
    BundleError
        If the file is damaged or holds something else.
    """
    with reading(f"{path}: its parcels", BundleError, remedy=MAKE_BUNDLE_AGAIN):
        places = ParcelPlaces.of_xml(path.read_bytes(), atlas)
    if places.number != number:
        raise BundleError(f"{path} has {places.number} parcels", expected=f"{number}")
    return places


def _read_listed_maps(
    folder: Path, rois: int, places: int, *, mapped: bool
) -> tuple[Floats, Float32 | None]:
    """Read ROI maps (rois, places), and the weights that combine them into all ROIs' maps."""
    path = folder / LISTED_MAPS_FILE
    tensors = TensorFile(path).read([_LISTED_MAPS] if mapped else ())
    maps = tensors.pop(_LISTED_MAPS, np.empty(0))
    combine = tensors.pop(_COMBINE, None)
    combined, number = (rois, rois) if combine is None else combine.shape
    if combined != rois or maps.shape != (number, places) or tensors:
        raise BundleError(
            f"{path} has ROI maps {maps.shape}", expected=f"{(rois, places)}"
        )
    return maps, combine


def read_correction(folder: Path, part: MapsPart, places: int) -> Correction | None:
    """Read the correction of a model's maps; None: its card has none.

    Raises
    ------
    BundleError
        If the file is not what it should be.
    """
    if part.gains is None:
        return None
    path, shape = folder / OFFSET_FILE, (len(part.contrasts), places)
    if part.grid is None:
        offset = read_tensors(path, {OFFSET: ("float32", shape)})[OFFSET]
    else:
        offset = _read_steps(path, OFFSET, shape)
    return Correction(np.array(part.gains, np.float32), offset)


def encode_correction(correction: Correction, part: MapsPart) -> bytes:
    """Encode a correction's offset as the file's bytes (deterministic).

    In a model of parcels, the rounding of 8 bits would be up to half of a person's deviation.
    """
    if part.grid is None:
        return encode_arrays({OFFSET: correction.offset})
    return encode_steps(OFFSET, *to_steps(correction.offset))


def as_stored(correction: Correction | None, part: MapsPart) -> Correction | None:
    """Return a correction with the rounded gains and the offset that a bundle stores."""
    if correction is None:
        return None
    gains = [round(float(gain), GAIN_DIGITS) for gain in correction.gains]
    offset = correction.offset
    if part.grid is not None:
        offset = from_steps(*to_steps(offset))
    return Correction(np.array(gains, np.float32), offset)


def encode_half_widths(widths: HalfWidths) -> bytes:
    """Encode half-widths as the file's bytes (deterministic)."""
    steps, scale = to_steps(widths.values)
    # A half-width must not be rounded to 0, which means that there is no interval.
    positive = widths.values > 0
    steps[positive] = np.maximum(steps[positive], 1)
    return encode_steps(_HALF_WIDTH, steps, scale)


def half_width_facts(widths: HalfWidths) -> HalfWidthFacts:
    """Return the field `half_width` of a card."""
    edge = widths.lattice.edge
    return HalfWidthFacts(widths.people, widths.segments, edge, widths.left_out_in_turn)


def read_half_widths(
    folder: Path, facts: HalfWidthFacts, places: Places, contrasts: int
) -> HalfWidths:
    """Read the half-widths that a card's field `half_width` describes.

    Raises
    ------
    BundleError
        If the file is not what it should be.
    """
    lattice = places.lattice(facts.block)
    shape = contrasts, *lattice.shape
    return HalfWidths(
        people=facts.participants,
        segments=facts.segments,
        values=_read_steps(folder / HALF_WIDTH_FILE, _HALF_WIDTH, shape),
        lattice=lattice,
        left_out_in_turn=facts.left_out_in_turn,
    )


def to_steps(
    rows: Floats,
) -> tuple[NDArray[np.int8], Float32]:
    """Round rows (n, ...) to int8 steps; also return the value of a step in each row, (n,).

    A row's largest absolute value becomes 127, so errors are at most 1/254 of it.
    """
    largest = np.abs(rows).reshape(len(rows), -1).max(axis=1)
    span = np.where(largest > 0, largest, 1.0).astype(np.float32)
    scale = span / np.float32(_LARGEST_STEP)
    steps = np.rint(rows / _along_rows(scale, rows.ndim))
    return steps.astype(np.int8), scale


def from_steps(steps: NDArray[np.int8], scale: Float32) -> Float32:
    """Return the rows that `to_steps` rounded."""
    rows = steps.astype(np.float32)
    rows *= _along_rows(scale, steps.ndim)
    return rows


def _along_rows(scale: Float32, axes: int) -> Float32:
    """Return the values of steps (n,) in a shape that applies to rows (n, ...) of many axes."""
    return np.expand_dims(scale, tuple(range(1, axes)))


def encode_steps(name: str, steps: NDArray[np.int8], scale: Float32) -> bytes:
    """Encode 8-bit rows as the bytes of a file (deterministic)."""
    return encode_arrays({name: steps, f"{name}_scale": scale})


def _read_steps(path: Path, name: str, shape: tuple[int, ...]) -> Float32:
    """Read 8-bit rows of a given shape; raise BundleError if the file holds something else."""
    scale = f"{name}_scale"
    tensors = read_tensors(path, {name: ("int8", shape), scale: ("float32", shape[:1])})
    return from_steps(tensors[name], tensors[scale])
