"""Network models are trained by the command line, and their tables are whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_networks import PEOPLE, REGIONS, TRAIN

from bids_dtg.files.text import read_rows

Call = Callable[..., int]


def test_a_model_is_trained_and_its_tables_are_whole(bundle: Path) -> None:
    card = json.loads((bundle / "model.json").read_text())
    assert card["kind"] == "network-model"
    rows = read_rows(bundle.parent / "desc-regions_parameters.tsv")
    assert len(rows) == len(PEOPLE) * len(REGIONS)
    assert {"participant_id", "region", "trained", "theta1", "theta1_sd", "theta2"} <= set(rows[0])
    assert {row["trained"] for row in rows} == {"True", "False"}
    restarts = read_rows(bundle.parent / "desc-restarts_scores.tsv")
    chosen = [row for row in restarts if row["chosen"] == "True"]
    assert float(chosen[0]["held_out_elbo"]) == max(float(r["held_out_elbo"]) for r in restarts)
    assert "REST1" in (bundle.parent / "configuration.toml").read_text()


def test_the_same_call_again_makes_the_same_and_another_is_refused(
    bundle: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (bundle / "model.json").read_bytes()
    assert call("train", *TRAIN) == 0
    assert (bundle / "model.json").read_bytes() == before
    assert call("train", *TRAIN[2:], "--epochs", "3") == 2
    assert "made with other options (--epochs)" in capsys.readouterr().err
