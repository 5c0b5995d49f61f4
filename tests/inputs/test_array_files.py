"""Files of arrays that others made: what is read of them, and what is refused in one line."""

from __future__ import annotations

import io
import zipfile

import h5py
import numpy as np
import pytest

from bids_dtg.errors import DatasetError
from bids_dtg.inputs.arrays import open_arrays


def test_names_that_are_no_utf8_are_refused(tmp_path):
    path = tmp_path / "latin.npz"
    np.savez(path, people=np.array([b"a", b"\xe9"]))
    with pytest.raises(DatasetError, match="cannot be read"):
        open_arrays(path)["people"].whole()


def test_a_header_that_never_ends_is_refused(tmp_path):
    path = tmp_path / "header.npz"
    array = io.BytesIO()
    np.save(array, np.zeros((2, 3)))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("rest.npy", array.getvalue().replace(b"(2, 3), }", b"(2, 3,   "))
    with pytest.raises(DatasetError, match=r"header\.npz cannot be read"):
        open_arrays(path)


def npy(values, version=None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(values), version)
    return file.getvalue()


def zipped(path, *members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def hdf5(path, key="rest", **options):
    with h5py.File(path, "w") as file:
        file.create_dataset(key, **options)
    return path


def test_members_of_npz_that_are_no_arrays_are_passed_over(tmp_path):
    path = zipped(tmp_path / "more.npz", ("README.txt", b"hello"), ("rest.npy", npy([[1.0, 2.0]])))
    arrays = open_arrays(path)
    assert list(arrays) == ["rest"]
    assert arrays["rest"].row(0).tolist() == [1, 2]


def test_both_versions_of_numpy_s_header_are_read(tmp_path):
    path = zipped(tmp_path / "new.npz", ("a.npy", npy([1, 2], (1, 0))), ("b.npy", npy([3], (2, 0))))
    assert {key: one.whole().tolist() for key, one in open_arrays(path).items()} == {
        "a": [1, 2],
        "b": [3],
    }


@pytest.mark.parametrize(
    ("members", "line"),
    [
        ([("README.txt", b"hello")], r"holds no array\. Expected: a file of NumPy"),
    ],
)
def test_a_file_of_npz_that_is_not_as_it_says_is_refused(tmp_path, members, line):
    with pytest.raises(DatasetError, match=rf"wrong\.npz.* {line}"):
        open_arrays(zipped(tmp_path / "wrong.npz", *members))


def test_rows_of_an_array_whose_columns_lie_together_are_read(tmp_path):
    values = np.arange(24.0).reshape(2, 3, 4)
    np.savez(tmp_path / "columns.npz", rest=np.asfortranarray(values))
    rest = open_arrays(tmp_path / "columns.npz")["rest"]
    assert (rest.row(1) == values[1]).all()


def test_a_row_that_is_not_there_is_refused(tmp_path):
    np.savez(tmp_path / "two.npz", rest=np.ones((2, 3)))
    with pytest.raises(DatasetError, match=r"two\.npz cannot be read"):
        open_arrays(tmp_path / "two.npz")["rest"].row(2)


def test_a_file_that_is_removed_while_it_is_read_is_one_line(tmp_path):
    path = tmp_path / "gone.npz"
    np.savez(path, rest=np.ones((2, 3)))
    arrays = open_arrays(path)
    path.unlink()
    with pytest.raises(DatasetError, match=r"gone\.npz cannot be read: No such file"):
        arrays["rest"].whole()


def test_a_path_that_no_system_takes_is_one_line(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read: File name too long"):
        open_arrays(tmp_path / ("a" * 300))


@pytest.mark.parametrize(
    ("values", "read", "line"),
    [
        (np.ones(2, complex), "whole", r"is of type complex128\. Expected: numbers or text"),
        (np.array(["a", "b"]), "row", r"is of type <U1\. Expected: numbers"),
        (np.ones((2, 2), complex), "row", r"is of type complex128\. Expected: numbers"),
    ],
)
def test_values_of_other_types_are_refused(tmp_path, values, read, line):
    np.savez(tmp_path / "odd.npz", rest=values)
    rest = open_arrays(tmp_path / "odd.npz")["rest"]
    with pytest.raises(DatasetError, match=rf"odd\.npz: rest {line}"):
        rest.whole() if read == "whole" else rest.row(0)


def test_too_little_memory_is_one_line(tmp_path, monkeypatch):
    rest = open_arrays(hdf5(tmp_path / "some.h5", data=np.ones((2, 3))))["rest"]

    def full(*_):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(h5py.Dataset, "__getitem__", full)
        with pytest.raises(DatasetError, match=r"some\.h5: not enough memory to read it"):
            rest.whole()
    assert rest.whole().sum() == 6


def test_what_is_no_array_of_hdf5_is_passed_over(tmp_path):
    path = hdf5(tmp_path / "more.h5", data=np.ones((2, 3)))
    with h5py.File(path, "a") as file:
        file.create_group("facts")
        file["nothing"] = h5py.Empty("f4")
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/rest")
    assert list(open_arrays(path)) == ["rest"]


def test_values_of_hdf5_that_lie_in_another_file_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(24))
    options = {"shape": (1, 3), "dtype": "f8", "external": [(str(secret), 0, 24)]}
    with pytest.raises(DatasetError, match="the values of its rest lie in another file"):
        open_arrays(hdf5(tmp_path / "outside.h5", **options))


def test_rows_of_numbers_whose_header_says_columns_first_are_read(tmp_path):
    header = npy([1.0, 2.0, 3.0]).replace(b"'fortran_order': False", b"'fortran_order': True ")
    path = zipped(tmp_path / "numbers.npz", ("rest.npy", header))
    assert open_arrays(path)["rest"].row(1) == 2
