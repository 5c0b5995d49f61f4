"""The picture of a simulation study."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from bids_dtg.dynamics.demo_picture import (
    ConnectivityPanels,
    RecoveredPanel,
    SpectrumPanel,
    draw_recovery,
)


def draw(simulations: int = 5) -> bytes | None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(-1, 1, 20)
    panel = RecoveredPanel(
        name="a",
        truth=truth,
        mean=truth + 0.1,
        low=truth - 0.2,
        high=truth + 0.4,
        marked=truth > 0,
        marks=("above", "below"),
        words="a",
    )
    matrix = np.corrcoef(rng.standard_normal((6, 40)))
    spectrum = SpectrumPanel(
        "region",
        np.linspace(0, 0.5, 30),
        rng.uniform(0.1, 1, 30),
        rng.uniform(0.1, 1, (simulations, 30)),
    )
    return draw_recovery(
        [panel, panel], ConnectivityPanels(matrix, matrix, "sub-01"), [spectrum] * 3, title="title"
    )


@pytest.mark.parametrize("simulations", [0, 5])
def test_a_picture_is_a_png(simulations):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    picture = draw(simulations)
    assert picture is not None
    assert picture.startswith(b"\x89PNG")


def test_there_is_none_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert draw() is None
