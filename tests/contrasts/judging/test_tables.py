"""Scores and verdicts on simulated people, and what is not reported without an effect."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.judging.scores import (
    GROUP_AVERAGE,
    LINEAR,
    RETEST,
    Scores,
    ceilings,
    join,
    join_groups,
    score_maps,
    without_individuality,
)
from bids_dtg.contrasts.judging.tables import (
    by_person,
    comparison_rows,
    contrast_rows,
    person_rows,
    published_tests,
    summary_row,
)
from bids_dtg.contrasts.people import Person

CONTRASTS = 2
VOXELS = 80
SIMULATIONS = 200
NO_CEILINGS = ceilings([], [])


def cohort(rng, people, gain=0.0):
    """Measured maps, and a model that knows the mean map and people as much as the gain says."""
    mean = 2 * rng.normal(size=(1, CONTRASTS, VOXELS))
    deviation = rng.normal(size=(people, CONTRASTS, VOXELS))
    measured = (mean + deviation + rng.normal(size=deviation.shape)).astype(np.float32)

    def predicted():
        # A person's prediction may be good or bad as a whole: columns of the matrix differ.
        noise = rng.normal(size=deviation.shape) * rng.uniform(0.4, 1.0, (people, 1, 1))
        return (mean + gain * deviation + noise).astype(np.float32)

    return measured, predicted


def test_what_is_individual_and_worth_using_is_called_so():
    measured, predicted = cohort(np.random.default_rng(1), 12, gain=0.8)
    rows = comparison_rows(score_maps("model", predicted(), measured), "model")
    assert [(row["question"], row["verdict"]) for row in rows] == [
        ("individual", "better"),
        ("worth using", "better"),
    ]


def test_who_is_judged_in_groups_has_trained_the_others_and_is_less_sure():
    """Intervals and p took predictions of folds, which share training people, as given."""
    measured, predicted = cohort(np.random.default_rng(7), 24, gain=0.1)
    names = ("a", GROUP_AVERAGE)
    of_both = {name: predicted() for name in names}
    labels = [str(n) for n in range(24)]

    def scored(name: str, group: int) -> Scores:
        here = slice(group, None, 4)
        return score_maps(
            name, of_both[name][here], measured[here], labels=(labels[here], ["0", "1"])
        )

    folded = join_groups(
        [join([scored(name, group) for name in names]) for group in range(4)],
        [range(group, 24, 4) for group in range(4)],
    )
    flat = folded._replace(table=folded.table.assign(group=0))
    rows = (comparison_rows(scores, "a") for scores in (folded, flat))
    for row, flat_row in zip(*rows, strict=True):
        assert row["p"] > flat_row["p"]
        _check_wider(row["difference"], flat_row["difference"])
    row, flat_row = (summary_row(scores, "a") for scores in (folded, flat))
    for key in ("r_minus_group_average", "r_minus_own_mean", "index"):
        _check_wider(row[key], flat_row[key])
    assert row["r"] == flat_row["r"]
    rows = (published_tests(scores, "a") for scores in (folded, flat))
    assert all(
        row["p"] > flat_row["p"]
        for row, flat_row in zip(*rows, strict=True)
        if row["score"] == "r"
    )


def _check_wider(row, flat_row):
    """Two intervals of one mean, of which the first is wider by the root of two."""
    assert row[0] == flat_row[0]
    assert row[2] - row[1] == pytest.approx(
        2**0.5 * (flat_row[2] - flat_row[1]), abs=4e-4
    )


@pytest.mark.parametrize("people", [5, 10, 20, 40])
def test_no_constant_map_buys_a_score_of_individuality_or_a_verdict(people):
    rng = np.random.default_rng(people)
    truth = 2 * rng.normal(size=(CONTRASTS, 5000))
    measured = (truth + rng.normal(size=(people, *truth.shape))).astype(np.float32)
    scores = score_maps("truth", np.broadcast_to(truth, measured.shape), measured)
    row = summary_row(scores, "truth")
    assert row["residual_r"] is None
    assert row["identification"][0] == pytest.approx(1 / people, abs=1e-4)
    assert row["fingerprint"][0] == row["index"][0] == row["r_minus_own_mean"][0] == 0
    verdicts = {row["verdict"] for row in comparison_rows(scores, "truth")}
    assert verdicts == ({"interval holds 0"} if people >= 8 else {"too few people"})


def test_a_leave_one_out_average_gives_no_verdict_that_praises():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(CONTRASTS, 3000))
    measured = (truth + rng.normal(size=(10, *truth.shape))).astype(np.float32)
    average = (measured.sum(axis=0) - measured) / 9
    group = without_individuality(score_maps(GROUP_AVERAGE, average, measured))
    bought = score_maps("truth", np.broadcast_to(truth, measured.shape), measured)
    above = by_person(bought.of("truth"), "r") - by_person(group.of(GROUP_AVERAGE), "r")
    assert above.mean() > 0.02
    (row,) = (
        row
        for row in comparison_rows(join([group, bought]), "truth")
        if not row["question"]
    )
    assert row["verdict"] == "above, no verdict"
    noise = score_maps("noise", truth + 3 * rng.normal(size=measured.shape), measured)
    (row,) = (
        row
        for row in comparison_rows(join([group, noise]), "noise")
        if not row["question"]
    )
    assert row["verdict"] == "worse"


def test_contrasts_with_one_map_for_everybody_count_as_residual_r_of_0():
    measured, predicted = cohort(np.random.default_rng(3), 9, gain=0.8)
    maps = predicted()
    one_for_all = score_maps(GROUP_AVERAGE, maps, measured)
    maps[:, 1] = maps[0, 1]
    half = score_maps("half", maps, measured)
    assert half.of("half").loc["1", "residual_r"].isna().all()
    expected = one_for_all.of(GROUP_AVERAGE).loc["0", "residual_r"].mean() / 2
    assert by_person(half.of("half"), "residual_r").mean() == pytest.approx(expected)
    rows = contrast_rows(join([one_for_all, half]), NO_CEILINGS)[CONTRASTS:]
    assert [row["residual_r"] is None for row in rows] == [False, True]
    assert [row["same_for_all"] for row in rows] == [False, True]


def test_relative_gain_is_mean_r_over_that_of_the_linear_model():
    """None where the linear model's mean r is not above 0, or where there is no such model."""
    measured, predicted = cohort(np.random.default_rng(5), 9, gain=0.8)
    mine = score_maps("mine", predicted(), measured)
    linear = predicted()
    linear[:, 1] *= -1
    scores = join([mine, score_maps(LINEAR, linear, measured)])
    rows = [row for row in contrast_rows(scores, NO_CEILINGS) if row["model"] == "mine"]
    r = {
        name: scores.of(name)["r"].groupby(level="contrast").mean()
        for name in ("mine", LINEAR)
    }
    assert r[LINEAR]["1"] < 0 < r["mine"]["1"]
    expected = r["mine"]["0"] / r[LINEAR]["0"] - 1
    assert rows[0]["relative_gain"] == pytest.approx(expected, abs=1e-4)
    assert rows[1]["relative_gain"] is None
    assert {row["relative_gain"] for row in contrast_rows(mine, NO_CEILINGS)} == {None}


