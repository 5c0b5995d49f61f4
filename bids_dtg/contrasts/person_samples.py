"""Samples of people whose arrays are apart, with segments and contrasts of their own number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.samples import Box
from bids_dtg.files.array_store import MappedFile


class PersonSamples:
    """People in arrays of their own, in memory or memory-mapped.

    A person with fewer segments than others has them drawn more often. Maps may be NaN: of a
    contrast that was not measured all, else outside the measured brain. Losses leave those out.

    Parameters
    ----------
    connectomes
        One a person, (segments, rois, voxels), of any real type.
    maps
        One a person, (contrasts, voxels).
    mask
        (i, j, k); voxels are in C order.
    zero_for_nan
        Whether maps are 0 in place of NaN, as a loss needs them that can leave nothing out.

    Raises
    ------
    ValueError
        If people, ROIs, contrasts or voxels do not match.
    """

    def __init__(
        self,
        connectomes: Sequence[NDArray[Any]],
        maps: Sequence[NDArray[Any]],
        mask: NDArray[np.bool_],
        *,
        zero_for_nan: bool = False,
    ) -> None:
        voxels = int(np.count_nonzero(mask))
        if len(connectomes) != len(maps) or not connectomes:
            raise ValueError(
                f"connectomes and maps of the same people, found {len(connectomes)} and {len(maps)}"
            )
        inputs = {one.shape[1:] for one in connectomes}
        outputs = {one.shape for one in maps}
        if len(inputs) != 1 or len(outputs) != 1 or {s[-1] for s in inputs | outputs} != {voxels}:
            raise ValueError(
                f"connectomes are (segments, rois, {voxels}) and maps (contrasts, {voxels}), "
                f"found {sorted(inputs)} and {sorted(outputs)}"
            )
        self.people, self.segments = len(maps), max(len(one) for one in connectomes)
        self.mask, self._zero_for_nan = mask, zero_for_nan
        self._connectomes, self._maps = connectomes, maps
        self._rank = np.cumsum(mask).reshape(mask.shape) - 1

    def segment(self, person: int, segment: int, box: Box) -> NDArray[np.float32]:
        """Return a connectome inside a box, (rois, *box); 0 outside the mask."""
        own = self._connectomes[person]
        return self._inside(own[segment % len(own)], box)

    def maps(self, person: int, box: Box) -> NDArray[np.float32]:
        """Return the measured maps inside a box, (contrasts, *box); 0 outside the mask."""
        maps = self._inside(self._maps[person], box)
        return np.nan_to_num(maps, copy=False) if self._zero_for_nan else maps

    def __getstate__(self) -> dict[str, Any]:
        """Leave memory-mapped arrays on disk: another process maps them by itself."""
        arrays = {name: getattr(self, name) for name in ("_connectomes", "_maps")}
        return self.__dict__ | {
            name: [MappedFile.of(one) or one for one in people] for name, people in arrays.items()
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        for name in ("_connectomes", "_maps"):
            people = [one.open() if isinstance(one, MappedFile) else one for one in state[name]]
            setattr(self, name, people)

    def _inside(self, rows: NDArray[Any], box: Box) -> NDArray[np.float32]:
        inside = self.mask[box]
        values = np.zeros((len(rows), *inside.shape), np.float32)
        values[:, inside] = rows[:, self._rank[box][inside]]
        return values
