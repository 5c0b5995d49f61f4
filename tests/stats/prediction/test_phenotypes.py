from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, norm
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score

from bids_dtg.contrasts.phantom.dataset import phenotype
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.prediction.folds import Folds, repeated_folds, site_folds
from bids_dtg.stats.prediction.phenotypes import (
    NESTED_GRID,
    SCORES,
    Target,
    choose_alpha,
    predict_equally,
    predict_phenotype,
    score_baseline,
)
from bids_dtg.stats.prediction.ridge import Features, fit_ridge

RNG = np.random.default_rng(0)
PEOPLE = 40
X = RNG.normal(2, 1, (PEOPLE, 60))
Y = X @ RNG.standard_normal(60) / 8 + RNG.normal(3, 1, PEOPLE)
SEX = np.where(Y + RNG.standard_normal(PEOPLE) > 3, "M", "F")
FOLDS = repeated_folds(np.arange(PEOPLE), repeats=2)


def test_scores_are_those_of_a_loop_over_scikit_learn():
    found = predict_phenotype(Features.of(X), Target.numbers(Y), FOLDS)["published"]
    for repeat in range(2):
        predicted, mean = np.empty(PEOPLE), np.empty(PEOPLE)
        for _, _, train, test in FOLDS.splits(repeat):
            scaled = X / np.sqrt(X[train].var(axis=0).mean())
            model = Ridge(alpha=60 / len(train), solver="svd").fit(scaled[train], Y[train])
            predicted[test], mean[test] = model.predict(scaled[test]), Y[train].mean()
        np.testing.assert_allclose((found.baseline + found.predicted)[repeat], predicted)
        expected = {
            "r": np.corrcoef(Y - mean, predicted - mean)[0, 1],
            "r2": 1 - np.square(Y - predicted).sum() / np.square(Y - mean).sum(),
            "mae": np.abs(Y - predicted).mean(),
        }
        for score, value in expected.items():
            assert found.by_repeat[score][repeat] == pytest.approx(value), score
    assert found.mean("r") == pytest.approx(found.by_repeat["r"].mean())


def test_levels_are_judged_by_decisions_of_scikit_learn_less_the_mean():
    target = Target.two_levels(list(SEX))
    found = predict_phenotype(Features.of(X), target, FOLDS)["published"]
    decisions = np.empty(PEOPLE)
    for _, _, train, test in FOLDS.splits(1):
        scaled = X / np.sqrt(X[train].var(axis=0).mean())
        model = RidgeClassifier(alpha=60 / len(train), solver="svd").fit(scaled[train], SEX[train])
        mean = np.where(SEX[train] == "M", 1, -1).mean()
        decisions[test] = model.decision_function(scaled[test]) - mean
    said = np.where(decisions > 0, "M", "F")
    assert found.by_repeat["auc"][1] == pytest.approx(roc_auc_score(SEX == "M", decisions))
    expected = balanced_accuracy_score(SEX, said)
    assert found.by_repeat["balanced_accuracy"][1] == pytest.approx(expected)


def test_scores_of_folds_are_scores_of_their_people():
    found = predict_phenotype(Features.of(X), Target.numbers(Y), FOLDS)["nested"]
    for repeat, fold, _, test in FOLDS.splits():
        own, measured = found.predicted[repeat, test], (Y - found.baseline[repeat])[test]
        assert found.by_fold["r"][repeat, fold] == pytest.approx(np.corrcoef(own, measured)[0, 1])
    small = repeated_folds(np.arange(PEOPLE), folds=20, repeats=1)
    found = predict_phenotype(Features.of(X), Target.numbers(Y), small)["nested"]
    assert np.isnan(found.by_fold["r"]).all()
    assert np.isfinite(found.mean("r"))


def test_the_nested_penalty_is_the_best_of_fits_without_each_inner_fold():
    everybody = np.arange(PEOPLE)
    inner = repeated_folds(everybody, repeats=1, seed=3)
    fit = fit_ridge(Features.of(X), everybody, everybody)
    errors = []
    for share in NESTED_GRID:
        error = 0.0
        for _, _, train, test in inner.splits():
            model = Ridge(alpha=share * fit.mean_strength, solver="svd").fit(X[train], Y[train])
            error += np.square(Y[test] - model.predict(X[test])).sum()
        errors.append(error)
    alpha = choose_alpha(fit, Y[:, None], everybody, seed=3)
    assert alpha[0] == pytest.approx(NESTED_GRID[np.argmin(errors)] * fit.mean_strength)


