"""Local ridge as a kind: fitted with sums that are kept, and never with those of others."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from bids_dtg.contrasts import local_ridge_kind
from bids_dtg.contrasts.kind import RIDGE_SUMS, FitPlan, FitTask, ModelSpace
from bids_dtg.contrasts.local_ridge_kind import SumsFacts, read_sums
from bids_dtg.contrasts.people import Person
from bids_dtg.errors import BundleError, DatasetError
from bids_dtg.files.tensors import TensorFile, read_arrays, write_arrays
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.settings import ModellingOptions

PLACES = VoxelPlaces(Grid((6, 6, 6), np.diag([2.0, 2.0, 2.0, 1.0])), np.arange(216))
SPACE = ModelSpace(
    PLACES, np.ones((3, 216), np.float32), model="m", mask_sha256="a", roi_maps_sha256="b"
)


def people(count, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        x = rng.uniform(-1, 1, (1, 3, 216)).astype(np.float16)
        maps = x[0, :2].astype(np.float32)
        made.append(Person(f"{seed}{number}", x, (300.0,), (maps,)))
    return made


@pytest.fixture
def task(tmp_path):
    return FitTask(
        options=ModellingOptions(),
        space=SPACE,
        contrasts=("a", "b"),
        training=people(6),
        validation=people(3, seed=1),
        device="cpu",
        folder=tmp_path,
        report=lambda line: None,
    )


def test_a_fit_predicts_and_says_how_it_came_about(task, tmp_path):
    fitted = local_ridge_kind.fit(task)
    record = fitted.record.to_json()["local_ridge"]
    assert record["penalty"] == 0.3  # nothing but the connectome is in the maps
    assert (record["participants"], record["participants_of_other_sites"]) == (6, 0)
    assert record["cell_mm"] == 6.0
    connectome = task.validation[0].mean_connectome()
    path = tmp_path / "weights.safetensors"
    write_arrays(path, fitted.tensors, {})
    weights = TensorFile(path)
    assert local_ridge_kind.channels(weights) == (3, 2)
    back = local_ridge_kind.read_ridge(weights, PLACES)
    np.testing.assert_allclose(
        back.predict(connectome), fitted.model.predict(connectome), atol=2e-2
    )


def test_sums_are_kept_and_gone_on_with(task, tmp_path):
    lines = []
    local_ridge_kind.fit(dataclasses.replace(task, report=lines.append))
    more = dataclasses.replace(task, training=task.training, report=lines.append)
    local_ridge_kind.fit(more)
    assert lines == ["local ridge: 6/6 people added up"]
    (tmp_path / RIDGE_SUMS).write_bytes(b"damaged")
    local_ridge_kind.fit(more)
    assert len(lines) == 2


def test_sums_of_another_site_are_added_if_they_are_of_the_same_space(task, tmp_path):
    local_ridge_kind.fit(task)
    theirs = tmp_path / "theirs.safetensors"
    (tmp_path / RIDGE_SUMS).rename(theirs)
    options = ModellingOptions(add_sums=(str(theirs),))
    both = dataclasses.replace(task, training=people(1, seed=2), options=options)
    record = local_ridge_kind.fit(both).record.to_json()["local_ridge"]
    assert (record["participants"], record["participants_of_other_sites"]) == (1, 6)
    plan = FitPlan(options, SPACE, ("a", "b"), training=1, incomplete=())
    local_ridge_kind.check_plan(plan)
    other = dataclasses.replace(plan, space=dataclasses.replace(SPACE, mask_sha256="c"))
    with pytest.raises(BundleError, match="has sums of another mask"):
        local_ridge_kind.check_plan(other)
    with pytest.raises(BundleError, match="has sums of another contrasts"):
        local_ridge_kind.check_plan(dataclasses.replace(plan, contrasts=("a",)))
    sums, whose = read_sums(theirs, SumsFacts.of(SPACE, ("a", "b")), SPACE)
    assert sums.people == len(whose) == 6
    assert not any(name == "00" for name in whose)  # hashes, no labels


def test_a_penalty_is_chosen_by_what_was_measured(task):
    lacking = people(3, seed=1)
    for person in lacking:
        person.maps[1, :100] = np.nan
    lacking[0].maps[:] = np.nan  # nothing at all
    record = local_ridge_kind.fit(dataclasses.replace(task, validation=lacking)).record
    two = local_ridge_kind.fit(dataclasses.replace(task, validation=lacking[1:])).record
    assert record.penalty == 0.3  # nothing but the connectome is in the maps
    assert record.validation_errors == two.validation_errors


def test_sums_that_took_gaps_for_the_mean_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    facts = SumsFacts.of(SPACE, ("a", "b"))
    write_arrays(
        path, {"products": np.zeros(1)}, {"facts": json.dumps(facts.to_json()), "people": "[]"}
    )
    with pytest.raises(BundleError, match=r"x\.safetensors has sums of an earlier version.*again"):
        read_sums(path, facts, SPACE)


NAN_INSIDE = {
    name: (lambda array: np.where(np.arange(array.size).reshape(array.shape) == 1, np.nan, array))
    for name in ("connectome_sum", "map_sum", "cross", "measured_sum", "gram")
}


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        *((name, change, f"{name} has values that are not") for name, change in NAN_INSIDE.items()),
        ("connectome_sum", lambda a: a[:2], r"connectome_sum is float64 \(2, 216\), not real"),
        ("map_sum", lambda a: a[:, :5], r"map_sum is float64 \(2, 5\)"),
        ("gram", lambda a: a[0], "measured is"),
        ("gram", lambda a: a[:, :, :2, :2], "gram is"),
        ("gram", lambda a: np.float64(1), "gram is"),
        ("cross", lambda a: np.inf * a, "cross has values that are not finite"),
        ("measured", lambda a: a.astype(float), "measured is float64"),
        ("measured", lambda a: a + 1, "measured has numbers beyond 0 to 6"),
        ("group", lambda a: a + 1, "group has numbers beyond 0 to 0"),
        ("group", lambda a: a - 1, "group has numbers beyond 0 to 0"),
        ("gram", lambda a: -a, "gram has sums of squares below 0"),
    ],
)
def test_sums_that_cannot_be_are_refused_before_any_work(task, name, change, fault):
    local_ridge_kind.fit(task)
    path = task.folder / RIDGE_SUMS
    arrays, notes = read_arrays(path)
    with np.errstate(invalid="ignore"):
        write_arrays(path, arrays | {name: change(arrays[name])}, notes)
    plan = FitPlan(
        ModellingOptions(add_sums=(str(path),)), SPACE, ("a", "b"), training=1, incomplete=()
    )
    with pytest.raises(BundleError, match=rf"{RIDGE_SUMS} holds no sums of local ridge: {fault}"):
        local_ridge_kind.check_plan(plan)


@pytest.mark.parametrize(
    ("note", "text"),
    [
        *(
            ("people", text)
            for text in ('"abcdef"', "7", "[]", "[1, 2]", '["01"]', "{", "[" * 9000)
        ),
        *(("facts", text) for text in ("[]", "x", "")),
    ],
)
def test_sums_whose_notes_are_wrong_are_refused(task, note, text):
    local_ridge_kind.fit(task)
    path = task.folder / RIDGE_SUMS
    arrays, notes = read_arrays(path)
    write_arrays(path, arrays, notes | {note: text})
    with pytest.raises(BundleError, match=rf"{RIDGE_SUMS} holds no sums of local ridge"):
        read_sums(path, SumsFacts.of(SPACE, ("a", "b")), SPACE)


def test_one_person_is_too_few(task):
    with pytest.raises(DatasetError, match=r"1 training participant is too few.*--add-sums"):
        local_ridge_kind.fit(dataclasses.replace(task, training=people(1)))
    assert (task.folder / RIDGE_SUMS).is_file()


def test_a_file_that_holds_no_sums_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    write_arrays(path, {"a": np.zeros(1)}, {})
    with pytest.raises(BundleError, match=r"x\.safetensors holds no sums of local ridge"):
        read_sums(path, SumsFacts.of(SPACE, ()), SPACE)
