"""Scores of predicted responses: properties, other software, and the open TCP people."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from sklearn.metrics import brier_score_loss
from tcp_people import BUTTONS, tcp_answers, tcp_folder

from bids_dtg.twin.judging.behaviour import MISS, Answers, figures
from bids_dtg.twin.judging.scores import (
    always_correct,
    by_condition,
    choice_agreement,
    outcome_brier,
    outcome_shares,
    people_fit,
    quantile_table,
    rt_crps,
)

SECONDS = 0.03 + 0.08 * np.arange(25)  # of steps since the onset
TIMES = st.floats(0.1, 1.9)
FEW = settings(max_examples=30)


def answers(rt: np.ndarray, correct: np.ndarray | None = None) -> Answers:
    """Return answers of which half the trials are of either condition; button 0 is correct."""
    answered = np.isfinite(rt)
    correct = answered if correct is None else correct & answered
    pressed = np.where(answered, np.where(correct, 0, 1), MISS)
    condition = np.broadcast_to(np.arange(rt.shape[1]) % 2, rt.shape)
    return Answers(
        condition, np.zeros(rt.shape, int), pressed, rt, correct, np.ones(rt.shape, bool)
    )


def curves(people: int, trials: int, seed: int = 0) -> np.ndarray:
    """Return rising curves that end between 0.8 and 1."""
    rng = np.random.default_rng(seed)
    rising = np.cumsum(rng.random((people, trials, len(SECONDS))), axis=-1)
    return rising / rising[..., -1:] * rng.uniform(0.8, 1.0, (people, trials, 1))


@FEW
@given(said=TIMES, rt=TIMES)
def test_crps_of_a_sure_time_is_its_error(said, rt):
    steps = np.array([said, said + 1e-9, 2.0])
    score = rt_crps(np.array([0.0, 1.0, 1.0]), steps, np.array(rt))
    assert float(score) == pytest.approx(abs(said - rt), abs=1e-6)


@FEW
@given(seed=st.integers(0, 1000), rt=st.floats(-0.2, 2.4))
def test_crps_is_the_integral_of_its_definition(seed, rt):
    curve = curves(1, 1, seed)[0, 0]
    knots, heights = np.append(0.0, SECONDS), np.append(0.0, curve / curve[-1])

    def square(t: float) -> float:
        return (np.interp(t, knots, heights) - (t >= rt)) ** 2

    stretches = np.unique(np.concatenate([knots, [rt, -0.2, 2.4]]))
    pieces = [quad(square, *ends)[0] for ends in pairwise(stretches)]
    assert float(rt_crps(curve, SECONDS, np.array(rt))) == pytest.approx(sum(pieces), abs=1e-7)


@FEW
@given(rt=TIMES, certainty=st.floats(0.01, 1.0))
def test_crps_is_of_the_distribution_given_a_response(rt, certainty):
    curve = curves(1, 1)[0, 0]
    one, other = (rt_crps(c, SECONDS, np.array(rt)) for c in (curve, certainty * curve))
    assert float(one) == pytest.approx(float(other))


def test_crps_is_proper():
    rng = np.random.default_rng(0)
    truth, late = (np.clip((SECONDS - start) / 0.6, 0, 1) for start in (0.5, 0.7))
    rt = rng.uniform(0.5, 1.1, (1, 4000))
    own, other = (rt_crps(curve, SECONDS, rt).mean() for curve in (truth, late))
    assert own == pytest.approx(0.1, abs=0.005)  # a sixth of the width
    assert own < other


def test_no_response_and_no_curve_have_no_crps():
    curve = np.stack([curves(1, 1)[0, 0], np.zeros(len(SECONDS))])
    found = rt_crps(curve, SECONDS, np.array([[np.nan, 0.8], [0.8, np.nan]]))
    np.testing.assert_array_equal(np.isfinite(found), [[False, False], [True, False]])


@FEW
@given(seed=st.integers(0, 1000))
def test_scores_of_a_person_are_the_persons_own(seed):
    rng = np.random.default_rng(seed)
    order, people = rng.permutation(5), curves(5, 6, seed)
    own = answers(rng.uniform(0.3, 1.8, (5, 6)), rng.random((5, 6)) < 0.8)
    moved = Answers(**{name: values[order] for name, values in vars(own).items()})
    for score in (
        lambda c, a: by_condition(rt_crps(c, SECONDS, a.rt_seconds), a, 2),
        lambda c, a: outcome_brier(
            outcome_shares(c[..., -1:] * [0.9, 0.1], a.correct_button), a
        ).mean(axis=1),
        lambda _, a: choice_agreement(np.zeros(6, int), a, buttons=2),
    ):
        np.testing.assert_allclose(score(people[order], moved), score(people, own)[order])
    one, other = (
        quantile_table(c, SECONDS, a, 2) for c, a in [(people, own), (people[order], moved)]
    )
    np.testing.assert_allclose(one.predicted_seconds, other.predicted_seconds)
    np.testing.assert_allclose(one.observed_seconds, other.observed_seconds)


def test_brier_is_sklearns_summed_over_outcomes():
    rng = np.random.default_rng(0)
    rt = np.where(rng.random((1, 500)) < 0.1, np.nan, 0.8)
    own = answers(rt, rng.random(rt.shape) < 0.8)
    shares = rng.dirichlet([5, 2, 1], size=rt.shape)
    happened = [own.correct, ~own.correct & np.isfinite(rt), np.isnan(rt)]
    expected = sum(
        brier_score_loss(outcome[0], shares[0, :, number])
        for number, outcome in enumerate(happened)
    )
    assert outcome_brier(shares, own).mean() == pytest.approx(expected)


def test_outcomes_add_up_and_curves_that_pass_1_are_divided():
    ends = np.array([[0.9, 0.05, 0.01], [0.2, 1.4, 0.0]])
    found = outcome_shares(ends, np.array([[0, 1], [2, 0]]))
    np.testing.assert_allclose(found.sum(axis=-1), 1.0)
    np.testing.assert_allclose(found[0, 0], [0.9, 0.06, 0.04])
    np.testing.assert_allclose(found[0, 1], [1.4 / 1.6, 0.2 / 1.6, 0.0], atol=1e-12)
    np.testing.assert_allclose(found[1, 0, 0], 0.01)


def test_quantiles_are_of_the_mixture_of_those_who_respond():
    start = np.array([[0.4, 0.8], [0.4, 1.0]])  # of a straight rise within 0.2 s
    rise = np.clip((SECONDS - start[..., None]) / 0.2, 0, 1)
    shares = np.array([[1.0, 0.5], [0.25, 1.0]])
    rng = np.random.default_rng(0)
    wanted = [0.1, 0.5, 0.9]
    own = answers(start)
    table = quantile_table(shares[..., None] * rise, SECONDS, own, 2, probabilities=wanted)
    for condition in range(2):
        drawn = [
            np.interp(rng.uniform(size=int(40000 * share)), curve, SECONDS)
            for share, curve in zip(shares[:, condition], rise[:, condition], strict=True)
        ]
        expected = np.quantile(np.concatenate(drawn), wanted)
        assert table.predicted_seconds[condition] == pytest.approx(expected, abs=0.01)
        assert table.observed_seconds[condition] == pytest.approx(
            np.quantile(start[:, condition], wanted)
        )


def test_quantiles_without_trials_are_not_known():
    table = quantile_table(curves(1, 2), SECONDS, answers(np.array([[0.8, 0.9]])), 3)
    assert np.isnan(table.predicted_seconds[2]).all()
    assert np.isnan(table.observed_seconds[2]).all()
    silent = quantile_table(np.zeros((2, 25)), SECONDS, answers(np.array([[0.8, 0.9]])), 2)
    assert np.isnan(silent.predicted_seconds).all()


def test_agreement_with_unknown_buttons_is_what_guessing_is_worth():
    own = answers(np.array([[0.8, 0.8, 0.8, np.nan]]), np.array([[True, False, False, False]]))
    own = replace(own, button=np.where(own.correct, own.button, MISS))  # errors are not known
    assert always_correct(own, buttons=3)[0] == 0.25
    assert choice_agreement(np.array([1, 1, 2, 1]), own, buttons=3)[0] == 0.25  # two of two halves
    assert choice_agreement(np.full(4, MISS), own, buttons=3)[0] == 0.0


def test_agreement_of_known_buttons_is_the_share_of_equal_ones():
    rng = np.random.default_rng(0)
    own = answers(rng.uniform(0.5, 1.0, (3, 40)), rng.random((3, 40)) < 0.7)
    assert choice_agreement(own.button, own, buttons=2) == pytest.approx(np.ones(3))
    assert always_correct(own, buttons=2) == pytest.approx(own.correct.mean(axis=1))


def test_people_without_a_prediction_are_counted():
    wanted = np.linspace(0.6, 1.0, 30)
    predicted = np.where(np.arange(30) < 4, np.nan, 1.5 - wanted)
    wanted[29] = np.nan
    fit = people_fit(predicted, wanted, draws=200)
    assert (fit.people, fit.without) == (25, 4)
    assert fit.r.mean == pytest.approx(-1.0)
    both = slice(4, 29)
    assert fit.error.mean == pytest.approx(np.abs(predicted - wanted)[both].mean())
    assert fit.error.low < fit.error.mean < fit.error.high


@pytest.mark.parametrize(
    ("task", "run", "r", "error", "correct"),
    [
        # Of all 228 people: 0.919 and 0.055 s, 0.878 and 0.073 s; correct 0.958 and 0.938.
        ("faces", "AP", 0.920, 0.054, 0.959),
        ("stroop", "AP", 0.887, 0.071, 0.938),
        ("stroop", "PA", 0.931, 0.049, 0.926),
    ],
)
def test_baselines_of_the_open_people(shared, task, run, r, error, correct):
    buttons = len(BUTTONS[task])
    _, everybody, half = tcp_answers(tcp_folder(shared), task, run)
    kept = figures(everybody).correct[:, 0] >= 1 / buttons
    own = Answers(**{name: values[kept] for name, values in vars(everybody).items()})
    first, second = (replace(own, scored=own.scored & (half[kept] == number)) for number in (1, 2))
    rt = [figures(part).mean_rt_seconds[:, 0] for part in (first, second)]
    fit = people_fit(*rt, draws=500)
    assert fit.without == 0
    assert fit.r.mean == pytest.approx(r, abs=0.002)
    assert fit.r.low > r - 0.08
    assert fit.error.mean == pytest.approx(error, abs=0.001)
    assert always_correct(second, buttons=buttons).mean() == pytest.approx(correct, abs=0.001)
