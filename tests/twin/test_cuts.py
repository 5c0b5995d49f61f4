"""Where runs are cut: every trial in one stretch, with its whole window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twin_runs import a_run, a_task, runs

from bids_dtg.twin.trial_series import STEP_SECONDS, cut_run, window_ends

few = settings(max_examples=50)


@few
@given(runs(), st.integers(26, 400))
def test_every_trial_is_in_one_stretch_with_its_whole_window(run, steps):
    stretches, ends = cut_run(run, steps=steps), window_ends(run)
    assert [s.first for s in stretches] == [0, *(s.stop for s in stretches[:-1])]
    assert stretches[-1].stop == len(run.onset_seconds)
    for stretch in stretches:
        assert stretch.length <= steps
        assert stretch.start_seconds <= run.onset_seconds[stretch.first]
        last = stretch.start_seconds + STEP_SECONDS * (stretch.length - 1)
        # A window's last step lies less than a step before its end.
        assert last > ends[stretch.stop - 1] - STEP_SECONDS


@few
@given(runs(), st.integers(26, 400))
def test_stretches_are_as_long_as_the_allowed_cuts_let_them_be(run, steps):
    ends = window_ends(run)
    stretches = cut_run(run, steps=steps)
    for stretch in stretches[:-1]:
        fits = ends < stretch.start_seconds + STEP_SECONDS * (steps - 1e-3)
        later = np.flatnonzero(run.cut & (np.arange(len(ends)) > stretch.stop))
        assert not any(fits[stop - 1] for stop in later)
        if not run.cut[stretch.stop]:
            between = run.cut[stretch.first + 1 : stretch.stop]
            assert not between.any()
            assert not fits[stretch.stop]


def test_a_stretch_begins_at_its_cue():
    blocks = 8.0 + 21.0 * np.arange(3)
    onset = (blocks[:, None] + 3.0 + 3.0 * np.arange(6)).ravel()
    cues = np.column_stack([np.arange(3) % 2, blocks, blocks + 2.9])
    run = a_run(onset, cut=np.arange(18) % 6 == 0, cues=cues)
    found = [(s.first, s.stop, s.start_seconds) for s in cut_run(run)]
    assert found == [(0, 6, 8.0), (6, 12, 29.0), (12, 18, 50.0)]
    # Where the next stretch begins, the one before it ends.
    assert cut_run(run)[0].length == 262
    longer = [(s.first, s.stop) for s in cut_run(run, steps=600)]
    assert longer == [(0, 12), (12, 18)]


def test_a_cue_too_long_ago_for_the_first_window_is_left_out():
    run = a_run([40.0, 44.0], cues=[(0, 2.0, 5.0)])
    (stretch,) = cut_run(run)
    assert stretch.start_seconds == 40.0


def test_a_window_ends_with_the_next_onset():
    run = a_run([2.0, 3.0, 9.0])
    np.testing.assert_array_equal(window_ends(run), [3.0, 5.0, 11.0])


def test_a_window_longer_than_a_segment_is_refused():
    run = a_run([2.0], task=a_task(window_seconds=30.0))
    with pytest.raises(ValueError, match="a response window of 30 s does not fit into 262 steps"):
        cut_run(run)
