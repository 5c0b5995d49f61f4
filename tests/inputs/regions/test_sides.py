"""Sides of regions, by their names."""

from __future__ import annotations

import pytest

from bids_dtg.inputs.regions.sides import hemisphere, homotopic_pairs, other_side


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ctx-lh-insula", "ctx-rh-insula"),
        ("L_V1", "R_V1"),
        ("7Networks_LH_Vis_1", "7Networks_RH_Vis_1"),
        ("Left-Thalamus", "Right-Thalamus"),
        ("insula left", "insula right"),
    ],
)
def test_sides_are_read_from_names(left: str, right: str) -> None:
    assert (hemisphere(left), hemisphere(right)) == ("left", "right")
    assert (other_side(left), other_side(right)) == (right, left)
    assert homotopic_pairs([right, "brainstem", left]) == [(2, 0)]


@pytest.mark.parametrize("name", ["brainstem", "lateral", "cerebellum", "Rolandic", ""])
def test_names_without_a_side_have_none(name: str) -> None:
    assert hemisphere(name) == ""
    assert other_side(name) is None
