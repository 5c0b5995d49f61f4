"""Figures of people outside the training set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from network_people import chance_networks

from bids_dtg.dynamics.amortised import AmortisedModel
from bids_dtg.dynamics.inference import alignment_of, infer
from bids_dtg.dynamics.judging.unseen import Figure, figures_of
from bids_dtg.dynamics.parameters import retest
from bids_dtg.dynamics.recipe import Recipe

RECIPE = Recipe(amortised=True, states=2, region_parameters=3, hidden=8, window=60)


@pytest.mark.slow
def test_parameters_keep_the_numbers_of_the_model_whoever_is_judged() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = AmortisedModel(RECIPE, 6).eval()
    one, other = chance_networks(frames=120), chance_networks(frames=120, seed=7)
    sessions = {"one": one, "two": replace(other, people=one.people)}
    found = figures_of(model, sessions, simulations=0, with_elbo=False)
    assert not [figure for figure in found if figure.name == "fit"]
    inferred = infer(model, one)
    order = alignment_of(model.recipe, inferred, one).order
    use = np.argsort(-inferred.region.kl.mean(axis=(0, 1)))
    assert order.tolist() == [0, 1, 2] != use.tolist()  # else this test shows nothing
    again = infer(model, sessions["two"]).region.mean
    expected = retest(inferred.region.mean, again).pairs.absolute
    shares = [found[Figure(f"icc_theta_{number}", "two")].mean() for number in (1, 2, 3)]
    np.testing.assert_allclose(shares, expected, atol=1e-6)
