"""Lattices: weights, blocks and smoothing, against plain definitions; for voxels and points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import Lattice, VoxelPlaces

SHAPES = st.tuples(*[st.integers(1, 9)] * 3)


def voxels(shape, seed=0, voxel_mm=2.0) -> VoxelPlaces:
    mask = np.random.default_rng(seed).random(shape) < 0.6
    mask.reshape(-1)[0] = True
    return VoxelPlaces.within(Grid(shape, np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])), mask)


def check_weights(lattice: Lattice) -> None:
    np.testing.assert_allclose(lattice.weights.sum(axis=1), 1.0, rtol=1e-12)
    assert (lattice.weights >= 0).all()
    assert lattice.corners.min() >= 0
    assert lattice.corners.max() < lattice.blocks
    assert lattice.block_of.min() >= 0
    assert lattice.block_of.max() < lattice.blocks


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(SHAPES, st.integers(1, 12), st.integers(0, 100))
def test_weights_of_voxels_add_up_and_constants_stay(shape, edge, seed):
    places = voxels(shape, seed)
    lattice = places.lattice(edge)
    check_weights(lattice)
    flat = np.full((2, *lattice.shape), [[[[3.0]]], [[[-1.5]]]])
    np.testing.assert_allclose(lattice.interpolate(flat), np.tile([[3.0], [-1.5]], places.number))


@settings(max_examples=30, deadline=None)
@given(SHAPES, st.integers(1, 5), st.integers(0, 100))
def test_voxels_are_interpolated_as_by_scipy(shape, edge, seed):
    places = voxels(shape, seed)
    lattice = places.lattice(edge)
    values = np.random.default_rng(seed).normal(size=(2, *lattice.shape)).astype(np.float32)
    at = ((places.index - (edge - 1) / 2) / edge).T
    expected = [map_coordinates(row, at, order=1, mode="nearest") for row in values]
    np.testing.assert_allclose(lattice.interpolate(values), expected, atol=1e-6)


@pytest.mark.parametrize("edge", [0, -1])
def test_a_block_without_places_is_refused(edge):
    with pytest.raises(ValueError, match="1 voxel along an edge or more"):
        voxels((3, 3, 3)).lattice(edge)
