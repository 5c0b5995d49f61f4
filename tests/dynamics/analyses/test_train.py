"""Network models are trained by the command line, and their tables are whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
from network_arrays import PEOPLE, REGIONS, TRAIN

from bids_dtg.files.text import read_rows


def test_a_model_is_trained_and_its_tables_are_whole(bundle):
    card = json.loads((bundle / "model.json").read_text())
    assert card["kind"] == "network-model"
    rows = read_rows(bundle.parent / "desc-regions_parameters.tsv")
    assert len(rows) == len(PEOPLE) * len(REGIONS)
    assert {
        "participant_id",
        "region",
        "trained",
        "theta1",
        "theta1_sd",
        "theta2",
    } <= set(rows[0])
    assert {row["trained"] for row in rows} == {"true", "false"}
    kl = read_rows(bundle.parent / "desc-parameters_scores.tsv")
    history = read_rows(bundle.parent / "desc-training_history.tsv")
    assert [row["epoch"] for row in history] == 2 * [
        str(epoch) for epoch in range(1, 61)
    ]
    meanings = json.loads((bundle.parent / "desc-regions_parameters.json").read_text())
    assert list(meanings) == ["Description", *rows[0]]
    # Parameters have the order of their use: the first is the furthest from the prior.
    mean, sd = (
        np.array([float(row[f"theta1{end}"]) for row in rows]) for end in ("", "_sd")
    )
    divergence = ((sd**2 + mean**2 - 1) / 2 - np.log(sd)).mean()
    assert divergence == pytest.approx(float(kl[0]["kl_mean"]), rel=1e-3)
    restarts = read_rows(bundle.parent / "desc-restarts_scores.tsv")
    # A batch has 64 series, more than there are.
    assert [row["updates"] for row in restarts] == ["60", "60"]
    assert "60 epochs (60 updates)" in card["description"]
    chosen = [row for row in restarts if row["chosen"] == "true"]
    assert float(chosen[0]["held_out_elbo"]) == max(
        float(r["held_out_elbo"]) for r in restarts
    )
    assert "REST1" in (bundle.parent / "configuration.toml").read_text()


@pytest.mark.slow
def test_the_same_call_again_makes_the_same_and_another_is_refused(
    bundle, call, capsys
):
    before = (bundle / "model.json").read_bytes()
    assert call("train", *TRAIN) == 0
    assert (bundle / "model.json").read_bytes() == before
    assert call("train", *TRAIN, "--seed", "3") == 2
    assert "made with another --seed." in capsys.readouterr().err
    assert call("train", *TRAIN, "--epochs", "3") == 2
    assert "made with another --epochs." in capsys.readouterr().err


def test_the_same_call_on_other_data_is_refused_at_once(bundle, call, capsys):
    """What was recorded is changed in place of the data, which all tests read."""
    record = bundle.parent / "made_with.json"
    whole = record.read_text()
    files = json.loads(whole)
    name = max(set(files) - {"version of bids_dtg"})
    files[name] = "0"
    record.write_text(json.dumps(files))
    try:
        assert call("train", *TRAIN) == 2
    finally:
        record.write_text(whole)
    log = capsys.readouterr().err
    assert f"holds results that were made with another {name}." in log
    assert "epoch" not in log


@pytest.mark.slow
def test_the_published_recipe_stands_beside_the_publication(call, out, capsys):
    few = ("--architecture", "network", "--epochs", "1", "--restarts", "1")
    named = ("--recipe", "published", "--model-name", "published")
    assert call("train", *few, *named) == 0
    line = next(row for row in capsys.readouterr().err.splitlines() if "85,085" in row)
    assert "--epochs 85085 " in line  # an update an epoch
    folder = out / "group" / "model-published"
    card = json.loads((folder / "bundle" / "model.json").read_text())
    page = (folder / "network_report.html").read_text()
    for text in (card["description"], page):
        assert "100 participants, 85,085 updates, the better of two restarts" in text
