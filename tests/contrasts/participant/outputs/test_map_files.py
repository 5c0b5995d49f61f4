from __future__ import annotations

import numpy as np
from tiny_bundle import tiny_masks, write_tiny_bundle

from bids_dtg.contrasts.bundle.part import Recentring
from bids_dtg.contrasts.maps import Estimate
from bids_dtg.contrasts.participant.outputs.layers import maps_layer
from bids_dtg.contrasts.participant.outputs.map_files import (
    Origin,
    average_sidecar,
    map_sidecars,
)
from bids_dtg.contrasts.recentring import Correction
from bids_dtg.files.path_names import PathNames


def sidecars(bundle) -> list[dict]:
    """What is known of each map: what it inherits, and its own."""
    values = np.zeros((3, bundle.places.number), np.float32)
    estimate = Estimate(bundle.contrasts, values, 1, 432.0)
    origin = Origin("fmriprep", "fmriprep", "simple", "0" * 64, PathNames(()))
    entities = {"sub": "01"}
    path, common = average_sidecar(entities, estimate, bundle, runs=[], left_out={}, origin=origin)
    assert str(path) == "sub-01/sub-01_statmap.json"
    own = map_sidecars(entities, [maps_layer(estimate, bundle, bundle.contrasts)], bundle)
    return [common | content for _, content in own]


def test_a_correction_is_recorded_with_each_map_s_gain(tmp_path):
    gains = np.array([0.5, 1.0, 1.5], np.float32)
    correction = Correction(gains, np.ones((3, int(tiny_masks()[1].sum())), np.float32))
    bundle = write_tiny_bundle(
        tmp_path / "tiny", correction=correction, recentring=Recentring(40, 4)
    )
    assert [one["Gain"] for one in sidecars(bundle)] == [0.5, 1.0, 1.5]
    assert all(one["Recentred"] is True for one in sidecars(bundle))


def test_without_one_nothing_is_said(tmp_path):
    for one in sidecars(write_tiny_bundle(tmp_path / "tiny")):
        assert not {"Recentred", "Gain"} & set(one)
