"""The demo of the digital twin: what it writes, and what it says of how well it does."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bids_dtg.twin.judging.cohort import targets_of_people

from bids_dtg.inputs.events import find_events, read_events
from bids_dtg.twin.demo import DemoSize, run_twin_demo
from bids_dtg.twin.tasks import find_task
from bids_dtg.twin.trial_series import stack_people
from bids_dtg.twin.trials import read_trials


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_small_demo_writes_all_its_files(tmp_path, capsys):
    pytest.importorskip("lightning", reason="training needs lightning")
    own = DemoSize().recipe
    recipe = replace(own, units=16, group_epochs=3, group_updates=20, codes=3, rank=2)
    # Connectomes predict times far beyond chance (z 4.3), so that twins differ.
    size = DemoSize(regime="easy", regions=20, recipe=recipe)
    run_twin_demo(tmp_path, participants=90, size=size)
    out = capsys.readouterr().out
    assert "SIMULATED" in out
    # Each printed beside the twin.
    names = ("own twin", "a stranger's twin", "connectome ridge", "group mean", "true parameters")
    assert all(f"\n  {name} " in out for name in names)
    rows, truth = rows_of(tmp_path / "demo.tsv"), rows_of(tmp_path / "simulated" / "truth.tsv")
    assert [row["participant_id"] for row in rows] == [r["participant_id"] for r in truth[60:]]
    task = find_task("stroop")
    read = [
        (read_trials(task, read_events(file.path)),)
        for file in find_events(tmp_path / "simulated" / "bids", task.bids_tasks)
    ]
    as_the_app_reads = targets_of_people(stack_people(read))[60:]
    for place, target in enumerate(("rt", "effect")):
        observed = [float(row[f"{target}_observed"]) for row in rows]
        assert np.allclose(observed, as_the_app_reads[:, place], atol=1e-3)
    assert "the truth is" in out
    assert "not evidence of an effect in a person" in out
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
