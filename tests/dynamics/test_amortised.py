"""The amortised model infers people it has never seen, each by their own data alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bids_dtg.dynamics.amortised import AmortisedModel, Sessions, lagged_covariances, make_model
from bids_dtg.dynamics.inference import elbo_of, infer
from bids_dtg.dynamics.networks import Networks, make_networks
from bids_dtg.dynamics.parameters import Alignment
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.dynamics.simulation import simulate

RECIPE = Recipe(amortised=True, external_inputs=2, person_parameters=1, pooled=3, states=2)


@pytest.fixture(scope="module")
def model() -> AmortisedModel:
    torch.manual_seed(0)
    return AmortisedModel(RECIPE, regions=5).eval()


@pytest.fixture(scope="module")
def networks() -> Networks:
    rng = np.random.default_rng(0)
    series, weights = rng.normal(size=(3, 5, 70)), rng.random((3, 5, 5))
    return make_networks(series, weights + weights.swapaxes(1, 2), 0.72)


def test_a_person_is_inferred_alone_as_among_others(
    model: AmortisedModel, networks: Networks
) -> None:
    of_all, alone = infer(model, networks), infer(model, networks.of(["p02"]))
    for name in ("region", "person", "first_state"):
        np.testing.assert_allclose(
            getattr(of_all, name).mean[1:2], getattr(alone, name).mean, rtol=1e-5, atol=1e-6
        )
    assert not np.allclose(of_all.region.mean[0], of_all.region.mean[1])


def test_parameters_follow_the_regions_where_their_order_changes(networks: Networks) -> None:
    torch.manual_seed(1)
    model = AmortisedModel(RECIPE, regions=5).eval()
    with torch.no_grad():
        model.pooling.fill_(0.2)  # of all regions alike: nothing names a region
    order = [3, 0, 4, 1, 2]
    other = replace(
        networks,
        series=networks.series[:, order],
        weights=networks.weights[:, order][:, :, order],
    )
    np.testing.assert_allclose(
        infer(model, other).region.mean,
        infer(model, networks).region.mean[:, order],
        rtol=1e-4,
        atol=1e-5,
    )


def test_covariances_are_those_of_numpy() -> None:
    series = torch.randn(1, 3, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = series.numpy()[0]
    found = lagged_covariances(series, lags=2).numpy()[0]
    np.testing.assert_allclose(found[0], values @ values.T / 50)
    np.testing.assert_allclose(found[2], values[:, 2:] @ values[:, :-2].T / 48)


@pytest.mark.parametrize("structured", [True, False])
@pytest.mark.parametrize("sampled", [True, False])
def test_the_elbo_is_below_the_likelihood_of_a_linear_model(
    structured: bool, sampled: bool, networks: Networks
) -> None:
    """States that nothing moves are a walk: of it, a Kalman filter is exact."""
    recipe = Recipe(
        amortised=True,
        states=1,
        external_inputs=0,
        structured=structured,
        sampled_coupling=sampled,
    )
    torch.manual_seed(0)
    model = AmortisedModel(recipe, regions=5).eval()
    with torch.no_grad():
        for parameter in (*model.transition.out.parameters(), model.region_encoder.weight):
            parameter.zero_()
        model.region_encoder.bias.zero_()  # the posterior of the parameters is their prior
        model.observation.weight.fill_(0.8)
        model.state_log_variance.fill_(-1.0)
    elbo = elbo_of(model, networks, samples=64)
    exact = np.array(
        [[_kalman(series, 0.8, np.exp(-1.0)) for series in own] for own in networks.series]
    )
    assert (elbo < exact + 0.5).all()
    assert elbo.mean() > exact.mean() - 400


def _kalman(series: np.ndarray, weight: float, innovation: float) -> float:
    """Log likelihood of a random walk that begins at N(0, 1), observed with noise of variance 1."""
    mean, variance, total = 0.0, 1.0, 0.0
    for value in series.astype(float):
        expected, spread = weight * mean, weight**2 * variance + 1.0
        total -= 0.5 * (np.log(2 * np.pi * spread) + (value - expected) ** 2 / spread)
        gain = variance * weight / spread
        mean, variance = mean + gain * (value - expected), variance * (1 - gain * weight)
        variance += innovation
    return total


def test_states_that_are_followed_begin_at_the_first_posterior(
    model: AmortisedModel, networks: Networks
) -> None:
    sessions = Sessions.whole(torch.tensor(networks.series), torch.tensor(networks.weights))
    region, person = model.parameters_of(sessions)
    expected = model.first_state(sessions, region.mean)
    many = sessions.repeated(400)
    with torch.no_grad():
        tiled = [
            tensor.repeat(400, *(1,) * (tensor.ndim - 1)) for tensor in (region.mean, person.mean)
        ]
        path = model.path(
            Sessions(many.series[..., :3], many.weights, many.covariances, many.frames),
            tiled[0],
            *tiled,
        )
    drawn = path.states[0].view(400, *expected.mean.shape)
    # The encoders read on: the first frame of a window of 3 differs from that of all.
    assert drawn.shape[1:] == (3, 5, 2)
    assert (path.state_kl > 0).all()
    assert (path.external_kl > 0).all()


def test_another_order_of_parameters_is_the_same_model(
    model: AmortisedModel, networks: Networks
) -> None:
    other = make_model(RECIPE, 3, 5, 70)
    assert isinstance(other, AmortisedModel)
    other.load_state_dict(model.state_dict())
    alignment = Alignment(np.array([2, 0, 1]), np.array([-1.0, 1.0, -1.0]))
    other.eval().take_order(alignment)
    first, second = infer(model, networks), infer(other, networks)
    np.testing.assert_allclose(second.region.mean, alignment.apply(first.region.mean), rtol=1e-5)
    np.testing.assert_allclose(second.region.sd, first.region.sd[..., [2, 0, 1]], rtol=1e-5)
    found, expected = (elbo_of(own, networks, samples=1) for own in (other, model))
    # Draws of the parameters have other signs: the same in distribution, and close in value.
    assert found.mean() == pytest.approx(expected.mean(), rel=0.1)
    sessions = Sessions.whole(torch.tensor(networks.series), torch.tensor(networks.weights))
    paths = []
    for own in (model, other):
        region, person = own.parameters_of(sessions)
        torch.manual_seed(0)
        with torch.no_grad():
            paths.append(own.path(sessions, region.mean, region.mean, person.mean))
    torch.testing.assert_close(paths[0].states, paths[1].states, rtol=1e-3, atol=1e-4)


def test_people_are_simulated_with_several_external_inputs(
    model: AmortisedModel, networks: Networks
) -> None:
    found = list(simulate(model, networks, infer(model, networks), simulations=2))
    assert [own.shape for own in found] == [(2, 5, 70)] * 3
    without = next(
        simulate(model, networks, infer(model, networks), simulations=2, inputs="network")
    )
    assert not np.allclose(found[0], without)


def test_tables_have_one_external_input() -> None:
    with pytest.raises(ValueError, match="1 external input"):
        make_model(Recipe(external_inputs=2), 2, 3, 60)
