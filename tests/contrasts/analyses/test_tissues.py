"""Tissues are those of the shipped atlases; what has no structures has no tissues."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.analyses.tissues import TISSUES, tissues_of
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import ListedPlaces, VoxelPlaces

AFFINE = np.array([[-8.0, 0, 0, 90], [0, 8, 0, -126], [0, 0, 8, -72], [0, 0, 0, 1]])
SHAPE = (23, 28, 23)


@pytest.fixture(scope="module")
def places():
    return VoxelPlaces.within(Grid(SHAPE, AFFINE), np.ones(SHAPE, bool))


def test_voxels_lie_where_their_tissue_does(places):
    found = tissues_of(places)
    assert set(found) == set(TISSUES)
    assert sum(here.astype(int) for here in found.values()).max() == 1
    _, y, z = places.points[found["cerebellum"]].T
    assert z.max() < 10
    assert y.max() < -25
    inner = places.points[found["subcortex"]]
    assert np.abs(inner[:, 0]).max() < 45
    assert found["cortex"].sum() > 5 * found["subcortex"].sum()


@pytest.mark.slow
def test_a_tissue_with_few_places_is_left_out(places):
    here = tissues_of(places)
    mask = np.zeros(SHAPE, bool)
    index = places.index if places.index.shape[0] == 3 else places.index.T
    for tissue, number in (("cortex", 100), ("cerebellum", 5)):
        mask[tuple(index[:, np.flatnonzero(here[tissue])[:number]])] = True
    assert list(tissues_of(VoxelPlaces.within(Grid(SHAPE, AFFINE), mask))) == ["cortex"]
    # Nor does one atlas without a place here hide the other.
    inner = np.zeros(SHAPE, bool)
    inner[tuple(index[:, np.flatnonzero(here["cerebellum"])])] = True
    assert list(tissues_of(VoxelPlaces.within(Grid(SHAPE, AFFINE), inner))) == ["cerebellum"]


def test_places_with_names_alone_and_those_of_another_template_have_none():
    assert tissues_of(ListedPlaces(("a", "b"))) == {}
    other = Grid(SHAPE, AFFINE, space="MNI152NLin2009cAsym")
    assert tissues_of(VoxelPlaces.within(other, np.ones(SHAPE, bool))) == {}
