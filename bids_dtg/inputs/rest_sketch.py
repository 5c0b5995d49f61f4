"""A few numbers by which a person's rest is known again, whatever its label, order or scale.

Every place's series is standardised, so scale and offset do not count; numbers are of means over
places, so their order does not count. Rounding moves them far less than `TOLERANCE`, and those of
other people lie apart like independent draws of a normal distribution.

Where there is a connectome and no rest, the numbers are of its edges (`sketch_edges`): of strengths
of regions, sorted, so that the order of regions does not count. Connectomes of two people resemble
each other more than their rest does, so the numbers are angles that a small change turns far.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBERS = 16
# Two sketches are of the same rest if no number differs by more: of two independent ones that has
# a probability below (2 * 0.05 * 0.29) ** 16, about 1e-25.
TOLERANCE = 0.05
_STEP = 1e-4  # by which numbers are rounded in a file
_MOST = 2**15 - 1
FEWEST_EDGES = 15  # of a connectome: fewer are too few numbers to tell ten thousand people apart
_TURN = 10.0  # radians for a change of the whole length of a connectome's course


def sketch(rest: NDArray[np.floating]) -> str:
    """Return a person's rest as a sketch, 64 hexadecimal digits; empty where nothing varies.

    Parameters
    ----------
    rest
        (places, frames); of places that do not vary none counts.

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
    # What drifts is much the same in everybody: changes from frame to frame are not.
    courses = [_unit(np.diff(first)), _unit(np.diff(second))]
    if not any(course.any() for course in courses):
        return ""
    return _encoded(_projected(courses, rest.shape[1]))


def sketch_edges(edges: NDArray[np.floating]) -> str:
    """Return a person's connectome as a sketch; empty where edges are few, missing or equal.

    Regions without data, all of whose edges are NaN, are left out.

    Parameters
    ----------
    edges
        (edges,), the upper triangle row by row. Where there is no number of regions that has so
        many pairs, the order of edges counts.

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
    if len(values) < FEWEST_EDGES or not np.isfinite(values).all() or np.ptp(values) == 0:
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
    """Return the known sketch that is of the same rest as each other one; empty: none is.

    Parameters
    ----------
    known, others
        Sketches; an empty one is of nobody.
    """
    there, asked = tuple(filter(None, known)), list(filter(None, others))
    if not there or not asked:
        return [""] * len(others)
    _, nearest = _tree(there).query(_numbers(asked), p=np.inf, distance_upper_bound=TOLERANCE)
    found = dict(zip(asked, nearest, strict=True))  # beyond the last where none is near
    return [(*there, "")[found[text]] if text else "" for text in others]


def alike_pairs(sketches: Sequence[str]) -> list[tuple[int, int]]:
    """Return the positions of each two sketches of the same rest; an empty one is of nobody.

    Examples
    --------
    >>> rest = np.random.default_rng(1).standard_normal((20, 100))
    >>> alike_pairs([sketch(rest), "", sketch(rest[:10]), sketch(rest * 2)])
    [(0, 3)]
    """
    there = [number for number, text in enumerate(sketches) if text]
    if len(there) < 2:
        return []
    found = _tree(tuple(sketches[number] for number in there)).query_pairs(TOLERANCE, p=np.inf)
    return sorted((there[first], there[second]) for first, second in found)


@lru_cache(maxsize=1)
def _tree(known: tuple[str, ...]) -> Any:
    """Return the tree of known sketches: people are looked up one by one among the same."""
    from scipy.spatial import KDTree

    return KDTree(_numbers(known))


def _projected(courses: Sequence[NDArray[np.float64]], seed: int) -> NDArray[np.float64]:
    """Return `NUMBERS` sums of courses of one length, each weighted by chance."""
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
