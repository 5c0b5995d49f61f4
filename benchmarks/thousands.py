"""Measure processor time and memory of pages and statistics of simulated participants.

    python benchmarks/thousands.py FOLDER PEOPLE

FOLDER gets 400 kB per person. The model hcp-glasser predicts maps for one person; those of the
others are these maps with noise.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bids_dtg.contrasts.panels.group_page import MeanMapFiles, write_group_page
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
CONTRASTS = ("languageMathVsStory", "motorAvg", "wm2bkVs0bk")
LABEL = "sub-01"  # the person whom simulated_parcels.py simulates
MAKE_PARCELS = Path(__file__).parents[1] / "scripts" / "simulated_parcels.py"


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


def fit_rows(people: int) -> None:
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


def call(*arguments: str | Path) -> None:
    """Run a program, and show its output only if it fails."""
    done = subprocess.run([*map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def bids_dtg(folder: Path, level: str, *options: str) -> None:
    """Run the program on the simulated people of a folder."""
    program = Path(sys.executable).parent / "bids_dtg"
    options = (*options, "--contrast", *CONTRASTS, "--model", "hcp-glasser")
    call(program, folder / "xcp_d", folder / "out", level, "--no-reports", *options)


def write_participants(folder: Path, people: int) -> None:
    """Write an output folder of people who have maps, and a phenotype of each."""
    call(sys.executable, MAKE_PARCELS, folder / "xcp_d")
    bids_dtg(folder, "participant")
    out = folder / "out"
    (maps,) = out.rglob(f"{LABEL}_*.pscalar.nii")
    content = maps.read_bytes()
    values = np.frombuffer(content[-4 * MAPS * PARCELS :], "<f4")
    head = content[: -values.nbytes]
    (connectome,) = out.rglob(f"{LABEL}_*_relmat.tsv")
    edges = pd.read_table(connectome)
    texts = {path: path.read_text() for path in out.rglob(f"{LABEL}_*rest*.json")}
    texts |= {path: path.read_text() for path in out.rglob(f"{LABEL}_*_qc.tsv")}
    rng = np.random.default_rng(0)
    rows = ["participant_id\tage\tiq", f"{LABEL}\t50.0\t0.0"]
    for number in range(1, people):
        label = f"sub-P{number:05d}"
        for path, text in texts.items():
            copy = Path(str(path).replace(LABEL, label))
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text.replace(LABEL, label))
        noisy = values + rng.standard_normal(values.shape)
        copy = Path(str(maps).replace(LABEL, label))
        copy.write_bytes(head + noisy.astype("<f4").tobytes())
        copy = Path(str(connectome).replace(LABEL, label))
        noise = np.tril(rng.normal(0, 0.1, edges.shape), -1)
        of_person = (edges + noise + noise.T).clip(-1, 1)
        of_person.to_csv(copy, sep="\t", index=False, float_format="%.6f")
        rows.append(f"{label}\t{rng.uniform(45, 65):.1f}\t{rng.normal():.4f}")
    (folder / "people.tsv").write_text("\n".join(rows) + "\n")


def run_stats(folder: Path) -> None:
    """Run `stats` on the written people: a phenotype and a covariate."""
    table = str(folder / "people.tsv")
    options = ["--analysis", "stats", "--participants-file", table]
    options += ["--phenotype", "iq", "--covariates", "age"]
    options += ["--permutations", str(PERMUTATIONS)]
    bids_dtg(folder, "group", *options)


def measure(
    what: str, step: Callable[[], object], who: int = resource.RUSAGE_SELF
) -> None:
    """Do a step, and print its cost: of this process, or of the programs that it runs."""
    before = resource.getrusage(who)
    step()
    after = resource.getrusage(who)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    mebibytes = after.ru_maxrss / 1024
    print(f"{what}: {seconds:.2f} s of processor, {mebibytes:.0f} MiB", flush=True)


def main(folder: Path, people: int) -> None:
    """Write the pages and test the rows of simulated participants."""
    write_participants(folder, people)
    measure("stats", lambda: run_stats(folder), resource.RUSAGE_CHILDREN)
    flags = simulated_flags(people)
    reports = folder / "reports"
    write_reports(reports, flags)
    rows, output = simulated_rows([*flags]), DerivativeDataset(reports)
    measure("index", lambda: write_index(output))
    measure("index again, as at the end of a job", lambda: write_index(output))
    measure(
        "group page",
        lambda: write_group_page(output, rows, flags, (), {}, MeanMapFiles()),
    )
    measure("tests", lambda: fit_rows(people))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
