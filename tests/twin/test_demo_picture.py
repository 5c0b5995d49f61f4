"""The picture of a twin's predictions."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from bids_dtg.twin.demo_picture import (
    PredictedPanel,
    PredictionRow,
    SeriesPanel,
    ShownTrial,
    draw_twin,
)


def draw(nothing: float = np.nan) -> bytes | None:
    rng = np.random.default_rng(0)
    observed = rng.uniform(0.6, 1.1, 20)
    predicted = np.append(observed[1:], nothing)
    trials = (
        ShownTrial(1.0, "red", "blue", 0.7, "red"),
        ShownTrial(4.0, "green", "green", nothing, ""),
    )
    trace = SeriesPanel(
        "sub-01", np.arange(60) * 0.08, ("red", "green", "blue"), rng.random((60, 3)), trials
    )
    return draw_twin(
        PredictedPanel("rt (s)", observed, predicted, 0.8, "people"),
        [PredictionRow("twin", 0.5, 0.3, 0.7, "", True), PredictionRow("mean", *[nothing] * 3, "")],
        [trace, trace],
        title="title",
        ceiling=nothing,
    )


@pytest.mark.slow
@pytest.mark.parametrize("nothing", [np.nan, 0.4])
def test_a_picture_is_a_png(nothing):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    picture = draw(nothing)
    assert picture is not None
    assert picture.startswith(b"\x89PNG")


def test_there_is_none_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert draw() is None
