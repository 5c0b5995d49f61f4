"""Tests over people's maps: equal to nilearn's, and right where there is nothing to find."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nilearn.glm.second_level import SecondLevelModel
from nilearn.maskers import NiftiMasker
from nilearn.mass_univariate import permuted_ols
from scipy.ndimage import gaussian_filter
from scipy.stats import binom
from sklearn.utils import check_random_state

from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.stats.cohort.exchangeability import permutations, sign_flips
from bids_dtg.stats.cohort.second_level import (
    GroupDesign,
    correct_for_voxels,
    enhance_clusters,
    fit_group,
)

SHAPE, PEOPLE = (6, 7, 5), 24
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
GRID = Grid(SHAPE, AFFINE)
INSIDE = np.random.default_rng(1).random(SHAPE) < 0.8
PLACES = VoxelPlaces.within(GRID, INSIDE)


def designs() -> dict[str, GroupDesign]:
    rng = np.random.default_rng(2)
    age = rng.uniform(20, 80, (PEOPLE, 1))
    return {
        "one-sample": GroupDesign.of_mean(PEOPLE),
        "one-sample with a covariate": GroupDesign.of_mean(PEOPLE, age),
        "two-sample": GroupDesign(np.repeat([0.0, 1.0], PEOPLE // 2)),
        "regression with a covariate": GroupDesign(rng.standard_normal(PEOPLE), age),
    }


def some_maps(people: int = PEOPLE, strength: float = 0.8) -> np.ndarray:
    maps = np.random.default_rng(3).standard_normal((people, PLACES.number))
    maps[: people // 2, :20] += strength
    return maps


@pytest.mark.parametrize("name", designs())
def test_maps_are_those_of_nilearn(name):
    design, maps = designs()[name], some_maps()
    images = [nib.Nifti1Image(PLACES.volume(row), AFFINE) for row in maps]
    mask = nib.Nifti1Image(INSIDE.astype(np.uint8), AFFINE)
    columns = pd.DataFrame(design.columns).rename(columns=str)
    model = SecondLevelModel(mask_img=mask).fit(images, design_matrix=columns)
    contrast = np.eye(columns.shape[1])[0]
    found = fit_group(maps, design)
    for kind, own in (("effect_size", found.effect), ("stat", found.t), ("z_score", found.z)):
        image = model.compute_contrast(contrast, output_type=kind)
        np.testing.assert_allclose(own, image.get_fdata()[INSIDE], rtol=1e-5, atol=1e-6)
    p = model.compute_contrast(contrast, output_type="p_value").get_fdata()[INSIDE]
    np.testing.assert_allclose(found.p, 2 * np.minimum(p, 1 - p), rtol=1e-4)


def draws_of_nilearn(design: GroupDesign, number: int, seed: int) -> np.ndarray:
    """Draw what `permuted_ols` draws with one job: each draw changes the one before."""
    rng = check_random_state(check_random_state(seed).randint(1, np.iinfo(np.int32).max - 1))
    people = len(design.tested)
    drawn = []
    signs, order = np.ones(people, int), np.arange(people)
    for _ in range(number):
        if design.tests_mean:
            signs = signs * (rng.randint(2, size=people) * 2 - 1)
            drawn.append(signs)
        else:
            order = order[rng.permutation(people)]
            drawn.append(np.argsort(order))  # it moves the tested column, not the residuals
    return np.array(drawn)


@pytest.mark.parametrize("name", designs())
def test_correction_is_that_of_nilearn_with_its_draws(name):
    design, maps, number = designs()[name], some_maps(), 60
    covariates = design.centred if design.centred.shape[1] else None
    theirs = permuted_ols(
        design.tested[:, None], maps, covariates, n_perm=number, random_state=11, output_type="dict"
    )
    found = correct_for_voxels(maps, design, draws_of_nilearn(design, number, 11))
    np.testing.assert_allclose(fit_group(maps, design).t, theirs["t"][0], rtol=1e-9)
    np.testing.assert_allclose(found.null, theirs["h0_max_t"][0], rtol=1e-9)
    np.testing.assert_allclose(found.log10_p, theirs["logp_max_t"][0], rtol=1e-9)
    assert found.p.min() < 0.8  # some voxels are above some of the draws


@pytest.mark.slow
def test_clusters_are_enhanced_as_nilearn_does_and_found_where_they_are():
    design = designs()["two-sample"]
    own = VoxelPlaces.within(GRID, np.ones(SHAPE, bool))
    maps = np.random.default_rng(5).standard_normal((PEOPLE, own.number))
    low = own.points[:, 0] < 8
    maps[PEOPLE // 2 :, low] += 1.5
    enhanced, found = enhance_clusters(maps, design, own, permutations=39, seed=4)
    mask = nib.Nifti1Image(np.ones(SHAPE, np.uint8), AFFINE)
    theirs = permuted_ols(
        design.tested[:, None],
        maps,
        n_perm=39,
        random_state=4,
        masker=NiftiMasker(mask_img=mask).fit(),
        tfce=True,
        output_type="dict",
    )
    np.testing.assert_array_equal(enhanced, theirs["tfce"][0])
    np.testing.assert_allclose(found.log10_p, theirs["logp_max_tfce"][0])
    assert found.significant[low].mean() > 0.5
    assert found.significant[~low].mean() < 0.2


def test_voxels_without_spread_are_never_significant_and_blocks_do_not_matter(monkeypatch):
    design, maps = designs()["two-sample"], some_maps(strength=3.0)
    maps[:, 7] = 2.5
    draws = permutations(99, np.arange(PEOPLE), seed=1).orders
    whole, test = correct_for_voxels(maps, design, draws), fit_group(maps, design)
    assert whole.p[7] == 1
    assert (test.t[7], test.p[7]) == (0, 1)
    assert whole.discoveries[:7].any()
    assert whole.q[7] == 1
    monkeypatch.setattr("bids_dtg.stats.cohort.second_level._VOXELS", 9)
    monkeypatch.setattr("bids_dtg.stats.cohort.second_level._DRAWS", 10)
    pieces = correct_for_voxels(maps, design, draws)
    np.testing.assert_allclose(pieces.null, whole.null, rtol=1e-9)
    np.testing.assert_array_equal(pieces.p, whole.p)
    np.testing.assert_array_equal(pieces.q, whole.q)
    np.testing.assert_allclose(fit_group(maps, design).t, test.t, rtol=1e-9)


def test_p_of_a_map_that_is_as_strong_as_can_be_is_the_smallest_there_is():
    maps = np.ones((8, 3)) + 1e-3 * np.random.default_rng(0).standard_normal((8, 3))
    flips = sign_flips(999, np.arange(8), seed=0)
    same = np.abs(flips.signs.sum(axis=1)) == 8  # draws that leave |t| as it is
    found = correct_for_voxels(maps, GroupDesign.of_mean(8), flips.signs)
    assert found.p.min() == (same.sum() + 1) / 1000
    assert (found.null[same] > 1000).all()


@pytest.mark.slow
@given(scale=st.floats(0.01, 100), shift=st.floats(-100, 100), seed=st.integers(0, 9))
def test_units_of_the_tested_column_and_of_the_maps_change_no_t(scale, shift, seed):
    rng = np.random.default_rng(seed)
    tested, maps = rng.standard_normal(10), rng.standard_normal((10, 4))
    covariates = rng.standard_normal((10, 1))
    found = fit_group(maps, GroupDesign(tested, covariates))
    other = fit_group(scale * maps, GroupDesign(scale * tested + shift, covariates + shift))
    np.testing.assert_allclose(other.t, found.t, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(other.effect, found.effect, rtol=1e-5, atol=1e-7)


def test_families_flip_together_and_their_p_is_larger():
    """Twins of whom each pair has one map: 12 people who are as good as 6."""
    rng = np.random.default_rng(0)
    pairs = np.repeat(np.arange(6), 2)
    maps = (0.9 + rng.standard_normal((6, 30)))[pairs] + 0.05 * rng.standard_normal((12, 30))
    design = GroupDesign.of_mean(12)
    alone = correct_for_voxels(maps, design, sign_flips(499, np.arange(12), seed=1).signs)
    together = correct_for_voxels(maps, design, sign_flips(499, pairs, seed=1).signs)
    assert together.p.min() > 2 * alone.p.min()
    assert np.median(together.null) > 1.5 * np.median(alone.null)


def test_signs_that_are_all_above_0_are_signs():
    maps = np.random.default_rng(0).standard_normal((8, 5))
    assert (correct_for_voxels(maps, GroupDesign.of_mean(8), np.ones((1, 8), int)).p == 1).all()


def test_a_group_is_not_tested_in_people_of_one_level():
    with pytest.raises(ValueError, match="the same for all 2 people"):
        GroupDesign(np.array([0.0, 1, 1])).of(np.array([1, 2]))
    assert GroupDesign.of_mean(3).of(np.array([1, 2])).tests_mean


@pytest.mark.parametrize(
    ("design", "draws", "why"),
    [
        (GroupDesign.of_mean(4), np.ones((3, 5), int), r"draws \(3, 5\), expected \(draws, 4\)"),
        (GroupDesign.of_mean(4), np.tile(np.arange(4), (3, 1)), "a mean is tested with signs"),
        (GroupDesign(np.arange(4.0)), -np.ones((3, 4), int), "everything else with orders"),
        (GroupDesign.of_mean(5), -np.ones((3, 5), int), r"maps \(4, 6\) of 5 people"),
        (
            GroupDesign(np.arange(4.0), np.arange(4.0)[:, None]),
            np.tile(np.arange(4), (3, 1)),
            "columns of the design depend on each other",
        ),
        (
            GroupDesign.of_mean(4, np.eye(4)[:, :3]),
            -np.ones((3, 4), int),
            "4 people for 4 columns of a design",
        ),
    ],
)
def test_what_cannot_be_tested_is_refused(design, draws, why):
    with pytest.raises(ValueError, match=why):
        correct_for_voxels(np.random.default_rng(0).standard_normal((4, 6)), design, draws)


def smooth_noise(cohorts: int, people: int) -> np.ndarray:
    """Draw maps without any effect, (cohorts, people, voxels), smooth as measured ones are."""
    rng = np.random.default_rng(20)
    volumes = rng.standard_normal((cohorts, people, *SHAPE))
    return gaussian_filter(volumes, (0, 0, 1, 1, 1))[:, :, INSIDE]


NULL_DESIGNS = {
    # Of families of two, and of people with a covariate that the maps follow.
    "one-sample": (GroupDesign.of_mean(16), np.repeat(np.arange(8), 2)),
    "two-sample": (
        GroupDesign(np.repeat([0.0, 1.0], 8), np.linspace(-1, 1, 16)[:, None] ** 3),
        np.arange(16),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NULL_DESIGNS)
def test_family_wise_error_is_5_percent_where_there_is_nothing(name):
    cohorts = 400
    design, families = NULL_DESIGNS[name]
    maps = smooth_noise(cohorts, 16)
    if name == "two-sample":
        maps += design.covariates
    else:
        maps[:, 1::2] = 0.6 * maps[:, ::2] + 0.8 * maps[:, 1::2]  # families are alike
    wrong = theirs = 0
    for seed, own in enumerate(maps):
        if design.tests_mean:
            draws = sign_flips(199, families, seed=seed).signs
        else:
            draws = permutations(199, families, seed=seed).orders
        wrong += correct_for_voxels(own, design, draws).significant.any()
        if name == "two-sample":  # nilearn knows no families
            found = permuted_ols(
                design.tested[:, None],
                own,
                design.centred,
                n_perm=199,
                random_state=seed,
                output_type="dict",
            )
            theirs += bool((10 ** -found["logp_max_t"] <= 0.05).any())
    low, high = binom.interval(0.99, cohorts, 0.05)
    print(f"{name}: {wrong} of {cohorts} (nilearn {theirs}), expected {low:.0f} to {high:.0f}")
    assert low <= wrong <= high
    if name == "two-sample":
        assert low <= theirs <= high
