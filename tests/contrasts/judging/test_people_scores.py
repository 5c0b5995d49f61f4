from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from bids_dtg.contrasts.judging.people_scores import score_people
from bids_dtg.stats.metrics import (
    correlation_matrix,
    diagonality,
    fingerprinting_score,
    identification_accuracy,
    residual_correlation,
)

RNG = np.random.default_rng(0)
MEAN = 3 * RNG.normal(size=500).astype(np.float32) + 2


def people(n=12, voxels=500):
    deviation = RNG.normal(size=(n, voxels))
    mean = MEAN[:voxels]
    measured = mean + deviation + RNG.normal(size=deviation.shape)
    return (mean + 0.4 * deviation).astype(np.float32), measured.astype(np.float32)


@pytest.mark.parametrize("slab_bytes", [1, 8 * 12 * 7, 1 << 26])
def test_scores_are_those_of_the_whole_arrays(slab_bytes):
    predicted, measured = people()
    r, scores = score_people(predicted, measured, MEAN, slab_bytes=slab_bytes)
    matrix = correlation_matrix(predicted, measured).T
    np.testing.assert_allclose(r, matrix, atol=1e-5)
    reported = diagonality(matrix)
    assert scores["index"].mean() == pytest.approx(reported.index, abs=1e-5)
    assert scores["product"].mean() == pytest.approx(reported.product, abs=1e-5)
    assert scores["identification"].mean() == pytest.approx(
        identification_accuracy(matrix)
    )
    assert scores["fingerprint"].mean() == pytest.approx(
        fingerprinting_score(matrix), abs=1e-5
    )
    np.testing.assert_allclose(
        scores["own_residual_r"], residual_correlation(predicted, measured), atol=1e-5
    )
    np.testing.assert_allclose(
        scores["residual_r_training_mean"],
        residual_correlation(predicted, measured, MEAN),
        atol=1e-5,
    )
    mean = np.broadcast_to(predicted.mean(axis=0), predicted.shape)
    own_mean = correlation_matrix(mean, measured).diagonal()
    assert scores["own_mean_r"].mean() == pytest.approx(own_mean.mean(), abs=1e-5)
    diagonal = np.eye(len(matrix), dtype=bool)
    others_r = np.ma.array(matrix, mask=diagonal).mean(axis=1)
    np.testing.assert_allclose(
        scores["own_index"], matrix.diagonal() - others_r, atol=1e-5
    )
    assert scores["others_r"].mean() == pytest.approx(others_r.mean(), abs=1e-5)


def test_another_person_is_of_another_family():
    predicted, measured = people(7, 60)
    families = np.array([0, 1, 2, 1, 0, 3, 1])
    _, scores = score_people(predicted, measured, families=families)
    matrix = correlation_matrix(predicted, measured).T
    same = families[:, None] == families
    others_r = np.ma.array(matrix, mask=same).mean(axis=1)
    index = matrix.diagonal() - others_r
    np.testing.assert_allclose(scores["own_index"], index, atol=1e-5)
    # What the mean over people loses without each.
    for name, values in (("others_r", others_r), ("index", index)):
        shares = scores[name]
        assert shares.mean() == pytest.approx(values.mean(), abs=1e-5)
        for left_out in range(7):
            rest = np.arange(7) != left_out
            _, fewer = score_people(
                predicted[rest], measured[rest], families=families[rest]
            )
            without = fewer[name].mean()
            expected = values.mean() + 6 * (values.mean() - without)
            assert shares[left_out] == pytest.approx(expected, abs=1e-4)
    _, alone = score_people(predicted, measured, families=np.zeros(7, int))
    assert np.isnan(alone["others_r"]).all()


def test_a_person_s_share_is_what_the_score_loses_without_them():
    predicted, measured = people(7, 60)
    predicted[5] = predicted[2]  # a tie
    _, whole = score_people(predicted, measured, MEAN[:60])
    without = []
    for n in range(7):
        rest = np.delete(np.arange(7), n)
        without.append(score_people(predicted[rest], measured[rest], MEAN[:60])[1])
    for name in {*whole} - {
        "own_index",
        "own_product",
        "own_residual_r",
        "own_identification",
    }:
        shares = whole[name]
        scores = np.array([values[name].mean() for values in without])
        expected = shares.mean() + 6 * (scores.mean() - scores)
        np.testing.assert_allclose(shares, expected, atol=1e-5, err_msg=name)


def test_voxels_that_somebody_lacks_are_left_out_for_all():
    predicted, measured = people()
    holed, holed_again = measured.copy(), predicted.copy()
    holed[3, 100:150] = np.nan
    holed_again[5, 150:200] = np.nan
    known_voxels = np.r_[0:100, 200:500]
    _, scores = score_people(holed_again, holed, MEAN)
    _, expected = score_people(
        predicted[:, known_voxels], measured[:, known_voxels], MEAN[known_voxels]
    )
    for name, values in expected.items():
        np.testing.assert_allclose(scores[name], values, atol=1e-6)
    holed[:] = np.nan
    with pytest.raises(ValueError, match="no voxel"):
        score_people(predicted, holed, MEAN)


def test_memory_does_not_grow_with_people(tmp_path):
    peaks = []
    for n in (20, 80):
        shape = n, 20_000
        maps = np.lib.format.open_memmap(tmp_path / f"{n}.npy", "w+", np.float32, shape)
        maps[:] = RNG.normal(size=shape)
        tracemalloc.start()
        score_people(maps, maps, np.zeros(shape[1]), slab_bytes=1 << 18)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 30 * 80 * 80 * 8
