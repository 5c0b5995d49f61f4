"""Fields of displacements, and transforms one after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.imaging.transforms import DisplacementField, map_points

POINTS = np.random.default_rng(0).uniform(-40, 40, (500, 3))
# Nodes 4 mm apart from -50 to 50 mm, first axis right to left.
NODES = np.array([[-4.0, 0, 0, 50], [0, 4, 0, -50], [0, 0, 4, -50], [0, 0, 0, 1]])
SHAPE = (26, 26, 26)


def field(displacement, affine=NODES, shape=SHAPE) -> DisplacementField:
    """Make a field from a function of points (n, 3) in RAS+ mm."""
    indices = np.indices(shape).reshape(3, -1, order="F").T
    vectors = displacement(indices @ affine[:3, :3].T + affine[:3, 3])
    return DisplacementField(shape, affine, vectors * [-1, -1, 1])


@given(st.integers(0, 10**6))
def test_a_field_that_is_linear_in_space_is_exact(seed):
    slopes = np.random.default_rng(seed).normal(scale=0.1, size=(3, 4))
    mapped = field(lambda x: x @ slopes[:, :3].T + slopes[:, 3]).map(POINTS)
    # weights are float32
    wanted = POINTS + POINTS @ slopes[:, :3].T + slopes[:, 3]
    np.testing.assert_allclose(mapped, wanted, atol=1e-4)


def test_points_outside_a_field_stay():
    shift = field(lambda x: np.full_like(x, 3.0))
    # The outermost nodes are at 50 mm; the field ends half a step beyond.
    points = np.array([[51.9, 0, 0], [52.1, 0, 0], [0, -51.9, 0], [0, -52.1, 0]])
    moved = shift.map(points) - points
    np.testing.assert_allclose(moved, [[3, 3, 3], [0, 0, 0], [3, 3, 3], [0, 0, 0]], atol=1e-5)


def test_the_first_of_a_chain_meets_the_point_first():
    double = np.diag([2.0, 2, 2, 1])
    shift = field(lambda x: np.tile([1.0, 0, 0], (len(x), 1)))
    point = np.array([[10.0, 20, 5]])
    np.testing.assert_allclose(map_points(point, [shift, double]), [[22, 40, 10]], atol=1e-5)
    np.testing.assert_allclose(map_points(point, [double, shift]), [[21, 40, 10]], atol=1e-5)
    np.testing.assert_array_equal(map_points(point, []), point)
