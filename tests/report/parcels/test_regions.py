"""In what order regions are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.report.parcels import arrange

NETWORKS = ("Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default")


def names_of(regions: int) -> list[str]:
    """Name regions as Schaefer's parcels are."""
    half = regions // 2
    return [
        f"7Networks_{side}_{NETWORKS[number * 7 // half]}_{number + 1}"
        for side in ("LH", "RH")
        for number in range(half)
    ]


def test_regions_are_in_order_of_networks_and_each_once():
    names = [*names_of(40), "subcortex"]
    found = arrange([names[n] for n in np.random.default_rng(0).permutation(41)])
    assert sorted(found.order) == [*range(41)]
    assert [found.labels[0].text, found.labels[-1].text] == ["Visual", "Other"]
    assert sum(label.size for label in found.labels) == pytest.approx(100)


def test_regions_without_words_stay_as_they_are():
    found = arrange(["a1", "b2", "c3"])
    assert (found.order.tolist(), found.labels, found.words) == ([0, 1, 2], (), "")
