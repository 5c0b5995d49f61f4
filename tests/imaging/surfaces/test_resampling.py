"""Barycentric weights between meshes of a sphere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from bids_dtg.imaging.surfaces.meshes import (
    fs_lr_sphere,
    read_surface,
    sphere_weights,
)


def _sphere(rng, vertices):
    points = rng.normal(size=(vertices, 3))
    points *= 100 / np.linalg.norm(points, axis=1, keepdims=True)
    return points, ConvexHull(points).simplices.astype(np.intp)


@pytest.mark.slow
@given(st.integers(0, 10**6), st.integers(12, 300))
@example(99999, 12)
def test_points_are_where_their_weights_say(seed, vertices):
    rng = np.random.default_rng(seed)
    sphere, faces = _sphere(rng, vertices)
    assume(ConvexHull(sphere).equations[:, 3].max() < 0)  # else it does not surround its centre
    wanted, _ = _sphere(rng, 50)
    weights = sphere_weights(sphere, faces, wanted)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights.data.min() >= 0
    directions = weights @ sphere
    directions *= 100 / np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(directions, wanted, atol=1e-6)


@pytest.mark.parametrize("side", ["L", "R"])
def test_it_equals_workbench(shared, side):
    anat = shared / "data/real/surfaces/sub-HAPPYTEST/anat"
    stem = f"sub-HAPPYTEST_hemi-{side}"
    points, faces = read_surface(anat / f"{stem}_midthickness.surf.gii")
    sphere, _ = read_surface(anat / f"{stem}_space-fsLR_desc-reg_sphere.surf.gii")
    expected, _ = read_surface(anat / f"{stem}_space-fsLR_den-32k_midthickness.surf.gii")
    moved = sphere_weights(sphere, faces, fs_lr_sphere(side)) @ points
    assert np.linalg.norm(moved - expected, axis=1).max() < 0.001


def test_a_point_in_a_long_triangle_beside_many_small_ones():
    rng = np.random.default_rng(0)
    cap = np.array([0.0, 0.3, 1.0]) + 0.02 * rng.normal(size=(25, 3))
    sphere = np.vstack([np.eye(3), -np.eye(3), cap])
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    faces = ConvexHull(sphere).simplices.astype(np.intp)
    wanted = np.array([[0.0, 0.3, 1.0]]) + 0.08 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0]])
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    directions = sphere_weights(sphere, faces, wanted) @ sphere
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(directions, wanted, atol=1e-9)
