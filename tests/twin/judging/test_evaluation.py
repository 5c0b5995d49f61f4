"""Scores of twins and simple predictions, and own connectomes against those of others."""

import numpy as np
import pytest
from twin_runs import a_cohort, a_run, judged_by

from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.paired import Interval
from bids_dtg.stats.verdict import Verdict
from bids_dtg.twin.analyses.evaluate import winners
from bids_dtg.twin.judging.evaluation import (
    ALWAYS_CORRECT,
    OTHERS,
    Evaluation,
    Score,
    even_trials,
    match,
    mean_of_others,
)
from bids_dtg.twin.judging.predictions import (
    GROUP,
    TWIN,
    Cohort,
    Judged,
    predict_by_network,
    predict_people,
)
from bids_dtg.twin.times import observed_times
from bids_dtg.twin.trial_series import stack_people


def average(people):
    return people.segments.action.mean(axis=0, keepdims=True)


def score(evaluation, figure, name=TWIN, condition="", task="stroop"):
    (chosen,) = (
        s
        for s in evaluation.scores
        if (s.figure, s.name, s.condition, s.task) == (figure, name, condition, task)
    )
    return chosen


def judged(people, buttons, **baselines):
    return Evaluation(judged_by(people, buttons, average(people), **baselines), people)


def test_twins_that_do_what_people_do_reach_the_ceiling():
    people = a_cohort()
    evaluation = judged(people, people.segments.action)
    rt = score(evaluation, "rt")
    assert rt.value.mean > 0.99
    assert rt.error.mean < 0.05  # a step is 0.08 s
    assert score(evaluation, "choice").value.mean == 1.0
    assert score(evaluation, "choice", ALWAYS_CORRECT).value.mean == 1.0
    assert score(evaluation, "brier", condition="easy").value.mean < 1e-6
    assert score(evaluation, "crps", condition="easy").value.mean < 30  # ms
    assert evaluation.matching["identified"].mean == 1.0
    assert evaluation.matching["p"] < 0.001
    for name in (GROUP, OTHERS):
        assert score(evaluation, "loss", name, task="").verdict.word == "better"
    assert np.isnan(score(evaluation, "rt", GROUP).value.mean)


def test_twins_that_are_alike_but_for_rounding_have_no_r_and_match_nobody():
    people = a_cohort()
    same = np.repeat(average(people), 24, axis=0)
    rounding = 1 + 1e-7 * np.random.default_rng(0).standard_normal((24, 1, 1, 1))
    evaluation = judged(people, same * rounding)
    assert score(evaluation, "rt").error.mean > 0.05
    assert (
        evaluation.matching["p"],
        evaluation.matching["better_than_average"].mean,
    ) == (1.0, 0)
    assert np.isnan(evaluation.matching["identified"].mean)
    assert np.isnan(evaluation.matching["mean_rank"])
    for name in (GROUP, OTHERS):
        assert (
            score(evaluation, "loss", name, task="").verdict.word == "interval holds 0"
        )
    assert np.isnan(score(judged(people, same), "rt").value.mean)


def test_the_group_in_runs_that_are_missing_has_no_r():
    """One network's mean times differ between people only as their trials do."""
    rng = np.random.default_rng(0)
    runs = []
    for person in range(24):
        onset = np.arange(2.0, 62.0 if person % 2 else 32.0, 3.0)
        rt = 0.8 + 0.2 * (person % 2) + rng.normal(0, 0.1, len(onset))
        runs.append([a_run(onset, rt=rt)])
    names = tuple(f"p{number}" for number in range(24))
    people = Cohort(names, stack_people(runs), np.zeros((24, 1)))
    same = np.repeat(average(people), 24, axis=0)
    evaluation = Evaluation(judged_by(people, same, same), people)
    assert not evaluation.twins_differ
    for name in (TWIN, GROUP):
        assert np.isnan(score(evaluation, "rt", name).value.mean)
        assert score(evaluation, "rt", name).error.mean > 0
    for sentence, worse in winners(evaluation.scores):
        assert not worse
        assert "is best" not in sentence


