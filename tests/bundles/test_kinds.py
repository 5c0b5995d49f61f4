"""Kinds of models: written as a bundle, they predict what they predicted before."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
from tiny_bundle import TINY_AFFINE, TINY_SHAPE, tiny_masks, tiny_network

from bids_dtg.bundles.card import BLEND, LOCAL_RIDGE, ModelCard
from bids_dtg.bundles.kinds import blend_tensors, channels, ridge_tensors
from bids_dtg.bundles.writer import write_bundle
from bids_dtg.contrasts.blend import blended
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.local_ridge import LocalRidgeSums
from bids_dtg.contrasts.network.prepared import prepare
from bids_dtg.errors import BundleError
from bids_dtg.imaging.grid import Grid
from bids_dtg.workflows.participant.model import Model

ROIS, CONTRASTS = 4, 3
BRAIN, MASK = tiny_masks()


def solved(rois=ROIS, contrasts=CONTRASTS):
    rng = np.random.default_rng(3)
    sums = LocalRidgeSums(MASK, 2.0, 3)
    for _ in range(6):
        x = rng.uniform(-1, 1, (rois, int(MASK.sum())))
        sums.fit_person(x, rng.normal(size=(contrasts, rois)) @ x)
    return sums.solve(1.0)


def written(folder, kind, tensors, **fields):
    card = ModelCard(
        name="tiny",
        version="0",
        grid=Grid(TINY_SHAPE, TINY_AFFINE),
        kind=kind,
        contrasts=hcp_contrasts()[:CONTRASTS],
        **fields,
    )
    maps = np.random.default_rng(0).normal(size=(ROIS, int(BRAIN.sum()))).astype(np.float32)
    return write_bundle(folder, card, tensors, maps, BRAIN, MASK)


@pytest.fixture
def connectome():
    return np.random.default_rng(1).uniform(-1, 1, (ROIS, int(MASK.sum()))).astype(np.float32)


def test_local_ridge_predicts_through_a_bundle_what_it_did_before(tmp_path, connectome):
    model = solved()
    bundle = written(tmp_path / "ridge", LOCAL_RIDGE, ridge_tensors(model))
    found = Model(bundle, "cpu", 1).predict(connectome)
    expected = model.predict(connectome)
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())
    with pytest.raises(BundleError, match=r"kind local-ridge\. Expected: attention-unet or blend"):
        bundle.network()


def test_a_blend_is_the_weighed_sum_of_both(tmp_path, connectome):
    model, network = solved(), tiny_network(ROIS, CONTRASTS)
    weights = np.array([[0.9, 1.0, 0.0], [0.4, 0.0, 0.5]], np.float32)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    bundle = written(tmp_path / "blend", BLEND, blend_tensors(model, state, weights))
    maps = [model.predict(connectome), prepare(network, MASK).predict(connectome)]
    expected = blended(maps, weights)
    found = Model(bundle, "cpu", 1).predict(connectome)
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())


def test_a_blend_of_models_that_do_not_fit_is_refused(tmp_path):
    state = {k: v.numpy() for k, v in tiny_network(ROIS + 1, CONTRASTS).state_dict().items()}
    tensors = blend_tensors(solved(), state, np.ones((2, CONTRASTS), np.float32))
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors.numpy.save(tensors))
    with pytest.raises(BundleError, match=r"blends models of \(5, 3\) and \(4, 3\)"):
        channels(path, BLEND)


def test_a_missing_or_wrong_tensor_is_told(tmp_path):
    tensors = ridge_tensors(solved())
    without = {k: v for k, v in tensors.items() if k != "ridge.mean_maps"}
    with pytest.raises(BundleError, match=r"no tensor ridge\.mean_maps"):
        written(tmp_path / "a", LOCAL_RIDGE, without).local_ridge()
    other_cells = tensors | {"ridge.block": np.array(2)}
    with pytest.raises(BundleError, match="does not fit the mask: coefficients are"):
        written(tmp_path / "b", LOCAL_RIDGE, other_cells).local_ridge()
    with pytest.raises(BundleError, match=r"no tensor in_block\.conv\.0\.weight"):
        written(tmp_path / "c", "attention-unet", tensors)
