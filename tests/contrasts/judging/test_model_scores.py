"""Scores and verdicts on simulated people: what nobody may be reported where there is nothing."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from scipy.stats import binom

from bids_dtg.contrasts.judging.model_scores import join_groups, score_judged, score_maps
from bids_dtg.contrasts.judging.model_table import (
    ceiling_row,
    comparison_rows,
    contrast_rows,
    predictability_rows,
    published_tests,
    summary_row,
)

CONTRASTS, VOXELS, SIMULATIONS = 2, 80, 200


def cohort(rng, people, gain=0.0):
    """Measured maps, and a model that knows the mean map and people as much as the gain says."""
    mean = 2 * rng.normal(size=(1, CONTRASTS, VOXELS))
    own = rng.normal(size=(people, CONTRASTS, VOXELS))
    measured = (mean + own + rng.normal(size=own.shape)).astype(np.float32)

    def predicted():
        # A person's prediction may be good or bad as a whole: columns of the matrix differ.
        noise = rng.normal(size=own.shape) * rng.uniform(0.4, 1.0, (people, 1, 1))
        return (mean + gain * own + noise).astype(np.float32)

    return measured, predicted


@pytest.mark.parametrize(
    ("people", "gain"),
    [
        (3, 0.0),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [(8, 0.0), (20, 0.0), (3, 0.5), (8, 0.5), (20, 0.5)]
        ),
    ],
)
def test_null_comparisons_are_called_differences_in_at_most_one_of_twenty(people, gain):
    called: Counter[str] = Counter()
    for seed in range(SIMULATIONS):
        measured, predicted = cohort(np.random.default_rng([people, seed]), people, gain)
        one, other = (score_maps(name, predicted(), measured) for name in "ab")
        for row in comparison_rows(one, [other]):
            if row["question"] == "worth using" or (row["question"] and gain):
                continue  # no null
            called[row["question"] or row["score"]] += row["verdict"] in ("better", "worse")
    assert len(called) == (3 if gain else 4)
    most = binom.ppf(0.975, SIMULATIONS, 0.05) if people >= 8 else 0
    assert max(called.values()) <= most, called


def test_what_is_individual_and_worth_using_is_called_so():
    measured, predicted = cohort(np.random.default_rng(1), 12, gain=0.8)
    rows = comparison_rows(score_maps("model", predicted(), measured), [])
    assert [(row["question"], row["verdict"]) for row in rows] == [
        ("individual", "better"),
        ("worth using", "better"),
    ]


def test_people_above_the_group_average_are_counted():
    measured, _ = cohort(np.random.default_rng(2), 12, gain=1.0)
    group = score_maps("group", np.repeat(measured.mean(axis=0)[None], 12, axis=0), measured)
    assert summary_row(score_maps("itself", measured, measured), group)["above_group_average"] == 1
    half = measured.copy()
    half[:6] *= -1
    assert summary_row(score_maps("half", half, measured), group)["above_group_average"] == 0.5


def test_who_is_judged_in_groups_has_trained_the_others_and_is_less_sure():
    """Intervals and p took predictions of folds, which share training people, as given."""
    measured, predicted = cohort(np.random.default_rng(7), 24, gain=0.1)
    folded, flat = [], []
    for maps in (predicted(), predicted()):
        parts = [score_maps("a", maps[own::4], measured[own::4]) for own in range(4)]
        folded.append(join_groups(parts))
        flat.append(dataclasses.replace(folded[-1], groups=None))
    rows = (comparison_rows(one[0], one[1:]) for one in (folded, flat))
    for row, given in zip(*rows, strict=True):
        assert row["p"] > given["p"]
        _check_wider(row["difference"], given["difference"])
    row, given = (summary_row(*one) for one in (folded, flat))
    for key in ("r_minus_group_average", "r_minus_own_mean", "index"):
        _check_wider(row[key], given[key])
    assert row["r"] == given["r"]
    for row, given in zip(
        predictability_rows(folded[0], "ab"), predictability_rows(flat[0], "ab"), strict=True
    ):
        _check_wider(row["above_another"], given["above_another"])
    for rows in (
        lambda one: contrast_rows([one[0]], one[1], "ab"),
        lambda one: [
            row
            for row in published_tests(one[0], [one[1]], "ab")
            if row["p"] is not None and row["score"] == "r"
        ],
    ):
        for row, given in zip(rows(folded), rows(flat), strict=True):
            assert row["p"] > given["p"]


def _check_wider(row, given):
    """Two intervals of one mean, of which the first is wider by the root of two."""
    assert row[0] == given[0]
    assert row[2] - row[1] == pytest.approx(2**0.5 * (given[2] - given[1]), abs=4e-4)


@pytest.mark.slow
def test_noise_that_knows_nobody_has_no_residual_r_and_the_identification_of_chance():
    n, residual, identified = 10, [], []
    for seed in range(SIMULATIONS):
        measured, predicted = cohort(np.random.default_rng(seed), n)
        found = score_maps("noise", predicted(), measured)
        residual.append(found.by_person("residual_r").mean())
        identified.append(np.diagonal(found.matrices[0]) >= found.matrices[0].max(axis=1))
    assert abs(np.mean(residual)) < 2 * np.std(residual) / np.sqrt(SIMULATIONS)
    draws = SIMULATIONS * n
    assert binom.ppf(0.025, draws, 1 / n) <= np.sum(identified) <= binom.ppf(0.975, draws, 1 / n)


@pytest.mark.parametrize("people", [5, 10, 20, 40])
def test_no_constant_map_buys_a_score_of_individuality_or_a_verdict(people):
    rng = np.random.default_rng(people)
    truth = 2 * rng.normal(size=(CONTRASTS, 5000))
    measured = (truth + rng.normal(size=(people, *truth.shape))).astype(np.float32)
    found = score_maps("truth", np.broadcast_to(truth, measured.shape), measured)
    row = summary_row(found)
    assert row["residual_r"] is None
    assert row["identification"][0] == pytest.approx(1 / people, abs=1e-4)
    assert row["fingerprint"][0] == row["index"][0] == row["r_minus_own_mean"][0] == 0
    verdicts = {row["verdict"] for row in comparison_rows(found, [])}
    assert verdicts == ({"interval holds 0"} if people >= 8 else {"too few people"})


def test_a_leave_one_out_average_gives_no_verdict_that_praises():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(CONTRASTS, 3000))
    measured = (truth + rng.normal(size=(10, *truth.shape))).astype(np.float32)
    average = (measured.sum(axis=0) - measured) / 9
    group = score_maps("group average", average, measured)
    group = type(group)(
        group.name, group.scores, group.measured, {}, has_individuality=False, leave_one_out=True
    )
    bought = score_maps("truth", np.broadcast_to(truth, measured.shape), measured)
    assert (bought.by_person("r") - group.by_person("r")).mean() > 0.02
    (row,) = (row for row in comparison_rows(bought, [group]) if row["question"] is None)
    assert row["verdict"] == "above, no verdict"
    noise = score_maps("noise", truth + 3 * rng.normal(size=measured.shape), measured)
    (row,) = (row for row in comparison_rows(noise, [group]) if row["question"] is None)
    assert row["verdict"] == "worse"


def test_contrasts_with_one_map_for_everybody_count_as_residual_r_of_0():
    measured, predicted = cohort(np.random.default_rng(3), 9, gain=0.8)
    maps = predicted()
    both = score_maps("both", maps, measured)
    maps[:, 1] = maps[0, 1]
    half = score_maps("half", maps, measured)
    assert np.isnan(half.scores["residual_r"][1]).all()
    expected = both.scores["residual_r"][0].mean() / 2
    assert half.by_person("residual_r").mean() == pytest.approx(expected)
    rows = contrast_rows([half], both, ["a", "b"])
    assert [row["residual_r"] is None for row in rows] == [False, True]
    assert [row["same_for_all"] for row in rows] == [False, True]


def test_r_of_exactly_0_has_no_ratio():
    measured, _ = cohort(np.random.default_rng(4), 5)
    row = summary_row(score_maps("constant", np.ones_like(measured), measured))
    assert row["r"] == [0.0, 0.0, 0.0]
    assert row["ratio"] is None


def test_the_ceiling_is_the_root_of_the_retest_and_the_true_map_reaches_it():
    rng = np.random.default_rng(5)
    true = rng.normal(size=(12, CONTRASTS, 4000))
    noise = np.array([0.5, 2.0])[:, None]  # of the two contrasts
    first, second = (true + noise * rng.normal(size=true.shape) for _ in range(2))
    second[0, :, :1000] = np.nan  # outside the field of view: not 0
    retest = score_maps("retest", second, first)
    reliability = (1 / (1 + noise**2)).ravel()
    np.testing.assert_allclose(retest.scores["r"].mean(axis=1), reliability, atol=0.02)
    row = ceiling_row(retest)
    assert row["r"][0] == pytest.approx(np.sqrt(reliability).mean(), abs=0.01)
    assert row["r"][1] < row["r"][0] < row["r"][2]
    found = summary_row(score_maps("true", true, first), retest=retest)
    assert found["r_over_ceiling"][0] == pytest.approx(1, abs=0.02)
    assert found["r_over_ceiling"][1] < 1 < found["r_over_ceiling"][2]


def test_who_lacks_a_contrast_in_either_session_does_not_count_for_it():
    measured, predicted = cohort(np.random.default_rng(6), 9, gain=0.8)
    again = predicted()
    measured[2, 1], again[4, 0] = np.nan, np.nan
    found = score_maps("retest", again, measured)
    assert found.measured.sum() == 16
    assert np.isnan(found.scores["r"][1, 2])
    assert np.isnan(found.scores["r"][0, 4])
    assert found.matrices[0].shape == (8, 8)
    assert len(published_tests(found, [found], ["a", "b"])) == 8


def test_the_published_tests_are_those_of_the_publication():
    measured, predicted = cohort(np.random.default_rng(7), 12, gain=0.8)
    model = score_maps("model", predicted(), measured)
    constant = np.broadcast_to(predicted()[0], measured.shape)
    mean = score_maps("group average", constant, measured)
    rows = published_tests(model, [mean, score_maps("retest", predicted(), measured)], ["a", "b"])
    assert len(rows) == 2 * 4 * 2
    product = next(row for row in rows if row["score"] == "product")
    own = np.diagonal(model.matrices[0])
    others = (model.matrices[0].sum(axis=1) - own) / 11
    assert product["model"] == pytest.approx(((own - others) * own).mean(), abs=1e-4)
    assert product["other"] == 0  # one map for everybody
    tested = [row for row in rows if row["p"] is not None]
    assert {row["score"] for row in tested} == {"r", "dice", "product"}
    # The false discovery rate is over all of them.
    p = np.sort([row["p"] for row in tested])
    expected = (p * len(p) / np.arange(1, len(p) + 1)).min()
    assert min(row["q"] for row in tested) == pytest.approx(expected, abs=1e-4)
    fingerprints = [row for row in rows if row["score"] == "fingerprint"]
    assert all(row["p"] is None and row["model"] > 0.1 for row in fingerprints)


def test_the_own_mean_prediction_is_one_map_of_those_who_count():
    measured, predicted = cohort(np.random.default_rng(8), 6)
    maps = predicted()
    measured[5, 1] = np.nan
    _, own_mean, another = score_judged("model", maps, measured)
    for q, there in enumerate((6, 5)):
        mean = maps[:there, q].mean(axis=0)
        expected = [np.corrcoef(mean, one)[0, 1] for one in measured[:there, q]]
        assert own_mean.scores["r"][q, :there].mean() == pytest.approx(np.mean(expected))
        r = np.corrcoef(measured[:there, q], maps[:there, q])[:there, there:]
        others = r[~np.eye(there, dtype=bool)].mean()
        assert another.scores["r"][q, :there].mean() == pytest.approx(others)
    row = summary_row(own_mean)
    assert row["residual_r"] is None
    # Five people have both contrasts, one has the first.
    expected = (5 * (1 / 6 + 1 / 5) / 2 + 1 / 6) / 6
    assert row["identification"][0] == pytest.approx(expected, abs=1e-4)
