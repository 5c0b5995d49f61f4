"""The loss of amortised models: forecasts and generation are judged as documented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bids_dtg.dynamics.amortised import AmortisedModel, Sessions
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.dynamics.session_objective import (
    draw_terms,
    elbo_of_sessions,
    forecast_loss,
    generation_loss,
)

RECIPE = Recipe(amortised=True, states=1, external_inputs=0, generation_frames=400)


@pytest.fixture
def noise() -> AmortisedModel:
    """A model whose series are white noise of variance 1."""
    torch.manual_seed(0)
    model = AmortisedModel(RECIPE, regions=3).eval()
    with torch.no_grad():
        model.observation.weight.zero_()
    return model


@pytest.fixture
def sessions() -> Sessions:
    rng = torch.Generator().manual_seed(0)
    return Sessions.whole(
        torch.randn(2, 3, 2000, generator=rng), torch.rand(2, 3, 3, generator=rng)
    )


def test_white_noise_is_forecast_by_its_entropy(noise: AmortisedModel, sessions: Sessions) -> None:
    window = replace(sessions, series=sessions.series[..., :50])
    with torch.no_grad():
        drawn = draw_terms(noise, window)
        later = sessions.series[..., 50:70]
        loss = forecast_loss(noise, window, drawn, later)
    assert float(loss) == pytest.approx(0.5 * (1 + np.log(2 * np.pi)), abs=0.2)


@pytest.mark.slow
def test_generated_noise_fits_noise_and_nothing_else(
    noise: AmortisedModel, sessions: Sessions
) -> None:
    with torch.no_grad():
        fits = generation_loss(noise, sessions, draw_terms(noise, sessions))
        shared = sessions.series + 2 * sessions.series[:, :1]
        other = Sessions.whole(shared / shared.std(-1, keepdim=True), sessions.weights)
        misses = generation_loss(noise, other, draw_terms(noise, other))
    assert abs(float(fits)) < 0.01
    assert float(misses) > 0.1


@pytest.mark.slow
def test_the_elbo_of_people_is_a_mean_over_their_samples(
    noise: AmortisedModel, sessions: Sessions
) -> None:
    torch.manual_seed(0)
    both = elbo_of_sessions(noise, sessions, samples=2)
    assert both.shape == (2, 3)
    torch.manual_seed(0)
    torch.testing.assert_close(elbo_of_sessions(noise, sessions, samples=2), both)