def test_r_of_exactly_0_has_no_ratio():
    measured, _ = cohort(np.random.default_rng(4), 5)
    row = summary_row(
        score_maps("constant", np.ones_like(measured), measured), "constant"
    )
    assert row["r"] == [0.0, 0.0, 0.0]
    assert row["ratio"] is None


def test_the_published_tests_are_those_of_the_publication():
    measured, predicted = cohort(np.random.default_rng(7), 12, gain=0.8)
    constant = np.broadcast_to(predicted()[0], measured.shape)
    models = {"model": predicted(), GROUP_AVERAGE: constant, RETEST: predicted()}
    scores = join([score_maps(name, maps, measured) for name, maps in models.items()])
    rows = published_tests(scores, "model")
    assert len(rows) == 2 * 4 * 2
    product = next(row for row in rows if row["score"] == "product")
    matrix = scores.matrices["model"][0]
    diagonal = np.diagonal(matrix)
    others_mean = (matrix.sum(axis=1) - diagonal) / 11
    assert product["model"] == pytest.approx(
        ((diagonal - others_mean) * diagonal).mean(), abs=1e-4
    )
    assert product["other"] == 0  # one map for everybody
    tested = [row for row in rows if row["p"] is not None]
    assert {row["score"] for row in tested} == {"r", "dice", "product"}
    # The false discovery rate is over all of them.
    p = np.sort([row["p"] for row in tested])
    expected = (p * len(p) / np.arange(1, len(p) + 1)).min()
    assert min(row["q"] for row in tested) == pytest.approx(expected, abs=1e-4)
    fingerprints = [row for row in rows if row["score"] == "fingerprint"]
    assert all(row["p"] is None and row["model"] > 0.1 for row in fingerprints)


