"""Checks of a run that need no data of other people.

A wrong grid, side, space or cleaning changes how a connectome resembles the model's ROI maps. That
resemblance alone does not reveal a swap of left and right: an ROI's series is computed where its
map lies, so a mirrored run resembles the maps too. The run is therefore read a second time with
mirrored maps, using the connectome and the part of each voxel's series that the ROI series explain.
If the maps are nearly symmetric, or do not fit this brain, both readings fit equally well, and
nothing is concluded about sides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from bids_dtg.array_types import Float32, Float64, Floats, Indices, Mask
from bids_dtg.connectome.hemispheres import pairs_of_sides, symmetry
from bids_dtg.connectome.quality import QualityMetric

if TYPE_CHECKING:
    from bids_dtg.connectome.connectome import RunConnectomes


# Ridge, relative to the size of the matrix, as ROI series and maps are collinear.
_RIDGE = 0.01
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
    maps: Floats,
    columns: Indices,
    mirror: Indices,
    metrics: Sequence[QualityMetric],
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
    metrics
        The limits; those with a reason are judged.
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
    findings: list[tuple[int, str]] = []  # number of limits reached, words
    for metric in metrics:
        if metric.reason:
            value = figures[metric.name]
            reason = metric.reason.format(value=value)
            findings.append((metric.steps(float(value)), reason))
    findings.sort(key=lambda finding: -finding[0])
    worst, _ = findings[0]
    return RunCheck(
        verdict=_ORDER[worst],
        figures={figure: float(value) for figure, value in figures.items()},
        reasons=tuple(text for steps, text in findings if steps),
    )


def map_identity(
    connectomes: Sequence[Float32],
    maps: Float32,
    columns: Indices,
    covered: Mask,
) -> float:
    """Return the share of ROIs whose row resembles their map more than any other map.

    Parameters
    ----------
    connectomes
        Pearson correlations in the run's segments, each (rois, places).
    maps
        (rois, columns), the model's ROI maps.
    columns
        (places,), the maps' column of each place.
    covered
        (places,), whether they have data; places without do not count.

    Returns
    -------
    The share, mean over segments; NaN if no row of a segment varies.
    """
    # Mean and norm of a row do not change which map it resembles most. Some places at a time, as
    # copies of all maps are large.
    places = np.flatnonzero(covered)
    starts = range(0, len(places), _PLACES)
    groups = [places[start : start + _PLACES] for start in starts]
    means = sum(
        maps[:, columns[group]].sum(axis=1, dtype=np.float64) for group in groups
    )
    means = means / max(1, len(places))
    # (segments, rois, maps), sums of products of rows and maps
    matches = np.zeros((len(connectomes), len(maps), len(maps)))
    squares = np.zeros(len(maps))
    for group in groups:
        centred = maps[:, columns[group]] - means[:, None].astype(maps.dtype)
        squares += np.square(centred).sum(axis=1)
        for match, rows in zip(matches, connectomes, strict=True):
            match += rows[:, group] @ centred.T
    matches /= np.sqrt(np.where(squares > 0, squares, np.nan))
    shares = []
    for match, rows in zip(matches, connectomes, strict=True):
        comparable = np.where(np.isfinite(match), match, -np.inf)
        is_best = comparable.argmax(axis=1) == np.arange(len(match))
        varies = np.ptp(rows, axis=1) > 0
        defined = np.isfinite(np.diagonal(match)) & varies
        identified = is_best[defined]
        shares.append(identified.mean() if len(identified) else np.nan)
    return float(np.mean(shares))


def mirrored_gain(
    connectomes: Sequence[Float32],
    roi_r: Float64,
    maps: Float32,
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
    step = max(1, math.ceil(len(pairs[0]) / _MOST_PAIRS))
    places = pairs[:, ::step].ravel()  # of one hemisphere, then of the other
    rois = np.flatnonzero(np.diag(roi_r) > 0)  # with signal
    if len(places) <= 2 * len(roi_r) or len(rois) < 3:
        return np.nan
    rows_of_segments = np.stack([r[np.ix_(rois, places)] for r in connectomes])
    rows = rows_of_segments.mean(axis=0, dtype=np.float64)
    maps_there = maps[np.ix_(rois, columns[places])].astype(np.float64)
    match, mirrored = _readings(rows, roi_r[np.ix_(rois, rois)], maps_there)
    gains = mirrored - match
    gains = gains[np.isfinite(gains)]
    if len(gains) < 3:
        return np.nan
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    mean_match = np.nanmean(match)
    if not mean_match > 0 or not error > 0:
        return np.nan
    if gains.mean() / error <= _LEAST_EVIDENCE:
        return np.nan
    return float(np.nanmean(mirrored) / mean_match - 1)


def _readings(rows: Float64, roi_r: Float64, maps: Float64) -> tuple[Float64, Float64]:
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
    first_rows, second_rows = np.split(rows, 2, axis=1)
    first_maps, second_maps = np.split(maps, 2, axis=1)
    gram = maps @ maps.T
    row_products = rows @ rows.T
    gram_ridge = _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    largest_eigenvalue = np.linalg.eigvalsh(roi_r)[-1]
    roi_ridge = _RIDGE * largest_eigenvalue * np.eye(len(roi_r))

    def fit(maps_of_first: Float64, maps_of_second: Float64) -> Float64:
        shared = maps_of_first @ first_rows.T + maps_of_second @ second_rows.T
        # The ROI series explain the series of each place, and these give the series of the maps.
        # A reading is thus a weighted sum of rows, with these weights.
        explained = np.linalg.solve(roi_r + roi_ridge, shared.T).T
        weights = np.linalg.solve(gram + gram_ridge, explained)
        products = np.einsum("rs,rs->r", weights, shared)
        sizes = np.einsum("rs,st,rt->r", weights, row_products, weights, optimize=True)
        norms = np.sqrt(np.maximum(sizes, 0.0) * np.diagonal(gram))
        return np.asarray(products / np.where(norms > 0, norms, np.nan))

    return fit(first_maps, second_maps), fit(second_maps, first_maps)
