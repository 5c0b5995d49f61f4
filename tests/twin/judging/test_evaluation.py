"""Judging twins beside simple predictions."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from twin_runs import ONSET, a_run, answered_by, slow_and_quick

from bids_dtg.twin.fitting import fit
from bids_dtg.twin.judging.cohort import Cohort, answers_of, targets_of_people
from bids_dtg.twin.judging.evaluation import (
    GROUP,
    TWIN,
    Samples,
    cross_losses,
    evaluate,
    judge,
    own_losses,
    shortfalls,
)
from bids_dtg.twin.judging.simple import Simple, simple_predictions
from bids_dtg.twin.recipe import Recipe, find_architecture
from bids_dtg.twin.trial_series import stack_people

SMALL = Recipe(
    units=10,
    codes=3,
    group_epochs=4,
    group_updates=3,
    hyper_units=6,
    hyper_epochs=3,
    hyper_updates=3,
    batch_people=6,
    batch_segments=2,
)
LOWRANK = find_architecture("lowrank", SMALL)
NOTHING = Simple({}, {})


@dataclass
class Given:
    """Twins whose outputs are given."""

    buttons: np.ndarray  # (people, segments, steps, buttons)
    group: np.ndarray | None = None

    def perform(self, segments):
        return self.buttons

    def perform_group(self, segments):
        return self.group


def cohort(people=20, seed=0, edges=20, name="p"):
    segments, takes = slow_and_quick(people=people, seed=seed)
    rng = np.random.default_rng(0)
    values = np.outer(takes, rng.normal(size=edges)) + rng.normal(0.0, 0.05, (people, edges))
    return Cohort(tuple(f"{name}{number}" for number in range(people)), segments, values)


def average(people):
    return people.segments.action.mean(axis=0, keepdims=True)


def perfect(people):
    """Return twins that do what the people did, and the group that does so on average."""
    return Given(people.segments.action, average(people))


def test_twins_that_do_what_people_do_reach_the_ceiling():
    people = cohort()
    found = judge(perfect(people), people, NOTHING, samples=Samples(number=200))
    rt = found.score("rt", "stroop")
    assert rt.value.mean > 0.99
    assert rt.error.mean < 0.05  # a step is 0.08 s
    assert found.score("choice", "stroop").value.mean == 1.0
    assert found.score("brier", "stroop", condition="easy").value.mean < 1e-6
    assert found.score("crps", "stroop", condition="easy").value.mean < 0.03
    assert found.comparison.matching.identified.mean == 1.0
    assert found.comparison.matching.p < 0.001
    assert found.comparison.own.word == found.comparison.group.word == "better"
    assert found.score("loss", name=GROUP).verdict.word == "better"
    assert shortfalls(found) == ()


def test_twins_that_are_alike_have_no_r_over_people():
    people = cohort()
    same = np.repeat(average(people), people.people, axis=0)
    found = judge(Given(same, average(people)), people, NOTHING, samples=Samples(number=200))
    rt = found.score("rt", "stroop")
    assert np.isnan(rt.value.mean)
    assert np.isnan(found.score("rt", "stroop", name=GROUP).value.mean)
    assert rt.error.mean > 0.05
    assert found.comparison.matching.p > 0.5
    assert found.comparison.group.word == found.comparison.own.word == "interval holds 0"
    words = " ".join(shortfalls(found))
    assert "better than other people's (95 % interval holds 0; p above 0.05)" in words
    assert "not shown to be below that of the group's network" in words


def test_losses_that_differ_by_rounding_are_the_same():
    people = cohort()
    same = np.repeat(average(people), people.people, axis=0)
    rounding = 1 + 1e-7 * np.random.default_rng(0).standard_normal((people.people, 1, 1, 1))
    found = judge(
        Given(same * rounding, average(people)), people, NOTHING, samples=Samples(number=50)
    )
    comparison = found.comparison
    assert (comparison.matching.p, comparison.own.p, comparison.group.p) == (1.0, 1.0, 1.0)
    assert comparison.matching.better_than_average.mean == 0


def test_twins_of_other_people_lose_the_advantage_of_their_own():
    people = cohort()
    own = judge(perfect(people), people, NOTHING, samples=Samples(number=200))
    moved = np.roll(people.segments.action, 1, axis=0)
    other = judge(Given(moved, average(people)), people, NOTHING, samples=Samples(number=200))
    assert own.comparison.matching.p < 0.001
    assert other.comparison.matching.p > 0.05
    assert other.score("rt", "stroop").value.mean < 0.5
    assert other.comparison.group.word == "worse"
    assert any("Below its baseline" in words for words in shortfalls(other))


def test_the_matrix_of_losses_is_that_of_each_pair():
    people = cohort(people=5)
    rng = np.random.default_rng(1)
    outputs = rng.uniform(0.01, 0.99, people.segments.action.shape).astype(np.float32)
    losses = cross_losses(outputs, people.segments)
    for person in range(5):
        data = people.segments.people(np.full(5, person))
        assert np.allclose(losses[:, person], own_losses(outputs, data), rtol=1e-5)


def test_people_who_saw_other_things_get_each_twin_on_each_ones_sequence():
    runs = [
        [a_run(ONSET + 0.5 * number * (np.arange(len(ONSET)) % 2), seed=number)]
        for number in range(4)
    ]
    people = Cohort(tuple("abcd"), stack_people(runs))
    assert len(people.segments.inputs) == 4

    class Steady(Given):
        seen = 0

        def perform(self, segments):
            self.seen += 1
            shape = 4, *segments.action.shape[1:]
            return np.full(shape, 0.5, np.float32)

    twins = Steady(np.zeros(0))
    found = judge(twins, people, NOTHING, samples=Samples(number=50))
    assert twins.seen == 5
    assert np.allclose(found.losses, np.log(2))
    with pytest.raises(ValueError, match="saw different things"):
        cross_losses(np.full(people.segments.action.shape, 0.5), people.segments)


@pytest.mark.slow
def test_a_twin_that_is_worse_than_a_baseline_is_reported():
    training, people = cohort(people=40, seed=3, name="t"), cohort(people=30)
    simple = simple_predictions(training, people)
    assert set(simple.targets) == {"group_mean", "connectome_ridge"}
    rng = np.random.default_rng(0)
    shuffled = people.segments.action[rng.permutation(30)]
    found = judge(Given(shuffled), people, simple, samples=Samples(number=300))
    ridge = found.score("rt", "stroop", "connectome_ridge")
    assert ridge.value.mean > 0.95
    assert ridge.verdict.word == "worse"
    assert np.isnan(found.score("rt", "stroop", "group_mean").value.mean)
    assert found.score("crps", "stroop", "group_mean", "hard").verdict.word == "worse"
    assert any("connectome ridge" in words for words in shortfalls(found))
    better = judge(perfect(people), people, simple, samples=Samples(number=300))
    assert better.score("crps", "stroop", "group_mean", "hard").verdict.word == "better"


def test_means_of_people_are_compared_with_means_of_their_twins():
    """Twins with the group's own skewed distribution have its mean, and not its median."""
    rng = np.random.default_rng(0)
    rts = 0.4 + rng.exponential(0.3, (40, len(ONSET)))
    segments = stack_people([[a_run(ONSET, rt=rt)] for rt in rts])
    people = Cohort(tuple(f"p{number}" for number in range(40)), segments)
    average = np.broadcast_to(segments.action.mean(axis=0), segments.action.shape)
    found = judge(Given(average), people, NOTHING, samples=Samples(number=50))
    wrong = found.predicted[TWIN][0, 0] - np.nanmean(rts)
    assert abs(wrong) < 0.02
    assert np.nanmean(rts) - np.nanmedian(rts) > 0.05


