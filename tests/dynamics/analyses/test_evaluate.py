"""Network models are judged beside simple ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_networks import PEOPLE, REGIONS, TRAIN, arguments, write_networks

from bids_dtg.cli.run import main
from bids_dtg.dynamics.analyses.evaluate import outside_simulations
from bids_dtg.dynamics.judging.predictive import CHECKED, Check
from bids_dtg.files.text import read_rows

Call = Callable[..., int]


@pytest.mark.slow
def test_a_model_is_judged_beside_simple_ones(bundle: Path, call: Call, out: Path) -> None:
    assert call("evaluate", "--model", str(bundle), "--simulations", "3") == 0
    folder = out / "group" / "evaluation-own"
    scores = {row["name"]: row for row in read_rows(folder / "desc-connectivity_scores.tsv")}
    assert {"model", "external only", "network only", "neither", "var_1", "group"} <= set(scores)
    assert {"another connectome", "shrunken", *(f"factors_{n}" for n in (1, 2, 3, 6))} <= set(
        scores
    )
    assert scores["model"]["people"] == "4"
    assert float(scores["own_session"]["endless_fit_REST1"]) == pytest.approx(1.0)
    assert 0.5 < float(scores["ar_1"]["one_step_r2_REST2"]) < 1.0
    for row in scores.values():
        # After two epochs, simulations of the network may grow without bounds.
        assert row["what"] != "baseline" or -1 <= float(row["fit_REST2"]) <= 1
    elbo = read_rows(folder / "desc-series_elbo.tsv")
    numbers = {(row["session"], row["series"]): int(row["number"]) for row in elbo}
    assert numbers == {("REST1", "trained"): 26, ("REST1", "held out"): 6}
    retest = read_rows(folder / "desc-parameters_retest.tsv")
    assert {row["people"] for row in retest} == {"3"}
    features = read_rows(folder / "desc-features_regressions.tsv")
    assert {row["pairs"] for row in features} == {"32"}
    assert {row["regions"] for row in features} == {"8"}
    assert all(0 < float(row["p_regions"]) <= 1 for row in features)
    for table in folder.glob("*.tsv"):
        meanings = json.loads(table.with_suffix(".json").read_text())
        assert list(meanings) == ["Description", *read_rows(table)[0]], table.name
    effects = {row["figure"]: row for row in read_rows(folder / "desc-parameters_roles.tsv")}
    assert set(effects) == {"low_power", "external", "network"}
    assert -1 <= float(effects["low_power"]["rho1"]) <= 1
    fcd = {row["name"]: row for row in read_rows(folder / "desc-fcd_distances.tsv")}
    assert set(fcd) == {"model", "another connectome", "var_1", "retest", "other_person"}
    assert [fcd["retest"][f"people_{name}"] for name in ("REST1", "REST2")] == ["3", "3"]
    assert 0 <= float(fcd["other_person"]["distance_REST1"]) <= 1
    page = (folder / "network_report.html").read_text()
    assert "6 of 32 series were held out" in page
    assert "<h1>Evaluation of own</h1>" in page
    raw = re.findall(r">((?:theta\d|[a-z0-9]+_[a-z0-9_]+))<", page)
    assert raw == []  # names of columns and rows of the files
    assert "No verdict with 4 participants (8 are needed)" in page


@pytest.mark.parametrize(("away", "failed"), [(0.0, 0), (9.0, 1)])
def test_predictive_checks_that_fail_are_a_warning(away: float, failed: int) -> None:
    rng = np.random.default_rng(0)
    checks = [
        Check(CHECKED[0], away + rng.standard_normal(12), rng.standard_normal((12, 20))),
        Check(CHECKED[1], rng.standard_normal(12), rng.standard_normal((12, 20))),
    ]
    flags = outside_simulations(checks)
    assert len(flags) == failed
    for flag in flags:
        assert flag.level == "warning"
        assert "1 of 2 predictive checks fails" in flag.text
        assert "zero-crossings of a region's series (100 % of people)" in flag.text


@pytest.mark.slow
def test_maps_by_region_are_compared_with_parameters(
    bundle: Path, call: Call, out: Path, tmp_path: Path
) -> None:
    table = tmp_path / "maps.tsv"
    lines = ["region\tmyelin", *(f"{name}\t{n * n}" for n, name in enumerate(REGIONS))]
    table.write_text("\n".join(lines) + "\n")
    more = ("--simulations", "2", "--region-maps", str(table), "--model-name", "maps")
    assert call("evaluate", "--model", str(bundle), *more) == 0
    rows = read_rows(out / "group" / "evaluation-maps" / "desc-features_regressions.tsv")
    assert "myelin" in {row["feature"] for row in rows}


def test_a_session_of_one_person_and_another_length_is_compared_by_simulations_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = write_networks(
        tmp_path / "arrays", regions=REGIONS[::4], people=(PEOPLE[:1], PEOPLE[:1]), frames=(90, 120)
    )
    out, bare = tmp_path / "out", ("--no-external-input", "--states", "1")
    assert main(arguments(arrays, out, "train", *TRAIN, *bare)) == 0
    model = ("--model", str(out / "group" / "model-own" / "bundle"))
    assert main(arguments(arrays, out, "evaluate", *model, "--simulations", "2")) == 0
    assert "REST2 are not compared: 1 participant has it" in capsys.readouterr().err
    folder = out / "group" / "evaluation-own"
    assert {row["session"] for row in read_rows(folder / "desc-series_elbo.tsv")} == {
        "REST1",
        "REST2",
    }
    assert read_rows(folder / "desc-features_regressions.tsv") == []
    assert read_rows(folder / "desc-parameters_retest.tsv") == []
