"""Moves of connectomes along directions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twin_runs import fitted_quickly

from bids_dtg.twin.interventions.perturbations import (
    Direction,
    perturb_connectomes,
    random_directions,
)


@given(length=st.floats(0.01, 100), step_size=st.floats(-3, 3))
def test_a_step_size_is_in_standard_deviations_of_people_for_any_length_of_edges(length, step_size):
    rng = np.random.default_rng(1)
    people, edges = rng.normal(size=(12, 7)), rng.normal(size=7)
    delta = Direction.along(length * edges, people).delta(step_size)
    spread = (people @ edges).std(ddof=1) / np.linalg.norm(edges)
    assert delta == pytest.approx(step_size * spread * edges / np.linalg.norm(edges))


def test_a_direction_points_somewhere_that_people_differ_in():
    people = np.array([[0.0, 1.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match="not all 0"):
        Direction.along(np.zeros(2), people)
    with pytest.raises(ValueError, match="do not differ"):
        Direction.along(np.array([0.0, 1.0]), people)


def test_random_directions_are_mixtures_of_what_people_differ_in():
    people = np.random.default_rng(0).normal(size=(5, 30))
    centred = people - people.mean(axis=0)
    for direction in random_directions(people, 3, seed=2):
        inside = direction.unit @ np.linalg.pinv(centred) @ centred
        assert inside == pytest.approx(direction.unit)
        assert np.linalg.norm(direction.unit) == pytest.approx(1)
    one, same = (random_directions(people, 1, seed=3)[0].unit for _ in range(2))
    assert (one == same).all()


def test_moving_people_to_where_the_quick_ones_are_makes_their_twins_quick():
    fitted, connectomes, segments, takes = fitted_quickly()
    quick, slow = connectomes[takes < 0.9], connectomes[takes >= 0.9]
    direction = Direction.along(quick.mean(axis=0) - slow.mean(axis=0), connectomes)
    none, little, much = perturb_connectomes(
        fitted, connectomes, segments, direction, (0.0, 1.0, 2.0)
    )
    target = none.before.targets[0]
    assert none.change(target) == pytest.approx(0, abs=1e-6)
    assert np.nanmean(much.change(target)) < np.nanmean(little.change(target)) < -0.05


@given(scale=st.floats(0.01, 10), seed=st.integers(0, 50))
def test_between_people_step_size_1_is_one_standard_deviation_of_the_figure(scale, seed):
    rng = np.random.default_rng(seed)
    people, weights = rng.normal(size=(40, 6)), scale * rng.normal(size=6)
    figure = people @ weights
    direction = Direction.between(people, figure)
    assert direction.delta(1.0) @ weights == pytest.approx(figure.std(ddof=1))
    assert direction.delta(-2.0) == pytest.approx(-2 * direction.delta(1.0))
    known = np.append(figure, np.nan)
    with_another = np.vstack([people, 99 * np.ones(6)])
    assert Direction.between(with_another, known).unit == pytest.approx(direction.unit)


def test_a_figure_that_does_not_differ_gives_no_direction():
    with pytest.raises(ValueError, match="differs between people"):
        Direction.between(np.eye(3), np.ones(3))
    with pytest.raises(ValueError, match="differs between people"):
        Direction.between(np.eye(3), np.array([1.0, np.nan, np.nan]))
    with pytest.raises(ValueError, match="no edge goes with"):
        Direction.between(np.ones((3, 2)), np.arange(3.0))