def test_noise_gets_the_largest_penalty_nearly_always():
    noise = np.random.default_rng(5).standard_normal((40, PEOPLE, 1))
    everybody = np.arange(PEOPLE)
    fit = fit_ridge(Features.of(X), everybody, everybody)
    chosen = choose_alpha(fit, noise[:, :, 0].T, everybody) / fit.mean_strength
    assert np.median(chosen) >= 10


@pytest.mark.parametrize("columns", [6, 60])
def test_nothing_of_test_people_enters_their_predictions(columns):
    """Test people's phenotype and everybody else's test features are nowhere in a prediction."""
    confounds = np.random.default_rng(1).standard_normal((PEOPLE, 2))
    before = predict_phenotype(
        Features.of(X[:, :columns]), Target.numbers(Y), FOLDS, confounds=confounds
    )
    split = next(iter(FOLDS.splits(0)))
    other, y, z = X[:, :columns].copy(), Y.copy(), confounds.copy()
    y[split.test] += np.linspace(5, -90, len(split.test))
    # Of the first of them all stays but the phenotype.
    other[split.test[1:]] *= 30
    z[split.test[1:]] *= 40
    after = predict_phenotype(Features.of(other), Target.numbers(y), FOLDS, confounds=z)
    first = split.test[0]
    for penalty, found in before.items():
        for name in ("predicted", "baseline", "alphas", "effective_dof"):
            place = (0, first) if name in ("predicted", "baseline") else (0, split.fold)
            old, new = getattr(found, name)[place], getattr(after[penalty], name)[place]
            assert new == pytest.approx(old, rel=1e-6), (penalty, name)


def families_that_look_alike(rng, pairs=60):
    """Return features and a phenotype that go with the family and with nothing else."""
    families = np.arange(2 * pairs) // 2
    x = rng.standard_normal((pairs, 300))[families] + 0.3 * rng.standard_normal((2 * pairs, 300))
    y = rng.standard_normal(pairs)[families] + 0.3 * rng.standard_normal(2 * pairs)
    return families, x, y


def test_a_family_on_both_sides_would_leak():
    families, x, y = families_that_look_alike(np.random.default_rng(0))
    features, target = Features.of(x), Target.numbers(y)
    whole = predict_phenotype(features, target, repeated_folds(families, repeats=3))
    torn = repeated_folds(np.arange(len(y)), repeats=3)
    leak = predict_phenotype(features, target, torn)
    for penalty in whole:
        assert whole[penalty].mean("r") < 0.2
        assert leak[penalty].mean("r") > 0.5


def test_inner_folds_keep_families_whole():
    """Within torn families the penalty would be chosen for what siblings share."""
    families, x, y = families_that_look_alike(np.random.default_rng(0))
    features, target = Features.of(x), Target.numbers(y)
    drawn = repeated_folds(families, repeats=3)
    whole = predict_phenotype(features, target, drawn)["nested"]
    alone = Folds(drawn.fold, np.arange(len(y)))
    torn = predict_phenotype(features, target, alone)["nested"]
    assert np.median(whole.alphas) > 3 * np.median(torn.alphas)


def test_a_site_in_features_and_phenotype_leaks_unless_it_is_a_confound():
    rng = np.random.default_rng(0)
    sites = np.arange(120) % 3
    x = rng.standard_normal((120, 200)) + rng.standard_normal((3, 200))[sites]
    y = rng.standard_normal(120) + np.array([-2.0, 0.0, 2.0])[sites]
    features, target = Features.of(x), Target.numbers(y)
    folds = repeated_folds(np.arange(120), repeats=3, sites=sites)
    dummies = (sites[:, None] == np.array([1, 2])).astype(float)
    assert predict_phenotype(features, target, folds)["nested"].mean("r") > 0.6
    found = predict_phenotype(features, target, folds, confounds=dummies)["nested"]
    assert abs(found.mean("r")) < 0.2
    left_out = predict_phenotype(features, target, site_folds(np.arange(120), sites))["nested"]
    assert left_out.predicted.shape == (1, 120)
    assert left_out.mean("r") < 0.2


def test_confounds_alone_are_the_baseline():
    rng = np.random.default_rng(0)
    age = rng.normal(30, 5, 80)
    y = age + rng.normal(0, 5, 80)
    folds, target = repeated_folds(np.arange(80), repeats=2), Target.numbers(y)
    found = score_baseline(target, folds, age[:, None])
    outcome = predict_phenotype(
        Features.of(rng.standard_normal((80, 9))), target, folds, confounds=age[:, None]
    )["nested"]
    error = np.abs(y - outcome.baseline).mean()
    assert found["mae"] == pytest.approx(error)
    assert 0.5 < found["r"] < 0.9
    nothing = score_baseline(target, folds)
    assert (nothing["r"], nothing["r2"]) == (0.0, 0.0)
    assert nothing["mae"] == pytest.approx(np.abs(y - y.mean()).mean(), rel=0.05)
    sex = Target.two_levels(list(np.where(y > 30, "a", "b")))
    assert score_baseline(sex, folds) == {"balanced_accuracy": 0.5, "auc": 0.5}
    assert score_baseline(sex, folds, age[:, None])["auc"] != 0.5


