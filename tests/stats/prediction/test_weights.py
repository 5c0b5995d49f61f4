from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from bids_dtg.stats.prediction.phenotypes import Target, choose_alpha
from bids_dtg.stats.prediction.ridge import Features, fit_ridge
from bids_dtg.stats.prediction.weights import haufe_pattern, haufe_weights


@pytest.mark.slow
@settings(max_examples=25)
@given(columns=st.integers(1, 50), seed=st.integers(0, 1000), is_confounded=st.booleans())
def test_patterns_are_covariances_over_the_variance_of_the_fit(columns, seed, is_confounded):
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 1, (20, columns)).astype(np.float32)
    y = x[:, 0] + rng.standard_normal(20)
    confounds = rng.standard_normal((20, 2)) if is_confounded else None
    design = np.ones((20, 1)) if confounds is None else np.column_stack([np.ones(20), confounds])
    x_left, y_left = (a - design @ np.linalg.lstsq(design, a, rcond=None)[0] for a in (x, y))
    features, families = Features.of(x), np.arange(20)
    found = haufe_weights(
        x, features, Target.numbers(y), families=families, confounds=confounds, seed=seed
    )
    fit = fit_ridge(features, families, families, confounds)
    (alpha,) = choose_alpha(fit, y[:, None], families, seed=seed)
    model = Ridge(alpha=alpha, solver="svd").fit(x_left, y_left)
    # cov(X) w / var(X w), of activations X w
    expected = np.atleast_2d(np.cov(x_left.T)) @ model.coef_ / (x_left @ model.coef_).var(ddof=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_a_column_that_only_cancels_noise_has_a_weight_but_no_pattern():
    rng = np.random.default_rng(0)
    y, noise = rng.standard_normal((2, 5000))
    x = np.column_stack([y + noise, noise])
    model = Ridge(alpha=1e-6).fit(x, y)
    assert model.coef_[1] == pytest.approx(-1, abs=1e-3)
    found = haufe_weights(x, Features.of(x), Target.numbers(y), families=np.arange(5000))
    np.testing.assert_allclose(found, [1, 0], atol=0.05)


def test_blocks_do_not_change_a_pattern():
    x = np.random.default_rng(0).normal(5, 1, (12, 31)).astype(np.float32)
    predicted = x[:, 3] + x[:, 9]
    whole, blocks = (haufe_pattern(x, predicted, block_bytes=size) for size in (1 << 20, 500))
    np.testing.assert_allclose(whole, blocks, rtol=1e-12)
    assert not haufe_pattern(x, np.ones(12)).any()


def test_people_must_match():
    x = np.ones((5, 2)) * np.arange(5)[:, None]
    with pytest.raises(ValueError, match="not of the same people"):
        haufe_weights(x, Features.of(x), Target.numbers(x[:4, 0]), families=np.arange(5))
