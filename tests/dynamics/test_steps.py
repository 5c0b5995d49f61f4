from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.dynamics.steps import every, noise_factor, unit_noise


def generators(people, runs):
    return [
        [np.random.default_rng([person, run]) for run in range(runs)] for person in range(people)
    ]


@given(st.floats(0.001, 0.1), st.integers(1, 20))
def test_noise_that_is_a_diffusion_adds_up_over_shorter_steps(step, parts):
    whole = noise_factor("root-time", step, 0.02)
    part = noise_factor("root-time", step / parts, 0.02)
    assert parts * part**2 == pytest.approx(whole**2)
    assert noise_factor("root-time", 0.02, 0.02) == noise_factor("step", step, 0.02) == 1.0


def test_an_unknown_scaling_is_refused():
    with pytest.raises(ValueError, match="not 'per-step'"):
        noise_factor("per-step", 0.02, 0.02)


def test_noise_is_standard_normal_and_new_in_every_step():
    drawn = np.stack(list(islice(unit_noise(generators(2, 3), (4,)), 2000)))
    assert drawn.shape == (2000, 2, 3, 4)
    assert np.abs(drawn.mean(axis=0)).max() < 0.12
    assert np.abs(drawn.std(axis=0) - 1).max() < 0.09
    assert len(np.unique(drawn)) == drawn.size


def test_noise_of_a_run_does_not_depend_on_the_others():
    many = np.stack(list(islice(unit_noise(generators(2, 3), (4,)), 250)))
    alone = np.stack(list(islice(unit_noise([generators(2, 3)[1][2:]], (4,)), 250)))
    np.testing.assert_array_equal(many[:, 1:, 2:], alone)


@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 20))
def test_frames_are_those_of_plain_slices(steps, frames, further):
    states = np.random.default_rng(0).standard_normal((steps * frames + further, 3))
    whole = states[: steps * frames].reshape(frames, steps, 3)
    np.testing.assert_array_equal(every(iter(states), steps, frames), whole[:, 0].T)


def test_too_little_noise_is_refused():
    with pytest.raises(ValueError, match="enough for 2 frames of 3"):
        every(iter(np.zeros((6, 2))), 3, 3)
