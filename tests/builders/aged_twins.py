"""Results of twins of people whose predicted times, and changes, follow their ages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from copied_people import copied, write_ages
from tiny_job import read_table
from twin_job import STROOP, TwinJob

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
