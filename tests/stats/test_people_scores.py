from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from bids_dtg.stats.metrics import (
    correlation_matrix,
    diagonality,
    identification_accuracy,
    residual_correlation,
)
from bids_dtg.stats.people_scores import PeopleScores

RNG = np.random.default_rng(0)
MEAN = 3 * RNG.normal(size=500).astype(np.float32) + 2


def people(n=12, voxels=500):
    own = RNG.normal(size=(n, voxels))
    measured = MEAN + own + RNG.normal(size=own.shape)
    return (MEAN + 0.4 * own).astype(np.float32), measured.astype(np.float32)


@pytest.mark.parametrize("slab_bytes", [1, 8 * 12 * 7, 1 << 26])
def test_scores_are_those_of_the_whole_arrays(slab_bytes):
    predicted, measured = people()
    found = PeopleScores.of(predicted, measured, MEAN, slab_bytes=slab_bytes)
    matrix = correlation_matrix(predicted, measured).T
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-5)
    told = diagonality(matrix)
    assert found.index.mean() == pytest.approx(told.index, abs=1e-5)
    assert found.product.mean() == pytest.approx(told.product, abs=1e-5)
    assert found.identified.mean() == pytest.approx(identification_accuracy(matrix))
    np.testing.assert_allclose(
        found.residual_r, residual_correlation(predicted, measured, MEAN), atol=1e-5
    )
    errors = np.square(predicted - measured).sum(axis=1)
    variance = np.square(measured - measured.mean(axis=1, keepdims=True)).sum(axis=1)
    np.testing.assert_allclose(found.explained, 1 - errors / variance, atol=1e-4)


def test_voxels_that_somebody_lacks_are_left_out_for_all():
    predicted, measured = people()
    holed = measured.copy()
    holed[3, 100:200] = np.nan
    kept = np.r_[0:100, 200:500]
    found = PeopleScores.of(predicted, holed, MEAN).people()
    expected = PeopleScores.of(predicted[:, kept], measured[:, kept], MEAN[kept]).people()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6)
    holed[:] = np.nan
    with pytest.raises(ValueError, match="no voxel"):
        PeopleScores.of(predicted, holed, MEAN)


def test_the_group_mean_tells_nobody_apart():
    _, measured = people()
    found = PeopleScores.of(np.broadcast_to(MEAN, measured.shape), measured, MEAN)
    assert (found.identified == 0).all()
    np.testing.assert_allclose(found.index, 0, atol=1e-6)
    assert np.isnan(found.residual_r).all()
    assert (found.r > 0.5).all()


def test_memory_does_not_grow_with_people(tmp_path):
    peaks = []
    for n in (20, 80):
        shape = n, 20_000
        maps = np.lib.format.open_memmap(tmp_path / f"{n}.npy", "w+", np.float32, shape)
        maps[:] = RNG.normal(size=shape)
        tracemalloc.start()
        PeopleScores.of(maps, maps, np.zeros(shape[1], np.float32), slab_bytes=1 << 18)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 10 * 80 * 80 * 8
