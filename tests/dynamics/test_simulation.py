"""Simulations, against the original's and against a loop over the model's own modules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sip_reference import Reference

from bids_dtg.dynamics.inference import Inferred, infer
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.dynamics.simulation import Drawn, draw, external_path, run, simulate

FRAMES = 24
RECIPE = Recipe(states=2, region_parameters=2, person_parameters=1)


@pytest.fixture(scope="module")
def networks() -> Networks:
    rng = np.random.default_rng(0)
    return Networks(
        people=("01", "02", "03"),
        regions=tuple("ABCDE"),
        series=rng.standard_normal((3, 5, FRAMES)).astype("f4"),
        weights=rng.uniform(0, 0.5, (3, 5, 5)).astype("f4"),
        tr_seconds=0.72,
    )


def _model(recipe: Recipe = RECIPE) -> NetworkModel:
    torch.manual_seed(0)
    model = NetworkModel(recipe, people=3, regions=5, frames=FRAMES).double()
    with torch.no_grad():  # biases that count, and nothing that grows without bounds
        model.transition.out.weight.mul_(0.2)
        model.observation.bias.fill_(0.3)
        model.transition.out.bias.fill_(0.1)
        model.transition.hidden.bias.normal_()
    return model


@pytest.fixture(scope="module")
def model() -> NetworkModel:
    return _model()


@pytest.fixture(scope="module")
def inferred(model, networks) -> Inferred:
    return infer(model, networks, networks.people)


def _draw(model: NetworkModel, networks: Networks, inferred: Inferred) -> Drawn:
    return draw(model, inferred.of(0), networks.people[0], 4, FRAMES, seed=1)


@pytest.mark.parametrize("prefix", ["AB", "AN"])
def test_simulation_is_the_originals(prefix, shared):
    reference = Reference.read(shared, prefix)
    frames = reference["gen_y"].shape[1]
    external = (
        reference["gen_us"] if reference.recipe.external_inputs else np.zeros(frames)
    )
    drawn = Drawn(
        region=reference["gen_thetareg"][None, None],
        person=reference["gen_thetasub"][None, None],
        first=reference["gen_ic"][None, None],
        external=external[:, None, None, None][..., : reference.recipe.external_inputs],
        system=np.moveaxis(reference["gen_eta_sys"], (0, 1, 2), (2, 1, 0))[
            :, :, None, None
        ],
        observed=reference["gen_eta_obs"].T[:, None, None],
    )
    simulated = run(reference.model(), drawn, reference.arrays["w"][1:2])
    np.testing.assert_allclose(simulated[0, 0], reference["gen_y"], rtol=0, atol=1e-5)


def test_external_path_is_the_originals(shared):
    reference = Reference.read(shared, "AB")
    model = reference.model()
    alpha = model.alpha.item()
    noise = reference["gen_us_innov"] / np.sqrt(1 - alpha**2)
    noise[0] = reference["gen_us_first"].item()
    path = external_path(model, noise[:, None])[:, 0]
    np.testing.assert_allclose(path, reference["gen_us"], rtol=0, atol=1e-5)


def test_a_simulation_is_the_same_among_others_and_alone(model, networks, inferred):
    among = list(simulate(model, networks, inferred, simulations=5, seed=3))
    alone = networks.of(["02"])
    person = infer(model, alone, networks.people)
    (by_itself,) = simulate(model, alone, person, simulations=2, seed=3)
    np.testing.assert_array_equal(by_itself, among[1][:2])
    (other_seed,) = simulate(model, alone, person, simulations=2, seed=4)
    assert not np.array_equal(other_seed, by_itself)
    assert not np.array_equal(among[0][0], among[0][1])


@pytest.mark.parametrize(("first", "dropped"), [("posterior", 12), ("prior", 8)])
def test_the_frames_at_the_start_are_dropped(model, networks, inferred, first, dropped):
    person, label = inferred.of(0), networks.people[0]
    drawn = draw(model, person, label, 2, FRAMES + dropped, 0, first=first)
    whole = run(model, drawn, networks.weights[:1])[0]
    frames = next(simulate(model, networks, inferred, simulations=2, first=first))
    assert frames.shape == (2, 5, FRAMES)
    assert frames.dtype == np.float32
    np.testing.assert_array_equal(frames, whole[..., dropped:])


def test_first_states_of_the_prior_have_its_variance(model, networks, inferred):
    first = draw(model, inferred.of(0), "01", 200, 1, 0, first="prior").first
    assert np.var(first) == pytest.approx(
        np.e, rel=0.1
    )  # of log-variance 1, of 3,000 values


@pytest.mark.parametrize(
    ("inputs", "by_weights", "by_external"),
    [
        ("both", True, True),
        ("external", False, True),
        ("network", True, False),
        ("none", False, False),
    ],
)
def test_an_input_that_is_switched_off_does_not_count(
    model, networks, inferred, inputs, by_weights, by_external
):
    drawn = _draw(model, networks, inferred)
    simulated = run(model, drawn, networks.weights[:1], inputs=inputs)
    other_weights = run(model, drawn, 2 * networks.weights[:1], inputs=inputs)
    other_external = run(
        model,
        replace(drawn, external=1 + drawn.external),
        networks.weights[:1],
        inputs=inputs,
    )
    assert np.array_equal(simulated, other_weights) is not by_weights
    assert np.array_equal(simulated, other_external) is not by_external
