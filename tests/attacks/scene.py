"""A place where the program is attacked: two people, a model, and what the call finds around it."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from attacks.forks import Around, Ended, forked

FUNC = Path("sub-01", "func")
STEM = "sub-01_task-rest"
GRID = f"{STEM}_space-MNI152NLin6Asym_res-2"
# What may be attacked of participant 01, by its short name.
FILES = {
    "bold": FUNC / f"{GRID}_desc-preproc_bold.nii.gz",
    "sidecar": FUNC / f"{GRID}_desc-preproc_bold.json",
    "mask": FUNC / f"{GRID}_desc-brain_mask.nii.gz",
    "confounds": FUNC / f"{STEM}_desc-confounds_timeseries.tsv",
    "description": Path("dataset_description.json"),
}
# Deep below the folder that is watched: a path with a few `..` still ends in it.
_DEEP = Path("a", "b", "c")

# A folder that torch makes in TMPDIR on some imports, if it is not named.
_TORCH_CACHE = str(Path(tempfile.gettempdir(), "torchinductor"))


@dataclass
class Scene:
    """A call that is about to be made, and the files that it will read.

    An attack changes the files, or the fields that follow `root`.
    """

    root: Path  # everything lies below it
    program: str = "bids_dtg"
    level: str = "participant"
    options: list[str] = field(default_factory=list)
    arguments: list[str] | None = None  # in place of all that would be given
    environment: dict[str, str | None] = field(default_factory=dict)
    limits: dict[int, int] = field(default_factory=dict)
    streams: dict[str, str] = field(default_factory=dict)
    reports: bool = False
    kept: list[Path] = field(default_factory=list)  # in `out`: what the call must leave as it is

    def __post_init__(self) -> None:
        self.place = self.root / _DEEP
        self.bids, self.model = self.place / "fmriprep", self.place / "tiny"
        self.out, self.statmaps = self.place / "out", self.place / "statmaps"
        self.home, self.tmp = self.place / "home", self.place / "tmp"
        self.work = self.place / "cwd"

    @classmethod
    def copied(cls, fixture: Path, root: Path) -> Scene:
        """Make a scene of one's own from a folder that holds what it needs."""
        scene = cls(root)
        shutil.copytree(fixture, scene.place, symlinks=True)
        for folder in (scene.home, scene.tmp, scene.work):
            folder.mkdir()
        return scene

    def __getitem__(self, name: str) -> Path:
        """Return a file of participant 01 or of the dataset by its short name."""
        return self.bids / FILES[name]

    def words(self) -> list[str]:
        """Return the arguments of the call."""
        if self.arguments is not None:
            return self.arguments
        words = [str(self.bids), str(self.out), self.level]
        words += [] if "--model" in self.options else ["--model", str(self.model)]
        words += [] if "--omp-nthreads" in self.options else ["--omp-nthreads", "1"]
        words += [] if "--nprocs" in self.options else ["--nprocs", "1"]
        return words + self.options + ([] if self.reports else ["--no-reports"])

    def surroundings(self) -> dict[str, str]:
        """Return the environment of a call."""
        return {
            "HOME": str(self.home),
            "TMPDIR": str(self.tmp),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "TEMPLATEFLOW_HOME": str(self.place / "templateflow"),
            "DTG_OFFLINE": "1",
            "TORCHINDUCTOR_CACHE_DIR": _TORCH_CACHE,
        }

    def run(self, *, within: float) -> Ended:
        """Call the program in a child."""
        environment = {**self.surroundings(), **self.environment}
        around = Around(self.work, environment, self.limits, self.streams)
        program, words = self.program, self.words()
        return forked(lambda: call(program, words), around, within=within)


def call(program: str, words: list[str]) -> int:
    """Call a program of the package as its console script does."""
    from bids_dtg.cli import models, run

    sys.argv = [program, *words]
    if program == "dtg-models":
        return models.main(words)
    run.run()  # ends the process
    return 99


# Changes of files; each writes a file of its own, whatever was there.


def put(path: Path, content: str | bytes) -> Path:
    """Write a file anew."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def put_json(path: Path, **changes: object) -> Path:
    """Change keys of a JSON object."""
    return put(path, json.dumps(json.loads(path.read_text()) | changes))


def change(path: Path, edit: Callable[[bytes], bytes]) -> Path:
    """Change the bytes of a file, of what it holds where it is compressed."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        return put(path, gzip.compress(edit(gzip.decompress(content)), 1))
    return put(path, edit(content))


def stamp(path: Path, offset: int, stored: bytes) -> Path:
    """Overwrite bytes of what a file holds."""
    return change(path, lambda content: content[:offset] + stored + content[offset + len(stored) :])
