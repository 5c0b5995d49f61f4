from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from bids_dtg.contrasts import blend, local_ridge_kind
from bids_dtg.contrasts.blend import Blend, BlendSums, blended
from bids_dtg.contrasts.kind import RIDGE_SUMS, FitPlan, FitTask, ModelSpace, Processor
from bids_dtg.contrasts.people import Person, predicted_maps
from bids_dtg.errors import DatasetError
from bids_dtg.files.tensors import TensorFile, write_arrays
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import ListedPlaces, VoxelPlaces
from bids_dtg.settings import ModellingOptions

CONTRASTS, VOXELS = 3, 40


def people(n=30, seed=0, weights=((0.8, 0.0, 0.5), (0.3, 1.0, 0.0))):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, n, CONTRASTS, VOXELS))
    mean = 5 * rng.normal(size=(CONTRASTS, VOXELS))
    w = np.array(weights)[:, None, :, None]
    measured = mean + w[0] * first + w[1] * second + 0.1 * rng.normal(size=first.shape)
    # Each model has an error of its own in the mean map: it must not count.
    errors = 3 * rng.normal(size=(2, CONTRASTS, VOXELS))
    return first + errors[0], second + errors[1], measured


def fitted(first, second, measured):
    sums = BlendSums()
    for a, b, own in zip(first, second, measured, strict=True):
        sums.add((a, b), own)
    return sums.weights()


def test_weights_are_those_that_made_the_maps():
    np.testing.assert_allclose(fitted(*people()), [[0.8, 0.0, 0.5], [0.3, 1.0, 0.0]], atol=0.02)


def test_people_who_lack_data_count_where_they_have_some():
    first, second, measured = people()
    rng = np.random.default_rng(1)
    measured[rng.random(len(measured)) < 0.5, :, :20] = np.nan
    measured[rng.random(len(measured)) < 0.5, 1] = np.nan
    found = fitted(first, second, measured)
    np.testing.assert_allclose(found, [[0.8, 0.0, 0.5], [0.3, 1.0, 0.0]], atol=0.03)


def test_a_contrast_that_nobody_has_gets_no_weight():
    first, second, measured = people()
    measured[:, 2] = np.nan
    assert (fitted(first, second, measured)[:, 2] == 0).all()


def test_a_model_that_is_wrong_about_people_gets_no_weight():
    found = fitted(*people(weights=((-0.5, 1.0, 1.0), (1.0, 1.0, -0.2))))
    assert found[0, 0] == 0
    assert found[1, 2] == 0
    np.testing.assert_allclose(found[1, 0], 1.0, atol=0.05)


def test_a_model_that_says_the_same_of_everybody_gets_no_weight():
    first, second, measured = people()
    found = fitted(np.zeros_like(first), second, measured)
    assert (found[0] == 0).all()


def test_a_blend_predicts_the_weighed_sum():
    class Times:
        def __init__(self, factor):
            self.factor = factor

        def predict(self, connectome):
            return self.factor * connectome

    weights = np.array([[1.0, 0.0], [0.5, 2.0]], np.float32)
    x = np.ones((2, 4), np.float32)
    found = Blend((Times(1.0), Times(10.0)), weights).predict(x)
    np.testing.assert_allclose(found, np.repeat([[6.0], [20.0]], 4, axis=1))
    np.testing.assert_allclose(found, blended([x, 10 * x], weights))


def test_wrong_shapes_and_too_few_people_are_refused():
    first, second, measured = people(3)
    sums = BlendSums()
    sums.add((first[0], second[0]), measured[0])
    with pytest.raises(ValueError, match="at least 2 people, found 1"):
        sums.weights()
    with pytest.raises(ValueError, match="the same for all"):
        sums.add((first[0], second[0, :, :3]), measured[0])
    with pytest.raises(ValueError, match=r"weights are \(1, contrasts\)"):
        Blend((None,), np.ones((2, 3)))


LISTED = ListedPlaces(tuple(f"parcel{n}" for n in range(60)))
GRID = VoxelPlaces(Grid((4, 4, 4), np.diag([2.0, 2.0, 2.0, 1.0])), np.arange(60))


