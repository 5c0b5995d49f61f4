"""Panels: what one stores of a run is what it draws."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from maps_job import TinyJob, add_rest, tiny_bold

from bids_dtg.contrasts.panels.registration import COVERAGE_FILE, outline
from bids_dtg.contrasts.panels.run import PANELS
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import FileKind, parse_name
from bids_dtg.files.sidecars import sidecar_of
from bids_dtg.files.text import read_json, read_rows
from bids_dtg.report.contents import RunFiles, find_participant
from bids_dtg.report.panels import MOTION
from bids_dtg.report.pictures import Volume
from bids_dtg.report.viewer import write_picture


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> TinyJob:
    """Return a job whose maps are made; a part of the image has no signal."""
    job, bold = TinyJob(tmp_path_factory.mktemp("panels"), ()), tiny_bold()
    bold[:4] = 0
    add_rest(job.bids, bold=bold, n_non_steady=3)
    assert job.run() == 0
    return job


@pytest.fixture
def run(job) -> RunFiles:
    kinds = [panel.kind for panel in PANELS]
    (run,) = find_participant(DerivativeDataset(job.out), "01", kinds).runs
    return run


@pytest.fixture
def canvas(job, run):
    return partial(
        write_picture, DerivativeDataset(job.out), job.out / "drawn", run.title
    )


def test_each_panel_has_a_file_of_its_own():
    assert len({panel.kind for panel in PANELS}) == len(PANELS)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_what_is_kept_is_found_and_drawn_and_nothing_without_it(
    panel, job, run, canvas
):
    assert FileKind.of(parse_name(run.files[panel.kind].name)) == panel.kind
    figure = panel.draw(run, canvas)
    assert figure.caption
    assert all(
        (job.out / part.content).is_file() for part in figure.parts if part.content
    )
    without_kind = {
        kind: path for kind, path in run.files.items() if kind != panel.kind
    }
    assert panel.draw(RunFiles(run.title, {}, without_kind), canvas) is None


def test_an_outline_is_a_thin_line_at_the_edge():
    region = np.zeros((40, 40), np.float32)
    region[:, :20] = 1
    line = outline(region)
    assert line[:, 19:21].min() > 0.7
    assert line[:, :18].max() == line[:, 22:].max() == 0


def test_images_and_frames_come_back_with_their_values(job, run):
    labels = Volume.read(run.files[COVERAGE_FILE]).values
    covered = job.bundle.places.mask.copy()
    covered[:4] = False
    np.testing.assert_array_equal(labels == 1, covered)
    facts = read_json(sidecar_of(run.files[COVERAGE_FILE]))
    assert len(facts["RoiCoverage"]) == len(job.bundle.roi_maps)
    assert 0 < min(facts["RoiCoverage"]) < 1
    assert facts["Sources"][0].startswith("bids:fmriprep:sub-01/func/")
    rows = read_rows(run.files[MOTION.kind])
    assert [row["kept"] for row in rows] == ["0"] * 3 + ["1"] * 57
    (table,) = job.bids.rglob("*confounds_timeseries.tsv")
    for read_row, stored_row in zip(rows[1:], read_rows(table)[1:], strict=True):
        for name in ("framewise_displacement", "std_dvars"):
            assert float(read_row[name]) == pytest.approx(
                float(stored_row[name]), abs=1e-4
            )
    assert rows[0]["framewise_displacement"] == "n/a"


def test_the_line_is_the_threshold_of_censoring_and_else_that_of_the_flag(run, canvas):
    facts = {"Confounds": {"FdThreshold": 0.05}}
    censored = MOTION.draw(RunFiles(run.title, run.quality, run.files, facts), canvas)
    for figure, words in (
        (MOTION.draw(run, canvas), "0.25 mm, above"),
        (censored, "0.05 mm, the"),
    ):
        assert figure.parts[0].line[2] is not None
        assert f"Dashed: {words}" in figure.caption