def test_r_is_what_noise_lets_through():
    """With a trait seen through noise, r is at most the square root of its reliability."""
    rng = np.random.default_rng(0)
    trait = rng.standard_normal(2000)
    y = np.sqrt(0.5) * trait + np.sqrt(0.5) * rng.standard_normal(2000)
    # Ten features see the trait with variance 4 of noise: their mean has reliability 1 / 1.4.
    x = trait[:, None] + 2 * rng.standard_normal((2000, 10))
    folds = repeated_folds(np.arange(2000), repeats=1)
    found = predict_phenotype(Features.of(x), Target.numbers(y), folds)
    expected = np.sqrt(0.5 / 1.4)
    half = norm.ppf(0.995) / np.sqrt(1997)
    for outcome in found.values():
        assert abs(np.arctanh(outcome.mean("r")) - np.arctanh(expected)) < half
        assert outcome.mean("r2") == pytest.approx(expected**2, abs=0.04)


@pytest.mark.slow
def test_the_phantoms_reasoning_is_predicted_as_well_as_its_traits_allow():
    phantom = Phantom(block=4)
    people = [phantom.person(Cohort.TEST, n) for n in range(600)]
    traits = np.stack([person.traits for person in people])
    y = np.array([phenotype(person)["reasoning"] for person in people])
    folds = repeated_folds(np.arange(600), repeats=2)
    found = predict_phenotype(Features.of(traits), Target.numbers(y), folds)
    half = norm.ppf(0.995) / np.sqrt(597)
    for outcome in found.values():
        assert abs(np.arctanh(outcome.mean("r")) - np.arctanh(np.sqrt(0.6))) < half
    sex = Target.two_levels([phenotype(person)["sex"] for person in people])
    # The level is the sign of a sum of which the trait is half of the variance: among people of a
    # level the trait t has the densities 2 f(t) F(t) and 2 f(t) F(-t), so that AUC is 5/6.
    found = predict_phenotype(Features.of(traits), sex, folds)
    assert found["nested"].mean("auc") == pytest.approx(5 / 6, abs=0.04)


def test_a_permutation_is_a_call_with_the_permuted_phenotype():
    orders = np.stack([np.random.default_rng(n).permutation(PEOPLE) for n in range(3)])
    for target in (Target.numbers(Y), Target.two_levels(list(SEX))):
        found = predict_phenotype(Features.of(X), target, FOLDS, permutations=orders, seed=4)
        for n, order in enumerate(orders):
            alone = predict_phenotype(Features.of(X), target.of_people(order), FOLDS, seed=4)
            for penalty, outcome in found.items():
                for score in target.score_names:
                    expected, allowed = alone[penalty].mean(score), 1e-8
                    if score == "mae":  # in units of what the baseline errs
                        allowed = 0.05
                    assert outcome.null[score][n] == pytest.approx(expected, rel=allowed)


def test_what_confounds_leave_is_permuted():
    """The score does not depend on whether what they explain is added back."""
    rng = np.random.default_rng(2)
    z = rng.standard_normal((PEOPLE, 2))
    y, order = Y + 5 * z[:, 0], rng.permutation(PEOPLE)
    design = np.column_stack([np.ones(PEOPLE), z])
    explained = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    found = predict_phenotype(
        Features.of(X), Target.numbers(y), FOLDS, confounds=z, permutations=order[None]
    )
    permuted = Target.numbers(explained + (y - explained)[order])
    alone = predict_phenotype(Features.of(X), permuted, FOLDS, confounds=z)
    for penalty, outcome in found.items():
        assert outcome.null["r"][0] == pytest.approx(alone[penalty].mean("r"), rel=1e-8)


def test_p_counts_permutations_that_are_as_good_and_is_never_zero():
    same = np.tile(np.arange(PEOPLE), (9, 1))
    found = predict_phenotype(Features.of(X), Target.numbers(Y), FOLDS, permutations=same)
    others = np.stack([np.random.default_rng(n).permutation(PEOPLE) for n in range(19)])
    strong = Target.numbers(X @ np.ones(60))
    certain = predict_phenotype(Features.of(X), strong, FOLDS, permutations=others)
    none = predict_phenotype(Features.of(X), strong, FOLDS)
    for penalty in found:
        for score in ("r", "r2", "mae"):
            assert found[penalty].p(score) == 1.0
            assert certain[penalty].p(score) == 1 / 20
            assert np.isnan(none[penalty].p(score))


