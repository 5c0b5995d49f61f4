"""Tables of maps by region."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_dtg.errors import SettingsError
from bids_dtg.inputs.regions.maps import read_region_maps


@pytest.mark.parametrize("sign", ["\t", ","])
def test_maps_are_read_in_the_order_of_the_regions(tmp_path: Path, sign: str) -> None:
    lines = ["region gene_pc1 myelin", "B 2.5 1", "other 9 9", "A -1 3"]
    path = tmp_path / "maps.tsv"
    path.write_text("\n".join(line.replace(" ", sign) for line in lines) + "\n")
    maps = read_region_maps(path, ["A", "B"])
    assert list(maps) == ["gene_pc1", "myelin"]
    np.testing.assert_array_equal(maps["gene_pc1"], [-1.0, 2.5])


def test_without_a_table_there_are_no_maps() -> None:
    assert read_region_maps(None, ["A"]) == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("region\tm\nA\t1\n", "lacks 1 region .B."),
        ("region\tm\nA\t1\nB\tx\n", "'x' for B under m"),
        ("region\tm\nA\t1\nB\tinf\n", "'inf' for B under m"),
        ("region\tm\nA\t1\nA\t2\nB\t1\n", "names the region A twice"),
        ("region\nA\nB\n", "1 column"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "maps.tsv"
    path.write_text(text)
    with pytest.raises(SettingsError, match=found):
        read_region_maps(path, ["A", "B"])


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.tsv"):
        read_region_maps(tmp_path / "absent.tsv", ["A"])
