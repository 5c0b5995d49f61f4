"""Fitting twins."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from twin_runs import QUICK, connectomes_of, fitted_quickly, slow_and_quick

from bids_dtg.errors import RunError
from bids_dtg.training.loop import Workplace
from bids_dtg.twin.fitting import condition_losses, fit
from bids_dtg.twin.interventions import predicted_functions
from bids_dtg.twin.times import observed_measures

SMALL = replace(QUICK, units=8, group_epochs=3, group_updates=3, times_updates=3)


def people(number=8):
    segments, takes = slow_and_quick(people=number)
    return connectomes_of(takes), segments


def test_a_finished_training_serves_the_same_people_alone(tmp_path):
    edges, segments = people()
    place = Workplace(tmp_path)
    finished = fit(edges, segments, recipe=SMALL, workplace=place)
    again = fit(edges, segments, recipe=SMALL, workplace=place)
    assert again.history == finished.history
    swapped = replace(segments.trials, condition=1 - segments.trials.condition)
    for changed in (
        (edges[::-1], segments),
        (edges, replace(segments, trials=swapped)),
    ):
        with pytest.raises(
            RunError, match="other people, another recipe or another seed"
        ):
            fit(*changed, recipe=SMALL, workplace=place)


def test_connectomes_of_other_people_or_with_unknown_values_are_refused():
    edges, segments = people()
    with pytest.raises(ValueError, match=r"shape \(7, 45\), expected \(8, edges\)"):
        fit(edges[:7], segments, recipe=SMALL)
    edges[2, 5] = np.nan
    with pytest.raises(ValueError, match=r"values that are not finite, in rows \[2\]"):
        fit(edges, segments, recipe=SMALL)


@pytest.mark.slow
def test_connectomes_predict_slow_and_quick_people():
    fitted, edges, segments, _ = fitted_quickly()
    assert fitted.gate.open
    assert fitted.twin.differ
    assert list(fitted.history)[:2] == ["group", "times"]
    ridge = fitted.twin.measures(torch.from_numpy(edges))[:, 0].numpy()
    performed = predicted_functions(fitted, edges, segments)[:, 0]
    assert performed.std() > 0.75 * ridge.std()  # unless stretched, 0.69
    unseen, new = slow_and_quick(people=20, seed=5)
    predicted = predicted_functions(fitted, connectomes_of(new, seed=8), unseen)[:, 0]
    assert np.corrcoef(predicted, new)[0, 1] > 0.7
    assert fitted.perform_group(unseen).shape[0] == 1


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["lowrank", "hypernetwork"])
def test_a_shut_gate_makes_all_twins_the_group_s(architecture):
    edges, segments = people(30)
    options = {"architecture": architecture, "recipe": SMALL}
    shuffled = edges[np.random.default_rng(3).permutation(30)]
    fitted = fit(shuffled, segments, **options)
    assert not fitted.gate.open
    assert not fitted.twin.differ
    assert [*fitted.history] == ["group"]
    performed, group = (
        fitted.perform(shuffled, segments),
        fitted.perform_group(segments),
    )
    np.testing.assert_allclose(
        performed, np.broadcast_to(group, performed.shape), atol=1e-6
    )
    covariates = np.column_stack([observed_measures(segments)[:, 0], np.arange(30)])
    assert not fit(edges, segments, covariates=covariates, **options).gate.open


@pytest.mark.parametrize("last", [1, 99])  # number of the second condition
def test_losses_of_conditions_are_means_over_steps_of_trials_windows(last):
    segments, _ = slow_and_quick(people=3)
    outputs = np.random.default_rng(0).uniform(0.1, 0.9, segments.action.shape)
    rows, losses = segments.trials, ([], [])
    condition = np.broadcast_to(rows.condition, rows.scored.shape)
    for person, trial in np.argwhere(rows.scored):
        steps = slice(rows.first_step[0, trial], rows.last_step[0, trial] + 1)
        at = person, rows.segment[0, trial], steps
        output, true = outputs[at], segments.action[at]
        loss = -(true * np.log(output) + (1 - true) * np.log(1 - output))
        losses[condition[person, trial]].extend(loss.mean(axis=-1))
    expected = [np.mean(window) for window in losses]
    of = replace(rows, task=np.ones_like(rows.task), condition=last * rows.condition)
    assert condition_losses(outputs, replace(segments, trials=of)) == pytest.approx(
        expected
    )


def test_published_hypernetworks_have_no_group_and_edges_as_they_are():
    edges, segments = people()
    recipe = replace(
        SMALL, group_epochs=0, hyper_epochs=2, hyper_updates=2, scale_edges=False
    )
    fitted = fit(edges, segments, architecture="hypernetwork", recipe=recipe)
    assert fitted.perform_group(segments) is None
    assert (fitted.gate, [*fitted.history]) == (None, ["people"])
    assert not fitted.twin.edge_mean.any()


@pytest.mark.slow
def test_hypernetworks_start_from_the_group_and_perform_as_people_do():
    fitted, edges, segments, _ = fitted_quickly("hypernetwork")
    assert fitted.gate.open
    assert [(stage, len(epochs)) for stage, epochs in fitted.history.items()] == [
        ("group", 8),
        ("people", 3),
    ]
    np.testing.assert_allclose(fitted.twin.edge_mean, edges.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(fitted.twin.edge_sd, edges.std(axis=0), atol=1e-5)
    lowrank, *_ = fitted_quickly()
    full, low_rank = (twin.perform_group(segments) for twin in (fitted, lowrank))
    np.testing.assert_allclose(full, low_rank, atol=1e-6)
    unseen, new = slow_and_quick(people=20, seed=5)
    predicted = predicted_functions(fitted, connectomes_of(new, seed=8), unseen)[:, 0]
    assert np.corrcoef(predicted, new)[0, 1] > 0.7
