"""Files of arrays that others made: what is read of them, and what is refused in one line."""

from __future__ import annotations

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


def hdf5(path, key="rest", **options):
    with h5py.File(path, "w") as file:
        file.create_dataset(key, **options)
    return path


def test_rows_of_an_array_whose_columns_lie_together_are_read(tmp_path):
    values = np.arange(24.0).reshape(2, 3, 4)
    np.savez(tmp_path / "columns.npz", rest=np.asfortranarray(values))
    rest = open_arrays(tmp_path / "columns.npz")["rest"]
    assert (rest.row(1) == values[1]).all()


def test_a_row_that_is_not_there_is_refused(tmp_path):
    np.savez(tmp_path / "two.npz", rest=np.ones((2, 3)))
    with pytest.raises(DatasetError, match=r"two\.npz cannot be read"):
        open_arrays(tmp_path / "two.npz")["rest"].row(2)


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
