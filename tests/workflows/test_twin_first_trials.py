"""Parts of the study on real people's first trials, on simulated people."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.stats.splits import fold_people
from bids_dtg.twin.phantom.people import simulate_twin_people
from bids_dtg.twin.phantom.sequences import trial_sequence

ROOT = Path(__file__).parents[2]
NAME = "twin_first_trials"


@pytest.fixture(scope="module")
def command():
    """Load the study that makes the figures of the docs."""
    spec = importlib.util.spec_from_file_location(NAME, ROOT / f"studies/{NAME}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def runs():
    people = simulate_twin_people(30, "hard", regions=10, seed=3)
    return [own for (own,) in people.runs([trial_sequence("stroopAP")], seed=3)]


def a_run(command, runs):
    labels = tuple(f"p{number:02d}" for number in range(len(runs)))
    return command.Run(runs[0].task, labels, command.observed(runs), (0, 0))


def test_late_responses_are_misses(command, runs):
    late = replace(runs[0], rt_seconds=np.full(78, 2.3), correct=np.ones(78, bool))
    found = command.observed([late])
    assert not np.isfinite(found.rt_seconds).any()
    assert not found.correct.any()
    assert (found.button == -1).all()


def test_people_of_another_sequence_are_found(command, runs):
    shown = trial_sequence("stroopAP").trials
    assert command.same_stimuli(runs[0], shown)
    assert not command.same_stimuli(runs[0], trial_sequence("stroopPA").trials)


def test_trials_from_the_41st_on_are_judged(command, runs):
    people = a_run(command, runs).first_trials(10)
    assert people.own.sum(axis=1).tolist() == [10] * 30
    assert people.later.sum(axis=1).tolist() == [38] * 30


def test_each_person_has_scores_by_fits_to_the_others(command, runs, monkeypatch):
    some = [row for row in command.ROWS if row.name in (command.LITERAL, command.RIVAL)]
    monkeypatch.setattr(command, "ROWS", some)
    run = a_run(command, runs)
    folds = fold_people(run.labels, 3, seed=0)
    found = command.scores_of(run, 10, folds)
    assert {name.split(":")[1] for name in found} == {*command.SCORES, *command.OUTCOMES}
    assert all(np.isfinite(values).all() for values in found.values())
    # A person's own later trials reach the scores alone: those of the fold's others stay.
    first = run.labels.index(folds[0][0])
    changed = list(runs)
    changed[first] = replace(runs[first], rt_seconds=runs[first].rt_seconds[::-1])
    other = command.scores_of(a_run(command, changed), 10, folds)
    same = [run.labels.index(label) for label in folds[0][1:]]
    for name, values in found.items():
        assert np.array_equal(values[same], other[name][same])
        assert values[first] != other[name][first] or "brier" in name


def test_the_primary_comparison_is_a_mean_over_runs_and_own_trials(command, runs):
    people = {"hammerAP": ("a", "b"), "stroopAP": ("b", "c")}
    some = a_run(command, runs[:2])
    runs = {name: replace(some, labels=labels) for name, labels in people.items()}
    cells = {
        (name, own): {"x:crps": np.array([1.0, 3.0]) * own, "y:crps": np.zeros(2)}
        for name in people
        for own in (10, 20)
    }
    found = command.mean_difference(runs, cells, (10, 20), ("x", "y"), "crps", ["a", "b", "c"])
    assert found.tolist() == [15.0, 30.0, 45.0]