def test_the_groups_distribution_is_stretched_by_the_ridges_response_time():
    training, people = cohort(people=40, seed=3, name="t"), cohort(people=30)
    simple = simple_predictions(training, people)
    (group,), (own,) = (simple.distributions[name] for name in ("group_mean", "ridge_distribution"))
    stretch = simple.targets["connectome_ridge"][:, 0] / simple.targets["group_mean"][:, 0]
    slow, quick = int(stretch.argmax()), int(stretch.argmin())
    for person in (slow, quick):
        assert np.allclose(
            own.answered[person, 0],
            np.interp(
                own.seconds / stretch[person],
                np.append(0.0, group.seconds),
                np.append(0.0, group.answered[person, 0]),
            ),
        )
    found = judge(perfect(people), people, simple, samples=Samples(number=300))
    stretched, plain = (
        found.score("crps", "stroop", name, "hard").value.mean
        for name in ("ridge_distribution", "group_mean")
    )
    assert stretched < plain


def test_effects_are_compared_with_true_ones_where_people_are_simulated():
    people = cohort()
    truth = {"stroop_effect": targets_of_people(people.segments)[:, 1]}
    found = judge(perfect(people), people, NOTHING, truth=truth, samples=Samples(number=100))
    assert found.score("true_effect", "stroop").value.mean > 0.8
    with pytest.raises(ValueError, match="targets are stroop_rt, stroop_effect"):
        judge(perfect(people), people, NOTHING, truth={"stroop": truth["stroop_effect"]})


