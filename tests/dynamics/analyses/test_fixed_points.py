"""Fixed points of network models, as tables."""

from __future__ import annotations

import pytest
from network_arrays import PEOPLE, REGIONS

from bids_dtg.files.text import read_rows


@pytest.mark.slow
def test_fixed_points_are_found(bundle, call, out):
    some = PEOPLE[1:3]
    assert (
        call("fixed-points", "--model", str(bundle), "--participant-label", *some) == 0
    )
    folder = out / "group" / "fixed-points-own"
    regions = read_rows(folder / "desc-regions_fixedpoints.tsv")
    assert len(regions) == 9
    for row in regions:
        counts = [int(row[key]) for key in ("one_point", "several_points", "no_point")]
        assert sum(counts) == int(row["cases"]) == len(some) * len(REGIONS)
        assert 0 <= int(row["settling"]) <= int(row["cases"])
    networks = read_rows(folder / "desc-networks_fixedpoints.tsv")
    assert [row["participant_id"] for row in networks] == [
        f"sub-{name}" for name in some
    ]
