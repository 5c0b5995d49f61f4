"""Whether attributions stay the same."""

import numpy as np
import pytest
from twin_runs import fitted_quickly

from bids_dtg.twin.interventions.attribution import FittedPeople, with_factor_map
from bids_dtg.twin.interventions.gradients import smooth_gradients
from bids_dtg.twin.interventions.stability import (
    map_correlations,
    plain_gradients,
    refitted_twins,
)


def shown():
    fitted, connectomes, segments, _ = fitted_quickly()
    some = np.arange(3)
    people = FittedPeople.of(fitted, connectomes, segments)
    return fitted, people, connectomes[some], segments.people(some)


def test_correlations_are_those_of_numpy():
    first, second = np.random.default_rng(0).normal(size=(2, 3, 20))
    expected = [np.corrcoef(*pair)[0, 1] for pair in zip(first, second, strict=True)]
    assert map_correlations(first, second) == pytest.approx(expected)


def test_the_same_people_give_the_twins_own_attribution():
    fitted, people, *over = shown()
    own = smooth_gradients(fitted.twin.weights, *over, copies=1, noise=0.0)
    again = plain_gradients(with_factor_map(fitted.twin, people), *over)
    assert again.edges == pytest.approx(own.edges, abs=1e-5)


@pytest.mark.slow
def test_halves_of_people_agree_where_connectomes_tell_behaviour():
    fitted, people, *over = shown()

    def agreements(of):
        return np.array(
            [
                map_correlations(*(plain_gradients(twin, *over).edges for twin in twins))
                for twins in refitted_twins(fitted, of, splits=3, seed=0)
            ]
        )

    splits = agreements(people)
    assert splits.shape == (3, len(own_targets(fitted)))
    assert splits[:, 0].min() > 0.3  # response times; they depend on 9 of 45 edges
    assert (agreements(people) == splits).all()
    behaviour = people.permuted(np.random.default_rng(0).permutation(30))
    by_chance = agreements(behaviour)
    assert by_chance[:, 0].mean() < splits[:, 0].min()


def own_targets(fitted):
    from bids_dtg.twin.judging.cohort import targets_of

    return targets_of(fitted.tasks)


def test_three_people_have_no_halves():
    fitted, people, *_ = shown()
    with pytest.raises(ValueError, match="3 people are too few"):
        next(refitted_twins(fitted, people.of_rows(np.arange(3)), splits=1))
