"""Rows that come one at a time, as one mapped array."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bids_dtg.errors import OutputError
from bids_dtg.files.mapped_rows import MappedRows

ROWS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 7)),
    elements=st.one_of(st.just(np.nan), st.floats(-9, 9, width=32)),
)


@given(ROWS)
def test_what_all_rows_have_is_kept(tmp_path_factory, values):
    rows = MappedRows(tmp_path_factory.mktemp("rows") / "rows.f32", 7, values.shape[1])
    for row in values:
        rows.add(row)
    known = np.flatnonzero(np.isfinite(values).all(axis=0))
    assert np.array_equal(rows.known(), known)
    assert len(rows) == len(values)
    if len(known):
        np.testing.assert_array_equal(rows.array(known), values[:, known])


def test_a_row_of_another_length_and_a_folder_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\(2,\)"):
        MappedRows(tmp_path / "rows.f32", 4, 3).add(np.zeros(2))
    with pytest.raises(OutputError, match=r"none/rows\.f32 cannot be written"):
        MappedRows(tmp_path / "none" / "rows.f32", 4, 3)
