"""The sequences that come with the program are those that real participants saw."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.inputs.events import read_events
from bids_dtg.twin.phantom.world import SEQUENCES, trial_sequence
from bids_dtg.twin.trials import read_trials


@pytest.mark.parametrize(
    ("name", "trials", "harder"),
    [("hammerAP", 108, 54), ("stroopAP", 78, 24), ("stroopPA", 78, 24)],
)
def test_shipped_sequences_have_the_published_trials(name, trials, harder):
    sequence = trial_sequence(name)
    run = sequence.trials
    assert len(run.onset_seconds) == len(sequence.rows) == trials
    assert (run.condition == 1).sum() == harder
    assert np.isnan(run.rt_seconds).all()
    words = sequence.lure >= 0
    assert words.all() == (name != "hammerAP") == words.any()
    np.testing.assert_array_equal(
        run.condition[words] == 1, sequence.lure[words] != run.correct_button[words]
    )


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_shipped_sequences_are_those_of_the_real_files(shared, name):
    mine = trial_sequence(name).trials
    paths = sorted(
        (shared / "twin" / "data" / "bids").rglob(f"*_task-{name}_*events.tsv")
    )
    if not paths:
        pytest.skip("no event files of the real study in the shared test data")
    for path in paths[:10]:
        real = read_trials(mine.task, read_events(path))
        np.testing.assert_array_equal(real.condition, mine.condition)
        np.testing.assert_array_equal(real.correct_button, mine.correct_button)
        np.testing.assert_allclose(real.onset_seconds, mine.onset_seconds, atol=0.3)
        np.testing.assert_array_equal(real.stimulus, mine.stimulus)
