"""Pages of runs of parcels: what each panel shows, and what is said to be missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from network_job import NetworkJob, network_bold, slabs, write_core

from bids_dtg.dynamics.panels import EFFECTIVE, FUNCTIONAL, PANELS, PRESENTATION
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.report.contents import RunFiles, find_participant
from bids_dtg.report.panels import CARPET
from bids_dtg.report.participant import write_participant_report


@pytest.fixture(scope="module")
def finished_output(tmp_path_factory) -> Path:
    """Return an output with a core's results and structural connectomes."""
    job = NetworkJob(tmp_path_factory.mktemp("networks"), ("01",))
    options = ("--model", write_core(job.folder / "core"))
    assert job.run(*options, "--structural-connectivity", job.structural) == 0
    return job.out


@pytest.fixture
def output(finished_output, tmp_path) -> DerivativeDataset:
    return DerivativeDataset(Path(shutil.copytree(finished_output, tmp_path / "out")))


def run_of(output: DerivativeDataset) -> RunFiles:
    participant = find_participant(
        output, "01", PRESENTATION.run_files, results=PRESENTATION.results
    )
    (run,) = participant.runs
    return run


def page_of(output: DerivativeDataset) -> str:
    return write_participant_report(output, "01", {}).read_text()


def test_a_page_shows_every_panel_and_loads_nothing_from_elsewhere(output):
    page = page_of(output)
    for panel in PANELS:
        assert f">{panel.title}</h3>" in page
    assert "6 parcels" in page
    assert not re.search(r"(src|href)=\"(https?:|/|file:)", page)
    assert str(output.root) not in page


def test_damaged_files_leave_a_page_without_their_panels(output):
    run = run_of(output)
    for kind in (CARPET.kind, FUNCTIONAL.kind, EFFECTIVE.kind):
        run.files[kind].write_bytes(b"\xff\xfe\x00")
    page = page_of(output)
    assert "Series of the parcels" not in page
    assert "Structural connectome" in page


@pytest.mark.slow
def test_without_a_model_a_page_says_what_is_missing_and_which_parcels_were_lost(
    tmp_path,
):
    job = NetworkJob(tmp_path, ())
    bold = network_bold(0)
    bold[slabs() == 3] = 0
    job.add_run("01", bold=bold)
    assert job.run() == 0
    page = page_of(DerivativeDataset(job.out))
    assert "No effective connectivity: no model was given (--model)." in page
    assert "Effective connectivity</h3>" not in page
    assert "1 parcel without a series" in page
    assert "LH_Default" in page
