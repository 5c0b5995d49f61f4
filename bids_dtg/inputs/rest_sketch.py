"""Sketches: a few numbers that recognise the same rest under another label, order or scale.

The time series of every voxel or region is standardised, so scale and offset do not matter. The
numbers are computed from sums over voxels or regions, so their order does not matter. Rounding of
the data changes the numbers far less than `TOLERANCE`, while the numbers of different people are
like independent draws from a normal distribution.

If there is a connectome but no rest, the sketch is made from its edges (`sketch_edges`). It uses
the sorted strengths of regions, so the order of regions does not matter. Connectomes of two people
are more similar than their rest, so the numbers are cosines of large angles, which a small
difference changes strongly.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBERS = 16
# Two sketches are of the same rest if no number differs by more. For independent sketches, the
# probability of this is below (2 * 0.05 * 0.29) ** 16, about 1e-25.
TOLERANCE = 0.05
_STEP = 1e-4  # resolution of the stored numbers
_MOST = 2**15 - 1
FEWEST_EDGES = (
    15  # with fewer, a connectome may resemble one of ten thousand others by chance
)
_TURN = 10.0  # angle in radians per unit of a projected number


def sketch(rest: NDArray[np.floating]) -> str:
    """Return the sketch of a person's rest, 64 hexadecimal digits; empty if nothing varies.

    Parameters
    ----------
    rest
        (places, frames); places that do not vary are ignored.

    Examples
    --------
    >>> rest = np.random.default_rng(1).standard_normal((20, 100))
    >>> same = sketch(rest[::-1] * 1000 + 5)
    >>> alike([sketch(rest)], [same]) == [sketch(rest)], alike([same], [sketch(rest[:10])])
    (True, [''])
    """
    first, second = np.zeros(rest.shape[1]), np.zeros(rest.shape[1])
    for begin in range(0, len(rest), 1024):
        block = rest[begin : begin + 1024].astype(np.float64)
        block -= block.mean(axis=1, keepdims=True)
        sd = block.std(axis=1, keepdims=True)
        block = block[sd[:, 0] > 0] / sd[sd[:, 0] > 0]
        first += block.sum(axis=0)
        second += np.square(block).sum(axis=0)
    # Differences between frames, as slow drifts are similar in all people.
    courses = [_unit(np.diff(first)), _unit(np.diff(second))]
    if not any(course.any() for course in courses):
        return ""
    return _encoded(_projected(courses, rest.shape[1]))


def sketch_edges(edges: NDArray[np.floating]) -> str:
    """Return the sketch of a person's connectome; empty if edges are few, missing or equal.

    Regions without data, whose edges are all NaN, are ignored.

    Parameters
    ----------
    edges
        (edges,), the upper triangle row by row. If their number does not fit any number of
        regions, the order of edges matters.

    Examples
    --------
    >>> edges = np.random.default_rng(1).standard_normal(190)
    >>> same, other = sketch_edges(edges.astype(np.float32) * 3 + 1), sketch_edges(edges**3)
    >>> alike([sketch_edges(edges)], [same]) == [sketch_edges(edges)], alike([same], [other])
    (True, [''])
    """
    values = np.asarray(edges, np.float64)
    regions = round((1 + np.sqrt(1 + 8 * len(values))) / 2)
    whole = regions * (regions - 1) // 2 == len(values)
    if whole and np.isnan(values).any():
        matrix = np.full((regions, regions), np.nan)
        matrix[np.triu_indices(regions, 1)] = values
        known = np.isfinite(np.fmax(matrix, matrix.T)).any(axis=0)
        matrix, regions = matrix[np.ix_(known, known)], int(known.sum())
        values = matrix[np.triu_indices(regions, 1)]
    if (
        len(values) < FEWEST_EDGES
        or not np.isfinite(values).all()
        or np.ptp(values) == 0
    ):
        return ""
    values = (values - values.mean()) / values.std()
    courses = [values]
    if whole:
        matrix = np.zeros((regions, regions))
        matrix[np.triu_indices(regions, 1)] = values
        matrix += matrix.T
        courses = [np.sort(matrix.sum(axis=0)), np.sort(np.square(matrix).sum(axis=0))]
    courses = [_unit(course - course.mean()) for course in courses]
    return _encoded(np.cos(_TURN * _projected(courses, len(values))))


def alike(known: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return, for each of `others`, the known sketch of the same rest; empty if there is none.

    Parameters
    ----------
    known, others
        Sketches; empty ones match nobody.
    """
    there, asked = tuple(filter(None, known)), list(filter(None, others))
    if not there or not asked:
        return [""] * len(others)
    _, nearest = _tree(there).query(
        _numbers(asked), p=np.inf, distance_upper_bound=TOLERANCE
    )
    found = dict(
        zip(asked, nearest, strict=True)
    )  # an index past the end means none is near
    return [(*there, "")[found[text]] if text else "" for text in others]


def alike_pairs(sketches: Sequence[str]) -> list[tuple[int, int]]:
    """Return the positions of all pairs of sketches of the same rest; empty ones match nobody.

    Examples
    --------
    >>> rest = np.random.default_rng(1).standard_normal((20, 100))
    >>> alike_pairs([sketch(rest), "", sketch(rest[:10]), sketch(rest * 2)])
    [(0, 3)]
    """
    there = [number for number, text in enumerate(sketches) if text]
    if len(there) < 2:
        return []
    found = _tree(tuple(sketches[number] for number in there)).query_pairs(
        TOLERANCE, p=np.inf
    )
    return sorted((there[first], there[second]) for first, second in found)


@lru_cache(maxsize=1)
def _tree(known: tuple[str, ...]) -> Any:
    """Return the search tree of known sketches, cached as people are looked up one by one."""
    from scipy.spatial import KDTree

    return KDTree(_numbers(known))


def _projected(
    courses: Sequence[NDArray[np.float64]], seed: int
) -> NDArray[np.float64]:
    """Return `NUMBERS` random projections of courses of the same length."""
    shape = (NUMBERS // len(courses), len(courses[0]))
    draws = np.random.default_rng(seed).standard_normal(shape)
    return np.concatenate([draws @ course for course in courses])


def _encoded(numbers: NDArray[np.float64]) -> str:
    stored = np.clip(np.round(numbers / _STEP), -_MOST, _MOST).astype(">i2")
    return stored.tobytes().hex()


def _unit(course: NDArray[np.float64]) -> NDArray[np.float64]:
    length = float(np.linalg.norm(course))
    return course / length if length > 0 else course


def _numbers(sketches: Sequence[str]) -> NDArray[np.float64]:
    stored = np.frombuffer(bytes.fromhex("".join(sketches)), ">i2").reshape(-1, NUMBERS)
    return stored.astype(np.float64) * _STEP
