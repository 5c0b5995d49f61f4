"""Files of parcels as pages read them: panels are drawn from files alone, or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bids_dtg.files.names import FileKind
from bids_dtg.files.regions import (
    RELMAT,
    SERIES,
    RegionTable,
    encode_relmat,
    encode_series,
    read_relmat,
    read_series,
)
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.panels import (
    CARPET,
    COVERAGE,
    arrange,
    draw_parcel_matrix,
    notes_on_lost,
    read_run_file,
)
from bids_dtg.report.pictures import SIGNED

NAMES = ("LH_Default_1", "LH_Vis_1", "RH_Vis_1")
DAMAGED = (None, b"", b"\xff\xfe\x00", b"a\tb\n1\n")


def run_of(folder: Path, kind: FileKind, content: bytes | None) -> RunFiles:
    path = folder / "file.tsv"
    if content is not None:
        path.write_bytes(content)
    return RunFiles("sub-01_task-rest", {}, {kind: path})


@pytest.fixture
def pictures() -> dict[str, bytes]:
    return {}


@pytest.fixture
def canvas(pictures):
    def write(what: str, data: bytes) -> str:
        pictures[what] = data
        return what

    return write


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize("panel", [CARPET, COVERAGE], ids=lambda panel: panel.title)
def test_absent_and_damaged_files_have_no_figure(tmp_path, canvas, panel, content):
    assert panel.draw(run_of(tmp_path, panel.kind, content), canvas) is None
    assert panel.draw(RunFiles("sub-01_task-rest", {}, {}), canvas) is None


@pytest.mark.parametrize("content", [*DAMAGED, b"Node\ta\nb\t1\n"])
def test_absent_and_damaged_files_are_as_if_there_were_none(tmp_path, content):
    assert read_run_file(run_of(tmp_path, RELMAT, content), RELMAT, read_relmat) is None
    assert read_run_file(run_of(tmp_path, SERIES, content), SERIES, read_series) is None


def test_a_matrix_is_drawn_in_the_order_of_the_regions(tmp_path, canvas, pictures):
    values = np.array([[np.nan, 1, -1], [1, np.nan, 0], [-1, 0, np.nan]], float)
    content = encode_relmat(RegionTable(NAMES, values))
    matrix = read_run_file(run_of(tmp_path, RELMAT, content), RELMAT, read_relmat)
    assert matrix is not None
    assert arrange(matrix.names)[0].tolist() == [1, 2, 0]  # visual before default mode
    lanes = draw_parcel_matrix(
        matrix.values, matrix.names, canvas, ("edges", "Edges"), (SIGNED, -1, 1)
    )
    assert lanes.words == "Edges of 3 parcels"
    drawn = np.asarray(Image.open(io.BytesIO(pictures[lanes.content])).convert("RGBA"))
    cell = drawn.shape[0] // 3
    centres = drawn[cell // 2 :: cell, cell // 2 :: cell]
    red, blue = (
        centres[0, 2],
        centres[1, 2],
    )  # of LH_Vis_1 and of RH_Vis_1 with LH_Default_1
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert (centres[[0, 1, 2], [0, 1, 2], 3] == 0).all()  # what is not known is blank


def test_a_parcel_with_signal_in_nearly_all_voxels_is_not_said_to_have_it_in_all(
    tmp_path, canvas
):
    run = run_of(tmp_path, COVERAGE.kind, b"a\tb\tc\n0.998\t1\t0.99999\n")
    figure = COVERAGE.draw(run, canvas)
    assert figure is not None
    (table,) = figure.parts
    assert table.rows == [("a", "99.8%"), ("c", ">99.9%")]
    assert figure.caption.endswith("1 of 3 parcels have it in all voxels.")


def test_parcels_without_a_series_are_named(tmp_path):
    values = np.zeros((3, 4), np.float32)
    values[1:] = np.nan
    run = run_of(tmp_path, SERIES, encode_series(RegionTable(NAMES, values)))
    (flag,) = notes_on_lost(run)
    assert flag.level == "warning"
    assert flag.text.endswith(
        "without a series, for lack of signal: LH_Vis_1, RH_Vis_1"
    )
    values[:] = 1
    run = run_of(tmp_path, SERIES, encode_series(RegionTable(NAMES, values)))
    assert not [*notes_on_lost(run)]


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
    order, rows, _ = arrange(
        [names[n] for n in np.random.default_rng(0).permutation(41)]
    )
    assert sorted(order) == [*range(41)]
    assert [rows[0][0], rows[-1][0]] == ["Visual", "Other"]
    assert sum(size for *_, size in rows) == pytest.approx(100)
