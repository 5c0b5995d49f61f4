"""Predictions of a session's next frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from network_people import chance_networks

from bids_dtg.dynamics.amortised import make_model
from bids_dtg.dynamics.judging.forecast import (
    Predicted,
    forecast,
    forecast_baselines,
    origins_of,
    predict,
    score,
)
from bids_dtg.dynamics.model import GenerativeModel, NetworkModel
from bids_dtg.dynamics.networks import Networks, standardised
from bids_dtg.dynamics.recipe import Recipe

PEOPLE = chance_networks(people=2, regions=4, frames=120)


def small_model(**recipe: object) -> GenerativeModel:
    torch.manual_seed(0)
    model = make_model(Recipe(**recipe), people=2, regions=4, frames=120)  # type: ignore[arg-type]
    with torch.no_grad():
        model.transition.out.weight.mul_(0.2)
        model.observation.bias.fill_(0.3)
    return model.double().eval()


def linear_model(keeps: float, noise: float, observation_noise: float) -> NetworkModel:
    """Return a model whose only state keeps a share of itself, and is seen with noise."""
    recipe = Recipe(states=1, region_parameters=1, external_inputs=0, hidden=2)
    model = NetworkModel(recipe, people=2, regions=4, frames=120)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        # ReLU(x) - ReLU(-x) is x.
        model.transition.hidden.weight[:, 0] = torch.tensor([1.0, -1.0])
        model.transition.out.weight[:] = (keeps - 1.0) * torch.tensor([[1.0, -1.0]])
        model.observation.weight.fill_(2.0)
        model.observation.bias.fill_(0.5)
        model.state_log_variance.fill_(2 * np.log(noise))
        model.observation_log_variance.fill_(2 * np.log(observation_noise))
    return model.double()


@pytest.mark.slow
@given(st.integers(20, 2000), st.integers(1, 30))
def test_origins_leave_enough_before_and_behind_them(frames: int, number: int) -> None:
    origins = origins_of(frames, number)
    assert 1 <= len(origins) <= number
    assert origins[0] >= min(200, frames // 2)
    assert origins[-1] + 10 <= frames
    assert (np.diff(origins) > 0).all()


def test_a_session_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="10 frames ahead need 20 frames, found 19"):
        origins_of(19)


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"external_inputs": 0, "person_parameters": 2},
        {"amortised": True, "external_inputs": 2, "window": 30},
    ],
)
def test_nothing_after_an_origin_is_read(recipe: dict[str, object]) -> None:
    model, origins = small_model(**recipe), np.array([40, 80])
    changed = PEOPLE.series.copy()
    changed[..., 80:] = 5.0
    before, after = (
        predict(model, people, PEOPLE.people, origins=origins, draws=4)
        for people in (PEOPLE, replace(PEOPLE, series=changed))
    )
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.mean, other.mean)
        np.testing.assert_array_equal(one.variance, other.variance)
    changed[..., 79] = 5.0
    read = predict(model, replace(PEOPLE, series=changed), PEOPLE.people, origins=origins, draws=4)
    np.testing.assert_array_equal(read[0].mean[0], before[0].mean[0])
    assert (read[0].mean[1] != before[0].mean[1]).any()


def test_a_linear_model_foretells_what_its_algebra_says() -> None:
    keeps, noise, seen = 0.8, 0.3, 0.2
    model, steps = linear_model(keeps, noise, seen), (1, 3, 10)
    found = predict(model, PEOPLE, PEOPLE.people, origins=np.array([60]), steps=steps, draws=4000)
    # With all weights 0, the encoders infer a state of mean 0 and variance 1.
    for step, mean, variance in zip(steps, found[0].mean[0], found[0].variance[0], strict=True):
        kept = keeps ** (2 * step)
        state = kept + noise**2 * (1 - kept) / (1 - keeps**2)
        np.testing.assert_allclose(mean, 0.5, atol=0.15)
        np.testing.assert_allclose(variance, 4 * state + seen**2, rtol=0.1)


def test_a_person_is_predicted_the_same_among_others_and_alone() -> None:
    model = small_model()
    both = forecast(model, PEOPLE, PEOPLE.people, origins=3, draws=4)
    alone = forecast(model, PEOPLE.of(["01"]), PEOPLE.people, origins=3, draws=4)
    np.testing.assert_allclose(both.nll[1], alone.nll[0])
    np.testing.assert_allclose(both.r2[1], alone.r2[0])


def test_scores_are_those_of_scipy() -> None:
    from scipy.stats import norm

    rng, origins, steps = np.random.default_rng(0), np.array([5, 9]), (1, 4)
    series = rng.standard_normal((3, 20))
    known = Predicted(rng.standard_normal((2, 2, 3)), rng.uniform(0.5, 2, (2, 2, 3)))
    nll, r2 = score(series, known, origins, steps)
    for number, step in enumerate(steps):
        measured = series[:, origins + step - 1].T
        mean, sd = known.mean[:, number], np.sqrt(known.variance[:, number])
        assert nll[number] == pytest.approx(-norm.logpdf(measured, mean, sd).mean())
        expected = 1 - ((measured - mean) ** 2).sum() / (measured**2).sum()
        assert r2[number] == pytest.approx(expected)


def _process(transition: np.ndarray, frames: int = 3000) -> Networks:
    """Return one person's session of a vector-autoregressive process with noise of variance 1."""
    rng, regions = np.random.default_rng(1), len(transition)
    series = rng.standard_normal((regions, frames))
    for frame in range(1, frames):
        series[:, frame] += transition @ series[:, frame - 1]
    weights = np.ones((1, regions, regions), "f4")
    names = tuple(map(str, range(regions)))
    return Networks(("01",), names, standardised(series)[None], 1.0, weights=weights)


@pytest.mark.slow
def test_each_baseline_is_best_at_its_own_process() -> None:
    ring = 0.9 * np.roll(np.eye(4), 1, axis=0)
    for transition, best in ((0.8 * np.eye(4), "ar_1"), (ring, "var_1")):
        rows = {r.name: r for r in forecast_baselines(_process(transition), origins=150)}
        assert set(rows) == {"white_noise", "persistence", "ar_1", "var_1"}
        own = rows[best]
        for name, row in rows.items():
            if name not in (best, "var_1"):
                assert (own.nll[0] < row.nll[0] + 0.01).all(), (best, name)
        # The truth: 1 - r2 of one step is the noise's share.
        share = 1 - 0.64 if best == "ar_1" else 1 - 0.81
        assert own.r2[0, 0] == pytest.approx(1 - share, abs=0.1)
        assert own.nll[0, 0] == pytest.approx(0.5 * np.log(2 * np.pi * np.e * share), abs=0.1)


@pytest.mark.slow
def test_baselines_know_their_own_errors() -> None:
    white = _process(np.zeros((4, 4)))
    for row in forecast_baselines(white, origins=150):
        expected = 0.5 * np.log(2 * np.pi * np.e * (2 if row.name == "persistence" else 1))
        np.testing.assert_allclose(row.nll, expected, atol=0.06)


def test_baselines_read_nothing_after_an_origin() -> None:
    changed = PEOPLE.series.copy()
    changed[..., 110:] = 7.0  # the last origin of three, and the frames predicted from it
    before, after = (
        forecast_baselines(people, origins=1)
        for people in (PEOPLE, replace(PEOPLE, series=changed))
    )
    first = origins_of(120, 1)[0]
    assert first + 10 <= 110
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.nll, other.nll)
