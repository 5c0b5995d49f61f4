"""What a model keeps of its training people, and what it predicts of new ones."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_twin import TINY_TWIN_FACTS, TINY_TWIN_RECIPE, tiny_fitted_twin
from twin_runs import a_run

from bids_dtg.errors import BundleError
from bids_dtg.files.tensors import TensorFile, encode_arrays
from bids_dtg.twin.bundle.bundle import load_twin_bundle, write_twin_bundle
from bids_dtg.twin.bundle.own_trials import encode_few_shot, read_few_shot
from bids_dtg.twin.few_shot.basis import log_locations
from bids_dtg.twin.few_shot.code_times import CodeTimes
from bids_dtg.twin.few_shot.prior import FewShot, nothing_known
from bids_dtg.twin.own_trials import BEST, ROWS
from bids_dtg.twin.own_trials.first_trials import first_trials
from bids_dtg.twin.trial_series import stack_people

TRIALS = 60
ONSETS = 2.0 + 5.0 * np.arange(TRIALS)  # half of them within 197 s


def times(people, seed):
    """Return log times of people who differ in level and practice, and their true means."""
    rng = np.random.default_rng(seed)
    level, practice = 0.3 * rng.normal(size=(2, people, 1)) * [[[1.0]], [[0.3]]]
    mean = -0.6 + level + practice * np.linspace(-1.7, 1.7, TRIALS)
    return mean + 0.2 * rng.normal(size=(people, TRIALS)), mean


def segments_of(logs, fitted):
    """Return segments of people with these log times in the first task."""
    task = fitted.tasks.tasks[0]
    runs = [[a_run(ONSETS, task=task, rt=0.2 + np.exp(own))] for own in np.minimum(logs, 0.55)]
    return stack_people(runs, tasks=fitted.tasks)


def of_codes(codes, logs, fitted):
    """Return log times that networks of codes move, by an SD of 0.3 over people."""
    segments = segments_of(logs, fitted)
    group = log_locations(fitted, np.zeros((len(segments.inputs), codes.shape[1])), segments)
    moved = np.nan_to_num(log_locations(fitted, codes, segments) - group)
    return 0.3 * moved / moved.mean(axis=1).std()


@pytest.fixture(scope="module")
def fitted():
    found = tiny_fitted_twin(tasks=("stroop",))
    rng = np.random.default_rng(0)
    return replace(found, own_factors=rng.normal(size=(40, TINY_TWIN_RECIPE.codes)))


@pytest.fixture(scope="module")
def few_shot(fitted):
    return FewShot.learn(fitted, segments_of(times(40, 0)[0], fitted))


def predicted(few_shot, fitted, logs, own):
    return few_shot.predict(fitted, segments_of(logs, fitted), own, None)["stroop"]


@pytest.mark.slow
def test_own_trials_separate_slow_people_from_quick_ones(few_shot, fitted):
    logs, true = times(60, 1)
    found = predicted(few_shot, fitted, logs, 20)
    mean, sd = found.mean(found.people.later)
    wanted = (0.2 + np.exp(true + 0.02))[:, 20:].mean(axis=1)
    assert np.corrcoef(mean, wanted)[0, 1] > 0.8
    within = (np.abs(mean - wanted) < 1.96 * sd).mean()
    assert 0.85 < within <= 1.0
    group, wide = predicted(few_shot, fitted, logs, 1).mean(found.people.later)
    assert (wide > sd).all()
    assert np.std(group) < np.std(mean)


@pytest.mark.parametrize("own", [10, "half"])
def test_no_later_trial_reaches_a_prediction(few_shot, fitted, own):
    logs, _ = times(4, 2)
    people = first_trials(segments_of(logs, fitted), 0, own)
    first = int(people.own[0].sum())
    permuted = logs.copy()
    permuted[:, first:] = np.random.default_rng(0).permuted(logs[:, first:], axis=1)
    one, other = (predicted(few_shot, fitted, values, own) for values in (logs, permuted))
    assert np.array_equal(one.distribution.answered, other.distribution.answered, equal_nan=True)
    assert np.array_equal(one.distribution.shares, other.distribution.shares, equal_nan=True)
    assert np.array_equal(one.posterior.mean, other.posterior.mean)
    changed = logs.copy()
    changed[:, 0] += 0.5
    third = predicted(few_shot, fitted, changed, own)
    assert not np.allclose(one.posterior.mean, third.posterior.mean)


def test_nobody_differs_where_nothing_is_known(few_shot, fitted):
    segments = segments_of(times(5, 3)[0], fitted)
    people = nothing_known(first_trials(segments, 0, 10))
    found = few_shot.tasks[0].predict(fitted, people, segments, None)
    mean, sd = found.mean(people.later)
    assert np.ptp(mean) < 1e-9
    assert (sd > 0.05).all()


def test_a_bundle_keeps_the_prior(few_shot, fitted, tmp_path):
    people = tuple(f"p{number}" for number in range(40))
    whole = replace(fitted, people=people)
    write_twin_bundle(tmp_path / "kept", whole, TINY_TWIN_FACTS, None, few_shot)
    back = load_twin_bundle(tmp_path / "kept").few_shot()
    logs, _ = times(3, 4)
    one, other = (predicted(found, fitted, logs, 15) for found in (few_shot, back))
    assert np.allclose(one.distribution.answered, other.distribution.answered, equal_nan=True)
    assert np.allclose(one.posterior.covariance, other.posterior.covariance)
    people = first_trials(segments_of(logs, fitted), 0, 15)
    one, other = (found.tasks[0].predict_without_network(people) for found in (few_shot, back))
    assert np.allclose(one.answered, other.answered, equal_nan=True)
    write_twin_bundle(tmp_path / "without", whole, TINY_TWIN_FACTS)
    with pytest.raises(BundleError, match="train the model again"):
        load_twin_bundle(tmp_path / "without").few_shot()


@pytest.mark.slow
@pytest.mark.parametrize("own", [10, 20])
def test_times_of_the_closed_form_are_those_that_are_judged(few_shot, fitted, own):
    training = first_trials(segments_of(times(40, 0)[0], fitted), 0, own)
    people = first_trials(segments_of(times(3, 6)[0], fitted), 0, own)
    (row,) = (row for row in ROWS if row.name == BEST)
    judged = row.fit(training, fitted.tasks.tasks[0]).predict(people)
    kept = few_shot.tasks[0].predict_without_network(people)
    later = people.later
    assert np.allclose(kept.mean_seconds[later], judged.mean_seconds[later])
    shapes = (each.answered[later] / each.answered[later][:, -1:] for each in (kept, judged))
    assert np.allclose(*shapes)


@pytest.mark.slow
def test_a_bundle_keeps_weights_of_connectomes(fitted, tmp_path):
    people = tuple(f"p{number}" for number in range(40))
    known = replace(fitted, people=people, left_out_factors=0.5 * fitted.own_factors)
    logs = times(40, 0)[0]
    few_shot = FewShot.learn(
        known, segments_of(logs + of_codes(known.left_out_factors, logs, fitted), fitted)
    )
    assert few_shot.tasks[0].connectome.weights != (1.0, 1.0, 1.0)
    write_twin_bundle(tmp_path / "kept", known, TINY_TWIN_FACTS, None, few_shot)
    back = load_twin_bundle(tmp_path / "kept").few_shot()
    codes = np.random.default_rng(1).normal(size=(3, TINY_TWIN_RECIPE.codes))
    segments = segments_of(times(3, 4)[0], fitted)
    one, other = (
        found.predict(fitted, segments, 15, codes)["stroop"] for found in (few_shot, back)
    )
    assert np.allclose(one.distribution.answered, other.distribution.answered, equal_nan=True)
    assert np.allclose(one.posterior.mean, other.posterior.mean)


@pytest.mark.slow
def test_what_conditions_add_has_a_weight_of_its_own(fitted):
    rng, people = np.random.default_rng(0), 200
    group = segments_of(np.full((people, TRIALS), -0.6), fitted)
    second = first_trials(group, 0, 10).answers.condition == 1
    level, effect = 0.1 * rng.normal(size=(2, people, 1))
    noise = 0.1 * rng.normal(size=(people, TRIALS))
    logs = -0.6 + level + 0.5 * effect * second + 0.05 * rng.normal(size=(people, TRIALS))
    training = first_trials(segments_of(logs, fitted), 0, 10)
    start, codes = level + effect * second + noise, np.zeros((1, TRIALS, 1))
    found = CodeTimes.learn(training, fitted.tasks.tasks[0], codes, start)
    of_level, of_conditions, of_rest = found.weights
    assert 0.8 < of_level < 1.1
    assert of_conditions / of_level == pytest.approx(0.5, abs=0.05)
    assert abs(of_rest) < 0.05


def test_a_model_of_an_earlier_version_is_read(few_shot, fitted, tmp_path):
    file = tmp_path / "own_trials.safetensors"
    file.write_bytes(encode_few_shot(few_shot))
    arrays = TensorFile(file).read()
    arrays["stroop/group/start"] = np.array([0.7, 0.3])
    del arrays["stroop/group/freedom"]
    file.write_bytes(encode_arrays(arrays))
    group = read_few_shot(file, fitted.tasks.tasks).tasks[0].group
    assert group.weights == (0.7, 0.3, 0.3)
    assert group.effects.prior.freedom == 5.0


def test_a_model_whose_people_have_no_effects_of_conditions_is_read(few_shot, fitted, tmp_path):
    file = tmp_path / "own_trials.safetensors"
    file.write_bytes(encode_few_shot(few_shot))
    arrays = TensorFile(file).read()
    for name in ("group", "connectome"):
        if f"stroop/{name}/covariance" in arrays:
            own = arrays[f"stroop/{name}/covariance"]
            arrays[f"stroop/{name}/covariance"] = np.delete(np.delete(own, 2, 0), 2, 1)
    file.write_bytes(encode_arrays(arrays))
    found = read_few_shot(file, fitted.tasks.tasks)
    assert found.tasks[0].group.conditions == 0
    effects = predicted(found, fitted, times(3, 4)[0], 15).posterior.mean.shape[1]
    assert effects == len(few_shot.tasks[0].group.effects.prior.covariance) - 1
    arrays["stroop/group/covariance"] = np.eye(3)
    file.write_bytes(encode_arrays(arrays))
    with pytest.raises(BundleError, match="effects of conditions"):
        read_few_shot(file, fitted.tasks.tasks)


@pytest.mark.slow
def test_a_persons_own_effect_of_a_condition_is_predicted_whatever_codes_say(fitted):
    rng = np.random.default_rng(0)

    def people(number):
        logs = -0.6 + 0.2 * rng.normal(size=(number, 1)) + 0.1 * rng.normal(size=(number, TRIALS))
        effect = 0.2 * rng.normal(size=number)
        second = first_trials(segments_of(logs, fitted), 0, 20).answers.condition == 1
        return segments_of(logs + effect[:, None] * second, fitted), effect

    training, _ = people(120)
    unseen, effect = people(40)
    nothing = np.zeros((1, TRIALS, 1))
    task = fitted.tasks.tasks[0]
    learned = CodeTimes.learn(first_trials(training, 0, 20), task, nothing)
    found = learned.posterior(first_trials(unseen, 0, 20).known()).mean[:, 2]
    assert np.corrcoef(found, effect)[0, 1] > 0.9


def test_a_file_of_another_version_is_refused(few_shot, fitted, tmp_path):
    file = tmp_path / "own_trials.safetensors"
    file.write_bytes(encode_few_shot(few_shot))
    arrays = TensorFile(file).read()
    del arrays["stroop/group/start"]
    file.write_bytes(encode_arrays(arrays))
    with pytest.raises(BundleError, match="has no 'start' of a task: another version made it"):
        read_few_shot(file, fitted.tasks.tasks)


@pytest.mark.slow
def test_connectomes_move_people_without_known_trials(fitted):
    known = replace(fitted, left_out_factors=0.5 * fitted.own_factors)
    logs = times(40, 0)[0]
    logs = logs + of_codes(known.left_out_factors, logs, fitted)
    prior = FewShot.learn(known, segments_of(logs, fitted)).tasks[0]
    assert prior.connectome is not None
    logs = np.full((30, TRIALS), -0.6)
    codes = np.random.default_rng(1).normal(size=(30, TINY_TWIN_RECIPE.codes))
    true = of_codes(codes, logs, fitted).mean(axis=1)
    segments = segments_of(logs + 0.1, fitted)
    people = first_trials(segments, 0, 10)
    nothing = prior.predict(fitted, nothing_known(people), segments, codes)
    found = np.log(nothing.mean(people.later)[0] - 0.2)
    # Networks move times by far less than people differ: training people show by how much less.
    slope = np.polyfit(found, true, 1)[0]
    assert np.corrcoef(found, true)[0, 1] > 0.9
    assert 0.5 < slope < 2
    both = prior.predict(fitted, people, segments, codes)
    alone = prior.predict(fitted, people, segments, None)
    assert not np.allclose(both.mean(people.later)[0], alone.mean(people.later)[0])
    hard, easy = (people.later & (people.answers.condition == number) for number in (1, 0))
    effect, sd = both.difference(hard, easy)
    assert np.allclose(effect, both.mean(hard)[0] - both.mean(easy)[0])
    assert (sd > 0).all()
