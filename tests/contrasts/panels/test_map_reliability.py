"""Half-maps agree by what all people share, and by what is a person's own."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.panels.map_reliability import agreement_of_halves

VOXELS = 5000


def halves(people: int, own: float, noise: float, seed: int = 0):
    """Simulate half-maps: a mean map, what is a person's own, and noise of each half."""
    rng = np.random.default_rng(seed)
    shared = 5 * rng.standard_normal(VOXELS) + own * rng.standard_normal((people, VOXELS))
    return (shared + noise * rng.standard_normal((people, VOXELS)) for _ in range(2))


@pytest.mark.parametrize("people", [3, 5, 40])
@pytest.mark.parametrize(("own", "noise"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.0)])
def test_what_is_left_is_the_share_of_own_variance_however_many_people_there_are(
    people, own, noise
):
    found = agreement_of_halves("faces", *halves(people, own, noise))
    assert found.deviation_r == pytest.approx(own**2 / (own**2 + noise**2), abs=0.03)
    assert found.r > 0.94
    assert found.people == people


def test_where_nothing_is_a_persons_own_nothing_is_left():
    found = agreement_of_halves("faces", *halves(5, 0.0, 1.0))
    assert found.r > 0.9
    assert abs(found.deviation_r) < 0.03
