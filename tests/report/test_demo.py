"""Demos: what the way from simulated people to a picture needs."""

from __future__ import annotations

import pytest

from bids_dtg.errors import SettingsError
from bids_dtg.report.demo import run_fitted_demo


def test_a_missing_package_is_named_before_anything_is_made(tmp_path, monkeypatch):
    def made(*_: object) -> None:
        pytest.fail("a step was done")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"the model needs .* torch.*'\.\[train\]'"):
        run_fitted_demo(
            tmp_path / "out",
            model="model",
            participants=2,
            simulate=made,
            fit=made,
            compare=made,
            draw=made,
        )
    assert not (tmp_path / "out").exists()
