"""Figures of benchmarks are kept by commit and compared with the last of the same machine."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from history import (  # noqa: E402
    HISTORY,
    UNKNOWN,
    Row,
    append_history,
    compared,
    last_before,
    processor_model,
    read_history,
    record,
)

FIRST = Row("aaaaaaa", "2026-01-02", "A CPU", 2, "participant, 490 volumes", "simple: cpu_s", 6.0)

words = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1)
figures = st.builds(
    Row,
    commit=words,
    date=st.dates().map(str),
    processor=words,
    cores=st.integers(1, 256),
    benchmark=words,
    figure=words,
    value=st.integers(0, 9999).map(lambda digits: digits / 1000),
)


@pytest.mark.slow
@settings(max_examples=20)
@given(rows=st.lists(figures, max_size=3), more=st.lists(figures, max_size=3))
def test_rows_are_read_as_written(tmp_path_factory, rows, more):
    path = tmp_path_factory.mktemp("history") / "history.tsv"
    append_history(rows, path)
    append_history(more, path)
    assert read_history(path) == rows + more


def test_another_table_is_refused(tmp_path):
    path = tmp_path / "history.tsv"
    path.write_text("commit\tvalue\na\t1\n")
    with pytest.raises(ValueError, match=r"history.tsv has columns \['commit', 'value'\]"):
        read_history(path)


@pytest.mark.parametrize(
    "change",
    [
        {"processor": "Another CPU"},
        {"cores": 4},
        {"benchmark": "participant, 100 volumes"},
        {"figure": "none: cpu_s"},
        {"commit": "bbbbbbb+"},
        {"commit": UNKNOWN},
        {"commit": "ccccccc"},
    ],
)
def test_only_the_same_figure_of_another_commit_counts(change):
    now = replace(FIRST, commit="ccccccc")
    assert last_before(now, [FIRST, replace(FIRST, **change)]) is FIRST
    assert last_before(now, [replace(FIRST, **change)]) is None


@pytest.mark.parametrize(("value", "warned"), [(6.8, False), (7.0, True), (5.0, False)])
def test_growth_of_our_processor_time_is_told(value, warned):
    now = replace(FIRST, commit="ccccccc", value=value)
    line, *warnings = compared([now], [FIRST])
    assert line == f"simple: cpu_s: {value:g}, {value / 6:.2f} of 6 at aaaaaaa (2026-01-02)"
    assert bool(warnings) == warned
    assert all("simple: cpu_s grew by 17% since aaaaaaa, more than 15%" in w for w in warnings)


def test_record_prints_and_keeps(tmp_path, capsys):
    path = tmp_path / "history.tsv"
    record("forward", {"prepared: cpu_s": 1.0, "eager / prepared: cpu": 3.0}, path)
    earlier = [replace(row, commit="aaaaaaa") for row in read_history(path)]
    path.unlink()
    append_history(earlier, path)
    record("forward", {"prepared: cpu_s": 2.0, "eager / prepared: cpu": 3.0}, path)
    rows = read_history(path)
    assert [row.value for row in rows] == [1.0, 3.0, 2.0, 3.0]
    assert {row.benchmark for row in rows} == {"forward"}
    told = capsys.readouterr().out
    assert "prepared: cpu_s: 2, 2.00 of 1 at aaaaaaa" in told
    assert "WARNING: forward: prepared: cpu_s grew by 100%" in told


def test_processor_is_named_without_its_host(tmp_path):
    path = tmp_path / "cpuinfo"
    core = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n"
    path.write_text(f"{core}\n{core.replace('EPYC', 'other')}")
    assert processor_model(path) == "AMD EPYC (family 25, model 17)"
    path.write_text("processor\t: 0\nBogoMIPS\t: 50.00\n")
    assert processor_model(path) == processor_model(tmp_path / "none") != ""


def test_the_table_of_the_project_can_be_read():
    assert all(row.cores > 0 and row.value > 0 for row in read_history(HISTORY))
