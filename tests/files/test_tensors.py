"""Files of tensors: shapes and values by prefix, notes, and errors that name file and tensor."""

from __future__ import annotations

import re
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from bids_dtg.errors import BundleError
from bids_dtg.files.tensors import TensorFile, let_go

TENSORS = {
    "a.b.x": np.arange(6.0).reshape(2, 3),
    "a.y": np.array(3.0),
    "z": np.zeros(2, np.int8),
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.safetensors"
    path.write_bytes(safetensors.numpy.save(TENSORS))
    return TensorFile(path)


def test_a_prefix_is_left_out_of_names(file):
    assert file.read().keys() == TENSORS.keys()
    below = file.below("a.")
    assert below.shape("b.x", axes=2) == (2, 3)
    assert below.read().keys() == {"b.x", "y"}
    np.testing.assert_array_equal(below.below("b.").read()["x"], TENSORS["a.b.x"])


def test_errors_name_the_file_and_the_whole_name(file):
    with pytest.raises(BundleError, match=r"some\.safetensors has no tensor a\.q"):
        file.below("a.").shape("q", axes=1)
    with pytest.raises(
        BundleError, match=r"a\.b\.x has shape \(2, 3\)\. Expected: 3 axes"
    ):
        file.below("a.").shape("b.x", axes=3)
    file.path.write_bytes((2).to_bytes(8, "little") + b"{]")
    with pytest.raises(
        BundleError, match=r"some\.safetensors cannot be read as safetensors"
    ):
        file.shape("z", axes=1)
    with pytest.raises(BundleError, match=r"some\.safetensors cannot be read"):
        file.read()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_values_that_are_not_finite_in_32_bits_are_refused_by_name(tmp_path, value):
    path = tmp_path / "some.safetensors"
    path.write_bytes(safetensors.numpy.save(TENSORS | {"a.q": np.array([0.0, value])}))
    with pytest.raises(
        BundleError, match=r"some\.safetensors has values .* not finite in a\.q"
    ):
        TensorFile(path).require_finite()
    TensorFile(path).below("z").require_finite()


def test_large_tensors_are_checked_without_a_copy(tmp_path):
    path, values = tmp_path / "some.safetensors", np.zeros((3, 20, 90_000), np.float32)
    path.write_bytes(safetensors.numpy.save({"a": values}))
    tracemalloc.start()
    try:
        TensorFile(path).require_finite()
        assert tracemalloc.get_traced_memory()[1] < values.nbytes / 5
    finally:
        tracemalloc.stop()
    values[-1, -1, -1] = np.nan
    path.write_bytes(safetensors.numpy.save({"a": values}))
    with pytest.raises(
        BundleError, match=r"some\.safetensors has values .* not finite in a"
    ):
        TensorFile(path).require_finite()


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux shows what is in memory")
def test_rows_of_a_mapped_tensor_leave_the_memory_alone(tmp_path):
    path, values = tmp_path / "some.safetensors", np.ones((8, 2**18), np.float32)
    path.write_bytes(safetensors.numpy.save({"a": values}))
    mapped = TensorFile(path).read(["a"])["a"]
    assert type(mapped) is np.memmap

    def in_memory() -> int:
        mapping = Path("/proc/self/smaps").read_text().partition(f"{path}\n")[2]
        return int(re.search(r"^Rss: +(\d+) kB", mapping, re.MULTILINE)[1]) * 1024

    assert mapped.sum() == values.size
    whole = in_memory()
    assert whole >= values.nbytes
    let_go(mapped[2:5])
    assert 0 < in_memory() <= whole - 3 * 2**20
    let_go(mapped)
    assert in_memory() == 0
    assert mapped.sum() == values.size
    let_go(values)  # which is mapped from nowhere
    assert values.all()


def test_types_that_numpy_lacks_are_refused(tmp_path):
    path = tmp_path / "some.safetensors"
    path.write_bytes(safetensors.torch.save({"x": torch.tensor([1.0]).bfloat16()}))
    with pytest.raises(
        BundleError, match=r"some\.safetensors .* x has numbers of type BF16"
    ):
        TensorFile(path).read()


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-2], lambda data: data.replace(b"[2,3]", b"[2,2]")]
)
def test_tensors_of_other_sizes_than_their_shapes_are_refused(tmp_path, damage):
    path = tmp_path / "some.safetensors"
    path.write_bytes(
        damage(safetensors.numpy.save({"x": np.zeros((2, 3), np.float16)}))
    )
    with pytest.raises(
        BundleError, match=r"some\.safetensors cannot be read as safetensors"
    ):
        TensorFile(path).read(["x"])
