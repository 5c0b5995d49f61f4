"""Panels: what one keeps of a run is what it draws."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from measured_run import ENTITIES, measured_run

from bids_dtg.contrasts.panels.presentation import PRESENTATION
from bids_dtg.contrasts.panels.run import COVERAGE_FILE, PANELS
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import FileKind, parse_name
from bids_dtg.files.text import read_json, read_rows
from bids_dtg.report.contents import RunFiles, find_participant, sidecar_of
from bids_dtg.report.panels import MOTION
from bids_dtg.report.pictures import Volume
from bids_dtg.report.presentation import write_kept
from bids_dtg.report.viewer import write_picture


@pytest.fixture
def data(tmp_path):
    return measured_run(tmp_path)


@pytest.fixture
def output(tmp_path, data):
    dataset = DerivativeDataset(tmp_path / "out")
    written = list(write_kept(PRESENTATION.keep(data), ENTITIES, dataset))
    assert all(dataset.path(path).is_file() for path in written)
    return dataset


def canvas_of(output: DerivativeDataset, run: RunFiles):
    return partial(write_picture, output, output.root / "sub-01/figures", run.title)


def run_of(output: DerivativeDataset) -> RunFiles:
    (run,) = find_participant(output, "01", [panel.kind for panel in PANELS]).runs
    return run


def test_each_panel_has_a_file_of_its_own():
    assert len({panel.kind for panel in PANELS}) == len(PANELS)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_what_is_kept_is_found_and_drawn(panel, output):
    run = run_of(output)
    assert FileKind.of(parse_name(run.files[panel.kind].name)) == panel.kind
    canvas = canvas_of(output, run)
    figure = panel.draw(run, canvas)
    assert figure is not None
    assert figure.caption
    assert all((output.root / part.content).is_file() for part in figure.parts if part.content)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_a_run_without_its_file_has_no_such_figure(panel, output):
    run = run_of(output)
    run = RunFiles(run.title, {}, {k: path for k, path in run.files.items() if k != panel.kind})
    assert panel.draw(run, canvas_of(output, run)) is None


def test_images_come_back_with_their_values(output, data):
    files, mask = run_of(output).files, data.bundle.places.mask
    labels = Volume.read(files[COVERAGE_FILE]).values[mask]
    np.testing.assert_array_equal(labels == 1, data.connectomes.covered)
    facts = read_json(sidecar_of(files[COVERAGE_FILE]))
    assert facts["RoiCoverage"] == [round(float(x), 4) for x in data.connectomes.roi_coverage]
    assert facts["Sources"][0].startswith("bids:fmriprep:sub-01/func/")


def test_frames_come_back_with_what_is_not_known(output, data):
    rows = read_rows(run_of(output).files[MOTION.kind])
    assert [row["kept"] == "1" for row in rows] == data.design.keep.tolist()
    assert [rows[0]["framewise_displacement"], rows[1]["framewise_displacement"]] == [
        "n/a",
        "0.1000",
    ]
    assert {row["std_dvars"] for row in rows} == {"n/a"}


def test_the_threshold_of_censoring_is_that_of_the_maps_sidecars(output):
    run = run_of(output)
    canvas = canvas_of(output, run)
    plain = MOTION.draw(run, canvas)
    facts = {"Confounds": {"FdThreshold": 0.05}}
    censored = MOTION.draw(RunFiles(run.title, run.quality, run.files, facts), canvas)
    assert [figure.parts[0].line[2] is None for figure in (plain, censored)] == [True, False]
