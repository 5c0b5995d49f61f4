"""An environment in which packages seem not to be installed, for programs that tests start."""

from __future__ import annotations

import os
from pathlib import Path

# Python imports a module of this name as it starts, in every process.
_SITE = """
import sys
from importlib.machinery import PathFinder

class Hider(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.partition(".")[0] in {HIDDEN}:
            return None
        return PathFinder.find_spec(fullname, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hider
"""
EXTRAS = ("torch", "lightning", "bids", "templateflow")  # what the core does without


def without(folder: Path, *packages: str) -> dict[str, str]:
    """Return the environment of a process that finds none of the packages.

    Parameters
    ----------
    folder
        New, for the module that hides them.
    packages
        Their names, as Python imports them.
    """
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_SITE.replace("{HIDDEN}", repr(packages)))
    paths = [str(folder), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
