"""A workflow presents its results by words, quality columns and panels of its own."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from maps_job import FRAMES, TR, TinyJob

from bids_dtg import workflows
from bids_dtg.connectome.quality import QualityMetric
from bids_dtg.contrasts.panels.group_page import MeanMapFiles, write_group_page
from bids_dtg.contrasts.panels.presentation import PRESENTATION as MAPS
from bids_dtg.errors import DatasetError
from bids_dtg.files.derivatives import DatasetWords, DerivativeDataset, SourceDataset
from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_json, read_rows, tsv_text
from bids_dtg.report.contents import RunFiles
from bids_dtg.report.figures import Figure, Picture
from bids_dtg.report.methods import MethodsWords
from bids_dtg.report.panels import MOTION
from bids_dtg.report.participant import write_index, write_participant_report
from bids_dtg.report.presentation import (
    Canvas,
    Panel,
    PanelFile,
    Presentation,
    presentation_of,
    write_panel_files,
)
from bids_dtg.settings import Settings
from bids_dtg.workflows import Workflow

ENTITIES = {"sub": "01", "task": "rest"}
PULSE = FileKind("physio", "pulse", ".tsv")


def pulse_file(data: object) -> PanelFile:
    table = tsv_text(["beats"], [[60 + n] for n in range(3)])
    return PanelFile(PULSE, table.encode(), {})


def draw(run: RunFiles, canvas: Canvas) -> Figure | None:
    path = run.files.get(PULSE)
    if path is None:
        return None
    beats = [row["beats"] for row in read_rows(path)]
    parts = [Picture(canvas("pulse", b"picture"), "a pulse")]
    return Figure(caption=f"Beats: {beats}", parts=parts)


PULSES = Presentation(
    dataset=DatasetWords(
        "Pulses at rest", "Cite the program.\n\nprogram\n", "Pulses\n", "toy"
    ),
    title="Pulses",
    about="Made up.",
    methods=lambda bundle, outputs: MethodsWords(
        "Pulses were made", "a toy", "", "", ""
    ),
    subtitle=lambda files: f"{len(files.runs)} pulse",
    columns=(
        QualityMetric("pulse", "Beats a minute", heading="Pulse", summary="{:.0f}"),
    ),
    panels=(MOTION, Panel("The pulse", PULSE, draw, pulse_file)),
)


def nothing(settings: Settings) -> int:
    return 0


ROW = Workflow(
    name="toy",
    help="pulses",
    participants=nothing,
    participants_read=(),
    analyses={},
    recipes=(),
    presentation=lambda: PULSES,
)


@pytest.fixture
def toy(monkeypatch) -> Presentation:
    """A workflow that measures a pulse: its row is in the table for a test."""
    monkeypatch.setattr(workflows, "WORKFLOWS", {**workflows.WORKFLOWS, "toy": None})
    monkeypatch.setitem(sys.modules, "bids_dtg.toy.row", sys.modules[__name__])
    return PULSES


def described(folder, presentation) -> DerivativeDataset:
    """Describe an output of a workflow."""
    job = TinyJob(folder)
    dataset, source = (
        DerivativeDataset(job.out),
        SourceDataset(job.bids, "fmriprep", {}, job.bids),
    )
    dataset.describe(source, presentation.dataset)
    return dataset


@pytest.fixture
def output(tmp_path, toy) -> DerivativeDataset:
    dataset = described(tmp_path, toy)
    figures = {column.name: None for column in toy.quality_columns}
    figures |= {
        "participant_id": "sub-01",
        "task_id": "rest",
        "frames": 60,
        "frames_kept": 60,
    }
    figures["pulse"] = 64
    confounds = SimpleNamespace(
        fd_mm=np.full(FRAMES, 0.1), std_dvars=None, measured_fd_mm=None
    )
    design = SimpleNamespace(keep=np.ones(FRAMES, bool), tr_seconds=TR)
    data = SimpleNamespace(design=design, confounds=confounds)
    files = (toy.quality_file(figures), *toy.panel_files(data))
    list(write_panel_files(files, ENTITIES, dataset))
    return dataset


def test_an_output_says_which_workflow_made_it(output, toy):
    description = read_json(output.root / "dataset_description.json")
    assert description["Name"] == "Pulses at rest"
    assert description["GeneratedBy"][0]["Workflow"] == "toy"
    assert presentation_of(output) is toy
    assert (output.root / "README").read_text().startswith("Pulses")
    assert "program" in description["HowToAcknowledge"]


def test_an_output_that_names_none_is_of_the_default(tmp_path):
    assert presentation_of(DerivativeDataset(tmp_path)) is MAPS


def test_an_output_of_a_workflow_that_is_not_known_is_refused(output, monkeypatch):
    monkeypatch.undo()
    with pytest.raises(
        DatasetError, match=r"by the workflow 'toy'\. Expected: one of contrasts, "
    ):
        write_participant_report(output, "01", {})


def test_a_page_has_the_panels_and_columns_of_its_workflow_only(output):
    page = write_participant_report(output, "01", {}).read_text()
    assert ">The pulse</h3>" in page
    assert "Beats: [&#39;60&#39;, &#39;61&#39;, &#39;62&#39;]" in page
    assert "<dt>Pulse</dt>\n<dd>64</dd>" in page
    assert ">Quality</a>" in page
    assert "Registration" not in page
    assert "maps" not in page.split("<main")[1].split("</main>")[0]
    (output.root / "group/a").mkdir(parents=True)
    (output.root / "group/a/pulse_report.html").write_text("")
    write_index(output)
    index = (output.root / "index.html").read_text()
    assert "<h1>Pulses</h1>" in index
    assert "Made up. 1 participant." in index
    assert '<a href="group/a/pulse_report.html">a</a>' in index


def test_the_group_page_shows_its_columns(output):
    rows = [
        {"participant_id": "sub-01", "task_id": "rest", "pulse": "64", "coverage": "1"}
    ]
    page = write_group_page(output, rows, {}, (), {}, MeanMapFiles()).read_text()
    assert "Pulse" in page
    assert "Coverage of the model" not in page
