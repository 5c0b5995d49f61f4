"""Dockerfile and Singularity.def make the same image, from what is committed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

DOCKERFILE = (ROOT / "Dockerfile").read_text()
DEFINITION = (ROOT / "Singularity.def").read_text()
# Apptainer keeps the user's own name and home, where numba keeps what it compiles, and names its
# image itself.
DOCKER_ONLY = {"HOME", "LOGNAME", "DTG_CONTAINER_TAG", "NUMBA_CACHE_DIR"}
PROGRAMS = ("bids_dtg", "dtg-demo", "dtg-models", "dtg-phantom")


def _section(name: str) -> str:
    return re.split(r"^%", DEFINITION.split(f"%{name}\n")[1], flags=re.MULTILINE)[0]


def _instruction(name: str, text: str) -> str:
    """Return what follows one instruction, its continued lines joined."""
    instructions = re.findall(rf"^{name} ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    return " ".join(instructions).replace("\\\n", " ")


def _steps(text: str) -> list[str]:
    return re.findall(r"/src/container/steps/(\S+(?: build)?)", text)


def test_same_steps():
    steps = _steps(_section("post"))
    assert steps == _steps(_instruction("RUN", DOCKERFILE))
    scripts = sorted(path.name for path in (ROOT / "container" / "steps").iterdir())
    assert [step.split()[0] for step in steps] == scripts


def test_same_variables():
    docker = dict(re.findall(r"(\w+)=(\S+)", _instruction("ENV", DOCKERFILE)))
    apptainer = dict(re.findall(r"export (\w+)=(\S+)", _section("environment")))
    assert {
        name: text for name, text in docker.items() if name not in DOCKER_ONLY
    } == apptainer
    assert docker.keys() >= DOCKER_ONLY


@pytest.mark.parametrize(
    ("typed", "program"),
    [([name, "--version"], name) for name in PROGRAMS]
    + [
        (["/data", "/out", "participant"], "bids_dtg"),
        (["--help"], "bids_dtg"),
        ([], "bids_dtg"),
    ],
)
def test_entrypoint_passes_programs_on(tmp_path, typed, program):
    for name in PROGRAMS:
        (tmp_path / name).write_text('#!/bin/sh\necho "$(basename "$0")" "$@"\n')
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [ROOT / "container/entrypoint", *typed],
        capture_output=True,
        text=True,
        check=True,
        env=env,
    )
    arguments = typed[1:] if typed and typed[0] == program else typed
    assert done.stdout.split() == [program, *arguments]


def test_packages_of_the_host_stay_out_of_the_image(tmp_path):
    shows = '#!/bin/sh\necho "${PYTHONPATH-no path} ${PYTHONHOME-no home}"\n'
    (tmp_path / "bids_dtg").write_text(shows)
    (tmp_path / "bids_dtg").chmod(0o755)
    paths = {"PYTHONPATH": "/host", "PYTHONHOME": "/host"}
    done = subprocess.run(
        [ROOT / "container/entrypoint"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", **paths},
    )
    assert done.stdout == "no path no home\n"
    assert "unset PYTHONPATH PYTHONHOME" in _section("environment")
