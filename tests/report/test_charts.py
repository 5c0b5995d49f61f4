"""Charts as coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bids_dtg.report.charts import (
    HEIGHT,
    WIDTH,
    dropped_spans,
    histogram,
    nice,
    trace,
)


def test_a_trace_leaves_gaps_where_values_are_missing():
    values = np.array([np.nan, 0.1, 0.2, np.nan, 0.3, 0.1])
    made = trace(values, title="FD", unit="mm", threshold=0.5)
    assert made.path.count("M") == 2
    assert made.path.count("L") == 2
    assert made.title == "FD (mm)"
    assert 0 < made.threshold < HEIGHT
    assert "highest 0.30" in made.summary


def test_a_trace_without_values_is_empty():
    assert trace(np.full(4, np.nan), title="FD", unit="mm").path == ""


def test_spans_cover_the_frames_that_were_dropped():
    kept = np.array([0, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1], bool)
    spans = dropped_spans(kept)
    step = WIDTH / 10
    assert [round(width / step) for _, width in spans] == [2, 1, 1]
    assert spans[0][0] == 0
    assert spans[1][0] == pytest.approx(3.5 * step)
    assert dropped_spans(np.ones(5, bool)) == ()


@given(st.floats(1e-6, 1e6))
def test_nice_is_the_next_round_number(value):
    rounded = nice(value)
    assert value * 0.999 <= rounded <= 2.01 * value


@pytest.mark.slow
@given(arrays.arrays(np.float64, st.integers(1, 50), elements=st.floats(-1, 1)))
def test_the_highest_column_of_a_histogram_is_the_chart(values):
    made = histogram(values, -1, 1, width=400, height=100, alt="x")
    assert max(height for *_, height in made.columns) == 100
    assert 0 <= made.middle <= 400
