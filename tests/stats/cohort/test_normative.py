"""Normative scores: N(0, 1) of unseen people, nothing of a person in their own norm."""

from __future__ import annotations

import importlib.util
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bids_dtg.stats.cohort.normative import (
    NormCovariates,
    Scores,
    add_extremes,
    compare_with_normal,
    count_extremes,
    explained,
    load_toolkit,
    normal_quantiles,
    score_people,
    score_plainly,
    stand,
)

needs_toolkit = pytest.mark.skipif(
    importlib.util.find_spec("pcntoolkit") is None,
    reason="PCNtoolkit is not installed (370 MB more than the development extra: pip install "
    "'.[normative]')",
)


def simulate(
    seed: int, *, people: int = 240, columns: int = 4, effects: bool = True
) -> tuple[np.ndarray, NormCovariates]:
    """Make values with effects of age, sex and site, and spreads that site and age change."""
    rng = np.random.default_rng(seed)
    age, sex, site = rng.uniform(20, 80, people), *rng.integers(0, (2, 4), (people, 2)).T
    values = rng.standard_normal((people, columns))
    if effects:
        values *= (np.array([1.0, 1.5, 0.7, 1.2])[site] * np.exp((age - 50) / 60))[:, None]
        values += np.outer(age - 50, rng.normal(0, 0.03, columns))
        values += np.outer(np.sin(age / 15), rng.normal(0, 0.5, columns))
        values += rng.normal(0, 0.5, (2, columns))[sex] + rng.normal(0, 0.8, (4, columns))[site]
    levels = np.stack([np.array(["f", "m"])[sex], site.astype(str)], axis=1)
    return values, NormCovariates(age[:, None], ("age",), levels, ("sex", "site"))


def drawn_folds(people: int, seed: int = 0) -> np.ndarray:
    """Draw five folds."""
    return np.random.default_rng(seed).permutation(people) % 5


