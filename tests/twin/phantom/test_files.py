"""Files of simulated people read back as what was written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bids_dtg.inputs.events import find_events, read_events
from bids_dtg.twin.phantom.files import write_twin_people
from bids_dtg.twin.phantom.people import simulate_twin_people
from bids_dtg.twin.phantom.world import trial_sequence
from bids_dtg.twin.trials import read_trials


def test_what_is_written_reads_back(tmp_path):
    people = simulate_twin_people(3, "hard", regions=10, seed=2)
    sequences = [trial_sequence("hammerAP"), trial_sequence("stroopAP")]
    runs = people.runs(sequences, seed=2)
    write_twin_people(tmp_path, people, sequences, runs)

    with np.load(tmp_path / "connectomes.npz") as content:
        assert tuple(content["people"]) == people.labels
        assert len(content["places"]) == 10
        np.testing.assert_array_equal(content["edges"], people.connectomes)

    found = find_events(tmp_path / "bids")
    assert [file.participant for file in found] == [p for p in people.labels for _ in range(2)]
    for file, written in zip(found, [run for of in runs for run in of], strict=True):
        task, rows = written.task, read_events(file.path)
        known = replace(task, response=replace(task.response, button="response"))
        for read in (read_trials(task, rows), read_trials(known, rows)):
            np.testing.assert_array_equal(read.rt_seconds, written.rt_seconds)
            np.testing.assert_array_equal(read.correct, written.correct)
            np.testing.assert_array_equal(read.stimulus, written.stimulus)
            assert read.notes == ()
        np.testing.assert_array_equal(read_trials(known, rows).button, written.button)
