"""Features of twins for statistics: predicted times of participants, changes by an intervention."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from copied_people import copied, write_ages
from tiny_job import read_table
from twin_job import STROOP, TwinJob

from bids_dtg.cli.run import main

PEOPLE = tuple(f"{number:02}" for number in range(1, 25))
SLOPE = 0.05  # seconds a year


def write_aged_twins(folder: Path) -> Path:
    """Write the results of one person's twin, copied to others; `people.tsv` beside has ages."""
    job = TwinJob(folder, ("01",))
    job.give("01", STROOP)
    assert job.run("--model", job.model()) == 0
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 40, len(PEOPLE))
    for person, target in copied(job.out, PEOPLE):
        if target.name.endswith("_desc-twin_behaviour.tsv"):
            table = read_table(target)
            for row in table:
                seconds = age[person] / 40 + 0.01 * rng.standard_normal()
                row["predicted_rt_seconds"] = f"{seconds:.6f}"
            lines = [[*table[0]], *([*row.values()] for row in table)]
            target.write_text("".join("\t".join(line) + "\n" for line in lines))
    changes = job.out / "group" / "intervention-tiny" / "desc-people_changes.tsv"
    changes.parent.mkdir(parents=True)
    rows = [
        f"sub-{label}\tstroop_rt\tall\t{-SLOPE * years}"
        for label, years in zip(PEOPLE, age, strict=True)
    ]
    changes.write_text("\n".join(["participant_id\tfunction\tway\tchange", *rows]) + "\n")
    write_ages(job.folder / "people.tsv", PEOPLE, age)
    return job.out


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_aged_twins(tmp_path_factory.mktemp("statistics"))


def call(out: Path, *more: str) -> list[str]:
    return [
        *(
            str(out),
            str(out),
            "group",
            "--workflow",
            "twin",
            "--analysis",
            "stats",
            "--phenotype",
            "age",
        ),
        *("--participants-file", str(out.parent / "people.tsv"), "--permutations", "99", *more),
    ]


def test_predicted_times_and_changes_go_with_age(out: Path) -> None:
    assert main(call(out)) == 0
    (times,) = (out / "group/stats").glob("*Times_tests.tsv")
    rows = read_table(times)
    assert [row["name"] for row in rows] == [
        "stroop_congruent",
        "stroop_incongruent",
        "stroop_effect",
    ]
    assert all(float(row["r"]) > 0.9 for row in rows)
    (changes,) = (out / "group/stats").glob("*Changes_tests.tsv")
    (row,) = read_table(changes)
    assert row["name"] == "stroop_rt_all"
    assert float(row["r"]) == pytest.approx(-1, abs=1e-4)


def test_changes_need_one_intervention(out: Path, tmp_path: Path, capsys) -> None:
    bare = tmp_path / "out"
    shutil.copytree(out, bare, ignore=shutil.ignore_patterns("group"))
    shutil.copy(out.parent / "people.tsv", tmp_path)
    assert main(call(bare)) == 0
    assert "not looked at: " in (said := capsys.readouterr().err)
    assert "0 tables of changes by an intervention" in said
