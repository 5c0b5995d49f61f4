"""Commands that the documentation prints are typed as they stand, or are marked.

A block of commands is marked by an HTML comment behind it, which readers do not see.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fmriprep_dataset import (
    confound_columns,
    describe_dataset,
    make_image,
    write_confounds,
)
from maps_bundle import write_tiny_bundle
from maps_job import FRAMES, TR, add_rest
from study_folders import add_hcp_run, add_ukb_run

from bids_dtg.cli import demo as demo_program
from bids_dtg.cli import phantom as phantom_program
from bids_dtg.cli import run as program
from bids_dtg.contrasts.phantom.dataset import describe_datasets, write_run
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces

ROOT = Path(__file__).parents[2]
PARSERS = {
    "bids_dtg": program.build_parser,
    "dtg-demo": demo_program.build_parser,
    "dtg-phantom": phantom_program.build_parser,
}
DOCS = ROOT / "docs"
# Pages of tasks: none of their commands may have words in capitals for places.
TASKS = [
    *sorted((DOCS / "start").glob("*.md")),
    *sorted((DOCS / "how-to").glob("*.md")),
]
LOOKED_UP = [
    *sorted((DOCS / "reference").glob("*.md")),
    *sorted((DOCS / "explanation").glob("*.md")),
]
EXAMPLES = sorted(ROOT.glob("examples/*/README.md"))
SCRIPTS = Path(sys.executable).parent
# Each test has installing behind it; tests/cli/test_demo.py and the slices' own run the demos,
# tests/test_readme.py what README and the page on models print.
ELSEWHERE = ("python3 -m venv ", ". ", "pip ", "dtg-demo ", "dtg-models verify demo")
OF_MODELS = ("dtg-models convert ",)
MARK = "<!--not-typed-->"
CAPITALS = re.compile(r"(?<![\w-])[A-Z][A-Z_]+\d?(?![\w-])")
PEOPLE = [f"{number:02d}" for number in range(1, 13)]
# Voxels of 16 mm over the whole brain, so that the atlases that ship have parcels there.
SHAPE = (12, 14, 12)
AFFINE = np.array([[16.0, 0, 0, -88], [0, 16, 0, -120], [0, 0, 16, -64], [0, 0, 0, 1]])


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """Return the blocks of a language, each with the line that follows it."""
    text = page.read_text(encoding="utf-8")
    return re.findall(
        rf"^```{language}\n(.*?)^```\n+([^\n]*)", text, re.DOTALL | re.MULTILINE
    )


def commands(page: Path, *, marked: bool) -> list[str]:
    """Return the commands of a page that are marked, or those that are not."""
    typed = []
    for block, behind in blocks(page, "console"):
        if behind.startswith(MARK) == marked:
            lines = block.replace("\\\n", "").splitlines()
            typed += [line[2:] for line in lines if line.startswith("$ ")]
    return typed


def to_type(page: Path) -> list[str]:
    """Return the commands of a page that `test_commands_of_a_page` types."""
    typed = [c for c in commands(page, marked=False) if not c.startswith(ELSEWHERE)]
    if page in TASKS:
        return typed
    return [c for c in typed if not CAPITALS.search(c) and not c.startswith(OF_MODELS)]


TYPED = [page for page in [*TASKS, *LOOKED_UP] if to_type(page)]


def name(page: Path) -> str:
    """Return the place of a page, to name its tests by."""
    return str(page.relative_to(ROOT))


def all_commands() -> list[str]:
    """Return all commands of the documentation that have options of ours, marked or not."""
    pages = [ROOT / "README.md", *sorted(DOCS.rglob("*.md")), *EXAMPLES]
    texts = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    joined = re.sub(r"\\\n\s*", "", texts)
    typed = re.findall(rf"^(?:\$ )?((?:{'|'.join(PARSERS)}) .*)$", joined, re.MULTILINE)
    return [command for command in typed if "--" in command and "…" not in command]


@pytest.mark.parametrize("command", all_commands())
def test_options_of_printed_commands_exist(command):
    program, *words = shlex.split(command, comments=True)
    flags = {
        flag for action in PARSERS[program]()._actions for flag in action.option_strings
    }
    flags |= {"--help-all"}
    assert {word for word in words if word.startswith("--")} <= flags


def bold(seed: int) -> np.ndarray:
    """Make BOLD with a few networks in it, (i, j, k, frames)."""
    rng = np.random.default_rng(seed)
    waves, mixing = rng.normal(size=(6, FRAMES)), rng.normal(size=(*SHAPE, 6))
    noise = rng.normal(size=(*SHAPE, FRAMES))
    return (1000 + 30 * mixing @ waves + 20 * noise).round().astype(np.int16)


class World:
    """The folders that the pages name, with small images in them, and a small model."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.typed = folder, set[tuple[str, str]]()
        self.data, self.models = folder / "data", folder / "models"
        for name in ("hcp-ya", "ukb"):
            write_tiny_bundle(self.models / name, name=name, shape=SHAPE, affine=AFFINE)
        self._add_study(self.data / "ds001", PEOPLE[:2])
        self._add_study(self.data / "study", PEOPLE)
        self._add_maps(self.data / "study" / "statmaps")
        self._add_table(self.data / "study" / "participants.tsv")
        add_hcp_run(self.data / "hcp", bold=bold(0), affine=AFFINE, tr=TR)
        add_ukb_run(self.data / "ukb", bold=bold(0), affine=AFFINE, tr=TR)
        slabs = np.broadcast_to(np.arange(SHAPE[2]) // 2 + 1, SHAPE).astype(np.int16)
        make_image(
            folder / "atlas-Mine_space-MNI152NLin6Asym_dseg.nii.gz", slabs, AFFINE
        )
        self.environment = os.environ | {
            "DTG_MODEL_DIR": str(self.models),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "DTG_OFFLINE": "1",
        }
        # Stands in for SLURM's: runs an array of one task here.
        self.programs = folder / "programs"
        self.programs.mkdir()
        (self.programs / "sbatch").write_text(
            "#!/bin/sh\n"
            'case $1 in --array=1-1%*) ;; *) echo "not one task: $1"; exit 1 ;; esac\n'
            'shift 2; SLURM_ARRAY_TASK_ID=1 SLURM_CPUS_PER_TASK=1 exec "$@"\n'
        )
        (self.programs / "sbatch").chmod(0o755)
        self.environment["PATH"] = f"{self.programs}:{SCRIPTS}:{os.environ['PATH']}"
        self.type("bids_dtg /data/ds001 /data/maps participant --no-reports")
        self.type(
            "bids_dtg /data/study /data/study/derivatives/dtg participant --no-reports"
        )

    def type(self, command: str, maps: str = "maps-of-ds001") -> None:
        """Type a command in this folder, each once; `maps` is what /data/maps stands for."""
        if (command, maps) in self.typed:
            return
        self.typed.add((command, maps))
        place = command.replace("/data/maps", f"{self.folder}/{maps}")
        for root in ("/data/", "/scratch/"):
            place = re.sub(rf"(?<![\w/]){root}", f"{self.folder}{root}", place)
        program, *words = shlex.split(place)
        done = subprocess.run(
            [ROOT / program if "/" in program else SCRIPTS / program, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"

    def _add_study(self, raw: Path, labels: list[str]) -> None:
        describe_dataset(raw, kind="raw")
        derivatives = describe_dataset(raw / "derivatives" / "fmriprep")
        for number, label in enumerate(labels):
            path = add_rest(derivatives, label, bold=bold(number), affine=AFFINE)
            confounds = path.with_name(
                f"sub-{label}_task-rest_desc-confounds_timeseries.tsv"
            )
            write_confounds(confounds, confound_columns(FRAMES, seed=number))

    def _add_maps(self, folder: Path) -> None:
        places = VoxelPlaces.within(Grid(SHAPE, AFFINE), np.ones(SHAPE, bool))
        rng = np.random.default_rng(5)
        means = {
            n: rng.normal(2, 1, places.number)
            for n in ("languageMath", "languageStory")
        }
        for label in PEOPLE:
            for contrast, mean in means.items():
                name = f"sub-{label}_contrast-{contrast}_stat-z_statmap.nii.gz"
                path = folder / f"sub-{label}" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(places.encode(mean + rng.normal(size=places.number)))

    def _add_table(self, path: Path) -> None:
        rng = np.random.default_rng(6)
        lines = ["participant_id\tage\tsex\treasoning"]
        for number, label in enumerate(PEOPLE):
            age, score = rng.integers(20, 60), rng.normal(10, 2)
            lines.append(f"sub-{label}\t{age}\t{'FM'[number % 2]}\t{score:.2f}")
        path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.mark.slow
@pytest.mark.parametrize("page", TYPED, ids=name)
def test_commands_of_a_page(page, request):
    if page.stem in ("laptop", "outputs"):
        request.getfixturevalue("demo")
    for command in to_type(page):
        world = request.getfixturevalue("world")
        world.type(
            command, f"maps-of-{page.stem if page.stem in ('hcp', 'ukb') else 'ds001'}"
        )


@pytest.fixture(scope="module")
def demo(world) -> Path:
    """Make what `make demo` leaves, of one participant and less rest; also as `demo`."""
    phantom, run = Phantom(), {"frames": 60, "repetition_time_s": 5.0}
    person, folder = phantom.person(cohort=0, index=0), world.folder / "demo-output"
    describe_datasets(folder / "simulated", phantom, [person], **run, program="x")
    write_run(folder / "simulated" / "fmriprep", person, **run)
    (world.folder / "demo").symlink_to(folder)
    words = f"{folder}/simulated/fmriprep {folder}/maps participant --model demo"
    world.type(f"bids_dtg {words} --atlases Schaefer400 --no-reports")
    return world.folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["start/laptop", "how-to/python"])
def test_python_of_a_page(name, demo, world):
    page = DOCS / f"{name}.md"
    for code, _ in blocks(page, "python"):
        if name == "start/laptop":
            code = code.replace('"maps"', '"demo-output/maps"')
        words = [sys.executable, "-c", code]
        done = subprocess.run(
            words,
            cwd=demo,
            env=world.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout
