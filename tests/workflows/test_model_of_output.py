"""A model that was trained in the output folder is found by the name that it was given."""

from __future__ import annotations

import tiny_twins

from bids_dtg.cli.run import main

_WORDS = ("--model", "own", "--dry-run")


def test_twins(trained_twin, capsys):
    call = tiny_twins.arguments(trained_twin.inputs, trained_twin.out, "evaluate", *_WORDS)
    assert main(call) == 0
    assert "evaluation-" in capsys.readouterr().out
