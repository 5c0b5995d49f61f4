"""A run of rest has the regions' series in their parcels, beside what cleaning is for."""

from __future__ import annotations

import numpy as np

from bids_dtg.phantom.anatomy import load_anatomy
from bids_dtg.phantom.parcels import Parcels
from bids_dtg.phantom.region_run import draw_region_run

PARCELS = Parcels.around(np.array([[-40.0, 0, 0], [40, 0, 0]]), "lr", load_anatomy(4))


def drawn(series: np.ndarray, seed: int) -> np.ndarray:
    run = draw_region_run(PARCELS, series, np.random.default_rng(seed), repetition_time_s=1.0)
    return np.concatenate([block.copy() for block in run.blocks()])


def test_the_series_are_in_their_parcels_and_nowhere_else():
    series = np.random.default_rng(1).standard_normal((60, 2)).astype(np.float32)
    added = drawn(series, 3) - drawn(np.zeros_like(series), 3)
    grey = PARCELS.anatomy.grey_in_brain
    beside = np.setdiff1d(np.arange(added.shape[1]), grey)
    assert len(beside)
    assert not added[:, beside].any()
    for region in range(2):
        own = added[:, grey[PARCELS.owner == region]]
        assert np.corrcoef(own.mean(axis=1), series[:, region])[0, 1] > 0.999


def test_another_stream_gives_another_run():
    series = np.zeros((60, 2), np.float32)
    np.testing.assert_array_equal(drawn(series, 3), drawn(series, 3))
    assert abs(drawn(series, 3) - drawn(series, 4)).max() > 1
