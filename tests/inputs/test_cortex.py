"""Regions of the cortex: maps, positions and sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dk68 import dk68_regions
from scipy.spatial.distance import pdist

from bids_dtg.errors import SettingsError
from bids_dtg.inputs.cortex import (
    hemisphere,
    homotopic_pairs,
    other_side,
    read_region_maps,
    read_region_positions,
)


@pytest.mark.parametrize("sign", ["\t", ","])
def test_maps_are_read_in_the_order_of_the_regions(tmp_path: Path, sign: str) -> None:
    lines = ["region gene_pc1 myelin", "B 2.5 1", "other 9 9", "A -1 3"]
    path = tmp_path / "maps.tsv"
    path.write_text("\n".join(line.replace(" ", sign) for line in lines) + "\n")
    maps = read_region_maps(path, ["A", "B"])
    assert list(maps) == ["gene_pc1", "myelin"]
    np.testing.assert_array_equal(maps["gene_pc1"], [-1.0, 2.5])
    assert read_region_maps(None, ["A"]) == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("region\tm\nA\t1\n", "lacks 1 region .B."),
        ("region\tm\nA\t1\nB\tx\n", "'x' for B under m"),
        ("region\tm\nA\t1\nB\tinf\n", "'inf' for B under m"),
        ("region\tm\nA\t1\nA\t2\nB\t1\n", "names 2 regions in 3 rows"),
        ("region\nA\nB\n", "1 column"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "maps.tsv"
    path.write_text(text)
    with pytest.raises(SettingsError, match=fault):
        read_region_maps(path, ["A", "B"])
    with pytest.raises(
        SettingsError, match=r"maps\.csv cannot be read|maps\.csv does not exist"
    ):
        read_region_maps(path.with_suffix(".csv"), ["A", "B"])


@pytest.mark.parametrize(
    "spelling",
    [
        "ctx-{0}h-{1}",
        "ctx_{0}h_{1}",
        "{0}h_{1}",
        "{0}h.{1}",
        "{0}_{1}",
        "{0}h-{1}",
        "CTX-{0}H-{1}",
    ],
)
def test_names_are_known_however_they_are_written(spelling):
    names = [
        name.removeprefix("ctx-").replace("h-", " ").split() for name in dk68_regions()
    ]
    written = [spelling.format(side.upper(), region) for side, region in names]
    np.testing.assert_array_equal(
        read_region_positions(written), read_region_positions(dk68_regions())
    )


def test_positions_are_in_the_order_asked_for():
    names = ["rh_insula", "lh_cuneus", "Left insula"]
    table = dict(
        zip(dk68_regions(), read_region_positions(dk68_regions()), strict=True)
    )
    wanted = [table["ctx-rh-insula"], table["ctx-lh-cuneus"], table["ctx-lh-insula"]]
    np.testing.assert_array_equal(read_region_positions(names), wanted)
    assert read_region_positions([]).shape == (0, 3)


def test_names_of_other_atlases_have_no_positions():
    for name in ("7Networks_LH_Vis_1", "insula", "lh_insula_1", "Left-Amygdala", ""):
        assert read_region_positions(["ctx-lh-insula", name]) is None


def test_regions_lie_where_the_brain_has_them():
    names = dk68_regions()
    positions = dict(zip(names, read_region_positions(names), strict=True))
    assert len(names) == 68
    left, right = (
        np.array([positions[n] for n in names if f"-{side}-" in n])
        for side in ("lh", "rh")
    )
    assert (left[:, 0] < 0).all()
    assert (right[:, 0] > 0).all()
    # The sides mirror each other within a cm, and no two regions are at one place.
    assert np.abs(left * [-1, 1, 1] - right).max() < 10
    assert pdist(left).min() > 10
    by_axis = {
        name.removeprefix("ctx-lh-"): xyz
        for name, xyz in positions.items()
        if "-lh-" in name
    }
    assert max(by_axis, key=lambda name: by_axis[name][1]) == "frontalpole"
    assert min(by_axis, key=lambda name: by_axis[name][1]) in (
        "lateraloccipital",
        "pericalcarine",
    )
    assert max(by_axis, key=lambda name: by_axis[name][2]) in (
        "superiorparietal",
        "paracentral",
    )
    assert min(by_axis, key=lambda name: by_axis[name][2]) in (
        "temporalpole",
        "entorhinal",
    )


@pytest.mark.parametrize(
    ("left_name", "right_name"),
    [
        ("ctx-lh-insula", "ctx-rh-insula"),
        ("L_V1", "R_V1"),
        ("7Networks_LH_Vis_1", "7Networks_RH_Vis_1"),
        ("Left-Thalamus", "Right-Thalamus"),
        ("insula left", "insula right"),
    ],
)
def test_sides_are_read_from_names(left_name: str, right_name: str) -> None:
    assert (hemisphere(left_name), hemisphere(right_name)) == ("left", "right")
    assert (other_side(left_name), other_side(right_name)) == (right_name, left_name)
    assert homotopic_pairs([right_name, "brainstem", left_name]) == [(2, 0)]


@pytest.mark.parametrize("name", ["brainstem", "lateral", "cerebellum", "Rolandic", ""])
def test_names_without_a_side_have_none(name: str) -> None:
    assert hemisphere(name) == ""
    assert other_side(name) is None
