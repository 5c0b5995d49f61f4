"""Fitting twins."""

from dataclasses import replace

import numpy as np
import pytest
from twin_runs import QUICK, connectomes_of, fitted_quickly, slow_and_quick

from bids_dtg.errors import RunError
from bids_dtg.training.loop import Workplace
from bids_dtg.twin.fitting import condition_losses, empty_twin, fit, set_ridges
from bids_dtg.twin.interventions import predicted_functions
from bids_dtg.twin.times import LEAST_Z, observed_times

SMALL = replace(QUICK, units=8, group_epochs=3, group_updates=3, times_updates=3)


def people(number=8):
    segments, takes = slow_and_quick(people=number)
    return connectomes_of(takes), segments


def test_a_finished_training_serves_the_same_people_alone(tmp_path):
    edges, segments = people()
    place = Workplace(tmp_path)
    one = fit(edges, segments, recipe=SMALL, workplace=place)
    again = fit(edges, segments, recipe=SMALL, workplace=place)
    assert again.history == one.history
    swapped = replace(segments.trials, condition=1 - segments.trials.condition)
    for given in ((edges[::-1], segments), (edges, replace(segments, trials=swapped))):
        with pytest.raises(RunError, match="other people, another recipe or another seed"):
            fit(*given, recipe=SMALL, workplace=place)


def test_connectomes_of_other_people_or_with_unknown_values_are_refused():
    edges, segments = people()
    with pytest.raises(ValueError, match=r"shape \(7, 45\), expected \(8, edges\)"):
        fit(edges[:7], segments, recipe=SMALL)
    edges[2, 5] = np.nan
    with pytest.raises(ValueError, match=r"values that are not finite, in rows \[2\]"):
        fit(edges, segments, recipe=SMALL)


@pytest.mark.slow
def test_connectomes_predict_slow_and_quick_people():
    fitted, *_ = fitted_quickly()
    assert fitted.z > LEAST_Z
    assert fitted.twin.differ
    assert list(fitted.history)[:2] == ["group", "times"]
    unseen, new = slow_and_quick(people=20, seed=5)
    found = predicted_functions(fitted, connectomes_of(new, seed=8), unseen)[:, 0]
    assert np.corrcoef(found, new)[0, 1] > 0.7
    assert fitted.perform_group(unseen).shape[0] == 1


def test_a_shut_gate_makes_all_twins_the_group_s():
    edges, segments = people(30)
    twin = empty_twin("lowrank", SMALL, edges.shape[1], segments.tasks)
    times, rng = observed_times(segments), np.random.default_rng(3)
    assert set_ridges(twin, edges, times) > LEAST_Z
    assert twin.differ
    covariates = np.column_stack([times[:, 0], rng.normal(size=30)])
    assert set_ridges(twin, edges, times, covariates) < LEAST_Z
    assert not twin.differ
    assert set_ridges(twin, edges[rng.permutation(30)], times) < LEAST_Z
    assert not twin.differ


@pytest.mark.parametrize("last", [1, 99])  # number of the second condition
def test_losses_of_conditions_are_means_over_steps_of_trials_windows(last):
    segments, _ = slow_and_quick(people=3)
    outputs = np.random.default_rng(0).uniform(0.1, 0.9, segments.action.shape)
    rows, losses = segments.trials, ([], [])
    condition = np.broadcast_to(rows.condition, rows.scored.shape)
    for person, trial in np.argwhere(rows.scored):
        steps = slice(rows.first_step[0, trial], rows.last_step[0, trial] + 1)
        at = person, rows.segment[0, trial], steps
        own, true = outputs[at], segments.action[at]
        loss = -(true * np.log(own) + (1 - true) * np.log(1 - own))
        losses[condition[person, trial]].extend(loss.mean(axis=-1))
    expected = [np.mean(own) for own in losses]
    of = replace(rows, task=np.ones_like(rows.task), condition=last * rows.condition)
    assert condition_losses(outputs, replace(segments, trials=of)) == pytest.approx(expected)


def test_hypernetworks_have_no_group_and_edges_in_sd_of_those_who_train():
    fitted, edges, segments, _ = fitted_quickly("hypernetwork")
    assert fitted.perform_group(segments) is None
    assert (fitted.z, [*fitted.history]) == (None, ["people"])
    training = edges[np.sort(np.random.default_rng((0, 1)).permutation(30)[6:])]
    np.testing.assert_allclose(fitted.twin.edge_mean, training.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(fitted.twin.edge_sd, training.std(axis=0), atol=1e-5)