def rested(number, seed=0):
    """Make people whose maps follow from their connectomes, some by each place's own rule."""
    rng = np.random.default_rng(seed)
    rules, made = rng.normal(size=(2, 3, 60)), []
    for n in range(number):
        x = rng.uniform(-1, 1, (1, 3, 60))
        maps = x[0, :2] + np.einsum("qrv,rv->qv", rules, x[0])
        maps = (maps.astype(np.float32),)
        made.append(Person(f"{n:02d}", x.astype(np.float16), (300.0,), maps))
    return made


def task(folder, training, places=LISTED):
    everybody = rested(30)
    return FitTask(
        options=ModellingOptions(),
        space=ModelSpace(
            places, np.eye(3, dtype=np.float32)[:, np.arange(60) // 20], "m", "a", "b"
        ),
        contrasts=("a", "b"),
        training=everybody[:training],
        validation=everybody[20:],
        device="cpu",
        folder=folder,
        report=lambda line: None,
    )


def test_without_a_grid_a_blend_is_of_the_linear_model_and_local_ridge(tmp_path):
    lines = []
    job = dataclasses.replace(task(tmp_path, 20), report=lines.append)
    fitted = blend.fit(job)
    assert re.fullmatch(
        r"blend: weights .*, from 10 validation participants: local_ridge \S+, linear \S+",
        lines[-1],
    )
    record = fitted.record.to_json()
    assert set(record["blend"]) == {"local_ridge", "linear"}
    assert {"local_ridge", "linear"} <= set(record)
    assert np.shape(list(record["blend"].values())) == (2, 2)
    path = tmp_path / "weights.safetensors"
    write_arrays(path, fitted.tensors, {})
    weights = TensorFile(path)
    assert [part.name for part in blend.parts_of(weights)] == ["local_ridge", "linear"]
    assert blend.channels(weights) == (3, 2)
    blend.check(weights, LISTED)
    connectome = job.validation[0].mean_connectome()
    found = blend.prepare(weights, LISTED, Processor()).predict(connectome)
    expected = fitted.model.predict(connectome)
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())


def test_each_model_counts_by_what_it_is_worth(tmp_path):
    """Weights of the blend leave no more error on validation people than either model alone."""
    job = task(tmp_path, 20)
    model = blend.fit(job).model
    maps = np.stack([person.maps for person in job.validation])
    deviations = maps - maps.mean(axis=0)

    def error(weights):
        mixed = dataclasses.replace(model, weights=np.asarray(weights, np.float32))
        predicted = np.stack([predicted_maps(mixed, person) for person in job.validation])
        return np.square(predicted - predicted.mean(axis=0) - deviations).sum()

    assert error(model.weights) < min(error(w * model.weights) for w in (0, 0.8, 1.2))
    for row in np.eye(2)[:, :, None]:
        assert error(model.weights) <= error(row * model.weights)


def plan_of(places, training):
    space = ModelSpace(places, np.zeros((3, 60), np.float32), "m", "a", "b")
    return FitPlan(ModellingOptions(), space, ("a", "b"), training=training, incomplete=())


def test_which_models_there_are_follows_from_places_and_people(tmp_path):
    blend.check_machine(ModellingOptions())
    blend.check_plan(plan_of(LISTED, 5))
    with pytest.raises(DatasetError, match="4 training participants: too few for two models"):
        blend.check_plan(plan_of(LISTED, 4))
    with pytest.raises(DatasetError, match="4 training participants: too few for two models"):
        blend.fit(task(tmp_path, 4))


def test_sums_of_other_sites_go_to_local_ridge_alone(tmp_path):
    folders = [tmp_path / name for name in ("theirs", "ours")]
    for folder in folders:
        folder.mkdir()
    local_ridge_kind.fit(task(folders[0], 6))
    own = task(folders[1], 20)
    options = ModellingOptions(add_sums=(str(folders[0] / RIDGE_SUMS),))
    own = dataclasses.replace(own, training=own.training[6:], options=options)
    record = blend.fit(own).record.to_json()
    assert record["local_ridge"]["participants_of_other_sites"] == 6
    assert record["linear"]["participants_of_other_sites"] == 0
