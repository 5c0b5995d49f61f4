"""Hypernetworks with task BOLD, as users type it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from twin_people import PEOPLE, TRAIN, arguments, edges
from twin_runs import QUICK

from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows
from bids_dtg.twin.analyses import train
from bids_dtg.twin.bundle.bundle import TwinBundle


@pytest.mark.slow
@pytest.mark.parametrize("group_epochs", [0, 2], ids=["published", "default"])
def test_a_hypernetwork_with_bold_is_trained_and_judged(
    trained_twin, tmp_path, monkeypatch, group_epochs
):
    """Both runs have BOLD of three of eight regions; published networks output it."""
    recipe = replace(QUICK, group_epochs=group_epochs)
    monkeypatch.setattr(train, "find_recipe", lambda *_: recipe)
    outputs = not group_epochs
    folder = Path(shutil.copytree(trained_twin.inputs, tmp_path / "people"))
    values = np.full((PEOPLE, 2, 8, 200), np.nan, np.float32)
    values[:, :, :3] = np.random.default_rng(0).normal(100.0, 3.0, (PEOPLE, 2, 3, 200))
    values[0, 0, :, 20:30] = np.nan  # censored
    values[4, 1] = np.nan  # without a run
    common = {name: edges()[name] for name in ("people", "places")}
    runs = np.array(["hammerAP", "stroopAP"])
    task_bold = {
        "task_bold": values,
        "task_bold_runs": runs,
        "task_bold_tr_seconds": 0.8,
    }
    np.savez(folder / "task_bold.npz", **common, **task_bold)
    files = [str(folder / name) for name in ("connectomes.npz", "task_bold.npz")]
    inputs, out = ("--input-arrays", *files), tmp_path / "out"
    architecture = ("--architecture", "hypernetwork", *TRAIN)
    assert main([*arguments(folder, out, "train", *architecture), *inputs]) == 0
    part = TwinBundle.load(out / "group" / "model-own" / "bundle").part
    assert (part.architecture, part.bold_regions, part.bold_tr_seconds) == (
        "hypernetwork",
        8,
        0.8,
    )
    model = ("--model", str(out / "group" / "model-own" / "bundle"))
    assert main([*arguments(folder, out, "evaluate", *model), *inputs]) == 0
    judged = out / "group" / "evaluation-own"
    rows = read_rows(judged / "desc-regions_responses.tsv")
    assert [row["region"] for row in rows] == [
        f"r{n}" for n in range(3) for _ in range(4)
    ]
    for row in rows:
        assert np.isfinite(float(row["twin_response"]))
        assert np.isfinite(float(row["twin_t"]))
        by_connectomes = "true" if outputs else "false"
        assert (row["predicted_by_connectomes"], row["ridge_r_people"]) == (
            by_connectomes,
            "n/a",
        )
    assert (
        "output of the networks" in (judged / "twin_report.html").read_text()
    ) == outputs
    assert (
        main(
            [
                *arguments(folder, out, "evaluate", "--folds=halves", "--epochs=1"),
                *inputs,
            ]
        )
        == 0
    )
    row, *_ = read_rows(out / "group/folds-own/desc-regions_responses.tsv")
    assert abs(float(row["own_first_half_r_people"])) < 1
