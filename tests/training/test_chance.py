"""Borrowed random numbers: they come back, and no GPU is touched that nobody computes on."""

from __future__ import annotations

import pytest
import torch

from bids_dtg.contrasts.network.kind import with_new_outputs
from bids_dtg.dynamics.model import NetworkModel, restored
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.training.chance import borrowed_chance


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """Return a list of the GPUs, of two, whose state somebody asks for or sets."""
    numbers: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", numbers.append)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda _state, number: numbers.append(number))
    return numbers


@pytest.mark.parametrize(("device", "gpus"), [("cpu", []), ("cuda", [0, 0]), ("cuda:1", [1, 1])])
def test_only_the_gpu_in_use_is_asked(asked, device, gpus):
    with borrowed_chance(device):
        torch.manual_seed(5)
    assert asked == gpus


@borrowed_chance()
def draw_and_fail() -> None:
    torch.rand(7)
    raise ZeroDivisionError


def test_the_state_comes_back_after_an_error_too():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with pytest.raises(ZeroDivisionError):
        draw_and_fail()
    assert torch.equal(torch.rand(2), expected)


def test_models_that_are_made_on_the_cpu_touch_no_gpu(asked):
    with_new_outputs({"out_block.1.weight": torch.zeros(2, 3, 1, 1, 1)}, 4, seed=0)
    recipe = Recipe(states=2, region_parameters=2, hidden=4, encoder_units=4)
    restored(recipe, (2, 3, 9), NetworkModel(recipe, 2, 3, 9).state_dict())
    assert asked == []
