from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, RidgeClassifier

from bids_dtg.stats.prediction.ridge import (
    Features,
    centred_blocks,
    fit_ridge,
    join_features,
)

ALPHAS = [1e-2, 0.3, 1.0, 30.0, 1e4]
sizes = st.tuples(st.integers(6, 25), st.integers(1, 60), st.integers(1, 4))


def data(size, seed, offset=3.0):
    """Return features, targets and confounds that are related, and who is trained on."""
    people, columns, targets = size
    rng = np.random.default_rng(seed)
    confounds = rng.normal(5, 2, (people, 2))
    x = rng.normal(offset, 1, (people, columns)) + 0.5 * confounds[:, :1]
    y = x[:, :1] + rng.normal(7, 1, (people, targets)) + confounds[:, 1:]
    order = rng.permutation(people)
    return x.astype(np.float32), y, confounds, order[: people - 3], order[people - 3 :]


def predict_ridge(fit, targets, alphas):
    """Predict targets of test people with several penalties, (alphas, test, targets)."""
    expected = fit.nuisance.expect(targets)
    return np.stack([expected + fit.deviations(targets, alpha) for alpha in alphas])


@pytest.mark.slow
@settings(max_examples=25)
@given(size=sizes, seed=st.integers(0, 10_000))
def test_it_is_the_ridge_of_scikit_learn(size, seed):
    x, y, _, train, test = data(size, seed)
    found = predict_ridge(fit_ridge(Features.of(x), train, test), y[train], ALPHAS)
    for alpha, own in zip(ALPHAS, found, strict=True):
        model = Ridge(alpha=alpha, solver="svd").fit(x[train].astype(float), y[train])
        expected = model.predict(x[test].astype(float)).reshape(own.shape)
        np.testing.assert_allclose(own, expected, rtol=1e-6, atol=1e-9)


@settings(max_examples=25)
@given(size=sizes, seed=st.integers(0, 10_000))
def test_decisions_are_those_of_scikit_learns_classifier(size, seed):
    x, y, _, train, test = data(size, seed)
    label = np.where(y[:, :1] > np.median(y[train, 0]), 1.0, -1.0)
    found = predict_ridge(fit_ridge(Features.of(x), train, test), label[train], [1.0])
    model = RidgeClassifier(alpha=1.0, solver="svd").fit(x[train].astype(float), label[train, 0])
    expected = model.decision_function(x[test].astype(float))
    np.testing.assert_allclose(found[0, :, 0], expected, rtol=1e-6, atol=1e-9)


def residuals(values, design, train):
    """Take away what the design explains, by coefficients of training people."""
    coefficients, *_ = np.linalg.lstsq(design[train], values[train], rcond=None)
    return values - design @ coefficients


@settings(max_examples=25)
@given(size=sizes, seed=st.integers(0, 10_000))
def test_confounds_are_regressed_out_by_training_people(size, seed):
    x, y, confounds, train, test = data(size, seed)
    design = np.column_stack([np.ones(len(x)), confounds])
    x_left = residuals(x.astype(float), design, train)
    y_left = residuals(y, design, train)
    fit = fit_ridge(Features.of(x), train, test, confounds)
    np.testing.assert_allclose(fit.nuisance.expect(y[train]), (y - y_left)[test], atol=1e-8)
    gram = x_left[train].T @ x_left[train]
    for alpha in ALPHAS:
        solved = np.linalg.solve(gram + alpha * np.eye(len(gram)), x_left[train].T @ y_left[train])
        found = fit.deviations(y[train], alpha)
        np.testing.assert_allclose(found, x_left[test] @ solved, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("columns", [4, 60])
@pytest.mark.parametrize("is_confounded", [False, True])
def test_errors_of_left_out_people_are_those_of_fits_without_them(columns, is_confounded):
    x, y, confounds, train, _ = data((24, columns, 3), 1)
    confounds = confounds if is_confounded else None
    groups = np.arange(len(train)) % 4
    fit = fit_ridge(Features.of(x), train, train[:0], confounds)
    found = fit.left_out_errors(y[train], ALPHAS, groups)
    for alpha, errors in zip(ALPHAS, found, strict=True):
        expected = np.zeros(y.shape[1])
        for group in range(4):
            own, others = train[groups == group], train[groups != group]
            refit = fit_ridge(Features.of(x), others, own, confounds)
            expected += np.square(y[own] - predict_ridge(refit, y[others], [alpha])[0]).sum(axis=0)
        np.testing.assert_allclose(errors, expected, rtol=1e-6)


def test_a_confound_that_left_out_people_alone_have_does_not_break_the_choice():
    x, y, _, train, _ = data((24, 60, 1), 1)
    groups = np.arange(len(train)) % 4
    site = np.zeros((24, 1))
    site[train[groups == 2]] = 1.0
    errors = fit_ridge(Features.of(x), train, train[:0], site).left_out_errors(
        y[train], ALPHAS, groups
    )
    assert np.isfinite(errors).all()
    assert errors.max() < 1e3 * np.square(y).sum()


@pytest.mark.parametrize("columns", [5, 300])
def test_units_do_not_change_published_predictions(columns):
    x, y, _, train, test = data((30, columns, 1), 2)
    found = []
    for unit in [1.0, 1e-3, 500.0]:
        fit = fit_ridge(Features.of(x * np.float32(unit)), train, test)
        found.append(fit.deviations(y[train], fit.published_alpha))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-4)
    scaled = x.astype(float) / np.sqrt(x[train].astype(float).var(axis=0).mean())
    model = Ridge(alpha=columns / len(train), solver="svd").fit(scaled[train], y[train, 0])
    expected = model.predict(scaled[test]) - y[train].mean()
    np.testing.assert_allclose(found[0][:, 0], expected, rtol=1e-6)


