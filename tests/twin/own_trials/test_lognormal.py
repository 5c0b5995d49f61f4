"""The hierarchical shifted log-normal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_trials_people import TASK, simulated, with_times
from scipy.stats import multivariate_t, t

from bids_dtg.twin.own_trials.lognormal import SHIFTS, LogNormal, Prior


def sums(values):
    found = np.array([len(values)]), values.mean(), ((values - values.mean()) ** 2).sum()
    return tuple(np.atleast_1d(np.asarray(one, float)) for one in found)


@given(
    seed=st.integers(0, 100),
    count=st.integers(1, 8),
    strength=st.floats(0.1, 5.0),
    shape=st.floats(1.0, 10.0),
)
def test_the_evidence_is_the_density_of_a_multivariate_t(seed, count, strength, shape):
    values = np.random.default_rng(seed).standard_normal(count)
    prior = Prior(0.3, strength, shape, 2.0)
    spread = 2.0 / shape * (np.eye(count) + 1 / strength)
    wanted = multivariate_t.logpdf(values, np.full(count, 0.3), spread, df=2 * shape)
    assert prior.evidence(*sums(values))[0] == pytest.approx(wanted)


def test_the_next_value_has_the_ratio_of_evidences_as_its_density():
    values, prior = np.random.default_rng(0).standard_normal(5), Prior(0.0, 0.5, 3.0, 1.0)
    degrees, centre, scale = prior.predictive(*sums(values))
    both = prior.evidence(*sums(np.append(values, 0.7))) - prior.evidence(*sums(values))
    assert t.logpdf(0.7, degrees, centre, scale) == pytest.approx(both)


def test_priors_are_found_again():
    rng = np.random.default_rng(0)
    variance = 1 / rng.gamma(6.0, 1 / 0.4, 2000)
    level = -0.3 + np.sqrt(variance / 2.0) * rng.standard_normal(2000)
    values = level[:, None] + np.sqrt(variance)[:, None] * rng.standard_normal((2000, 20))
    centre = values.mean(axis=1)
    squares = ((values - centre[:, None]) ** 2).sum(axis=1)
    found = Prior.learn(np.full(2000, 20.0), centre, squares, np.ones(2000))
    assert found.mean == pytest.approx(-0.3, abs=0.02)
    assert found.strength == pytest.approx(2.0, rel=0.15)
    assert found.shape == pytest.approx(6.0, rel=0.2)
    assert found.rate / found.shape == pytest.approx(0.4 / 6, rel=0.1)


@pytest.mark.slow
def test_people_with_later_times_of_the_same_spread_have_a_larger_shift():
    people = simulated(60, 60)

    def mean_shift(later):
        moved = with_times(people, people.answers.rt_seconds + later)
        return LogNormal.learn(moved, TASK).shares @ SHIFTS

    assert mean_shift(0.1) - mean_shift(-0.1) > 0.1
