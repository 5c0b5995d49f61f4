"""antsApplyTransforms' results, by antspyx in an environment of its own.

antspyx wants an older NumPy and SciPy than the program, so that it is in no extra:
`python -m venv DIR; DIR/bin/pip install antspyx`, and DTG_ANTS_PYTHON=DIR/bin/python for pytest.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

_SCRIPT = """
import json, sys, ants
task = json.load(sys.stdin)
fixed = ants.image_read(task["fixed"])
for moving, made in task["images"]:
    moved = ants.apply_transforms(fixed, ants.image_read(moving), task["transforms"], "linear")
    ants.image_write(moved, made)
"""


def ants_python() -> str:
    """Return a Python with antspyx, or skip."""
    if importlib.util.find_spec("ants") is not None:
        return sys.executable
    python = os.environ.get("DTG_ANTS_PYTHON")
    if not python:
        pytest.skip("no antspyx: set DTG_ANTS_PYTHON to a Python that has it")
    return python


def apply_by_ants(
    fixed: Path, images: Sequence[tuple[Path, Path]], transforms: Sequence[Path]
) -> None:
    """Resample images (from, to) to the voxels of another, linearly.

    `transforms` are in the order in which they meet a point of the fixed image.
    """
    task = {
        "fixed": str(fixed),
        "images": [[str(path) for path in pair] for pair in images],
        "transforms": [str(path) for path in transforms],
    }
    environment = {**os.environ, "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}
    environment.pop("PYTHONPATH", None)  # of this environment's packages
    subprocess.run(
        [ants_python(), "-c", _SCRIPT],
        input=json.dumps(task),
        text=True,
        check=True,
        env=environment,
        timeout=900,
    )
