"""Codes of people, and what connectomes say of them."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from twin_runs import slow_and_quick

from bids_dtg.twin.factors import find_factors, map_factors
from bids_dtg.twin.fitting import targets_of
from bids_dtg.twin.network.main import Sizes, perform
from bids_dtg.twin.network.modulated import ModulatedNetwork
from bids_dtg.twin.network.objective import action_losses
from bids_dtg.twin.recipe import EVERYTHING


def a_network(segments, seed=0, units=12):
    torch.manual_seed(seed)
    bold = 0 if segments.bold is None else segments.bold.shape[-1]
    sizes = Sizes(segments.tasks.inputs, units, segments.tasks.buttons, bold)
    return ModulatedNetwork(sizes, rank=3)


def losses(network, modulation, segments):
    targets = targets_of(segments)
    with torch.no_grad():
        outputs = perform(network.weights(torch.as_tensor(modulation).float()), targets.inputs)
        return action_losses(outputs, targets)


@given(st.integers(3, 12), st.integers(1, 30), st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_left_out_factors_are_those_of_a_regression_without_the_person(people, edges, seed):
    rng = np.random.default_rng(seed)
    connectomes, values = rng.normal(size=(people, edges)), rng.normal(size=(people, 1))
    found = map_factors(connectomes, values)
    centred = connectomes - connectomes.mean(axis=0)
    alpha = found.penalties[0] * np.linalg.eigvalsh(centred @ centred.T).mean()
    whole = Ridge(alpha).fit(connectomes, values.ravel())
    predicted = whole.predict(connectomes) - values.mean()
    assert np.allclose(found.predict(connectomes).ravel(), predicted)
    for person in range(people):
        others = np.arange(people) != person
        again = Ridge(alpha).fit(connectomes[others], values[others].ravel())
        expected = again.predict(connectomes[~others]) - values.mean()
        assert np.allclose(found.left_out[person], expected, atol=1e-8)


def test_how_factors_are_rotated_does_not_matter():
    rng = np.random.default_rng(0)
    traits = np.linalg.qr(rng.normal(size=(60, 5)))[0]
    connectomes = traits[:, :3] @ rng.normal(size=(3, 200)) + rng.normal(0.0, 0.2, (60, 200))
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    one, other = map_factors(connectomes, traits), map_factors(connectomes, traits @ turn)
    assert np.allclose(one.predict(connectomes) @ turn, other.predict(connectomes), atol=1e-9)
    assert np.allclose(np.sort(one.explained), np.sort(other.explained))


def test_each_direction_is_shrunk_by_what_others_say_of_it():
    rng = np.random.default_rng(0)
    traits = np.linalg.qr(rng.normal(size=(80, 6)))[0]
    connectomes = traits[:, :2] @ rng.normal(size=(2, 200)) + rng.normal(0.0, 0.05, (80, 200))
    found = map_factors(connectomes, traits)
    predicted = found.explained > 0.5
    assert predicted.sum() == 2
    assert found.penalties[predicted].max() < found.penalties[~predicted].min()
    assert found.explained[~predicted].max() < 0.2
    fresh = np.var(found.predict(connectomes), axis=0) / np.var(traits, axis=0)
    assert fresh[:2].min() > 0.5
    assert fresh[2:].max() < 0.3


def test_connectomes_without_edges_say_nothing():
    found = map_factors(np.zeros((5, 0)), np.random.default_rng(0).normal(size=(5, 2)))
    assert np.array_equal(found.predict(np.zeros((3, 0))), np.zeros((3, 2)))
    assert (found.explained <= 0).all()


def test_factors_do_not_correlate_and_lower_the_loss_of_their_people():
    segments, takes = slow_and_quick()
    network = a_network(segments)
    found = find_factors(network, segments, parts=EVERYTHING, number=5, prior=0.1)
    assert np.allclose(np.cov(found.factors.T), np.eye(5), atol=1e-6)
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


def test_factors_of_bold_separate_strong_from_weak_responses():
    segments, takes = slow_and_quick(bold=True)
    network = a_network(segments)
    parts = (*EVERYTHING, "bold_gains", "bold_offsets")
    found = find_factors(network, segments, parts=parts, number=4, prior=0.1)
    assert found.factors.shape == (12, 4 + 2 * 2)
    best = np.abs(np.corrcoef(found.factors[:, 4:].T, takes)[-1, :-1]).max()
    assert best > 0.8
    of_bold = np.abs(found.directions[:, 4:]).sum(axis=1)
    assert set(np.flatnonzero(of_bold)) == set(
        network.places("bold_gains", "bold_offsets").tolist()
    )


@pytest.mark.parametrize("number", [1, 500])
def test_there_are_no_more_factors_than_informative_directions(number):
    segments, _ = slow_and_quick(people=4)
    network = a_network(segments)
    found = find_factors(network, segments, parts=("button_offsets",), number=number, prior=1.0)
    assert found.factors.shape[1] == min(number, 3)
