from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.contrasts.samples import (
    PersonSamples,
    Sampling,
    random_box,
    read_batch,
    training_batches,
    validation_batches,
)


def cohort(people=7, segments=2, shape=(9, 11, 8), seed=0) -> PersonSamples:
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < 0.5
    voxels = int(mask.sum())
    connectomes = rng.normal(size=(people, segments, 4, voxels)).astype(np.float32)
    maps = rng.normal(size=(people, 3, voxels)).astype(np.float32)
    return PersonSamples(connectomes, maps, mask)


ALL = slice(None)


def placed(rows: np.ndarray, voxels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Put rows (n, voxels) on a grid, 0 elsewhere."""
    grid = np.zeros((len(rows), *shape), np.float32)
    grid.reshape(len(rows), -1)[:, voxels] = rows
    return grid


@given(seed=st.integers(0, 100), margin=st.integers(0, 1))
@settings(max_examples=20, deadline=None)
def test_boxes_are_cut_from_the_grid(seed, margin):
    rng = np.random.default_rng(seed)
    mask = rng.random((9, 11, 8)) < 0.5
    values = rng.normal(size=(2, 1, 4, int(mask.sum())))
    grids = np.zeros((2, 4, 9, 11, 8), np.float32)
    grids[:, :, mask] = values[:, 0]
    i, j, k = box = slice(2, 7), slice(0, 4), slice(5, 8)
    batch = read_batch(
        PersonSamples(values, values[:, 0], mask), np.array([1]), np.array([0]), box, margin=margin
    )
    expected = grids[1][:, i, j, k]
    assert batch.shape == expected.shape[1:]
    found = placed(batch.connectomes[0], batch.inside, batch.shape)
    np.testing.assert_array_equal(found, expected)
    # The faces at j = 0 and k = 8 are the grid's own.
    core = slice(margin, 5 - margin), slice(0, 4 - margin), slice(margin, 3)
    found = placed(batch.maps[0], batch.counted, batch.shape)
    np.testing.assert_array_equal(found[:, *core], expected[:, *core])
    assert np.count_nonzero(found) == np.count_nonzero(expected[:, *core])


def test_an_epoch_has_each_person_once_and_batches_have_different_people():
    samples, sampling = cohort(people=8), Sampling(people=4)
    maps = {samples.maps(n, ALL).tobytes(): n for n in range(8)}
    drawn = [
        maps[one.tobytes()]
        for (batch,) in training_batches(samples, sampling, (0, 0))
        for one in batch.maps
    ]
    assert sorted(drawn) == list(range(8))
    many = Sampling(people=4, batches=5)
    for (batch,) in training_batches(samples, many, (0, 0)):
        assert len({one.tobytes() for one in batch.maps}) == 4


def test_batches_are_those_of_the_seed():
    def drawn(*seed):
        batches = training_batches(cohort(), Sampling(people=3), seed)
        return [batch.connectomes.tobytes() for (batch,) in batches]

    assert drawn(0, 1) == drawn(0, 1)
    assert drawn(0, 1) != drawn(0, 2)


def test_all_segments_are_drawn():
    samples = cohort(people=2)
    batches = training_batches(samples, Sampling(people=2, batches=20), (0,))
    seen = {one.tobytes() for (batch,) in batches for one in batch.connectomes}
    assert len(seen) == 4


def test_the_people_of_a_batch_give_all_its_boxes():
    sampling = Sampling(people=3, crop=4, boxes=2, align=1)
    for boxes in training_batches(cohort(), sampling, (0,)):
        assert len(boxes) == 2
        assert all(box.maps.shape[:2] == (3, 3) for box in boxes)


def test_validation_has_each_person_once_and_nobody_alone():
    samples = cohort(people=7)
    batches = list(validation_batches(samples, Sampling(people=3), (0,)))
    assert [len(batch.maps) for (batch,) in batches] == [3, 2, 2]
    found = np.concatenate([batch.maps for (batch,) in batches])
    np.testing.assert_array_equal(found, [samples.maps(n, ALL) for n in range(7)])


@pytest.mark.slow
@given(
    shape=st.tuples(*[st.integers(4, 40)] * 3),
    crop=st.integers(8, 24),
    margin=st.integers(0, 2),
    align=st.sampled_from([1, 2]),
    seed=st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_boxes_lie_in_the_grid_start_aligned_and_count_a_voxel(shape, crop, margin, align, seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    mask[tuple(rng.integers(n) for n in shape)] = True
    sampling = Sampling(people=1, crop=crop, margin=margin, align=align)
    for part, size in zip(random_box(mask, sampling, rng), shape, strict=True):
        assert 0 <= part.start < part.stop <= size
        assert part.start % align == 0
        assert min(size, crop) - align < part.stop - part.start < crop + align
    one = PersonSamples(np.ones((1, 1, 1, 1)), np.ones((1, 1, 1)), mask)
    ((batch,),) = training_batches(one, sampling, (seed,))
    assert len(batch.counted) == 1


def test_margins_do_not_count_but_at_the_grid_s_own_faces():
    mask = np.ones((8, 8, 30), bool)
    one = PersonSamples(np.ones((1, 1, 1, mask.sum())), np.ones((1, 1, mask.sum())), mask)
    sampling = Sampling(people=1, crop=16, margin=3, align=4, batches=30)
    counts = {len(b.counted) for (b,) in training_batches(one, sampling, (0,))}
    # Boxes at an end of the long axis lose one margin, those between both.
    assert counts == {8 * 8 * (16 - 3), 8 * 8 * (16 - 6), 8 * 8 * (18 - 3)}


def test_what_does_not_fit_is_refused():
    mask = np.ones((2, 2, 2), bool)
    with pytest.raises(ValueError, match=r"rois, 8\).*found \[\(4, 7\)\] and \[\(3, 8\)\]"):
        PersonSamples(np.zeros((1, 1, 4, 7)), np.zeros((1, 3, 8)), mask)
    with pytest.raises(ValueError, match="same people, found 1 and 2"):
        PersonSamples(np.zeros((1, 1, 4, 8)), np.zeros((2, 3, 8)), mask)
    with pytest.raises(ValueError, match="batches of 10 people, but there are 7"):
        next(training_batches(cohort(), Sampling(), (0,)))
    with pytest.raises(ValueError, match="box of 8 voxels is too small for a margin of 2"):
        Sampling(crop=8, margin=2)


# --- people one by one


MASK = np.ones((2, 3, 2), bool)
MASK[0, 0] = False
VOXELS = int(MASK.sum())


def arrays(*lengths):
    rng = np.random.default_rng(0)
    connectomes = [rng.normal(size=(n, 4, VOXELS)).astype(np.float16) for n in lengths]
    return connectomes, [rng.normal(size=(3, VOXELS)).astype(np.float32) for _ in lengths]


def test_segments_of_each_person_come_round():
    connectomes, maps = arrays(1, 3)
    samples = PersonSamples(connectomes, maps, MASK)
    assert samples.segments == 3
    for segment in range(3):
        found = samples.segment(0, segment, ALL)
        np.testing.assert_array_equal(found, connectomes[0][0])
        found = samples.segment(1, segment, ALL)
        np.testing.assert_array_equal(found, connectomes[1][segment])


def test_arrays_that_do_not_belong_together_are_refused():
    connectomes, maps = arrays(1, 3)
    with pytest.raises(ValueError, match="found 2 and 1"):
        PersonSamples(connectomes, maps[:1], MASK)
    with pytest.raises(ValueError, match="connectomes are"):
        PersonSamples(connectomes, [maps[0], maps[1][:2]], MASK)


def test_what_was_not_measured_does_not_count():
    pytest.importorskip("lightning", reason="the extra `train` is not installed")
    from bids_dtg.contrasts.task import masked_error, mean_correlation

    rng = np.random.default_rng(0)
    predicted = torch.tensor(rng.normal(size=(2, 3, 50)), dtype=torch.float32)
    measured = predicted + 0.5 * torch.tensor(rng.normal(size=(2, 3, 50)), dtype=torch.float32)
    holed = measured.clone()
    holed[0, 1] = float("nan")
    holed[:, :, 40:] = float("nan")
    kept = [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)]
    errors = [(predicted[i, q, :40] - measured[i, q, :40]).square().mean() for i, q in kept]
    torch.testing.assert_close(masked_error(predicted, holed), torch.stack(errors).mean())
    rs = [np.corrcoef(predicted[i, q, :40], measured[i, q, :40])[0, 1] for i, q in kept]
    assert float(mean_correlation(predicted, holed)) == pytest.approx(np.mean(rs), abs=1e-5)
    torch.testing.assert_close(
        masked_error(predicted, measured), (predicted - measured).square().mean()
    )
    predicted.requires_grad_(True)
    masked_error(predicted, holed).backward()
    assert predicted.grad.isfinite().all()
    assert (predicted.grad[0, 1] == 0).all()


def test_a_loss_that_leaves_nothing_out_gets_zeros():
    connectomes, maps = arrays(1, 3)
    maps[0][1] = np.nan
    samples = PersonSamples(connectomes, maps, MASK, zero_for_nan=True)
    assert (samples.maps(0, ALL)[1] == 0).all()
    assert np.isnan(PersonSamples(connectomes, maps, MASK).maps(0, ALL)[1]).all()
