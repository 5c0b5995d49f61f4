"""A network model as a user makes it, and the calls that judge it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_networks import TRAIN, write_networks

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
        return main(
            [
                *(str(arrays), str(out), "group", "--workflow", "dynamics"),
                *("--analysis", analysis, "--input-arrays"),
                *(str(arrays / name) for name in ("REST1.npz", "REST2.npz", "sc.npz")),
                *("--array-key", "rest=bold", "people=subject", "places=region"),
                *("structural=weights", "tr_seconds=tr", "--data-set", "tiny"),
                *("--omp-nthreads", "1", *more),
            ]
        )

    return run


@pytest.fixture(scope="package")
def bundle(call: Call, out: Path) -> Path:
    assert call("train", *TRAIN) == 0
    return out / "group" / "model-own" / "bundle"
