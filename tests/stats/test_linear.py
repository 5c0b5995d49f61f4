from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.stats.linear import LinearBaseline

CASES = Path(os.environ.get("DTG_SHARED", "../shared")) / "reference/deeptaskgen/cases.npz"


def cohort(seed: int = 0, people: int = 3, rois: int = 4, contrasts: int = 2, voxels: int = 200):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(people, rois, voxels)), rng.normal(size=(people, contrasts, voxels))


def plain_fit(features, target):
    """Fit one person and contrast on the full design, as the original does."""
    z = (features - features.mean(1, keepdims=True)) / features.std(1, keepdims=True)
    design = np.column_stack([z.T, np.ones(z.shape[1])])
    return np.linalg.lstsq(design, target, rcond=None)[0]


def test_linear_baseline_equals_the_original():
    if not CASES.is_file():
        pytest.skip(f"reference cases are not at {CASES} (DTG_SHARED)")
    with np.load(CASES) as case:
        X, Y = case["linear_X"], case["linear_y"][:, None]
        coef, intercept, pred = (case[f"linear_{k}"] for k in ("coef", "intercept", "pred"))
    model = LinearBaseline().fit(X[:4], Y[:4])
    np.testing.assert_allclose(model.coef[0], coef, atol=1e-5)
    np.testing.assert_allclose(model.intercept[0], intercept, atol=1e-5)
    np.testing.assert_allclose(model.predict(X[4:])[:, 0], pred, atol=1e-5)


def test_coefficients_are_averaged_over_people():
    X, Y = cohort()
    model = LinearBaseline().fit(list(X), list(Y))
    for contrast in range(2):
        fits = [plain_fit(X[n], Y[n, contrast]) for n in range(3)]
        mean = np.mean(fits, axis=0)
        np.testing.assert_allclose(model.coef[contrast], mean[:-1], atol=1e-10)
        np.testing.assert_allclose(model.intercept[contrast], mean[-1], atol=1e-10)


def test_a_linear_truth_is_found():
    X, _ = cohort(seed=1)
    X = (X - X.mean(2, keepdims=True)) / X.std(2, keepdims=True)
    weights = np.array([[1.0, -2.0, 0.5, 0.0], [0.0, 0.0, 3.0, 1.0]])
    Y = weights @ X + 0.25
    model = LinearBaseline().fit(X[:2], Y[:2])
    np.testing.assert_allclose(model.predict(X[2:]), Y[2:], atol=1e-5)
    assert model.predict(X[2:]).dtype == np.float32


def test_scale_of_the_connectome_does_not_matter():
    X, Y = cohort(seed=2)
    model = LinearBaseline().fit(X, Y)
    np.testing.assert_allclose(model.predict(7 * X + 3), model.predict(X), atol=1e-5)


def test_absent_and_doubled_rois_are_harmless():
    X, Y = cohort(seed=3, voxels=197)  # over which the mean of 0.1 is not exactly 0.1
    expected = LinearBaseline().fit(X, Y).predict(X)
    absent = np.full_like(X[:, :1], 0.1)
    wider = np.concatenate([X, absent, X[:, :1]], axis=1)
    model = LinearBaseline().fit(wider, Y)
    assert np.all(model.coef[:, 4] == 0)
    np.testing.assert_allclose(model.predict(wider), expected, atol=1e-5)


def test_bad_input_names_the_person():
    X, Y = cohort()
    with pytest.raises(ValueError, match="not fitted"):
        LinearBaseline().predict(X)
    with pytest.raises(ValueError, match="found 3 and 2"):
        LinearBaseline().fit(X, Y[:2])
    with pytest.raises(ValueError, match=r"Y\[0\] is \(contrasts, 200 voxels\), found \(2, 199\)"):
        LinearBaseline().fit(X, Y[:, :, 1:])
    broken = X.copy()
    broken[1, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"X\[1\] .* not finite"):
        LinearBaseline().fit(broken, Y)
    with pytest.raises(ValueError, match="differ between people"):
        LinearBaseline().fit([X[0], X[1, :3]], [Y[0], Y[1]])
    with pytest.raises(ValueError, match=r"X\[0\] has 3 ROIs, the model was fitted on 4"):
        LinearBaseline().fit(X, Y).predict(X[:, :3])
