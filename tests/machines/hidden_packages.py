"""An environment in which packages seem not to be installed, for programs that tests start."""

from __future__ import annotations

import os
from pathlib import Path

EXTRAS = (
    "torch",
    "lightning",
    "bids",
    "templateflow",
    "distributed",
)  # what the core does without
# Python imports a module of this name as it starts, in every process.
_SITE = """
import sys
from importlib.machinery import PathFinder

class Hider:
    find_spec = lambda name, *more: (
        None if name.partition(".")[0] in {HIDDEN} else PathFinder.find_spec(name, *more)
    )

sys.meta_path[sys.meta_path.index(PathFinder)] = Hider
"""


def without(folder: Path, *packages: str) -> dict[str, str]:
    """Return the environment of a process that finds none of some packages; the folder is new."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_SITE.replace("{HIDDEN}", repr(packages)))
    paths = [
        str(folder),
        str(Path(__file__).parents[2]),
        os.environ.get("PYTHONPATH", ""),
    ]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
