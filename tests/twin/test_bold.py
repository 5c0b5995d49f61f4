"""Responses to conditions, amplitudes from connectomes, and BOLD that networks output."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from nilearn.glm.first_level.hemodynamic_models import compute_regressor
from twin_runs import a_run, a_task, answered_by

from bids_dtg.twin.bold import (
    bold_targets,
    fit_bold,
    performed_responses,
    predict_bold,
    responses,
)
from bids_dtg.twin.bold_runs import BoldRun, convolved
from bids_dtg.twin.network import HyperNetwork, LowRank, Sizes, perform
from bids_dtg.twin.trial_series import STEP_SECONDS, stack_people

TR = 0.8
EDGES = 30
PEOPLE = 40
FACES, STROOP = a_task("faces", buttons=2), a_task("stroop")


def a_study(people=PEOPLE, own_orders=False, late=0.004):
    """Return runs of two tasks, which people see at slightly different times."""
    found, rng = [], np.random.default_rng(0)
    for person in range(people):
        runs = [
            a_run(np.arange(8.0, 150.0, 2.9) + 11 * (np.arange(49) // 8), task=FACES),
            a_run(np.cumsum(rng.choice([2.25, 4.5, 8.25], 40) if own_orders else GAPS)),
        ]
        found.append([answered_by(run, person, late * person) for run in runs])
    return found


GAPS = np.random.default_rng(1).choice([2.25, 4.5, 8.25], 40)


def a_twin(segments, edges=EDGES):
    """Return a twin with weights of chance, whose people differ in nothing."""
    torch.manual_seed(0)
    sizes = Sizes(segments.tasks.inputs, 12, segments.tasks.buttons)
    return LowRank(edges, 4, sizes, rank=3).requires_grad_(False)


def bold_of(study, sizes, noise=0.1, seed=0):
    """Return BOLD of people, whose responses are (people, regions, conditions of two tasks)."""
    rng, found = np.random.default_rng(seed), []
    for own, runs in zip(sizes, study, strict=True):
        of_person = []
        for first, run in zip((0, 2), runs, strict=True):
            seconds = np.arange(0.0, run.run_seconds, TR)
            each = convolved(
                seconds, run.onset_seconds, run.onset_seconds + run.display_seconds
            )
            values = each @ own[:, first + run.condition].T + 3.0
            values += rng.normal(0, noise, values.shape)
            of_person.append(BoldRun(values.astype(np.float32), TR))
        found.append(of_person)
    return found


def test_displays_are_convolved_as_by_nilearn():
    frames = np.arange(0.0, 80.0, TR)
    on = np.array([3.3, 20.0])
    length = np.array([1.9, 5.0])
    condition = np.stack([on, length, np.ones(2)])
    expected, _ = compute_regressor(condition, "glover", frames, oversampling=100)
    found = convolved(frames, on, on + length).sum(axis=1)
    # Nilearn's response to a second is as high as its area a sampled point.
    expected = expected[:, 0] / expected.max() * found.max()
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_responses_are_found_in_what_was_kept():
    study = a_study(3)
    sizes = np.random.default_rng(0).uniform(0.2, 1.0, (3, 2, 4))
    bold = bold_of(study, sizes, noise=0.0)
    bold[0][0].values[30:60] = np.nan  # censored
    bold[1][1].values[:, 1] = np.nan  # without signal
    bold[2][0].values[8:] = np.nan  # no trial is in what was kept
    bold[2][1] = None
    found = responses(bold, stack_people(study))
    known = np.isfinite(found)
    np.testing.assert_allclose(found[known], sizes[known], atol=5e-3)
    assert not known[1, 1, 2:].any()
    assert not known[2].any()
    assert known.sum() == known.size - 2 - 8


def assert_series_resemble(bold, predicted, least_r):
    for measured, runs in zip(bold, predicted, strict=True):
        for run, twin_run in zip(measured, runs, strict=True):
            for region in range(3):
                both = run.values[:, region], twin_run.values[:, region]
                assert np.corrcoef(*both)[0, 1] > least_r


def knowing(seed=0):
    """Return a study whose second region has amplitudes that follow the connectome."""
    rng = np.random.default_rng(seed)
    study = a_study()
    traits = rng.normal(size=PEOPLE)
    edges = np.outer(traits, rng.normal(size=EDGES)) + rng.normal(
        0.0, 0.5, (PEOPLE, EDGES)
    )
    sizes = np.tile(rng.uniform(0.5, 1.0, (3, 4)), (PEOPLE, 1, 1))
    sizes[:, 1] *= 1 + 0.4 * traits[:, None]
    return study, edges, sizes


@pytest.mark.slow
def test_amplitudes_follow_connectomes_that_know_them_and_no_others():
    study, edges, sizes = knowing()
    segments, bold = stack_people(study), bold_of(study, sizes)
    twin, names = a_twin(segments), ("lh-r01", "rh-r01", "rh-amygdala")
    ridges = fit_bold(bold, edges, segments, regions=names)
    np.testing.assert_array_equal(ridges.open, [False, True, False])
    predicted = predict_bold(ridges, twin, edges, segments, bold)
    assert_series_resemble(bold_of(study, sizes, noise=0.0), predicted, least_r=0.97)
    found = responses(predicted, segments)
    truth = sizes / ridges.sd[:, None]
    np.testing.assert_allclose(ridges.responses, truth.mean(axis=0), atol=0.05)
    for figure in (np.mean, np.ptp):  # of two conditions
        assert (
            np.corrcoef(figure(found[:, 1, :2], 1), figure(truth[:, 1, :2], 1))[0, 1]
            > 0.9
        )
    ridge = ridges.predict(torch.from_numpy(edges)).numpy()
    np.testing.assert_allclose(found, ridge, atol=1e-3)
    assert found[:, [0, 2]].std(axis=0).max() < 1e-3
    shuffled = np.random.default_rng(2).permutation(edges)
    assert not fit_bold(bold, shuffled, segments, regions=names).open.any()


def test_trials_without_a_condition_evoke_the_mean_response():
    def without_some(run):
        every_fourth = np.arange(len(run.condition)) % 4 == 0
        return replace(run, condition=np.where(every_fourth, -1, run.condition))

    study = [list(map(without_some, runs)) for runs in a_study(6)]
    # Each region responds to all conditions alike, and so to trials without one.
    sizes = np.broadcast_to([[0.5], [0.8], [1.0]], (6, 3, 4))
    segments, bold = stack_people(study), bold_of(study, sizes)
    edges = np.random.default_rng(0).normal(size=(6, EDGES))
    ridges = fit_bold(bold, edges, segments, regions=("a", "b", "c"))
    predicted = predict_bold(ridges, a_twin(segments), edges, segments, bold)
    assert_series_resemble(bold_of(study, sizes, noise=0.0), predicted, least_r=0.99)


def outputs_twin(segments, regions=3):
    """Return a hypernetwork with weights of chance, whose networks have outputs for BOLD."""
    torch.manual_seed(0)
    sizes = Sizes(segments.tasks.inputs, 12, segments.tasks.buttons + regions)
    return HyperNetwork(EDGES, sizes, hidden=5).requires_grad_(False).eval()


@pytest.mark.parametrize(
    "own_orders", [False, True], ids=["same for all", "own orders"]
)
def test_outputs_are_bold_at_volumes_and_differentiable(own_orders):
    study = a_study(5, own_orders, late=0.0)
    segments = stack_people(study)
    rng = np.random.default_rng(0)
    twin, edges = outputs_twin(segments), rng.normal(size=(5, EDGES))
    bold = bold_of(study, rng.uniform(0.5, 1.0, (5, 3, 4)))
    for runs in bold:
        runs[0].values[:, 2] = runs[1].values[:, 2] = np.nan
    ridges = fit_bold(bold, edges, segments, regions=("a", "b", "c"))
    assert ridges.differ(twin).tolist() == [True, True, False]
    series = predict_bold(ridges, twin, edges, segments)
    for person, runs in enumerate(series):
        own = segments.person(person)
        outputs = perform(
            twin(torch.from_numpy(edges).float()), torch.from_numpy(segments.inputs)
        )
        for number, run in enumerate(runs):
            first = np.flatnonzero(own.run == number)[
                np.argmin(own.start_seconds[own.run == number])
            ]
            start = own.start_seconds[first]
            early = (run.seconds > start) & (run.seconds < start + 10)
            assert np.isnan(run.values[run.seconds < start]).all()
            at = (run.seconds[early] - start) / STEP_SECONDS
            for region in (0, 1):
                steps = outputs[
                    person, first, :, segments.tasks.buttons + region
                ].numpy()
                expected = np.interp(at, np.arange(len(steps)), steps)
                np.testing.assert_allclose(
                    run.values[early, region], expected, atol=1e-5
                )
        assert np.isnan(run.values[:, 2]).all()
    connectomes = torch.tensor(edges, dtype=torch.float32, requires_grad=True)
    found = performed_responses(ridges, twin, connectomes, segments)
    np.testing.assert_allclose(found.detach(), responses(series, segments), atol=1e-4)
    found[:, :2].sum().backward()
    assert connectomes.grad.isfinite().all()
    assert connectomes.grad.abs().max() > 0


def test_targets_are_cubic_splines_of_bold_where_it_was_measured():
    """A cubic is its own spline, also across what was censored."""
    study = a_study(2)
    segments = stack_people(study)

    def cubic(seconds):
        return (seconds / 100 - 1.0) ** 3 + 2.0

    bold = []
    for runs in study:
        seconds = [np.arange(0.0, run.run_seconds - 20.0, TR) for run in runs]
        values = [
            np.stack([cubic(s), -cubic(s), np.full(len(s), np.nan)], 1) for s in seconds
        ]
        bold.append([BoldRun(own.astype(np.float32), TR) for own in values])
    bold[0][0].values[40:50] = np.nan
    bold[1][1] = None
    measured = [run for runs in bold for run in runs if run is not None]
    every = np.concatenate([run.values for run in measured]).astype(float)
    mean, sd = np.nanmean(every[:, :2], axis=0), np.nanstd(every[:, :2], axis=0)
    found = bold_targets(bold, segments)
    assert found.shape == (*segments.action.shape[:3], 3)
    assert np.isnan(found[..., 2]).all()
    for person in (0, 1):
        own = segments.person(person)
        at = own.start_seconds[:, None] + STEP_SECONDS * np.arange(found.shape[2])
        values = np.stack([cubic(at), -cubic(at)], -1)
        known = np.isfinite(found[person, ..., :2])
        np.testing.assert_allclose(
            found[person, ..., :2][known], ((values - mean) / sd)[known], atol=1e-4
        )
        for number, run in enumerate(bold[person]):
            mine = known[own.run == number].any(-1)
            assert mine.any() == (run is not None)
            if run is not None:
                assert at[own.run == number][mine].max() <= run.seconds[-1] + 1e-9
    seen = known_at(found[0, ..., 0], segments.person(0))
    assert ((seen < 40 * TR - TR / 2) | (seen > 49 * TR + TR / 2)).all()


def known_at(values, own):
    """Return when the first run's steps with BOLD are."""
    at = own.start_seconds[:, None] + STEP_SECONDS * np.arange(values.shape[1])
    return at[np.isfinite(values) & (own.run == 0)[:, None]]


def test_half_of_a_scan_that_ended_earlier_is_none():
    run = BoldRun(np.zeros((10, 2), np.float32), TR)
    assert run.half(1, 100.0) is None
    assert len(run.half(0, 100.0).values) == 10
