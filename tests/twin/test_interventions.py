"""Moves along gradients: against finite differences, and the closed form of linear models."""

from dataclasses import astuple, replace

import numpy as np
import pytest
import torch
from scipy.stats import linregress
from twin_runs import QUICK, connectomes_of, fitted_quickly, slow_and_quick

from bids_dtg.twin import interventions
from bids_dtg.twin.bold import fit_bold
from bids_dtg.twin.bold_runs import BoldRun
from bids_dtg.twin.fitting import fit
from bids_dtg.twin.interventions import (
    along,
    evidence_of,
    functions_of,
    gradients_of,
    held_with,
    observed_functions,
    performed_functions,
    permuted_evidence,
    predicted_functions,
    selective,
    sign_of,
    slope_of,
)
from bids_dtg.twin.network import ModulatedNetwork, Sizes, perform
from bids_dtg.twin.times import fit_ridges, observed_measures


def unseen(people=24):
    segments, takes = slow_and_quick(people=people, seed=5)
    return connectomes_of(takes, seed=8), segments


def test_networks_that_do_what_people_do_have_their_functions():
    segments, _ = slow_and_quick(people=5)
    names = [function.name for function in functions_of(segments.tasks)]
    assert names == ["stroop_rt", "stroop_effect", "stroop_accuracy"]
    performed = performed_functions(torch.from_numpy(segments.action), segments).numpy()
    observed = observed_functions(segments)
    np.testing.assert_allclose(performed[:, :2], observed[:, :2], atol=0.08)  # a step
    np.testing.assert_allclose(performed[:, 2], observed[:, 2])
    rows = segments.trials
    share = np.where(rows.scored, rows.correct, 0).sum(axis=1) / rows.scored.sum(axis=1)
    np.testing.assert_allclose(observed[:, 2], share)
    assert [sign_of(function) for function in functions_of(segments.tasks)] == [
        -1,
        -1,
        1,
    ]


@pytest.mark.slow
def test_gradients_are_those_of_finite_differences():
    segments, _ = slow_and_quick(people=2)
    torch.manual_seed(1)
    sizes = Sizes(segments.inputs.shape[-1], 6, segments.action.shape[-1])
    network = ModulatedNetwork(sizes, rank=2).double().requires_grad_(False)
    inputs = torch.from_numpy(segments.inputs).double()

    def functions(modulation):
        outputs = perform(network.weights(modulation), inputs)
        return performed_functions(torch.sigmoid(outputs), segments)

    modulation = 0.1 * torch.randn(2, network.modulations, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        functions, modulation.requires_grad_(), eps=1e-7, atol=1e-4
    )


@pytest.mark.slow
def test_gradients_of_outputs_for_bold_are_those_of_finite_differences(monkeypatch):
    monkeypatch.setattr(interventions, "NOISE", 0.0)
    monkeypatch.setattr(interventions, "COPIES", 1)
    edges, segments = unseen(12)
    rng = np.random.default_rng(0)
    bold = [[BoldRun(rng.normal(size=(60, 2)).astype(np.float32), 0.8)] for _ in edges]
    options = {"architecture": "hypernetwork", "recipe": replace(QUICK, group_epochs=0)}
    fitted = fit(edges, segments, bold=bold, **options)
    assert fitted.twin.sizes.outputs == 3 + 2
    ridges = fit_bold(bold, edges, segments, regions=("V1", "rh-amygdala"))
    fitted = replace(fitted, bold=ridges)
    names = [function.what for function in functions_of(segments.tasks, ridges)]
    assert names == ["rt", "effect", "accuracy", "rh-amygdala"]
    gradients, _ = gradients_of(fitted, edges, segments)
    for row in (2, 3):  # untrained twins have no times
        move = 0.02 * gradients[row] / np.linalg.norm(gradients[row])
        ends = [
            predicted_functions(fitted, edges + by * move, segments)[:, row]
            for by in (-1, 1)
        ]
        assert (ends[1] - ends[0]).mean() / 2 == pytest.approx(
            gradients[row] @ move, rel=0.05
        )
    observed = observed_functions(segments, ridges, bold)[:, 3]
    assert np.isfinite(observed).all()


