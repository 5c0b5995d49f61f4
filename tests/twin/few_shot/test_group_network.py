"""The group's network as a prediction of later trials."""

import numpy as np
import pytest
from tiny_twin import tiny_fitted_twin
from twin_runs import a_run

from bids_dtg.twin.decoding import decode
from bids_dtg.twin.few_shot.group_network import GroupNetwork
from bids_dtg.twin.own_trials.first_trials import first_trials
from bids_dtg.twin.trial_series import stack_people

ONSETS = 2.0 + 5.0 * np.arange(12)


def test_everybody_has_the_times_of_the_group_network():
    fitted = tiny_fitted_twin(tasks=("stroop",))
    task = fitted.tasks.tasks[0]
    runs = [[a_run(ONSETS, task=task, rt=np.full(len(ONSETS), seconds))] for seconds in (0.5, 0.9)]
    segments = stack_people(runs, tasks=fitted.tasks)
    people = first_trials(segments, 0, 4)
    found = GroupNetwork.of(fitted, segments, 0).times(people)
    assert found.shape[:2] == people.own.shape
    assert np.array_equal(found[0], found[1])
    decoded = decode(fitted.perform_group(segments).buttons, segments)
    given = decoded.answered[0] / decoded.answered[0, :, -1:]
    steps = np.linspace(0.0, task.window_seconds, found.shape[-1] + 1)[1:]
    for trial in (0, 7):
        there = decoded.seconds[..., trial, :].ravel()[:-1]  # the last step is the window's end
        own = np.interp(there, steps, found[0, trial])
        assert np.allclose(own, given[trial, :-1], atol=0.02)
    assert np.allclose(found[..., -1], 1.0)
    assert (np.diff(found, axis=-1) >= -1e-9).all()


def test_an_architecture_without_a_group_is_refused():
    fitted = tiny_fitted_twin("published", tasks=("stroop",))
    runs = [[a_run(ONSETS, task=fitted.tasks.tasks[0], rt=np.full(len(ONSETS), 0.6))]]
    with pytest.raises(ValueError, match="published has no network of the group"):
        GroupNetwork.of(fitted, stack_people(runs, tasks=fitted.tasks), 0)
