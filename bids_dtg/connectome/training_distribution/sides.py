"""Whether a run would fit a model's ROI maps better if its left and right were exchanged.

An ROI's series comes from where its map lies, and so does much of what correlates with it. That is
so in a mirrored run, too: a connectome resembles its maps whichever side is left. The sides are
therefore distinguished by a second reading, with mirrored maps. Its connectome is computed from the
one at hand, as far as the ROI series explain the series of a place. Where the maps are nearly
symmetric, or do not fit this brain, both readings fit alike, and the sides cannot be distinguished.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.training_distribution.pattern import PatternPlaces

Array = NDArray[np.float32]

# Series and maps resemble each other: this share of their size is added where they are solved for.
_RIDGE = 0.01
_MOST_PAIRS = 10_000  # of places; more add hardly anything
_LEAST_EVIDENCE = 2.3  # standard errors that less than one run in a hundred reaches by chance


@dataclass(frozen=True)
class Sides:
    """How well a run fits the maps as it is read, and mirrored."""

    match: float  # mean over ROIs of the spatial correlation of an ROI's row with its map
    mirrored: float  # the same of the mirrored reading
    evidence: float  # by how many standard errors over ROIs the mirrored reading fits better

    @property
    def gain(self) -> float:
        """What mirroring gains, as a share of the match; NaN where that may be chance."""
        if self.match > 0 and self.evidence > _LEAST_EVIDENCE:
            return self.mirrored / self.match - 1
        return float("nan")


def compare_sides(
    connectomes: Sequence[Array],
    roi_r: NDArray[np.float64],
    covered: NDArray[np.bool_],
    places: PatternPlaces,
) -> Sides:
    """Compare the reading of a run with its mirrored reading.

    Parameters
    ----------
    connectomes
        Of the run's segments, each (rois, places); their mean is taken.
    roi_r
        (rois, rois), Pearson r of the ROI series.
    covered
        (places,), where there is signal.
    places
        Neighbours and mirror of the model's places.

    Returns
    -------
    NaN where the maps have no other side, or are the same there.
    """
    there = np.flatnonzero((places.mirror >= 0) & covered)
    there = there[covered[places.mirror[there]]]
    there = there[:: -(-len(there) // _MOST_PAIRS)] if len(there) else there
    here = places.mirror[there]
    nothing = Sides(float("nan"), float("nan"), float("nan"))
    varying = np.diag(roi_r) > 0
    if len(there) <= len(roi_r) or varying.sum() < 3:
        return nothing
    both = np.concatenate([there, here])
    rows = np.stack([r[:, both][varying] for r in connectomes]).mean(axis=0, dtype=np.float64)
    maps = places.maps_at(both)[varying].astype(np.float64)
    readings = _matches(rows, roi_r[np.ix_(varying, varying)], maps)
    gains = readings[1] - readings[0]
    gains_known = gains[np.isfinite(gains)]
    if len(gains_known) < 3:
        return nothing
    error = float(gains_known.std(ddof=1) / np.sqrt(len(gains_known)))
    evidence = float(gains_known.mean()) / error if error > 0 else 0.0
    return Sides(float(np.nanmean(readings[0])), float(np.nanmean(readings[1])), evidence)


def _matches(
    rows: NDArray[np.float64], roi_r: NDArray[np.float64], maps: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read with the maps, and with their mirror images: how well rows fit their maps, (rois,).

    Parameters
    ----------
    rows, maps
        (rois, places), the places of one side and then, in the same order, those of the other;
        they are centred in place.
    roi_r
        (rois, rois), correlations of the ROI series.
    """
    for values in (rows, maps):
        values -= values.mean(axis=1, keepdims=True)
    of_rows, of_maps = np.split(rows, 2, axis=1), np.split(maps, 2, axis=1)
    gram, spread = maps @ maps.T, rows @ rows.T
    with_ridge = gram + _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    ridge = _RIDGE * np.linalg.eigvalsh(roi_r)[-1] * np.eye(len(roi_r))
    found = []
    for left, right in (of_maps, of_maps[::-1]):
        shared = left @ of_rows[0].T + right @ of_rows[1].T
        # What each place does, by the ROI series at hand; and by these, the series of the maps: so
        # many times each row is what is read.
        weights = np.linalg.solve(with_ridge, np.linalg.solve(roi_r + ridge, shared.T).T)
        products = np.einsum("rs,rs->r", weights, shared)
        sizes = np.einsum("rs,st,rt->r", weights, spread, weights, optimize=True)
        norms = np.sqrt(np.maximum(sizes, 0.0) * np.diagonal(gram))
        found.append(products / np.where(norms > 0, norms, np.nan))
    return found[0], found[1]
