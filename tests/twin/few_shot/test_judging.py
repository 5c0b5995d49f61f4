"""Scores of later trials, joined over folds of people."""

import numpy as np
import pytest

from bids_dtg.twin.few_shot.judging import BOTH, CONNECTOME, SCORES, TRIALS, own_trials_fold_scores


def of_fold(values, names):
    return {"go": {name: {score: np.array(values) for score in SCORES} for name in names}}


def test_folds_without_predicting_connectomes_count_by_own_trials():
    folds = [
        (np.array([0, 2]), of_fold([1.0, 3.0], (CONNECTOME, TRIALS, BOTH, "rival"))),
        (np.array([1, 3]), of_fold([2.0, 6.0], (TRIALS, "rival"))),
    ]
    found = {
        score.name: score for score in own_trials_fold_scores(folds, 4) if score.score == "crps"
    }
    assert {name: score.people for name, score in found.items()} == {
        CONNECTOME: 2,
        TRIALS: 4,
        BOTH: 4,
        "rival": 4,
    }
    assert found[BOTH].value.mean == pytest.approx(3.0)
    assert found[CONNECTOME].value.mean == pytest.approx(2.0)
    assert found[BOTH].verdict is None
    assert found["rival"].verdict is not None


def test_intervals_allow_for_folds_that_share_people():
    rng = np.random.default_rng(0)
    names = (TRIALS, "rival")
    folds = [(np.arange(5) + start, of_fold(rng.normal(size=5), names)) for start in (0, 5)]
    for _, tasks in folds:
        for score in SCORES:
            tasks["go"]["rival"][score] = tasks["go"]["rival"][score] + rng.normal(size=5)
    verdict = own_trials_fold_scores(folds, 10)[1].verdict
    difference = np.concatenate(
        [tasks["go"]["rival"]["crps"] - tasks["go"][TRIALS]["crps"] for _, tasks in folds]
    )
    width = verdict.difference.high - verdict.difference.low
    assert width == pytest.approx(
        np.sqrt(2) * 2 * 2.262 * difference.std(ddof=1) / np.sqrt(10), rel=0.01
    )
