"""Figures of what people answered, on small tables and on the open TCP people."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tcp_people import tcp_answers, tcp_folder

from bids_dtg.twin.judging.behaviour import (
    MISS,
    Answers,
    condition_effect,
    decoded,
    figures,
)


def answers(people: int = 4, trials: int = 12, seed: int = 0) -> Answers:
    rng = np.random.default_rng(seed)
    rt = np.where(
        rng.random((people, trials)) < 0.2, np.nan, rng.uniform(0.4, 1.6, (people, trials))
    )
    correct = (rng.random(rt.shape) < 0.8) & np.isfinite(rt)
    right = rng.integers(2, size=rt.shape)
    pressed = np.where(np.isfinite(rt), np.where(correct, right, 1 - right), MISS)
    condition = np.broadcast_to(np.arange(trials) % 2, rt.shape)
    return Answers(condition, right, pressed, rt, correct, rng.random(rt.shape) < 0.9)


def test_figures_are_those_of_each_persons_own_trials():
    own = answers()
    found = figures(own, 2)
    for person in range(4):
        for condition in range(2):
            used = own.scored[person] & (own.condition[person] == condition)
            rt = own.rt_seconds[person][used]
            cell = person, condition
            assert found.trials[cell] == used.sum()
            assert found.median_rt_seconds[cell] == pytest.approx(np.nanmedian(rt))
            assert found.mean_rt_seconds[cell] == pytest.approx(np.nanmean(rt))
            assert found.correct[cell] == pytest.approx(own.correct[person][used].mean())
            assert found.unanswered[cell] == pytest.approx(np.isnan(rt).mean())
    effect = condition_effect(found.mean_rt_seconds)
    np.testing.assert_allclose(effect, np.diff(found.mean_rt_seconds, axis=1)[:, 0])


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_people_are_worked_on_apart_and_left_out_trials_count_not(seed):
    own = answers(seed=seed)
    order = np.random.default_rng(seed).permutation(4)
    moved = Answers(**{name: values[order] for name, values in vars(own).items()})
    changed = np.where(own.scored, own.rt_seconds, 99.0)
    other = Answers(**{**vars(own), "rt_seconds": changed})
    for conditions in (None, 2):
        found = figures(own, conditions)
        for name, values in vars(figures(moved, conditions)).items():
            np.testing.assert_array_equal(values, getattr(found, name)[order])
        np.testing.assert_array_equal(
            figures(other, conditions).median_rt_seconds, found.median_rt_seconds
        )


def test_nobody_without_trials_has_figures_and_no_warning():
    own = replace(answers(), scored=np.zeros(answers().scored.shape, bool))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = figures(own, 2)
    assert not found.trials.any()
    assert np.isnan(found.median_rt_seconds).all()
    assert np.isnan(found.correct).all()


def test_decoded_answers_are_to_the_trials_of_each_person():
    own = answers()
    missed = np.where(np.arange(12) < 3, 0.9, 0.1)
    rt = np.where(np.arange(12) < 3, np.nan, 0.8)
    found = decoded(own, rt, np.zeros(12, int), missed)
    assert (found.button[:, :3] == MISS).all()
    np.testing.assert_array_equal(found.correct[:, 3:], own.correct_button[:, 3:] == 0)
    assert not found.correct[:, :3].any()
    np.testing.assert_array_equal(found.scored, own.scored)
    expected = own.scored[:, :3].sum(axis=1) / own.scored.sum(axis=1)
    np.testing.assert_allclose(figures(found).unanswered[:, 0], expected)


def test_arrays_of_other_shapes_are_refused():
    own = answers()
    with pytest.raises(ValueError, match=r"the shape \(people, trials\).*'rt_seconds': \(3, 12\)"):
        Answers(**{**vars(own), "rt_seconds": own.rt_seconds[:3]})


@pytest.mark.parametrize(
    ("task", "run", "people", "below", "rt", "correct", "missed"),
    [
        # Per condition, of everybody, as README.md of the table has them.
        ("faces", "AP", 175, 4, (0.781, 0.886), (0.935, 0.938), (0.027, 0.035)),
        ("stroop", "AP", 180, 5, (0.798, 0.995), (0.926, 0.862), (0.023, 0.024)),
        ("stroop", "PA", 175, 2, (0.796, 0.950), (0.930, 0.901), (0.036, 0.038)),
    ],
)
def test_the_open_people_are_as_their_table_says(
    shared, task, run, people, below, rt, correct, missed
):
    labels, own, _ = tcp_answers(tcp_folder(shared), task, run)
    found = figures(own, 2)
    assert len(labels) == people
    chance = 1 / (2 if task == "faces" else 3)
    assert (figures(own).correct[:, 0] < chance).sum() == below
    # Pooled over trials there, over people here; too early responses have no time here.
    assert np.nanmean(found.mean_rt_seconds, axis=0) == pytest.approx(rt, abs=0.012)
    assert found.correct.mean(axis=0) == pytest.approx(correct, abs=0.001)
    assert found.unanswered.mean(axis=0) == pytest.approx(missed, abs=0.0015)
