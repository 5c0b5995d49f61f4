"""The parts of bundles beside the weights: written, read, applied, and refused where damaged."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
import safetensors.numpy
from maps_bundle import extend_bundle, forge, tiny_masks, write_tiny_bundle

from bids_dtg.contrasts.bundle.arrays import from_steps, to_steps
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.part import (
    HALF_WIDTH_FILE,
    MEAN_FILE,
    OFFSET_FILE,
    Recentring,
)
from bids_dtg.contrasts.half_width import HalfWidths
from bids_dtg.contrasts.participant.model import Model
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.errors import BundleError


def tiny_correction(seed=0) -> Correction:
    rng = np.random.default_rng(seed)
    offset = rng.normal(size=(3, int(tiny_masks()[1].sum()))) * [[0.1], [1.0], [10.0]]
    return Correction(
        np.array([0.5, 1.23456, 1.5], np.float32), offset.astype(np.float32)
    )


def recentred(folder):
    return write_tiny_bundle(
        folder, correction=tiny_correction(), recentring=Recentring(40, 4)
    )


@pytest.mark.slow
def test_a_correction_comes_back_to_half_a_step(tmp_path):
    recentred(tmp_path / "tiny")
    correction, written = load_bundle(tmp_path / "tiny").correction, tiny_correction()
    np.testing.assert_allclose(correction.gains, written.gains, atol=5e-5)
    error = np.abs(correction.offset - written.offset).max(axis=1)
    assert (error <= 0.501 * np.abs(written.offset).max(axis=1) / 127).all()


def test_a_model_of_parcels_has_its_offset_as_it_was_estimated():
    """In 8 bits, it put a constant into maps minus the mean: in two, over a third of their size."""
    bundle = load_bundle("hcp-glasser")
    np.testing.assert_array_equal(bundle.correction.offset, bundle.mean)


def test_an_offset_of_zero_comes_back():
    np.testing.assert_array_equal(
        from_steps(*to_steps(np.zeros((2, 5)))), np.zeros((2, 5))
    )


@pytest.mark.slow
def test_the_correction_is_applied_after_the_network(tmp_path):
    plain, bundle = write_tiny_bundle(tmp_path / "plain"), recentred(tmp_path / "tiny")
    assert plain.correction is None
    x = (
        np.random.default_rng(1)
        .uniform(-1, 1, (4, plain.places.number))
        .astype(np.float32)
    )
    before, after = (Model(model, "cpu", 1).predict(x) for model in (plain, bundle))
    expected = bundle.correction.gains[:, None] * before + bundle.correction.offset
    np.testing.assert_allclose(after, expected, atol=1e-5)
    assert np.abs(after - before).max() > 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"nothing", "cannot be read"),
        (
            safetensors.numpy.save({"offset": np.zeros((3, 4), np.int8)}),
            r"offset is .*\(3, 4",
        ),
    ],
)
def test_another_offset_is_refused(tmp_path, content, fact):
    bundle = recentred(tmp_path / "tiny")
    forge(bundle, "reference.safetensors", content)
    with pytest.raises(BundleError, match=rf"reference\.safetensors.*{fact}"):
        load_bundle(bundle.path)


def tiny_half_widths(bundle, block: int = 4) -> HalfWidths:
    lattice = bundle.places.lattice(block)
    shape = (len(bundle.contrasts), *lattice.shape)
    values = np.random.default_rng(0).uniform(0.5, 2, size=shape).astype(np.float32)
    return HalfWidths(20, 4, values, lattice)


@pytest.fixture
def bundle(tmp_path):
    return write_tiny_bundle(tmp_path / "tiny")


def test_half_widths_come_back_as_they_were_to_the_rounding(bundle, tmp_path):
    written = tiny_half_widths(bundle)
    written.values[0, 0], written.values[1, 0, 0, 0] = 0.0, 1e-4
    written = dataclasses.replace(written, left_out_in_turn=True)
    back = extend_bundle(bundle, tmp_path / "new", half_widths=written).half_widths
    assert (back.people, back.segments, back.left_out_in_turn) == (20, 4, True)
    step = (
        written.values.reshape(len(written.values), -1).max(axis=1)[:, None, None, None]
        / 127
    )
    assert (np.abs(back.values - written.values) <= 1.01 * step).all()
    # No interval stays none, and one of hardly any width stays one.
    np.testing.assert_array_equal(back.values > 0, written.values > 0)
    np.testing.assert_array_equal(np.isnan(back.at_places), np.isnan(written.at_places))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "fact"),
    [
        ("participants", "many", "half_width.participants"),
        ("block", 3, "half_width is"),
        ("block", 0, "half_width.block"),
        ("more", 1, "unknown field half_width.more"),
    ],
)
def test_a_card_that_does_not_fit_its_files_is_refused(
    bundle, tmp_path, key, value, fact
):
    extended = extend_bundle(
        bundle, tmp_path / "new", half_widths=tiny_half_widths(bundle)
    )
    path = extended.path / "model.json"
    card = json.loads(path.read_text())
    card["half_width"][key] = value
    path.write_text(json.dumps(card))
    with pytest.raises(BundleError, match=fact):
        load_bundle(extended.path)


@pytest.fixture
def whole(tmp_path):
    """Return a bundle with all the files of tensors that a bundle may have."""
    corrected = recentred(tmp_path / "corrected")
    mean = np.zeros((len(corrected.contrasts), corrected.places.number), np.float32)
    return extend_bundle(
        corrected,
        tmp_path / "whole",
        half_widths=tiny_half_widths(corrected),
        mean=mean,
    )


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_by_file_and_name(whole, value):
    tried = 0
    for name in (OFFSET_FILE, HALF_WIDTH_FILE, MEAN_FILE):
        content = (whole.path / name).read_bytes()
        tensors = safetensors.numpy.load(content)
        for tensor, array in tensors.items():
            if array.dtype.kind == "f":
                changed = array.copy()
                changed.reshape(-1)[-1] = value
                forge(whole, name, safetensors.numpy.save(tensors | {tensor: changed}))
                with pytest.raises(
                    BundleError, match=rf"{name} .*not finite in {tensor}"
                ):
                    load_bundle(whole.path)
                tried += 1
        forge(whole, name, content)
    assert tried == 3
    assert load_bundle(whole.path).half_widths is not None


def test_an_offset_that_is_not_finite_is_refused_before_it_is_rounded(tmp_path):
    correction = tiny_correction()
    correction.offset[0, 0] = np.nan
    with pytest.raises(BundleError, match="offset has values that are not finite"):
        write_tiny_bundle(
            tmp_path / "tiny", correction=correction, recentring=Recentring(40, 4)
        )


@pytest.mark.parametrize("gain", ["NaN", "Infinity", '"0.5"', "null"])
def test_gains_are_finite(whole, gain):
    path = whole.path / "model.json"
    card = path.read_text()
    assert '"gains": [' in card
    path.write_text(re.sub(r'("gains": \[\s*)[^,]+', rf"\g<1>{gain}", card))
    with pytest.raises(BundleError, match=r"model\.json.*gains"):
        load_bundle(whole.path)


# --- the mean map


def maps_of(bundle, seed=0) -> np.ndarray:
    shape = (len(bundle.contrasts), bundle.places.number)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32) * [
        [0.1],
        [1],
        [10],
    ]


@pytest.mark.slow
def test_a_mean_comes_back_as_it_was(bundle, tmp_path):
    mean = maps_of(bundle).astype(np.float32)
    extend_bundle(bundle, tmp_path / "new", mean=mean)
    np.testing.assert_array_equal(load_bundle(tmp_path / "new").mean, mean)
    assert load_bundle(bundle.path).mean is None