@given(
    people=st.integers(4, 20),
    columns=st.integers(1, 4),
    gaps=st.floats(0, 0.5),
    seed=st.integers(0, 9999),
)
@settings(max_examples=30, deadline=None)
def test_plain_scores_are_of_the_other_folds_mean_and_sd(people, columns, gaps, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(5, 2, (people, columns))
    values[rng.random(values.shape) < gaps] = np.nan
    folds = np.arange(people) % 2
    found = score_plainly(values, folds)
    for person, column in np.ndindex(values.shape):
        other = values[folds != folds[person], column]
        other = other[np.isfinite(other)]
        if len(other) < 2 or np.isnan(values[person, column]):
            assert np.isnan(found.z[person, column])
        else:
            z = (values[person, column] - other.mean()) / other.std(ddof=1)
            assert found.z[person, column] == pytest.approx(z)


@given(seed=st.integers(0, 99), shift=st.floats(-1, 1), sd=st.floats(0.3, 3))
@settings(max_examples=20, deadline=None)
def test_quantiles_and_the_fit_say_how_z_scores_lie(seed, shift, sd):
    z = shift + sd * np.random.default_rng(seed).standard_normal((4000, 2))
    normal, own = normal_quantiles(z).T
    np.testing.assert_allclose(own, shift + sd * normal, atol=0.2 * sd)
    fit = compare_with_normal(z)
    np.testing.assert_allclose(fit.sd, sd, rtol=0.05)
    truth = stats.norm.sf(2, shift, sd) + stats.norm.cdf(-2, shift, sd)
    np.testing.assert_allclose(fit.extreme, truth, atol=0.025)
    if abs(shift) > 0.2 or abs(sd - 1) > 0.2:
        assert (fit.ks_p < 1e-4).all()


def test_columns_without_scores_have_no_fit_and_no_quantiles():
    z = np.full((9, 1), np.nan)
    fit = compare_with_normal(z)
    assert np.isnan([fit.sd, fit.extreme, fit.ks_p]).all()
    assert np.isnan(normal_quantiles(z)[:, 1]).all()


def test_chance_of_extremes_keeps_the_correlations_between_columns():
    # One source in all columns: a binomial test would call most people with any extreme unusual.
    rng = np.random.default_rng(0)
    z = 0.9 * rng.standard_normal((400, 1)) + np.sqrt(0.19) * rng.standard_normal((400, 60))
    found = count_extremes(z, draws=999, seed=0)
    binomial = stats.binom.sf(found.count - 1, 60, found.expected[0] / 60)
    assert (found.p < 0.05).mean() < 0.08
    assert (binomial < 0.001).mean() > 0.03
    assert (found.count > found.usual).mean() < 0.08
    z[3] = 3.0
    assert count_extremes(z, draws=999, seed=0).p[3] < 0.05


def test_people_are_compared_over_the_columns_they_have():
    z = np.random.default_rng(1).standard_normal((30, 8))
    z[0], z[1, :4] = np.nan, np.nan
    found = count_extremes(z, draws=99, seed=0)
    assert found.columns[:3].tolist() == [0, 4, 8]
    assert np.isnan(found.p).tolist() == [True] + [False] * 29
    assert found.usual[1] <= found.usual[2]
    assert found.expected[1] == pytest.approx(4 * 2 * stats.norm.sf(2))
    assert found.p.min(initial=1, where=np.isfinite(found.p)) >= 1 / 100


def test_tables_that_go_together_are_put_together_as_one():
    # The second table repeats the first: counts double, and so do those of people drawn.
    rng = np.random.default_rng(2)
    z = rng.standard_normal((200, 1)) * 0.8 + 0.6 * rng.standard_normal((200, 20))
    one = count_extremes(z, draws=1100, seed=0)
    both = add_extremes([one, count_extremes(z, draws=1100, seed=0)])
    np.testing.assert_array_equal(both.p, one.p)
    np.testing.assert_array_equal(both.usual, 2 * one.usual)
    assert (both.p < 0.05).mean() < 0.1
    with pytest.raises(ValueError, match="different numbers of people or draws"):
        add_extremes([one, count_extremes(z, draws=99, seed=0)])
    assert np.isnan(count_extremes(z, draws=0, seed=0).p).all()


@given(share=st.floats(0, 1), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_explained_variance_is_that_of_the_norm_beside_the_mean(share, seed):
    rng = np.random.default_rng(seed)
    known, rest = rng.standard_normal((2, 5000, 1))
    values = np.sqrt(share) * known + np.sqrt(1 - share) * rest
    one = np.ones_like(values)
    norms = Scores(np.sqrt(share) * known, one, one)
    plain = Scores(np.zeros_like(values), one, one)
    assert explained(values, norms, plain)[0] == pytest.approx(share, abs=0.06)
    assert np.isnan(explained(0 * values, norms, plain)[0])


def test_numbers_beyond_those_of_other_folds_are_found():
    people = NormCovariates(
        np.array([[20.0, 1], [30, 9], [25, 2], [26, 3]]), ("age", "fd"), np.empty((4, 0), str), ()
    )
    found = stand(people, np.array([0, 1, 2, 2]))
    assert found.beyond.tolist() == [True, True, False, False]
    assert found.scored.all()
    assert not found.own_spread.any()


def test_who_has_few_of_their_site_shares_one_spread():
    site = np.array(["large"] * 180 + ["small"] * 15 + ["alone"])
    age = np.linspace(20, 80, len(site))[:, None]
    found = stand(NormCovariates(age, ("age",), site[:, None], ("site",)), drawn_folds(len(site)))
    assert found.scored.tolist() == (site != "alone").tolist()
    assert found.own_spread.tolist() == (site == "large").tolist()


@pytest.mark.parametrize(
    ("numbers", "names", "message"),
    [
        (np.zeros((3, 0)), (), "a norm needs a number to be smooth over, such as age"),
        (np.ones((3, 1)), ("age",), "'age' must be finite and differ between people"),
        (np.array([[1.0], [np.nan], [2]]), ("age",), "'age' must be finite"),
        (np.zeros((3, 2)), ("age",), r"numbers are \(3, 2\) .* expected \(3, 1\)"),
    ],
)
def test_covariates_that_make_no_norm_are_refused(numbers, names, message):
    with pytest.raises(ValueError, match=message):
        NormCovariates(numbers, names, np.empty((3, 0), str), ())


def test_folds_of_another_length_and_one_fold_are_refused():
    with pytest.raises(ValueError, match=r"values are \(3, 1\) and folds \(2,\)"):
        score_plainly(np.ones((3, 1)), np.array([0, 1]))
    with pytest.raises(ValueError, match="people are in one fold"):
        score_plainly(np.ones((3, 1)), np.zeros(3, int))


@needs_toolkit
def test_scores_are_those_of_pcntoolkits_normative_model():
    toolkit = load_toolkit()
    import pandas as pd

    values, people = simulate(0, columns=2)
    folds = drawn_folds(len(values))
    found = score_people(values, people, folds)
    table = pd.DataFrame(values, columns=["one", "two"])
    table["age"], (table["sex"], table["site"]) = people.numbers[:, 0], people.levels.T
    for fold in (0, 3):
        learned, scored = (
            toolkit.NormData.from_dataframe(
                "people", table[who].reset_index(drop=True), ["age"], ["sex", "site"],
                ["one", "two"],
            )
            for who in (folds != fold, folds == fold)
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            regression = toolkit.BLR(
                basis_function_mean=toolkit.BsplineBasisFunction(nknots=5, degree=3),
                basis_function_var=toolkit.LinearBasisFunction(),
                fixed_effect=True,
                heteroskedastic=True,
                fixed_effect_var=True,
            )
            model = toolkit.NormativeModel(regression, False, False, False, False, save_dir=folder)
            model.fit(learned)
            model.compute_zscores(scored)
            model.compute_yhat(scored)
        for name, own in (("Z", found.z), ("Yhat", found.expected)):
            theirs = scored[name].sel(response_vars=["one", "two"]).values
            np.testing.assert_allclose(own[folds == fold], theirs, atol=1e-4)


@needs_toolkit
def test_nothing_of_a_person_enters_their_norm_and_unknown_sites_have_none():
    values, people = simulate(1, people=120, columns=1)
    people.levels[0, 1] = "nobody else's"
    values[5] = np.nan
    folds = drawn_folds(120)
    before = score_people(values, people, folds)
    assert np.flatnonzero(np.isnan(before.z[:, 0])).tolist() == [0, 5]
    own = folds == folds[0]
    values[own] += 100
    after = score_people(values, people, folds)
    np.testing.assert_array_equal(after.expected[own], before.expected[own])
    np.testing.assert_array_equal(after.sd[own], before.sd[own])
    assert not np.allclose(after.expected[~own], before.expected[~own], equal_nan=True)


@needs_toolkit
def test_several_numbers_few_people_and_constant_columns_are_taken():
    values, people = simulate(2, people=60, columns=2)
    values[:, 1] = 3.0
    rng = np.random.default_rng(0)
    more = np.stack([people.numbers[:, 0], rng.gamma(2, 1, 60), rng.integers(0, 3, 60)], axis=1)
    both = NormCovariates(more, ("age", "fd", "visits"), np.empty((60, 0), str), ())
    done: list[int] = []
    found = score_people(values, both, drawn_folds(60), progress=done.append)
    assert done == [1, 2]
    assert np.isfinite(found.z[:, 0]).all()
    assert np.isnan(found.z[:, 1]).all()
    assert found.z[:, 0].std() == pytest.approx(1, abs=0.35)


@needs_toolkit
@pytest.mark.slow
@pytest.mark.parametrize("effects", [False, True])
def test_scores_of_people_without_deviations_are_normal(effects):
    p, z, age, site = [], [], [], []
    for seed in range(6):
        values, people = simulate(seed, effects=effects)
        z.append(score_people(values, people, drawn_folds(len(values), seed)).z)
        p += compare_with_normal(z[-1]).ks_p.tolist()
        age.append(people.numbers[:, 0])
        site.append(people.levels[:, 1])
    # At a level of 5 %, 5 of 24 or more are rejected by chance once in 170 times.
    assert np.sum(np.array(p) < 0.05) < 5
    every, age, site = np.concatenate(z), np.concatenate(age), np.concatenate(site)
    assert every.std() == pytest.approx(1, abs=0.06)
    for who in (age < 40, age > 60, *(site == name for name in "0123")):
        assert every[who].std() == pytest.approx(1, abs=0.12)
