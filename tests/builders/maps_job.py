"""A small job of contrast maps: an fMRIPrep dataset that fits `maps_bundle`, and how it is run."""

from __future__ import annotations

import atexit
import csv
import functools
import hashlib
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from fmriprep_dataset import add_run, describe_dataset
from maps_bundle import TINY_AFFINE, TINY_SHAPE, write_tiny_bundle

if TYPE_CHECKING:
    from bids_dtg.contrasts.bundle.bundle import ModelBundle
    from bids_dtg.settings import Settings

TR, FRAMES = 10.0, 60  # ten minutes of rest


def tiny_bold(frames: int = FRAMES, seed: int = 0) -> np.ndarray:
    """Make BOLD on the tiny bundle's grid, (i, j, k, frames) int16: a mean and correlated noise."""
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=(6, frames))
    mixing = rng.normal(size=(*TINY_SHAPE, 6))
    noise = rng.normal(size=(*TINY_SHAPE, frames))
    return (1000 + 30 * mixing @ waves + 20 * noise).round().astype(np.int16)


def add_rest(
    root: Path, participant: str = "01", *, seed: int = 0, **options: object
) -> Path:
    """Add a run that the tiny bundle can use; `options` as in `add_run`, and `frames`."""
    if not options:
        return _copy_rest(root, participant, seed)
    frames = int(options.pop("frames", FRAMES))
    defaults = {"bold": tiny_bold(frames, seed), "affine": TINY_AFFINE, "tr": TR}
    return add_run(root, participant, **(defaults | options))


# Hundreds of tests begin with the same files: each process makes them once, and copies them.
@functools.cache
def _shared_folder() -> Path:
    folder, process = Path(tempfile.mkdtemp(prefix="tiny-job-")), os.getpid()

    def remove() -> None:
        if os.getpid() == process:  # and not in a process that this one has forked
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


@functools.cache
def _shared_bundle() -> Path:
    return write_tiny_bundle(_shared_folder() / "tiny").path


@functools.cache
def _shared_rest(seed: int) -> Path:
    return add_run(
        _shared_folder() / f"{seed}",
        bold=tiny_bold(seed=seed),
        affine=TINY_AFFINE,
        tr=TR,
    )


def _copy_rest(root: Path, participant: str, seed: int) -> Path:
    source, func = _shared_rest(seed), root / f"sub-{participant}" / "func"
    func.mkdir(parents=True, exist_ok=True)

    def place(path: Path) -> Path:
        return func / path.name.replace("sub-01", f"sub-{participant}", 1)

    for path in source.parent.iterdir():
        shutil.copyfile(path, place(path))
    return place(source)


@functools.cache
def warm_up() -> None:
    """Do what is slow the first time here, and not in each process that the program forks."""
    import torch  # noqa: F401

    from bids_dtg.inputs.runs import find_runs

    with tempfile.TemporaryDirectory() as folder:
        root = describe_dataset(Path(folder))
        add_rest(root)
        find_runs(root, "01")


class TinyJob:
    """An input dataset, a model and an output folder below one folder."""

    reports = False  # a process of their own that most tests can do without
    # Processes that the program forks from one where torch has had threads hang with more.
    threads: int | None = 1  # of numerical libraries; None: as the program chooses

    def __init__(self, folder: Path, participants: tuple[str, ...] = ("01",)) -> None:
        self.folder = folder
        self.labels = participants
        self.bids = describe_dataset(folder / "fmriprep")
        self.model = folder / "tiny"
        self.out = folder / "out"
        shutil.copytree(_shared_bundle(), self.model, dirs_exist_ok=True)
        for number, participant in enumerate(participants):
            add_rest(self.bids, participant, seed=number)

    @functools.cached_property
    def bundle(self) -> ModelBundle:
        """The model."""
        from bids_dtg.contrasts.bundle.bundle import load_bundle

        return load_bundle(str(self.model))

    def arguments(self, *options: object, out: Path | None = None) -> list[str]:
        words = [
            self.bids,
            out or self.out,
            "participant",
            "--model",
            self.model,
            *options,
        ]
        if self.threads is not None and "--omp-nthreads" not in words:
            words += ["--omp-nthreads", self.threads]
        words += [] if self.reports else ["--no-reports"]
        return [str(word) for word in words]

    def settings(self, **options: object) -> Settings:
        """Return the options of a call, as the command line makes them, for the program's parts."""
        from bids_dtg.settings import Settings

        all_options = {"analysis_level": "participant", "omp_nthreads": 1, **options}
        return Settings.of(
            bids_dir=self.bids,
            output_dir=self.out,
            model=str(self.model),
            **all_options,
        )

    def run(self, *options: object, out: Path | None = None) -> int:
        """Call the program in this process; what it sets in the process is set back."""
        from bids_dtg.cli.run import main

        warm_up()
        handler, environment = signal.getsignal(signal.SIGTERM), dict(os.environ)
        try:
            return main(self.arguments(*options, out=out))
        finally:
            signal.signal(signal.SIGTERM, handler)
            os.environ.clear()
            os.environ.update(environment)


def tree(folder: Path, *, but: tuple[str, ...] = ("logs",)) -> dict[str, str]:
    """Return path -> SHA-256 of all files; of quality tables without the time they took."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] not in but:
            content = path.read_bytes()
            if name.name.endswith("_qc.tsv"):
                row = read_table(path)[0]
                row.pop("seconds_processing", None)
                content = repr(row).encode()
            digests[name.as_posix()] = hashlib.sha256(content).hexdigest()
    return digests


def map_facts(path: Path) -> dict:
    """What the sidecars of a map say of it: what all maps share, and what is its contrast's."""
    from bids_dtg.files.names import parse_name
    from bids_dtg.files.sidecars import read_inherited

    facts = read_inherited(path)
    details = facts.pop("ContrastDetails", {})
    return facts | details.get(parse_name(path.name).get("contrast"), {})


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))
