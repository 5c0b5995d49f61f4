"""People who are simulated once and kept: by one process or by several."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from demo_people import (
    CONNECTOME_STEP,
    MAP_STEP,
    Boxes,
    StoredPeople,
    StoredSamples,
    simulate_people,
)

from bids_dtg.phantom.streams import Cohort


@pytest.mark.slow
def test_several_processes_make_the_people_of_one(tmp_path, phantom):
    found = [
        simulate_people(tmp_path / f"{n}", phantom, Cohort.TEST, 3, 1, processes=n) for n in (1, 2)
    ]
    for one, other in zip(*((p.connectomes, p.maps) for p in found), strict=True):
        np.testing.assert_array_equal(one, other)
    expected = phantom.person(Cohort.TEST, 2).connectome(0, 0)
    np.testing.assert_allclose(found[1].segment(2, 0), expected, rtol=0, atol=CONNECTOME_STEP)


@pytest.mark.parametrize("margin", [0, 1])
def test_boxes_are_cut_from_the_grid_and_their_margins_do_not_count(margin):
    rng = np.random.default_rng(0)
    mask = rng.random((9, 21, 8)) < 0.5
    values = rng.integers(-127, 128, (2, 1, 4, int(mask.sum()))).astype(np.int8)
    grids = np.zeros((2, 4, *mask.shape))
    grids[:, :, mask] = values[:, 0]
    boxes = Boxes(30, crop=8, margin=margin)
    samples = StoredSamples(StoredPeople(values, values[:, 0]), mask, boxes)
    drawn = np.random.default_rng(1)
    where = [boxes.draw(mask, drawn) for _ in range(30)]
    assert len({(box[1].start, box[1].stop) for box in where}) > 2
    found = samples.read(np.array([1]), np.array([0]), np.random.default_rng(1), False)
    for batch, box in zip(found, where, strict=True):
        assert all(part.start % 4 == 0 for part in box)
        core = np.zeros(batch.shape, bool)
        core[boxes.core(box, mask.shape)] = True
        wanted = grids[1][:, *box]
        for rows, voxels, kept, step in (
            (batch.connectomes[0], batch.inside, True, CONNECTOME_STEP),
            (batch.maps[0], batch.counted, core, MAP_STEP),
        ):
            grid = np.zeros((4, *batch.shape))
            grid.reshape(4, -1)[:, voxels] = rows.numpy()
            np.testing.assert_allclose(grid, np.where(kept, wanted * step, 0), rtol=1e-6)
