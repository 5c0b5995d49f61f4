"""The studies of dynamics run, in a tiny form."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

STUDIES = Path(__file__).parents[2] / "studies"


def study(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, STUDIES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TINY = ("--epochs", "1", "--simulations", "2")


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["hopf", "pmfm"])
def test_known_parameters_are_recovered(tmp_path, capsys, monkeypatch, simulator) -> None:
    recovery = study("dynamics_recovery")
    monkeypatch.setattr(recovery, "COUPLINGS", recovery.COUPLINGS[:2])
    size = ("--people", "2", "--regions", "4", "--samples", "1", "--epsilon", "0", "0.1")
    recovery.main([str(tmp_path), "--simulator", simulator, *size, *TINY])
    out = capsys.readouterr().out
    first = "a" if simulator == "hopf" else "sigma"
    for words in (f"\n| {first} | 8 |", "\n| model |", "\n| new noise |", "\n| 0.1 |"):
        assert words in out


@pytest.mark.slow
def test_networks_of_several_sizes_are_compared(tmp_path, capsys) -> None:
    sizes = ("--states", "1", "--parameters", "2", "--simulated", "2")
    study("dynamics_sweep").main([str(tmp_path), *sizes, *TINY])
    out = capsys.readouterr().out
    for name in ("states-1", "parameters-2", "no-external-input"):
        assert out.count(f"\n| {name} |") == 3