def test_a_prediction_is_best_only_by_a_verdict():
    def scored(name, mean, difference=None, p=0.01):
        verdict = None
        if difference is not None:
            ends = Interval(difference, difference - 0.1, difference + 0.1)
            verdict = Verdict(ends, p, 24)
        value = Interval(mean, mean, mean)
        return Score("brier", "stroop", "", name, value, None, 24, verdict)

    def spoken(*scores):
        ((sentence, _),) = winners(scores)
        return sentence

    twin = scored(TWIN, 0.3)
    assert "stroop: twin is best (twin 0.300, a 0.500)" in spoken(
        twin, scored("a", 0.5, 0.2)
    )
    assert "stroop: a is best (" in spoken(twin, scored("a", 0.1, -0.2))
    of_two = spoken(twin, scored("a", 0.1, -0.2), scored("b", 0.1 + 1e-8, -0.2))
    assert "stroop: a, b are better than the twin (" in of_two
    for tie in (scored("a", 0.3 + 1e-8, 0.0, 1.0), scored("a", 0.35, 0.05, 0.2)):
        assert "stroop: no significant difference (twin 0.300" in spoken(twin, tie)
    of_none = spoken(scored(TWIN, np.nan), scored("a", 0.5))
    assert "stroop: not computable for the twin (a 0.500)." in of_none


def test_twins_of_somebody_else_are_worse_than_the_ridge_and_the_group():
    training, people = a_cohort(40, seed=3, name="t"), a_cohort()

    class Given:
        def perform(self, connectomes, segments):
            return np.roll(segments.action, 1, axis=0)

        def perform_group(self, segments):
            return average(people)

    evaluation = Evaluation(predict_people(Given(), people, training), people)
    assert evaluation.matching["p"] > 0.05
    assert score(evaluation, "rt").value.mean < 0.5
    assert score(evaluation, "rt", "connectome_ridge").value.mean > 0.9
    assert score(evaluation, "rt", "connectome_ridge").verdict.word == "worse"
    assert np.isnan(score(evaluation, "rt", "group_mean").value.mean)
    assert score(evaluation, "crps", "ridge_distribution", "hard").is_worse
    assert score(evaluation, "loss", GROUP, task="").verdict.word == "worse"


def test_a_ceiling_is_the_r_with_the_truth():
    rng = np.random.default_rng(0)
    level = rng.normal(0.8, 0.1, 300)
    onset = np.arange(2.0, 122.0, 3.0)
    runs = [
        [a_run(onset, rt=persons_level + rng.normal(0, 0.4, 40).clip(-0.6, 0.9))]
        for persons_level in level
    ]
    people = Cohort(tuple(map(str, range(300))), stack_people(runs), np.zeros((300, 1)))
    twin = predict_by_network(average(people), people.segments)
    evaluation = Evaluation(Judged({TWIN: twin}, np.full((300, 300), np.nan)), people)
    observed = observed_times(people.segments)[:, 0]
    ceiling = evaluation.ceilings["stroop_rt"]
    assert ceiling.mean == pytest.approx(float(correlation(level, observed)), abs=0.06)
    assert ceiling.low < ceiling.mean < ceiling.high
    assert evaluation.ceilings["stroop_effect"].mean < 0.4
    even, rows = even_trials(people.segments), people.segments.trials
    counts = [
        (rows.scored & np.isfinite(rows.rt_seconds) & half).sum(1)
        for half in (even, ~even)
    ]
    assert np.abs(counts[0] - counts[1]).max() <= 2


def by_folds(people, buttons, folds):
    whole = judged_by(people, buttons, average(people))
    same = folds[:, None] == folds
    return Judged(whole.models, np.where(same, whole.losses, np.nan), folds)


