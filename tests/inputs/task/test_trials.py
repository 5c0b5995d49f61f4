from __future__ import annotations

import pytest

from bids_dtg.errors import RunError
from bids_dtg.inputs.task.trials import read_trials

HEADER = "onset\tduration\ttrial_type\n"


def written(folder, text):
    path = folder / "sub-01_task-x_events.tsv"
    path.write_text(text)
    return path


def test_trials_have_seconds_and_conditions(tmp_path):
    path = written(tmp_path, HEADER + "1.5\t2\tgo\n4\t0\tstop\n5\t1\tn/a\n6\t1\trest\n9\t2\tgo\n")
    trials = read_trials(path, "trial_type", ("rest",))
    assert trials.onset_s.tolist() == [1.5, 4.0, 9.0]
    assert trials.duration_s.tolist() == [2.0, 0.0, 2.0]
    assert trials.counts == {"go": 2, "stop": 1}
    assert trials.chosen(trials.onset_s < 9).condition == ("go", "stop")
    assert (trials.repeated, trials.unnamed) == (0, 0)


def test_a_trial_that_stands_twice_is_one_and_rows_without_a_name_are_counted(tmp_path):
    text = HEADER + "1\t2\tgo\n1\t2\tstop\n1.0\t2\tgo\n5\t2\n7\t2\tn/a\n"
    trials = read_trials(written(tmp_path, text), "trial_type")
    assert trials.condition == ("go", "stop")
    assert (trials.repeated, trials.unnamed) == (1, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER, "has no trial: 0 rows"),
        (HEADER + "1\t2\tn/a\n", "has no trial: 1 rows"),
        (HEADER + "1\t1\tgo\nn/a\t2\tgo\n", "the onset 'n/a' in row 2"),
        (HEADER + "1\tn/a\tgo\n", "the duration 'n/a' in row 1"),
        (HEADER + "1\t-1\tgo\n", "the duration '-1' in row 1"),
        (HEADER + "inf\t1\tgo\n", "the onset 'inf' in row 1"),
        (HEADER + "1_0\t1\tgo\n", "the onset '1_0' in row 1"),
        (HEADER + "1\t٣\tgo\n", "the duration '٣' in row 1"),
        (HEADER.replace("\t", ",") + "1,1,go\n", "separate columns by tabs"),
        ("onset\tduration\tcondition\n1\t1\tgo\n", "no column trial_type; it has onset"),
    ],
)
def test_files_that_say_no_trials_are_refused(tmp_path, text, words):
    with pytest.raises(RunError, match=words):
        read_trials(written(tmp_path, text), "trial_type")
