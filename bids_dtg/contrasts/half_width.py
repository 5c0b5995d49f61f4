"""Half-widths of 90 % prediction intervals, by contrast and voxel (or parcel).

A half-width is t(.95, n - 1) times the root mean square error over n people who were not in the
fit that predicts them: training people left out in turn, or validation people. Errors are pooled
in the blocks of a lattice. Values that were not measured do not count, and neither does a person
with none in a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np

from bids_dtg.array_types import Float32, Floats
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import build_name, parse_name
from bids_dtg.files.provenance import completed_titles, completion_record
from bids_dtg.files.regions import segment_label
from bids_dtg.files.sidecars import applies_to
from bids_dtg.files.text import read_json
from bids_dtg.imaging.places import Lattice
from bids_dtg.report.contents import CONTENT_ENTITIES

LEVEL = 90  # nominal coverage of the intervals, in percent of voxels
HALF_WIDTH = "halfwidth"  # desc- of maps of half-widths
LEAST_PEOPLE = 10  # people in a block, not in the fit that predicts them
_TAIL = 0.95  # one-sided quantile of t


@dataclass(frozen=True, eq=False)
class HalfWidths:
    """Half-widths in the blocks of a lattice, and the people whose errors they come from."""

    people: int
    segments: int  # rest segments that each of their predictions averages
    values: Float32  # (contrasts, *lattice), in the units of the maps; 0: there is no interval
    lattice: Lattice  # over the model's voxels or parcels
    # Whether they are training people, each left out in turn.
    left_out_in_turn: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.values).all() and (self.values >= 0).all()):
            raise ValueError("half-widths are 0 or more, and finite")

    @cached_property
    def at_places(self) -> Float32:
        """Interpolated between the blocks' centres, (contrasts, voxels); NaN: no interval."""
        block_widths = self.values.reshape(len(self.values), -1)
        has_width = block_widths > 0
        # Blocks without a half-width enter interpolation with the contrast's mean.
        mean = block_widths.sum(axis=1) / np.maximum(has_width.sum(axis=1), 1)
        filled = np.where(has_width, block_widths, mean[:, None])
        widths = self.lattice.interpolate(filled)
        widths[~has_width[:, self.lattice.block_of]] = np.nan
        widths.flags.writeable = False
        return widths


def half_width_path(
    entities: Mapping[str, str | None], extension: str
) -> PurePosixPath:
    """Return the path of a map of half-widths, in the template's folder of the output.

    Parameters
    ----------
    entities
        Entities of the map that it belongs to; those of the person are ignored.
    extension
        Extension of the file, with its dot.

    Examples
    --------
    >>> entities = {"space": "MNI152NLin6Asym", "res": "2", "contrast": "languageMath"}
    >>> half_width_path(entities, ".nii.gz").name
    'tpl-MNI152NLin6Asym_res-2_contrast-languageMath_desc-halfwidth_statmap.nii.gz'
    """
    template = entities["space"]
    content = {key: value for key, value in entities.items() if key in CONTENT_ENTITIES}
    width_entities = {**content, "space": None, "tpl": template, "desc": HALF_WIDTH}
    return PurePosixPath(f"tpl-{template}") / build_name(
        width_entities, "statmap", extension
    )


def remove_unused(output: DerivativeDataset, identity: str) -> None:
    """Remove what all participants share of models of which an output has no maps left.

    These are half-widths, names of ROIs, and label images of painted parcels.

    Parameters
    ----------
    output
        The output dataset.
    identity
        Digest of the model whose maps are being made.
    """
    widths = output.root.glob(f"tpl-*/*_desc-{HALF_WIDTH}_statmap.json")
    labels = output.root.glob("tpl-*/*_dseg.json")
    for sidecar in (*widths, *labels):
        facts = read_json(sidecar)
        model = facts.get("ModelSHA256")
        if model in (None, identity) or _has_maps_of(model, output):
            continue
        nodes = segment_label(str(facts.get("ModelName")))
        shared = parse_name(sidecar.name)
        files = [*sidecar.parent.glob(f"*_seg-{nodes}_*")]
        for path in sidecar.parent.glob(f"*_{shared.suffix}.*"):
            if applies_to(shared, parse_name(path.name)):
                files.append(path)
        for path in files:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # it has other files, or another job removed it
            sidecar.parent.rmdir()


