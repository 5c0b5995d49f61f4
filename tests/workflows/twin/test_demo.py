"""The demo of the digital twin: what it writes, and what it says of how well it does."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_dtg.errors import SettingsError
from bids_dtg.phantom.twin.people import simulate_twin_people
from bids_dtg.phantom.twin.sequences import trial_sequence
from bids_dtg.twin.behaviour import figures, observed
from bids_dtg.twin.traces import stack_people
from bids_dtg.workflows.twin.demo import DemoSize, answers_of, cross_losses, run_twin_demo


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="module")
def runs():
    people = simulate_twin_people(3, "easy", regions=8, seed=0)
    return people.runs([trial_sequence("stroopAP")], seed=0)


def test_answers_of_segments_are_those_of_the_runs(runs):
    # Medians of each condition, by the code that reads runs.
    expected = figures(observed([run for (run,) in runs]), 2)
    found = figures(answers_of(stack_people(runs)), 2)
    assert np.allclose(found.median_rt_seconds, expected.median_rt_seconds)
    assert np.array_equal(found.trials, expected.trials)
    assert np.allclose(found.correct, expected.correct)


def test_a_twin_that_does_the_same_has_the_lowest_loss(runs):
    segments = stack_people(runs)
    losses = cross_losses(0.98 * segments.action + 0.01, segments)
    assert losses.shape == (3, 3)
    assert losses.argmin(axis=0).tolist() == [0, 1, 2]
    assert np.allclose(np.diagonal(losses), -np.log(0.99), atol=1e-3)


def test_a_small_demo_writes_all_its_files(tmp_path, capsys):
    pytest.importorskip("lightning", reason="training needs lightning")
    own = DemoSize().recipe
    recipe = replace(own, units=16, group_epochs=3, group_updates=20, codes=3, rank=2)
    run_twin_demo(tmp_path, participants=12, size=DemoSize(regions=8, recipe=recipe))
    out = capsys.readouterr().out
    assert "SIMULATED" in out
    # Each printed beside the twin.
    names = ("own twin", "a stranger's twin", "connectome ridge", "group mean", "true parameters")
    assert all(f"\n  {name} " in out for name in names)
    rows, truth = rows_of(tmp_path / "demo.tsv"), rows_of(tmp_path / "simulated" / "truth.tsv")
    assert [row["participant_id"] for row in rows] == [r["participant_id"] for r in truth[8:]]
    first, second, effect = (
        np.array([float(row[f"{name}_observed"]) for row in rows])
        for name in ("rt_congruent", "rt_incongruent", "effect")
    )
    assert np.allclose(second - first, effect, atol=2e-4)
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_package_is_named_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"lightning.*bids-dtg\[train\]"):
        run_twin_demo(tmp_path / "out")
    assert not (tmp_path / "out").exists()
