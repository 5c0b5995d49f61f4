"""Perturbations of weights: the published direction, its null, and what it is pulled back to."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from twin_runs import slow_and_quick

from bids_dtg.twin.fitting import fit
from bids_dtg.twin.interventions.perturbations import performed_outcomes
from bids_dtg.twin.interventions.weights import (
    WeightDirection,
    flat_weights,
    permuted_directions,
    perturb_along,
    perturb_weights,
    weight_correlations,
)
from bids_dtg.twin.network.main import MainWeights
from bids_dtg.twin.recipe import Recipe, find_architecture

SMALL = Recipe(
    units=10, codes=3, group_epochs=12, group_updates=8, hyper_units=6, hyper_epochs=3,
    hyper_updates=3, batch_people=6, batch_segments=2,
)  # fmt: skip
SEEDS = st.integers(0, 999)


def noise(people=12, weights=30, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 2.0, (people, weights)).astype(np.float32), rng.normal(size=people)


@pytest.fixture(scope="module")
def offset():
    """A twin whose buttons' offsets depend on one edge alone: the more of it, the quicker."""
    segments, _ = slow_and_quick(people=12)
    edges = np.random.default_rng(1).normal(0.0, 1.0, (12, 4)).astype(np.float32)
    fitted = fit(edges, segments, architecture=find_architecture("lowrank", SMALL))
    twin = fitted.twin
    twin.directions.zero_()
    twin.directions[twin.network.places("button_offsets"), 0] = 1.0
    twin.edge_weights.zero_()
    twin.edge_weights[2, 0] = 0.1
    return fitted, edges, segments


@given(SEEDS, st.integers(-3, 3))
@settings(max_examples=30, deadline=None)
def test_the_direction_does_not_know_the_size_of_weights(seed, power):
    flat, figure = noise(seed=seed)
    scales = np.random.default_rng(seed).uniform(0.1, 10.0, flat.shape[1]) * 10.0**power
    found = WeightDirection.lowering(flat, figure)
    scaled = WeightDirection.lowering((flat * scales).astype(np.float32), figure)
    assert np.allclose(scaled.unit, found.unit, atol=1e-4)
    assert scaled.sd == pytest.approx(found.sd, rel=1e-4)
    assert np.allclose(scaled.delta(2.0), found.delta(2.0) * scales, rtol=1e-2, atol=1e-3 * scales)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_the_direction_is_the_published_one(seed):
    """v = W's / ||W's|| of standardised columns, turned; a step moves everybody's score."""
    flat, figure = noise(seed=seed)
    columns = (flat - flat.mean(axis=0)) / flat.std(axis=0, ddof=1)
    expected = -columns.T @ (figure - figure.mean())
    found = WeightDirection.lowering(flat, figure)
    assert np.allclose(found.unit, expected / np.linalg.norm(expected), atol=1e-5)
    scores = found.scores(flat)
    assert np.allclose(scores, columns @ found.unit, atol=1e-4)
    assert np.corrcoef(scores, figure)[0, 1] < 0
    perturbed = found.scores(flat + found.delta(1.5).astype(np.float32))
    assert np.allclose(perturbed - scores, 1.5 * scores.std(ddof=1), atol=1e-3)


def test_weights_that_all_share_stay_as_they_are():
    flat, figure = noise()
    flat[:, 3], flat[:, 7] = 0.1, 0.0
    flat[1, 3] = np.nextafter(np.float32(0.1), np.float32(1.0))  # rounding
    found = WeightDirection.lowering(flat, figure)
    assert (np.flatnonzero(found.delta(1.0) == 0) == [3, 7]).all()
    assert (np.flatnonzero(found.slope == 0) == [3, 7]).all()


def test_who_has_no_figure_does_not_count():
    flat, figure = noise()
    rows, gaps = np.arange(12) != 4, figure.copy()
    gaps[4] = np.nan
    found, expected = (
        WeightDirection.lowering(*each) for each in ((flat, gaps), (flat[rows], figure[rows]))
    )
    assert np.allclose(found.unit, expected.unit)
    assert found.sd == pytest.approx(expected.sd)
    folds = np.arange(12) % 3
    some = weight_correlations(flat, gaps, permutations=9, fold=folds)
    same = weight_correlations(flat[rows], figure[rows], permutations=9, fold=folds[rows])
    assert some.cross_validated.observed == pytest.approx(same.cross_validated.observed)
    assert np.allclose(some.in_sample.null, same.in_sample.null)


def test_figures_without_a_direction_are_refused():
    flat, figure = noise()
    with pytest.raises(ValueError, match=r"shape \(3,\), expected \(12,\)"):
        WeightDirection.lowering(flat, figure[:3])
    with pytest.raises(ValueError, match="2 people have the figure"):
        WeightDirection.lowering(flat, np.where(np.arange(12) < 2, figure, np.nan))
    with pytest.raises(ValueError, match="the figure does not vary"):
        WeightDirection.lowering(flat, np.full(12, 0.7))
    with pytest.raises(ValueError, match="no weight covaries"):
        WeightDirection.lowering(np.ones((12, 5), np.float32), figure)
    with pytest.raises(ValueError, match="leaves fewer than 3"):
        weight_correlations(flat, figure, fold=np.arange(12) < 10)


