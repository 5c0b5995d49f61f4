"""The event files of 182 real people (TCP, CC0) give the table that was made of them by others."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bids_dtg.inputs.events import find_events, read_events
from bids_dtg.twin.tasks import Task, find_task
from bids_dtg.twin.times import observed_times
from bids_dtg.twin.trial_series import stack_people
from bids_dtg.twin.trials import Trials, half_of, image_numbers, read_trials

pytestmark = pytest.mark.slow
ROUNDED = 6e-5  # the table has times to 0.1 ms


def unfiltered(task: Task) -> Task:
    """Return a task that scores every response, as the table does."""
    return replace(task, response=replace(task.response, shortest_rt_seconds=-math.inf))


@pytest.fixture(scope="module")
def table(shared) -> pd.DataFrame:
    """Return the table, one row a trial."""
    path = shared / "twin/data/tcp_trials.tsv.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return pd.read_csv(path, sep="\t", na_values="n/a", keep_default_na=False)


@pytest.fixture(scope="module")
def runs(shared, table) -> dict[tuple[str, str, str], tuple[Trials, Trials]]:
    """Return each run as it is read, and with the responses that are implausible."""
    tasks = {
        name: task
        for task in map(find_task, ("faces", "stroop"))
        for name in task.bids_tasks
    }
    by_person = {}
    for file in find_events(shared / "twin/data/bids"):
        task, rows = tasks[file.task], read_events(file.path)
        key = (f"sub-{file.participant}", task.name, file.task[-2:])
        by_person[key] = read_trials(task, rows), read_trials(unfiltered(task), rows)
    return by_person


def numbers(images: pd.Series) -> np.ndarray:
    drawn = {name: image_numbers(find_task("faces"), name) for name in images.unique()}
    return np.stack([drawn[name] for name in images])


def labels(names: tuple[str, ...], index: np.ndarray) -> np.ndarray:
    """Return names by their index; NaN for -1, as the table has it."""
    return np.array([*names, np.nan], object)[index]


def one_hot(column: pd.Series) -> np.ndarray:
    return np.stack([column == colour for colour in ("red", "green", "blue")], axis=1)


def test_all_files_are_read(runs, table):
    assert len(runs) == 530
    assert len({person for person, _, _ in runs}) == 182
    assert (
        sum(len(trials.onset_seconds) for trials, _ in runs.values())
        == len(table)
        == 46590
    )


def test_trials_are_those_of_the_table(runs, table):
    tables = dict(tuple(table.groupby(["participant_id", "task", "run"], sort=False)))
    assert tables.keys() == runs.keys()
    for key, rows in tables.items():
        trials, task = runs[key][1], runs[key][1].task
        near = {"rtol": 0, "atol": ROUNDED}
        np.testing.assert_allclose(trials.onset_seconds, rows.onset, **near)
        np.testing.assert_allclose(trials.rt_seconds, rows.rt, **near)
        np.testing.assert_array_equal(
            labels(task.conditions, trials.condition), rows.condition
        )
        chosen = labels(task.buttons, trials.button)
        np.testing.assert_array_equal(
            chosen[trials.button >= 0], rows.response.dropna()
        )
        np.testing.assert_array_equal(trials.button >= 0, rows.response.notna())
        right = labels(task.buttons, trials.correct_button)
        np.testing.assert_array_equal(right, rows.correct_response)
        np.testing.assert_array_equal(trials.correct, rows.correct)
        np.testing.assert_array_equal(np.isfinite(trials.rt_seconds), rows.responded)


def test_what_was_shown_is_that_of_the_table(runs, table):
    for key, rows in table.groupby(["participant_id", "task", "run"], sort=False):
        trials = runs[key][0]
        if key[1] == "stroop":
            shown = [one_hot(rows.ink), one_hot(rows.word), np.zeros((78, 2))]
            np.testing.assert_array_equal(trials.stimulus, np.hstack(shown))
            assert trials.cut.all()
            continue
        shown = [
            np.zeros((108, 2)),
            *map(numbers, (rows.stim_top, rows.stim_left, rows.stim_right)),
        ]
        np.testing.assert_array_equal(trials.stimulus, np.hstack(shown))
        first = rows[rows.cue_start.notna()]
        cues = np.stack(
            [first.condition == "shape", first.cue_start, first.cue_end], axis=1
        )
        np.testing.assert_allclose(
            trials.cues, cues.astype(float), rtol=0, atol=ROUNDED
        )
        np.testing.assert_array_equal(np.cumsum(trials.cut), rows.block)
        np.testing.assert_allclose(trials.run_seconds, rows.run_end.max(), atol=ROUNDED)
        # Durations are those of the table, but for six trials at the onset of the next.
        seen = trials.display_seconds > 0
        np.testing.assert_allclose(
            trials.display_seconds[seen], rows.duration[seen], rtol=0, atol=2 * ROUNDED
        )


def test_probes_of_a_trial_always_differ_clearly(table):
    faces = table[table.task == "faces"].drop_duplicates(["stim_left", "stim_right"])
    left_probes, right_probes = numbers(faces.stim_left), numbers(faces.stim_right)
    assert np.abs(left_probes - right_probes).max(axis=1).min() >= 0.8
    is_face = (faces.condition == "face").to_numpy()
    emotion = numbers(faces.stim_top)[is_face, 0].round()
    np.testing.assert_array_equal(emotion, faces.face_emotion[is_face] == "fear")


def test_what_is_not_scored_is_counted(runs):
    notes = [note for trials, _ in runs.values() for note in trials.notes]
    early = [note for note in notes if "faster than 0.15 s" in note]
    assert early == ["not scored: 1 response faster than 0.15 s"] * 17
    assert [note for note in notes if note not in early] == [
        "not scored: 6 trials at the onset of the next"
    ]
    assert sum(len(trials.unscored) for trials, _ in runs.values()) == 17 + 6


def is_alike(first, second, tolerance):
    return first.shape == second.shape and np.allclose(
        first, second, rtol=0, atol=tolerance
    )


def test_everybody_has_the_same_sequence_but_one_person_in_the_second_stroop_run(runs):
    for task, run, exceptions in (
        ("faces", "AP", 0),
        ("stroop", "AP", 0),
        ("stroop", "PA", 1),
    ):
        trials_of_people = [
            trials
            for trials, _ in (runs[key] for key in runs if key[1:] == (task, run))
        ]
        first = trials_of_people[0]
        same = [
            is_alike(first.stimulus, persons_trials.stimulus, 1e-6)
            and is_alike(first.onset_seconds, persons_trials.onset_seconds, 2.0)
            and is_alike(first.cues, persons_trials.cues, 2.0)
            for persons_trials in trials_of_people
        ]
        assert same.count(False) == exceptions


@pytest.mark.parametrize(
    ("task", "run", "condition", "rt", "correct", "missed"),
    [  # the summary of twin/data/README.md
        ("faces", "AP", "face", 0.886, 0.938, 0.035),
        ("faces", "AP", "shape", 0.781, 0.935, 0.027),
        ("stroop", "AP", "congruent", 0.798, 0.926, 0.023),
        ("stroop", "AP", "incongruent", 0.995, 0.862, 0.024),
        ("stroop", "PA", "congruent", 0.796, 0.930, 0.036),
        ("stroop", "PA", "incongruent", 0.950, 0.901, 0.038),
    ],
)
def test_figures_of_each_condition(runs, task, run, condition, rt, correct, missed):
    chosen = [trials for key, (_, trials) in runs.items() if key[1:] == (task, run)]
    index = find_task(task).conditions.index(condition)
    times = np.concatenate(
        [trials.rt_seconds[trials.condition == index] for trials in chosen]
    )
    right = np.concatenate(
        [trials.correct[trials.condition == index] for trials in chosen]
    )
    figures = np.nanmean(times), right.mean(), np.isnan(times).mean()
    np.testing.assert_allclose(figures, (rt, correct, missed), rtol=0, atol=0.0005)


@pytest.mark.parametrize(
    ("task", "run", "r", "error", "within"),
    [
        # Trials of the table's halves; a Stroop run's halves by time have other trials.
        ("faces", "AP", 0.920, 0.054, 0.002),
        ("stroop", "AP", 0.887, 0.071, 0.02),
        ("stroop", "PA", 0.931, 0.049, 0.02),
    ],
)
def test_first_halves_predict_the_second_as_measured(runs, task, run, r, error, within):
    trials_of_people = [
        trials
        for (_, name, way), (trials, _) in runs.items()
        if (name, way) == (task, run)
    ]
    chance = 1 / len(trials_of_people[0].task.buttons)
    above_chance = [
        trials
        for trials in trials_of_people
        if trials.correct[trials.scored].mean() >= chance
    ]
    first, second = (
        observed_times(
            stack_people([[half_of(trials, half)] for trials in above_chance])
        )[:, 0]
        for half in (0, 1)
    )
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(r, abs=within)
    assert np.abs(first - second).mean() == pytest.approx(error, abs=within)
