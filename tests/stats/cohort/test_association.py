from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, linregress

from bids_dtg.stats.cohort.association import Association, corrected
from bids_dtg.stats.cohort.exchangeability import Permutations, permutations

NONE = np.zeros((40, 0))


def free(people: int, n: int = 199, seed: int = 0) -> Permutations:
    return permutations(n, np.arange(people), seed=seed)


@pytest.fixture
def cohort():
    """Return a phenotype, covariates that tell of it, and columns that both tell of."""
    rng = np.random.default_rng(1)
    covariates = np.column_stack([rng.normal(50, 9, 40), rng.integers(0, 2, 40)])
    phenotype = 0.05 * covariates[:, 0] + covariates[:, 1] + rng.normal(size=40)
    told = 0.02 * covariates @ rng.normal(size=(2, 6)) + 0.4 * np.outer(phenotype, np.arange(6))
    return phenotype, covariates, told + rng.normal(size=(40, 6))


def by_hand(phenotype, covariates, columns):
    """Return t and its degrees of freedom from the normal equations."""
    model = np.column_stack([phenotype, np.ones(len(phenotype)), covariates])
    dof = len(model) - np.linalg.matrix_rank(model)
    beta = np.linalg.lstsq(model, columns, rcond=None)[0]
    variance = np.square(columns - model @ beta).sum(axis=0) / dof
    return beta[0] / np.sqrt(variance * np.linalg.inv(model.T @ model)[0, 0]), dof


def test_t_is_that_of_least_squares(cohort):
    expected, dof = by_hand(*cohort)
    phenotype, covariates, columns = cohort
    association = Association.of(phenotype, covariates, free(40))
    found = association.test(columns)
    np.testing.assert_allclose(found.t, expected, rtol=1e-6)
    assert found.dof == association.dof == dof == 36
    np.testing.assert_allclose(found.r, expected / np.sqrt(dof + expected**2), rtol=1e-6)


def test_without_covariates_it_is_scipys_regression(cohort):
    phenotype, _, columns = cohort
    found = Association.of(phenotype, NONE, free(40)).test(columns)
    for column, r, p in zip(columns.T, found.r, found.p, strict=True):
        expected = linregress(phenotype, column)
        assert (r, p) == pytest.approx((expected.rvalue, expected.pvalue), rel=1e-6)


def test_t_and_p_are_nilearns(cohort):
    from nilearn.mass_univariate import permuted_ols

    phenotype, covariates, columns = cohort
    by_nilearn = permuted_ols(
        phenotype[:, None],
        columns,
        covariates,
        n_perm=2000,
        random_state=0,
        verbose=0,
        output_type="dict",
    )
    found = Association.of(phenotype, covariates, free(40, 2000)).test(columns)
    np.testing.assert_allclose(found.t, by_nilearn["t"][0], rtol=1e-6)
    (ours,) = corrected([found])
    np.testing.assert_allclose(ours.p_fwe, 10 ** -by_nilearn["logp_max_t"][0], atol=0.04)
    # The distribution of the largest t, not only the p of these columns.
    largest_t = found.largest * np.sqrt(found.dof / (1 - found.largest**2))
    ends = [0.1, 0.5, 0.9, 0.95]
    expected = np.quantile(by_nilearn["h0_max_t"], ends)
    np.testing.assert_allclose(np.quantile(largest_t, ends), expected, rtol=0.05)


def test_each_permutation_is_that_of_freedman_and_lane(cohort):
    phenotype, covariates, columns = cohort
    orders = free(40, 20)
    found = Association.of(phenotype, covariates, orders).test(columns, slab_bytes=1)
    reduced = np.column_stack([np.ones(40), covariates])
    fitted = reduced @ np.linalg.lstsq(reduced, columns, rcond=None)[0]
    # The order of the model, not of the residuals, is permuted: by the inverse order.
    back = np.argsort(orders.orders, axis=1)
    t = np.array(
        [by_hand(phenotype, covariates, fitted + (columns - fitted)[order])[0] for order in back]
    )
    r = np.abs(t) / np.sqrt(36 + t**2)
    np.testing.assert_allclose(found.largest, r.max(axis=1), rtol=1e-5)
    as_large = (r >= np.abs(found.r)).sum(axis=0)
    np.testing.assert_allclose(found.p_permuted, (as_large + 1) / 21)


def test_blocks_of_columns_change_nothing(cohort):
    phenotype, covariates, columns = cohort
    association = Association.of(phenotype, covariates, free(40))
    whole = association.test(columns.astype(np.float32))
    small = association.test(columns.astype(np.float32), slab_bytes=700)
    for name in ("r", "p", "p_permuted", "largest"):
        np.testing.assert_allclose(getattr(whole, name), getattr(small, name), rtol=1e-5)
    np.testing.assert_allclose(corrected([whole])[0].q, corrected([small])[0].q)


