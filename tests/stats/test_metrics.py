from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.stats.metrics import (
    correlation_matrix,
    diagonality,
    dice_auc,
    fingerprinting_score,
    identification_accuracy,
    residual_correlation,
)

CASES = (
    Path(os.environ.get("DTG_SHARED", "../shared")) / "reference/deeptaskgen/cases.npz"
)


@pytest.fixture
def reference():
    if not CASES.is_file():
        pytest.skip(f"reference cases are not at {CASES} (DTG_SHARED)")
    with np.load(CASES) as file:
        return {
            k: file[k]
            for k in file.files
            if k.startswith(("metric", "corr", "diag", "dice"))
        }


def people_maps(seed: int, people: int = 5, voxels: int = 60):
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(people, voxels))
    return true + rng.normal(size=true.shape), true


def test_correlation_matrix_equals_the_original(reference):
    r = correlation_matrix(reference["metric_pred"], reference["metric_true"])
    np.testing.assert_allclose(r, reference["corr_matrix"], atol=1e-5)
    assert diagonality(r).index == pytest.approx(
        float(reference["diag_index"]), abs=1e-5
    )


def test_dice_auc_equals_the_original(reference):
    dice = dice_auc(reference["metric_pred"], reference["metric_true"])
    np.testing.assert_allclose(dice, reference["dice_auc"], atol=1e-5)


def test_rows_are_predictions():
    pred, true = people_maps(0)
    r = correlation_matrix(pred[:2], true)
    assert r.shape == (2, 5)
    assert r[1, 3] == pytest.approx(np.corrcoef(pred[1], true[3])[0, 1])


@given(
    seed=st.integers(0, 2**31), scale=st.floats(0.1, 1e3), shift=st.floats(-1e3, 1e3)
)
@settings(max_examples=30, deadline=None)
def test_scale_and_shift_of_a_map_leave_r_alone(seed, scale, shift):
    pred, true = people_maps(seed)
    moved = correlation_matrix(pred * scale + shift, true)
    np.testing.assert_allclose(moved, correlation_matrix(pred, true), atol=1e-8)


def test_correlation_of_a_constant_map_is_undefined():
    pred, true = people_maps(1)
    pred[2] = 0.1  # the mean of many 0.1 is not exactly 0.1
    r = correlation_matrix(pred, true)
    assert np.isnan(r[2]).all()
    assert np.isfinite(np.delete(r, 2, axis=0)).all()
    assert np.isnan(diagonality(r).index)


def test_float32_maps_are_summed_in_float64():
    rng = np.random.default_rng(2)
    small = rng.normal(size=(3, 20_000)).astype(np.float32)
    offset = (small + 4096).astype(np.float32)
    exact = np.corrcoef(offset.astype(np.float64))
    np.testing.assert_allclose(correlation_matrix(offset, offset), exact, atol=1e-12)


def test_diagonality_by_hand():
    matrix = np.array([[0.5, 0.3], [0.2, 0.8]])
    scores = diagonality(matrix)
    assert scores.index == pytest.approx((0.2 + 0.6) / 2)
    assert scores.product == pytest.approx((0.2 * 0.5 + 0.6 * 0.8) / 2)
    assert scores.ratio == pytest.approx(0.4 / 0.65)
    assert diagonality(matrix.T).index == pytest.approx(scores.index)


def test_group_average_has_no_individuality():
    _, true = people_maps(3)
    group = np.tile(np.random.default_rng(4).normal(size=60), (5, 1))
    r = correlation_matrix(group, true)
    assert diagonality(r).index == pytest.approx(0, abs=1e-12)
    assert identification_accuracy(r) == pytest.approx(1 / 5)


def test_identification_goes_by_rows_and_ties_share_the_person():
    matrix = np.array([[0.9, 0.1, 0.1], [0.8, 0.7, 0.1], [0.3, 0.2, 0.3]])
    assert identification_accuracy(matrix) == pytest.approx((1 + 0 + 1 / 2) / 3)
    assert identification_accuracy(matrix.T) == 1
    matrix[0, 0] = np.nan  # below all that is defined
    assert identification_accuracy(matrix) == pytest.approx((0 + 0 + 1 / 2) / 3)
    assert identification_accuracy(np.full((4, 4), np.nan)) == 1 / 4


