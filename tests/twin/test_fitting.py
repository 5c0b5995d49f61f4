"""Fitting twins."""

from dataclasses import replace

import numpy as np
import pytest
from twin_runs import slow_and_quick

from bids_dtg.errors import RunError, SettingsError
from bids_dtg.training.loop import Workplace
from bids_dtg.twin.fitting import fit
from bids_dtg.twin.recipe import ARCHITECTURES, Recipe, find_architecture, find_recipe

SMALL = Recipe(
    units=10, codes=3, group_epochs=4, group_updates=3, hyper_units=6, hyper_epochs=3,
    hyper_updates=3, batch_people=6, batch_segments=2,
)  # fmt: skip

LOWRANK = find_architecture("lowrank", SMALL)


def connectomes_of(takes, edges=20, seed=0):
    rng = np.random.default_rng(seed)
    return np.outer(takes, rng.normal(size=edges)) + rng.normal(0.0, 0.05, (len(takes), edges))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_same_seed_gives_the_same_twins(architecture):
    segments, takes = slow_and_quick(people=8)
    values = connectomes_of(takes)
    fits = [
        fit(values, segments, architecture=find_architecture(architecture, SMALL), seed=seed)
        for seed in (1, 1, 2)
    ]
    one, same, other = (fitted.perform(values, segments) for fitted in fits)
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)
    assert one.shape == segments.action.shape
    assert ((one >= 0) & (one <= 1)).all()


class Stopped(Exception):
    """What stops a fit in a test."""


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["lowrank", "published"])
def test_a_stopped_fit_goes_on_to_the_same_twins(tmp_path, architecture):
    segments, takes = slow_and_quick(people=8)
    values = connectomes_of(takes)
    lines = []

    def report(line):
        lines.append(line)
        if line.startswith("epoch 3"):
            raise Stopped

    options = {"architecture": find_architecture(architecture, SMALL)}
    place = Workplace(tmp_path / "stopped")
    with pytest.raises(Stopped):
        fit(values, segments, workplace=place, report=report, **options)
    assert [line[:7] for line in lines] == ["epoch 1", "epoch 2", "epoch 3"]
    lines.clear()
    resumed = fit(values, segments, workplace=place, report=lines.append, **options)
    assert lines[0].startswith("epoch 3")
    whole = fit(values, segments, **options)
    assert np.array_equal(resumed.perform(values, segments), whole.perform(values, segments))


@pytest.mark.slow
def test_connectomes_predict_slow_and_quick_people():
    segments, takes = slow_and_quick(people=30)
    values = connectomes_of(takes)
    recipe = replace(SMALL, units=24, group_epochs=30, group_updates=10, codes=6)
    fitted = fit(values, segments, architecture=find_architecture("lowrank", recipe))
    unseen, new = slow_and_quick(people=20, seed=5)
    pressed = fitted.perform(connectomes_of(new), unseen).sum(axis=(1, 2, 3))
    assert np.corrcoef(pressed, new)[0, 1] < -0.9  # held for longer by who presses earlier
    assert fitted.z > 3
    assert fitted.twins_differ
    group = fitted.perform_group(unseen)
    assert group.shape[0] == 1


@pytest.mark.slow
def test_a_fit_takes_covariates_out_of_mean_times():
    segments, takes = slow_and_quick(people=30)
    values = connectomes_of(takes)
    found = [
        fit(values, segments, architecture=LOWRANK, covariates=covariates)
        for covariates in (None, takes[:, None])
    ]
    assert np.array_equal(*(each.own_factors for each in found))
    assert found[0].z > 3 * abs(found[1].z)


def test_without_connectomes_there_is_the_group():
    segments, _ = slow_and_quick(people=8)
    fitted = fit(None, segments, architecture=LOWRANK)
    assert fitted.perform_group(segments).shape[0] == 1
    with pytest.raises(ValueError, match="published makes networks from connectomes"):
        fit(None, segments, architecture=find_architecture("published", SMALL))


def test_published_twins_have_no_group():
    segments, takes = slow_and_quick(people=6)
    fitted = fit(
        connectomes_of(takes), segments, architecture=find_architecture("published", SMALL)
    )
    with pytest.raises(ValueError, match="no network of the group"):
        fitted.perform_group(segments)


@pytest.mark.slow
def test_edges_are_scaled_by_those_who_train():
    segments, takes = slow_and_quick(people=10)
    values = connectomes_of(takes)
    fitted = fit(values, segments, architecture=find_architecture("published", SMALL))
    mean = fitted.twin.network.edge_mean.numpy()
    everybody = values.mean(axis=0)
    assert not np.allclose(mean, everybody, atol=1e-4)
    order = np.random.default_rng((0, 1)).permutation(10)
    assert np.allclose(mean, values[order[2:]].mean(axis=0), atol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values[:-1], r"shape \(7, 20\), expected \(8, edges\)"),
        (lambda values: np.where(np.arange(8)[:, None] == 3, np.nan, values), r"rows \[3\]"),
    ],
)
def test_connectomes_of_others_or_with_gaps_are_refused(change, words):
    segments, takes = slow_and_quick(people=8)
    with pytest.raises(ValueError, match=words):
        fit(change(connectomes_of(takes)), segments, architecture=LOWRANK)


def test_a_training_of_other_people_does_not_go_on(tmp_path):
    segments, takes = slow_and_quick(people=8)
    place = Workplace(tmp_path)
    fit(
        connectomes_of(takes),
        segments,
        architecture=find_architecture("lowrank", replace(SMALL, group_epochs=1)),
        workplace=place,
    )
    with pytest.raises(RunError, match="other people, another recipe or another seed"):
        fit(connectomes_of(takes, seed=9), segments, architecture=LOWRANK, workplace=place)


def test_choices_are_rows():
    with pytest.raises(SettingsError, match="one of lowrank, published"):
        find_architecture("lowrnak")
    assert find_recipe("published", "published").hyper_rate == 1e-6
    with pytest.raises(SettingsError, match="--recipe"):
        find_recipe("published", "fast")