def test_correlations_are_those_of_directions_that_are_fitted():
    """The products of people's weights give what fitting the weights themselves gives."""
    flat, figure = noise(people=15, weights=50)
    fold = np.arange(15) % 5
    found = weight_correlations(flat, figure, permutations=3, fold=fold)
    scores = WeightDirection.lowering(flat, figure).scores(flat)
    assert found.in_sample.observed == pytest.approx(np.corrcoef(scores, figure)[0, 1], abs=1e-4)
    left_out = np.empty(15)
    for number in range(5):
        others = fold != number
        direction = WeightDirection.lowering(flat[others], figure[others])
        left_out[~others] = direction.scores(flat[~others]) / direction.sd
    expected = np.corrcoef(left_out, figure)[0, 1]
    assert found.cross_validated.observed == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_noise_has_a_high_correlation_in_sample_and_p_spread_evenly():
    found = [weight_correlations(*noise(20, 100, seed), permutations=99) for seed in range(100)]
    inside = np.array([each.in_sample.observed for each in found])
    outside = np.array([each.cross_validated.observed for each in found])
    assert inside.mean() < -0.8  # many more weights than people
    assert abs(outside.mean()) < 0.15
    for p in ([each.in_sample.p for each in found], [each.cross_validated.p for each in found]):
        assert 0.4 < np.mean(p) < 0.6
        assert np.mean(np.array(p) < 0.05) < 0.15


def test_weights_that_tell_the_figure_are_found_in_people_left_out():
    flat, figure = noise(people=30, weights=200)
    flat[:, :40] += 3.0 * figure[:, None].astype(np.float32)
    found = weight_correlations(flat, figure, permutations=199)
    assert found.cross_validated.observed < -0.8
    assert found.cross_validated.p == found.in_sample.p == pytest.approx(1 / 200)


def test_a_step_along_the_direction_quickens_a_twin_by_its_offset(offset):
    fitted, edges, segments = offset
    flat, before = flat_weights(fitted.twin, edges), performed_outcomes(fitted, edges, segments)
    direction = WeightDirection.lowering(flat, before.of("stroop_rt"))
    places = np.flatnonzero(direction.delta(1.0))
    assert (places == np.arange(flat.shape[1])[-3:]).all()  # the buttons' offsets
    sd = (0.1 * edges[:, 2]).std(ddof=1)
    assert np.allclose(direction.delta(2.0)[places], 2.0 * sd, rtol=1e-4)
    one, two = perturb_weights(fitted, edges, segments, direction, step_sizes=(1.0, 2.0))
    assert (one.change("stroop_rt") < 0).all()
    assert (two.change("stroop_rt") < one.change("stroop_rt")).all()
    same = performed_outcomes(fitted, edges + two.step_size * sd / 0.1 * np.eye(4)[2], segments)
    assert np.allclose(two.after.seconds, same.seconds, atol=1e-4)


def test_directions_of_permuted_figures_have_other_effects(offset):
    fitted, edges, segments = offset
    flat = flat_weights(fitted.twin, edges)
    figure = performed_outcomes(fitted, edges, segments).of("stroop_rt")
    directions = permuted_directions(flat, figure, permutations=6)
    null = list(perturb_along(fitted, edges, segments, directions, step_size=0.5))
    changes = np.array([perturbation.change("stroop_rt").mean() for perturbation in null])
    (own,) = perturb_weights(
        fitted, edges, segments, WeightDirection.lowering(flat, figure), step_sizes=(0.5,)
    )
    # All three offsets are one trait: any figure's direction is this one, up to its sign.
    signs = np.sign(changes)
    assert set(signs) == {-1.0, 1.0}
    assert np.allclose(changes[signs < 0], own.change("stroop_rt").mean(), atol=1e-6)
    assert len(null) == 6


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["lowrank", "published"])
def test_rows_of_weights_are_the_networks_that_perform(architecture):
    segments, takes = slow_and_quick(people=6)
    edges = np.outer(takes, np.ones(5)) + np.random.default_rng(0).normal(0.0, 0.1, (6, 5))
    recipe = replace(SMALL, group_epochs=2, group_updates=2)
    fitted = fit(edges, segments, architecture=find_architecture(architecture, recipe))
    flat = flat_weights(fitted.twin, edges)
    again = MainWeights.of_flat(torch.from_numpy(flat), fitted.twin.network.sizes)
    same = fitted.perform(edges, segments, change=lambda weights: again)
    assert np.array_equal(same.buttons, fitted.perform(edges, segments).buttons)
