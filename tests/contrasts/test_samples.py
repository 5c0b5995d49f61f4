from __future__ import annotations

import numpy as np
import pytest
import torch

from bids_dtg.contrasts.train import PersonSamples, training_batches, validation_batches


def cohort(people=7, segments=2, shape=(9, 11, 8), seed=0) -> PersonSamples:
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < 0.5
    voxels = int(mask.sum())
    connectomes = rng.normal(size=(people, segments, 4, voxels)).astype(np.float32)
    maps = rng.normal(size=(people, 3, voxels)).astype(np.float32)
    return PersonSamples(connectomes, maps, mask)


ALL = slice(None)


def test_an_epoch_has_each_person_once_and_batches_have_different_people():
    samples = cohort(people=8)
    maps = {samples.maps(n, ALL).tobytes(): n for n in range(8)}
    drawn = [
        maps[maps_of_person.numpy().tobytes()]
        for (batch,) in training_batches(samples, 4, (0, 0))
        for maps_of_person in batch.maps
    ]
    assert sorted(drawn) == list(range(8))
    for (batch,) in training_batches(samples, 4, (0, 0), number=5):
        assert (
            len({maps_of_person.numpy().tobytes() for maps_of_person in batch.maps})
            == 4
        )


def test_all_segments_are_drawn():
    samples = cohort(people=2)
    batches = training_batches(samples, 2, (0,), number=20)
    seen = {
        connectome.numpy().tobytes()
        for (batch,) in batches
        for connectome in batch.connectomes
    }
    assert len(seen) == 4


def test_validation_has_each_person_once_and_nobody_alone():
    samples = cohort(people=7)
    batches = list(validation_batches(samples, 3, (0,)))
    assert [len(batch.maps) for (batch,) in batches] == [3, 2, 2]
    drawn_maps = np.concatenate([batch.maps for (batch,) in batches])
    np.testing.assert_array_equal(drawn_maps, [samples.maps(n, ALL) for n in range(7)])


# --- people one by one


MASK = np.ones((2, 3, 2), bool)
MASK[0, 0] = False
VOXELS = int(MASK.sum())


def arrays(*lengths):
    rng = np.random.default_rng(0)
    connectomes = [rng.normal(size=(n, 4, VOXELS)).astype(np.float16) for n in lengths]
    return connectomes, [
        rng.normal(size=(3, VOXELS)).astype(np.float32) for _ in lengths
    ]


def test_what_was_not_measured_does_not_count():
    pytest.importorskip("lightning", reason="the extra `train` is not installed")
    from bids_dtg.contrasts.train import masked_error, mean_correlation

    rng = np.random.default_rng(0)
    predicted = torch.tensor(rng.normal(size=(2, 3, 50)), dtype=torch.float32)
    measured = predicted + 0.5 * torch.tensor(
        rng.normal(size=(2, 3, 50)), dtype=torch.float32
    )
    holed = measured.clone()
    holed[0, 1] = float("nan")
    holed[:, :, 40:] = float("nan")
    measured_pairs = [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)]
    errors = [
        (predicted[i, q, :40] - measured[i, q, :40]).square().mean()
        for i, q in measured_pairs
    ]
    torch.testing.assert_close(
        masked_error(predicted, holed), torch.stack(errors).mean()
    )
    rs = [
        np.corrcoef(predicted[i, q, :40], measured[i, q, :40])[0, 1]
        for i, q in measured_pairs
    ]
    assert float(mean_correlation(predicted, holed)) == pytest.approx(
        np.mean(rs), abs=1e-5
    )
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
