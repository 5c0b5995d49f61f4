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
    model = Trained.within(root / f"trained-{kind}")
    done = root / f"trained-{kind}.done"
    with FileLock(root / f"trained-{kind}.lock"):
        if not done.exists():
            # What a process that failed has left.
            shutil.rmtree(model.folder, ignore_errors=True)
            model.folder.mkdir()
            assert _train(kind, model) == 0
            done.touch()
    return model


def _train(kind: str, model: Trained) -> int:
    """Train a twin of three of six people, a network of four, or maps of 8 of twelve."""
    import image_people
    import network_arrays
    import twin_people
    from split_options import sets

    from bids_dtg.cli.run import main

    if kind == "twin":
        twin_people.write_twins(model.inputs)
        words = twin_people.arguments(
            model.inputs, model.out, "train", *twin_people.TRAIN
        )
    elif kind == "network":
        network_arrays.write_networks(model.inputs)
        words = network_arrays.arguments(
            model.inputs, model.out, "train", *network_arrays.TRAIN
        )
    else:
        image_people.write(model.inputs, **image_people.people())
        shutil.copy(sets(image_people.LABELS, 0, 0.34)[1], model.folder / "sets.tsv")
        words = image_people.arguments(
            model.inputs, model.out, "train", *model.train_words
        )
    return main(words)
