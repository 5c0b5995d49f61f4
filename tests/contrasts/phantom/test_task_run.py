from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.phantom.bold import draw_run
from bids_dtg.contrasts.phantom.task_run import (
    TaskPlan,
    draw_task_run,
    haemodynamic_response,
    response_course,
    true_effects,
    write_task_run,
)
from bids_dtg.contrasts.phantom.tasks import CONDITIONS
from bids_dtg.phantom.streams import Cohort

PLAN = TaskPlan("GAMBLING", blocks=2)


@pytest.fixture(scope="module")
def person(phantom):
    return phantom.person(Cohort.DEMO, 0)


def test_a_run_holds_rest_and_the_true_responses(person):
    run = draw_task_run(person, PLAN)
    rest = draw_run(person, run.bold.frames, PLAN.repetition_time_s, run=700)
    both = [np.concatenate(list(bold.blocks())) for bold in (run.bold, rest)]
    added = both[0] - both[1]
    grey = person.phantom.anatomy.grey_in_brain
    mean = rest.nuisance_maps[0][grey]
    effects = true_effects(person, PLAN) / 100 * mean
    courses = np.stack(
        [
            response_course(
                run.onset_s[np.array(run.condition) == name],
                run.duration_s,
                run.bold.frames,
                PLAN.repetition_time_s,
            )
            for name in CONDITIONS["GAMBLING"]
        ],
        axis=1,
    )
    np.testing.assert_allclose(added[:, grey], courses @ effects, atol=0.01)
    np.testing.assert_allclose(np.delete(added, grey, axis=1), 0, atol=1e-3)


def test_runs_are_the_same_again_and_differ_by_number_and_task(person):
    one, again, other = (draw_task_run(person, PLAN, run) for run in (0, 0, 1))
    np.testing.assert_array_equal(one.bold.series, again.bold.series)
    assert one.condition == again.condition
    assert not np.array_equal(one.onset_s, other.onset_s)
    emotion = draw_task_run(person, TaskPlan("EMOTION", blocks=2))
    assert not np.array_equal(emotion.bold.series[:20], one.bold.series[:20])


def test_blocks_follow_each_other_with_pauses(person):
    run = draw_task_run(person, TaskPlan("MOTOR", blocks=3))
    assert sorted(run.condition) == sorted(3 * CONDITIONS["MOTOR"])
    pauses = np.diff(run.onset_s) - run.duration_s
    assert pauses.min() >= 1.9
    assert pauses.max() <= 8.1
    assert run.bold.frames * 1.5 > run.onset_s[-1] + run.duration_s


def test_the_response_is_not_a_model_of_nilearn():
    """Estimates that it is recovered by must not fit by construction."""
    from nilearn.glm.first_level import glover_hrf, spm_hrf

    own = haemodynamic_response(0.1)
    for model in (spm_hrf, glover_hrf):
        theirs = np.asarray(model(0.1, oversampling=1, time_length=32.0))
        r = np.corrcoef(own, theirs)[0, 1]
        assert 0.9 < r < 0.999


def test_a_lasting_response_is_one():
    course = response_course(np.array([0.0]), 100.0, 60, 1.5)
    assert course[-1] == pytest.approx(1.0, abs=1e-3)
    assert course[0] == pytest.approx(0.0, abs=1e-3)


def test_unknown_tasks_are_refused():
    with pytest.raises(ValueError, match="'chess' is no task: LANGUAGE"):
        TaskPlan("chess")


@pytest.mark.slow
def test_a_written_run_is_read_as_fmripreps(tmp_path):
    from task_dataset import make_task_dataset

    from bids_dtg.contrasts.phantom.model import Phantom
    from bids_dtg.inputs.dataset import find_dataset
    from bids_dtg.inputs.selection import Selection
    from bids_dtg.inputs.task.runs import find_task_runs
    from bids_dtg.inputs.task.trials import read_trials

    raw, derivatives = make_task_dataset(tmp_path)
    write_task_run(derivatives, raw, Phantom().person(Cohort.DEMO, 0), PLAN)
    (run,) = find_task_runs(
        find_dataset(raw), "sim001", Selection(tasks=("gambling",)), "MNI152NLin6Asym"
    )
    assert run.run.mask is not None
    assert run.run.confounds is not None
    assert run.run.tr_seconds == 1.5
    assert run.events is not None
    assert read_trials(run.events, "trial_type").counts == {"PUNISH": 2, "REWARD": 2}
