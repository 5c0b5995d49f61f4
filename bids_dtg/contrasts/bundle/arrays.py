"""The small files of a model of maps besides its weights, and their fields in the card.

- offset: what re-centring adds to the maps
- half-widths: how wide intervals around the maps are
- mean: the mean of what the model predicts for its training people, unrounded; a bundle that must
  be small has it packed: less the offset, which is as rough as measured maps, in steps whose
  differences between neighbours are deflated
- places: places without a grid: names, or parcels of CIFTI
- listed maps: the ROI maps over such places

Each is a safetensors file that is read with the shapes which the card says it has. Rows of
large arrays are kept in steps of 8 bits.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.tensors import check_names, decode_names, encode_names, read_tensors
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.errors import BundleError
from bids_dtg.files.tensors import TensorFile, encode_arrays, let_go
from bids_dtg.imaging.places import ListedPlaces, Places
from bids_dtg.imaging.surfaces.cifti import FAULTS
from bids_dtg.imaging.surfaces.parcel_places import ParcelPlaces
from bids_dtg.stats.half_width import HalfWidths

OFFSET_FILE = "reference.safetensors"
HALF_WIDTH_FILE, MEAN_FILE = "half_width.safetensors", "mean.safetensors"

# Names of tensors. The offset: (contrasts, voxels of the mask) int8, and the value of one unit of
# each contrast.
_OFFSET, _OFFSET_SCALE = "offset", "offset_scale"
_HALF_WIDTH, _HALF_WIDTH_SCALE = "half_width", "half_width_scale"

_NAMES, _LISTED_MAPS, _COMBINE = "names", "roi_maps", "combine"
_PARCELS = "parcels"  # axes of a map of parcels, in CIFTI's XML
# The mean, or its packed bytes and the step of each contrast.
_MEAN, _PACKED, _STEP = "mean", "mean_packed", "mean_step"
_REMEDY = "fetch or make the bundle again"
_LARGEST_STEP = 127  # of int8

Array = NDArray[np.float32]


def encode_offset(offset: NDArray[np.float32]) -> bytes:
    """Encode a re-centring offset, (contrasts, voxels), as the file's bytes (deterministic).

    A contrast's largest value becomes 127: what is lost is at most half of a 127th of it.
    """
    steps, scale = to_steps(offset)
    return safetensors.numpy.save({_OFFSET: steps, _OFFSET_SCALE: scale})


def read_offset(path: Path, contrasts: int, voxels: int) -> NDArray[np.float32]:
    """Read a re-centring offset, (contrasts, voxels).

    Raises
    ------
    BundleError
        If the file is damaged or holds something else.
    """
    expected = {_OFFSET: ("int8", (contrasts, voxels)), _OFFSET_SCALE: ("float32", (contrasts,))}
    return _rows(path, read_tensors(path, expected), _OFFSET)


def encode_half_widths(widths: HalfWidths) -> bytes:
    """Encode half-widths as the file's bytes (deterministic)."""
    steps, scale = to_steps(widths.values)
    # With a step of 0 there would be no interval.
    steps[widths.values > 0] = np.maximum(steps[widths.values > 0], 1)
    return safetensors.numpy.save({_HALF_WIDTH: steps, _HALF_WIDTH_SCALE: scale})


def half_width_facts(widths: HalfWidths) -> dict[str, Any]:
    """Return the field `half_width` of a card."""
    return {
        "participants": widths.people,
        "segments": widths.segments,
        "block": widths.lattice.edge,
        "left_out_in_turn": widths.left_out_in_turn,
    }


def read_half_widths(
    folder: Path, facts: Mapping[str, Any], places: Places, contrasts: int
) -> HalfWidths:
    """Read the half-widths that a card's field `half_width` describes.

    Raises
    ------
    BundleError
        If the field or the file is not what it should be.
    """
    path = folder / HALF_WIDTH_FILE
    fields = JsonFields(facts, str(folder / "model.json"), "half_width.")
    people, segments = fields.whole("participants"), fields.whole("segments")
    edge, in_turn = fields.whole("block"), fields.flag("left_out_in_turn")
    fields.refuse_unknown()
    if not 1 <= edge <= places.number:
        raise fields.wrong("block", edge, "how many places an edge of a block has")
    lattice = places.lattice(edge)
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        _HALF_WIDTH: ("int8", (contrasts, *lattice.shape)),
        _HALF_WIDTH_SCALE: ("float32", (contrasts,)),
    }
    values = _rows(path, read_tensors(path, expected), _HALF_WIDTH)
    try:
        return HalfWidths(people, segments, values, lattice, in_turn)
    except ValueError as err:
        raise BundleError(f"{path}: {err}", remedy=_REMEDY) from err


