"""Intervals around parcel means: their file in a bundle, and their field in the card.

The file has three tensors for each atlas, named by the atlas' key; the field has the other facts
under the same key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.tensors import Expected, read_tensors
from bids_dtg.errors import BundleError
from bids_dtg.files.tensors import encode_arrays
from bids_dtg.stats.parcel_intervals import ParcelIntervals

PARCEL_INTERVALS_FILE = "parcel_intervals.safetensors"
_FIELD = "parcel_intervals"
# Tensors of an atlas, and the fields of `ParcelIntervals` that they hold.
_TENSORS = {"quantiles": "quantiles", "usual": "pooled_error", "measured": "measured"}
_TRUE = "true"  # of an atlas, where people had a second session
_KEY = re.compile(r"[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*")
_DIGEST = re.compile(r"[0-9a-f]{2,128}")


def encode_parcel_intervals(intervals: Mapping[str, ParcelIntervals]) -> bytes:
    """Encode the intervals of atlases as the file's bytes (deterministic)."""
    return encode_arrays(
        {
            f"{key}.{name}": getattr(one, field)
            for key, one in intervals.items()
            for name, field in _TENSORS.items()
        }
        | {
            f"{key}.{_TRUE}": one.true_error
            for key, one in intervals.items()
            if one.true_error is not None
        }
    )


def parcel_intervals_facts(intervals: Mapping[str, ParcelIntervals]) -> dict[str, Any]:
    """Return the field `parcel_intervals` of a card."""
    return {
        key: {
            "participants": one.participants,
            "segments": one.segments,
            "levels": list(one.levels),
            "parcels": one.pooled_error.shape[1],
            "digest": one.digest,
            **({"retest": one.retest} if one.retest else {}),
        }
        for key, one in sorted(intervals.items())
    }


def read_parcel_intervals(
    folder: Path, facts: Mapping[str, Any], contrasts: int
) -> dict[str, ParcelIntervals]:
    """Read the intervals that a card's field `parcel_intervals` describes, by the atlases' keys.

    Raises
    ------
    BundleError
        If the field or the file is not what it should be.
    """
    card = JsonFields({_FIELD: facts}, str(folder / "model.json")).nested(_FIELD)
    stated = {key: _stated(card, key) for key in card.items()}
    path = folder / PARCEL_INTERVALS_FILE
    expected: dict[str, tuple[str, tuple[int, ...]]] = {}
    for key, one in stated.items():
        parcels = one.pop("parcels")
        expected |= _expected(key, contrasts, len(one["levels"]), parcels)
        if one["retest"]:
            expected[f"{key}.{_TRUE}"] = ("float32", (contrasts, parcels))
    tensors = read_tensors(path, expected)
    found = {}
    for key, one in stated.items():
        own: dict[str, Any] = {field: tensors[f"{key}.{name}"] for name, field in _TENSORS.items()}
        own["true_error"] = tensors.get(f"{key}.{_TRUE}")
        try:
            found[key] = ParcelIntervals(**one, **own)
        except ValueError as err:
            remedy = "fetch or make the bundle again"
            raise BundleError(f"{path}: {key}: {err}", remedy=remedy) from err
    return found


def _stated(card: JsonFields, key: str) -> dict[str, Any]:
    """Read the card's facts of an atlas."""
    if not _KEY.fullmatch(key):
        raise card.wrong(key, key, "letters and digits, joined by '_' and '-'")
    fields = card.nested(key)
    levels = fields.value("levels")
    if not isinstance(levels, list) or not all(type(level) is int for level in levels):
        raise fields.wrong("levels", levels, "whole numbers of percent")
    stated = {
        "participants": fields.whole("participants"),
        "segments": fields.whole("segments"),
        "levels": tuple(levels),
        "parcels": fields.size("parcels"),
        "digest": fields.matching("digest", _DIGEST, "a hash in hexadecimal"),
        "retest": 0 if fields.absent("retest") else fields.whole("retest"),
    }
    fields.refuse_unknown()
    return stated


def _expected(key: str, contrasts: int, levels: int, parcels: int) -> Expected:
    return {
        f"{key}.quantiles": ("float32", (contrasts, levels)),
        f"{key}.usual": ("float32", (contrasts, parcels)),
        f"{key}.measured": ("int32", (contrasts, parcels)),
    }
