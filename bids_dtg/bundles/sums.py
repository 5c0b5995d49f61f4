"""The sums of local ridge in a file: to go on with later, or to be added to another site's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from bids_dtg.bundles.bundle import ModelBundle
from bids_dtg.bundles.card import MAPS_FILE, MASK_FILE
from bids_dtg.contrasts.local_ridge import LocalRidgeSums
from bids_dtg.errors import BundleError
from bids_dtg.files.atomic import write_atomic

_ARRAYS = ("connectome_sum", "map_sum", "products")


@dataclass(frozen=True)
class SumsFacts:
    """What sums must have in common to be added."""

    mask: str  # SHA-256 of the bundle's mask
    roi_maps: str  # SHA-256 of its ROI maps
    contrasts: tuple[str, ...]  # labels of the maps' rows
    block: int  # edge of a cell in voxels

    @classmethod
    def of(cls, bundle: ModelBundle, contrasts: Sequence[str], block: int) -> SumsFacts:
        files = bundle.card.files
        return cls(files[MASK_FILE], files[MAPS_FILE], tuple(contrasts), block)

    def text(self) -> str:
        return json.dumps(vars(self) | {"contrasts": list(self.contrasts)}, sort_keys=True)


def write_sums(path: Path, sums: LocalRidgeSums, facts: SumsFacts, labels: Sequence[str]) -> None:
    """Write sums, what they belong to, and whose they are.

    They hold means and products over people, no person's maps. Labels, and whatever else of
    people is in the same strings, are there as hashes.
    """
    arrays = {name: np.ascontiguousarray(getattr(sums, name)) for name in _ARRAYS}
    told = {"facts": facts.text(), "people": json.dumps([_hidden(label) for label in labels])}
    write_atomic(path, safetensors.numpy.save(arrays, metadata=told))


def read_sums(
    path: Path, facts: SumsFacts, mask: NDArray[np.bool_], voxel_mm: float
) -> tuple[LocalRidgeSums, tuple[str, ...]]:
    """Read sums, and hashes of whose they are.

    Raises
    ------
    BundleError
        The file is damaged, or its sums belong to another mask, other ROI maps or contrasts.
    """
    try:
        arrays: dict[str, NDArray[Any]] = safetensors.numpy.load_file(path)
        with safe_open(path, framework="numpy") as file:
            told = file.metadata() or {}
        found, labels = told["facts"], tuple(json.loads(told["people"]))
    except (OSError, SafetensorError, KeyError, ValueError) as err:
        raise BundleError(f"{path} holds no sums of local ridge: {err}") from err
    if found != facts.text():
        ours, theirs = json.loads(facts.text()), json.loads(found)
        other = [name for name in ours if ours[name] != theirs.get(name)]
        raise BundleError(
            f"{path} has sums of another {' and another '.join(other)}",
            expected="sums over the same mask, ROI maps, contrasts and cells",
        )
    sums = LocalRidgeSums(mask, voxel_mm, facts.block)
    sums.people = len(labels)
    for name in _ARRAYS:
        setattr(sums, name, arrays[name])
    return sums, labels


def is_beginning(hidden: Sequence[str], labels: Sequence[str]) -> bool:
    """Tell whether the people of a file, as `read_sums` names them, are the first of these."""
    return list(hidden) == [_hidden(label) for label in labels[: len(hidden)]]


def _hidden(label: str) -> str:
    return hashlib.sha256(label.encode()).hexdigest()[:16]
