"""BOLD of simulated people."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.twin.phantom.bold import REGIONS, VARYING, true_responses
from bids_dtg.twin.phantom.people import simulate_twin_people


@pytest.mark.parametrize(("kind", "shared"), [("known", 1.0), ("unknown", 0.0)])
def test_amplitudes_of_two_regions_follow_traits_or_do_not(kind, shared):
    people = simulate_twin_people(500, "easy", regions=10, seed=1)
    amplitudes = true_responses(people, kind) / true_responses(people, kind).mean(
        axis=0
    )
    constant = [region for region in range(len(REGIONS)) if region not in VARYING]
    np.testing.assert_allclose(amplitudes[:, constant], 1.0)
    for region in VARYING:
        of_region = amplitudes[:, region, 0]
        assert of_region.std() == pytest.approx(0.4, abs=0.05)
        explained = (
            people.traits @ np.linalg.lstsq(people.traits, of_region - 1, rcond=None)[0]
        )
        assert explained.var() / of_region.var() == pytest.approx(shared, abs=0.05)
