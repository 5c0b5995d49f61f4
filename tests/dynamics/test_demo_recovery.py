"""The demo of the published network."""

from __future__ import annotations

import pytest

from bids_dtg.dynamics.demo_recovery import run_network_demo
from bids_dtg.errors import SettingsError


def test_a_missing_package_is_named_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"the network model needs .* torch.*'\.\[train\]'"):
        run_network_demo(tmp_path / "out")
    assert not (tmp_path / "out").exists()
