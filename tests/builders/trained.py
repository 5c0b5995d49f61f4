"""Models that are trained once in a run of the tests and read by every test that needs one.

The processes of pytest-xdist share a folder, in which a lock lets one of them train. A test that
writes beside a model copies the output folder first.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock


@dataclass(frozen=True)
class Trained:
    """A model, what it was trained on, and the output folder of the training; nobody changes it."""

    folder: Path
    inputs: Path
    out: Path
    bundle: Path
    train_words: tuple[str, ...]  # how the model of maps is trained

    @classmethod
    def within(cls, folder: Path) -> Trained:
        out = folder / "out"
        words = ("--architecture", "linear", "--split-file", str(folder / "sets.tsv"))
        return cls(
            folder, folder / "inputs", out, out / "group/model-own/bundle", words
        )

    def copy_out(self, folder: Path) -> Path:
        """Copy the output folder to one that a test may write into; return the copy."""
        return Path(shutil.copytree(self.out, folder))


def trained(kind: str, base: Path) -> Trained:
    """Return the model of a kind, which the first process that asks for it trains.

    `base` is the folder of temporary files of this process.
    """
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made, done = Trained.within(root / f"trained-{kind}"), root / f"trained-{kind}.done"
    with FileLock(root / f"trained-{kind}.lock"):
        if not done.exists():
            shutil.rmtree(
                made.folder, ignore_errors=True
            )  # what a process that failed has left
            made.folder.mkdir()
            assert _train(kind, made) == 0
            done.touch()
    return made


def _train(kind: str, made: Trained) -> int:
    """Train a twin of three of six people, a network of four, or maps of 8 of twelve."""
    import image_people
    import tiny_networks
    import tiny_twins
    from given import sets

    from bids_dtg.cli.run import main

    if kind == "twin":
        tiny_twins.write_twins(made.inputs)
        words = tiny_twins.arguments(made.inputs, made.out, "train", *tiny_twins.TRAIN)
    elif kind == "network":
        tiny_networks.write_networks(made.inputs)
        words = tiny_networks.arguments(
            made.inputs, made.out, "train", *tiny_networks.TRAIN
        )
    else:
        image_people.write(made.inputs, **image_people.people())
        shutil.copy(sets(image_people.LABELS, 0, 0.34)[1], made.folder / "sets.tsv")
        words = image_people.arguments(
            made.inputs, made.out, "train", *made.train_words
        )
    return main(words)
