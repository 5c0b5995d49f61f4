"""Checks of a run that need nothing of other people, and the limits of its figures.

A wrong grid, side, space or cleaning changes what a connectome looks like against the model's ROI
maps. Whether left and right are exchanged is judged by a second reading of the run with mirrored
maps, computed from the connectome as far as the ROI series explain the series of a place: an ROI's
series comes from where its map lies, so a mirrored run resembles its maps, too. Where the maps are
nearly symmetric, or do not fit this brain, both readings fit alike, and nothing is said of sides.

The limits are rules of thumb: docs/tried.md says how often they are exceeded on simulated runs,
docs/reference/reports.md lists those that the reports flag. None of them leaves a run out:
`--min-minutes` does.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.text import read_packaged

if TYPE_CHECKING:
    from bids_dtg.connectome.connectome import RunConnectomes

Array = NDArray[np.float32]
Float = NDArray[np.float64]
Indices = NDArray[np.intp]

_NONE = -1
# Places or pairs of them handled at a time, so that what is made of them stays in the cache.
_AT_A_TIME = 2048
# Series and maps resemble each other: this share of their size is added where they are solved for.
_RIDGE = 0.01
_MOST_PAIRS = 10_000  # of places; more add hardly anything
# Standard errors over ROIs that less than one run in a hundred reaches by chance.
_LEAST_EVIDENCE = 2.3

Verdict = Literal["inside", "unusual", "outside"]
_ORDER: tuple[Verdict, ...] = ("inside", "unusual", "outside")

# The first reason of such a model: what a person should check is not wrong with a real run.
OF_SIMULATED_PEOPLE = (
    "the model was trained on simulated people: real runs may be outside the limits, however good "
    "they are"
)


@dataclass(frozen=True)
class Limit:
    """Where the usual values of a figure end."""

    unusual: float  # from here on a value is unusual
    outside: float  # and from here on too bad; lower than `unusual` where low values are bad
    text: str = ""  # what it means to be beyond, of figures that need no statistics of people

    @property
    def low_is_bad(self) -> bool:
        """Whether smaller values are worse."""
        return self.outside < self.unusual

    def steps(self, value: float, *, included: bool = False) -> int:
        """Return how many of the two limits a value is beyond: 0, 1 or 2; NaN is beyond none.

        Parameters
        ----------
        value
            Value of the figure, in its own unit.
        included
            Whether a value that equals a limit is beyond it.

        Examples
        --------
        >>> [LIMITS["coverage"].steps(share) for share in (0.99, 0.9, 0.5)]
        [0, 1, 2]
        """
        sign = -1.0 if self.low_is_bad else 1.0
        return sum(
            sign * value > sign * limit or (included and value == limit)
            for limit in (self.unusual, self.outside)
        )


LIMITS = {
    figure: Limit(**row)
    for figure, row in tomllib.loads(read_packaged(__package__, "checks.toml")).items()
}
CHECKS = {figure: limit.text for figure, limit in LIMITS.items() if limit.text}


@dataclass(frozen=True)
class RunCheck:
    """What the checks of a run found."""

    verdict: Verdict  # the worst of the checks
    figures: Mapping[str, float]  # what was looked at; NaN where not defined
    reasons: tuple[str, ...]  # what is unusual, in words; the worst first


def judge_run(
    run: RunConnectomes,
    mask_overlap: float | None,
    places: PatternPlaces,
    *,
    simulated: bool = False,
) -> RunCheck:
    """Judge a run by its segments.

    Parameters
    ----------
    run
        Connectomes over the model's places.
    mask_overlap
        Dice of the run's brain mask and the model's; None where it is not known.
    places
        Of the model.
    simulated
        Whether the model's training people were.
    """
    connectomes = [segment.marginal for segment in run.segments]
    patterns = [map_identity_and_symmetry(r, run.covered, places) for r in connectomes]
    identity, symmetry = np.mean(patterns, axis=0)
    sd = run.series.std(axis=0)
    sd = sd[sd > 0]
    figures = {
        "roi_map_identity": float(identity),
        "hemispheric_similarity": float(symmetry),
        "coverage": run.coverage,
        "roi_coverage_min": float(run.roi_coverage.min()),
        "mask_overlap": float("nan") if mask_overlap is None else mask_overlap,
        "roi_sd_ratio": float(sd.max() / sd.min()) if len(sd) else float("nan"),
        "mirrored_gain": mirrored_gain(connectomes, run.roi_r, run.covered, places),
    }
    found = [
        (_ORDER[LIMITS[figure].steps(figures[figure])], text.format(value=figures[figure]))
        for figure, text in CHECKS.items()
    ]
    found.sort(key=lambda finding: -_ORDER.index(finding[0]))
    if simulated and found[0][0] != "inside":
        found.insert(0, (found[0][0], OF_SIMULATED_PEOPLE))
    reasons = tuple(text for verdict, text in found if verdict != "inside")
    return RunCheck(found[0][0], figures, reasons)


@dataclass(frozen=True, eq=False)
class PatternPlaces:
    """A model's places: their ROI maps and mirror images."""

    maps: Array  # (rois, places), or more, where `columns` say which
    mirror: Indices  # (places,), the place on the other side, -1 for none
    columns: Indices | None = None  # (places,), of `maps`; None: they are in the places' order

    def maps_at(self, places: Indices | slice) -> Array:
        """Return the maps at some places, (rois, places)."""
        return self.maps[:, places if self.columns is None else self.columns[places]]


