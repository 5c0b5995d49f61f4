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
from pin_image import blocks  # noqa: E402

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
    found = re.findall(rf"^{name} ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    return " ".join(found).replace("\\\n", " ")


def _steps(text: str) -> list[str]:
    return re.findall(r"/src/container/steps/(\S+(?: build)?)", text)


def test_same_steps():
    steps = _steps(_section("post"))
    assert steps == _steps(_instruction("RUN", DOCKERFILE))
    there = sorted(path.name for path in (ROOT / "container" / "steps").iterdir())
    assert [step.split()[0] for step in steps] == there


def test_same_variables():
    docker = dict(re.findall(r"(\w+)=(\S+)", _instruction("ENV", DOCKERFILE)))
    apptainer = dict(re.findall(r"export (\w+)=(\S+)", _section("environment")))
    assert {name: text for name, text in docker.items() if name not in DOCKER_ONLY} == apptainer
    assert docker.keys() >= DOCKER_ONLY


def test_same_arguments():
    docker = re.findall(r'^ARG (\w+)="?([^"\n]*)"?$', DOCKERFILE, re.MULTILINE)
    apptainer = re.findall(r"(\w+)=(\S+)", _section("arguments"))
    assert dict(docker) == dict(apptainer)
    used = set(re.findall(r"\{\{ (\w+) \}\}", DEFINITION))
    assert used == dict(apptainer).keys()


def test_same_files_and_entrypoint():
    ignored = (ROOT / ".dockerignore").read_text()
    copied = [line.split() for line in _section("files").strip().splitlines()]
    assert [source for source, _ in copied] == re.findall(r"^!(\S+)$", ignored, re.MULTILINE)
    assert all(target == f"/src/{source}" for source, target in copied)
    assert all((ROOT / source).exists() for source, _ in copied)
    entrypoint = re.findall(r'^ENTRYPOINT \["(\S+)"\]$', DOCKERFILE, re.MULTILINE)
    assert [f'exec {entrypoint[0]} "$@"'] == [_section("runscript").strip()]


def test_user_is_a_number_of_the_first_step():
    (user,) = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    assert f"useradd --uid {user} " in (ROOT / "container/steps/1-python").read_text()


@pytest.mark.parametrize(
    ("typed", "program"),
    [([name, "--version"], name) for name in PROGRAMS]
    + [(["/data", "/out", "participant"], "bids_dtg"), (["--help"], "bids_dtg"), ([], "bids_dtg")],
)
def test_entrypoint_passes_programs_on(tmp_path, typed, program):
    for name in PROGRAMS:
        (tmp_path / name).write_text('#!/bin/sh\necho "$(basename "$0")" "$@"\n')
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [ROOT / "container/entrypoint", *typed], capture_output=True, text=True, check=True, env=env
    )
    arguments = typed[1:] if typed and typed[0] == program else typed
    assert done.stdout.split() == [program, *arguments]


def test_entrypoint_knows_every_program():
    scripts = (ROOT / "pyproject.toml").read_text().split("[project.scripts]")[1].split("[")[0]
    named = re.findall(r"^(\S+) =", scripts, re.MULTILINE)
    assert sorted(named) == sorted(PROGRAMS)
    entrypoint = (ROOT / "container/entrypoint").read_text()
    assert all(re.search(rf"[ |]{name}[ )]", entrypoint) for name in named)


def test_hadolint():
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stdout


@pytest.mark.slow
def test_scripts_pass_shellcheck():
    scripts = [*ROOT.glob("container/*"), *ROOT.glob("container/steps/*")]
    scripts = [path for path in scripts if path.suffix != ".txt" and path.name != "pip_mounts"]
    scripts += [ROOT / "main", ROOT / ".ci/run", *ROOT.glob("examples/*/run")]
    files = [path for path in scripts if path.is_file()]
    assert len(files) > 8
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([shellcheck, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_what_the_image_imports_as_it_is_made_needs_no_package_that_it_lacks():
    trim = (ROOT / "container/steps/4-trim").read_text()
    (imports,) = re.findall(r"bin/python\" -c '(import bids_dtg[^']*)'", trim)
    paths = (ROOT / "container").glob("requirements*.txt")
    held = {name for path in paths for name, _ in blocks(path.read_text())}
    assert {"lightning", "umap-learn", "distributed"} <= held  # as people train there
    lacking = [name for name in ("polars",) if name not in held]
    blocked = f"import sys; sys.modules.update(dict.fromkeys({lacking!r}))"
    subprocess.run([sys.executable, "-c", f"{blocked}; {imports}"], check=True, cwd=ROOT)
