from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.contrasts.baselines import (
    LinearBaseline,
    ParcelLinearBaseline,
    roi_parcels,
)

CASES = (
    Path(os.environ.get("DTG_SHARED", "../shared")) / "reference/deeptaskgen/cases.npz"
)


def cohort(
    seed: int = 0, people: int = 3, rois: int = 4, contrasts: int = 2, voxels: int = 200
):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(people, rois, voxels)), rng.normal(
        size=(people, contrasts, voxels)
    )


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
        coef, intercept, pred = (
            case[f"linear_{k}"] for k in ("coef", "intercept", "pred")
        )
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
    with pytest.raises(
        ValueError, match=r"Y\[0\] is \(contrasts, 200 voxels\), found \(2, 199\)"
    ):
        LinearBaseline().fit(X, Y[:, :, 1:])
    broken = X.copy()
    broken[1, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"X\[1\] .* not finite"):
        LinearBaseline().fit(broken, Y)
    with pytest.raises(ValueError, match="differ between people"):
        LinearBaseline().fit([X[0], X[1, :3]], [Y[0], Y[1]])
    with pytest.raises(
        ValueError, match=r"X\[0\] has 3 ROIs, the model was fitted on 4"
    ):
        LinearBaseline().fit(X, Y).predict(X[:, :3])
    broken = Y.copy()
    broken[2, 0, 0] = np.inf
    with pytest.raises(ValueError, match=r"Y\[2\] has infinite values"):
        LinearBaseline().fit(X, broken)
    with pytest.raises(ValueError, match="nobody would be left"):
        LinearBaseline().fit(X[:1], Y[:1]).without(X[0], Y[0])
    with pytest.raises(
        ValueError, match=r"parcels are integers, \(voxels,\), found float64"
    ):
        ParcelLinearBaseline(np.zeros(200))
    with pytest.raises(ValueError, match="parcels are of 200 voxels, found 199"):
        ParcelLinearBaseline(PARCELS).fit(X[:, :, 1:], Y[:, :, 1:])


PARCELS = np.random.default_rng(9).integers(0, 3, 200) * 7  # with labels 0, 7 and 14


def parcel_fits(X, Y, parcels, contrast):
    """Fit by numpy alone: mean coefficients of each parcel, the intercept last."""
    return {
        label: np.mean(
            [
                plain_fit(x[:, parcels == label], y[contrast, parcels == label])
                for x, y in zip(X, Y, strict=True)
            ],
            axis=0,
        )
        for label in np.unique(parcels)
    }


def test_the_published_form_is_a_fit_in_each_parcel():
    X, Y = cohort(seed=4)
    model = ParcelLinearBaseline(PARCELS).fit(X[:2], Y[:2])
    expected = np.full((2, 200), np.nan)
    for contrast in range(2):
        for number, (label, fit) in enumerate(
            parcel_fits(X[:2], Y[:2], PARCELS, contrast).items()
        ):
            np.testing.assert_allclose(
                model.coef[contrast, number], fit[:-1], atol=1e-10
            )
            np.testing.assert_allclose(
                model.intercept[contrast, number], fit[-1], atol=1e-10
            )
            inside = label == PARCELS
            new = X[2][:, inside]
            z = (new - new.mean(1, keepdims=True)) / new.std(1, keepdims=True)
            expected[contrast, inside] = fit[:-1] @ z + fit[-1]
    np.testing.assert_allclose(model.predict(X[2:])[0], expected, atol=1e-5)


def test_one_parcel_is_the_whole_brain():
    X, Y = cohort(seed=5)
    whole = LinearBaseline().fit(X, Y)
    parcel = ParcelLinearBaseline(np.zeros(200, int)).fit(X, Y)
    np.testing.assert_allclose(parcel.coef[:, 0], whole.coef, atol=1e-12)
    np.testing.assert_allclose(parcel.predict(X), whole.predict(X), atol=1e-6)


