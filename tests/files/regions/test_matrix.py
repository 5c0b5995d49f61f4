"""Matrices of other programs: text, MATLAB and NumPy, whole, damaged and hostile."""

from __future__ import annotations

import os
import pickle

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from scipy.sparse import csc_matrix

from bids_dtg.errors import ForeignFileError, MissingFileError
from bids_dtg.files.regions.matrix import ForeignMatrix, read_matrices

SC = np.array([[0.0, 2, 1], [2, 0, 3.5], [1, 3.5, 0]])
NAMES = ("V1", "V2", "M1")


def read_matrix(path) -> ForeignMatrix:
    (found,) = read_matrices(path)
    return found


def lines(delimiter: str, header: bool = False, index: bool = False, names=NAMES) -> str:
    rows = [delimiter.join(f"{value:g}" for value in row) for row in SC]
    if index:
        rows = [f"{name}{delimiter}{row}" for name, row in zip(names, rows, strict=True)]
    if header:
        rows.insert(0, delimiter.join([*([""] if index else []), *names]))
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("delimiter", ["\t", ",", ";", " ", "  "])
@pytest.mark.parametrize("names", [NAMES, ("1", "2", "3")])
@pytest.mark.parametrize(("header", "index"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_text_is_read_with_names_and_without(tmp_path, delimiter, names, header, index):
    if delimiter.isspace() and delimiter != "\t" and header and index:
        pytest.skip("the empty corner of such a table cannot be seen")
    path = tmp_path / ("sc.tsv" if delimiter == "\t" else "sc.csv")
    path.write_text(lines(delimiter, bool(header), bool(index), names))
    found = read_matrix(path)
    np.testing.assert_array_equal(found.values, SC)
    assert found.names == (names if header or index else None)


def test_a_relmat_of_xcpd_is_read(tmp_path):
    path = tmp_path / "sub-01_relmat.tsv"
    path.write_text("Node\ta\tb\na\t1.0\tn/a\nb\tn/a\t1.0\n")
    found = read_matrix(path)
    assert found.names == ("a", "b")
    assert np.isnan(found.values[0, 1])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("1\t2\t3\t4\n5\t6\t7\t8\n", "is 2 x 4"),
        ("1\t2\n3\n", "1 lines with fewer cells"),
        ("1\t2\n3\t4\t5\n", "cannot be read as a table: line 2"),
        ("1\t2\n3\tx\n", "has 'x' in row 2"),
        ("\ta\tb\nb\t1\t2\na\t3\t4\n", "other names in its first line"),
        ("5\n", "is 1 x 1"),
    ],
)
def test_text_that_is_no_matrix_is_refused(tmp_path, text, words):
    path = tmp_path / "sc.tsv"
    path.write_text(text)
    with pytest.raises(ForeignFileError, match=words):
        read_matrix(path)


def test_the_only_square_variable_of_matlab_is_read(tmp_path):
    path = tmp_path / "sc.mat"
    savemat(path, {"counts": SC, "centres": np.ones((3, 2)), "title": "sc"}, do_compression=True)
    found = read_matrix(path)
    np.testing.assert_array_equal(found.values, SC)
    assert (found.key, found.names) == ("counts", None)


def test_several_variables_have_the_names_of_their_atlas(tmp_path):
    path = tmp_path / "sub-01_connectivity.mat"
    held = {
        "atlas_s3_region_labels": np.array(["V1 ", "V2 ", "M1 "]),
        "atlas_s3_count_connectivity": SC,
        "atlas_s3_length_connectivity": csc_matrix(SC * 2),
    }
    savemat(path, held, long_field_names=True)
    found = {matrix.key: matrix for matrix in read_matrices(path)}
    assert found.keys() == {"atlas_s3_count_connectivity", "atlas_s3_length_connectivity"}
    np.testing.assert_array_equal(found["atlas_s3_length_connectivity"].values, SC * 2)
    assert all(matrix.names == NAMES for matrix in found.values())


def test_version_7_3_of_matlab_is_read_the_right_way_round(tmp_path):
    path, uneven = tmp_path / "sc.mat", SC + np.triu(SC)
    with h5py.File(path, "w", userblock_size=512) as file:
        file["counts"] = uneven.T
        file["centres"] = np.ones((2, 3))
    content = path.read_bytes()
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + content[512:])
    np.testing.assert_array_equal(read_matrix(path).values, uneven)


def test_files_of_numpy_are_read(tmp_path):
    np.save(tmp_path / "sc.npy", np.asfortranarray(SC))
    np.savez_compressed(tmp_path / "sc.npz", sc=SC.astype(np.float32), ids=np.arange(3))
    np.testing.assert_array_equal(read_matrix(tmp_path / "sc.npy").values, SC)
    found = read_matrix(tmp_path / "sc.npz")
    np.testing.assert_array_equal(found.values, SC)
    assert found.key == "sc"


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["sc.npy", "sc.npz"])
def test_objects_are_never_unpickled(tmp_path, name):
    sprung = tmp_path / "sprung"
    array = np.empty((2, 2), object)
    array[:] = Trap(sprung)
    (np.save if name.endswith("y") else np.savez)(tmp_path / name, array)
    with pytest.raises(ForeignFileError, match="cannot be read"):
        read_matrix(tmp_path / name)
    assert not sprung.exists()


def test_pickles_and_structures_of_matlab_are_no_matrices(tmp_path):
    path = tmp_path / "sc.mat"
    savemat(path, {"net": {"sc": SC}, "cells": np.array([SC, "x"], object), "sc": SC * 1j})
    with pytest.raises(ForeignFileError, match="has no square matrix"):
        read_matrix(path)
    path.write_bytes(pickle.dumps(SC))
    with pytest.raises(ForeignFileError, match="cannot be read"):
        read_matrix(path)


def test_other_files_are_named(tmp_path):
    with pytest.raises(ForeignFileError, match=r"no file of a matrix that is known.*\.mat"):
        read_matrix(tmp_path / "sc.xlsx")
    with pytest.raises(MissingFileError, match=r"sc\.mat"):
        read_matrix(tmp_path / "sc.mat")


@settings(max_examples=60)
@given(ending=st.sampled_from(["mat", "npy", "npz"]), cut=st.data())
def test_a_damaged_file_raises_one_kind_of_error(tmp_path_factory, ending, cut):
    path = tmp_path_factory.mktemp("damaged") / f"sc.{ending}"
    if ending == "mat":
        savemat(path, {"sc": SC}, do_compression=True)
    else:
        (np.save if ending == "npy" else np.savez)(path, SC)
    content = bytearray(path.read_bytes())
    place = cut.draw(st.integers(0, len(content) - 1))
    content[place] ^= cut.draw(st.integers(1, 255))
    path.write_bytes(content[: cut.draw(st.integers(1, len(content)))])
    try:
        found = read_matrix(path)
    except ForeignFileError:
        return
    assert found.values.ndim == 2