def test_differences_are_paired_over_people_and_families_count_as_one():
    measured, predicted = cohort(np.random.default_rng(8), 12, gain=0.5)
    families = np.repeat(np.arange(6), 2)
    models = {GROUP_AVERAGE: predicted(), LINEAR: predicted(), "model": predicted()}
    scores = join(
        [
            score_maps(name, maps, measured, None, families)
            for name, maps in models.items()
        ]
    )
    row = next(
        row
        for row in comparison_rows(scores, "model")
        if row["against"] == LINEAR and not row["question"]
    )
    difference = scores.of("model")["r"] - scores.of(LINEAR)["r"]
    assert row["difference"][0] == pytest.approx(difference.mean(), abs=1e-4)
    assert row["difference"][1] <= row["difference"][0] <= row["difference"][2]
    assert (row["people"], row["verdict"]) == (6, "too few people")
    assert {row["people"] for row in contrast_rows(scores, NO_CEILINGS)} == {6}


def test_a_row_a_person_has_their_own_scores():
    measured, predicted = cohort(np.random.default_rng(9), 12, gain=0.5)
    mean = np.broadcast_to(measured.mean(axis=0), measured.shape)
    models = {GROUP_AVERAGE: mean, "model": predicted()}
    scores = join([score_maps(name, maps, measured) for name, maps in models.items()])
    nothing = np.zeros((1, 1, VOXELS), np.float16)
    people = [
        Person(str(n), nothing, (1.0,), (maps,), fd_mm=n)
        for n, maps in enumerate(measured)
    ]
    rows = person_rows(
        scores, "model", [*people, Person("12", nothing, (1.0,), (measured[0],))]
    )
    assert [row["participant_id"] for row in rows] == [f"sub-{n}" for n in range(12)]
    assert [row["fd_mean"] for row in rows] == list(range(12))
    assert all(row["contrasts"] == 2 and row["minutes"] is None for row in rows)
    typicality = [
        np.corrcoef(mean[0, q], measured[3, q])[0, 1] for q in range(CONTRASTS)
    ]
    assert rows[3]["typicality"] == pytest.approx(np.mean(typicality), abs=1e-4)


def test_the_interval_of_an_r_ends_at_1():
    """Of three people two are predicted well, and Student's interval is wide."""
    measured = np.random.default_rng(0).standard_normal((3, 1, 500))
    predicted = (
        measured + np.array([0.1, 0.1, 1.5])[:, None, None] * measured[[1, 2, 0]]
    )
    row = summary_row(score_maps("model", predicted, measured), "model")
    mean, low, high = row["r"]
    assert low < mean < high == 1.0
