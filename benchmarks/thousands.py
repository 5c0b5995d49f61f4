"""Measure processor time and memory of pages and statistics of simulated participants.

python benchmarks/thousands.py FOLDER PEOPLE
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.contrasts.analyses.overview import write_group_page
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.report.flags import Flag, flag_counts
from bids_dtg.report.participant import write_index
from bids_dtg.stats.permutation import (
    Design,
    correct,
    fit_columns,
    permuted_orders,
    sizes_p,
)

PARCELS, MAPS, PERMUTATIONS = 360, 3, 1000


def simulated_flags(people: int) -> dict[str, tuple[Flag, ...]]:
    """Flag some participants at random, by label; 2 % failed."""
    flags: dict[str, tuple[Flag, ...]] = {}
    for number, draw in enumerate(np.random.default_rng(0).random(people)):
        flag: tuple[Flag, ...] = ()
        if draw < 0.02:
            flag = (Flag("failed", "2.1 of 10.0 minutes left", "reading"),)
        elif draw < 0.1:
            flag = (Flag("problem", "Much motion"),)
        elif draw < 0.25:
            flag = (Flag("warning", "2.1 minutes of rest are left"),)
        flags[f"{number:05d}"] = flag
    return flags


def write_reports(folder: Path, flags: dict[str, tuple[Flag, ...]]) -> None:
    """Write what the index reads of each participant's report."""
    folder.mkdir(parents=True)
    (folder / "dataset_description.json").write_text("{}")
    for label, of_person in flags.items():
        counts = json.dumps(flag_counts(of_person))
        head = f"<meta name=\"bids-dtg-flags\" content='{counts}'>"
        (folder / f"sub-{label}.html").write_text(head)


def simulated_rows(labels: list[str]) -> list[dict[str, str]]:
    """Return a row of the quality table for a run of each participant."""
    rng = np.random.default_rng(1)
    names = ("minutes_kept", "fd_mean", "tsnr_median", "similarity", "coverage")
    rows = []
    for label in labels:
        row = {"participant_id": f"sub-{label}", "task_id": "rest"}
        row |= {name: f"{rng.random():.4f}" for name in names}
        row["training_distribution"] = str(rng.choice(["inside", "unusual", "outside"]))
        rows.append(row)
    return rows


def test_rows(people: int) -> None:
    """Do what `stats` does with the rows that it has read: a phenotype and two covariates."""
    rng = np.random.default_rng(2)
    orders = permuted_orders(np.arange(people), PERMUTATIONS)
    covariates = rng.standard_normal((people, 2))
    design = Design.of(rng.standard_normal(people), covariates, orders)
    tests = []
    products: Any = 0
    for number in range(MAPS):
        rows = rng.standard_normal((people, PARCELS), np.float32)
        test = fit_columns(rows, design, seed=number)
        products += test.products
        tests.append(replace(test, products=np.empty((0, 0))))
    sizes_p(products, design)
    correct(tests)


def measure(what: str, step: Callable[[], object]) -> None:
    """Do a step, and print its cost."""
    begun = time.process_time()
    step()
    seconds = time.process_time() - begun
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{what}: {seconds:.2f} s of processor, {kilobytes / 1024:.0f} MiB")


def main(folder: Path, people: int) -> None:
    """Write the pages and test the rows of simulated participants."""
    flags = simulated_flags(people)
    write_reports(folder, flags)
    rows, output = simulated_rows([*flags]), DerivativeDataset(folder)
    measure("index", lambda: write_index(output))
    measure("index again, as at the end of a job", lambda: write_index(output))
    measure("group page", lambda: write_group_page(output, rows, flags))
    measure("tests", lambda: test_rows(people))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
