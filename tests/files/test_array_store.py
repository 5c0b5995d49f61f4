"""Arrays in folders: with facts and checksums, mapped, or of several in one file."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bids_dtg.errors import OutputError
from bids_dtg.files.array_store import ArrayStore, MappedRows, read_npz, write_npz

FACTS = {"model": "abc", "runs": ["a", "b"]}


def test_an_array_comes_back_mapped_with_its_notes(tmp_path):
    store = ArrayStore(tmp_path / "cache")
    array = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    store.write("sub-01/connectomes", array, FACTS, {"seconds": [1.5, 2.0]})
    stored = store.read("sub-01/connectomes")
    np.testing.assert_array_equal(stored, array)
    assert isinstance(stored, np.memmap)
    assert stored.dtype == np.float16
    assert store.notes("sub-01/connectomes") == {"seconds": [1.5, 2.0]}


def test_it_is_there_only_if_made_from_the_same_facts(tmp_path):
    store = ArrayStore(tmp_path)
    assert not store.has("x", FACTS)
    store.write("x", np.zeros(3), FACTS)
    assert store.has("x", FACTS)
    assert not store.has("x", FACTS | {"model": "other"})


def test_damage_is_found(tmp_path):
    store = ArrayStore(tmp_path)
    store.write("x", np.zeros(300), FACTS)
    path = tmp_path / "x.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(OutputError, match=r"x\.npy has changed.*remove it"):
        store.read("x")
    path.write_bytes(data[:-8])
    assert not store.has("x", FACTS)
    path.unlink()
    with pytest.raises(OutputError, match="cannot be read"):
        store.read("x")


def test_a_full_disk_is_told_before_an_array_is_filled(tmp_path, monkeypatch):
    store = ArrayStore(tmp_path)
    sizes = []

    def full(file: int, start: int, size: int) -> None:
        sizes.append(size)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        OutputError, match=r"work/x\.npy cannot be written: No space left"
    ):
        store.create("work/x", (1000, 1000), np.float32)
    assert sizes[0] >= 4_000_000
    assert not (tmp_path / "work/x.npy").exists()


def test_work_in_progress_is_discarded_and_results_are_not(tmp_path):
    store = ArrayStore(tmp_path)
    store.create("work/x", (3,), np.float32)[:] = 1
    store.write("result", np.ones(3), FACTS)
    store.discard("work")
    store.discard("never made")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "result.json",
        "result.npy",
    ]


ROWS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 7)),
    elements=st.one_of(st.just(np.nan), st.floats(-9, 9, width=32)),
)


@pytest.mark.slow
@given(ROWS)
def test_what_all_rows_have_is_kept(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("rows") / "rows.npy"
    rows = MappedRows(path, 2, 7, values.shape[1])
    for row in values:
        rows.add(0, row[::-1])
        rows.add(1, row)
    complete = np.flatnonzero(np.isfinite(values).all(axis=0))
    assert np.array_equal(rows.complete_columns(1), complete)
    if len(complete):
        np.testing.assert_array_equal(rows.table(1, complete), values[:, complete])
        first = rows.table(0, rows.complete_columns(0))
        np.testing.assert_array_equal(first[:, ::-1], values[:, complete])
    rows.close()


def test_arrays_of_a_file_come_back_and_its_bytes_are_the_same_each_time(tmp_path):
    arrays = {"people": ["01", "02"], "values": np.arange(6.0).reshape(2, 3)}
    for name in ("a.npz", "b.npz"):
        write_npz(tmp_path / name, arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    stored = read_npz(tmp_path / "a.npz")
    assert stored["people"].tolist() == arrays["people"]
    np.testing.assert_array_equal(stored["values"], arrays["values"])
