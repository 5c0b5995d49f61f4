"""A digital twin as a user trains it, and the commands that evaluate it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from twin_people import arguments

from bids_dtg.cli.run import main

Call = Callable[..., int]


@pytest.fixture(scope="package")
def people(trained_twin) -> Path:
    """Return the folder of the people's files; nobody changes it."""
    return trained_twin.inputs


@pytest.fixture(scope="package")
def out(trained_twin, tmp_path_factory) -> Path:
    """Return an output folder with the model in it, which the tests of this folder write into."""
    return trained_twin.copy_out(tmp_path_factory.mktemp("out") / "twins")


@pytest.fixture(scope="package")
def call(people, out) -> Call:
    """Run bids_dtg on the people; returns its exit code."""

    def run(analysis: str, *words: str) -> int:
        return main(arguments(people, out, analysis, *words))

    return run


@pytest.fixture(scope="package")
def bundle(out) -> Path:
    return out / "group" / "model-own" / "bundle"
