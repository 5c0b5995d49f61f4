"""The linear kinds: few people are enough, sums are kept, and never added to those of others."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.kind import LINEAR_SUMS, FitPlan, FitTask, ModelSpace
from bids_dtg.contrasts.linear_kind import BY_PARCEL, WHOLE_BRAIN, read_sums
from bids_dtg.contrasts.people import Person, mean_maps, predicted_maps
from bids_dtg.errors import BundleError, DatasetError
from bids_dtg.files.tensors import TensorFile, read_arrays, write_arrays
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.settings import ModellingOptions

PLACES = VoxelPlaces(Grid((6, 6, 6), np.diag([2.0, 2.0, 2.0, 1.0])), np.arange(216))
ROI_MAPS = np.eye(3, dtype=np.float32)[:, np.arange(216) // 72]
SPACE = ModelSpace(PLACES, ROI_MAPS, model="m", mask_sha256="a", roi_maps_sha256="b")
KINDS = pytest.mark.parametrize(("kind", "parcels"), [(WHOLE_BRAIN, 1), (BY_PARCEL, 3)])


def people(count, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        x = rng.uniform(-1, 1, (2, 3, 216)).astype(np.float16)
        maps = x.mean(axis=0)[:2].astype(np.float32)
        made.append(Person(f"{seed}{number}", x, (300.0, 200.0), (maps,)))
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


def plan_of(*files, training=5, **change):
    options = ModellingOptions(add_sums=tuple(map(str, files)))
    space = dataclasses.replace(SPACE, **change)
    return FitPlan(options, space, ("a", "b"), training=training, incomplete=())


@KINDS
def test_five_people_are_enough_and_nobody_else_is_needed(task, tmp_path, kind, parcels):
    fitted = kind.fit(task)
    assert fitted.record.to_json() == {
        "linear": {
            "parcels": parcels,
            "coefficients": 4,
            "participants": 5,
            "participants_of_other_sites": 0,
        }
    }
    assert (fitted.correction.gains > 0.5).all()
    new = people(1, seed=4)[0]
    found = fitted.correction.apply(predicted_maps(fitted.model, new))
    average = mean_maps(task.training)
    assert np.square(found - new.maps).mean() < 0.5 * np.square(average - new.maps).mean()
    path = tmp_path / "weights.safetensors"
    write_arrays(path, fitted.tensors, {})
    weights = TensorFile(path)
    assert kind.channels(weights) == (3, 2)
    connectome = new.mean_connectome()
    back = kind.prepare(weights, PLACES, None).predict(connectome)
    np.testing.assert_array_equal(back, fitted.model.predict(connectome))
    other_places = VoxelPlaces(PLACES.grid, np.arange(215))
    if parcels > 1:
        with pytest.raises(BundleError, match="does not fit the mask: parcels are 215 whole"):
            kind.check(weights, other_places)


@pytest.mark.parametrize("kind", [WHOLE_BRAIN, BY_PARCEL])
def test_sums_of_two_sites_make_the_pooled_model(task, tmp_path, kind):
    everybody = people(7)
    folders = [tmp_path / name for name in ("theirs", "both", "pooled")]
    for folder in folders:
        folder.mkdir()
    kind.fit(dataclasses.replace(task, training=everybody[:5], folder=folders[0]))
    theirs = folders[0] / LINEAR_SUMS
    options = ModellingOptions(add_sums=(str(theirs),))
    own = dataclasses.replace(task, training=everybody[5:], folder=folders[1], options=options)
    both = kind.fit(own)
    pooled = kind.fit(dataclasses.replace(task, training=everybody, folder=folders[2]))
    reported = both.record.to_json()["linear"]
    assert (reported["participants"], reported["participants_of_other_sites"]) == (2, 5)
    np.testing.assert_allclose(both.model.coefficients, pooled.model.coefficients, atol=1e-6)
    # Gains come from one's own people alone; with the same ones, offsets are the pooled ones.
    parcels = kind.parcels(SPACE)
    sums = [read_sums(folder / LINEAR_SUMS, SPACE, ("a", "b"), parcels)[0] for folder in folders]
    added = sums[0] + sums[1]
    np.testing.assert_allclose(added.mean_maps(), sums[2].mean_maps(), atol=1e-6)
    np.testing.assert_allclose(added.mean_prediction(), sums[2].mean_prediction(), atol=1e-6)


def test_sums_of_something_else_are_refused(task):
    WHOLE_BRAIN.fit(task)
    path = task.folder / LINEAR_SUMS
    WHOLE_BRAIN.check_plan(plan_of(path, training=2))
    for change, word in (
        ({"mask_sha256": "c"}, "mask"),
        ({"roi_maps_sha256": "c"}, "roi_maps"),
        ({"form": Form("partial")}, "form"),
        ({"form": Form("partial", 0.5)}, "form"),
        ({"joins_runs": True}, "sample"),
    ):
        with pytest.raises(BundleError, match=f"has sums of another {word}"):
            WHOLE_BRAIN.check_plan(plan_of(path, **change))
    with pytest.raises(BundleError, match="has sums of another parcels"):
        BY_PARCEL.check_plan(plan_of(path))
    with pytest.raises(BundleError, match="sums of 5 participants whose data were added already"):
        WHOLE_BRAIN.check_plan(plan_of(path, path))


def test_nobody_is_added_twice(task):
    WHOLE_BRAIN.fit(task)
    path = (task.folder / LINEAR_SUMS).rename(task.folder / "theirs")
    options = ModellingOptions(add_sums=(str(path),))
    with pytest.raises(BundleError, match="sums of 2 participants whose data were added already"):
        WHOLE_BRAIN.fit(dataclasses.replace(task, options=options, training=task.training[:2]))


def test_too_few_people_are_refused_in_a_line(task):
    line = r"4 training participants: too few for a linear model\. Expected: 5 or more\. .*add sums"
    with pytest.raises(DatasetError, match=line):
        WHOLE_BRAIN.check_plan(plan_of(training=4))
    with pytest.raises(DatasetError, match=line):
        WHOLE_BRAIN.fit(dataclasses.replace(task, training=people(4)))
    WHOLE_BRAIN.fit(task)
    with pytest.raises(DatasetError, match=r"1 training participant: .* 2 or more of one's own"):
        WHOLE_BRAIN.check_plan(plan_of(task.folder / LINEAR_SUMS, training=1))


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("fit_sum", lambda a: a[:1], r"fit_sum is float64 \(1, 1, 4\), not real numbers"),
        ("fit_sum", lambda a: a * np.nan, "fit_sum has values that are not finite"),
        ("fitted", lambda a: a + 1, "fitted has numbers beyond 0 to 5"),
        ("fitted", lambda a: a.astype(float), "fitted is float64"),
        ("feature_sum", lambda a: a[:, 1:], "feature_sum is"),
        ("map_sum", lambda a: a[:, 1:], "map_sum is"),
        ("measured", lambda a: a - 6, "measured has numbers beyond 0 to 5"),
    ],
)
def test_sums_that_cannot_be_are_refused(task, name, change, fault):
    WHOLE_BRAIN.fit(task)
    path = task.folder / LINEAR_SUMS
    arrays, notes = read_arrays(path)
    write_arrays(path, arrays | {name: change(arrays[name])}, notes)
    with pytest.raises(
        BundleError, match=f"{LINEAR_SUMS} holds no sums of a linear model: {fault}"
    ):
        WHOLE_BRAIN.check_plan(plan_of(path))


def test_gaps_count_nowhere(task):
    cohort = people(6)
    cohort[0].maps[1] = np.nan
    cohort[1].maps[:, :100] = np.nan
    fitted = BY_PARCEL.fit(dataclasses.replace(task, training=cohort))
    assert np.isfinite(fitted.correction.offset).all()
    assert (fitted.correction.gains > 0.5).all()
