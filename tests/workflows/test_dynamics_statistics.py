"""Features of the linear core, from runs to associations: minutes kept are a covariate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from copied_people import copied, write_ages
from network_job import NetworkJob, write_core
from tiny_job import read_table

from bids_dtg.cli.run import main

PEOPLE = tuple(f"{number:02}" for number in range(1, 25))


def write_core_people(folder: Path) -> Path:
    """Write the results of one person, and of others; `people.tsv` beside them has their ages.

    Ages and the first component follow the minutes, and nothing else.
    """
    job = NetworkJob(folder, ("01",))
    core = write_core(job.folder / "core")
    assert job.run("--model", core) == 0
    rng = np.random.default_rng(0)
    minutes = rng.uniform(4, 12, len(PEOPLE))
    scores = rng.standard_normal((len(PEOPLE), 5))
    scores[:, 0] = minutes + 0.3 * rng.standard_normal(len(PEOPLE))
    for person, target in copied(job.out, PEOPLE):
        if target.name.endswith("_desc-components_parameters.tsv"):
            rows = [f"component{n}\t{score}\tn/a" for n, score in enumerate(scores[person], 1)]
            target.write_text("\n".join(["name\tscore\ticc", *rows]) + "\n")
        elif target.name.endswith("task-rest_qc.tsv"):
            header, values = (line.split("\t") for line in target.read_text().splitlines())
            values[header.index("minutes_kept")] = f"{minutes[person]:.3f}"
            target.write_text("\t".join(header) + "\n" + "\t".join(values) + "\n")
    age = minutes + 0.3 * rng.standard_normal(len(PEOPLE))
    write_ages(job.out.parent / "people.tsv", PEOPLE, age)
    return job.out


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
