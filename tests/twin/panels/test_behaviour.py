"""The table of an average's curves: what is written is read, and what is damaged is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.twin.panels.behaviour import Curve, keep_trial_series, read_trial_series

_names = st.text("abcXYZ-_<>&'", min_size=1)
_shares = st.floats(0, 1)


@st.composite
def curves(draw: st.DrawFn) -> list[Curve]:
    keys = st.tuples(_names, _names, st.sampled_from(["twin", "person", "group"]))
    found = []
    for task, condition, of in draw(st.lists(keys, unique=True, max_size=4)):
        count = draw(st.integers(1, 5))
        share = [
            np.array(draw(st.lists(_shares, min_size=count, max_size=count))) for _ in range(2)
        ]
        known = draw(st.booleans())
        correct = share[1] if known else np.full(count, np.nan)
        found.append(
            Curve(
                task,
                condition,
                of,
                draw(st.integers(1, 99)),
                0.08 * np.arange(count),
                share[0],
                correct,
            )
        )
    return found


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("series") / "series.tsv"


@pytest.mark.slow
@given(curves())
def test_what_is_written_is_read(table, written):
    table.write_bytes(keep_trial_series(written).content)
    found = read_trial_series(table)
    assert len(found) == len(written)
    for one, other in zip(written, found, strict=True):
        assert (one.task, one.condition, one.of, one.trials) == (
            *(other.task, other.condition, other.of, other.trials),
        )
        for name in ("seconds", "answered", "correct"):
            np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=5e-4)


def test_damaged_rows_are_left_out(tmp_path):
    table = tmp_path / "series.tsv"
    good = "go\tall\ttwin\t9\t0.08\t0.5\tn/a"
    bad = ["go\tall\tsomebody\t9\t0.16\t0.6\tn/a", "go\tall\ttwin\tinf\t0.16\t0.6\t0.1"]
    bad += ["go\tall\ttwin\t9\tn/a\t0.6\t0.1", "\tall\ttwin\t9\t0.16\t0.6\t0.1"]
    header = "task_name\tcondition\tof\ttrials\tseconds\tanswered\tcorrect"
    table.write_text("\n".join([header, good, *bad]) + "\n")
    (curve,) = read_trial_series(table)
    assert (curve.trials, curve.seconds.tolist()) == (9, [0.08])
    assert np.isnan(curve.correct).all()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"task\tof\nstroop\ttwin\n"])
def test_a_damaged_table_has_no_curves(tmp_path, content):
    table = tmp_path / "series.tsv"
    table.write_bytes(content)
    assert read_trial_series(table) == ()
    assert read_trial_series(tmp_path / "absent.tsv") == ()


def test_the_sidecar_says_that_curves_are_no_measurements():
    sidecar = keep_trial_series([], {"Sources": ["bids:raw:sub-01"]}).sidecar
    assert "estimates, not measurements" in sidecar["Description"]
    assert sidecar["Sources"] == ["bids:raw:sub-01"]
    assert sidecar["of"]["Levels"]["twin"].endswith("predicted, not measured")
