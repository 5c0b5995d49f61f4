"""Files of arrays that others made: nothing in them runs, fills the memory or stops the program."""

from __future__ import annotations

import io
import json
import resource
import struct
import zipfile

import h5py
import numpy as np
import pytest

from bids_dtg.errors import DatasetError, ForeignFileError
from bids_dtg.files.regions.matrix import read_matrix
from bids_dtg.inputs.array_files import open_arrays

LARGE = (1, 2**16, 2**13)  # 2 GiB of float32 a row


def zarr_folder(path, **arrays):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    for key, values in arrays.items():
        group.create_array(key, data=values)
    return path


def large_npz(folder):
    path = folder / "large.npz"
    np.savez_compressed(path, rest=np.zeros((1, 2**13, 2**15 + 1), np.uint8))
    return path


def large_hdf5(folder):
    path = folder / "large.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("rest", LARGE, "f4", chunks=(1, 2**8, 2**8), compression="gzip")
    return path


def large_zarr(folder):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(folder / "large.zarr"), mode="w")
    values = group.create_array("rest", shape=LARGE, dtype="f4", chunks=(1, 2**8, 2**8))
    values[0, 0, 0] = 1
    return folder / "large.zarr"


def test_a_text_that_claims_gibibytes_is_refused_before_they_are_taken(tmp_path):
    path = tmp_path / "long.h5"
    with h5py.File(path, "w") as file:
        file["people"] = np.array(["a", "b"], dtype=h5py.string_dtype())
    with h5py.File(path) as file:
        begins = file["people"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[begins : begins + 4] = struct.pack("<I", 0xF0000000)
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limits = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(DatasetError, match="cannot be read"):
        open_arrays(path)["people"].whole()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB
    assert resource.getrlimit(resource.RLIMIT_AS) == limits


def test_facts_of_zarr_that_its_library_trips_over_are_refused(tmp_path):
    path = zarr_folder(tmp_path / "odd.zarr", rest=np.ones((2, 3)))
    facts = json.loads((path / "rest" / ".zarray").read_text())
    (path / "rest" / ".zarray").write_text(json.dumps({**facts, "compressor": 7}))
    with pytest.raises(DatasetError, match="cannot be read"):
        open_arrays(path)


def test_a_folder_of_zarr_whose_values_are_lost_is_refused(tmp_path):
    path = zarr_folder(tmp_path / "lost.zarr", rest=np.ones((2, 3)))
    assert open_arrays(path)["rest"].row(0).tolist() == [1, 1, 1]
    (path / "rest" / "0.0").unlink()
    with pytest.raises(DatasetError, match="no value of its rest is stored"):
        open_arrays(path)


@pytest.mark.slow
@pytest.mark.parametrize("write", [large_npz, large_hdf5, large_zarr])
def test_what_would_only_fill_the_memory_is_refused(tmp_path, write):
    arrays = open_arrays(write(tmp_path))
    with pytest.raises(DatasetError, match="it can hold no measured values"):
        arrays["rest"].row(0)


def test_a_large_chunk_of_nothing_is_refused(tmp_path):
    path = tmp_path / "chunk.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("rest", LARGE, "f4", chunks=(1, 2**14, 2**13), compression="gzip")
    with pytest.raises(DatasetError, match="it can hold no measured values"):
        open_arrays(path)


def test_values_that_were_packed_well_are_read(tmp_path):
    values = np.zeros((2, 50, 40), np.float32)
    values[:, 0] = 1
    path = tmp_path / "few.npz"
    np.savez_compressed(path, rest=values)
    assert open_arrays(path)["rest"].row(1).sum() == 40


def test_names_that_are_no_utf8_are_refused(tmp_path):
    path = tmp_path / "latin.npz"
    np.savez(path, people=np.array([b"a", b"\xe9"]))
    with pytest.raises(DatasetError, match="cannot be read"):
        open_arrays(path)["people"].whole()


def test_a_folder_of_two_formats_is_refused(tmp_path):
    """Of such a folder a library may follow the file that was not looked at."""
    path = zarr_folder(tmp_path / "two.zarr", people=np.array(["a", "b"]))
    (path / "people" / "zarr.json").write_text(
        json.dumps({"zarr_format": 3, "node_type": "array", "codecs": [{"name": "bytes"}]})
    )
    with pytest.raises(DatasetError, match=r"\.zarray and zarr\.json"):
        open_arrays(path)


@pytest.mark.parametrize("place", ["compressor", "filters"])
def test_a_codec_that_runs_code_is_refused(tmp_path, place):
    path = zarr_folder(tmp_path / "pickle.zarr", people=np.array([1, 2]))
    facts = json.loads((path / "people" / ".zarray").read_text())
    codec = {"id": "pickle", "protocol": 5}
    facts[place] = codec if place == "compressor" else [codec]
    (path / "people" / ".zarray").write_text(json.dumps(facts))
    with pytest.raises(DatasetError):
        open_arrays(path)["people"].whole()


@pytest.mark.parametrize("read", [open_arrays, read_matrix])
def test_a_header_that_never_ends_is_refused(tmp_path, read):
    path = tmp_path / "header.npz"
    array = io.BytesIO()
    np.save(array, np.zeros((2, 3)))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("rest.npy", array.getvalue().replace(b"(2, 3), }", b"(2, 3,   "))
    with pytest.raises((DatasetError, ForeignFileError), match=r"header\.npz cannot be read"):
        read(path)


@pytest.mark.parametrize("shards", [None, (2, 5)])
def test_folders_of_zarr_are_read(tmp_path, shards):
    zarr = pytest.importorskip("zarr")
    values = np.arange(20, dtype=np.float32).reshape(4, 5)
    group = zarr.open_group(str(tmp_path / "good.zarr"), mode="w")
    group.create_array("edges", shape=(4, 5), dtype="f4", chunks=(1, 5), shards=shards)
    group["edges"][:] = values
    assert (open_arrays(tmp_path / "good.zarr")["edges"].row(2) == values[2]).all()
