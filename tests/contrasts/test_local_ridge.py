from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def lattice(mask, edge=3):
    grid = Grid(mask.shape, np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0]))
    return VoxelPlaces.within(grid, mask).lattice(edge)


def fitted(connectomes, maps, mask, edge=3) -> LocalRidgeSums:
    sums = LocalRidgeSums(lattice(mask, edge))
    for x, y in zip(connectomes, maps, strict=True):
        sums.fit_person(x, y)
    return sums


def dense(connectomes, maps, mask, penalty, pooling_mm, new):
    """Do the same with blocks of one voxel, voxel by voxel."""
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
    model = fitted(connectomes[1:], maps[1:], mask, edge=1).solve(penalty, pooling_mm=3.0)
    expected = dense(connectomes[1:], maps[1:], mask, penalty, 3.0, connectomes[0])
    np.testing.assert_allclose(model.predict(connectomes[0]), expected, atol=1e-4)


def gaps(kind, shape, seed):
    """Return where (people, contrasts, voxels) were measured: the last person is complete."""
    rng = np.random.default_rng(seed)
    people, contrasts, voxels = shape
    known = np.ones(shape, bool)
    for person in range(people - 1):
        part = slice(0, voxels // 2) if rng.random() < 0.5 else slice(voxels // 3, voxels)
        lacks = rng.random(contrasts) < 0.4
        if kind == "contrasts":
            known[person, lacks] = False
        elif kind == "region":
            known[person, :, part] = rng.random() < 0.5
        else:
            known[person, lacks, part] = False
    return known


def dense_on_those_who_have_it(connectomes, maps, mask, penalty, pooling_mm, new):
    """Do the same for each contrast with the sums of those who have it, voxel by voxel."""
    place, rois = VOXEL_MM * np.argwhere(mask), connectomes.shape[1]
    out = np.zeros(maps.shape[1:])
    for q in range(maps.shape[1]):
        known = np.isfinite(maps[:, q])  # people, voxels
        count = np.maximum(known.sum(axis=0), 1)
        values = np.where(known, maps[:, q], 0.0)
        mean_x = np.einsum("nkv,nv->kv", connectomes, known) / count
        mean_x = np.where(known.any(axis=0), mean_x, connectomes.mean(axis=0))
        mean_y = values.sum(axis=0) / count
        x, y = (connectomes - mean_x) * known[:, None], (values - mean_y) * known
        gram = np.einsum("nkv,nlv->vkl", x, x)
        cross = np.einsum("nkv,nv->vk", x, y)
        for v, here in enumerate(place):
            apart = np.abs(place - here)
            weight = np.exp(-0.5 * (apart**2).sum(axis=1) / pooling_mm**2)
            weight[(apart > 4 * pooling_mm).any(axis=1)] = 0
            g, h = np.tensordot(weight, gram, 1), np.tensordot(weight, cross, 1)
            slopes = np.linalg.solve(g + penalty * np.trace(g) / rois * np.eye(rois), h)
            out[q, v] = mean_y[v] + slopes @ (new[:, v] - mean_x[:, v])
    return out


@pytest.mark.parametrize("kind", ["contrasts", "region", "regions of contrasts"])
@given(seed=st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_who_lacks_data_counts_where_they_have_some(kind, seed):
    mask = ball((5, 4, 5))
    connectomes, maps = cohort(mask, seed=seed)
    known = gaps(kind, maps[1:].shape, seed)
    measured = np.where(known, maps[1:], np.nan).astype(np.float32)
    sums = fitted(connectomes[1:], measured, mask, edge=1)
    expected = dense_on_those_who_have_it(connectomes[1:], measured, mask, 0.5, 3.0, connectomes[0])
    found = sums.solve(0.5, pooling_mm=3.0).predict(connectomes[0])
    np.testing.assert_allclose(found, expected, atol=2e-3)
    halves = fitted(connectomes[1:5], measured[:4], mask, 1)
    halves += fitted(connectomes[5:], measured[4:], mask, 1)
    assert len(halves.gram) == len(sums.gram)
    again = halves.solve(0.5, pooling_mm=3.0).predict(connectomes[0])
    np.testing.assert_allclose(again, found, atol=1e-4)


def test_contrasts_whose_gaps_hardly_differ_share_their_sums():
    mask = ball()
    connectomes, maps = cohort(mask)
    maps[3, 1, 7] = np.nan  # a stray 0 in a file
    maps[4, 2, 9] = np.nan
    sums = fitted(connectomes, maps, mask)
    assert len(sums.gram) == 1
    assert sums.measured[0].tolist() == [11 if v in (7, 9) else 12 for v in range(mask.sum())]
    assert np.isfinite(sums.solve(1.0).predict(connectomes[0])).all()


def test_a_contrast_that_one_person_has_is_that_person_s_map():
    mask = ball()
    connectomes, maps = cohort(mask)
    maps[1:, 2] = np.nan
    model = fitted(connectomes, maps, mask).solve(1.0)
    np.testing.assert_allclose(model.predict(connectomes[5])[2], maps[0, 2], atol=1e-5)


@pytest.mark.parametrize("edge", [2, 3])
def test_larger_blocks_come_close_where_pooling_is_wide(edge):
    mask = ball()
    connectomes, maps = cohort(mask)
    model = fitted(connectomes[1:], maps[1:], mask, edge).solve(0.1, pooling_mm=8.0)
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
