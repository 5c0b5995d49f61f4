"""Permutation tests: who is exchanged with others, and agreement with other programs."""

from __future__ import annotations

import numpy as np
import pytest
from nilearn.mass_univariate import permuted_ols

from bids_dtg.stats.permutation import (
    Design,
    correct,
    different_orders,
    fit_columns,
    flipped_signs,
    misleading_sizes,
    permuted_orders,
    sizes_p,
    sizes_ratio,
)

PEOPLE = 40


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    tested, covariates = rng.standard_normal(PEOPLE), rng.standard_normal((PEOPLE, 3))
    tested += covariates[:, 0]
    values = rng.standard_normal((PEOPLE, 30)) + covariates @ rng.standard_normal(
        (3, 30)
    )
    values[:, :3] += tested[:, None]
    return tested, covariates, values


def test_a_covariate_that_differs_by_rounding_is_none(people):
    tested, covariates, values = people
    covariates = covariates.copy()
    covariates[:, 1] = np.where(np.arange(PEOPLE) % 2, 0.3, 0.1 + 0.2)
    orders = permuted_orders(np.arange(PEOPLE), 19)
    design = Design.of(tested, covariates, orders)
    gram = design.covariates.T @ design.covariates
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)
    fit = fit_columns(values, design)
    without = fit_columns(values, Design.of(tested, covariates[:, [0, 2]], orders))
    np.testing.assert_allclose(fit.t, without.t, rtol=1e-9)
    with pytest.raises(ValueError, match="the same for everybody"):
        Design.of(covariates[:, 1], covariates[:, :1], orders)


def test_t_is_that_of_least_squares(people):
    tested, covariates, values = people
    columns = np.column_stack([tested, np.ones(PEOPLE), covariates])
    coefficients, squares, *_ = np.linalg.lstsq(columns, values)
    error = np.sqrt(squares / (PEOPLE - 5) * np.linalg.inv(columns.T @ columns)[0, 0])
    fit = fit_columns(values, Design.of(tested, covariates, np.empty((0, PEOPLE), int)))
    np.testing.assert_allclose(fit.t, coefficients[0] / error, rtol=1e-9)
    np.testing.assert_allclose(fit.effect, coefficients[0], rtol=1e-9)
    np.testing.assert_allclose(fit.r, fit.t / np.sqrt(fit.t**2 + PEOPLE - 5), rtol=1e-9)


def test_t_and_p_are_those_of_nilearn_with_its_orders(people):
    tested, covariates, values = people
    theirs = permuted_ols(
        tested,
        values,
        covariates,
        n_perm=99,
        random_state=5,
        n_jobs=1,
        output_type="dict",
    )
    # Its draws: one seed a job, and each permutation moves what the last one has moved.
    random_state = np.random.RandomState(
        np.random.RandomState(5).randint(1, np.iinfo(np.int32).max - 1)
    )
    orders, order = [], np.arange(PEOPLE)
    for _ in range(99):
        order = order[random_state.permutation(PEOPLE)]
        orders.append(order)
    design = Design.of(tested, covariates, np.array(orders))
    fit = fit_columns(values, design)
    np.testing.assert_allclose(fit.t, theirs["t"][0], rtol=1e-12)
    (corrected,) = correct([fit])
    np.testing.assert_allclose(corrected.p, 10 ** -theirs["logp_max_t"][0], rtol=1e-12)


def test_t_of_a_mean_is_students(people):
    from scipy.stats import ttest_1samp

    values = people[2] + 0.3
    fit = fit_columns(values, Design.of_mean(flipped_signs(np.arange(PEOPLE), 9)))
    np.testing.assert_allclose(fit.t, ttest_1samp(values, 0).statistic, rtol=1e-9)
    np.testing.assert_allclose(fit.effect, values.mean(axis=0), rtol=1e-9)


def test_signs_and_orders_count_all_columns_of_all_tests(people):
    """p is over all; p of a contrast over its own columns; q by the |t| of all draws."""
    tested, covariates, values = people
    orders = permuted_orders(np.arange(PEOPLE), 199)
    design = Design.of(tested, covariates, orders)
    parts = [
        fit_columns(columns, design) for columns in (values[:, :10], values[:, 10:])
    ]
    (whole,) = correct([fit_columns(values, design)])
    results = correct(parts)
    np.testing.assert_array_equal(np.concatenate([test.p for test in results]), whole.p)
    np.testing.assert_allclose(np.concatenate([test.q for test in results]), whole.q)
    (alone,) = correct(parts[:1])
    np.testing.assert_array_equal(results[0].p_contrast, alone.p)
    null = [
        np.abs(fit_columns(values, Design.of(tested[o], covariates[o], orders[:0])).t)
        for o in orders
    ]
    least = np.abs(fit_columns(values, design).t)
    p = [
        (1 + (np.array(null) >= least_p * (1 - 1e-9)).sum()) / (1 + len(orders) * 30)
        for least_p in least
    ]
    from scipy.stats import false_discovery_control

    np.testing.assert_allclose(whole.q, false_discovery_control(p), rtol=0.05)