@settings(max_examples=25)
@given(size=sizes, seed=st.integers(0, 10_000), share=st.floats(0.01, 0.99))
def test_an_alpha_has_the_degrees_of_freedom_asked_for(size, seed, share):
    x, _, _, train, test = data(size, seed)
    fit = fit_ridge(Features.of(x), train, test)
    wanted = share * len(fit.strengths)
    assert fit.effective_dof(fit.alpha_of(wanted)) == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(ValueError, match=r"no alpha has .* degrees of freedom"):
        fit.alpha_of(len(fit.strengths))


def test_both_forms_agree():
    x, y, confounds, train, test = data((30, 12, 2), 3)
    wide = np.concatenate([x, np.zeros((30, 40), np.float32)], axis=1)
    primal, dual = Features.of(x), Features.of(wide)
    assert (primal.form, dual.form) == ("primal", "dual")
    fits = [fit_ridge(own, train, test, confounds) for own in (primal, dual)]
    for alpha in ALPHAS:
        one, other = (fit.deviations(y[train], alpha) for fit in fits)
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-10)
        one, other = (fit.fitted(y[train], alpha) for fit in fits)
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("columns", [(3, 5), (3, 80), (80, 90)])
def test_joined_sets_have_equal_variance_in_training_people(columns):
    rng = np.random.default_rng(0)
    one, other = (rng.normal(0, 10.0**n, (30, own)) for n, own in enumerate(columns))
    y, train, test = rng.standard_normal((30, 1)), np.arange(25), np.arange(25, 30)
    joined = join_features([Features.of(one), Features.of(other)])
    scaled = np.hstack([x / np.sqrt(x[train].var(axis=0).sum()) for x in (one, other)])
    fit = fit_ridge(joined, train, test)
    expected = fit_ridge(Features.of(scaled), train, test)
    for share in [0.1, 0.8]:
        wanted = share * min(24, sum(columns))
        found = [own.deviations(y[train], own.alpha_of(wanted)) for own in (fit, expected)]
        np.testing.assert_allclose(*found, rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match=r"sets have \[30, 29\] people"):
        join_features([Features.of(one), Features.of(other[1:])])


def test_features_that_confounds_explain_predict_nothing():
    _, y, confounds, train, test = data((30, 2, 1), 3)
    for columns in (1, 40):
        explained = confounds[:, :1] * np.linspace(1, 2, columns)
        fit = fit_ridge(Features.of(explained), train, test, confounds)
        assert not fit.deviations(y[train], 1e-9).any()


def test_blocks_do_not_change_the_kernel(tmp_path):
    rng = np.random.default_rng(0)
    values = np.memmap(tmp_path / "x", np.float32, "w+", shape=(9, 101))
    values[:] = rng.normal(4, 1, values.shape)
    train, test = np.arange(6), np.arange(6, 9)
    y = rng.standard_normal((6, 1))
    whole, blocks = (Features.of(values, block_bytes=size) for size in (1 << 20, 8 * 9 * 7))
    one, other = (fit_ridge(own, train, test).deviations(y, 1.0) for own in (whole, blocks))
    np.testing.assert_allclose(one, other, rtol=1e-10)
    assert [block.shape[1] for _, block in centred_blocks(values, 8 * 9 * 40)] == [40, 40, 21]


@pytest.mark.parametrize("columns", [5, 60])
def test_a_large_mean_costs_no_digits(columns):
    x = np.random.default_rng(0).standard_normal((30, columns)).round(6)
    y, train, test = x[:20, :1], np.arange(20), np.arange(20, 30)
    one, other = (
        fit_ridge(Features.of(own), train, test).deviations(y, 1.0) for own in (x, x + 2.0**20)
    )
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_some_people_are_features_too():
    x, y, *_ = data((30, 50, 1), 4)
    kept = np.arange(5, 30)
    for columns in (6, 50):
        one = fit_ridge(Features.of(x[:, :columns]).of_people(kept), kept[:20] - 5, kept[20:] - 5)
        other = fit_ridge(Features.of(x[kept, :columns]), kept[:20] - 5, kept[20:] - 5)
        y_train = y[kept[:20]]
        np.testing.assert_allclose(
            one.deviations(y_train, 1.0), other.deviations(y_train, 1.0), rtol=1e-6
        )


def test_values_that_are_not_finite_are_refused():
    x = np.ones((5, 9), np.float32)
    x[2, 7] = np.nan
    with pytest.raises(ValueError, match="column 7 of the features"):
        Features.of(x)
    with pytest.raises(ValueError, match=r"\(people, columns\), found \(5,\)"):
        Features.of(x[:, 0])
