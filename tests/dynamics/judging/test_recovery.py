from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from bids_dtg.dynamics.judging.recovery import left_out, recover

PEOPLE, REGIONS = 8, 60
WHOSE = np.repeat(np.arange(PEOPLE), REGIONS)


def posteriors(rng, width=0.2, parameters=2):
    """Draw standard normal parameters and posteriors that know them by `width`, calibrated."""
    truth = rng.standard_normal((len(WHOSE), parameters))
    precision = 1 + 1 / width**2
    data = truth + width * rng.standard_normal(truth.shape)
    mean = data / width**2 / precision
    return truth, mean, np.full_like(mean, precision**-0.5)


@settings(max_examples=10)
@given(st.floats(-10, 10), st.floats(0.1, 10), st.booleans(), st.integers(0, 100))
def test_known_values_are_recovered_in_any_unit(shift, scale, flipped, seed):
    rng = np.random.default_rng(seed)
    mean = rng.standard_normal((len(WHOSE), 2))
    true = shift + (-scale if flipped else scale) * (mean[:, 0] + 0.5 * mean[:, 1])
    found = recover(true, mean, np.full_like(mean, 1e-4), rng=rng, people=WHOSE)
    assert found.rho > 0.999
    assert found.rho_left_out > 0.999
    assert found.rho_sd < 0.001
    assert found.number == len(WHOSE)
    assert found.coverage == 1
    assert found.coverage_with_residual == 1


@pytest.mark.parametrize("width", [0.1, 0.5, 1.0])
def test_calibrated_posteriors_hold_nine_in_ten(width):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(8):
        truth, mean, sd = posteriors(rng, width)
        found.append(recover(3 * truth[:, 0] - 1, mean, sd, rng=rng, people=WHOSE))
    assert np.mean([each.coverage for each in found]) == pytest.approx(0.9, abs=0.02)
    residual = np.mean([each.coverage_with_residual for each in found])
    assert residual == pytest.approx(0.9, abs=0.025)
    assert np.mean([each.rho for each in found]) == pytest.approx(1 / (1 + width**2), abs=0.05)


def test_too_narrow_posteriors_are_seen_and_mended_by_the_residual():
    rng = np.random.default_rng(1)
    truth, mean, sd = posteriors(rng, 0.5)
    found = recover(truth[:, 0], mean, sd / 5, rng=rng, people=WHOSE)
    assert found.coverage < 0.4
    assert found.coverage_with_residual == pytest.approx(0.9, abs=0.03)


def test_too_wide_posteriors_are_seen():
    rng = np.random.default_rng(2)
    truth, mean, sd = posteriors(rng, 0.3)
    found = recover(truth[:, 0], mean, 3 * sd, rng=rng, people=WHOSE)
    assert found.coverage > 0.99
    assert found.coverage_with_residual > 0.99


def test_posteriors_that_know_nothing_recover_nothing():
    rng = np.random.default_rng(3)
    truth = rng.standard_normal(len(WHOSE))
    prior = recover(
        truth, rng.normal(0, 0.01, (len(WHOSE), 2)), np.ones((480, 2)), rng=rng, people=WHOSE
    )
    assert abs(prior.rho) < 0.02
    same = recover(truth, np.zeros((480, 2)), np.ones((480, 2)), rng=rng, people=WHOSE)
    assert same.rho == same.rho_left_out == 0


def test_shuffled_truth_is_not_recovered():
    rng = np.random.default_rng(4)
    truth, mean, sd = posteriors(rng)
    kept = recover(truth[:, 0], mean, sd, rng=rng, people=WHOSE)
    found = recover(rng.permutation(truth[:, 0]), mean, sd, rng=rng, people=WHOSE)
    assert kept.rho > 0.9
    assert abs(found.rho) < 0.15
    assert abs(found.rho_left_out) < 0.15
    assert found.coverage < 0.3
    assert found.coverage_with_residual == pytest.approx(0.9, abs=0.03)


def test_a_person_is_projected_without_themselves():
    rng = np.random.default_rng(5)
    mean = rng.standard_normal((len(WHOSE), 1))
    # Only the last person's values follow the means: what the others know does not help.
    true = np.where(WHOSE == PEOPLE - 1, 10 * mean[:, 0], rng.standard_normal(len(WHOSE)))
    found = recover(true, mean, np.full_like(mean, 1e-6), rng=rng, people=WHOSE)
    assert found.rho_left_out < found.rho - 0.1


def test_each_point_is_projected_by_the_others_regression():
    rng = np.random.default_rng(9)
    truth, mean, sd = posteriors(rng, 0.5)
    found = left_out(truth[:, 0], mean, sd, people=WHOSE)
    for person in (0, PEOPLE - 1):
        mine = person == WHOSE
        design = np.column_stack([np.ones((~mine).sum()), mean[~mine]])
        weights = np.linalg.lstsq(design, truth[~mine, 0], rcond=None)[0]
        assert np.allclose(found.value[mine], weights[0] + mean[mine] @ weights[1:])
        assert np.allclose(found.slopes[mine], weights[1:])
        assert np.allclose(found.sd[mine], np.sqrt(sd[mine] ** 2 @ weights[1:] ** 2))
    assert (found.wide_sd >= found.sd).all()


def test_rho_is_that_of_projected_samples():
    rng = np.random.default_rng(6)
    truth, mean, sd = posteriors(rng, parameters=1)
    found = recover(truth[:, 0], mean, sd, rng=rng, people=WHOSE)
    other = np.random.default_rng(7)
    plain = [
        spearmanr(truth[:, 0], (mean + sd * other.standard_normal(mean.shape))[:, 0]).statistic
        for _ in range(100)
    ]
    assert found.rho == pytest.approx(np.mean(plain), abs=0.005)
    assert found.rho_sd == pytest.approx(np.std(plain), rel=0.3)


def test_values_of_people_are_points_of_their_own():
    mean = np.linspace(-1, 1, PEOPLE)[:, None]
    true = np.linspace(0, 0.7, PEOPLE)
    found = recover(true, mean, np.full_like(mean, 1e-3), rng=np.random.default_rng(8))
    assert (found.number, found.coverage) == (PEOPLE, 1)
    assert found.rho == pytest.approx(1)


@pytest.mark.parametrize(
    ("true", "mean", "people", "fact"),
    [
        (np.zeros((2, 3)), np.zeros((2, 3)), None, r"true is \(points,\)"),
        (np.zeros(4), np.zeros((3, 1)), None, r"found \(4,\), \(3, 1\)"),
        (np.zeros(4), np.zeros((4, 1)), [1, 2], r"people is \(4,\), found \(2,\)"),
        (np.full(4, np.nan), np.zeros((4, 1)), None, "must be finite"),
        (np.zeros(4), np.zeros((4, 1)), [1, 1, 1, 1], "of one person"),
    ],
)
def test_points_that_cannot_be_compared_are_refused(true, mean, people, fact):
    with pytest.raises(ValueError, match=fact):
        recover(true, mean, mean, rng=np.random.default_rng(0), people=people)
