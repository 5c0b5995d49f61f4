"""Mean response times of people."""

from dataclasses import replace

import numpy as np
from twin_runs import slow_and_quick

from bids_dtg.twin.judging.cohort import targets_of_people
from bids_dtg.twin.mean_times import mean_times, observed_times


def test_times_are_the_figures_that_twins_are_judged_by():
    segments, _ = slow_and_quick(people=5)
    assert np.allclose(observed_times(segments), targets_of_people(segments))


def test_trials_that_are_not_scored_or_not_answered_do_not_count():
    segments, _ = slow_and_quick(people=4)
    rows = segments.trials
    some = np.arange(rows.scored.shape[1]) > 2
    fewer = replace(segments, trials=replace(rows, scored=rows.scored & some))
    unanswered = np.where(some, rows.rt_seconds, np.nan)
    assert np.array_equal(observed_times(fewer), mean_times(unanswered, segments))
    assert not np.array_equal(observed_times(fewer), observed_times(segments))
    assert np.isnan(mean_times(np.full(rows.rt_seconds.shape, np.nan), segments)).all()
