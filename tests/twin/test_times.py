"""Mean times and effects, and what connectomes predict of them, against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, RidgeCV
from twin_runs import a_run, a_task, stack_people

from bids_dtg.twin.times import (
    PENALTIES,
    find_gate,
    fit_ridges,
    measures_of,
    observed_measures,
)


def test_means_and_effects_are_those_by_hand():
    task, other_task = a_task("stroop"), a_task("faces")
    rt = np.array([0.5, 0.7, np.nan, 0.9, 1.2, 0.6])
    runs = [
        [a_run(np.arange(2.0, 20.0, 3.0), task=task, rt=rt)],
        [a_run([2.0], task=other_task)],
    ]
    segments = stack_people(runs)
    condition = runs[0][0].condition
    easy, hard = (np.nanmean(rt[condition == level]) for level in (0, 1))
    names = [measure.name for measure in measures_of(segments.tasks)]
    measures = dict(zip(names, observed_measures(segments).T, strict=True))
    assert measures["stroop_rt"][0] == pytest.approx(np.nanmean(rt))
    assert measures["stroop_effect"][0] == pytest.approx(hard - easy)
    assert measures["stroop_rt_sd"][0] == pytest.approx(np.nanstd(rt))
    assert measures["stroop_accuracy"][0] == pytest.approx(runs[0][0].correct.mean())
    assert np.isnan(measures["faces_rt"][0])
    assert np.isnan(measures["faces_rt_sd"][1])  # one response
    assert np.isnan(measures["stroop_rt"][1])


def some_people(seed=0, people=60, edges=90):
    """Return connectomes, times of which the first depends on them, and covariates of both."""
    rng = np.random.default_rng(seed)
    covariates = rng.normal(size=(people, 2))
    connectomes = rng.normal(size=(people, edges)) + covariates @ rng.normal(
        size=(2, edges)
    )
    strength = connectomes[:, :20].sum(axis=1) / 5
    times = np.column_stack([strength + 5 * covariates[:, 0], rng.normal(size=people)])
    return connectomes, times, covariates


def test_weights_are_scikit_learns_of_those_who_have_the_time():
    connectomes, times, _ = some_people()
    times[7, 0] = np.nan
    ridges = fit_ridges(connectomes, times)
    for column, time in enumerate(times.T):
        measured = np.isfinite(time)
        centred = connectomes[measured] - connectomes.mean(axis=0)
        model = RidgeCV(PENALTIES * (centred**2).sum() / measured.sum()).fit(
            centred, time[measured]
        )
        np.testing.assert_allclose(ridges.weights[:, column], model.coef_, atol=1e-8)
    assert ridges.predictable[0]
    predicted = (connectomes - connectomes.mean(axis=0)) @ ridges.weights
    np.testing.assert_allclose(ridges.predict(connectomes), predicted)


def test_covariates_are_taken_out_of_connectomes_and_times():
    connectomes, times, covariates = some_people()

    def rest(values):
        fit = LinearRegression().fit(covariates, values)
        return values - fit.predict(covariates)

    expected = fit_ridges(rest(connectomes), rest(times)).weights
    np.testing.assert_allclose(
        fit_ridges(connectomes, times, covariates).weights, expected
    )
    moved = connectomes + 9 * covariates @ np.ones((2, 90)), times + 9 * covariates
    np.testing.assert_allclose(
        fit_ridges(*moved, covariates).weights, expected, atol=1e-8
    )
    plain, same = (
        find_gate(*data, covariates) for data in ((connectomes, times), moved)
    )
    np.testing.assert_allclose(plain.z, same.z, atol=1e-6)
    assert plain.open.all()
    assert not find_gate(connectomes, 5 * covariates, covariates).open.any()
    assert find_gate(connectomes, 5 * covariates).open.all()


def test_relatives_are_left_out_together():
    """Twins of noise know each other's times, and nobody else's."""
    rng = np.random.default_rng(0)
    connectomes, times = rng.normal(size=(40, 300)), rng.normal(size=(40, 2))
    data = np.tile(connectomes, (2, 1)), np.tile(times, (2, 1))
    assert find_gate(*data).open.all()
    assert not find_gate(*data, families=np.tile(np.arange(40), 2)).open.any()


def test_groups_have_gates_of_their_own_also_where_people_lack_measures():
    connectomes, times, _ = some_people()
    alone = find_gate(connectomes, times, groups=2)
    assert alone.open.tolist() == [True, False]
    times[:15, 1], times[40:, 0] = np.nan, np.nan
    gate = find_gate(connectomes, times, groups=2)
    assert gate.open.tolist() == [True, False]
    assert not find_gate(connectomes[::-1], times, groups=2).open.any()


@pytest.mark.slow
def test_gates_open_for_one_in_a_hundred_connectomes_without_information():
    rng = np.random.default_rng(0)
    times = rng.normal(size=(40, 2))
    opened = [
        find_gate(rng.normal(size=(40, 60)), times).open.all() for _ in range(200)
    ]
    assert sum(opened) <= 7  # 2 expected; 8 or more in 1 of 1000
