"""People who are simulated once and kept: by one process or by several."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from demo_people import CONNECTOME_STEP, simulate_people

from bids_dtg.phantom.streams import Cohort


@pytest.mark.slow
def test_several_processes_make_the_people_of_one(tmp_path, phantom):
    found = [
        simulate_people(tmp_path / f"{n}", phantom, Cohort.TEST, 3, 1, processes=n) for n in (1, 2)
    ]
    for one, other in zip(*((p.connectomes, p.maps) for p in found), strict=True):
        np.testing.assert_array_equal(one, other)
    expected = phantom.person(Cohort.TEST, 2).connectome(0, 0)
    np.testing.assert_allclose(found[1].segment(2, 0), expected, rtol=0, atol=CONNECTOME_STEP)
