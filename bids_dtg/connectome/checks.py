"""Checks of a run that need no data of other people.

A wrong grid, side, space or cleaning changes how a connectome resembles the model's ROI maps. That
resemblance alone does not reveal a swap of left and right: an ROI's series is computed where its
map lies, so a mirrored run resembles the maps too. The run is therefore read a second time with
mirrored maps, using the connectome and the part of each voxel's series that the ROI series explain.
If the maps are nearly symmetric, or do not fit this brain, both readings fit equally well, and
nothing is concluded about sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.quality import METRICS, REASONS

if TYPE_CHECKING:
    from bids_dtg.connectome.connectome import RunConnectomes

Array = NDArray[np.float32]
Float = NDArray[np.float64]
Indices = NDArray[np.intp]

# Ridge, relative to the size of the matrix, as ROI series and maps are collinear.
_RIDGE = 0.01
_LEAST_HOMOTOPIC = (
    30  # pairs of places; fewer give a share that varies too much by chance
)
_MOST_PAIRS = 10_000  # of voxels; more hardly change the result
_PLACES = 8192  # of maps that are compared at once
# z value over ROIs that fewer than one run in a hundred reaches by chance.
_LEAST_EVIDENCE = 2.3

Verdict = Literal["inside", "unusual", "outside"]
_ORDER: tuple[Verdict, ...] = ("inside", "unusual", "outside")


@dataclass(frozen=True)
class RunCheck:
    """The result of the checks of a run."""

    verdict: Verdict  # the worst verdict of all checks
    figures: Mapping[str, float]  # metrics by name; NaN if undefined
    reasons: tuple[str, ...]  # descriptions of what is unusual; the worst first


def judge_run(
    run: RunConnectomes,
    mask_overlap: float | None,
    maps: Array,
    columns: Indices,
    mirror: Indices,
) -> RunCheck:
    """Judge a run from the connectomes of its segments.

    Parameters
    ----------
    run
        Connectomes at the model's voxels or parcels (places).
    mask_overlap
        Dice overlap of the run's brain mask and the model's; None if unknown.
    maps
        (rois, columns), the model's ROI maps.
    columns
        (places,), the maps' column of each place.
    mirror
        (places,), the mirror place in the other hemisphere; -1 if there is none.
    """
    connectomes = [segment.marginal for segment in run.segments]
    pairs = pairs_of_sides(mirror, run.covered)
    # First, as it takes most memory: the network needs more later.
    gain = mirrored_gain(connectomes, run.roi_r, maps, columns, pairs)
    sd = run.series.std(axis=0)
    sd = sd[sd > 0]
    figures = {
        "roi_map_identity": map_identity(connectomes, maps, columns, run.covered),
        "hemispheric_similarity": np.mean([symmetry(r, pairs) for r in connectomes]),
        "homotopic_rank": run.homotopic_rank,
        "coverage": run.coverage,
        "roi_coverage_min": run.roi_coverage.min(),
        "mask_overlap": np.nan if mask_overlap is None else mask_overlap,
        "roi_sd_ratio": sd.max() / sd.min() if len(sd) else np.nan,
        "mirrored_gain": gain,
    }
    found = [
        (
            _ORDER[METRICS[figure].steps(float(figures[figure]))],
            text.format(value=figures[figure]),
        )
        for figure, text in REASONS.items()
    ]
    found.sort(key=lambda finding: -_ORDER.index(finding[0]))
    reasons = tuple(text for verdict, text in found if verdict != "inside")
    return RunCheck(
        found[0][0], {key: float(value) for key, value in figures.items()}, reasons
    )


def standardised(rows: Array) -> Array:
    """Return rows with mean 0 and norm 1; NaN for constant rows.

    Examples
    --------
    >>> standardised(np.array([[1.0, 3, 1, 3]]))
    array([[-0.5,  0.5, -0.5,  0.5]])
    """
    rows = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, np.nan))


def pairs_of_sides(mirror: Indices, covered: NDArray[np.bool_]) -> Indices:
    """Return places and their mirror places, (2, pairs), both with signal."""
    here = np.flatnonzero(covered & (mirror >= 0))
    here = here[covered[mirror[here]]]
    return np.stack([here, mirror[here]])


def map_identity(
    connectomes: Sequence[Array],
    maps: Array,
    columns: Indices,
    covered: NDArray[np.bool_],
) -> float:
    """Return the share of ROIs whose row resembles their own map more than any other map.

    Parameters
    ----------
    connectomes
        Pearson correlations in the run's segments, each (rois, places).
    maps
        (rois, columns), the model's ROI maps.
    columns
        (places,), the maps' column of each place.
    covered
        (places,), whether they have data; others do not count.

    Returns
    -------
    The share, mean over segments; NaN if no row of a segment varies.
    """
    # Mean and norm of a row do not change which map it resembles most. Some places at a time, as
    # copies of all maps are large.
    here = np.flatnonzero(covered)
    parts = [here[first : first + _PLACES] for first in range(0, len(here), _PLACES)]
    means = sum(maps[:, columns[part]].sum(axis=1, dtype=np.float64) for part in parts)
    means = means / max(1, len(here))
    matches = np.zeros((len(connectomes), len(maps), len(maps)))
    squares = np.zeros(len(maps))
    for part in parts:
        scaled = maps[:, columns[part]] - means[:, None].astype(maps.dtype)
        squares += np.square(scaled).sum(axis=1)
        for match, rows in zip(matches, connectomes, strict=True):
            match += rows[:, part] @ scaled.T
    matches /= np.sqrt(np.where(squares > 0, squares, np.nan))
    shares = []
    for match, rows in zip(matches, connectomes, strict=True):
        defined = np.isfinite(np.diagonal(match)) & (np.ptp(rows, axis=1) > 0)
        best = np.where(np.isfinite(match), match, -np.inf).argmax(axis=1)
        own = (best == np.arange(len(best)))[defined]
        shares.append(own.mean() if len(own) else np.nan)
    return float(np.mean(shares))


def symmetry(r: Array, pairs: Indices) -> float:
    """Return the mean over ROIs of the correlation of a row with its mirror image.

    Parameters
    ----------
    r
        (rois, places) Pearson correlations.
    pairs
        Places in one hemisphere and the other, from `pairs_of_sides`.

    Returns
    -------
    The mean; NaN if no row varies.
    """
    if len(pairs[0]) < 2:
        return float("nan")
    alike = np.array([np.prod(standardised(row[pairs]), axis=0).sum() for row in r])
    alike = alike[np.isfinite(alike)]
    return float(alike.mean()) if len(alike) else float("nan")


def homotopic_rank(series: NDArray[np.floating], pairs: Indices) -> float:
    """Return the share of pairs of places across hemispheres that correlate less than homotopic.

    The same region of both hemispheres correlates most (Salvador et al. 2005, Cerebral Cortex 15,
    1332-1342). Series that are noise, or belong to other regions than their names say, have a share
    of 0.5, although their connectomes resemble the ROI maps, from which the ROI series come.

    Parameters
    ----------
    series
        (frames, places), cleaned.
    pairs
        (2, pairs), positions of the same place in the left and the right hemisphere.

    Returns
    -------
    The share; NaN if fewer than 30 homotopic pairs have signal.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> left = rng.standard_normal((200, 40))
    >>> series = np.hstack([left, left + rng.standard_normal((200, 40))])
    >>> homotopic_rank(series, np.arange(80).reshape(2, 40))
    1.0
    """
    left, right = (standardised(series[:, side].T) for side in pairs)
    present = np.isfinite(left).all(axis=1) & np.isfinite(right).all(axis=1)
    if (number := np.count_nonzero(present)) < _LEAST_HOMOTOPIC:
        return float("nan")
    r = left[present] @ right[present].T
    homotopic = np.diagonal(r)
    less = np.count_nonzero(r < homotopic) + np.count_nonzero(r < homotopic[:, None])
    return float(less / (2 * number * (number - 1)))


def mirrored_gain(
    connectomes: Sequence[Array],
    roi_r: Float,
    maps: Array,
    columns: Indices,
    pairs: Indices,
) -> float:
    """Return the relative gain in mean correlation of ROIs' rows and maps if maps are mirrored.

    Parameters
    ----------
    connectomes
        Connectomes of the run's segments, each (rois, places), which are averaged.
    roi_r
        (rois, rois), Pearson r of the ROI series.
    maps
        (rois, columns), the model's ROI maps.
    columns
        (places,), the maps' column of each place.
    pairs
        Places in one hemisphere and the other, from `pairs_of_sides`.

    Returns
    -------
    The gain; NaN if it may be chance, or if the maps have no mirror places or are symmetric.
    """
    each = max(1, -(-len(pairs[0]) // _MOST_PAIRS))
    both = pairs[:, ::each].ravel()
    varying = np.diag(roi_r) > 0
    if len(both) <= 2 * len(roi_r) or varying.sum() < 3:
        return float("nan")
    those = np.flatnonzero(varying)[:, None]
    rows = np.stack([r[those, both] for r in connectomes]).mean(
        axis=0, dtype=np.float64
    )
    of_maps = maps[those, columns[both]].astype(np.float64)
    match, mirrored = _readings(rows, roi_r[np.ix_(varying, varying)], of_maps)
    gains = mirrored - match
    gains = gains[np.isfinite(gains)]
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) >= 3 else 0.0
    of_match = np.nanmean(match) if len(gains) else 0.0
    if not of_match > 0 or not error > 0 or gains.mean() / error <= _LEAST_EVIDENCE:
        return float("nan")
    return float(np.nanmean(mirrored) / of_match - 1)


def _readings(
    rows: NDArray[np.float64], roi_r: NDArray[np.float64], maps: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how well rows fit their maps, and the mirror images of these; each (rois,).

    Parameters
    ----------
    rows, maps
        (rois, places), the places of one hemisphere and then, in the same order, those of the
        other; both arrays are centred in place.
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
        # The ROI series explain the series of each place, and these give the series of the maps.
        # A reading is thus a weighted sum of rows, with these weights.
        weights = np.linalg.solve(
            with_ridge, np.linalg.solve(roi_r + ridge, shared.T).T
        )
        products = np.einsum("rs,rs->r", weights, shared)
        sizes = np.einsum("rs,st,rt->r", weights, spread, weights, optimize=True)
        norms = np.sqrt(np.maximum(sizes, 0.0) * np.diagonal(gram))
        found.append(products / np.where(norms > 0, norms, np.nan))
    return found[0], found[1]
