from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import VARIANTS, VERSION_2
from bids_dtg.contrasts.phantom.topography import envelope, folded, moved_foci


@pytest.fixture(scope="module")
def second():
    return Phantom(VERSION_2, block=4)


def test_people_differ_most_where_a_network_is(second):
    sd = envelope(VERSION_2, second.group_maps)
    strongest = second.group_maps.argmax(axis=1)
    rows = np.arange(len(sd))
    assert (sd[rows, strongest] == sd.max(axis=1)).all()
    np.testing.assert_allclose(
        sd.min(axis=1), VERSION_2.topography * VERSION_2.topography_base, rtol=0.5
    )
    people = np.array([second.person(0, n).network_maps for n in range(12)])
    measured = people.std(axis=0, ddof=1)
    assert np.corrcoef(measured.ravel(), sd.ravel())[0, 1] > 0.6


@pytest.mark.slow
def test_a_person_of_version_2_is_the_same_at_finer_voxels(second):
    fine = Phantom(VERSION_2, block=2).person(0, 5)
    coarse = second.person(0, 5)
    grid, places = fine.phantom.anatomy.grid, second.anatomy.places
    positions = np.linalg.inv(grid.affine) @ np.c_[places.points, np.ones(len(places.points))].T
    volume = np.zeros(grid.shape, np.float32)
    r = []
    for k in range(0, 50, 10):
        volume[fine.phantom.anatomy.grey] = fine.network_maps[k]
        nearest = volume[tuple(np.floor(positions[:3]).astype(int))]
        inside = nearest != 0
        r.append(np.corrcoef(nearest[inside], coarse.network_maps[k][inside])[0, 1])
    assert min(r) > 0.8


def test_roi_maps_resemble_the_group_s_and_are_not_them(second):
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(second.roi_maps, second.group_maps, strict=True)]
    assert 0.6 < min(r) < max(r) < 0.999


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - {"as calibrated"}))
def test_variants_change_a_person_s_maps(second, variant):
    other = Phantom(dataclasses.replace(VERSION_2, **VARIANTS[variant]), block=4)
    one, changed = (phantom.person(0, 3).true_maps() for phantom in (second, other))
    assert np.isfinite(changed).all()
    assert np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(one, changed, strict=True)]) < 0.99


@given(folds=st.integers(0, 5), seed=st.integers(0, 100))
def test_a_fold_takes_values_from_8_mm_away(folds, seed):
    points = np.stack(np.meshgrid(*[np.arange(0.0, 64, 8)] * 3, indexing="ij"), -1).reshape(-1, 3)
    rng = np.random.default_rng(seed)
    source = folded(points, rng.uniform(0, 56, (folds, 3)), rng)
    away = np.linalg.norm(points[source] - points, axis=1)
    assert set(np.unique(away)) <= {0.0, 8.0}
    assert folds or not away.any()


@pytest.mark.slow
@given(share=st.floats(0, 1), seed=st.integers(0, 100))
def test_moved_foci_lie_in_grey_matter(phantom, share, seed):
    centres = np.zeros((40, 3))
    shift = moved_foci(share, centres, phantom.anatomy, np.random.default_rng(seed))
    moved = shift[shift.any(axis=1)]
    points = {tuple(point) for point in phantom.anatomy.places.points}
    assert {tuple(one) for one in moved} <= points
    assert share or not len(moved)
