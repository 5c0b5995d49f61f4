"""Phantoms of regions: what their plans share."""

from __future__ import annotations

import pytest

from bids_dtg.dynamics.phantom.dataset import NetworkPlan
from bids_dtg.twin.phantom.dataset import TwinPlan


@pytest.mark.parametrize("plan", [NetworkPlan, TwinPlan])
@pytest.mark.parametrize(("frames", "seconds"), [(99, 1.0), (2001, 1.0), (300, 0.4), (300, 3.1)])
def test_impossible_runs_are_refused(plan, frames, seconds):
    with pytest.raises(ValueError, match=f"not {frames} of {seconds:g} s"):
        plan(frames=frames, repetition_time_s=seconds)
