"""An analysis that a kind of model lacks is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from linear_core_bundle import write_tiny_linear
from series_arrays import arguments, write_series

from bids_dtg.cli.run import main


@pytest.fixture(scope="module")
def arrays(tmp_path_factory) -> Path:
    return write_series(tmp_path_factory.mktemp("forms") / "arrays")


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (("--epochs", "3"), "--epochs was given"),
        (("--restarts", "2", "--states", "2"), "--states and --restarts were given"),
        (("--recipe", "published"), "--recipe was given"),
    ],
)
def test_settings_of_a_network_are_refused_of_a_linear_core(
    words, flag, arrays, tmp_path, capsys
):
    call = arguments(
        arrays, tmp_path / "out", "train", "--architecture", "linear", *words
    )
    assert main(call) == 2
    err = capsys.readouterr().err
    assert f"{flag} with a linear core, which has no such setting" in " ".join(
        err.split()
    )
    assert "--architecture network" in err
    assert not (tmp_path / "out").exists()


def test_folds_of_a_network_are_refused(arrays, tmp_path, capsys):
    words = ("--folds", "2", "--architecture", "network")
    assert main(arguments(arrays, tmp_path / "out", "evaluate", *words)) == 2
    assert (
        "--folds was given with a network model, which has no such setting. "
        "Expected: a linear core (--architecture linear), or no --folds."
        in " ".join(capsys.readouterr().err.split())
    )


@pytest.mark.slow
def test_analyses_that_a_linear_core_lacks_are_refused(arrays, tmp_path, capsys):
    bundle = write_tiny_linear(tmp_path / "tiny")
    model = ("--model", str(bundle.path))
    assert main(arguments(arrays, tmp_path / "out", "fixed-points", *model)) == 2
    assert (
        "--analysis fixed-points was given with a linear core"
        in capsys.readouterr().err
    )
    maps = ("--region-maps", str(tmp_path / "none.tsv"))
    assert main(arguments(arrays, tmp_path / "out", "evaluate", *model, *maps)) == 2
    assert (
        "--region-maps was given with a linear core, which has no"
        in capsys.readouterr().err
    )
