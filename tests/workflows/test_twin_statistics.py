"""Features of twins for statistics: predicted times of participants, changes by an intervention."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_job import read_table
from twin_job import STROOP, TwinJob

from bids_dtg.cli.run import main

PEOPLE = tuple(f"{number:02}" for number in range(1, 25))
SLOPE = 0.05


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of one person's twin, copied to others whose times follow their ages."""
    job = TwinJob(tmp_path_factory.mktemp("statistics"), ("01",))
    job.give("01", STROOP)
    assert job.run("--model", job.model()) == 0
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 40, len(PEOPLE))
    files = [path for path in job.out.rglob("*") if path.is_file() and "sub-01" in path.name]
    for label, years in zip(PEOPLE, age, strict=True):
        for path in files:
            target = Path(str(path).replace("sub-01", f"sub-{label}"))
            target.parent.mkdir(parents=True, exist_ok=True)
            if target != path:
                shutil.copy(path, target)
            if target.name.endswith("_desc-twin_behaviour.tsv"):
                table = read_table(target)
                for row in table:
                    row["predicted_rt_seconds"] = f"{years / 40 + 0.01 * rng.standard_normal():.6f}"
                lines = [[*table[0]], *([*row.values()] for row in table)]
                target.write_text("".join("\t".join(line) + "\n" for line in lines))
    changes = job.out / "group" / "intervention-tiny" / "desc-people_changes.tsv"
    changes.parent.mkdir(parents=True)
    rows = [
        f"sub-{label}\tstroop_rt\tall\t{-SLOPE * years}"
        for label, years in zip(PEOPLE, age, strict=True)
    ]
    changes.write_text("\n".join(["participant_id\tfunction\tway\tchange", *rows]) + "\n")
    rows = [f"sub-{label}\t{years:.3f}" for label, years in zip(PEOPLE, age, strict=True)]
    (job.folder / "people.tsv").write_text("\n".join(["participant_id\tage", *rows]) + "\n")
    listed = job.out / "participants.tsv"
    header, own = listed.read_text().splitlines()
    lines = [own.replace("sub-01", f"sub-{label}") for label in PEOPLE]
    listed.write_text("\n".join([header, *lines]) + "\n")
    return job.out


def call(out: Path, *more: str) -> list[str]:
    return [
        *(str(out), str(out), "group", "--workflow", "twin", "--analysis", "associate"),
        *("--participants-file", str(out.parent / "people.tsv"), "--permutations", "99", *more),
    ]


def test_predicted_times_and_changes_are_associated_with_age(out: Path) -> None:
    assert main(call(out)) == 0
    (times,) = (out / "group/associate").glob("*Times_associations.tsv")
    rows = read_table(times)
    assert [row["name"] for row in rows] == [
        "stroop_congruent",
        "stroop_incongruent",
        "stroop_effect",
    ]
    assert all(float(row["r"]) > 0.9 for row in rows)
    (changes,) = (out / "group/associate").glob("*Changes_associations.tsv")
    (row,) = read_table(changes)
    assert row["name"] == "stroop_rt_all"
    assert float(row["r"]) == pytest.approx(-1, abs=1e-4)


def test_changes_need_one_intervention(out: Path, tmp_path: Path, capsys) -> None:
    bare = tmp_path / "out"
    shutil.copytree(out, bare, ignore=shutil.ignore_patterns("group"))
    shutil.copy(out.parent / "people.tsv", tmp_path)
    assert main(call(bare, "--feature-sets", "changes")) == 2
    assert "0 tables of changes by an intervention" in capsys.readouterr().err
