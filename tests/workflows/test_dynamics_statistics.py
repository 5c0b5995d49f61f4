"""Features of the linear core, from runs to associations: minutes kept are a covariate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from core_people import write_core_people
from tiny_job import read_table

from bids_dtg.cli.run import main


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_core_people(tmp_path_factory.mktemp("statistics"))


def call(out: Path, analysis: str, *more: str) -> list[str]:
    return [
        *(str(out), str(out), "group", "--workflow", "dynamics", "--analysis", analysis),
        *("--participants-file", str(out.parent / "people.tsv"), "--permutations", "99", *more),
    ]


def test_minutes_are_a_covariate_of_features(out: Path) -> None:
    assert main(call(out, "stats", "--phenotype", "age")) == 0
    (table,) = (out / "group/stats").glob("*_tests.tsv")
    rows = read_table(table)
    assert [row["name"] for row in rows] == [f"component{number}" for number in range(1, 6)]
    # Age and the first component follow the minutes; nothing is left of that.
    assert abs(float(rows[0]["r"])) < 0.5
    assert "minutes_kept" in next((out / "group/stats").glob("*.html")).read_text()
    scores = [
        float(read_table(path)[0]["score"])
        for path in sorted(out.rglob("*_desc-components_parameters.tsv"))
    ]
    ages = [float(row["age"]) for row in read_table(out.parent / "people.tsv")]
    assert np.corrcoef(scores, ages)[0, 1] > 0.9


def test_people_are_laid_out_by_components(out: Path, capsys) -> None:
    assert main(call(out, "embed")) == 0
    rows = read_table(out / "group/embed/desc-people_coordinates.tsv")
    assert len(rows) == 24
    # Everybody's rest is the same here: copies of one person predict nothing.
    assert main(call(out, "phenotypes", "--phenotype", "age")) == 2
    assert "1 family cannot be divided into 5 folds" in capsys.readouterr().err


def test_results_without_a_model_have_no_features(out: Path, capsys, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(out, bare, ignore=shutil.ignore_patterns("*_parameters.*", "group"))
    assert main(call(bare, "stats")) == 2
    assert "has no results of participants with --model" in capsys.readouterr().err
    facts = json.loads(next(out.rglob("*_desc-components_parameters.json")).read_text())
    assert facts["ModelName"] == "core"
