"""The kind linear: few people are enough."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bids_dtg.connectome.form import Form
from bids_dtg.contrasts import linear_kind
from bids_dtg.contrasts.kind import FitPlan, FitTask, ModelSpace
from bids_dtg.contrasts.people import Person, mean_maps, predicted_maps
from bids_dtg.errors import BundleError, DatasetError
from bids_dtg.files.tensors import TensorFile, write_arrays
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.settings import ModellingOptions

PLACES = VoxelPlaces(Grid((6, 6, 6), np.diag([2.0, 2.0, 2.0, 1.0])), np.arange(216))
ROI_MAPS = np.eye(3, dtype=np.float32)[:, np.arange(216) // 72]
SPACE = ModelSpace(
    PLACES, ROI_MAPS, model="m", mask_sha256="a", roi_maps_sha256="b", form=Form("partial")
)


def people(count, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        x = rng.uniform(-1, 1, (1, 3, 216)).astype(np.float16)
        maps = x.mean(axis=0)[:2].astype(np.float32)
        made.append(Person(f"{seed}{number}", x, (300.0,), (maps,), minutes=100.0))
    return made


@pytest.fixture
def task(tmp_path):
    return FitTask(
        options=ModellingOptions(),
        space=SPACE,
        contrasts=("a", "b"),
        training=people(5),
        validation=(),
        device="cpu",
        folder=tmp_path,
        report=lambda line: None,
    )


def test_five_people_are_enough_and_nobody_else_is_needed(task, tmp_path):
    fitted = linear_kind.fit(task)
    assert fitted.record.to_json() == {
        "linear": {"sets": (3,), "participants": 5, "minutes": 500.0, "strength": 4.0}
    }
    assert (fitted.correction.gains > 0.5).all()
    new = people(1, seed=4)[0]
    found = fitted.correction.apply(predicted_maps(fitted.model, new))
    average = mean_maps(task.training)
    assert np.square(found - new.maps).mean() < 0.5 * np.square(average - new.maps).mean()
    path = tmp_path / "weights.safetensors"
    write_arrays(path, fitted.tensors, {})
    weights = TensorFile(path)
    assert linear_kind.channels(weights) == (3, 2)
    connectome = new.mean_connectome()
    back = linear_kind.prepare(weights, PLACES, None).predict(connectome)
    np.testing.assert_allclose(back, fitted.model.predict(connectome), rtol=1e-5, atol=1e-6)
    with pytest.raises(BundleError, match="does not fit the mask: means are of 215 places"):
        linear_kind.check(weights, VoxelPlaces(PLACES.grid, np.arange(215)))


def test_too_few_people_are_refused_in_a_line(task):
    line = r"4 training participants: too few for a linear model\. Expected: 5 or more\. "
    with pytest.raises(DatasetError, match=line):
        linear_kind.check_plan(FitPlan(task.options, SPACE, ("a", "b"), 4, ()))
    with pytest.raises(DatasetError, match=line):
        linear_kind.fit(dataclasses.replace(task, training=people(4)))


def test_gaps_count_nowhere(task):
    cohort = people(6)
    cohort[0].maps[1] = np.nan
    cohort[1].maps[:, :100] = np.nan
    fitted = linear_kind.fit(dataclasses.replace(task, training=cohort))
    assert np.isfinite(fitted.correction.offset).all()
    assert (fitted.correction.gains > 0.5).all()
