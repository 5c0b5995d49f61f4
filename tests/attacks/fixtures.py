"""Folders that scenes are copied from, made when they are first asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

from fmriprep_dataset import describe_dataset
from study_folders import add_transforms
from tiny_cohort import TinyCohort
from tiny_job import TinyJob, add_rest

SHARES = ("--held-out", "0.25", "0.25")


def pair(folder: Path) -> None:
    """Make two participants."""
    TinyJob(folder, ("01", "02"))


def earlier(folder: Path) -> None:
    """Make two participants, and what a call on them has left in `out`."""
    assert TinyJob(folder, ("01", "02")).run("--no-reports", "--nprocs", "1") == 0


def cohort(folder: Path) -> None:
    """Make eight people with measured maps, and what a training on them has left in `out`."""
    made = TinyCohort(folder)
    words = ("--architecture", "local-ridge", *SHARES, "--no-reports")
    assert made.analyse("train", *words) == 0
    shutil.copytree(made.out / "group/model-own/bundle", folder / "ridge")


def native(folder: Path) -> None:
    """Make a pair of whom 01 is in the run's own space, with the transforms to the model's."""
    job = TinyJob(folder, ("02",))
    shutil.rmtree(job.bids)
    describe_dataset(job.bids)
    add_rest(job.bids, "01", space=None, res=None)
    add_transforms(job.bids)
    add_rest(job.bids, "02", seed=1)


BUILDERS = {"pair": pair, "earlier": earlier, "cohort": cohort, "native": native}
