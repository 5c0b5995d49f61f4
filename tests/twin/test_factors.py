"""Codes of people, and what connectomes say of them."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge
from twin_runs import slow_and_quick

from bids_dtg.twin.adjustment import Adjustment, Covariates
from bids_dtg.twin.factors import (
    PENALTIES,
    PersonFactors,
    find_factors,
    map_factors,
    mean_times,
    observed_times,
)
from bids_dtg.twin.fitting import targets_of
from bids_dtg.twin.judging.cohort import targets_of_people
from bids_dtg.twin.network.main import Sizes, perform
from bids_dtg.twin.network.modulated import ModulatedNetwork
from bids_dtg.twin.network.objective import action_losses


def a_network(segments, seed=0, units=12):
    torch.manual_seed(seed)
    sizes = Sizes(segments.tasks.inputs, units, segments.tasks.buttons)
    return ModulatedNetwork(sizes, rank=3)


def losses(network, modulation, segments):
    targets = targets_of(segments)
    with torch.no_grad():
        outputs = perform(network.weights(torch.as_tensor(modulation).float()), targets.inputs)
        return action_losses(outputs, targets)


def people_of(factors, observed, performed):
    return PersonFactors(factors, np.eye(factors.shape[1]), observed, performed)


def known_by(values):
    """Return people whose factors are their times."""
    return people_of(values, values, values)


def test_people_who_are_in_twice_do_not_predict_each_other():
    """Factors of chance are predicted of people whose copies train, and of nobody else."""
    rng = np.random.default_rng(0)
    connectomes, factors = rng.normal(size=(22, 40)), rng.normal(size=(22, 2))
    twice = known_by(np.concatenate([factors, factors]))
    both = np.concatenate([connectomes, 2 * connectomes - connectomes])
    torn = map_factors(both, twice)
    together = map_factors(both, replace(twice, families=np.tile(np.arange(22), 2)))
    assert torn.z > 4
    assert together.z < 2
    alone = map_factors(both, replace(twice, families=np.arange(44)))
    assert alone.z == torn.z


@pytest.mark.slow
@given(st.integers(8, 16), st.integers(1, 30), st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_factors_are_those_of_a_ridge_regression_of_times_or_of_the_group(people, edges, seed):
    rng = np.random.default_rng(seed)
    connectomes = rng.normal(size=(people, edges))
    times = np.column_stack([connectomes[:, 0] + rng.normal(0.0, 0.1, people), rng.random(people)])
    performed = times / 2 + rng.normal(0.0, 0.1, times.shape)
    factors = performed @ rng.normal(size=(2, 4)) + rng.normal(0.0, 0.1, (people, 4))
    found = map_factors(connectomes, people_of(factors, times, performed))
    if not found.weights.any():
        return
    centred = connectomes - connectomes.mean(axis=0)
    alphas = found.penalties * np.linalg.eigvalsh(centred @ centred.T).mean()
    predicted = Ridge(alphas).fit(connectomes, times).predict(connectomes) - times.mean(axis=0)
    expected = predicted @ LinearRegression().fit(performed, factors).coef_.T
    assert np.allclose(found.predict(connectomes), expected)


@pytest.mark.slow
def test_people_are_predicted_by_others_who_choose_the_penalties_too():
    rng = np.random.default_rng(0)
    connectomes = rng.normal(size=(23, 9))
    values = connectomes[:, :3] @ rng.normal(size=(3, 2)) + rng.normal(size=(23, 2))
    agreement, fold = np.zeros(23), np.random.default_rng(0).permutation(23) % 5
    for number in range(5):
        own, others = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        edges = connectomes[others] - connectomes[others].mean(axis=0)
        scale = np.linalg.eigvalsh(edges @ edges.T).mean()
        for column in range(2):
            gains = [gain_of(alpha, edges, values[others, column]) for alpha in PENALTIES * scale]
            if not max(gains) > 0:
                continue
            ridge = Ridge(scale * PENALTIES[int(np.argmax(gains))])
            ridge.fit(edges, values[others, column])
            left = connectomes[own] - connectomes[others].mean(axis=0)
            mean, sd = values[others, column].mean(), values[others, column].std()
            observed = (values[own, column] - mean) / values[:, column].std()
            agreement[own] += (ridge.predict(left) - mean) / sd * observed
    found = map_factors(connectomes, known_by(values))
    assert found.z == pytest.approx(agreement.sum() / np.sqrt((agreement**2).sum()))


def gain_of(alpha, edges, values):
    """Return what leave-one-out gains with a penalty."""
    fit = Ridge(alpha).fit(edges, values)
    centred = edges - edges.mean(axis=0)
    share = np.linalg.solve(centred.T @ centred + alpha * np.eye(edges.shape[1]), centred.T)
    leverage = (centred * share.T).sum(axis=1) + 1 / len(edges)
    left_out = (values - fit.predict(edges)) / (1 - leverage)
    return ((values - values.mean()) ** 2).sum() - (left_out**2).sum()


@pytest.mark.slow
def test_white_noise_makes_people_differ_in_one_of_twenty_draws_at_most():
    """As many factors as in a model of 120 people: directions that fit noise could be found."""
    differ = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        factors = np.linalg.qr(rng.normal(size=(120, 97)))[0] * np.geomspace(10.0, 0.1, 97)
        times = factors[:, :4] + rng.normal(0.0, 0.1, (120, 4))
        people = people_of(factors, times, factors[:, :4])
        found = map_factors(rng.normal(size=(120, 400)), people)
        differ += bool(found.predict(rng.normal(size=(200, 400))).any())
    assert differ <= 1  # by chance one in a hundred


def test_connectomes_of_others_make_nobody_differ():
    rng = np.random.default_rng(0)
    traits = np.linalg.qr(rng.normal(size=(80, 6)))[0]
    connectomes = traits[:, :2] @ rng.normal(size=(2, 200)) + rng.normal(0.0, 0.05, (80, 200))
    people = known_by(traits)
    assert map_factors(connectomes, people).weights.any()
    for others in permuted(people, 5):
        assert not map_factors(connectomes, others).weights.any()


def permuted(people, number):
    """Yield the people in other orders than their connectomes."""
    rng = np.random.default_rng(0)
    for _ in range(number):
        yield people.of_rows(rng.permutation(len(people.factors)))


def test_each_time_has_a_penalty_of_its_own():
    """Times that connectomes do not predict leave the predictions of others as they are."""
    rng = np.random.default_rng(0)
    connectomes, noise = rng.normal(size=(100, 30)), rng.normal(size=100)
    known = connectomes[:, [0]] + 0.5 * noise[:, None]
    alone = map_factors(connectomes, known_by(known)).penalties
    both = np.column_stack([known, 100 * rng.normal(size=100)])
    with_noise = map_factors(connectomes, known_by(both))
    assert with_noise.penalties[0] == alone[0]
    assert with_noise.penalties[1] > alone[0]


def confounded(seed, people=60, edges=90, columns=2):
    """Return connectomes, times and covariates that both depend on."""
    rng = np.random.default_rng(seed)
    covariates = rng.normal(size=(people, columns))
    connectomes = rng.normal(size=(people, edges)) + covariates @ rng.normal(size=(columns, edges))
    own = connectomes[:, :20].sum(axis=1) / 5
    times = np.column_stack([own + 5 * covariates[:, 0], rng.normal(size=people)])
    return connectomes, times, covariates


@pytest.mark.slow
@given(st.integers(0, 999), st.floats(-30, 30))
@settings(max_examples=10, deadline=None)
def test_what_covariates_add_to_connectomes_times_and_factors_changes_no_map(seed, size):
    connectomes, times, covariates = confounded(seed)
    sites = np.eye(3)[np.random.default_rng(seed).integers(3, size=60)]  # depend on each other
    covariates, rng = np.hstack([covariates, sites]), np.random.default_rng(seed + 1)
    times[7, 1] = np.nan

    def moved(values):
        return values + size * covariates @ rng.normal(size=(5, values.shape[1]))

    factors = np.nan_to_num(times)
    people = replace(people_of(factors, times, factors), covariates=covariates)
    others = replace(
        people, factors=moved(factors), observed=moved(times), performed=moved(factors)
    )
    one, other = map_factors(connectomes, people), map_factors(moved(connectomes), others)
    assert np.allclose(one.ridge, other.ridge, atol=1e-5)
    assert np.array_equal(one.penalties, other.penalties)
    assert one.z == pytest.approx(other.z, abs=1e-4)


def test_factors_are_as_large_as_people_differ_whatever_covariates_add():
    connectomes, times, covariates = confounded(2, people=120)
    rest = times - covariates @ np.linalg.lstsq(covariates, times, rcond=None)[0]
    large = times + 20 * covariates[:, :1]
    people = replace(people_of(large, large, large), covariates=covariates)
    found = map_factors(connectomes, people)
    alone = map_factors(connectomes, replace(people_of(rest, rest, rest), covariates=covariates))
    assert np.allclose(found.ridge, alone.ridge, atol=1e-6)
    assert found.z == pytest.approx(alone.z, abs=0.2)


def test_a_time_that_people_lack_is_no_residual_of_their_covariates():
    connectomes, times, covariates = confounded(4, people=120)
    some = np.arange(120) % 4 == 0
    lacking = times + 10 * covariates[:, :1]
    lacking[some, 0] = np.nan
    people = replace(people_of(times, lacking, times), covariates=covariates)
    known = ~some
    fixed = np.column_stack([np.ones(120), covariates])
    level = np.linalg.lstsq(fixed[known], lacking[known, 0], rcond=None)[0]
    filled = lacking.copy()
    filled[some, 0] = fixed[some] @ level
    expected = map_factors(connectomes, replace(people, observed=filled))
    assert np.allclose(map_factors(connectomes, people).ridge, expected.ridge, atol=1e-8)


@pytest.mark.slow
def test_leaving_people_out_leaves_their_covariates_out_too():
    """The penalty is that of least squares with a ridge on edges alone, each person left out."""
    connectomes, times, covariates = confounded(3, people=24, edges=30)
    people = replace(people_of(times, times, times), covariates=covariates)
    found = map_factors(connectomes, people)
    fixed = np.column_stack([np.ones(24), covariates])
    without = np.eye(24) - fixed @ np.linalg.pinv(fixed)
    edges = without @ connectomes
    scale = np.linalg.eigvalsh(edges @ edges.T).mean()

    def left_out(time, alpha):
        total = 0.0
        for person in range(24):
            rest = np.arange(24) != person
            ones = fixed[rest]
            out = np.eye(23) - ones @ np.linalg.pinv(ones)
            x, y = out @ connectomes[rest], out @ time[rest]
            slopes = np.linalg.solve(x.T @ x + alpha * np.eye(30), x.T @ y)
            level = np.linalg.lstsq(ones, time[rest] - connectomes[rest] @ slopes, rcond=None)[0]
            total += (time[person] - connectomes[person] @ slopes - fixed[person] @ level) ** 2
        return total

    for column, time in enumerate(times.T):
        losses = [left_out(time, alpha) for alpha in PENALTIES * scale]
        power = ((without @ time) ** 2).sum()
        best = PENALTIES[int(np.argmin(losses)) if min(losses) < power else -1]
        assert found.penalties[column] == pytest.approx(best)


@pytest.mark.slow
def test_covariates_that_rule_times_hide_nothing_and_reveal_nothing():
    connectomes, times, covariates = confounded(0, people=120)
    at_mean = Adjustment.fit(connectomes, Covariates(("a", "b"), covariates))
    edges = at_mean.apply(connectomes, Covariates(("a", "b"), covariates))
    people = people_of(times, times, times)
    given = replace(people, covariates=covariates)
    assert map_factors(edges, given).z > 4
    assert map_factors(edges, people).z < 4
    assert sum(map_factors(edges, others).z > 2.326 for others in permuted(given, 20)) <= 1


def test_times_that_are_all_of_covariates_make_nobody_differ():
    connectomes, _, covariates = confounded(1)
    times = 0.3 + covariates @ np.array([[0.2], [-0.1]])
    people = replace(people_of(times, times, times), covariates=covariates)
    assert not map_factors(connectomes, people).weights.any()


def test_the_only_person_of_a_site_decides_nothing():
    connectomes, times, _ = confounded(5)
    alone = np.zeros((60, 1))
    alone[7] = 1.0
    others = np.arange(60) != 7
    rest = map_factors(connectomes[others], people_of(*[times[others]] * 3)).ridge
    people = replace(people_of(times, times, times), covariates=alone)
    found = map_factors(connectomes, people).ridge
    assert np.corrcoef(found[:, 0], rest[:, 0])[0, 1] > 0.99


def test_times_that_some_people_lack_count_as_the_mean():
    rng = np.random.default_rng(0)
    connectomes = rng.normal(size=(60, 20))
    times = connectomes[:, :2] + rng.normal(0.0, 0.1, (60, 2))
    lacking, filled = times.copy(), times.copy()
    lacking[3, 1], filled[3, 1] = np.nan, np.delete(times[:, 1], 3).mean()
    one, other = (
        map_factors(connectomes, people_of(times, own, own)).ridge for own in (lacking, filled)
    )
    assert one.any()
    assert np.allclose(one, other)


def test_connectomes_without_edges_say_nothing():
    found = map_factors(np.zeros((5, 0)), known_by(np.random.default_rng(0).normal(size=(5, 2))))
    assert np.array_equal(found.predict(np.zeros((3, 0))), np.zeros((3, 2)))
    assert found.z == 0


@pytest.mark.parametrize("seed", range(3))
def test_factors_do_not_correlate_and_lower_the_loss_of_their_people(seed):
    segments, takes = slow_and_quick()
    network = a_network(segments, seed)
    found = find_factors(network, segments, number=5, prior=0.1)
    variance = np.cov(found.factors.T)
    assert np.allclose(variance, np.diag(np.diagonal(variance)), atol=1e-6 * variance.max())
    assert (np.diff(np.diagonal(variance)) <= 0).all()  # by what responses say of them
    assert np.allclose(found.factors.mean(axis=0), 0.0, atol=1e-9)
    own = losses(network, found.factors @ found.directions.T * 0.5, segments)
    group = losses(network, np.zeros((12, network.modulations)), segments)
    assert (own < group).float().mean() > 0.8
    # The strongest factor separates slow from quick people.
    strongest = np.abs(np.corrcoef(found.factors.T, takes)[-1, :-1]).max()
    assert strongest > 0.95


def test_networks_of_own_factors_take_as_long_as_people():
    segments, _ = slow_and_quick()
    # Untrained, as others; in this one times follow what is likely in each step.
    found = find_factors(a_network(segments, 1), segments, number=5, prior=0.1)
    assert np.corrcoef(found.observed[:, 0], found.performed[:, 0])[0, 1] > 0.8


def test_people_without_trials_are_the_groups_network():
    segments, _ = slow_and_quick(people=6)
    scored = segments.trials.scored.copy()
    scored[:2] = False
    none = replace(segments, trials=replace(segments.trials, scored=scored))
    found = find_factors(a_network(segments), none, number=3, prior=0.1)
    assert np.isfinite(found.factors).all()
    assert np.array_equal(found.factors[0], found.factors[1])
    assert not np.array_equal(found.factors[0], found.factors[2])


def test_people_of_one_sequence_have_the_factors_of_people_each_with_their_own():
    segments, _ = slow_and_quick(people=5)
    network = a_network(segments)
    alike = find_factors(network, segments, number=3, prior=0.1)
    apart = find_factors(network, repeated(segments), number=3, prior=0.1)
    one, other = (found.factors @ found.directions.T for found in (alike, apart))
    assert np.allclose(one, other, atol=2e-3 * np.abs(one).max())


def test_progress_is_reported_while_factors_are_computed():
    segments, _ = slow_and_quick(people=11)
    lines = []
    find_factors(
        a_network(segments),
        repeated(segments),
        number=3,
        prior=0.1,
        report=lines.append,
    )
    assert lines[0] == "sequences of 10 of 11 participants"
    assert lines[-1] == "latent factors: step 7 of 7"


def repeated(segments):
    """Return the same segments, with what is seen stored once a person."""
    people = len(segments.action)

    def each(holder):
        return {
            f.name: np.repeat(value, people, axis=0)
            for f in fields(holder)
            if isinstance(value := getattr(holder, f.name), np.ndarray) and len(value) == 1
        }

    trials = replace(segments.trials, **each(segments.trials))
    return replace(segments, **each(segments), trials=trials)


def test_there_are_no_more_factors_than_informative_directions():
    segments, _ = slow_and_quick(people=4)
    network = a_network(segments)
    one, all_of_them = (
        find_factors(network, segments, number=number, prior=1.0).factors.shape[1]
        for number in (1, 500)
    )
    assert one == 1
    assert 30 < all_of_them < network.modulations  # a channel that is never on says nothing


def test_times_are_the_figures_that_twins_are_judged_by():
    segments, _ = slow_and_quick(people=5)
    assert np.allclose(observed_times(segments), targets_of_people(segments))


def test_trials_that_are_not_scored_or_not_answered_do_not_count():
    segments, _ = slow_and_quick(people=4)
    rows = segments.trials
    some = np.arange(rows.scored.shape[1]) > 2
    fewer = replace(segments, trials=replace(rows, scored=rows.scored & some))
    unanswered = np.where(some, rows.rt_seconds, np.nan)
    assert np.array_equal(observed_times(fewer), mean_times(unanswered, segments))
    assert not np.array_equal(observed_times(fewer), observed_times(segments))
    assert np.isnan(mean_times(np.full(rows.rt_seconds.shape, np.nan), segments)).all()
