"""Tables of series of regions, and of matrices between them: what is written is read back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bids_dtg.errors import ForeignFileError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.regions import (
    NodeFile,
    RegionTable,
    encode_relmat,
    encode_series,
    read_relmat,
    read_series,
    relationship_facts,
    series_sidecar,
)

# Names as tables of atlases have them: letters of any script, no control characters.
NAMES = st.text(
    st.characters(
        codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters='"'
    ),
    min_size=1,
    max_size=12,
)
FEW = settings(max_examples=40)


@st.composite
def series(draw) -> RegionTable:
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    shape = (len(names), draw(st.integers(1, 6)))
    values = draw(
        arrays(np.float32, shape, elements=st.floats(width=32, allow_infinity=False))
    )
    return RegionTable(tuple(names), values)


@st.composite
def matrices(draw) -> RegionTable:
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    elements = st.floats(-1, 1, width=32) | st.just(np.nan)
    return RegionTable(
        tuple(names), draw(arrays(np.float64, (len(names),) * 2, elements=elements))
    )


@pytest.mark.slow
@FEW
@given(series())
def test_series_are_read_back_as_they_were(tmp_path_factory, given_series):
    path = tmp_path_factory.mktemp("series") / "sub-01_timeseries.tsv"
    path.write_bytes(encode_series(given_series))
    stored = read_series(path)
    assert stored.names == given_series.names
    np.testing.assert_array_equal(stored.values, given_series.values)
    assert stored.values.dtype == np.float32


@pytest.mark.slow
@FEW
@given(matrices())
def test_matrices_are_read_back_as_they_were(tmp_path_factory, matrix):
    path = tmp_path_factory.mktemp("relmat") / "sub-01_relmat.tsv"
    path.write_bytes(encode_relmat(matrix))
    stored = read_relmat(path)
    assert stored.names == matrix.names
    np.testing.assert_array_equal(stored.values.astype(np.float32), matrix.values)


def test_a_name_that_a_spreadsheet_would_run_is_text(tmp_path):
    names, path = (
        ("=cmd|' /C calc'!A0", "@SUM(A1)", "'V1"),
        tmp_path / "sub-01_relmat.tsv",
    )
    path.write_bytes(encode_relmat(RegionTable(names, np.eye(3))))
    cells = path.read_text().split("\n")[0].split("\t")
    assert cells[1:] == ["'=cmd|' /C calc'!A0", "'@SUM(A1)", "'V1"]
    assert read_relmat(path).names == names


def test_frames_and_regions_without_a_value_are_known():
    values = np.array([[0.5, np.nan, 1], [np.nan] * 3], np.float32)
    table = RegionTable(("a", "b"), values)
    assert (table.keep.tolist(), table.present.tolist()) == (
        [True, False, True],
        [True, False],
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a complete table of time series: it has 0 rows"),
        ("a\tb\n1\n", "1 of them cut off"),
        ("a\tb\n1\tx\n", "cannot be read as numbers: .* to float: 'x'"),
        ("a\ta\n1\t2\n", "regions need names that differ"),
        ("a\t \tb\n1\t2\t3\n", "regions need names that differ"),
    ],
)
def test_a_damaged_table_of_series_is_refused(tmp_path, text, words):
    path = tmp_path / "t.tsv"
    path.write_text(text)
    with pytest.raises(ForeignFileError, match=words):
        read_series(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Node\ta\tb\na\t1\t2\n", "the names of its rows and columns differ"),
        ("Node\ta\tb\nb\t1\t2\na\t1\t2\n", "the names of its rows and columns differ"),
        ("Node\ta\tb\na\t1\nb\t1\t2\n", "the names of its rows and columns differ"),
        (
            "Node\ta\tb\na\t1\tx\nb\t1\t2\n",
            "cannot be read as numbers: .* to float: 'x'",
        ),
    ],
)
def test_a_damaged_matrix_is_refused(tmp_path, text, words):
    path = tmp_path / "t.tsv"
    path.write_text(text)
    with pytest.raises(ForeignFileError, match=words):
        read_relmat(path)


def test_the_sidecar_says_when_frames_are():
    facts = series_sidecar(["a", "b"], 0.72, FramesKept=9)
    assert (facts["RepetitionTime"], facts["SamplingFrequency"]) == (0.72, 1.388888889)
    assert (facts["Parcels"], facts["FramesKept"]) == (2, 9)


# --- Nodes


PARCELS = NodeFile("MNI152NLin6Asym", "Two", {3: "left", 7: "right"}, "Parcels of two")


@pytest.mark.parametrize(("overlap", "suffix"), [(False, "dseg"), (True, "probseg")])
def test_the_link_of_a_matrix_leads_to_the_names_of_its_rows(tmp_path, overlap, suffix):
    nodes = NodeFile(
        PARCELS.space, PARCELS.label, PARCELS.names, "Parts", overlap=overlap
    )
    nodes.write(DerivativeDataset(tmp_path))
    (link,) = nodes.facts["NodeFiles"]
    path = tmp_path / link.removeprefix("bids::")
    assert path.name == f"tpl-MNI152NLin6Asym_seg-Two_{suffix}.tsv"
    assert path.read_text() == "index\tname\n3\tleft\n7\tright\n"
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert sidecar["Description"] == "Parts"


def test_a_file_that_is_right_is_left_alone_and_another_atlas_of_the_name_is_written(
    tmp_path,
):
    dataset = DerivativeDataset(tmp_path)
    PARCELS.write(dataset)
    path = tmp_path / PARCELS.path
    before = path.stat().st_mtime_ns
    PARCELS.write(dataset)
    assert path.stat().st_mtime_ns == before
    second_atlas = NodeFile(PARCELS.space, PARCELS.label, {1: "all"}, "One parcel")
    second_atlas.write(dataset)
    assert path.read_text() == "index\tname\n1\tall\n"


def test_what_cannot_be_negative_says_so():
    facts = relationship_facts("weight", "how", non_negative=True)
    assert (facts["NonNegative"], facts["RelationshipMeasure"]) == (True, "weight")
