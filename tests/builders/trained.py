"""Models that are trained once in a run of the tests and read by every test that needs one.

The processes of pytest-xdist share a folder, in which a lock lets one of them train. A test that
writes beside a model copies the output folder first; each process checks at its end that no test
has changed the original.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock


@dataclass(frozen=True)
class Trained:
    """A model, what it was trained on, and the output folder that it lies in.

    Parameters
    ----------
    folder
        Where all of it was made; nobody changes it.
    """

    folder: Path

    @property
    def inputs(self) -> Path:
        """What the model was trained on."""
        return self.folder / "inputs"

    @property
    def out(self) -> Path:
        """The output folder of the training."""
        return self.folder / "out"

    @property
    def bundle(self) -> Path:
        """The model."""
        return self.out / "group" / "model-own" / "bundle"

    def copy_out(self, folder: Path) -> Path:
        """Copy the output folder to one that a test may write into; return the copy."""
        return Path(shutil.copytree(self.out, folder))


def train_once(root: Path, name: str, train: Callable[[Trained], None]) -> Trained:
    """Return what `train` makes in a folder, made by the first process that asks for it."""
    folder, done = root / name, root / f"{name}.digest"
    with FileLock(root / f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what a process that failed has left
            folder.mkdir()
            train(Trained(folder))
            done.write_text(_digest(folder))
    return Trained(folder)


def require_unchanged(trained: Trained) -> None:
    """Fail if somebody has written where everybody reads."""
    known = trained.folder.with_name(f"{trained.folder.name}.digest").read_text()
    assert _digest(trained.folder) == known, f"a test has changed {trained.folder}"


def shared_folder(base: Path) -> Path:
    """Return the folder that all processes of this run of the tests have in common.

    `base` is the folder of temporary files of this process.
    """
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found = hashlib.sha256()
    for path in files:
        found.update(str(path.relative_to(folder)).encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def train_twin(made: Trained) -> None:
    """Train a digital twin of three of six people."""
    from tiny_twins import TRAIN, arguments, write_twins

    from bids_dtg.cli.run import main

    write_twins(made.inputs)
    assert main(arguments(made.inputs, made.out, "train", *TRAIN)) == 0


def train_network(made: Trained) -> None:
    """Train a network model of four people."""
    from tiny_networks import TRAIN, arguments, write_networks

    from bids_dtg.cli.run import main

    write_networks(made.inputs)
    assert main(arguments(made.inputs, made.out, "train", *TRAIN)) == 0


def train_maps(made: Trained) -> None:
    """Train a model of maps of 8 of twelve people."""
    import image_people
    from given import sets

    image_people.write(made.inputs, **image_people.people())
    words = ("--architecture", "linear", *sets(image_people.LABELS, 0, 0.34))
    assert image_people.call(made.inputs, "train", *words, out=made.out) == 0
