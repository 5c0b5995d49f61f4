"""BOLD of simulated people."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.twin.bold import responses
from bids_dtg.twin.phantom.bold import OWN, REGIONS, simulate_bold, true_responses
from bids_dtg.twin.phantom.people import simulate_twin_people
from bids_dtg.twin.phantom.world import trial_sequence
from bids_dtg.twin.trial_series import stack_people

SEQUENCES = [trial_sequence("hammerAP"), trial_sequence("stroopAP")]


@pytest.mark.parametrize(("kind", "shared"), [("known", 1.0), ("unknown", 0.0)])
def test_amplitudes_of_two_regions_follow_traits_or_do_not(kind, shared):
    people = simulate_twin_people(500, "easy", regions=10, seed=1)
    amplitudes = true_responses(people, kind) / true_responses(people, kind).mean(axis=0)
    others = [region for region in range(len(REGIONS)) if region not in OWN]
    np.testing.assert_allclose(amplitudes[:, others], 1.0)
    for region in OWN:
        own = amplitudes[:, region, 0]
        assert own.std() == pytest.approx(0.4, abs=0.05)
        explained = people.traits @ np.linalg.lstsq(people.traits, own - 1, rcond=None)[0]
        assert explained.var() / own.var() == pytest.approx(shared, abs=0.05)


def test_measured_responses_are_the_true_ones_with_noise():
    people = simulate_twin_people(60, "hard", regions=10, seed=2)
    runs = people.runs(SEQUENCES, seed=2)
    bold = simulate_bold(people, runs, seed=2)
    found = responses(bold, stack_people(runs))
    np.testing.assert_allclose(found.mean(axis=0), true_responses(people).mean(axis=0), atol=0.1)
    noise = simulate_bold(people, runs, seed=2, kind="noise")[0][0].values
    assert noise.std() == pytest.approx(0.5, abs=0.05)
    follows = np.corrcoef(noise[1:, 0], noise[:-1, 0])[0, 1]
    assert follows == pytest.approx(0.4, abs=0.1)
