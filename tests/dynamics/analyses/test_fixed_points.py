"""Fixed points of network models, as tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_networks import PEOPLE, REGIONS

from bids_dtg.files.text import read_rows

Call = Callable[..., int]


@pytest.mark.slow
def test_fixed_points_are_found(bundle: Path, call: Call, out: Path) -> None:
    some = PEOPLE[1:3]
    assert call("fixed-points", "--model", str(bundle), "--participant-label", *some) == 0
    folder = out / "group" / "fixed-points-own"
    regions = read_rows(folder / "desc-regions_fixedpoints.tsv")
    assert len(regions) == 9
    for row in regions:
        counts = [int(row[key]) for key in ("one_point", "several_points", "no_point")]
        assert sum(counts) == int(row["cases"]) == len(some) * len(REGIONS)
    networks = read_rows(folder / "desc-networks_fixedpoints.tsv")
    assert [row["participant_id"] for row in networks] == [f"sub-{name}" for name in some]
    assert {"largest_real_part", "largest_map_modulus"} <= networks[0].keys()
    page = (folder / "network_report.html").read_text()
    assert "<h1>Fixed points of own</h1>" in page
    for words in ("with one, stable as a flow", "points that rotate", "settling as a map"):
        assert words in page
    # Values of any size made the page wider than a screen.
    assert "modulus" not in page
    assert ">\N{MINUS SIGN}1<" in page
    paths = read_rows(folder / "desc-region_trajectories.tsv")
    assert {row["start"] for row in paths} - {"n/a"} == {str(n) for n in range(1, 13)}
    assert {"x1", "x2"} <= paths[0].keys()
    components = read_rows(folder / "desc-network_trajectories.tsv")
    assert {"component1", "component2"} <= components[0].keys()
    responses = read_rows(folder / "desc-regions_responses.tsv")
    assert {row["region"] for row in responses} <= set(REGIONS)
    measures = ("largest_real_part", "external1_effect", "network_effect")
    assert {*measures, "theta1", "theta2"} <= responses[0].keys()
    values = read_rows(folder / "desc-fixedpoints_eigenvalues.tsv")
    assert {row["of"] for row in values} <= {"region", "network"}
    for caption in (
        "States of a region with parameters and inputs of 0: 12 noise-free paths of the trained "
        "map over 100 frames from random first states, and fixed points. No unit",
        "Eigenvalues at the fixed points of a region with parameters and inputs of 0, per frame",
        "A path of a region with parameters and inputs of 0 over its first",
        "Largest real part of the eigenvalues at fixed points without inputs, by θ",
        "Effect of external input 1 at fixed points without inputs, by θ",
        "Effect of the network input at fixed points without inputs, by θ",
        "States of the network of sub-02, first draw: 12 noise-free paths",
    ):
        assert caption in page, caption
