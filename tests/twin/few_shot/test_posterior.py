"""The posterior of people's effects from some of their trials."""

import numpy as np
import pytest

from bids_dtg.twin.few_shot.posterior import USUAL_FREEDOM, EffectsPrior

TRIALS = 80
SD = np.array([0.25, 0.1, 0.05])
NOISE = np.array([0.2, 0.3])


def people(number, seed, noise=NOISE, freedom=None):
    """Return log times, a basis, groups and true effects of simulated people.

    With freedom, noise is of that Student's t.
    """
    rng = np.random.default_rng(seed)
    groups = np.broadcast_to(np.arange(TRIALS) % 2, (number, TRIALS))
    basis = np.stack([np.ones(TRIALS), groups[0] - 0.5, np.linspace(-1.7, 1.7, TRIALS)], axis=-1)[
        None
    ]
    effects = SD * rng.normal(size=(number, 3))
    size = (number, TRIALS)
    drawn = rng.normal(size=size) if freedom is None else rng.standard_t(freedom, size)
    return effects @ basis[0].T + np.asarray(noise)[groups] * drawn, basis, groups, effects


def first(times, number):
    return np.where(np.arange(TRIALS) < number, times, np.nan)


def learnt(seed=0, freedom=None):
    times, basis, groups, _ = people(400, seed, freedom=freedom)
    return EffectsPrior.learn(times, basis, groups, 2)


@pytest.mark.slow
def test_variances_are_those_that_training_people_were_made_with():
    prior = learnt()
    assert np.allclose(np.sqrt(np.diag(prior.covariance)), SD, rtol=0.15)
    assert np.allclose(np.sqrt(prior.noise), NOISE, rtol=0.1)


@pytest.mark.slow
def test_intervals_cover_the_true_effects_as_often_as_they_say():
    prior = learnt()
    times, basis, groups, effects = people(400, 1)
    for number in (10, 40):
        found = prior.posterior(first(times, number), basis, groups)
        sd = np.sqrt(np.diagonal(found.covariance, axis1=1, axis2=2))
        within = (np.abs(effects - found.mean) < 1.96 * sd).mean(axis=0)
        assert (within > 0.9).all(), (number, within)
        assert (within < 0.99).all(), (number, within)


@pytest.mark.slow
def test_nothing_known_leaves_the_prior_and_more_trials_narrow_it():
    prior = learnt()
    times, basis, groups, _ = people(5, 2)
    none = prior.posterior(first(times, 0), basis, groups)
    assert np.allclose(none.mean, 0)
    assert np.allclose(none.covariance, prior.covariance)
    spread = [
        np.trace(prior.posterior(first(times, n), basis, groups).covariance[0]) for n in (0, 10, 40)
    ]
    assert spread[0] > spread[1] > spread[2]


@pytest.mark.slow
def test_one_far_trial_hardly_moves_a_person_where_others_have_such_trials():
    prior, normal = learnt(freedom=3), learnt()
    times, basis, groups, _ = people(1, 3)
    few = first(times, 20)
    far = few.copy()
    far[0, 5] += 3.0
    moved = [
        np.diff([each.posterior(values, basis, groups).mean[0, 0] for values in (few, far)])[0]
        for each in (prior, normal)
    ]
    assert abs(moved[0]) < 0.06
    assert abs(moved[0]) < 0.6 * abs(moved[1])


@pytest.mark.slow
@pytest.mark.parametrize(("freedom", "least", "most"), [(3, 3, 4), (8, 5, 13), (None, 30, 100)])
def test_how_much_far_trials_count_is_learned(freedom, least, most):
    assert least <= learnt(freedom=freedom).freedom <= most


@pytest.mark.slow
def test_noisier_people_are_no_far_trials():
    times, basis, groups, _ = people(400, 0)
    own = np.exp(np.random.default_rng(1).normal(0.0, 0.5, (400, 1)))
    assert EffectsPrior.learn(times * own, basis, groups, 2).freedom > 20


def test_few_trials_say_nothing_of_far_ones():
    times, basis, groups, _ = people(200, 0, freedom=3)
    for number in (2, 6):
        found = EffectsPrior.learn(first(times, number), basis, groups, 2)
        assert found.freedom == USUAL_FREEDOM
    whole = people(2, 0)[0]
    assert EffectsPrior.learn(whole, basis, groups[:2], 2).freedom == USUAL_FREEDOM


@pytest.mark.slow
def test_noisy_people_have_more_own_noise():
    prior = learnt()
    quiet, basis, groups, _ = people(50, 4, NOISE / 2)
    noisy = people(50, 4, NOISE * 2)[0]
    own = [prior.posterior(first(times, 40), basis, groups).noise for times in (quiet, noisy)]
    assert own[0].max() < own[1].min()


@pytest.mark.slow
def test_people_of_own_sequences_have_the_posterior_of_one_sequence():
    prior = learnt()
    times, basis, groups, _ = people(6, 5)
    one = prior.posterior(first(times, 20), basis, groups)
    each = prior.posterior(first(times, 20), np.repeat(basis, 6, axis=0), groups)
    assert np.allclose(one.mean, each.mean)
    assert np.allclose(one.covariance, each.covariance)
    again = EffectsPrior.learn(times, np.repeat(basis, 6, axis=0), groups, 2)
    assert np.allclose(again.covariance, EffectsPrior.learn(times, basis, groups, 2).covariance)


def test_draws_have_mean_and_covariance_of_the_posterior():
    prior = learnt()
    times, basis, groups, _ = people(2, 6)
    found = prior.posterior(first(times, 10), basis, groups)
    draws = found.draws(20000, seed=1)
    assert np.allclose(draws.mean(axis=0), found.mean, atol=0.01)
    assert np.cov(draws[:, 0].T) == pytest.approx(found.covariance[0], abs=0.002)
