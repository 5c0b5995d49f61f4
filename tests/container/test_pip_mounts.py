"""What the build of an image gets from the machine's pip."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path

SCRIPT = str(Path(__file__).parents[2] / "container" / "pip_mounts")
_loader = importlib.machinery.SourceFileLoader("pip_mounts", SCRIPT)
_spec = importlib.util.spec_from_loader("pip_mounts", _loader)
assert _spec
pip_mounts = importlib.util.module_from_spec(_spec)
_loader.exec_module(pip_mounts)


def test_settings_environment_wins():
    listed = (
        "global.index-url='https://a.example/simple'\n"
        "global.no-color='1'\n"
        ":env:.index-url='https://b.example/simple'\n"
        ":env:.disable-pip-version-check='1'\n"
        "global.find-links='/wheels'\n"
    )
    assert pip_mounts.pip_settings(listed) == {
        "index-url": "https://b.example/simple",
        "find-links": "/wheels",
    }


def test_folders_that_are_named(tmp_path):
    (tmp_path / "pypi/simple").mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    settings = {
        "extra-index-url": f"file://{tmp_path}/pypi/simple https://c.example/simple",
        "find-links": f"{tmp_path}/wheels {tmp_path}/absent",
    }
    named = [path for path in pip_mounts.folders(settings) if tmp_path in path.parents]
    assert named == [tmp_path / "pypi", tmp_path / "wheels"]