def null_p(seed, case):
    """Return p with ties broken at random where features know nothing of the phenotype."""
    rng = np.random.default_rng(seed)
    people = 40
    families = np.arange(people) // 2 if case == "families" else np.arange(people)
    shared = rng.standard_normal((people // 2, 31))[np.arange(people) // 2]
    drawn = rng.standard_normal((people, 31)) + (2 * shared if case == "families" else 0)
    x, y, confounds = drawn[:, :30], drawn[:, 30], None
    if case == "confounds":  # of features and phenotype
        confounds = rng.standard_normal((people, 2))
        x, y = x + confounds[:, :1], y + 2 * confounds[:, 0] - confounds[:, 1]
    target = Target.numbers(y)
    if case == "levels":
        target = Target.two_levels(list(np.where(y > 0.6, "a", "b")))
    orders = np.stack([rng.permutation(people) for _ in range(199)])
    if case == "families":  # whole, and which of the two is first by chance
        blocks = np.stack([rng.permutation(people // 2) for _ in range(199)])
        orders = (2 * blocks[:, :, None] + np.arange(2)).reshape(199, people)
    levels = target.values.astype(int) if case == "levels" else None
    folds = repeated_folds(families, repeats=2, seed=seed, levels=levels)
    found = predict_phenotype(
        Features.of(x), target, folds, confounds=confounds, permutations=orders, seed=seed
    )
    broken = {}
    for penalty, outcome in found.items():
        for score in target.score_names:
            sign = 1 if SCORES[score].larger_is_better else -1
            gain = sign * (outcome.null[score] - outcome.mean(score))
            above, ties = (gain > 1e-9).sum(), (np.abs(gain) <= 1e-9).sum()
            broken[penalty, score] = (above + rng.random() * (ties + 1)) / 200
    return broken


@pytest.mark.slow
@pytest.mark.parametrize("case", ["plain", "confounds", "families", "levels"])
def test_p_is_uniform_where_there_is_nothing(case):
    found = [null_p(seed, case) for seed in range(200)]
    for key in found[0]:
        assert kstest([p[key] for p in found], "uniform").pvalue > 0.01, key


def test_sets_have_equal_degrees_of_freedom():
    sets = {"few": Features.of(X[:, :5]), "many": Features.of(100 * X)}
    found = predict_equally(sets, Target.numbers(Y), FOLDS)
    few, many = (found[name].effective_dof for name in ("few", "many"))
    np.testing.assert_allclose(few, many, rtol=1e-6)
    assert (few < 5).all()
    assert not np.isclose(found["few"].alphas, found["many"].alphas).any()
    assert found["few"].penalty == "equal"


def test_twice_the_same_set_scores_the_same_with_equal_degrees_of_freedom():
    sets = {"one": Features.of(X), "other": Features.of(7 * X)}
    found = predict_equally(sets, Target.numbers(Y), FOLDS)
    np.testing.assert_allclose(found["one"].predicted, found["other"].predicted, rtol=1e-6)


def test_mistakes_are_named():
    features, target = Features.of(X), Target.numbers(Y)
    with pytest.raises(ValueError, match="features are of 40 people, folds of 39"):
        predict_phenotype(features, target, repeated_folds(np.arange(39)))
    with pytest.raises(ValueError, match=r"permutations are \(n, 40\), found \(3, 39\)"):
        predict_phenotype(features, target, FOLDS, permutations=np.zeros((3, 39), int))
    with pytest.raises(ValueError, match="confounds are of 39 people, not of 40"):
        predict_phenotype(features, target, FOLDS, confounds=np.zeros((39, 1)))
    with pytest.raises(ValueError, match="not finite"):
        Target.numbers(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="all people have one value"):
        Target.numbers(np.ones(3))
    with pytest.raises(ValueError, match="found 3"):
        Target.two_levels(["a", "b", "c"])
    rare = Target.numbers(np.where(FOLDS.fold[0] == 2, Y, 1.0))
    with pytest.raises(ValueError, match="all training people of fold"):
        predict_phenotype(features, rare, FOLDS)


def test_r2_is_that_of_scikit_learn_where_training_means_are_equal():
    balanced = Folds(np.tile(np.arange(4), 10)[None], np.arange(PEOPLE))
    y = np.repeat(np.random.default_rng(0).standard_normal(10), 4)
    found = predict_phenotype(Features.of(X), Target.numbers(y), balanced)["nested"]
    expected = r2_score(y, (found.baseline + found.predicted)[0])
    assert found.mean("r2") == pytest.approx(expected)