def test_covariates_that_tell_the_same_count_once(cohort):
    phenotype, covariates, columns = cohort
    doubled = np.column_stack([covariates, covariates[:, :1] * 3 - 1, np.ones(40)])
    expected = Association.of(phenotype, covariates, free(40)).test(columns)
    found = Association.of(phenotype, doubled, free(40)).test(columns)
    assert found.dof == expected.dof
    np.testing.assert_allclose(found.t, expected.t, rtol=1e-6)


def test_two_levels_are_the_two_sample_test():
    from scipy.stats import ttest_ind

    rng = np.random.default_rng(3)
    patient, columns = np.repeat([0.0, 1.0], [14, 26]), rng.normal(size=(40, 3))
    found = Association.of(patient, NONE, free(40)).test(columns)
    expected = ttest_ind(columns[patient == 1], columns[patient == 0])
    np.testing.assert_allclose(found.t, expected.statistic, rtol=1e-6)
    np.testing.assert_allclose(found.p, expected.pvalue, rtol=1e-6)


def test_columns_without_a_test_are_left_out_of_the_others(cohort):
    phenotype, covariates, columns = cohort
    gap = columns[:, :1].copy()
    gap[3] = np.nan
    holed = np.column_stack([columns, gap, np.full(40, 7.0), covariates[:, 0].astype(np.float32)])
    association = Association.of(phenotype, covariates, free(40))
    found, expected = association.test(holed), association.test(columns)
    for name in ("r", "t", "p", "p_permuted"):
        np.testing.assert_allclose(getattr(found, name)[:6], getattr(expected, name), rtol=1e-6)
        assert np.isnan(getattr(found, name)[6:]).all()
    np.testing.assert_allclose(found.largest, expected.largest, rtol=1e-6)
    (ours,), (others,) = corrected([found]), corrected([expected])
    np.testing.assert_allclose(ours.q[:6], others.q, rtol=1e-6)
    assert np.isnan(ours.q[6:]).all()
    assert np.isnan(ours.p_fwe[6:]).all()


def test_tables_are_corrected_together(cohort):
    phenotype, covariates, columns = cohort
    association = Association.of(phenotype, covariates, free(40))
    (whole,) = corrected([association.test(columns)])
    parts = corrected([association.test(columns[:, :2]), association.test(columns[:, 2:])])
    np.testing.assert_allclose(np.concatenate([part.q for part in parts]), whole.q, rtol=1e-4)
    np.testing.assert_allclose(np.concatenate([part.p_fwe for part in parts]), whole.p_fwe)


def test_families_that_cannot_move_leave_p_large():
    rng = np.random.default_rng(6)
    phenotype = rng.normal(size=40)
    columns = phenotype[:, None] + 0.1 * rng.normal(size=(40, 2))
    stuck = Association.of(phenotype, NONE, permutations(99, [0] * 40)).test(columns)
    np.testing.assert_array_equal(stuck.p_permuted, 1.0)
    (found,) = corrected([stuck])
    np.testing.assert_array_equal([*found.q, found.p_anything], 1.0)


def test_without_permutations_t_is_all_there_is(cohort):
    phenotype, covariates, columns = cohort
    found = Association.of(phenotype, covariates, None).test(columns)
    assert np.isnan(found.p_permuted).all()
    (unknown,) = corrected([found])
    assert np.isnan([*unknown.p_fwe, *unknown.q, unknown.p_anything]).all()


def test_some_rows_are_a_table_of_these_people(cohort):
    phenotype, covariates, columns = cohort
    more = np.concatenate([columns[:3], columns, columns[5:]])
    association = Association.of(phenotype, covariates, free(40))
    found = association.test(more, rows=np.arange(3, 43), slab_bytes=700)
    np.testing.assert_allclose(found.r, association.test(columns).r)


@pytest.mark.parametrize(("size", "zero"), [(1e300, 0.0), (1e-300, 0.0), (1.0, 1e9)])
def test_neither_units_nor_zero_of_a_phenotype_change_anything(cohort, size, zero):
    phenotype, covariates, columns = cohort
    found = Association.of(size * (phenotype + zero), covariates, None).test(columns)
    expected = Association.of(phenotype, covariates, None).test(columns)
    np.testing.assert_allclose(found.r, expected.r, atol=1e-6)
    with pytest.raises(ValueError, match="it is the same for all"):
        Association.of(np.full(40, 0.1), covariates, None)


