"""Mean and spread maps of a reference group in a bundle, used for deviation maps.

The mean is stored unrounded, so that deviations of the reference group add up to 0. A bundle that
must be small has it packed: rounded to steps of a quarter of a contrast's median spread, with the
differences between neighbours deflated; a deviation is then wrong by an eighth at most. The
re-centring offset, which is as rough as measured maps, is subtracted before packing.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.tensors import read_tensors
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.errors import BundleError
from bids_dtg.files.tensors import TensorFile, encode_arrays
from bids_dtg.imaging.lattice import Lattice
from bids_dtg.imaging.places import Places
from bids_dtg.stats.deviation import OF, Deviation, UsualShare

DEVIATION_FILE = "deviation.safetensors"
# Names of tensors: the mean, or its packed bytes and the step of each contrast; the spread as a
# share of a contrast's largest, and that largest.
_MEAN, _PACKED, _STEP = "mean", "mean_packed", "mean_step"
_SPREAD, _LARGEST = "spread", "spread_largest"
_STEPS_PER_SPREAD = 4
_LEAST_SHARE = 2.0**-14  # of 16 bits, with all digits
_REMEDY = "fetch or make the bundle again"


def encode_deviation(deviation: Deviation, correction: Correction | None) -> bytes:
    """Encode mean and spread as the file's bytes (deterministic).

    Parameters
    ----------
    deviation
        The mean and the spread.
    correction
        Of the model's maps, as the bundle restores it; None: they have none.

    Raises
    ------
    BundleError
        If a value is not finite: a model predicts at each of its places.
    """
    largest = deviation.spread.reshape(len(deviation.spread), -1).max(axis=1)
    if not (np.isfinite(deviation.mean).all() and np.isfinite(largest).all()):
        raise BundleError(
            "the model was not written: the mean of its predictions has values that are not finite",
            expected="finite maps of all people",
        )
    whole = np.where(largest > 0, largest, 1.0).astype(np.float32)
    shares = deviation.spread / whole.reshape(-1, *[1] * (deviation.spread.ndim - 1))
    shares[~deviation.has_none] = np.maximum(shares[~deviation.has_none], _LEAST_SHARE)
    arrays: dict[str, NDArray[Any]] = {_SPREAD: shares.astype(np.float16), _LARGEST: whole}
    if not deviation.exact:
        usual = np.median(deviation.spread.reshape(len(whole), -1), axis=1)
        smooth = deviation.mean - _offset(correction)
        highest = np.abs(smooth).max(axis=1)
        # For a contrast without deviations, as many as the re-centring has.
        step = np.where(usual > 0, usual / _STEPS_PER_SPREAD, np.maximum(highest, 1) / 127)
        step = np.maximum(step, highest / np.iinfo(np.int16).max).astype(np.float32)
        arrays |= {_PACKED: _pack(smooth / step[:, None]), _STEP: step}
    else:
        arrays[_MEAN] = deviation.mean
    return encode_arrays(arrays)


def deviation_facts(deviation: Deviation) -> dict[str, Any]:
    """Return the field `deviation` of a card."""
    usual = deviation.usual
    return {
        "of": deviation.of,
        "people": deviation.people,
        "segments": deviation.segments,
        "block": deviation.lattice.edge,
        "packed": not deviation.exact,
        **({"usual_share": usual.share, "usual_people": usual.people} if usual else {}),
    }


def read_deviation(
    folder: Path,
    facts: Mapping[str, Any],
    places: Places,
    contrasts: int,
    correction: Correction | None,
    made: Lattice | None = None,
) -> Deviation:
    """Read what a card's field `deviation` describes.

    Raises
    ------
    BundleError
        If the field or the file is not what it should be.
    """
    path = folder / DEVIATION_FILE
    fields = JsonFields(facts, str(folder / "model.json"), "deviation.")
    people, segments = fields.whole("people"), fields.whole("segments")
    of, packed, edge = fields.text("of"), fields.flag("packed"), fields.whole("block")
    usual = _usual(fields)
    fields.refuse_unknown()
    if of not in OF:
        raise fields.wrong("of", of, " or ".join(OF))
    if not 1 <= edge <= places.number:
        raise fields.wrong("block", edge, "how many places an edge of a block has")
    lattice = places.lattice(edge) if made is None or made.edge != edge else made
    shape = contrasts, places.number
    expected = {
        _SPREAD: ("float16", (contrasts, *lattice.shape)),
        _LARGEST: ("float32", (contrasts,)),
    }
    if packed:
        size = _packed_size(path, 2 * contrasts * places.number)
        expected |= {_PACKED: ("uint8", (size,)), _STEP: ("float32", (contrasts,))}
    else:
        expected[_MEAN] = ("float32", shape)
    tensors = read_tensors(path, expected)
    with np.errstate(over="ignore"):
        spread = tensors[_SPREAD].astype(np.float32)
        spread *= tensors[_LARGEST].reshape(-1, *[1] * len(lattice.shape))
        mean = tensors[_MEAN] if not packed else _unpack(path, tensors, shape) + _offset(correction)
    if not np.isfinite(mean).all():
        raise BundleError(f"{path} has values that are not finite in the mean", remedy=_REMEDY)
    try:
        return Deviation(people, segments, of, mean, spread, lattice, not packed, usual)
    except ValueError as err:
        raise BundleError(f"{path}: {err}", remedy=_REMEDY) from err


def _usual(fields: JsonFields) -> UsualShare | None:
    if fields.absent("usual_share"):
        return None
    share, people = fields.number("usual_share"), fields.whole("usual_people")
    try:
        return UsualShare(share, people)
    except ValueError as err:
        raise fields.wrong("usual_share", share, "0 to 1, of people") from err


def _offset(correction: Correction | None) -> NDArray[np.float32]:
    return np.zeros((1, 1), np.float32) if correction is None else correction.offset


def _pack(steps: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Deflate rows (n, places) of 16-bit steps: low bytes, then high ones."""
    whole = np.rint(steps).astype(np.int16)
    apart = np.diff(whole, axis=1, prepend=np.int16(0)).astype("<i2")
    halves = apart.reshape(-1).view(np.uint8).reshape(-1, 2)
    return np.frombuffer(zlib.compress(halves.T.tobytes(), 9), np.uint8)


def _unpack(
    path: Path, tensors: Mapping[str, NDArray[Any]], shape: tuple[int, int]
) -> NDArray[np.float32]:
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
    # One row at a time, which fits the processor's cache.
    for row, below, above, step in zip(rows, low, high, tensors[_STEP], strict=True):
        apart = above.astype(np.uint16)
        apart <<= 8
        apart |= below
        np.cumsum(apart, out=apart)
        np.multiply(apart.view(np.int16), step, out=row)
    return rows


def _packed_size(path: Path, most: int) -> int:
    (size,) = TensorFile(path).shape(_PACKED, axes=1)
    # Data that cannot be deflated grow by a thousandth and a few bytes.
    if size > most + most // 1000 + 64:
        raise BundleError(
            f"{path} has {size} bytes of {_PACKED}",
            expected=f"at most about {most}",
            remedy=_REMEDY,
        )
    return size
