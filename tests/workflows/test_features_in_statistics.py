"""Features of cores and twins, from the files of participants to associations."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from maps_job import read_table
from network_job import NetworkJob, write_core
from twin_job import STROOP, TwinJob

from bids_dtg.cli.run import main

pytestmark = pytest.mark.slow

PEOPLE = tuple(f"{number:02}" for number in range(1, 25))


def copied(out: Path) -> Iterator[tuple[int, Path]]:
    """Copy the files of sub-01 to people, and list them; yield each copy with the person's row."""
    files = [
        path for path in out.rglob("*") if path.is_file() and "sub-01" in path.name
    ]
    listed = out / "participants.tsv"
    header, first_row = listed.read_text().splitlines()
    lines = [first_row.replace("sub-01", f"sub-{label}") for label in PEOPLE]
    listed.write_text("\n".join([header, *lines]) + "\n")
    for row, label in enumerate(PEOPLE):
        for path in files:
            target = Path(str(path).replace("sub-01", f"sub-{label}"))
            target.parent.mkdir(parents=True, exist_ok=True)
            if target != path:
                shutil.copy(path, target)
            yield row, target


def write_table(path: Path, rows: Sequence[dict[str, str]]) -> None:
    lines = [[*rows[0]], *([*row.values()] for row in rows)]
    path.write_text("".join("\t".join(line) + "\n" for line in lines))


def call(out: Path, workflow: str, analysis: str, *words: str) -> int:
    places = [
        str(out),
        str(out),
        "group",
        "--workflow",
        workflow,
        "--analysis",
        analysis,
    ]
    table = (
        "--participants-file",
        str(out.parent / "people.tsv"),
        "--permutations",
        "99",
    )
    return main([*places, *table, *words])


def write_ages(out: Path, ages: np.ndarray) -> None:
    rows = zip(PEOPLE, ages, strict=True)
    table = [
        {"participant_id": f"sub-{label}", "age": f"{age:.3f}"} for label, age in rows
    ]
    write_table(out.parent / "people.tsv", table)


@pytest.fixture(scope="module")
def cores(tmp_path_factory) -> Path:
    """Results of one person, and of others: age and the first component follow the minutes."""
    job = NetworkJob(tmp_path_factory.mktemp("cores"), ("01",))
    assert job.run("--model", write_core(job.folder / "core")) == 0
    rng = np.random.default_rng(0)
    minutes = rng.uniform(4, 12, len(PEOPLE))
    scores = rng.standard_normal((len(PEOPLE), 5))
    scores[:, 0] = minutes + 0.3 * rng.standard_normal(len(PEOPLE))
    for person, target in copied(job.out):
        if target.name.endswith("_desc-components_parameters.tsv"):
            rows = zip(read_table(target), scores[person], strict=True)
            write_table(target, [row | {"score": str(score)} for row, score in rows])
        elif target.name.endswith("task-rest_qc.tsv"):
            (row,) = read_table(target)
            write_table(target, [row | {"minutes_kept": f"{minutes[person]:.3f}"}])
    write_ages(job.out, minutes + 0.3 * rng.standard_normal(len(PEOPLE)))
    return job.out


def test_minutes_are_a_covariate_of_features(cores):
    assert call(cores, "dynamics", "stats", "--phenotype", "age") == 0
    (table,) = (cores / "group/stats").glob("*_tests.tsv")
    rows = read_table(table)
    assert [row["name"] for row in rows] == [
        f"component{number}" for number in range(1, 6)
    ]
    # Age and the first component follow the minutes; nothing is left of that.
    assert abs(float(rows[0]["r"])) < 0.5
    assert "minutes_kept" in next((cores / "group/stats").glob("*.html")).read_text()
    paths = sorted(cores.rglob("*_desc-components_parameters.tsv"))
    scores = [float(read_table(path)[0]["score"]) for path in paths]
    ages = [float(row["age"]) for row in read_table(cores.parent / "people.tsv")]
    assert np.corrcoef(scores, ages)[0, 1] > 0.9


def test_copies_of_one_person_predict_nothing(cores, capsys):
    """Everybody's rest is the same here."""
    assert call(cores, "dynamics", "phenotypes", "--phenotype", "age") == 2
    assert "1 family cannot be divided into 5 folds" in capsys.readouterr().err


def test_results_without_a_model_have_no_features(cores, capsys, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(
        cores, bare, ignore=shutil.ignore_patterns("*_parameters.*", "group")
    )
    assert call(bare, "dynamics", "stats") == 2
    message = capsys.readouterr().err
    assert "has no results of participants with --model" in message
    assert "run the participant level with --model" in message


def test_predicted_times_and_changes_of_twins_go_with_age(tmp_path):
    job, rng = TwinJob(tmp_path, ("01",)), np.random.default_rng(0)
    job.give("01", STROOP)
    assert job.run("--model", job.model()) == 0
    age = rng.uniform(20, 40, len(PEOPLE))
    for person, target in copied(job.out):
        if target.name.endswith("_desc-twin_behaviour.tsv"):
            seconds = age[person] / 40 + 0.01 * rng.standard_normal(20)
            rows = zip(read_table(target), seconds, strict=False)
            write_table(
                target, [row | {"predicted_rt_seconds": f"{s:.6f}"} for row, s in rows]
            )
    changes = job.out / "group" / "intervention-tiny" / "desc-people_changes.tsv"
    changes.parent.mkdir(parents=True)
    facts = {"function": "stroop_rt", "way": "all"}
    rows = zip(PEOPLE, age, strict=True)
    write_table(
        changes,
        [
            {"participant_id": f"sub-{label}", **facts, "change": str(-0.05 * years)}
            for label, years in rows
        ],
    )
    write_ages(job.out, age)
    assert call(job.out, "twin", "stats", "--phenotype", "age") == 0
    (times,) = (job.out / "group/stats").glob("*Times_tests.tsv")
    r = {row["name"]: float(row["r"]) for row in read_table(times)}
    assert [*r] == ["stroop_congruent", "stroop_incongruent", "stroop_effect"]
    assert min(r.values()) > 0.9
    (changes,) = (job.out / "group/stats").glob("*Changes_tests.tsv")
    (row,) = read_table(changes)
    assert row["name"] == "stroop_rt_all"
    assert float(row["r"]) == pytest.approx(-1, abs=1e-4)
