"""Scores of predicted responses: properties, and other software."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from sklearn.metrics import brier_score_loss
from twin_runs import a_run, slow_and_quick, stack_people

from bids_dtg.twin.judging.scores import (
    choice_agreement,
    outcome_brier,
    outcome_shares,
    rt_crps,
)

SECONDS = 0.03 + 0.08 * np.arange(25)  # of steps since the onset
FEW = settings(max_examples=20)


def a_curve(seed: int = 0) -> np.ndarray:
    """Return a rising curve that ends between 0.8 and 1."""
    rng = np.random.default_rng(seed)
    rising = np.cumsum(rng.random(len(SECONDS)))
    return rising / rising[-1] * rng.uniform(0.8, 1.0)


@FEW
@given(seed=st.integers(0, 1000), rt=st.floats(-0.2, 2.4))
def test_crps_is_the_integral_of_its_definition(seed, rt):
    curve = a_curve(seed)
    knots, heights = np.append(0.0, SECONDS), np.append(0.0, curve / curve[-1])

    def square(t: float) -> float:
        return (np.interp(t, knots, heights) - (t >= rt)) ** 2

    stretches = np.unique(np.concatenate([knots, [rt, -0.2, 2.4]]))
    pieces = [quad(square, *ends)[0] for ends in pairwise(stretches)]
    assert float(rt_crps(curve, SECONDS, np.array(rt))) == pytest.approx(
        sum(pieces), abs=1e-7
    )


def test_crps_is_proper_and_of_no_response_and_no_curve_not_known():
    truth, late = (np.clip((SECONDS - start) / 0.6, 0, 1) for start in (0.5, 0.7))
    rt = np.random.default_rng(0).uniform(0.5, 1.1, (1, 4000))
    crps_of_truth, crps_of_late = (
        rt_crps(curve, SECONDS, rt).mean() for curve in (truth, late)
    )
    assert crps_of_truth == pytest.approx(0.1, abs=0.005)  # a sixth of the width
    assert crps_of_truth < crps_of_late
    crps = rt_crps(
        np.stack([truth, 0 * truth]), SECONDS, np.array([[np.nan, 0.8], [0.8, np.nan]])
    )
    np.testing.assert_array_equal(np.isfinite(crps), [[False, False], [True, False]])


def test_brier_is_sklearns_summed_over_outcomes():
    rng = np.random.default_rng(0)
    onset = np.arange(2.0, 1502.0, 3.0)
    rt = np.where(rng.random(500) < 0.1, np.nan, 0.8)
    segments = stack_people([[a_run(onset, rt=rt)]])
    rows, shares = segments.trials, rng.dirichlet([5, 2, 1], size=(1, 500))
    missed = np.isnan(rows.rt_seconds)
    happened = [rows.correct, ~rows.correct & ~missed, missed]
    expected = sum(
        brier_score_loss(outcome[0], shares[0, :, number])
        for number, outcome in enumerate(happened)
    )
    assert outcome_brier(shares, segments).mean() == pytest.approx(expected)


def test_outcomes_add_up_and_curves_that_pass_1_are_divided():
    ends = np.array([[0.9, 0.05, 0.01], [0.2, 1.4, 0.0]])
    shares = outcome_shares(ends, np.array([[0, 1], [2, 0]]))
    np.testing.assert_allclose(shares.sum(axis=-1), 1.0)
    np.testing.assert_allclose(shares[0, 0], [0.9, 0.06, 0.04])
    np.testing.assert_allclose(shares[0, 1], [1.4 / 1.6, 0.2 / 1.6, 0.0], atol=1e-12)


def test_agreement_with_unknown_buttons_is_what_guessing_is_worth():
    run = a_run(
        [2.0, 5.0, 8.0, 11.0], rt=[0.8, 0.8, 0.8, np.nan], button=[0, -1, -1, -1]
    )
    segments = stack_people([[run]])
    right = run.correct_button.astype(int)
    button = np.where(np.arange(4) == 0, 0, (right + 1) % 3)
    agreement = choice_agreement(button, segments)[0]
    np.testing.assert_allclose(agreement, [1.0, 0.5, 0.5, 0.0])
    assert not choice_agreement(np.full(4, -1), segments).any()
    with_buttons, _ = slow_and_quick(people=3)
    np.testing.assert_array_equal(
        choice_agreement(with_buttons.trials.button, with_buttons), 1.0
    )