def test_folds_widen_intervals_and_compare_twins_of_the_same_fold():
    people, folds = a_cohort(), np.arange(24) % 3
    twins = np.roll(people.segments.action, 1, axis=0)
    evaluation = Evaluation(by_folds(people, twins, folds), people)
    plain = judged(people, twins)
    wide, narrow = (
        score(of, "crps", GROUP, "easy").verdict.difference
        for of in (evaluation, plain)
    )
    assert wide.mean == pytest.approx(narrow.mean)
    assert wide.high - wide.low == pytest.approx((narrow.high - narrow.low) * 2**0.5)
    of_own_twins = Evaluation(by_folds(people, people.segments.action, folds), people)
    assert of_own_twins.matching["identified"].mean == 1.0
    assert (of_own_twins.matching["people"], score(of_own_twins, "rt").people) == (
        24,
        24,
    )
    assert score(of_own_twins, "rt").value.mean > 0.98


def test_what_is_the_same_for_all_of_a_fold_has_no_r():
    """Training people without slow people are quick: r of their mean was far below 0."""
    people, folds = a_cohort(), np.arange(24) % 3
    alike = np.empty_like(people.segments.action)
    for fold in range(3):
        alike[folds == fold] = people.segments.action[folds != fold].mean(axis=0)
    judged = by_folds(people, alike, folds)
    times = judged.models[TWIN].times[:, 0], observed_times(people.segments)[:, 0]
    assert np.corrcoef(*times)[0, 1] < -0.1
    assert np.isnan(score(Evaluation(judged, people), "rt").value.mean)


def losses(people: int, gain: float, seed: int = 0) -> np.ndarray:
    """Return losses that depend on the person, on the twin, and on whether they match."""
    rng = np.random.default_rng(seed)
    person, twin = rng.uniform(0.05, 0.2, (2, people))
    noise = 0.01 * rng.standard_normal((people, people))
    return person + twin[:, None] + noise - gain * np.eye(people)


def match_in_one_group(matrix: np.ndarray, **options):
    """Match people of one group, without relatives."""
    people = len(matrix)
    return match(matrix, np.zeros(people, int), np.arange(people), **options)


def test_p_is_small_for_own_twins_and_even_where_nothing_matches():
    figures = match_in_one_group(losses(30, 0.05))
    assert figures["p"] == pytest.approx(1 / 2001)
    assert figures["mismatched"] - figures["matched"] == pytest.approx(0.05, abs=0.01)
    p = np.array(
        [
            match_in_one_group(losses(12, 0.0, seed), permutations=199)["p"]
            for seed in range(60)
        ]
    )
    assert 0.35 < p.mean() < 0.65
    assert (p < 0.05).mean() < 0.15


def test_figures_of_a_small_matrix():
    figures = match_in_one_group(
        np.array([[1.0, 5.0, 1.0], [2.0, 2.0, 6.0], [3.0, 2.0, 5.0]])
    )
    assert (figures["matched"], figures["mismatched"]) == pytest.approx((8 / 3, 19 / 6))
    # The first is the best of its column, the second ties with the third, the third is second.
    assert figures["identified"].mean == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert figures["mean_rank"] == pytest.approx((1 + 1.5 + 2) / 3)
    assert figures["better_than_average"].mean == pytest.approx(2 / 3)


def test_twins_of_other_groups_and_of_relatives_are_no_rivals():
    matrix, groups = losses(12, 0.02), np.arange(12) % 3
    blocked = np.where(groups[:, None] == groups, matrix, np.nan)
    figures = match(blocked, groups, np.arange(12))
    figures_of_groups = [
        match_in_one_group(matrix[np.ix_(members, members)])
        for members in (groups == number for number in range(3))
    ]
    for name in ("matched", "mismatched", "mean_rank"):
        assert figures[name] == pytest.approx(
            np.mean([of[name] for of in figures_of_groups])
        )
    families = np.array([0, 1, 0, 2, 1, 3])
    some, sides = matrix[:6, :6], np.array([0, 0, 0, 1, 1, 1])
    apart = (families[:, None] != families) & (sides[:, None] == sides)
    expected = np.ma.array(some, mask=~apart).mean(axis=0)
    assert mean_of_others(some, sides, families) == pytest.approx(expected)
    once = match(some, np.zeros(6, int), families)
    diagonal = np.diagonal(some)
    assert once["people"] == 4
    assert once["matched"] == pytest.approx(
        np.mean([diagonal[families == n].mean() for n in range(4)])
    )
