"""Noise ceilings of r over people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_dtg.stats.correlation import correlation
from bids_dtg.twin.judging.behaviour import Answers
from bids_dtg.twin.judging.ceilings import ceilings_of
from bids_dtg.twin.judging.cohort import figures_of
from bids_dtg.twin.tasks import find_task

STROOP = find_task("stroop")
PEOPLE, TRIALS = 2000, 40


def answers(level_sd: float, effect_sd: float, noise: float, seed: int = 0) -> tuple:
    """Return answers of many people, and their true levels and effects."""
    rng = np.random.default_rng(seed)
    condition = np.tile(rng.integers(0, 2, TRIALS), (PEOPLE, 1))
    level, effect = rng.normal(0.8, level_sd, PEOPLE), rng.normal(0.1, effect_sd, PEOPLE)
    rt = level[:, None] + (condition - 0.5) * effect[:, None]
    rt = rt + rng.normal(0.0, noise, rt.shape)
    whole = np.ones(rt.shape, np.bool_)
    return Answers(condition, condition, condition, rt, whole, whole), level, effect


@pytest.mark.parametrize(("level_sd", "effect_sd", "noise"), [(0.03, 0.03, 0.1), (0.1, 0.02, 0.1)])
def test_the_ceiling_is_the_r_of_the_truth_with_what_was_observed(level_sd, effect_sd, noise):
    own, level, effect = answers(level_sd, effect_sd, noise)
    found = ceilings_of(own, STROOP, draws=50)
    for ceiling, truth, observed in zip(
        found, (level, effect), figures_of(own, STROOP), strict=True
    ):
        assert ceiling.people == PEOPLE
        assert ceiling.r.mean == pytest.approx(float(correlation(truth, observed)), abs=0.05)
        assert ceiling.r.low < ceiling.r.mean < ceiling.r.high
        assert ceiling.is_low == (ceiling.r.mean < 0.7)
    assert found[1].is_low


def test_halves_that_do_not_agree_have_a_ceiling_of_0():
    own, *_ = answers(0.0, 0.0, 0.2, seed=4)
    (ceiling,) = [c for c in ceilings_of(own, STROOP, draws=50) if c.reliability.mean < 0.01][:1]
    assert ceiling.r.mean == 0.0
    assert ceiling.is_low


def test_trials_that_are_not_judged_do_not_count():
    own, *_ = answers(0.1, 0.0, 0.1)
    scored = np.zeros(own.scored.shape, np.bool_)
    scored[:, :20] = True
    some = ceilings_of(replace(own, scored=scored), STROOP, draws=50)[0]
    moved = np.where(scored, own.rt_seconds, np.random.default_rng(1).uniform(0, 2, scored.shape))
    again = ceilings_of(replace(own, scored=scored, rt_seconds=moved), STROOP, draws=50)[0]
    assert some.r == again.r
    assert some.r.mean < ceilings_of(own, STROOP, draws=50)[0].r.mean
