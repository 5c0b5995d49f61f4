"""Codes of people, and what connectomes say of them."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from twin_runs import slow_and_quick

from bids_dtg.twin.factors import PENALTIES, explained_by_chance, find_factors, map_factors
from bids_dtg.twin.fitting import targets_of
from bids_dtg.twin.network.main import Sizes, perform
from bids_dtg.twin.network.modulated import ModulatedNetwork
from bids_dtg.twin.network.objective import action_losses
from bids_dtg.twin.recipe import EVERYTHING


def a_network(segments, seed=0, units=12):
    torch.manual_seed(seed)
    sizes = Sizes(segments.tasks.inputs, units, segments.tasks.buttons)
    return ModulatedNetwork(sizes, rank=3)


def losses(network, modulation, segments):
    targets = targets_of(segments)
    with torch.no_grad():
        outputs = perform(network.weights(torch.as_tensor(modulation).float()), targets.inputs)
        return action_losses(outputs, targets)


@given(st.integers(8, 16), st.integers(1, 30), st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_factors_are_those_of_a_ridge_regression_or_of_the_group(people, edges, seed):
    rng = np.random.default_rng(seed)
    connectomes = rng.normal(size=(people, edges))
    values = np.column_stack([connectomes[:, 0] + rng.normal(0.0, 0.1, people), rng.random(people)])
    found = map_factors(connectomes, values)
    if not found.weights.any():
        return
    centred = connectomes - connectomes.mean(axis=0)
    alpha = found.penalty * np.linalg.eigvalsh(centred @ centred.T).mean()
    whole = Ridge(alpha).fit(connectomes, values)
    expected = whole.predict(connectomes) - values.mean(axis=0)
    assert np.allclose(found.predict(connectomes), expected)


def test_people_are_predicted_by_others_who_choose_the_penalty_too():
    rng = np.random.default_rng(0)
    connectomes = rng.normal(size=(23, 9))
    values = connectomes[:, :3] @ rng.normal(size=(3, 2)) + rng.normal(size=(23, 2))
    predicted, fold = np.zeros_like(values), np.random.default_rng(0).permutation(23) % 5
    for number in range(5):
        own, others = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        edges = connectomes[others] - connectomes[others].mean(axis=0)
        scale = np.linalg.eigvalsh(edges @ edges.T).mean()
        gains = [gain_of(alpha, edges, values[others]) for alpha in PENALTIES * scale]
        ridge = Ridge(scale * PENALTIES[int(np.argmax(gains))]).fit(edges, values[others])
        predicted[own] = ridge.predict(connectomes[own] - connectomes[others].mean(axis=0))
    centred = values - values.mean(axis=0)
    expected = 1 - ((values - predicted) ** 2).sum(axis=0) / (centred**2).sum(axis=0)
    assert map_factors(connectomes, values).explained.by_factor == pytest.approx(expected)


def gain_of(alpha, edges, values):
    """Return what leave-one-out gains with a penalty, over the factors that it predicts."""
    fit = Ridge(alpha).fit(edges, values)
    centred = edges - edges.mean(axis=0)
    share = np.linalg.solve(centred.T @ centred + alpha * np.eye(edges.shape[1]), centred.T)
    leverage = (centred * share.T).sum(axis=1) + 1 / len(edges)
    left_out = (values - fit.predict(edges)) / (1 - leverage)[:, None]
    power = ((values - values.mean(axis=0)) ** 2).sum(axis=0)
    return np.maximum(power - (left_out**2).sum(axis=0), 0.0).sum()


@pytest.mark.parametrize("seed", range(5))
def test_white_noise_explains_nothing_and_makes_nobody_differ(seed):
    """As many factors as in a model of 120 people: directions that fit noise could be found."""
    rng = np.random.default_rng(seed)
    factors = np.linalg.qr(rng.normal(size=(120, 97)))[0] * np.geomspace(10.0, 0.1, 97)
    found = map_factors(rng.normal(size=(120, 400)), factors)
    assert found.explained.best <= 0.05
    assert not found.predict(rng.normal(size=(200, 400))).any()


def test_what_connectomes_explain_is_far_from_what_those_of_others_do():
    rng = np.random.default_rng(0)
    traits = np.linalg.qr(rng.normal(size=(80, 6)))[0]
    connectomes = traits[:, :2] @ rng.normal(size=(2, 200)) + rng.normal(0.0, 0.05, (80, 200))
    found = map_factors(connectomes, traits)
    assert found.explained.best > 0.5
    assert found.explained.by_factor[:2].min() > 0.5
    assert found.explained.by_factor[2:].max() < 0.1
    by_chance = explained_by_chance(connectomes, traits, permutations=5)
    assert max(each.best for each in by_chance) < 0.1
    assert by_chance[0].by_factor.shape == (6,)


def test_a_factor_counts_by_its_variance():
    """The penalty is that of what matters: of a factor with a small variance next to nothing."""
    rng = np.random.default_rng(0)
    connectomes, noise = rng.normal(size=(100, 30)), rng.normal(size=100)
    known = connectomes[:, 0] + 0.5 * noise
    alone = map_factors(connectomes, known[:, None]).penalty
    with_noise = map_factors(connectomes, np.column_stack([known, 0.001 * rng.normal(size=100)]))
    assert with_noise.penalty == alone


def test_connectomes_without_edges_say_nothing():
    found = map_factors(np.zeros((5, 0)), np.random.default_rng(0).normal(size=(5, 2)))
    assert np.array_equal(found.predict(np.zeros((3, 0))), np.zeros((3, 2)))
    assert (found.explained.by_factor <= 0).all()


def test_factors_do_not_correlate_and_lower_the_loss_of_their_people():
    segments, takes = slow_and_quick()
    network = a_network(segments)
    found = find_factors(network, segments, parts=EVERYTHING, number=5, prior=0.1)
    variance = np.cov(found.factors.T)
    assert np.allclose(variance, np.diag(np.diagonal(variance)), atol=1e-6 * variance.max())
    assert (np.diff(np.diagonal(variance)) <= 0).all()  # by what responses say of them
    assert np.allclose(found.factors.mean(axis=0), 0.0, atol=1e-9)
    own = losses(network, found.factors @ found.directions.T * 0.5, segments)
    group = losses(network, np.zeros((12, network.modulations)), segments)
    assert (own < group).float().mean() > 0.8
    # The strongest factor separates slow from quick people.
    strongest = np.abs(np.corrcoef(found.factors.T, takes)[-1, :-1]).max()
    assert strongest > 0.8


def test_directions_change_only_what_people_may_differ_in():
    segments, _ = slow_and_quick(people=6)
    network = a_network(segments)
    found = find_factors(network, segments, parts=("biases",), number=4, prior=0.1)
    changed = np.flatnonzero(np.abs(found.directions).sum(axis=1))
    assert set(changed) == set(network.places("biases").tolist())


def test_people_of_one_sequence_have_the_factors_of_people_each_with_their_own():
    segments, _ = slow_and_quick(people=5)
    network = a_network(segments)
    alike = find_factors(network, segments, parts=EVERYTHING, number=3, prior=0.1)
    apart = find_factors(network, repeated(segments), parts=EVERYTHING, number=3, prior=0.1)
    one, other = (found.factors @ found.directions.T for found in (alike, apart))
    assert np.allclose(one, other, atol=2e-3 * np.abs(one).max())


def test_progress_is_reported_while_factors_are_computed():
    segments, _ = slow_and_quick(people=11)
    lines = []
    find_factors(
        a_network(segments),
        repeated(segments),
        parts=EVERYTHING,
        number=3,
        prior=0.1,
        report=lines.append,
    )
    assert lines[0] == "sequences of 10 of 11 participants"
    assert lines[-1] == "latent factors: step 8 of 8"


def repeated(segments):
    """Return the same segments, with what is seen stored once a person."""
    people = len(segments.action)

    def each(holder):
        return {
            f.name: np.repeat(value, people, axis=0)
            for f in fields(holder)
            if isinstance(value := getattr(holder, f.name), np.ndarray) and len(value) == 1
        }

    trials = replace(segments.trials, **each(segments.trials))
    return replace(segments, **each(segments), trials=trials)


@pytest.mark.parametrize("number", [1, 500])
def test_there_are_no_more_factors_than_informative_directions(number):
    segments, _ = slow_and_quick(people=4)
    network = a_network(segments)
    found = find_factors(network, segments, parts=("button_offsets",), number=number, prior=1.0)
    assert found.factors.shape[1] == min(number, 3)
