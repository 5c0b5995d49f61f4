"""A digital twin as a user makes it, and the calls that judge it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_twins import TRAIN, arguments, write_twins

from bids_dtg.cli.run import main

Call = Callable[..., int]


@pytest.fixture(scope="package")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the people's files; nobody changes it."""
    return write_twins(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="package")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out") / "twins"


@pytest.fixture(scope="package")
def call(people: Path, out: Path) -> Call:
    """Run bids_dtg on the people; returns its exit code."""

    def run(analysis: str, *more: str) -> int:
        return main(arguments(people, out, analysis, *more))

    return run


@pytest.fixture(scope="package")
def bundle(call: Call, out: Path) -> Path:
    assert call("train", *TRAIN) == 0
    return out / "group" / "model-own" / "bundle"
