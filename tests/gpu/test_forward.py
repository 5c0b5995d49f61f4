"""Maps from a GPU: those of the CPU, whatever precision other code allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from forward import grey_matter
from gpu_forms import FORMS, Agreement, make, random_network

from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.network.prepared import prepare

# Least r of a map, and largest error as a share of a map's largest value, by precision.
EXACT, TF32, BF16 = (1 - 1e-9, 2e-6), (0.9999, 3e-3), (0.98, 3e-2)


def example(seed: int = 0, **sizes: Any) -> tuple[torch.nn.Module, np.ndarray, np.ndarray]:
    """Make a network, a mask that several slabs cut, and a connectome."""
    rng = np.random.default_rng(seed)
    network = random_network(5, 3, sizes.pop("features", 8), **sizes)
    mask = rng.random((40, 18, 14)) < 0.3
    return network, mask, rng.uniform(-1, 1, (5, mask.sum())).astype(np.float32)


def require_agreement(form: str, device: str, tolerance: tuple[float, float]) -> None:
    network, mask, connectome = example()
    expected = make(FORMS["blocks"], network, mask, "cpu")(connectome)
    found = Agreement.of(make(FORMS[form], network, mask, device)(connectome), expected)
    least_r, largest_error = tolerance
    assert found.least_r >= least_r
    assert found.largest_error <= largest_error


@pytest.mark.gpu
@pytest.mark.parametrize("plan", ["auto", "dense", "slabs"])
@pytest.mark.parametrize("levels", [0, 1, 2])
def test_plans_on_a_gpu_are_the_eager_network(plan, levels):
    network, mask, connectome = example(levels, levels=levels)
    prepared = prepare(Parameters.of(network), mask, "cuda", plan=plan, report=pytest.fail)
    found = prepared.predict(connectome)
    expected = make(FORMS["eager"], network, mask, "cpu")(connectome)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert prepared.predict(connectome).tobytes() == found.tobytes()


@pytest.mark.gpu
def test_the_published_size_on_a_gpu():
    mask = grey_matter()
    network = random_network(50, 47, 64)
    rng = np.random.default_rng(0)
    connectome = rng.uniform(-1, 1, (50, mask.sum())).astype(np.float32)
    expected = make(FORMS["blocks"], network, mask, "cpu")(connectome)
    for plan in ("dense", "slabs"):
        found = prepare(Parameters.of(network), mask, "cuda", plan=plan).predict(connectome)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


# --- precision that other code in the process has chosen


def _conv(precision: str) -> None:
    torch.backends.cudnn.conv.fp32_precision = precision


def _all(precision: str) -> None:
    torch.backends.fp32_precision = precision


CHOICES: dict[str, Callable[[], None]] = {
    "torch's own": lambda: None,
    "TF32": lambda: setattr(torch.backends.cudnn, "allow_tf32", True),
    "no TF32": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "TF32 of all": lambda: _all("tf32"),
    "no TF32 of convolutions": lambda: _conv("ieee"),
    "searched algorithms": lambda: setattr(torch.backends.cudnn, "benchmark", True),
}


def chosen() -> tuple[Any, ...]:
    cudnn = torch.backends.cudnn
    return (
        *(cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision, torch.backends.fp32_precision),
        *(cudnn.enabled, cudnn.deterministic, cudnn.benchmark),
    )


@pytest.fixture(params=CHOICES)
def choice(request) -> Iterator[str]:
    if not hasattr(torch.backends.cudnn, "conv"):
        pytest.skip(f"PyTorch {torch.__version__} has one way to choose, newer ones have two")
    before = chosen()
    CHOICES[request.param]()
    yield request.param
    _all("none")
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = False
    assert chosen() == before


def test_the_plan_of_whole_grids_asks_for_float32_and_gives_back_what_was_chosen(choice):
    network, mask, connectome = example()
    before, seen = chosen(), set()

    def look(layer, _inputs):
        if isinstance(layer, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
            cudnn = torch.backends.cudnn
            seen.add((cudnn.conv.fp32_precision, cudnn.deterministic, cudnn.benchmark))

    hook = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        prepare(Parameters.of(network), mask, plan="dense").predict(connectome)
    finally:
        hook.remove()
    assert seen == {("ieee", True, False)}
    assert chosen() == before


@pytest.mark.gpu
def test_maps_from_a_gpu_are_exact_whatever_else_is_chosen(choice):
    require_agreement("dense", "cuda", EXACT)
