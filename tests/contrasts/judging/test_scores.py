"""The table of scores: who counts, what is left out, and how well measured maps repeat."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.judging.scores import (
    ANOTHER,
    OWN_MEAN,
    ceilings,
    join_groups,
    score_maps,
    with_derived,
)
from bids_dtg.contrasts.people import Person

RNG = np.random.default_rng(6)
PEOPLE = 9
CONTRASTS = 2
VOXELS = 300


def maps():
    truth = 2 * RNG.normal(size=(CONTRASTS, VOXELS))
    measured = truth + RNG.normal(size=(PEOPLE, CONTRASTS, VOXELS))
    return measured + RNG.normal(size=measured.shape), measured


def test_who_lacks_a_contrast_in_either_map_does_not_count_for_it():
    predicted, measured = maps()
    measured[2, 1], predicted[4, 0] = np.nan, np.nan
    scores = score_maps("model", predicted, measured)
    table = scores.of("model")
    assert len(table) == 2 * PEOPLE - 2
    assert ("1", "2") not in table.index
    assert ("0", "4") not in table.index
    matrix = scores.matrices["model"][0]
    assert np.isnan(matrix[4]).all()
    assert np.isfinite(matrix).sum() == (PEOPLE - 1) ** 2


def test_derived_rows_are_the_mean_prediction_and_that_for_others():
    predicted, measured = maps()
    measured[8, 1] = np.nan
    scores = with_derived(score_maps("model", predicted, measured))
    for contrast, number in (("0", 9), ("1", 8)):
        q = int(contrast)
        mean = predicted[:number, q].mean(axis=0)
        expected = [
            np.corrcoef(mean, persons_map)[0, 1] for persons_map in measured[:number, q]
        ]
        assert scores.of(OWN_MEAN).loc[contrast, "r"].mean() == pytest.approx(
            np.mean(expected)
        )
        r = np.corrcoef(measured[:number, q], predicted[:number, q])[:number, number:]
        off_diagonal = r[~np.eye(number, dtype=bool)].mean()
        assert scores.of(ANOTHER).loc[contrast, "r"].mean() == pytest.approx(
            off_diagonal
        )
    assert scores.of(OWN_MEAN)["identification"].isna().all()


def test_groups_are_joined_in_the_order_of_people_and_their_families_stay_apart():
    predicted, measured = maps()
    first_group, second_group = [0, 2, 3, 6, 8], [1, 4, 5, 7]
    groups = [
        score_maps(
            "model",
            predicted[rows],
            measured[rows],
            families=np.zeros(len(measured[rows]), int),
        )
        for rows in (first_group, second_group)
    ]
    joined = join_groups(groups, [first_group, second_group])
    assert joined.table["group"].unique().tolist() == [1, 2]
    assert joined.table["family"].nunique() == 2
    whole = joined.matrices["model"]
    assert np.isnan(whole[:, first_group][..., second_group]).all()
    block = whole[:, second_group][..., second_group]
    np.testing.assert_array_equal(block, groups[1].matrices["model"])


def person(number: int, *sessions: np.ndarray) -> Person:
    nothing = np.zeros((1, 1, VOXELS), np.float16)
    return Person(str(number), nothing, (1.0,), tuple(sessions))


def test_the_ceiling_is_what_the_true_map_would_reach():
    rng = np.random.default_rng(0)
    noise = np.array([0.5, 2.0])[:, None]
    true = rng.normal(size=(12, CONTRASTS, 4000))
    first, again = (true + noise * rng.normal(size=true.shape) for _ in range(2))
    again[0, :, :1000] = np.nan  # outside the field of view: not 0
    once = person(12, first[0])
    table = ceilings([*map(person, range(12), first, again), once], ["a", "b"])
    reliability = (1 / (1 + noise**2)).ravel()
    np.testing.assert_allclose(table["reliability"], reliability, atol=0.02)
    np.testing.assert_allclose(table["ceiling"] ** 2, table["reliability"])
    np.testing.assert_allclose(table["residual_reliability"], reliability, atol=0.05)
    assert table["retest_people"].tolist() == [12, 12]
    reached = score_maps("true", true, first).of("true")["r"].groupby("contrast").mean()
    np.testing.assert_allclose(reached, table["ceiling"], atol=0.02)


def test_a_contrast_that_nobody_has_twice_has_no_ceiling():
    first, again = (RNG.normal(size=(4, CONTRASTS, VOXELS)) for _ in range(2))
    again[:, 1] = np.nan
    table = ceilings(list(map(person, range(4), first, again)), ["a", "b"])
    assert table["contrast"].tolist() == ["a"]
    assert ceilings([person(0, first[0])], ["a", "b"]).empty


def test_people_who_are_alike_have_a_ceiling_of_0_for_their_deviations():
    true = RNG.normal(size=(CONTRASTS, 20_000))
    noisy = true + 0.3 * RNG.normal(size=(2, 30, *true.shape))
    table = ceilings(list(map(person, range(30), *noisy)), ["a", "b"])
    assert (table["ceiling"] > 0.9).all()
    assert (table["residual_ceiling"] < 0.1).all()