def test_a_column_that_is_constant_or_not_known_is_not_tested(people):
    tested, covariates, values = people
    values = values.copy()
    values[3, 4], values[:, 5] = np.nan, 1.7
    design = Design.of(tested, covariates, permuted_orders(np.arange(PEOPLE), 19))
    fit = fit_columns(values, design)
    (corrected,) = correct([fit])
    for statistic in (fit.t, corrected.p, corrected.p_contrast, corrected.q):
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(statistic)), [4, 5])


@pytest.mark.parametrize(
    ("tested", "covariates", "why"),
    [
        (np.arange(6.0), np.arange(6.0)[:, None], "explain all of it"),
        (np.ones(6), np.empty((6, 0)), "the same for everybody"),
        (
            np.arange(6.0) ** 2,
            np.eye(6)[:, :4],
            "6 participants are too few: .* 7 are needed",
        ),
        (
            np.arange(6.0) ** 2,
            np.eye(6)[:, :5],
            "too few: with 5 columns of covariates, 8 are",
        ),
    ],
)
def test_a_question_without_an_answer_is_refused(tested, covariates, why):
    with pytest.raises(ValueError, match=why):
        Design.of(tested, covariates, np.empty((0, 6), int))


def test_families_move_as_a_whole_and_within_sites():
    families = np.array([0, 0, 1, 1, 2, 2, 3, 4, 5])
    sites = np.array([0, 1, 0, 1, 0, 0, 0, 0, 1])
    orders = permuted_orders(families, 500, sites=sites, seed=1)
    assert (sites[orders] == sites).all()
    moved = families[orders]
    assert all(
        (moved[:, family] == moved[:, family[:1]]).all()
        for family in ([0, 1], [2, 3], [4, 5])
    )
    assert set(moved[:, 0]) == {0, 1}  # the other family of two is of one site
    assert set(moved[:, 6]) == {3, 4}
    assert different_orders(np.arange(9), families, sites) == 4
    assert different_orders([0, 0, 1, 1, 0, 0, 5, 5, 5], families, sites) == 2
    assert len(np.unique(permuted_orders([0, 1, 2], 100), axis=0)) == 6


@pytest.mark.parametrize(
    ("people", "columns"),
    [(PEOPLE, 400), pytest.param(4200, 20, marks=pytest.mark.slow)],
)
def test_sizes_of_maps_that_go_with_patients_are_seen(people, columns):
    rng = np.random.default_rng(2)
    patient = (np.arange(people) < people / 4).astype(float)
    design = Design.of(
        patient, np.empty((people, 0)), permuted_orders(np.arange(people), 199)
    )
    values = rng.standard_normal((people, columns))
    assert sizes_p(fit_columns(values, design).products, design) > 0.05
    values[patient > 0] *= 1.5 if people == PEOPLE else 1.1
    assert sizes_p(fit_columns(values, design).products, design) == 1 / 200
    # An effect is no size.
    values = rng.standard_normal((people, columns)) + 2 * patient[:, None]
    assert sizes_p(fit_columns(values, design).products, design) > 0.05


@pytest.mark.parametrize("kind", ["groups", "number", "distance"])
def test_p_is_withheld_for_sizes_that_differ_enough_and_not_for_significant_ones(kind):
    rng = np.random.default_rng(1)
    people = 200
    tested = rng.standard_normal(people)
    scaled = (tested - tested.mean()) / tested.std()
    power = scaled / 2
    if kind == "groups":
        tested = power = (np.arange(people) < people / 4).astype(float)
    if kind == "distance":
        distance = np.abs(scaled)
        power = (distance - distance.mean()) / distance.std() / 2
    covariates = rng.standard_normal((people, 2))
    design = Design.of(tested, covariates, permuted_orders(np.arange(people), 99))
    noise = rng.standard_normal((people, 1000))
    for ratio, misleads in ((1.04, False), (1.3, True)):
        values = noise * np.sqrt(ratio**power)[:, None]
        products = fit_columns(values, design).products
        assert sizes_p(products, design) <= 0.05
        assert sizes_ratio(products, design) == pytest.approx(ratio, abs=0.03)
        assert bool(misleading_sizes({design: products})) == misleads


@pytest.mark.slow
def test_products_of_many_are_sketched_and_add_up_over_tests():
    people = 4200
    rng = np.random.default_rng(3)
    orders = permuted_orders(np.arange(people), 9)
    design = Design.of(rng.standard_normal(people), np.empty((people, 0)), orders)
    tests = [rng.standard_normal((people, 30)) * (1 + number) for number in range(2)]
    sketch = sum(
        fit_columns(values, design, seed=number).products
        for number, values in enumerate(tests)
    )
    assert sketch.shape == (people, 256)
    units = [design.unit(values)[0] for values in tests]
    exact = sum(np.square(unit).sum(axis=1) for unit in units)
    error = np.square(sketch).sum(axis=1) / exact - 1
    assert abs(error.mean()) < 0.01
    assert error.std() < 0.12  # of a sum of 256 squares .088
