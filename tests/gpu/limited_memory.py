"""Limit the memory that this process may take of a GPU, and predict maps all the same.

A program of its own, which `test_memory.py` calls.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from gpu_forms import Agreement, random_network

from bids_dtg.contrasts.network.parameters import Parameters
from bids_dtg.contrasts.network.prepared import prepare

SHAPE = (76, 93, 78)
NETWORK = Parameters.of(random_network(10, 6, 16))
MASK = np.random.default_rng(0).random(SHAPE) < 0.3
CONNECTOME = np.random.default_rng(1).uniform(-1, 1, (10, MASK.sum())).astype(np.float32)


def peak() -> int:
    """Return the most bytes that the first plan takes of the GPU."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    prepare(NETWORK, MASK, "cuda", plan="dense").predict(CONNECTOME)
    return torch.cuda.max_memory_reserved()


def outcome(limit: float, expected: np.ndarray) -> str:
    """Predict with so many bytes, and say where this went on."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(
        limit / torch.cuda.get_device_properties(0).total_memory
    )
    told: list[str] = []
    maps = prepare(NETWORK, MASK, "cuda", report=told.append).predict(CONNECTOME)
    agreement = Agreement.of(maps, expected)
    ways = [line.partition("going on with the ")[2] for line in told]
    agree = "maps agree" if agreement.largest_error < 1e-5 else f"maps differ: {agreement}"
    return ", ".join([*ways, agree])


if __name__ == "__main__":
    truth, most = prepare(NETWORK, MASK).predict(CONNECTOME), peak()
    # cuDNN takes algorithms that need less where there is less: how much slabs need is found.
    found = [outcome(limit, truth) for limit in np.geomspace(most, most / 40, 30)]
    print("\n".join(line for line, _ in itertools.groupby(found)))