def test_what_cannot_be_tested_is_refused(cohort):
    phenotype, covariates, columns = cohort
    with pytest.raises(ValueError, match=r"a phenotype \(39,\) and covariates \(40, 2\)"):
        Association.of(phenotype[:39], covariates, free(40))
    with pytest.raises(ValueError, match="of a person is not known"):
        Association.of(np.where(phenotype > 4, np.nan, phenotype), covariates, free(40))
    with pytest.raises(ValueError, match="covariates leave nothing of the phenotype"):
        Association.of(covariates @ [1.0, 2.0], covariates, free(40))
    with pytest.raises(ValueError, match="4 people are too few for a model of 4 columns"):
        Association.of(phenotype[:4], covariates[:4], free(4))
    with pytest.raises(ValueError, match=r"values \(39, 6\), expected \(40, columns\)"):
        Association.of(phenotype, covariates, free(40)).test(columns[1:])
    some, more = (Association.of(phenotype, covariates, free(40, n)) for n in (9, 19))
    with pytest.raises(ValueError, match="different numbers of permutations"):
        corrected([some.test(columns), more.test(columns)])


def null_discoveries(cohorts: int, draw, orders: Permutations, seed: int):
    """Return in how many cohorts anything is found, by q and by the family-wise p."""
    rng, found = np.random.default_rng(seed), np.zeros(2, int)
    for _ in range(cohorts):
        phenotype, covariates, columns = draw(rng)
        (tests,) = corrected([Association.of(phenotype, covariates, orders).test(columns)])
        found += [(tests.q <= 0.05).any(), (tests.p_fwe <= 0.05).any()]
    return found


def smooth(rng, people: int, columns: int):
    """Return noise of which neighbours are alike, as regions' maps are."""
    noise = rng.normal(size=(people, columns + 4))
    return np.lib.stride_tricks.sliding_window_view(noise, 5, axis=1).mean(axis=2)


def inside(count: int, cohorts: int) -> bool:
    low, high = binom.ppf([0.0005, 0.9995], cohorts, 0.05)
    return low <= count <= high


@pytest.mark.slow
def test_a_rare_group_and_people_of_unequal_scales_are_no_discoveries():
    """By p of t a fifth of these cohorts has discoveries."""

    def draw(rng):
        patient = np.repeat([1.0, 0.0], [2, 38])
        return patient, NONE, smooth(rng, 40, 100) * np.exp(rng.normal(size=40))[:, None]

    by_q, by_largest = null_discoveries(200, draw, free(40, 499), 7)
    assert by_q <= binom.ppf(0.9995, 200, 0.05)
    assert inside(by_largest, 200)


@pytest.mark.slow
def test_nothing_is_found_in_null_cohorts_more_often_than_said():
    def draw(rng):
        covariates = rng.normal(size=(40, 2))
        columns = smooth(rng, 40, 100) + covariates @ rng.normal(size=(2, 100))
        return covariates[:, 0] + rng.normal(size=40), covariates, columns

    by_q, by_largest = null_discoveries(400, draw, free(40, 499), 7)
    # Neighbours are alike: the false discovery rate is below what it may be, not at it.
    assert by_q <= binom.ppf(0.9995, 400, 0.05)
    assert inside(by_largest, 400)


def draw_relatives(rng):
    """Return a phenotype and columns that run in families, and tell nothing of each other."""
    families = np.repeat(np.arange(20), 4)
    phenotype = rng.normal(size=20)[families] + 0.3 * rng.normal(size=80)
    columns = smooth(rng, 20, 50)[families] + 0.3 * smooth(rng, 80, 50)
    return phenotype, np.zeros((80, 0)), columns


@pytest.mark.slow
def test_relatives_are_false_discoveries_unless_families_are_permuted_whole():
    families = np.repeat(np.arange(20), 4)
    whole = permutations(499, families, seed=2)
    by_q, by_largest = null_discoveries(300, draw_relatives, whole, 8)
    assert by_q <= binom.ppf(0.9995, 300, 0.05)
    assert inside(by_largest, 300)
    for count in null_discoveries(60, draw_relatives, free(80, 499), 8):
        assert count > 30  # of 60, of which 3 are to be expected


@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_covariates_of_any_size_are_taken_away(cohort, size):
    phenotype, covariates, columns = cohort
    wanted = Association.of(phenotype, covariates, None).test(columns)
    found = Association.of(phenotype, covariates * size, None).test(columns)
    assert found.dof == wanted.dof == 36
    np.testing.assert_allclose(found.r, wanted.r, rtol=1e-6)