@pytest.mark.parametrize(
    "model", [LinearBaseline, lambda: ParcelLinearBaseline(PARCELS)]
)
def test_leaving_one_out_is_a_fit_on_the_others(model):
    X, Y = cohort(seed=6)
    Y[1, 0, PARCELS == 7] = np.nan
    everybody = model().fit(X, Y)
    before = everybody.coef.copy()
    for n in range(3):
        training = np.delete(np.arange(3), n)
        prediction = everybody.without(X[n], Y[n]).predict(X[n : n + 1])
        np.testing.assert_allclose(
            prediction,
            model().fit(X[training], Y[training]).predict(X[n : n + 1]),
            atol=1e-5,
        )
    np.testing.assert_array_equal(everybody.coef, before)


def test_what_was_not_measured_counts_nowhere():
    X, Y = cohort(seed=7)
    gap, parcel = np.flatnonzero(PARCELS == 0)[:20], PARCELS == 14
    Y[0, 1, gap] = np.nan  # a part of a parcel
    Y[1, 1, np.flatnonzero(parcel)[9:]] = (
        np.nan
    )  # too little is left for 5 coefficients
    model = ParcelLinearBaseline(PARCELS).fit(X, Y)
    # A person's features are of the whole parcel, as those of new people are.
    inside = PARCELS == 0
    z = X[0][:, inside]
    z = (z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True)
    measured = np.isfinite(Y[0, 1, inside])
    design = np.column_stack([z.T, np.ones(inside.sum())])[measured]
    incomplete_fit = np.linalg.lstsq(design, Y[0, 1, inside][measured], rcond=None)[0]
    complete_fits = [plain_fit(X[n][:, inside], Y[n, 1, inside]) for n in (1, 2)]
    np.testing.assert_allclose(
        model.coef[1, 0],
        np.mean([incomplete_fit, *complete_fits], axis=0)[:-1],
        atol=1e-10,
    )
    expected = parcel_fits(X[[0, 2]], Y[[0, 2]], PARCELS, 1)[14]
    np.testing.assert_allclose(model.coef[1, 2], expected[:-1], atol=1e-10)
    # The other contrast has no gaps, and does not notice.
    np.testing.assert_allclose(
        model.coef[0, 2], parcel_fits(X, Y, PARCELS, 0)[14][:-1], atol=1e-10
    )
    Y[:, 0, parcel] = np.nan
    lacking = ParcelLinearBaseline(PARCELS).fit(X, Y).predict(X)[:, 0]
    assert not lacking[:, parcel].any()
    assert lacking[:, ~parcel].all()


def test_a_parcel_with_few_voxels_has_the_smallest_solution():
    X, Y = cohort(seed=8, rois=30)
    parcels = np.repeat(np.arange(10), 20)  # 20 voxels each, 31 coefficients
    model = ParcelLinearBaseline(parcels).fit(X[:1], Y[:1])
    z = X[0][:, :20]
    z = (z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True)
    smallest = np.linalg.pinv(np.column_stack([z.T, np.ones(20)])) @ Y[0, 0, :20]
    np.testing.assert_allclose(model.coef[0, 0], smallest[:-1], atol=1e-10)
    np.testing.assert_allclose(model.intercept[0, 0], smallest[-1], atol=1e-10)


def test_parcels_are_where_a_map_is_largest_and_small_ones_are_dissolved():
    maps = np.random.default_rng(0).normal(size=(6, 3000)) + np.arange(6)[:, None] / 2
    assert np.array_equal(roi_parcels(maps, 0), maps.argmax(axis=0))
    sizes = np.bincount(maps.argmax(axis=0))
    least = (sizes[0] + 1) / 7
    parcels = roi_parcels(maps, least)
    assert np.array_equal(np.unique(parcels), np.arange(1, 6))
    untouched = maps.argmax(axis=0) != 0
    assert np.array_equal(parcels[untouched], maps.argmax(axis=0)[untouched])
    assert np.array_equal(parcels, maps[1:].argmax(axis=0) + 1)
    assert len(np.unique(roi_parcels(maps, 1e9))) == 1
