"""A network model as a user trains it, and the commands that evaluate it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from network_arrays import arguments

from bids_dtg.cli.run import main

Call = Callable[..., int]


@pytest.fixture(scope="package")
def arrays(trained_network) -> Path:
    """Return the folder of the people's files; nobody changes it."""
    return trained_network.inputs


@pytest.fixture(scope="package")
def out(trained_network, tmp_path_factory) -> Path:
    """Return an output folder with the model in it, which the tests of this folder write into."""
    return trained_network.copy_out(tmp_path_factory.mktemp("out") / "networks")


@pytest.fixture(scope="package")
def call(arrays, out) -> Call:
    """Run bids_dtg on the arrays; returns its exit code."""

    def run(analysis: str, *words: str) -> int:
        return main(arguments(arrays, out, analysis, *words))

    return run


@pytest.fixture(scope="package")
def bundle(out) -> Path:
    return out / "group" / "model-own" / "bundle"
