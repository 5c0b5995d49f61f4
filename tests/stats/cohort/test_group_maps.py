"""Two group maps side by side: against plain counting, and on people whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nilearn.reporting import get_clusters_table
from scipy.ndimage import label

from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.stats.cohort.group_maps import (
    covered,
    dice,
    find_clusters,
    half_similarity,
    map_similarity,
    overlap,
    signs_of,
    spread,
    stepped_up,
)
from bids_dtg.stats.cohort.second_level import GroupDesign, fit_group

SHAPE = (5, 6, 4)
PLACES = VoxelPlaces.within(Grid(SHAPE, np.diag([2.0, 2, 2, 1])), np.ones(SHAPE, bool))
NEIGHBOURS = PLACES.neighbours()
maps_of_signs = arrays(np.int8, PLACES.number, elements=st.integers(-1, 1))


@pytest.mark.slow
@given(maps_of_signs)
def test_clusters_are_those_of_scipy(signs):
    clusters = find_clusters(signs, NEIGHBOURS)
    volume = PLACES.volume(signs)
    wanted = np.zeros(SHAPE, int)
    for sign in (1, -1):
        numbers, _ = label(volume == sign)
        wanted[numbers > 0] = numbers[numbers > 0] + wanted.max()
    wanted = wanted.reshape(-1)
    assert ((clusters >= 0) == (wanted > 0)).all()
    pairs = {(a, b) for a, b in zip(clusters, wanted, strict=True) if b}
    assert len(pairs) == wanted.max() == clusters.max() + 1


def test_clusters_are_as_many_as_in_the_table_of_nilearn():
    import nibabel as nib

    values = np.random.default_rng(4).standard_normal(PLACES.number)
    image = nib.Nifti1Image(PLACES.volume(values), np.diag([2.0, 2, 2, 1]))
    table = get_clusters_table(image, 1.0, two_sided=True, min_distance=100)
    clusters = find_clusters(signs_of(values, np.abs(values) > 1.0), NEIGHBOURS)
    whole = [number for number in table["Cluster ID"].astype(str) if number.isdigit()]
    assert clusters.max() + 1 == len(whole)


@pytest.mark.slow
@given(maps_of_signs, maps_of_signs)
def test_dice_is_the_same_both_ways_and_counts_signs(one, other):
    found = dice(one, other)
    pairs = {(i, s) for i, s in enumerate(one) if s}, {(i, s) for i, s in enumerate(other) if s}
    if not pairs[0] | pairs[1]:
        assert np.isnan(found)
        return
    assert found == 2 * len(pairs[0] & pairs[1]) / (len(pairs[0]) + len(pairs[1]))
    assert found == dice(other, one)
    assert np.isnan(dice(one, -one)) if not one.any() else dice(one, -one) == 0


@pytest.mark.slow
@given(maps_of_signs, maps_of_signs)
def test_overlap_of_a_map_with_itself_is_whole_and_its_sides_are_swapped_with_the_maps(one, other):
    there, back = overlap(one, other, NEIGHBOURS), overlap(other, one, NEIGHBOURS)
    np.testing.assert_equal((there.found, there.confirmed), (back.confirmed, back.found))
    assert there.clusters == back.clusters[::-1]
    whole = overlap(one, one, NEIGHBOURS)
    wanted = 1.0 if one.any() else np.nan
    np.testing.assert_equal((whole.dice, whole.found, whole.confirmed), (wanted,) * 3)


def test_a_cluster_is_found_with_half_of_its_voxels_and_its_own_sign():
    line = np.stack([np.arange(9), np.arange(1, 10)], axis=1)
    wanted = np.array([1, 1, 1, 1, 0, -1, -1, 0, 1, 1])
    by = np.array([1, 1, 0, 0, 0, 1, 1, 0, 1, 0])
    assert covered(wanted, by, line) == (2 / 3, 3)
    by[1] = 0
    assert covered(wanted, by, line) == (1 / 3, 3)
    nothing = np.zeros(10, int)
    assert covered(wanted, nothing, line) == (0, 3)
    found, clusters = covered(nothing, wanted, line)
    assert np.isnan(found)
    assert clusters == 0
    with pytest.raises(ValueError, match=r"maps of \(10,\) and of \(9,\) voxels"):
        covered(wanted, by[1:], line)


def test_halves_keep_families_together_and_step_up_to_the_whole():
    rng = np.random.default_rng(7)
    pairs = np.repeat(np.arange(10), 2)
    alone = rng.standard_normal((10, 800))
    twins = alone[pairs]  # each pair has one map, and no map is anybody else's
    design = GroupDesign.of_mean(20)
    assert half_similarity(twins, design, np.arange(20)).r > 0.2  # pairs lie on both sides
    assert abs(half_similarity(twins, design, pairs).r) < 0.1
    # r between two whole groups is what their halves let expect.
    mean = 0.3 * rng.standard_normal(4000)
    one, other = (mean + rng.standard_normal((40, 4000)) for _ in range(2))
    halves = half_similarity(one, GroupDesign.of_mean(40), np.arange(40))
    whole = map_similarity(one.mean(axis=0), other.mean(axis=0)).r
    assert stepped_up(halves.r) == pytest.approx(whole, abs=0.02)
    assert halves.r < whole - 0.05
    assert np.isnan(stepped_up(-0.1))


def test_no_half_without_both_groups():
    design = GroupDesign(np.array([0.0, 0, 0, 0, 0, 1]))
    found = half_similarity(np.random.default_rng(0).standard_normal((6, 9)), design, np.arange(6))
    assert np.isnan(found.r)
    assert np.isnan(found.dice_auc)
    with pytest.raises(ValueError, match="maps of 5 people, a design of 6"):
        half_similarity(np.zeros((5, 9)), design, np.arange(5))


def test_a_half_of_one_group_is_never_taken_for_a_mean():
    """Where one half is all of the second group, its mean would stand for the difference."""
    rng = np.random.default_rng(0)
    maps = 5 * np.tile([1.0, -1.0], 500) + rng.standard_normal((8, 1000))
    design = GroupDesign(np.array([0.0, 0, 1, 1, 1, 1, 1, 1]))
    difference = np.tile([1.0, 1.0, -1.0, -1.0], 250)
    maps[2:] += 4 * difference
    assert half_similarity(maps, design, np.arange(8)).r > 0.9


def test_spread_leaves_out_what_the_design_explains():
    rng = np.random.default_rng(3)
    group = np.repeat([0.0, 1.0], 200)
    maps = 2.0 + 0.5 * rng.standard_normal((400, 50)) + 3 * group[:, None]
    assert spread(maps, GroupDesign(group)).between_people == pytest.approx(0.5, abs=0.01)
    assert spread(maps, GroupDesign.of_mean(400)).between_people > 1.4
    assert spread(maps, GroupDesign(group)).of_mean == pytest.approx(3.5, abs=0.05)
    with pytest.raises(ValueError, match="maps of 3 people, a design of 400"):
        spread(maps[:3], GroupDesign(group))


@pytest.fixture(scope="module")
def phantom_people():
    """Group maps of 16 simulated people: true, measured, and what rest could predict at best."""
    phantom = Phantom(block=4)
    people = [phantom.person(cohort=0, index=number) for number in range(16)]
    true = np.stack([person.true_maps()[:8] for person in people])
    measured = np.stack([person.measured_maps(session=0)[:8] for person in people])
    knowable = np.stack([person.knowable_maps(draws=3)[:8] for person in people])
    return true, measured, knowable  # (people, contrasts, voxels) each


def test_group_maps_of_simulated_people_against_their_truth(phantom_people):
    true, measured, knowable = phantom_people

    def mean_r(maps: np.ndarray) -> float:
        pairs = zip(maps.mean(axis=0), true.mean(axis=0), strict=True)
        return float(np.mean([map_similarity(own, truth).r for own, truth in pairs]))

    assert mean_r(measured) > 0.9
    assert mean_r(knowable) > 0.95
    # Another contrast's map is far below: the contrasts share networks.
    assert mean_r(np.roll(knowable, 1, axis=1)) < 0.5


def test_maps_that_are_predicted_differ_less_between_people_and_make_larger_t(phantom_people):
    _, measured, knowable = phantom_people
    design = GroupDesign.of_mean(16)
    for contrast in range(3):
        own, theirs = knowable[:, contrast], measured[:, contrast]
        assert spread(own, design).between_people < 0.8 * spread(theirs, design).between_people
        assert np.abs(fit_group(own, design).t).mean() > np.abs(fit_group(theirs, design).t).mean()
