"""Each package's docstring names every room in its folder and no other, a line each."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(
    path.parent.relative_to(ROOT).as_posix().replace("/", ".")
    for path in (ROOT / "bids_dtg").rglob("__init__.py")
)


def rooms(folder: Path) -> list[str]:
    """Return the modules and packages in a folder; those with underscores are for Python."""
    modules = [path.stem for path in folder.glob("*.py")]
    packages = [path.parent.name for path in folder.glob("*/__init__.py")]
    return sorted(name for name in modules + packages if not name.startswith("__"))


def listed(docstring: str) -> list[str]:
    """Return what the items of a docstring's lists explain: the names before the colon."""
    heads = re.findall(r"^- (`[^:]+`):\s+\S", docstring, re.MULTILINE)
    return sorted(name for head in heads for name in re.findall(r"`(\w+)`", head))


def test_names_are_read_from_lists():
    docstring = """Rooms. `other` is mentioned.

    - `first`: what it does, with `second`
    - `third`, `fourth`: two that
      go together
    - `fifth` is not explained
    """
    lines = "\n".join(line.strip() for line in docstring.splitlines())
    assert listed(lines) == ["first", "fourth", "third"]


@pytest.mark.parametrize("name", PACKAGES)
def test_docstring_names_every_room(name):
    package = importlib.import_module(name)
    assert package.__doc__, "it has no docstring: explain each of its modules there"
    exported = getattr(package, "__all__", ())
    named = [room for room in listed(package.__doc__) if room not in exported]
    assert named == rooms(ROOT / name.replace(".", "/"))
