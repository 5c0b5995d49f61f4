"""Networks are evaluated on their own people, against simpler predictions."""

from __future__ import annotations

import json
import re

import pytest
from network_arrays import PEOPLE, REGIONS, TRAIN, arguments, write_networks

from bids_dtg.cli.run import main
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.network_evaluation import (
    outside_simulations,
    same_by_another,
)
from bids_dtg.files.text import read_rows
from bids_dtg.stats.paired import Interval


@pytest.mark.slow
def test_a_network_is_judged_by_its_own_people(bundle, call, out):
    assert call("evaluate", "--model", str(bundle), "--simulations", "3") == 0
    folder = out / "group" / "evaluation-own"
    rows = read_rows(folder / "desc-evaluation_scores.tsv")
    ours = [
        "model",
        "prior",
        "external_only",
        "network_only",
        "no_input",
        "other_connectome",
    ]
    same, another = (
        {row["name"]: row for row in rows if row["session"] == session}
        for session in ("REST1", "REST2")
    )
    assert [*same] == [*ours, "group", "half_way", "var_1", "other_person"]
    assert [*another] == [*ours, "group", "retest", "half_way", "var_1", "other_person"]
    assert {row["relation"] for row in same.values()} == {"same session"}
    assert {row["relation"] for row in another.values()} == {"another session"}
    assert (same["group"]["people"], another["group"]["people"]) == ("4", "3")
    assert 0.5 < float(another["var_1"]["r2"]) < 1.0
    assert same["model"]["nll"] == "n/a"
    for row in rows:
        # Simulations without one of their inputs may be constant.
        assert row["name"] in ours or -1 <= float(row["fit"]) <= 1
    parameters = read_rows(folder / "desc-parameters_scores.tsv")
    assert [row["parameter"] for row in parameters] == ["theta1", "theta2"]
    assert all(-1 <= float(row["icc_pairs_REST2"]) <= 1 for row in parameters)
    features = {
        row["feature"]: row
        for row in read_rows(folder / "desc-features_regressions.tsv")
    }
    assert -1 <= float(features["zero_crossings"]["icc_people_REST2"]) <= 1
    for table in folder.glob("*.tsv"):
        meanings = json.loads(table.with_suffix(".json").read_text())
        assert list(meanings) == ["Description", *read_rows(table)[0]], table.name
    page = (folder / "network_report.html").read_text()
    raw = re.findall(r">((?:theta\d|[a-z0-9]+_[a-z0-9_]+))<", page)
    assert raw == []  # names of columns and rows of the files
    assert "No verdict with 4" in page


@pytest.mark.slow
def test_maps_by_region_are_compared_with_parameters(bundle, call, out, tmp_path):
    table = tmp_path / "maps.tsv"
    lines = ["region\tmyelin", *(f"{name}\t{n * n}" for n, name in enumerate(REGIONS))]
    table.write_text("\n".join(lines) + "\n")
    options = (
        "--simulations",
        "2",
        "--region-maps",
        str(table),
        "--model-name",
        "maps",
    )
    assert call("evaluate", "--model", str(bundle), *options) == 0
    rows = read_rows(
        out / "group" / "evaluation-maps" / "desc-features_regressions.tsv"
    )
    assert "myelin" in {row["feature"] for row in rows}


@pytest.mark.slow
def test_one_person_with_a_session_of_another_length_is_compared_by_simulations_alone(
    tmp_path, capsys
):
    arrays = write_networks(
        tmp_path / "arrays",
        regions=REGIONS[::4],
        people=(PEOPLE[:1], PEOPLE[:1]),
        frames=(90, 120),
    )
    out, bare = tmp_path / "out", ("--no-external-input", "--states", "1")
    assert main(arguments(arrays, out, "train", *TRAIN, *bare, "--epochs", "2")) == 0
    model = ("--model", str(out / "group" / "model-own" / "bundle"))
    # After two epochs, simulations grow without bounds: an error, after all tables are written.
    assert main(arguments(arrays, out, "evaluate", *model, "--simulations", "2")) == 1
    assert "REST2 are not compared: 1 participant has it" in capsys.readouterr().err
    folder = out / "group" / "evaluation-own"
    assert {
        row["name"] for row in read_rows(folder / "desc-evaluation_scores.tsv")
    } == {
        *("model", "prior", "network_only", "no_input"),
    }
    assert read_rows(folder / "desc-features_regressions.tsv") == []
    assert "icc_pairs_REST2" not in read_rows(folder / "desc-parameters_scores.tsv")[0]


def test_a_network_that_says_little_of_people_has_warnings():
    row = {"name": "other_connectome", "session": "REST2", "verdict_fit": "worse"}
    warning = same_by_another(ResultTable((), [row]))
    assert "another person's structural connectome fit REST2 equally well" in warning
    warning = outside_simulations(
        [{"measure": "fc_fit", "outside": Interval(0.4, 0.2, 0.6)}]
    )
    assert "1 of 1 predictive check fails" in warning
