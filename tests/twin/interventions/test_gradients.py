"""How figures depend on edges."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from twin_runs import fitted_quickly, slow_and_quick

from bids_dtg.twin.interventions.gradients import figure_seconds, smooth_gradients
from bids_dtg.twin.interventions.outcomes import outcomes_of
from bids_dtg.twin.interventions.perturbations import performed_outcomes


def test_figures_are_those_that_are_decoded():
    segments, _ = slow_and_quick(people=4)
    rng = np.random.default_rng(0)
    for level in (0.1, 0.5, 0.02):
        buttons = rng.uniform(0.0, level, segments.action.shape).astype(np.float32)
        found = figure_seconds(torch.from_numpy(buttons), segments).numpy()
        assert found == pytest.approx(outcomes_of(buttons, segments).seconds, abs=1e-5, nan_ok=True)


@pytest.mark.slow
def test_a_gradient_is_the_change_by_a_small_step():
    fitted, connectomes, segments, _ = fitted_quickly()
    found = smooth_gradients(fitted.twin.weights, connectomes, segments, copies=1, noise=0.0)
    for row, target in enumerate(found.targets):
        delta = 0.0002 * found.edges[row] / np.linalg.norm(found.edges[row])
        ahead, back = (
            performed_outcomes(fitted, connectomes + sign * delta, segments).of(target).mean()
            for sign in (1, -1)
        )
        assert ahead - back == pytest.approx(2 * delta @ found.edges[row], rel=0.2)
    assert (found.of(found.targets[1]) == found.edges[1]).all()


def test_an_attribution_is_the_mean_over_people():
    fitted, connectomes, segments, _ = fitted_quickly()
    whole, *halves = (
        smooth_gradients(
            fitted.twin.weights, connectomes[some], segments.people(some), copies=1, noise=0.0
        ).edges
        for rows in [np.arange(len(connectomes))]
        for some in (rows, rows[::2], rows[1::2])
    )
    assert whole == pytest.approx(np.mean(halves, axis=0), rel=1e-3, abs=1e-6)


def test_the_seed_decides_the_noise():
    fitted, connectomes, segments, _ = fitted_quickly()
    one, same, other = (
        smooth_gradients(fitted.twin.weights, connectomes, segments, copies=1, seed=seed).edges
        for seed in (1, 1, 2)
    )
    assert (one == same).all()
    assert not (one == other).all()
    assert np.corrcoef(one[0], other[0])[0, 1] > 0.99


def test_who_never_answers_counts_for_nothing():
    fitted, connectomes, segments, _ = fitted_quickly()
    some = np.arange(10)  # they perform at once
    connectomes, segments = connectomes[some], segments.people(some)

    def make(edges):
        weights = fitted.twin.weights(edges)
        never = torch.zeros_like(weights.output_bias)
        never[1:] = -50.0  # all but the first person
        return replace(weights, output_bias=weights.output_bias + never)

    whole = smooth_gradients(make, connectomes, segments, copies=1, noise=0.0)
    first = smooth_gradients(
        fitted.twin.weights, connectomes[:1], segments.people(some[:1]), copies=1, noise=0.0
    )
    # Ten people and one are other products of float32, whose rounding depends on the processor.
    assert whole.edges[0] == pytest.approx(first.edges[0], rel=1e-4, abs=1e-6)
