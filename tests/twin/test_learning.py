"""Trainings of twins for the training loop."""

from __future__ import annotations

import torch
from twin_runs import slow_and_quick

from bids_dtg.twin.fitting import targets_of
from bids_dtg.twin.learning import GroupTask, Length
from bids_dtg.twin.network.main import Sizes
from bids_dtg.twin.network.modulated import ModulatedNetwork
from bids_dtg.twin.recipe import Recipe


def test_a_batch_stays_where_the_data_are():
    """Lightning moves batches to the device; data on the CPU take no numbers from there."""
    segments, _ = slow_and_quick(people=4)
    targets = targets_of(segments)
    sizes = Sizes(targets.inputs.shape[-1], units=4, buttons=targets.action.shape[-1])
    task = GroupTask(
        ModulatedNetwork(sizes, rank=2),
        targets,
        targets,
        Recipe(batch_people=3, batch_segments=2),
        length=Length(epochs=1, updates=1),
        seed=0,
        identity="",
        report=lambda line: None,
    )
    (batch,) = task.train_dataloader()
    people, numbers = task.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert (people.device.type, numbers.device.type) == ("cpu", "cpu")
    part = task.training_data.part(people, numbers)
    assert part.action.shape[:2] == (3, min(4, segments.action.shape[1]))
