"""Simulated people: their connectomes, series and parameters, and these as files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_dtg.dynamics.networks import standardised
from bids_dtg.dynamics.participant.network_participants import NetworkParticipants
from bids_dtg.dynamics.phantom.people import (
    SimulatedPeople,
    simulate_hopf_people,
    simulate_weights,
    write_people,
)
from bids_dtg.dynamics.simulators import SimulatedTime
from bids_dtg.inputs.cortex import homotopic_pairs
from bids_dtg.settings import Settings


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(2, 40), st.integers(0, 1000))
def test_weights_are_those_of_undirected_networks(people, half, seed):
    weights, positions, names = simulate_weights(
        people, 2 * half, np.random.default_rng(seed)
    )
    assert weights.shape == (people, 2 * half, 2 * half)
    np.testing.assert_array_equal(weights, weights.transpose(0, 2, 1))
    assert not np.diagonal(weights, axis1=1, axis2=2).any()
    assert weights.min() == 0 or half == 2
    assert (weights.max(axis=(1, 2)) == 1).all()
    left_positions, right_positions = positions[:half], positions[half:]
    assert (left_positions[:, 0] < 0).all()
    np.testing.assert_array_equal(left_positions * [-1, 1, 1], right_positions)
    assert homotopic_pairs(names) == [(r, r + half) for r in range(half)]


def small_people() -> SimulatedPeople:
    weights, _, names = simulate_weights(2, 4, np.random.default_rng(3))
    return simulate_hopf_people(
        weights, regions=names, time=SimulatedTime(seconds=90.0)
    )


@pytest.mark.slow
def test_written_people_are_read_as_input_arrays(tmp_path):
    people = small_people()
    write_people(tmp_path, people)
    options = Settings.of(
        bids_dir="in",
        output_dir="out",
        analysis_level="group",
        workflow="dynamics",
        analysis="train",
        input_arrays=(str(tmp_path / "networks.npz"),),
    )
    source = NetworkParticipants.prepare(options)
    (networks,) = [source.networks(session) for session in source.sessions]
    assert networks.people == people.networks.people
    assert networks.regions == people.networks.regions
    assert networks.tr_seconds == people.networks.tr_seconds
    assert np.allclose(networks.series, standardised(people.networks.series), atol=1e-5)
    assert np.allclose(networks.weights, people.networks.weights, atol=1e-6)
