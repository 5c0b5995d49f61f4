"""Bundles of network models: what is written is loaded, and what is damaged is refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from network_bundle import TINY_RECIPE, TINY_REGIONS, tiny_fitted, write_tiny_network

from bids_dtg.dynamics.bundle.network import (
    NetworkBundle,
)
from bids_dtg.dynamics.model import Items
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.errors import BundleError


@pytest.fixture
def bundle(tmp_path) -> NetworkBundle:
    return write_tiny_network(tmp_path / "tiny")


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        TINY_RECIPE,
        replace(TINY_RECIPE, external_inputs=0, person_parameters=0),
        Recipe(),
    ],
    ids=["all", "least", "as it is"],
)
def test_what_is_written_is_loaded(tmp_path, recipe):
    written = write_tiny_network(tmp_path / "tiny", recipe)
    bundle, fitted = NetworkBundle.load(tmp_path / "tiny"), tiny_fitted(recipe)
    assert bundle.identity == written.identity
    assert bundle.part.recipe == recipe
    assert bundle.part.outputs == "4 regions of 3 participants"
    assert (bundle.part.people, bundle.part.regions, bundle.part.frames) == (3, 4, 20)
    assert bundle.regions == fitted.regions == TINY_REGIONS
    np.testing.assert_array_equal(bundle.trained, fitted.trained)
    model = bundle.model()
    assert not model.training
    for name, tensor in fitted.model.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=0, atol=0)
    items = Items(torch.ones(20, 2), torch.ones(20, 2), torch.tensor([0, 2]))
    with torch.no_grad():
        means, expected = (m.infer(items).region.mean for m in (model, fitted.model))
    torch.testing.assert_close(means, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"people": 4}, r"external_table is .*\(4, 20, 2\)"),
        ({"frames": 21}, r"external_table is .*\(3, 20, 2\)"),
        (
            {"recipe": {**asdict(TINY_RECIPE), "hidden": 0}},
            "hidden is 1 or more, not 0",
        ),
        ({"recipe": {**asdict(TINY_RECIPE), "external_inputs": 2}}, "is 1 or 0, not 2"),
    ],
)
def test_a_card_of_others_is_refused(bundle, changes, fact):
    card = json.loads((bundle.path / "model.json").read_text())
    (bundle.path / "model.json").write_text(json.dumps(card | changes))
    with pytest.raises(BundleError, match=fact):
        NetworkBundle.load(bundle.path).check_weights()
