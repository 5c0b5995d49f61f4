"""Figures of what twins do."""

import numpy as np
from twin_runs import slow_and_quick

from bids_dtg.twin.interventions.outcomes import outcomes_of
from bids_dtg.twin.judging.cohort import targets_of, targets_of_people


def test_a_network_that_presses_as_people_did_has_their_figures():
    segments, _ = slow_and_quick(people=6)
    found = outcomes_of(segments.action, segments)
    assert found.targets == tuple(target.name for target in targets_of(segments.tasks))
    observed = targets_of_people(segments)
    assert np.nanmax(np.abs(found.seconds - observed)) < 0.081  # a step: presses begin with one
    assert np.nanmax(found.unanswered) == 0
    assert (found.correct == 1).all()
    assert (found.of(found.targets[0]) == found.seconds[:, 0]).all()


def test_a_network_that_never_presses_answers_nothing():
    segments, _ = slow_and_quick(people=3)
    found = outcomes_of(np.zeros_like(segments.action), segments)
    assert np.isnan(found.seconds).all()
    assert (found.unanswered == 1).all()
    assert (found.correct == 0).all()
