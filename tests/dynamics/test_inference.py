"""What a model infers, as arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bids_dtg.dynamics.inference import infer
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.recipe import Recipe


@pytest.fixture
def networks() -> Networks:
    rng = np.random.default_rng(0)
    weights = np.broadcast_to(1.0 - np.eye(4, dtype="f4"), (3, 4, 4))
    series = rng.standard_normal((3, 4, 30)).astype("f4")
    return Networks(("a", "b", "c"), tuple("ABCD"), series, 2.0, weights=weights)


@pytest.fixture
def model() -> NetworkModel:
    torch.manual_seed(0)
    return NetworkModel(Recipe(person_parameters=2), people=3, regions=4, frames=30)


def test_some_people_in_another_order_are_inferred_as_among_all(
    networks: Networks, model: NetworkModel
) -> None:
    everybody = infer(model, networks, networks.people)
    some = infer(model, networks.of(("c", "a")), networks.people)
    for name, whole in vars(everybody).items():
        np.testing.assert_allclose(getattr(some, name), whole[[2, 0]], atol=1e-6)
        np.testing.assert_array_equal(getattr(everybody.of(1), name)[0], whole[1])
    assert everybody.region_mean.shape == (3, 4, 3)


def test_somebody_the_model_does_not_know_is_refused(
    networks: Networks, model: NetworkModel
) -> None:
    with pytest.raises(ValueError, match="not fitted to c"):
        infer(model, networks, ("a", "b"))
