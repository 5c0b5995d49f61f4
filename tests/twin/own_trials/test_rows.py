"""Predictions of people's later trials from their first ones."""

import numpy as np
from twin_runs import slow_and_quick

from bids_dtg.twin.judging.cohort import Cohort
from bids_dtg.twin.own_trials import predictions


def cohort(people=20, seed=0, name="p"):
    segments, _ = slow_and_quick(people=people, seed=seed)
    return Cohort(tuple(f"{name}{number}" for number in range(people)), segments)


def test_each_row_predicts_the_later_trials_of_each_person():
    training, unseen = cohort(), cohort(6, seed=1, name="q")
    found = predictions(training, unseen, 5)
    assert {"condition_shares", "group_trials", "shifted"} <= set(found)
    for row in found.values():
        (own,) = row
        known = np.isfinite(own.shares).all(axis=-1)
        assert (known.sum(axis=1) == known.shape[1] - 5).all()
        assert np.allclose(own.shares[known].sum(axis=-1), 1.0)
        assert np.allclose(own.answered[..., -1][known], 1 - own.shares[..., 2][known])
        assert (np.diff(own.answered[known], axis=-1) >= 0).all()
