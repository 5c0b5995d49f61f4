from __future__ import annotations

import zlib

import numpy as np
import pytest
import safetensors.numpy
from tiny_bundle import forge, write_tiny_bundle

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.mean import MEAN_FILE, encode_mean, encode_packed_mean
from bids_dtg.contrasts.bundle.writer import extend_bundle
from bids_dtg.errors import BundleError


@pytest.fixture
def bundle(tmp_path):
    return write_tiny_bundle(tmp_path / "tiny")


def maps_of(bundle, seed=0) -> np.ndarray:
    shape = (len(bundle.contrasts), bundle.places.number)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32) * [[0.1], [1], [10]]


def test_a_mean_comes_back_as_it_was(bundle, tmp_path):
    mean = maps_of(bundle).astype(np.float32)
    extend_bundle(bundle, tmp_path / "new", mean=encode_mean(mean))
    np.testing.assert_array_equal(load_bundle(tmp_path / "new").mean, mean)
    assert load_bundle(bundle.path).mean is None


def test_a_packed_mean_comes_back_to_half_a_step(bundle, tmp_path):
    mean = maps_of(bundle).astype(np.float32)
    step = np.array([0.02, 0.2, 1e-9], np.float32)
    packed = encode_packed_mean(mean, step, None)
    back = extend_bundle(bundle, tmp_path / "new", mean=packed).mean
    # The last step was too small for 16 bits.
    widest = np.array([0.02, 0.2, np.abs(mean[2]).max() / 32767])
    assert (np.abs(back - mean).max(axis=1) <= 0.51 * widest).all()


@pytest.mark.parametrize(
    ("packed", "fact"),
    [
        (b"nothing", "mean_packed"),
        (zlib.compress(b"0" * 10), "mean_packed is not of"),
        (zlib.compress(bytes(10**6)), "mean_packed is not of"),
        (bytes(10**6), "bytes of mean_packed"),
    ],
)
def test_packed_bytes_that_are_no_maps_are_refused(bundle, tmp_path, packed, fact):
    mean = maps_of(bundle).astype(np.float32)
    step = np.full(3, 0.1, np.float32)
    made = extend_bundle(bundle, tmp_path / "new", mean=encode_packed_mean(mean, step, None))
    tensors = {"mean_packed": np.frombuffer(packed, np.uint8), "mean_step": step}
    forge(made, MEAN_FILE, safetensors.numpy.save(tensors))
    with pytest.raises(BundleError, match=fact):
        load_bundle(made.path)


def test_a_mean_that_is_not_finite_is_not_written(bundle):
    mean = maps_of(bundle).astype(np.float32)
    mean[0, 0] = np.nan
    with pytest.raises(BundleError, match="not finite"):
        encode_mean(mean)
