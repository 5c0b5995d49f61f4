"""Whether a twin moves a figure: beside twins of permuted behaviour, and over refits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twin_runs import fitted_quickly, slow_and_quick

from bids_dtg.twin.interventions.attribution import (
    FittedPeople,
    map_correlations,
    permuted_twins,
    with_factor_map,
)
from bids_dtg.twin.interventions.gradients import smooth_gradients
from bids_dtg.twin.interventions.moves import (
    Change,
    Movers,
    judge_moves,
    judged_changes,
    lowering_directions,
    refitted_twins,
    with_twin,
)
from bids_dtg.twin.interventions.outcomes import Outcomes
from bids_dtg.twin.interventions.perturbations import performed_outcomes
from bids_dtg.twin.judging.cohort import targets_of, targets_of_people


def unseen(people=20):
    """Return connectomes and segments of people as those of `fitted_quickly`, whom no fit knows."""
    segments, takes = slow_and_quick(people=people, seed=5)
    rng = np.random.default_rng(8)
    loadings = np.where(np.arange(45) < 9, 1.0, 0.0)
    edges = np.outer(takes - takes.mean(), loadings) + rng.normal(0.0, 0.1, (people, 45))
    return edges.astype(np.float32), segments


def judged(fitted, people, *, permutations=39):
    """Judge the moves of a twin that was refitted to people."""
    edges, segments = unseen()
    movers = Movers(edges, segments, np.arange(3), targets_of_people(segments))
    tested = with_twin(fitted, with_factor_map(fitted.twin, people))
    directions = lowering_directions(performed_outcomes(tested, edges, segments), edges)
    permuted = [
        judged_changes(with_twin(fitted, twin), movers)
        for twin in permuted_twins(fitted, people, permutations=permutations)
    ]
    refitted = [
        judged_changes(with_twin(fitted, twin), movers, directions)
        for pair in refitted_twins(fitted, people, splits=5)
        for twin in pair
    ]
    change = judged_changes(tested, movers, directions)
    return judge_moves(change, permuted, refitted, len(people.connectomes))


def test_response_times_are_lowered_where_connectomes_say_something_of_them():
    fitted, connectomes, segments, _ = fitted_quickly()
    people = FittedPeople.of(fitted, connectomes, segments)
    found = judged(fitted, people)
    assert found[0].named("lower", "higher") == "lower"
    assert found[0].people == 30


def test_twins_that_differ_by_rounding_have_no_direction():
    rng = np.random.default_rng(0)
    edges, seconds = rng.normal(size=(8, 6)), 0.8 + 1e-8 * rng.normal(size=(8, 2))
    seconds[:, 1] += 0.01 * rng.normal(size=8)
    names, alike = ("stroop_rt", "stroop_effect"), np.zeros((8, 1))
    found = lowering_directions(Outcomes(names, seconds, ("stroop",), alike, alike), edges)
    assert list(found) == ["stroop_effect"]


@pytest.mark.slow
def test_nothing_is_shown_where_behaviour_is_somebody_elses():
    fitted, connectomes, segments, _ = fitted_quickly()
    people = FittedPeople.of(fitted, connectomes, segments)
    shown = []
    for seed in range(4):
        shuffled = people.permuted(np.random.default_rng(100 + seed).permutation(30))
        shown += judged(fitted, shuffled, permutations=19)
    words = [verdict.named("lower", "higher") for verdict in shown]
    assert set(words) == {"no significant difference"}


@pytest.mark.slow
@given(st.integers(0, 999), st.floats(0.001, 0.1))
def test_a_change_that_refits_do_not_agree_on_is_not_shown(seed, size):
    rng = np.random.default_rng(seed)
    own, permuted = of(-size), [of(value) for value in 0.0001 * rng.standard_normal(99)]
    for spread, word in ((0.01, "better"), (1.0, "interval holds 0")):
        around = rng.standard_normal(10)
        around = (around - around.mean()) / around.std(ddof=1)
        refitted = [of(size * (spread * value - 1)) for value in around]
        (found,) = judge_moves(own, permuted, refitted, 40)
        assert found.word == word
    (found,) = judge_moves(own, [own] * 99, [own] * 10, 40)
    assert found.word == "p above 0.05"


@pytest.mark.slow
def test_halves_of_people_agree_where_connectomes_tell_behaviour():
    fitted, connectomes, segments, _ = fitted_quickly()
    people = FittedPeople.of(fitted, connectomes, segments)
    over = connectomes[:3], segments.people(np.arange(3))

    def agreements(of):
        return np.array(
            [
                map_correlations(
                    *(
                        smooth_gradients(twin.weights, *over, copies=1, noise=0.0).edges
                        for twin in twins
                    )
                )
                for twins in refitted_twins(fitted, of, splits=3, seed=0)
            ]
        )

    splits = agreements(people)
    assert splits.shape == (3, len(targets_of(fitted.tasks)))
    assert splits[:, 0].min() > 0.3  # response times; they depend on 9 of 45 edges
    assert (agreements(people) == splits).all()
    behaviour = people.permuted(np.random.default_rng(0).permutation(30))
    by_chance = agreements(behaviour)
    assert by_chance[:, 0].mean() < splits[:, 0].min()


def test_three_people_have_no_halves():
    fitted, connectomes, segments, _ = fitted_quickly()
    people = FittedPeople.of(fitted, connectomes, segments)
    with pytest.raises(ValueError, match="3 people are too few"):
        next(refitted_twins(fitted, people.of_rows(np.arange(3)), splits=1))


def of(seconds):
    return Change(*[np.array([seconds])] * 3)
