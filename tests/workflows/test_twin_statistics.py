"""Features of twins for statistics: predicted times of participants, changes by an intervention."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from aged_twins import write_aged_twins
from tiny_job import read_table

from bids_dtg.cli.run import main


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
