from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.local_ridge import LocalRidgeSums
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

VOXEL_MM = 2.0


def cohort(mask, people=12, rois=4, contrasts=3, seed=0):
    """Return connectomes and maps that depend on them by coefficients that change over space."""
    rng = np.random.default_rng(seed)
    place = np.argwhere(mask) / np.array(mask.shape)
    slopes = rng.normal(size=(contrasts, rois, 3)) @ place.T  # contrasts, rois, voxels
    connectomes = rng.uniform(-1, 1, size=(people, rois, len(place)))
    maps = 2.0 + np.einsum("qkv,nkv->nqv", slopes, connectomes)
    maps += 0.1 * rng.normal(size=maps.shape)
    return connectomes.astype(np.float32), maps.astype(np.float32)


def ball(shape=(11, 9, 8)):
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return sum(axis**2 for axis in axes) < 0.9


def lattice(mask, block=3):
    grid = Grid(mask.shape, np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0]))
    return VoxelPlaces.within(grid, mask).lattice(block)


def fitted(connectomes, maps, mask, block=3) -> LocalRidgeSums:
    sums = LocalRidgeSums(lattice(mask, block))
    for x, y in zip(connectomes, maps, strict=True):
        sums.fit_person(x, y)
    return sums


def dense(connectomes, maps, mask, penalty, pooling_mm, new):
    """Do the same with cells of one voxel, voxel by voxel."""
    x, y = connectomes - connectomes.mean(axis=0), maps - maps.mean(axis=0)
    place = VOXEL_MM * np.argwhere(mask)
    rois, out = x.shape[1], np.empty(maps.shape[1:])
    gram = np.einsum("nkv,nlv->vkl", x, x)
    cross = np.einsum("nkv,nqv->vkq", x, y)
    for v, here in enumerate(place):
        apart = np.abs(place - here)
        weight = np.exp(-0.5 * (apart**2).sum(axis=1) / pooling_mm**2)
        weight[(apart > 4 * pooling_mm).any(axis=1)] = 0
        g, h = np.tensordot(weight, gram, 1), np.tensordot(weight, cross, 1)
        coefficients = np.linalg.solve(g + penalty * np.trace(g) / rois * np.eye(rois), h)
        out[:, v] = maps.mean(axis=0)[:, v] + coefficients.T @ (
            new[:, v] - connectomes.mean(axis=0)[:, v]
        )
    return out


@pytest.mark.parametrize("penalty", [0.1, 2.0])
def test_with_cells_of_a_voxel_it_is_the_dense_model(penalty):
    mask = ball((6, 5, 7))
    connectomes, maps = cohort(mask)
    model = fitted(connectomes[1:], maps[1:], mask, block=1).solve(penalty, pooling_mm=3.0)
    expected = dense(connectomes[1:], maps[1:], mask, penalty, 3.0, connectomes[0])
    np.testing.assert_allclose(model.predict(connectomes[0]), expected, atol=1e-4)


@pytest.mark.parametrize("block", [2, 3])
def test_larger_cells_come_close_where_pooling_is_wide(block):
    mask = ball()
    connectomes, maps = cohort(mask)
    model = fitted(connectomes[1:], maps[1:], mask, block).solve(0.1, pooling_mm=8.0)
    expected = dense(connectomes[1:], maps[1:], mask, 0.1, 8.0, connectomes[0])
    deviation = expected - maps[1:].mean(axis=0)
    error = model.predict(connectomes[0]) - expected
    assert np.square(error).mean() < 0.01 * np.square(deviation).mean()


def test_it_predicts_new_people():
    mask = ball()
    connectomes, maps = cohort(mask, people=30)
    model = fitted(connectomes[5:], maps[5:], mask).solve(0.01, pooling_mm=4.0)
    mean = maps[5:].mean(axis=0)
    left = sum(
        np.square(model.predict(x) - y).mean()
        for x, y in zip(connectomes[:5], maps[:5], strict=True)
    )
    assert left < 0.3 * np.square(maps[:5] - mean).mean(axis=(1, 2)).sum()


def test_sums_of_two_halves_add_up():
    mask = ball()
    connectomes, maps = cohort(mask)
    whole = fitted(connectomes, maps, mask)
    halves = fitted(connectomes[:5], maps[:5], mask) + fitted(connectomes[5:], maps[5:], mask)
    nobody = LocalRidgeSums(lattice(mask))
    assert (nobody + halves + nobody).people == 12
    expected = whole.solve(1.0).predict(connectomes[0])
    np.testing.assert_allclose(
        (nobody + halves).solve(1.0).predict(connectomes[0]), expected, atol=1e-5
    )


def test_shuffled_people_teach_nothing():
    mask = ball()
    connectomes, maps = cohort(mask, people=30)
    shuffled = maps[np.roll(np.arange(30), 1)]
    model = fitted(connectomes[5:], shuffled[5:], mask).solve(1.0, pooling_mm=10.0)
    deviations = np.stack([model.predict(x) for x in connectomes[:5]]) - model.mean_maps
    true = maps[:5] - model.mean_maps
    # Others' maps lean the other way by 1 / (people - 1): the mean is taken off.
    assert abs((deviations * true).sum() / np.square(true).sum()) < 0.08


def test_where_nobody_differs_it_is_the_mean_map():
    mask = ball()
    connectomes, maps = cohort(mask, people=2)
    model = fitted(connectomes[[0, 0]], maps[[0, 0]], mask).solve(1.0)
    np.testing.assert_allclose(model.predict(connectomes[1]), maps[0], atol=1e-3)


def test_wrong_shapes_are_refused():
    mask = ball()
    connectomes, maps = cohort(mask)
    sums = fitted(connectomes, maps, mask)
    voxels = mask.sum()
    with pytest.raises(ValueError, match=rf"\(rois, {voxels}\).*found \(4, 3\)"):
        sums.fit_person(connectomes[0][:, :3], maps[0])
    with pytest.raises(ValueError, match="differ between people"):
        sums.fit_person(connectomes[0][:3], maps[0])
    with pytest.raises(ValueError, match="only sums over the same places"):
        sums + LocalRidgeSums(lattice(mask, 2))
    with pytest.raises(ValueError, match="at least 2 people, found 0"):
        LocalRidgeSums(lattice(mask)).solve(1.0)
    with pytest.raises(ValueError, match=rf"a connectome is \(4, {voxels}\)"):
        sums.solve(1.0).predict(connectomes[0][:3])
