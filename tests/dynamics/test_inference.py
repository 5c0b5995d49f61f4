"""What a model infers, as arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bids_dtg.dynamics.inference import Belief, elbo_of, infer
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
    for name in ("region", "person", "first_state"):
        whole, part = getattr(everybody, name), getattr(some, name)
        np.testing.assert_allclose(part.mean, whole.mean[[2, 0]], atol=1e-6)
        np.testing.assert_allclose(part.sd, whole.sd[[2, 0]], atol=1e-6)
    assert everybody.region.mean.shape == (3, 4, 3)


def test_somebody_the_model_does_not_know_is_refused(
    networks: Networks, model: NetworkModel
) -> None:
    with pytest.raises(ValueError, match="not fitted to c"):
        infer(model, networks, ("a", "b"))


def test_divergence_of_the_prior_from_itself_is_0() -> None:
    belief = Belief(np.zeros(3), np.ones(3))
    np.testing.assert_allclose(belief.kl, 0.0)
    assert (Belief(np.ones(3), np.ones(3)).kl == 0.5).all()


def test_elbo_is_that_of_each_series_and_of_a_seed(networks: Networks, model: NetworkModel) -> None:
    first = elbo_of(model, networks, networks.people, seed=1)
    np.testing.assert_array_equal(first, elbo_of(model, networks, networks.people, seed=1))
    assert first.shape == (3, 4)
    assert (first != elbo_of(model, networks, networks.people, seed=2)).all()
