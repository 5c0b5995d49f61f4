"""Bundles of models without a network: what is written predicts the same when it is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from own_trials_people import simulated
from tiny_mixed_effects import tiny_form, write_tiny_mixed_effects

from bids_dtg.errors import BundleError
from bids_dtg.files.digest import sha256_of
from bids_dtg.files.tensors import TensorFile, encode_arrays
from bids_dtg.twin.bundle.bundle import load_twin_bundle
from bids_dtg.twin.bundle.mixed_effects import load_mixed_effects_bundle


@pytest.mark.parametrize("one_sequence", [True, False])
def test_what_is_written_is_loaded_and_predicts_the_same(tmp_path: Path, one_sequence) -> None:
    form = tiny_form(one_sequence=one_sequence)
    write_tiny_mixed_effects(tmp_path / "tiny", form)
    (back,) = load_mixed_effects_bundle(tmp_path / "tiny").closed_forms()
    people = simulated(5, seed=7, one_sequence=one_sequence)
    found, expected = back.predict(people), form.predict(people)
    np.testing.assert_array_equal(found.answered, expected.answered)
    np.testing.assert_array_equal(found.shares, expected.shares)


def test_training_people_are_known_by_their_labels(tmp_path: Path) -> None:
    bundle = write_tiny_mixed_effects(tmp_path / "tiny")
    assert bundle.in_training_set(["p1", "p99"], "tiny study") == ("p1",)
    assert not bundle.by_content


def test_a_bundle_without_a_network_is_no_twin(tmp_path: Path) -> None:
    write_tiny_mixed_effects(tmp_path / "tiny")
    with pytest.raises(BundleError, match="is a model of kind mixed-effects"):
        load_twin_bundle(tmp_path / "tiny")


@pytest.mark.parametrize(
    ("lost", "line"),
    [
        ("stroop/missed", "has 0 tasks"),
        ("stroop/wrong", "has no 'wrong' of a task"),
        ("stroop/closed_form/noise", "has no 'noise' of a task"),
    ],
)
def test_weights_that_lack_something_are_refused(tmp_path: Path, lost: str, line: str) -> None:
    folder = write_tiny_mixed_effects(tmp_path / "tiny").path
    weights, card = folder / "weights.safetensors", folder / "model.json"
    arrays = TensorFile(weights).read()
    del arrays[lost]
    weights.write_bytes(encode_arrays(arrays))
    content = json.loads(card.read_text())
    with weights.open("rb") as file:
        content["files"][weights.name] = sha256_of(file)
    card.write_text(json.dumps(content))
    with pytest.raises(BundleError, match=line):
        load_mixed_effects_bundle(folder)