def _has_maps_of(model: str, output: DerivativeDataset) -> bool:
    """Return whether any set of maps is of a model, by the records of completion."""
    for title in completed_titles(output):
        options = completion_record(output, title).get("Options")
        if isinstance(options, dict) and options.get("model") == model:
            return True
    return False


class LeftOutErrors:
    """Sums of squares and products of predicted and measured maps over people, by block.

    Parameters
    ----------
    contrasts
        Number of contrasts.
    lattice
        Blocks over the voxels of the maps.

    Examples
    --------
    Twelve people at one voxel, with 0 predicted and -1 or 1 measured:

    >>> import numpy as np
    >>> from bids_dtg.imaging.places import single_lattice
    >>> sums = LeftOutErrors(1, single_lattice(1, 1))
    >>> for sign in (-1.0, 1.0) * 6:
    ...     sums.add(np.zeros((1, 1)), np.full((1, 1), sign))
    >>> sums.half_widths(segments=4).values.round(3)  # t(.95, 11)
    array([[1.796]], dtype=float32)
    """

    def __init__(self, contrasts: int, lattice: Lattice) -> None:
        self._lattice = lattice
        self._people = 0
        # Over measured voxels: squares of both, their product, and the number of voxels.
        self._sums = np.zeros((4, contrasts, lattice.blocks))
        # People measured in the block.
        self._in_block = np.zeros((contrasts, lattice.blocks), np.intp)

    def add(self, predicted: Floats, measured: Floats) -> None:
        """Add a person's maps, or deviations, (contrasts, voxels); NaN: not measured."""
        self._people += 1
        block_of, blocks = self._lattice.block_of, self._lattice.blocks
        for row, (p, m) in enumerate(zip(predicted, measured, strict=True)):
            is_measured = np.isfinite(m)
            p = np.where(is_measured, p, 0.0)
            m = np.where(is_measured, m, 0.0)
            voxel_terms = (p * p, m * m, p * m, is_measured)
            for sums, values in zip(self._sums, voxel_terms, strict=True):
                sums[row] += np.bincount(block_of, values, minlength=blocks)
            voxels_in_block = np.bincount(block_of[is_measured], minlength=blocks)
            self._in_block[row] += voxels_in_block > 0

    def half_widths(
        self,
        gains: Floats | None = None,
        *,
        segments: int,
        left_out_in_turn: bool = False,
    ) -> HalfWidths:
        """Return the half-widths; needs two people, and gives 0 in blocks with too few.

        Parameters
        ----------
        gains
            (contrasts,), by which predictions are multiplied; None: 1.
        segments, left_out_in_turn
            As in `HalfWidths`.
        """
        from scipy.stats import t

        predicted, measured, product, values = self._sums
        gain = np.ones((len(values), 1))
        if gains is not None:
            gain = np.asarray(gains, float)[:, None]
        squares = measured - 2 * gain * product + gain**2 * predicted
        mean = np.maximum(squares, 0.0) / np.maximum(values, 1)
        people = self._in_block
        quantile = t.ppf(_TAIL, np.maximum(people - 1, 1))
        enough = people >= min(LEAST_PEOPLE, self._people)
        widths = np.where(enough, quantile * np.sqrt(mean), 0.0)
        return HalfWidths(
            self._people,
            segments,
            widths.reshape(len(widths), *self._lattice.shape).astype(np.float32),
            self._lattice,
            left_out_in_turn,
        )