def test_the_fingerprinting_score_is_the_published_one():
    matrix = np.array([[0.9, 0.1, 0.1], [0.8, 0.7, 0.1], [0.3, 0.2, 0.3]])
    # The first person alone is found: the third is tied.
    assert fingerprinting_score(matrix) == pytest.approx(1 / 3 * (0.9 + 0.7 + 0.3) / 3)
    assert fingerprinting_score(np.full((4, 4), 0.6)) == 0
    assert fingerprinting_score(np.full((4, 4), np.nan)) == 0


def test_residual_correlation_ignores_any_map_that_is_the_same_for_everybody():
    rng = np.random.default_rng(5)
    group, other_group = 10 * rng.normal(size=(2, 80))
    persons_maps = rng.normal(size=(4, 80))
    noisy_maps = persons_maps + rng.normal(size=persons_maps.shape)
    r = residual_correlation(group + 3 * persons_maps, other_group + noisy_maps)
    deviations = (
        persons_maps - persons_maps.mean(axis=0),
        noisy_maps - noisy_maps.mean(axis=0),
    )
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(*deviations, strict=True)]
    np.testing.assert_allclose(r, expected, atol=1e-12)
    assert np.isnan(residual_correlation(np.tile(group, (4, 1)), noisy_maps)).all()


def test_a_better_mean_map_buys_residual_r_of_the_training_mean_only():
    rng = np.random.default_rng(6)
    truth = rng.normal(size=2000)
    training = truth + rng.normal(size=(5, 2000))
    measured = truth + rng.normal(size=(40, 2000))
    constant = np.tile(truth, (40, 1))
    bought = residual_correlation(constant, measured, training.mean(axis=0)).mean()
    assert bought == pytest.approx(1 / np.sqrt(5 + 1), abs=0.03)
    assert np.isnan(residual_correlation(constant, measured)).all()
    assert np.isnan(residual_correlation(constant, measured, truth)).all()


def test_dice_auc_of_a_map_with_itself_and_its_negative():
    pred, _ = people_maps(6, voxels=1000)
    np.testing.assert_allclose(dice_auc(pred, pred), 0.45)
    np.testing.assert_allclose(dice_auc(pred, -pred), 0.45)


def test_dice_auc_of_disjoint_and_constant_maps():
    pred, true = np.zeros((1, 100)), np.zeros((1, 100))
    pred[0, :50] = np.arange(1, 51)
    true[0, 50:] = np.arange(1, 51)
    assert dice_auc(pred, true)[0] == 0
    assert dice_auc(np.ones((1, 100)), np.ones((1, 100)))[0] == 0


def test_threshold_is_strict():
    # 60 equal maxima: nothing exceeds them before p passes 60 %, so every overlap is empty.
    maps = np.concatenate([np.ones(60), np.zeros(40)])[None]
    assert dice_auc(maps, maps)[0] == 0


def test_wrong_shapes_are_refused():
    pred, true = people_maps(7)
    with pytest.raises(ValueError, match="60 and 50"):
        correlation_matrix(pred, true[:, :50])
    with pytest.raises(ValueError, match=r"true is \(people, voxels\), found \(60,\)"):
        correlation_matrix(pred, true[0])
    with pytest.raises(ValueError, match=r"found \(2, 5\)"):
        diagonality(correlation_matrix(pred[:2], true))
    with pytest.raises(ValueError, match="at least 2 needed, found 1"):
        diagonality(np.ones((1, 1)))
    with pytest.raises(ValueError, match=r"\(5, 60\) and \(3, 60\)"):
        dice_auc(pred, true[:3])
    with pytest.raises(ValueError, match=r"mean map is \(60,\), found \(59,\)"):
        residual_correlation(pred, true, np.zeros(59))
    with pytest.raises(ValueError, match="square"):
        identification_accuracy(np.ones((2, 3)))


def test_dice_auc_refuses_nan():
    pred, true = people_maps(8)
    pred[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        dice_auc(pred, true)


def test_maps_of_huge_values_correlate_as_any_others():
    maps = np.random.default_rng(0).normal(size=(4, 30))
    np.testing.assert_allclose(
        correlation_matrix(maps * 1e200, maps), correlation_matrix(maps, maps)
    )


def test_nobody_and_complex_maps_have_no_scores():
    with pytest.raises(ValueError, match="square"):
        identification_accuracy(np.zeros((0, 0)))
    with pytest.raises(TypeError, match="pred holds complex128"):
        correlation_matrix(np.ones((2, 3)) * 1j, np.ones((2, 3)))