@pytest.mark.slow
def test_along_is_the_direction_between_people_for_a_linear_model():
    """Covariance of connectomes with the predicted function, over its SD."""
    fitted, *_ = fitted_quickly()
    edges, segments = unseen()
    gradients, by_measures = gradients_of(fitted, edges, segments)
    measures = fitted.twin.measures(torch.from_numpy(edges)).double().numpy()
    for row in (0, 1):
        function = measures @ by_measures[row]
        centred = edges - edges.mean(axis=0, dtype=np.float64)
        between = centred.T @ (function - function.mean()) / (len(edges) - 1)
        expected = between / function.std(ddof=1)
        np.testing.assert_allclose(along(gradients[row], edges), expected, atol=1e-6)


def test_a_selective_move_changes_its_function_and_holds_others():
    rng = np.random.default_rng(0)
    edges = rng.normal(size=(60, 9)) @ rng.normal(size=(9, 30))
    gradients = rng.normal(size=(4, 30))
    delta = selective(gradients, 1, [0, 3], edges)
    np.testing.assert_allclose(gradients[[0, 3]] @ delta, 0.0, atol=1e-6)
    whole = along(gradients[1], edges)
    assert 0 < gradients[1] @ delta < gradients[1] @ whole
    np.testing.assert_allclose(selective(gradients, 1, [], edges), whole)
    names = functions_of(slow_and_quick(people=1)[0].tasks)
    assert [held_with(names, row) for row in range(3)] == [[], [0], []]


def test_a_slope_is_that_of_least_squares_over_people_who_have_both():
    rng = np.random.default_rng(0)
    x = rng.normal(size=50)
    y = 0.6 * x + rng.normal(size=50)
    x[3], y[4] = np.nan, np.nan
    slope, fit = slope_of(x, y), linregress(np.delete(x, [3, 4]), np.delete(y, [3, 4]))
    assert (slope.value, slope.r) == pytest.approx((fit.slope, fit.rvalue))
    assert slope.people == 48
    assert slope.low == pytest.approx(fit.slope - 2 * fit.stderr, abs=0.1)
    assert slope.high == pytest.approx(fit.slope + 2 * fit.stderr, abs=0.1)
    assert slope.why_not == ""
    copies = [np.tile(values, 2) for values in (x, y, np.arange(50))]
    np.testing.assert_allclose(astuple(slope_of(*copies)), astuple(slope))


@pytest.mark.parametrize(
    ("x", "y", "why"),
    [
        (
            np.arange(9.0),
            np.arange(9.0),
            "9 people outside the training set, 10 are needed",
        ),
        (np.arange(40.0), np.tile([0.0, 1.0], 20), "are not correlated over people"),
        (np.ones(40), np.arange(40.0), "are not correlated over people"),
        (1 + 1e-8 * np.arange(40), np.arange(40.0), "are not correlated over people"),
    ],
)
def test_changes_are_not_calibrated_without_a_slope(x, y, why):
    assert why in slope_of(x, y).why_not


@pytest.mark.slow
def test_evidence_is_larger_than_with_permuted_behaviour_where_connectomes_say_something():
    segments, takes = slow_and_quick(people=40)
    training, times = connectomes_of(takes), observed_measures(segments)[:, :2]
    edges, unseen_segments = unseen()
    observed, gradients = observed_functions(unseen_segments), np.eye(3, 2)

    def share(connectomes):
        """Return how many permutations have as much evidence for response times."""
        predicted = fit_ridges(connectomes, times).predict(edges)
        evidence = evidence_of(predicted, gradients, observed)
        training_data = connectomes, times, None, np.arange(40)
        null = permuted_evidence(
            training_data, edges, gradients, observed, permutations=40
        )
        assert null.shape == (40, 3)
        return evidence, (null[:, 0] >= evidence[0]).sum()

    evidence, as_large = share(training)
    predicted = fit_ridges(training, times).predict(edges)[:, 0]
    r = np.corrcoef(predicted, observed[:, 0])[0, 1]
    assert evidence[0] == pytest.approx(predicted.std(ddof=1) * r)
    assert evidence[2] == 0  # nothing is predicted of accuracy
    assert as_large == 0
    shuffled = training[np.random.default_rng(0).permutation(40)]
    assert share(shuffled)[1] > 2
    training_data = (
        training,
        times,
        None,
        np.minimum(np.arange(40), 1),
    )  # one alone, and all others
    alike = permuted_evidence(training_data, edges, gradients, observed, permutations=3)
    np.testing.assert_allclose(alike, np.tile(evidence, (3, 1)))
    few = observed.copy()
    few[9:] = np.nan
    assert not evidence_of(predicted[:, None], np.ones((3, 1)), few).any()
