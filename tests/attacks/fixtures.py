"""Folders that scenes are copied from, made when they are first asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import array_people
import tiny_networks
import tiny_twins
from fmriprep_dataset import describe_dataset
from person_surfaces import add_fmriprep_surfaces
from study_folders import add_transforms
from tiny_cohort import TinyCohort
from tiny_job import TinyJob, add_rest

SHARES = ("--held-out", "0", "0.25")
# What is trained on arrays: each in a second or two.
LINEAR = ("--no-reports",)
NETWORK = (
    "--architecture",
    "network",
    "--epochs",
    "1",
    "--states",
    "2",
    "--region-parameters",
    "2",
    "--restarts",
    "1",
)


def pair(folder: Path) -> None:
    """Make two participants."""
    TinyJob(folder, ("01", "02"))


def earlier(folder: Path) -> None:
    """Make two participants, and what a call on them has left in `out`."""
    assert TinyJob(folder, ("01", "02")).run("--no-reports", "--nprocs", "1") == 0


def cohort(folder: Path) -> None:
    """Make eight people with measured maps, and what a training on them has left in `out`."""
    made = TinyCohort(folder)
    words = ("--architecture", "linear", *SHARES, "--no-reports")
    assert made.analyse("train", *words) == 0
    shutil.copytree(made.out / "group/model-own/bundle", folder / "linear")


def native(folder: Path) -> None:
    """Make a pair of whom 01 is in the run's own space, with the transforms to the model's."""
    job = TinyJob(folder, ("02",))
    shutil.rmtree(job.bids)
    describe_dataset(job.bids)
    add_rest(job.bids, "01", space=None, res=None)
    add_transforms(job.bids)
    add_rest(job.bids, "02", seed=1)


def surfaces(folder: Path) -> None:
    """Make two participants, of whom 01 has surfaces."""
    add_fmriprep_surfaces(TinyJob(folder, ("01", "02")).bids, "01")


def predicted(folder: Path) -> None:
    """Make eight people with a table of them, their predicted maps, and what an analysis left."""
    made = TinyCohort(folder)
    people_table(made.bids)
    assert made.run("--nprocs", "1") == 0
    assert made.analyse("stats", *OF_AGE) == 0


def tables(folder: Path) -> None:
    """Make what is predicted without its images: these people's tables alone."""
    predicted(folder)
    for place in (folder / "statmaps", *folder.glob("fmriprep/sub-*/func"), folder / "out/group"):
        shutil.rmtree(place)
    for path in folder.glob("out/sub-*/**/*.nii.gz"):
        path.unlink()


OF_AGE = ("--phenotype", "age", "--permutations", "9", "--feature-sets", "edges")


def people_table(root: Path, header: str = "participant_id\tage", **cells: str) -> Path:
    """Write participants.tsv of eight people; `cells` replace ages, as ``sub01="x"``."""
    ages = {f"sub-{number:02d}": f"{20 + number**2}" for number in range(1, 9)}
    ages |= {name.replace("sub", "sub-"): cell for name, cell in cells.items()}
    path = root / "participants.tsv"
    path.write_text("\n".join([header, *("\t".join(row) for row in ages.items()), ""]))
    return path


def arrays(folder: Path) -> None:
    """Make twelve people as arrays, and linear cores of them."""
    folder.mkdir(parents=True)
    people = array_people.arrays()
    array_people.write(folder / "all.npz", **people)
    array_people.write(folder / "all.h5", **people)
    assert array_people.call(folder, "train", *LINEAR) == 0
    bundle_alone(folder)


def networks(folder: Path) -> None:
    """Make four people's regional series as arrays, and a model of them."""
    from bids_dtg.cli.run import main

    folder.mkdir(parents=True)
    arrays = tiny_networks.write_networks(folder / "networks")
    assert main(tiny_networks.arguments(arrays, folder / "out", "train", *NETWORK)) == 0
    bundle_alone(folder)


def bundle_alone(folder: Path) -> None:
    """Remove what a training has written beside its model: a scene is copied for each attack."""
    for path in (*folder.glob("out/group/model-own/*"), *folder.glob("out/group/cache")):
        if path.name != "bundle":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def twins(folder: Path) -> None:
    """Make six people with connectomes as arrays, and events of two tasks."""
    tiny_twins.write_twins(folder)


BUILDERS = {
    "pair": pair,
    "earlier": earlier,
    "cohort": cohort,
    "native": native,
    "surfaces": surfaces,
    "predicted": predicted,
    "tables": tables,
    "arrays": arrays,
    "networks": networks,
    "twins": twins,
}