def encode_parcels(places: ParcelPlaces) -> bytes:
    """Encode parcels of CIFTI as the file's bytes (deterministic)."""
    return encode_arrays({_PARCELS: np.frombuffer(places.to_xml(), np.uint8)})


def read_parcels(path: Path, number: int) -> ParcelPlaces:
    """Read so many parcels of CIFTI.

    Raises
    ------
    BundleError
        If the file is damaged or holds something else.
    """
    file = TensorFile(path)
    (size,) = file.shape(_PARCELS, axes=1)
    xml = read_tensors(path, {_PARCELS: ("uint8", (size,))})[_PARCELS].tobytes()
    try:
        places = ParcelPlaces.of_xml(xml)
    except FAULTS as err:
        raise BundleError(f"{path}: its parcels cannot be read: {err}", remedy=_REMEDY) from err
    if places.number != number:
        raise BundleError(f"{path} has {places.number} parcels", expected=f"{number}")
    return places


def encode_places(places: ListedPlaces) -> bytes:
    """Encode places that have names as the file's bytes (deterministic)."""
    return encode_arrays({_NAMES: encode_names(places.names)})


def read_places(path: Path, number: int) -> ListedPlaces:
    """Read so many places that have names.

    Raises
    ------
    BundleError
        If the file is damaged or holds something else.
    """
    file = TensorFile(path)
    check_names(file, _NAMES, number)
    tensors = file.read()
    names = tensors.pop(_NAMES)
    if tensors or names.dtype != np.uint8:
        raise BundleError(f"{path} holds other tensors than names")
    try:
        return ListedPlaces(decode_names(names, number))
    except ValueError as err:
        raise BundleError(f"{path}: {err}", remedy=_REMEDY) from err


def encode_listed_maps(
    roi_maps: NDArray[np.floating], combine: NDArray[np.floating] | None = None
) -> bytes:
    """Encode ROI maps (rois, places), and what combines them (rois, maps), as the file's bytes."""
    return encode_arrays(
        {_LISTED_MAPS: roi_maps} | ({} if combine is None else {_COMBINE: combine})
    )


def read_listed_maps(
    path: Path, rois: int, places: int, *, several: bool = False
) -> tuple[NDArray[np.floating], Array | None]:
    """Read ROI maps (rois, places); all are 0 if the model reads connectomes made elsewhere.

    Parameters
    ----------
    path
        Path of the file.
    rois, places
        Numbers of them.
    several
        Whether they are of several sets: these are of 16 bits, and mapped from the file.

    Returns
    -------
    The maps, and how those of the ROIs are combinations (rois, maps) of them; None: they are not.

    Raises
    ------
    BundleError
        If the file is damaged or holds something else.
    """
    file, combine = TensorFile(path), None
    if several and _COMBINE in file.names():
        combine = file.below(_COMBINE).read()[""]
        if combine.dtype != np.float32 or combine.ndim != 2 or len(combine) != rois:
            raise BundleError(
                f"{path} has combinations {combine.dtype} {combine.shape}",
                expected=f"float32 of {rois} ROIs",
                remedy=_REMEDY,
            )
        rois = combine.shape[1]
    if (found := file.shape(_LISTED_MAPS, axes=2)) != (rois, places):
        raise BundleError(f"{path} has ROI maps {found}", expected=f"{(rois, places)}")
    if not several:
        return read_tensors(path, {_LISTED_MAPS: ("float32", found)})[_LISTED_MAPS], None
    maps = file.mapped(_LISTED_MAPS)
    if maps.dtype != np.float16 or not np.isfinite(maps).all():
        raise BundleError(
            f"{path} has ROI maps of {maps.dtype}, or values that are not finite",
            expected="finite numbers of 16 bits",
            remedy=_REMEDY,
        )
    let_go(maps)
    return maps, combine


