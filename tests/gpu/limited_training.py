"""Limit the memory that this process may take of a GPU, and train a network all the same.

A program of its own, which `test_training.py` calls with a folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from bids_dtg.contrasts.network.prepared import lacks_memory
from bids_dtg.contrasts.plan import TrainingPlan
from bids_dtg.contrasts.train import PersonSamples, train
from bids_dtg.training.loop import Workplace

LIMIT = 64 * 2**20  # bytes; the first layer's values of four people take 400 MB
SHAPE = (76, 93, 78)


def people(number: int) -> PersonSamples:
    mask = np.random.default_rng(0).random(SHAPE) < 0.3
    rng, voxels = np.random.default_rng(number), int(mask.sum())
    connectomes = rng.normal(size=(number, 1, 3, voxels)).astype(np.float32)
    return PersonSamples(connectomes, connectomes[:, 0, :2], mask)


if __name__ == "__main__":
    plan = TrainingPlan(features=48, epochs=1, batch=4)
    torch.cuda.set_per_process_memory_fraction(
        LIMIT / torch.cuda.get_device_properties(0).total_memory
    )
    try:
        train(people(4), people(2), plan, Workplace(Path(sys.argv[1]), "cuda"))
    except RuntimeError as err:
        print("too little memory" if lacks_memory(err) else f"something else: {err}")
    else:
        print("there was memory")
