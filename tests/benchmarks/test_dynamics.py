"""Every side of the benchmark of the network model runs, at a small size."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SMALL = {"PEOPLE": 3, "REGIONS": 5, "FRAMES": 120, "ITEMS": 4, "SIMULATIONS": 2}


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_dynamics", FOLDER / "dynamics.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def small(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    for name, value in SMALL.items():
        monkeypatch.setattr(benchmark, name, value)


SIDES = (
    *("plain step", "our step, published-code", "our step, default"),
    *("one at a time, by modules", "one at a time", "50 together", "bound"),
)


@pytest.mark.parametrize("side", SIDES)
def test_each_side_runs(benchmark: ModuleType, side: str) -> None:
    work = benchmark.SIDES[side]()
    assert np.isfinite([work(), work()]).all()


def test_both_steps_of_one_recipe_have_one_loss(benchmark: ModuleType) -> None:
    assert set(benchmark.SIDES) == set(SIDES)
    plain, ours = (benchmark.SIDES[side]() for side in SIDES[:2])
    assert plain() == pytest.approx(ours(), rel=1e-5)
