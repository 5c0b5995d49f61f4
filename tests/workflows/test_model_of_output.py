"""A model that was trained in the output folder is found by the name that it was given."""

from __future__ import annotations

from pathlib import Path

import image_people
import pytest
import tiny_networks
import tiny_twins
from trained import Trained

from bids_dtg.cli.run import main

_WORDS = ("--model", "own", "--dry-run")


def test_twins(trained_twin: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    call = tiny_twins.arguments(trained_twin.inputs, trained_twin.out, "evaluate", *_WORDS)
    assert main(call) == 0
    assert "evaluation-" in capsys.readouterr().out


def test_networks(
    trained_network: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = trained_network.copy_out(tmp_path / "out")
    call = tiny_networks.arguments(trained_network.inputs, out, "evaluate", *_WORDS)
    assert main(call) == 0
    assert "evaluation-" in capsys.readouterr().out


def test_maps(trained_maps: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    call = image_people.arguments(trained_maps.inputs, trained_maps.out, "evaluate", *_WORDS)
    assert main(call) == 0
    assert "evaluation-" in capsys.readouterr().out
