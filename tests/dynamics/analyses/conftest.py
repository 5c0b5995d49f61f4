"""A network model as a user makes it, and the calls that judge it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_networks import TRAIN, arguments, write_networks

from bids_dtg.cli.run import main

Call = Callable[..., int]


@pytest.fixture(scope="package")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the people's files."""
    return write_networks(tmp_path_factory.mktemp("arrays"))


@pytest.fixture(scope="package")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out") / "networks"


@pytest.fixture(scope="package")
def call(arrays: Path, out: Path) -> Call:
    """Run bids_dtg on the arrays; returns its exit code."""

    def run(analysis: str, *more: str) -> int:
        return main(arguments(arrays, out, analysis, *more))

    return run


@pytest.fixture(scope="package")
def bundle(call: Call, out: Path) -> Path:
    assert call("train", *TRAIN) == 0
    return out / "group" / "model-own" / "bundle"
