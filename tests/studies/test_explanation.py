"""The study of explanations: its people differ as it says, and permuted people explain nothing."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from weighted_people import PLACES, SETS, simulated

from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import VERSION_2

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))
from explanation import Explained, UnequalPerson, UnequalPhantom, permuted

pytestmark = pytest.mark.slow


def test_people_differ_in_one_network_in_its_area_alone():
    phantom = UnequalPhantom(1, 0.5)
    usual = Phantom(VERSION_2, seed=1, block=phantom.block).person(0, 0).network_maps
    same, stronger = (UnequalPerson(phantom, 0, 0, own).network_maps for own in (0.0, 1.0))
    np.testing.assert_array_equal(same, usual)
    changed = stronger != same
    assert changed[phantom.network, phantom.area].any()
    changed[phantom.network, phantom.area] = False
    assert not changed.any()


def test_of_permuted_people_nothing_passes_in_19_of_20_contrasts():
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(SETS[0], PLACES)).astype(np.float32)
    people = [
        replace(
            person,
            connectomes=person.connectomes[:, : SETS[0]].repeat(2, axis=0),
            weights=(420.0, 420.0),
            shorter={},
        )
        for person in simulated(16)
    ]
    found = [Explained.of(permuted(people, rng), people[:2], maps) for _ in range(25)]
    passing = np.mean([one.passing for one in found])
    assert passing <= 0.13  # 0.05 of 100 contrasts, some of them alike, and what chance adds
    assert np.mean([one.shown for one in found]) <= passing
