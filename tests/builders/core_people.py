"""Results of the linear core for people whose scores and minutes are made by chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from copied_people import copied, write_ages
from network_job import NetworkJob, write_core

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