def test_few_people_get_no_verdict():
    people = cohort(people=7)
    found = judge(perfect(people), people, NOTHING, samples=Samples(number=100))
    assert found.comparison.own.word == found.comparison.group.word == "too few people"
    assert {score.verdict.word for score in found.scores if score.verdict} == {"too few people"}
    assert shortfalls(found)[0] == "No verdict with 7 participants (8 are needed)"


def test_r_is_compared_over_people_with_both_predictions():
    wanted = targets_of_people(cohort().segments)[:, 0]
    noise = np.random.default_rng(0).standard_normal((2, len(wanted)))
    near, far = wanted + wanted.std() * np.array([[0.1], [3.0]]) * noise
    far[3] = np.nan
    found = Samples().gain(near, far, wanted)
    assert (found.word, found.people) == ("better", len(wanted) - 1)
    assert Samples().gain(far, near, wanted).word == "worse"
    assert Samples().gain(near, np.ones(len(wanted)), wanted) is None


def test_a_fit_is_judged_by_others():
    training, people = cohort(people=12, seed=3, name="t"), cohort(people=11)
    fitted = fit(
        training.connectomes, training.segments, people=training.labels, architecture=LOWRANK
    )
    found = evaluate(fitted, people, training, samples=Samples(number=100))
    assert found.predicted[TWIN].shape == (11, 2)
    assert set(found.predicted) > {TWIN, GROUP, "connectome_ridge"}
    with pytest.raises(ValueError, match="fitted to 12 of the people"):
        evaluate(fitted, training)
    with pytest.raises(ValueError, match="connectomes are missing"):
        evaluate(fitted, replace(people, connectomes=None))
    of_a_bundle = evaluate(replace(fitted, own_factors=None), people, samples=Samples(number=50))
    assert of_a_bundle.group_losses is not None


def test_cohorts_are_of_the_same_people():
    people = cohort(people=4)
    with pytest.raises(ValueError, match="4 labels, and other numbers of people"):
        replace(people, connectomes=people.connectomes[:3])
    with pytest.raises(ValueError, match="a label is given twice"):
        replace(people, labels=("a", "a", "b", "c"))
    assert people.of(np.array([2, 0])).labels == ("p2", "p0")


def test_answers_are_those_of_the_runs():
    run = a_run(ONSET, seed=4)
    people = Cohort(("a", "b"), stack_people([[run], [answered_by(run, 5)]]))
    own = answers_of(people.segments, 0).answers
    assert np.array_equal(own.rt_seconds[0], run.rt_seconds, equal_nan=True)
    assert np.array_equal(own.condition[1], run.condition)
