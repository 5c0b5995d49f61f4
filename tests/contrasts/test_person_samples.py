from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from bids_dtg.contrasts.samples import PersonSamples
from bids_dtg.files.array_store import ArrayStore

MASK = np.ones((2, 3, 2), bool)
MASK[0, 0] = False
VOXELS = int(MASK.sum())
ALL = (slice(0, 2), slice(0, 3), slice(0, 2))


def arrays(*lengths):
    rng = np.random.default_rng(0)
    connectomes = [rng.normal(size=(n, 4, VOXELS)).astype(np.float16) for n in lengths]
    return connectomes, [rng.normal(size=(3, VOXELS)).astype(np.float32) for _ in lengths]


def test_segments_of_each_person_come_round():
    connectomes, maps = arrays(1, 3)
    samples = PersonSamples(connectomes, maps, MASK)
    assert samples.segments == 3
    for segment in range(3):
        found = samples.segment(0, segment, ALL)[:, MASK]
        np.testing.assert_array_equal(found, connectomes[0][0])
        found = samples.segment(1, segment, ALL)[:, MASK]
        np.testing.assert_array_equal(found, connectomes[1][segment])
    assert (samples.maps(0, ALL)[:, ~MASK] == 0).all()


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
    assert np.isnan(PersonSamples(connectomes, maps, MASK).maps(0, ALL)[1][MASK]).all()


def test_what_is_mapped_from_disk_goes_to_another_process_by_its_place(tmp_path):
    connectomes, maps = arrays(2, 3)
    store = ArrayStore(tmp_path)
    for number, array in enumerate(connectomes):
        store.write(str(number), array, {})
    mapped = [store.read(str(number)) for number in range(2)]
    sent = pickle.dumps(PersonSamples(mapped, maps, MASK))
    assert len(sent) < len(pickle.dumps(PersonSamples(connectomes, maps, MASK)))
    samples = pickle.loads(sent)
    for person in range(2):
        found = samples.segment(person, 1, ALL)[:, MASK]
        np.testing.assert_array_equal(found, connectomes[person][1])
        np.testing.assert_array_equal(samples.maps(person, ALL)[:, MASK], maps[person])
