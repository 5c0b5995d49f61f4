"""Features of the linear core, from runs to associations: minutes kept are a covariate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from network_job import NetworkJob, write_core
from tiny_job import read_table

from bids_dtg.cli.run import main

PEOPLE = tuple(f"{number:02}" for number in range(1, 25))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one person, and of others that differ in scores and minutes by chance."""
    job = NetworkJob(tmp_path_factory.mktemp("statistics"), ("01",))
    core = write_core(job.folder / "core")
    assert job.run("--model", core, "--simulations", 2) == 0
    rng = np.random.default_rng(0)
    minutes = rng.uniform(4, 12, len(PEOPLE))
    # The first component follows the minutes, and nothing else.
    scores = rng.standard_normal((len(PEOPLE), 5))
    scores[:, 0] = minutes + 0.3 * rng.standard_normal(len(PEOPLE))
    files = [path for path in job.out.rglob("*") if path.is_file() and "sub-01" in path.name]
    for label, kept, own in zip(PEOPLE, minutes, scores, strict=True):
        for path in files:
            target = Path(str(path).replace("sub-01", f"sub-{label}"))
            target.parent.mkdir(parents=True, exist_ok=True)
            if target != path:
                shutil.copy(path, target)
            if target.name.endswith("_desc-components_parameters.tsv"):
                rows = [f"component{n}\t{score}\tn/a" for n, score in enumerate(own, 1)]
                target.write_text("\n".join(["name\tscore\ticc", *rows]) + "\n")
            elif target.name.endswith("task-rest_qc.tsv"):
                header, values = (line.split("\t") for line in target.read_text().splitlines())
                values[header.index("minutes_kept")] = f"{kept:.3f}"
                target.write_text("\t".join(header) + "\n" + "\t".join(values) + "\n")
    age = minutes + 0.3 * rng.standard_normal(len(PEOPLE))
    rows = [f"sub-{label}\t{value:.3f}" for label, value in zip(PEOPLE, age, strict=True)]
    table = job.out / "people.tsv"
    table.write_text("\n".join(["participant_id\tage", *rows]) + "\n")
    return job.out


def call(out: Path, analysis: str, *more: str) -> list[str]:
    return [
        *(str(out), str(out), "group", "--workflow", "dynamics", "--analysis", analysis),
        *("--participants-file", str(out / "people.tsv"), "--permutations", "99", *more),
    ]


def test_minutes_are_a_covariate_of_features(out: Path) -> None:
    assert main(call(out, "associate")) == 0
    (table,) = (out / "group/associate").glob("*_associations.tsv")
    rows = read_table(table)
    assert [row["name"] for row in rows] == [f"component{number}" for number in range(1, 6)]
    # Age and the first component follow the minutes; nothing is left of that.
    assert abs(float(rows[0]["r"])) < 0.5
    assert "minutes_kept" in next((out / "group/associate").glob("*.html")).read_text()
    scores = [
        float(read_table(path)[0]["score"])
        for path in sorted(out.rglob("*_desc-components_parameters.tsv"))
    ]
    ages = [float(row["age"]) for row in read_table(out / "people.tsv")]
    assert np.corrcoef(scores, ages)[0, 1] > 0.9


def test_results_without_a_model_have_no_features(out: Path, capsys, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(out, bare, ignore=shutil.ignore_patterns("*_parameters.*", "group"))
    assert main(call(bare, "associate")) == 2
    assert "has no results of participants with --model" in capsys.readouterr().err
    facts = json.loads(next(out.rglob("*_desc-components_parameters.json")).read_text())
    assert facts["ModelName"] == "core"
