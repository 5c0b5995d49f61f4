"""Scores of left minus right on simulated people, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.asymmetry import Homologues
from bids_dtg.contrasts.judging.asymmetry import asymmetry_table, score_asymmetry
from bids_dtg.contrasts.judging.scores import join_groups

PEOPLE, PAIRS = 20, 60
SIDES = Homologues(
    tuple(map(str, range(PAIRS))), np.arange(PAIRS), np.arange(PAIRS, 2 * PAIRS)
)
CONTRASTS = ("language", "motor")


def people(share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return predicted and measured maps, and the mean; predictions know a share of deviations."""
    rng = np.random.default_rng(3)
    mean = rng.normal(size=(2, 2 * PAIRS))
    deviation = rng.normal(size=(PEOPLE, 2, 2 * PAIRS)) * rng.normal(
        size=(PEOPLE, 1, 1)
    )
    noise = rng.normal(size=deviation.shape)
    return mean + share * deviation + 0.2 * noise, mean + deviation, mean


def scored(share: float):
    predicted, measured, mean = people(share)
    labels = [str(person) for person in range(PEOPLE)], CONTRASTS
    return score_asymmetry("own", (predicted, measured), mean, SIDES, None, labels)


def test_scores_are_those_of_their_definitions():
    predicted, measured, mean = people(0.5)
    rows = asymmetry_table(scored(0.5), "own").rows
    assert [row["contrast"] for row in rows] == list(CONTRASTS)
    for number, row in enumerate(rows):
        p, m, g = (
            maps[..., number, :PAIRS] - maps[..., number, PAIRS:]
            for maps in (predicted, measured, mean)
        )
        r = [np.corrcoef(p[n], m[n])[0, 1] for n in range(PEOPLE)]
        group_r = [np.corrcoef(g, m[n])[0, 1] for n in range(PEOPLE)]
        matrix = np.corrcoef(m - g, p - g)[:PEOPLE, PEOPLE:]
        most = np.argsort(-np.abs(g))[:20]
        of_index = ((maps[:, most] * np.sign(g[most])).mean(axis=1) for maps in (p, m))
        wanted = {
            "r": np.mean(r),
            "group_r": np.mean(group_r),
            "r_minus_group_average": np.mean(r) - np.mean(group_r),
            "residual_r": np.diagonal(matrix).mean(),
            "identification": (matrix.argmax(axis=1) == np.arange(PEOPLE)).mean(),
            "index_r": np.corrcoef(*of_index)[0, 1],
        }
        for name, value in wanted.items():
            assert row[name][0] == pytest.approx(value, abs=1e-4), name
        assert (row["people"], row["verdict"]) == (PEOPLE, "better")
        assert row["index_verdict"] == "better"


def test_predictions_of_somebody_else_are_not_called_better():
    predicted, measured, mean = people(0.5)
    labels = [str(person) for person in range(PEOPLE)], CONTRASTS
    maps = np.roll(predicted, 1, axis=0), measured
    scores = score_asymmetry("own", maps, mean, SIDES, None, labels)
    for row in asymmetry_table(scores, "own").rows:
        _, low, high = row["residual_r"]
        assert low < 0 < high
        assert "better" not in (row["verdict"], row["index_verdict"])


def test_the_index_of_folds_is_not_negative_by_construction():
    """A high value lowers the mean of the folds that predict it, and so their predictions."""
    rng = np.random.default_rng(13)
    measured = rng.normal(size=(PEOPLE, 1, 2 * PAIRS))
    # One number for a whole map, in which people differ.
    measured[..., :PAIRS] += 1 + 0.5 * rng.normal(size=(PEOPLE, 1, 1))
    groups = []
    members = []
    indices = []
    deviations = []
    for fold in range(5):
        test = np.arange(PEOPLE) % 5 == fold
        mean = measured[~test].mean(axis=0)
        predicted = mean + 0.01 * rng.normal(size=measured[test].shape)
        labels = [str(n) for n in np.flatnonzero(test)], CONTRASTS[:1]
        maps = predicted, measured[test]
        members.append(np.flatnonzero(test))
        groups.append(score_asymmetry("own", maps, mean, SIDES, None, labels))
        of_fold = np.array([SIDES.values(some, mean)[:, 0, -1] for some in maps])
        indices.append(of_fold)
        deviations.append(of_fold - SIDES.values(mean, mean)[0, -1])
    (row,) = asymmetry_table(join_groups(groups, members), "own").rows
    themselves, wanted = (
        np.corrcoef(np.hstack(some))[0, 1] for some in (indices, deviations)
    )
    assert themselves < -0.5
    assert row["index_r"][0] == pytest.approx(wanted, abs=1e-4)
    assert abs(wanted) < 0.1
