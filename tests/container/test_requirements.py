"""The image's packages are pinned by hashes, in the versions of constraints.txt."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from pin_image import ALL, BUILD, CUDA, EXTRAS, TORCH, TORCH_EXTRAS, blocks  # noqa: E402

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
AGAIN = "run python scripts/pin_image.py and commit what it writes"


def _requirement(block: str) -> Requirement:
    return Requirement(block.split(" --hash")[0].replace("\\\n", "").strip())


def _pinned(paths: tuple[Path, ...] = (ALL, TORCH, CUDA)) -> list[tuple[Requirement, str]]:
    text = [block for path in paths for _, block in blocks(path.read_text())]
    return [(_requirement(block), block) for block in text]


def _holds(requirement: Requirement, python: str, machine: str = "x86_64") -> bool:
    where = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "extra": "",
    }
    return requirement.marker is None or requirement.marker.evaluate(where)


def _versions(python: str, machine: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for requirement, _ in _pinned():
        if _holds(requirement, python, machine):
            (specifier,) = requirement.specifier
            assert found.setdefault(requirement.name, specifier.version) == specifier.version
    return found


def test_every_package_has_hashes_and_one_version():
    pinned = _pinned()
    assert len(pinned) > 80
    for requirement, block in pinned:
        (specifier,) = requirement.specifier
        assert specifier.operator == ("===" if requirement.name == "torch" else "==")
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), requirement


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
def test_versions_are_those_of_the_constraints(python, machine):
    versions = _versions(python, machine)
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    stated = [Requirement(line) for line in lines if line and not line.startswith("#")]
    wanted = {
        canonicalize_name(requirement.name): str(requirement.specifier).lstrip("=")
        for requirement in stated
        if _holds(requirement, python)
    }
    shared = versions.keys() & wanted.keys()
    assert {"torch", "nibabel", "requests"} <= shared
    assert {name: versions[name] for name in shared} == {name: wanted[name] for name in shared}, (
        AGAIN
    )


@pytest.mark.parametrize("python", PYTHONS)
def test_all_that_the_program_asks_for_is_there(python):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *BUILD]
    for extra in (*EXTRAS, *TORCH_EXTRAS):
        asked += project["project"]["optional-dependencies"][extra]
    versions = _versions(python, "x86_64")
    for requirement in map(Requirement, asked):
        if requirement.name != project["project"]["name"] and _holds(requirement, python):
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), (
                AGAIN
            )