def map_identity_and_symmetry(
    r: Array, covered: NDArray[np.bool_], places: PatternPlaces
) -> tuple[float, float]:
    """Return how a connectome fits the ROI maps, and how alike its two sides are.

    Parameters
    ----------
    r
        (rois, places) Pearson correlations.
    covered
        (places,), where there is signal.
    places
        Maps and mirror images of the same places.

    Returns
    -------
    map_identity
        Share of ROIs whose row resembles their own map most of all maps; NaN: not defined.
    symmetry
        Mean over ROIs of the correlation of a row with its mirror image; NaN: not defined.
    """
    if not covered.any():
        return float("nan"), float("nan")
    # What belongs to a place lies together; about one of them, so that a constant row is 0.
    by_place = np.empty(r.T.shape, np.float32)
    np.subtract(r.T, r[:, np.argmax(covered)], out=by_place)
    by_place[~covered] = 0
    about = places.maps_at(np.flatnonzero(covered)[:1]).T
    parts = [slice(low, low + _AT_A_TIME) for low in range(0, len(covered), _AT_A_TIME)]
    matches = _correlations(
        (
            (by_place[here], (places.maps_at(here).T - about) * covered[here, None])
            for here in parts
        ),
        *(len(r), int(np.count_nonzero(covered))),
    )
    defined = np.isfinite(np.diagonal(matches))
    if not defined.any():
        return float("nan"), float("nan")
    best = np.where(np.isfinite(matches), matches, -np.inf).argmax(axis=1)
    identity = float((best == np.arange(len(r)))[defined].mean())
    there = np.flatnonzero(places.mirror != _NONE)
    there = there[covered[there] & covered[places.mirror[there]]]
    if len(there) < 2:
        return identity, float("nan")
    some = np.array_split(there, range(_AT_A_TIME, len(there), _AT_A_TIME))
    pairs = ((by_place[here], by_place[places.mirror[here]]) for here in some)
    sides = _correlations(pairs, len(r), len(there))
    alike = np.diagonal(sides)[np.isfinite(np.diagonal(sides))]
    return identity, float(alike.mean()) if len(alike) else float("nan")


def _correlations(parts: Iterable[tuple[Array, Array]], rois: int, count: int) -> Float:
    """Correlate two sets of rows over so many places, given part by part as (places, rois).

    (rois, rois), NaN where a row is constant.
    """
    products, sums, squares = np.zeros((rois, rois)), np.zeros((2, rois)), np.zeros((2, rois))
    for part in parts:
        products += part[0].T @ part[1]
        for n, own in enumerate(part):
            sums[n] += own.sum(axis=0)
            squares[n] += np.einsum("pr,pr->r", own, own)
    means = sums / count
    norms = np.sqrt(np.outer(*np.maximum(squares / count - means**2, 0.0)))
    above = products / count - np.outer(*means)
    found: Float = np.divide(above, norms, out=np.full_like(above, np.nan), where=norms > 0)
    return found


def mirrored_gain(
    connectomes: Sequence[Array],
    roi_r: NDArray[np.float64],
    covered: NDArray[np.bool_],
    places: PatternPlaces,
) -> float:
    """Return what mirroring gains, as a share of the mean correlation of ROIs' rows and maps.

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
    NaN where that may be chance, and where the maps have no other side, or are the same there.
    """
    there = np.flatnonzero((places.mirror >= 0) & covered)
    there = there[covered[places.mirror[there]]]
    there = there[:: -(-len(there) // _MOST_PAIRS)] if len(there) else there
    here = places.mirror[there]
    nothing, varying = float("nan"), np.diag(roi_r) > 0
    if len(there) <= len(roi_r) or varying.sum() < 3:
        return nothing
    both = np.concatenate([there, here])
    rows = np.stack([r[:, both][varying] for r in connectomes]).mean(axis=0, dtype=np.float64)
    maps = places.maps_at(both)[varying].astype(np.float64)
    match, mirrored = _readings(rows, roi_r[np.ix_(varying, varying)], maps)
    gains = mirrored - match
    gains = gains[np.isfinite(gains)]
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) >= 3 else 0.0
    of_match = np.nanmean(match) if len(gains) else 0.0
    if not of_match > 0 or not error > 0 or gains.mean() / error <= _LEAST_EVIDENCE:
        return nothing
    return float(np.nanmean(mirrored) / of_match - 1)


def _readings(
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
