from __future__ import annotations

import numpy as np
import pytest
from dk68 import dk68_regions
from scipy.spatial.distance import pdist

from bids_dtg.inputs.regions.positions import (
    read_region_positions,
    unknown_regions,
)


@pytest.mark.parametrize(
    "spelling",
    ["ctx-{0}h-{1}", "ctx_{0}h_{1}", "{0}h_{1}", "{0}h.{1}", "{0}_{1}", "{0}h-{1}", "CTX-{0}H-{1}"],
)
def test_names_are_known_however_they_are_written(spelling):
    names = [name.removeprefix("ctx-").replace("h-", " ").split() for name in dk68_regions()]
    written = [spelling.format(side.upper(), region) for side, region in names]
    assert not unknown_regions(written)
    np.testing.assert_array_equal(
        read_region_positions(written), read_region_positions(dk68_regions())
    )


def test_positions_are_in_the_order_asked_for():
    names = ["rh_insula", "lh_cuneus", "Left insula"]
    table = dict(zip(dk68_regions(), read_region_positions(dk68_regions()), strict=True))
    wanted = [table["ctx-rh-insula"], table["ctx-lh-cuneus"], table["ctx-lh-insula"]]
    np.testing.assert_array_equal(read_region_positions(names), wanted)
    assert read_region_positions([]).shape == (0, 3)


def test_names_of_other_atlases_are_reported():
    names = ["ctx-lh-insula", "7Networks_LH_Vis_1", "insula", "lh_insula_1", "Left-Amygdala", ""]
    assert unknown_regions(names) == tuple(names[1:])
    assert read_region_positions(names) is None


def test_regions_lie_where_the_brain_has_them():
    names = dk68_regions()
    found = dict(zip(names, read_region_positions(names), strict=True))
    assert len(names) == 68
    left, right = (np.array([found[n] for n in names if f"-{side}-" in n]) for side in ("lh", "rh"))
    assert (left[:, 0] < 0).all()
    assert (right[:, 0] > 0).all()
    # The sides mirror each other within a cm, and no two regions are at one place.
    assert np.abs(left * [-1, 1, 1] - right).max() < 10
    assert pdist(left).min() > 10
    by_axis = {name.removeprefix("ctx-lh-"): xyz for name, xyz in found.items() if "-lh-" in name}
    assert max(by_axis, key=lambda name: by_axis[name][1]) == "frontalpole"
    assert min(by_axis, key=lambda name: by_axis[name][1]) in ("lateraloccipital", "pericalcarine")
    assert max(by_axis, key=lambda name: by_axis[name][2]) in ("superiorparietal", "paracentral")
    assert min(by_axis, key=lambda name: by_axis[name][2]) in ("temporalpole", "entorhinal")
