"""Bundles with a correction: written, read, applied, and refused where damaged."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import safetensors.numpy
from tiny_bundle import tiny_masks, write_tiny_bundle

from bids_dtg.bundles.bundle import load_bundle
from bids_dtg.bundles.parts import Recentring, encode_offset, read_offset
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.errors import BundleError
from bids_dtg.workflows.participant.model import Model


def tiny_correction(seed=0) -> Correction:
    rng = np.random.default_rng(seed)
    offset = rng.normal(size=(3, int(tiny_masks()[1].sum()))) * [[0.1], [1.0], [10.0]]
    return Correction(np.array([0.5, 1.23456, 1.5], np.float32), offset.astype(np.float32))


def recentred(folder):
    return write_tiny_bundle(folder, correction=tiny_correction(), recentring=Recentring(40, 4))


def test_a_correction_comes_back_to_half_a_step(tmp_path):
    recentred(tmp_path / "tiny")
    correction, given = load_bundle(tmp_path / "tiny").correction, tiny_correction()
    np.testing.assert_allclose(correction.gains, given.gains, atol=5e-5)
    error = np.abs(correction.offset - given.offset).max(axis=1)
    assert (error <= 0.501 * np.abs(given.offset).max(axis=1) / 127).all()


def test_an_offset_of_zero_comes_back(tmp_path):
    (tmp_path / "x").write_bytes(encode_offset(np.zeros((2, 5), np.float32)))
    np.testing.assert_array_equal(read_offset(tmp_path / "x", 2, 5), np.zeros((2, 5)))


def test_it_is_applied_after_the_network(tmp_path):
    plain, bundle = write_tiny_bundle(tmp_path / "plain"), recentred(tmp_path / "tiny")
    assert plain.correction is None
    x = np.random.default_rng(1).uniform(-1, 1, (4, int(plain.mask.sum()))).astype(np.float32)
    before, after = (Model(one, "cpu", 1).predict(x) for one in (plain, bundle))
    expected = bundle.correction.gains[:, None] * before + bundle.correction.offset
    np.testing.assert_allclose(after, expected, atol=1e-5)
    assert np.abs(after - before).max() > 1


def test_without_one_the_card_says_nothing_of_it(tmp_path):
    content = json.loads((write_tiny_bundle(tmp_path / "tiny").path / "model.json").read_text())
    assert content["recentring"] is None
    assert content["gains"] is None
    assert set(content["files"]) == {
        *("brain_mask.nii.gz", "maps.nii.gz", "mask.nii.gz", "weights.safetensors")
    }
    # In the order of earlier versions, so that old bundles keep their identity.
    assert list(content)[-5:] == ["files", "recentring", "gains", "reference", "calibration"]


def test_gains_without_recentring_are_refused(tmp_path):
    with pytest.raises(BundleError, match="Expected: gains and recentring, or neither"):
        write_tiny_bundle(tmp_path / "tiny", correction=tiny_correction())


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"nothing", "cannot be read"),
        (safetensors.numpy.save({"offset": np.zeros((3, 4), np.int8)}), r"Expected: .*\(3, "),
    ],
)
def test_another_reference_is_refused(tmp_path, content, fact):
    bundle = recentred(tmp_path / "tiny")
    (bundle.path / "reference.safetensors").write_bytes(content)
    with pytest.raises(BundleError, match="has changed"):
        load_bundle(bundle.path)
    card = json.loads((bundle.path / "model.json").read_text())
    card["files"]["reference.safetensors"] = hashlib.sha256(content).hexdigest()
    (bundle.path / "model.json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match=rf"reference\.safetensors .*{fact}"):
        load_bundle(bundle.path)