def to_steps(rows: NDArray[np.floating]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round rows (n, ...) to int8 steps; also return the step of each row, (n,).

    A row's largest value becomes 127: what is lost is at most half of a 127th of it.
    """
    largest = np.abs(rows).reshape(len(rows), -1).max(axis=1)
    scale = np.where(largest > 0, largest, 1.0).astype(np.float32) / np.float32(_LARGEST_STEP)
    steps = np.rint(rows / scale.reshape(-1, *[1] * (rows.ndim - 1)))
    return steps.astype(np.int8), scale


def from_steps(steps: NDArray[np.int8], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows that `to_steps` rounded."""
    rows = steps.astype(np.float32)
    rows *= scale.reshape(-1, *[1] * (steps.ndim - 1))
    return rows


def _rows(path: Path, tensors: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.float32]:
    """Return the rows of a tensor of steps, by its scale ``NAME_scale``.

    Raises
    ------
    BundleError
        They are too large for floats of 32 bits.
    """
    with np.errstate(over="ignore"):
        rows = from_steps(tensors[name], tensors[f"{name}_scale"])
    if not np.isfinite(rows).all():
        raise BundleError(
            f"{path} has values that are not finite in {name}, by its {name}_scale",
            remedy=_REMEDY,
        )
    return rows


def encode_mean(mean: Array) -> bytes:
    """Encode mean maps (contrasts, places) as the file's bytes (deterministic).

    Raises
    ------
    BundleError
        If a value is not finite: a model predicts at each of its places.
    """
    if not np.isfinite(mean).all():
        raise BundleError(
            "the model was not written: the mean of its predictions has values that are not finite",
            expected="finite maps of all people",
        )
    return encode_arrays({_MEAN: mean})


def encode_packed_mean(mean: Array, step: Array, correction: Correction | None) -> bytes:
    """Encode mean maps in steps (contrasts,), in a seventh of the bytes.

    `correction` is that of the model's maps, as the bundle restores it; None: they have none.
    """
    smooth = mean - _offset(correction)
    step = np.maximum(step, np.abs(smooth).max(axis=1) / np.iinfo(np.int16).max).astype(np.float32)
    return encode_arrays({_PACKED: _pack(smooth / step[:, None]), _STEP: step})


def read_mean(folder: Path, shape: tuple[int, int], correction: Correction | None) -> Array:
    """Read mean maps of a shape, (contrasts, places).

    Raises
    ------
    BundleError
        If the file is damaged or holds something else.
    """
    path = folder / MEAN_FILE
    if _PACKED in TensorFile(path).names():
        packed = TensorFile(path).shape(_PACKED, axes=1)
        expected = {_PACKED: ("uint8", packed), _STEP: ("float32", shape[:1])}
        mean = _unpack(path, read_tensors(path, expected), shape) + _offset(correction)
    else:
        mean = read_tensors(path, {_MEAN: ("float32", shape)})[_MEAN]
    if not np.isfinite(mean).all():
        raise BundleError(f"{path} has values that are not finite in the mean", remedy=_REMEDY)
    return mean


def _offset(correction: Correction | None) -> Array:
    return np.zeros((1, 1), np.float32) if correction is None else correction.offset


def _pack(steps: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Deflate rows (n, places) of 16-bit steps: low bytes, then high ones."""
    whole = np.rint(steps).astype(np.int16)
    apart = np.diff(whole, axis=1, prepend=np.int16(0)).astype("<i2")
    halves = apart.reshape(-1).view(np.uint8).reshape(-1, 2)
    return np.frombuffer(zlib.compress(halves.T.tobytes(), 9), np.uint8)


def _unpack(path: Path, tensors: Mapping[str, NDArray[Any]], shape: tuple[int, int]) -> Array:
    size, inflate = 2 * shape[0] * shape[1], zlib.decompressobj()
    try:
        # Never more than the card states, whatever the bytes would inflate to.
        content = inflate.decompress(tensors[_PACKED].tobytes(), size + 1)
    except zlib.error as err:
        raise BundleError(f"{path}: {_PACKED}: {err}", remedy=_REMEDY) from err
    if len(content) != size or not inflate.eof or inflate.unused_data:
        raise BundleError(f"{path}: {_PACKED} is not of {shape} values", remedy=_REMEDY)
    low, high = np.frombuffer(content, np.uint8).reshape(2, *shape)
    rows = np.empty(shape, np.float32)
    for row, below, above, step in zip(rows, low, high, tensors[_STEP], strict=True):
        apart = above.astype(np.uint16) << 8 | below
        row[:] = np.cumsum(apart, dtype=np.uint16).view(np.int16) * step
    return rows
