"""The demo of the digital twin: the analyses' own results, beside the truth."""

from __future__ import annotations

import html
from argparse import Namespace

import numpy as np
import pytest

from bids_dtg.files.text import read_rows
from bids_dtg.twin.demo import run_twin_demo
from bids_dtg.twin.phantom.people import simulate_twin_people


@pytest.mark.slow
def test_a_small_demo_shows_results_beside_the_truth(tmp_path, capsys):
    pytest.importorskip("lightning", reason="training needs lightning")
    size = {"regions": 20, "epochs": 3, "permutations": 5}
    run_twin_demo(
        Namespace(out=tmp_path, participants=60, seed=0), regime="easy", **size
    )
    out = capsys.readouterr().out
    assert "SIMULATED" in out
    assert "not evidence" in out
    rows = {row["figure"]: row for row in read_rows(tmp_path / "demo.tsv")}
    assert all(f"\n  {name}" in out for name in rows)
    index = html.unescape((tmp_path / "index.html").read_text())
    assert all(name in index for name in rows)
    people = simulate_twin_people(60, "easy", regions=20, seed=0).select(range(40, 60))
    effect = float(rows["stroop_effect: mean (s)"]["true"])
    assert effect == pytest.approx(people.effects("stroop").mean(), abs=1e-4)
    assert {"stroop_rt: mean (s)", "stroop_rt: r with the truth"} <= {*rows}
    with np.load(next(tmp_path.rglob("desc-directions_edges.npz"))) as arrays:
        moved = arrays["moves"].tolist()
    changes = [name for name in rows if "lower" in name and name.endswith(" (s)")]
    assert len(changes) == sum("accuracy" not in name for name in moved)
    column = "r with each person's true change"
    assert all(f"{name.removesuffix(' (s)')}: {column}" in rows for name in changes)
    pages = [*tmp_path.rglob("twin_report.html")]
    assert len(pages) == 3
    assert all("SIMULATED" in page.read_text() for page in pages)


@pytest.mark.slow
def test_twins_that_are_all_alike_have_no_r_with_the_truth(tmp_path, capsys):
    pytest.importorskip("lightning", reason="training needs lightning")
    size = {"regions": 20, "epochs": 3, "permutations": 5}
    run_twin_demo(Namespace(out=tmp_path, participants=60, seed=0), **size)
    rows = {row["figure"]: row for row in read_rows(tmp_path / "demo.tsv")}
    for name in ("stroop_rt", "stroop_effect"):
        assert rows[f"{name}: r with the truth"]["predicted"] == "n/a"
    assert "n/a     1.000" in capsys.readouterr().out
