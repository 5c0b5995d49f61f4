"""The one rule of judging: who is enough, what the interval and p must say, and what is missing."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, bootstrap, false_discovery_control, permutation_test
from scipy.stats import t as student

from bids_dtg.stats.correlation import correlation, weighted_correlation
from bids_dtg.stats.paired import Interval
from bids_dtg.stats.verdict import (
    FEWEST,
    FEWEST_RARER,
    RULE,
    TOO_FEW,
    Verdict,
    bca_interval,
    corrected,
    judge_differences,
    judge_scores,
    too_few,
)

NAN = float("nan")
SURE, UNSURE = Interval(0.2, 0.1, 0.3), Interval(0.2, -0.1, 0.5)
NO_ENDS = Interval(0.2, NAN, NAN)
SEVEN = np.arange(30) % 7  # families of thirty people
DECIDED = ("better", "worse")
DIFFERENCES = arrays(float, st.integers(1, 20), elements=st.floats(-10, 10, width=16))


def other_way(word: str) -> str:
    return {"better": "worse", "worse": "better"}.get(word, word)


@pytest.mark.parametrize(
    ("verdict", "word", "why"),
    [
        (Verdict(SURE, 0.05, 8), "better", ""),
        (Verdict(Interval(-0.2, -0.3, -0.1), 0.01, 8), "worse", ""),
        (
            Verdict(SURE, 0.05, 7),
            "too few people",
            "No verdict with 7 participants (8 are needed)",
        ),
        (Verdict(UNSURE, 0.01, 8), "interval holds 0", "95 % interval holds 0"),
        (Verdict(SURE, 0.0501, 8), "p above 0.05", "p above 0.05"),
        (
            Verdict(UNSURE, 0.3, 8),
            "interval holds 0",
            "95 % interval holds 0; p above 0.05",
        ),
        (Verdict(SURE, 0.01, 40, 15), "better", ""),
        (
            Verdict(SURE, 0.01, 40, 14),
            "too few of a level",
            "No verdict with 14 participants of the rarer level (15 are needed)",
        ),
        (Verdict(Interval(1e-8, 0.5e-8, 2e-8), 0.01, 8), "interval holds 0", None),
        (Verdict.unknown(12), *2 * ("not computable (difference not defined)",)),
        (
            Verdict(NO_ENDS, 0.01, 12),
            *2 * ("not computable (95 % interval not defined)",),
        ),
        (Verdict(SURE, NAN, 12), *2 * ("not computable (p not defined)",)),
        (
            Verdict.unknown(0),
            "too few people",
            "No verdict with 0 participants (8 are needed)",
        ),
        (Verdict.unknown(40, 14), "too few of a level", None),
    ],
)
def test_the_word_says_what_is_missing(verdict, word, why):
    assert verdict.word == word
    assert verdict.decided == (word in DECIDED)
    if why is not None:
        assert verdict.why == why


@pytest.mark.parametrize(
    ("verdict", "named"),
    [
        (Verdict(SURE, 0.05, 8), "lower"),
        (Verdict(UNSURE, 0.01, 8), "no significant difference"),
        (Verdict(SURE, 0.0501, 8), "no significant difference"),
        (judge_differences(np.zeros(8)), "no significant difference"),
        (judge_differences(np.array([])), "too few people"),
        (judge_differences(np.full(12, np.nan)), "too few people"),
        (judge_differences(np.ones(7)), "too few people"),
        (Verdict(SURE, 0.01, 40, 14), "too few of a level"),
        (Verdict.unknown(40), "not computable (difference not defined)"),
        (
            judge_scores(lambda counts: counts @ np.arange(30.0), 30, families=SEVEN),
            TOO_FEW,
        ),
        (judge_differences(1 + np.arange(30.0), SEVEN), TOO_FEW),
    ],
)
def test_no_difference_is_said_only_where_one_was_computed(verdict, named):
    assert verdict.named("lower", "higher") == named


def test_the_rule_in_words_has_its_numbers():
    assert (FEWEST, FEWEST_RARER) == (8, 15)
    assert "need 8 participants (15 of the rarer level" in RULE
    assert "up to 0.05" in RULE
    assert too_few(8) == too_few(30, 15) == ""
    assert too_few(1) == "No verdict with 1 participant (8 are needed)"


@pytest.mark.slow
@given(DIFFERENCES)
@settings(max_examples=60, deadline=None)
def test_turned_differences_turn_the_verdict(d):
    verdict, turned = judge_differences(d), judge_differences(-d)
    assert turned.word == other_way(verdict.word)
    assert (turned.p, turned.people) == pytest.approx(
        (verdict.p, verdict.people), nan_ok=True
    )
    ends = (verdict.difference.low, verdict.difference.high)
    turned_ends = (-turned.difference.high, -turned.difference.low)
    assert turned_ends == pytest.approx(ends, nan_ok=True)


@pytest.mark.slow
@given(DIFFERENCES, st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_fewer_than_eight_never_get_a_verdict(d, unknown):
    verdict = judge_differences(np.append(d, np.full(unknown, np.nan)))
    assert verdict.people == len(d)
    assert (verdict.word == "too few people") == (len(d) < 8)
    clear = judge_differences(1 + 0.01 * np.arange(len(d)))
    assert clear.decided == (len(d) >= 8)


@pytest.mark.slow
@given(arrays(float, st.integers(8, 12), elements=st.floats(-5, 5, width=16)))
@settings(max_examples=25, deadline=None)
def test_p_is_that_of_all_flips(d):
    d[np.abs(d) <= 1e-6] = 0.0  # of correlations that is rounding, and none differs
    assume(np.abs(d).max() > 0)
    flips = np.array(list(itertools.product([-1.0, 1.0], repeat=len(d))))
    exact = (np.abs(flips @ d) >= abs(d.sum()) * (1 - 1e-12)).mean()
    # 10,000 draws: five standard errors.
    assert judge_differences(d).p == pytest.approx(exact, abs=0.026)


@pytest.mark.parametrize("cross_validated", [False, True])
def test_rounding_has_no_p(cross_validated):
    rounding = 1e-8 * (1 + np.random.default_rng(0).random(20))  # all of one sign
    verdict = judge_differences(rounding, cross_validated=cross_validated)
    assert (verdict.word, verdict.p) == ("interval holds 0", 1.0)


def test_interval_and_p_are_scipys():
    d = np.random.default_rng(0).normal(0.4, 1.0, 11)
    verdict = judge_differences(d)
    low, high = student.interval(0.95, 10, d.mean(), d.std(ddof=1) / np.sqrt(11))
    assert (verdict.difference.low, verdict.difference.high) == pytest.approx(
        (low, high)
    )
    exact = permutation_test(
        (d,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert verdict.p == pytest.approx(exact.pvalue, abs=0.02)


def test_a_seed_gives_the_same_again_and_another_one_other_flips():
    d = np.random.default_rng(3).normal(0.3, 1.0, 30)
    assert judge_differences(d, seed=4) == judge_differences(d, seed=4)
    assert judge_differences(d, seed=4).p != judge_differences(d, seed=5).p


def test_p_is_corrected_for_all_tests():
    d = np.random.default_rng(1).normal(0.5, 1.0, (6, 20))
    d[2, 4] = np.nan
    verdicts = [judge_differences(differences) for differences in d]
    adjusted = corrected(verdicts)
    expected = false_discovery_control([verdict.p for verdict in verdicts])
    assert [verdict.p for verdict in adjusted] == pytest.approx(list(expected))
    assert [replace(verdict, p=0) for verdict in adjusted] == [
        replace(verdict, p=0) for verdict in verdicts
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "least"),
    [
        # Of the normal 95 %; of the skewed (exponential) few people know the tail badly.
        (lambda rng, n: rng.standard_normal(n), {8: 0.93, 20: 0.93, 60: 0.93}),
        (lambda rng, n: rng.exponential(size=n) - 1, {8: 0.86, 20: 0.89, 60: 0.91}),
    ],
)
def test_the_interval_covers_the_mean(draw, least):
    rng = np.random.default_rng(5)
    for people, share in least.items():
        rows = np.stack([draw(rng, people) for _ in range(1500)])
        half = (
            student.ppf(0.975, people - 1) * rows.std(axis=1, ddof=1) / np.sqrt(people)
        )
        covered = np.abs(rows.mean(axis=1)) <= half
        some = [judge_differences(row).difference for row in rows[:40]]
        assert [interval.low <= 0 <= interval.high for interval in some] == covered[
            :40
        ].tolist()
        assert share <= covered.mean() <= 0.97


@pytest.mark.parametrize("people", [4, 8, 12, 40])
def test_where_nothing_differs_a_verdict_is_rare(people):
    words = [
        judge_differences(d).word
        for d in np.random.default_rng(people).normal(size=(300, people))
    ]
    false = sum(word in DECIDED for word in words)
    assert false <= (binom.ppf(0.99, 300, 0.05) if people >= 8 else 0)
    assert false > 0 or people < 8


def r_difference(first_score, second_score, wanted):
    return lambda counts: (
        weighted_correlation(first_score, wanted, counts)
        - weighted_correlation(second_score, wanted, counts)
    )


def scores(people, seed=0, noise=(0.3, 2.0)):
    rng = np.random.default_rng(seed)
    wanted = rng.standard_normal(people)
    return wanted, *(wanted + size * rng.standard_normal(people) for size in noise)


def test_a_score_of_a_group_is_drawn_again_as_scipy_does():
    wanted, good, bad = scores(40)
    verdict = judge_scores(r_difference(good, bad, wanted), 40)
    assert verdict.word == "better"
    expected = bootstrap(
        (good, bad, wanted),
        lambda a, b, y, axis: correlation(a, y) - correlation(b, y),
        paired=True,
        vectorized=True,
        n_resamples=4000,
        method="BCa",
        random_state=0,
    ).confidence_interval
    assert verdict.difference.mean == pytest.approx(
        float(correlation(good, wanted) - correlation(bad, wanted))
    )
    reach = expected.high - expected.low
    assert verdict.difference.low == pytest.approx(expected.low, abs=0.08 * reach)
    assert verdict.difference.high == pytest.approx(expected.high, abs=0.08 * reach)


def test_bca_is_scipys_on_the_same_samples():
    rng = np.random.default_rng(0)
    x = rng.exponential(size=25)
    drawn = x[rng.integers(25, size=(5000, 25))].mean(axis=1)
    interval = bca_interval(x.mean(), (x.sum() - x) / 24, drawn)
    expected = bootstrap(
        (x,), np.mean, n_resamples=20_000, method="BCa", random_state=1
    )
    ends = expected.confidence_interval
    assert (interval.low, interval.high) == pytest.approx(
        (ends.low, ends.high), abs=0.03
    )
    plain = np.percentile(drawn, [2.5, 97.5])
    assert (
        interval.low > plain[0]
    )  # a sample that is skewed to the right reaches further there
    assert interval.high > plain[1]


def test_a_mean_as_a_score_of_a_group_is_the_mean_of_differences():
    d = np.random.default_rng(2).normal(0.3, 1.0, 30)
    verdict = judge_scores(lambda counts: counts @ d / counts.sum(axis=1), 30, seed=3)
    alone = judge_differences(d, seed=3)
    assert verdict.difference.mean == pytest.approx(alone.difference.mean)
    assert verdict.p == pytest.approx(
        alone.p
    )  # the jackknife's shares in a mean are the values
    assert verdict.difference.low == pytest.approx(alone.difference.low, abs=0.1)


@given(st.integers(0, 30))
@settings(max_examples=8, deadline=None)
def test_exchanged_scores_turn_the_verdict(seed):
    wanted, first_score, second_score = scores(20, seed, (0.5, 1.0))
    forward = judge_scores(r_difference(first_score, second_score, wanted), 20)
    back = judge_scores(r_difference(second_score, first_score, wanted), 20)
    assert back.word == other_way(forward.word)
    assert back.difference.low == pytest.approx(-forward.difference.high)


@pytest.mark.slow
@pytest.mark.parametrize("people", [8, 20])
def test_scores_that_are_as_good_are_rarely_called_different(people):
    words = []
    for seed in range(120):
        wanted, first_score, second_score = scores(people, [seed, people], (2.0, 2.0))
        words.append(
            judge_scores(
                r_difference(first_score, second_score, wanted), people, seed=seed
            ).word
        )
    assert sum(word in DECIDED for word in words) <= binom.ppf(0.99, 120, 0.05)


def test_relatives_are_drawn_as_one():
    wanted, good, bad = scores(12, 1, (0.5, 1.5))
    twice = [np.repeat(values, 2) for values in (good, bad, wanted)]
    alone = judge_scores(r_difference(good, bad, wanted), 12)
    families = np.repeat([f"family{n}" for n in range(12)], 2)
    kin = judge_scores(r_difference(*twice), 24, families=families)
    strangers = judge_scores(r_difference(*twice), 24)
    assert kin.people == 12
    assert kin.p == pytest.approx(alone.p, abs=0.02)
    lengths = [
        verdict.difference.high - verdict.difference.low
        for verdict in (alone, kin, strangers)
    ]
    assert lengths[1] == pytest.approx(lengths[0], rel=0.15)
    assert lengths[2] < 0.9 * lengths[1]


def test_what_is_not_defined_gets_no_verdict():
    wanted, good, _ = scores(10)
    assert judge_scores(r_difference(good, np.ones(10), wanted), 10) is None
    once = np.eye(10)[0]  # without the first person it is the same for all
    assert judge_scores(r_difference(good, once, wanted), 10) is None
    assert judge_scores(lambda counts: counts[:, 0], 0) is None
    two = judge_scores(lambda counts: counts[:, 0], 2)
    assert two.word == "too few people"
    assert np.isnan(two.p)


def test_what_was_learnt_from_the_same_people_is_less_sure():
    wanted, good, bad = scores(20, 3, (0.8, 1.5))
    difference = r_difference(good, bad, wanted)
    fixed, learnt = (
        judge_scores(difference, 20, cross_validated=cross_validated)
        for cross_validated in (False, True)
    )
    for end in ("low", "high"):
        reach, wider = (
            getattr(verdict.difference, end) - verdict.difference.mean
            for verdict in (fixed, learnt)
        )
        assert wider == pytest.approx(2**0.5 * reach)
    assert learnt.difference.mean == fixed.difference.mean
    assert learnt.p > fixed.p
    few, many = (judge_scores(difference, 20, rarer=rarer) for rarer in (5, 10))
    lengths = [
        verdict.difference.high - verdict.difference.low
        for verdict in (few, many, fixed)
    ]
    assert lengths[0] > 1.2 * lengths[1] > 1.2 * lengths[2]


def test_differences_of_what_was_learnt_from_the_same_people_are_less_sure():
    d = np.random.default_rng(5).normal(0.4, 1.0, 20)
    d[3] = np.nan
    fixed, learnt = (
        judge_differences(d, cross_validated=cross_validated)
        for cross_validated in (False, True)
    )
    assert (learnt.people, learnt.difference.mean) == (
        19,
        pytest.approx(fixed.difference.mean),
    )
    lengths = [
        verdict.difference.high - verdict.difference.low for verdict in (fixed, learnt)
    ]
    assert lengths[1] == pytest.approx(2**0.5 * lengths[0])
    assert learnt.p > fixed.p


@pytest.mark.parametrize("cross_validated", [False, True])
def test_a_family_counts_as_one_person(cross_validated):
    """Ten people and their copies are ten: the same interval, p and word, and not a surer one."""
    d = np.array([0.1, 0.4, np.nan, 0.3, -0.2, 0.5, 0.2, 0.6, 0.1, 0.4])
    families = np.tile(np.arange(10), 2)
    once = judge_differences(d, cross_validated=cross_validated)
    for differences, kin in ((np.tile(d, 2), families), (d, np.arange(10))):
        again = judge_differences(differences, kin, cross_validated=cross_validated)
        assert again == once
    apart = np.concatenate([d - 1, d + 1])
    of_means = judge_differences(apart, families, cross_validated=cross_validated)
    assert of_means.difference.mean == pytest.approx(once.difference.mean)
    assert of_means.p == once.p
    assert once.people == 9
