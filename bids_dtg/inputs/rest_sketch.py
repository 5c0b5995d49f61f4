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

from bids_dtg.array_types import Float64, Floats

NUMBERS = 16
# Two sketches are of the same rest if no number differs by more. For independent sketches, the
# probability of this is below (2 * 0.05 * 0.29) ** 16, about 1e-25.
TOLERANCE = 0.05
_STEP = 1e-4  # resolution of the stored numbers
_MOST = 2**15 - 1
# With fewer, a connectome may resemble one of ten thousand by chance.
FEWEST_EDGES = 15
_TURN = 10.0  # angle in radians per unit of a projected number


def sketch(rest: Floats) -> str:
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
    frames = rest.shape[1]
    sums = np.zeros(frames)  # over places
    squares = np.zeros(frames)
    for begin in range(0, len(rest), 1024):
        block = rest[begin : begin + 1024].astype(np.float64)
        block -= block.mean(axis=1, keepdims=True)
        sd = block.std(axis=1, keepdims=True)
        varies = sd[:, 0] > 0
        standardised = block[varies] / sd[varies]
        sums += standardised.sum(axis=0)
        squares += np.square(standardised).sum(axis=0)
    # Differences between frames, as slow drifts are similar in all people.
    courses = [_unit(np.diff(sums)), _unit(np.diff(squares))]
    if not any(course.any() for course in courses):
        return ""
    return _encoded(_projected(courses, frames))


def sketch_edges(edges: Floats) -> str:
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
    >>> same, cubed = sketch_edges(edges.astype(np.float32) * 3 + 1), sketch_edges(edges**3)
    >>> alike([sketch_edges(edges)], [same]) == [sketch_edges(edges)], alike([same], [cubed])
    (True, [''])
    """
    from scipy.spatial.distance import squareform

    values = np.asarray(edges, np.float64)
    regions = round((1 + np.sqrt(1 + 8 * len(values))) / 2)
    whole = regions * (regions - 1) // 2 == len(values)
    if whole and np.isnan(values).any():
        matrix = squareform(values)
        has_data = np.isfinite(matrix).sum(axis=0) > 1  # its diagonal is 0
        values = squareform(matrix[np.ix_(has_data, has_data)], checks=False)
    if len(values) < FEWEST_EDGES or not np.isfinite(values).all():
        return ""
    if np.ptp(values) == 0:
        return ""
    values = (values - values.mean()) / values.std()
    courses = [values]
    if whole:
        matrix = squareform(values)
        strengths = matrix.sum(axis=0)
        squared_strengths = np.square(matrix).sum(axis=0)
        courses = [np.sort(strengths), np.sort(squared_strengths)]
    courses = [_unit(course - course.mean()) for course in courses]
    return _encoded(np.cos(_TURN * _projected(courses, len(values))))


def alike(listed: Sequence[str], sketches: Sequence[str]) -> list[str]:
    """Return, for each of `sketches`, the listed one of the same rest; empty if there is none.

    Parameters
    ----------
    listed, sketches
        Sketches; empty ones match nobody.
    """
    candidates = tuple(filter(None, listed))
    queries = list(filter(None, sketches))
    if not candidates or not queries:
        return [""] * len(sketches)
    tree = _tree(candidates)
    points = _numbers(queries)
    _, nearest = tree.query(points, p=np.inf, distance_upper_bound=TOLERANCE)
    # An index past the end means that none is near.
    candidates_or_none = (*candidates, "")
    matches = {
        query: candidates_or_none[index]
        for query, index in zip(queries, nearest, strict=True)
    }
    return [matches.get(sketch, "") for sketch in sketches]


def alike_pairs(sketches: Sequence[str]) -> list[tuple[int, int]]:
    """Return the positions of all pairs of sketches of the same rest; empty ones match nobody.

    Examples
    --------
    >>> rest = np.random.default_rng(1).standard_normal((20, 100))
    >>> alike_pairs([sketch(rest), "", sketch(rest[:10]), sketch(rest * 2)])
    [(0, 3)]
    """
    positions = [position for position, text in enumerate(sketches) if text]
    if len(positions) < 2:
        return []
    tree = _tree(tuple(sketches[position] for position in positions))
    pairs = tree.query_pairs(TOLERANCE, p=np.inf)
    return sorted((positions[first], positions[second]) for first, second in pairs)


@lru_cache(maxsize=1)
def _tree(sketches: tuple[str, ...]) -> Any:
    """Return the search tree of sketches, cached as people are looked up one by one."""
    from scipy.spatial import KDTree

    return KDTree(_numbers(sketches))


def _projected(courses: Sequence[Float64], seed: int) -> Float64:
    """Return `NUMBERS` random projections of courses of the same length."""
    shape = (NUMBERS // len(courses), len(courses[0]))
    draws = np.random.default_rng(seed).standard_normal(shape)
    return np.concatenate([draws @ course for course in courses])


def _encoded(numbers: Float64) -> str:
    steps = np.round(numbers / _STEP)
    stored = np.clip(steps, -_MOST, _MOST).astype(">i2")
    return stored.tobytes().hex()


def _unit(course: Float64) -> Float64:
    length = float(np.linalg.norm(course))
    return course / length if length > 0 else course


def _numbers(sketches: Sequence[str]) -> Float64:
    content = bytes.fromhex("".join(sketches))
    stored = np.frombuffer(content, ">i2").reshape(-1, NUMBERS)
    return stored.astype(np.float64) * _STEP
