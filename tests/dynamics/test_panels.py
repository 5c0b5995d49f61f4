"""Pages of runs of the network model: what each panel shows, and what is said to be missing."""

from __future__ import annotations

import re

import pytest
from network_output import names_of, new_output, write_run

from bids_dtg.dynamics.panels import (
    EFFECTIVE,
    FUNCTIONAL,
    PANELS,
    PRESENTATION,
)
from bids_dtg.report.contents import RunFiles, find_participant
from bids_dtg.report.pages.participant import write_participant_report
from bids_dtg.report.panels.panel import Canvas, Figure, Panel
from bids_dtg.report.parcels import CARPET, COVERAGE

pytest.importorskip("PIL", reason="reports need the extra [report]")
pytest.importorskip("jinja2", reason="reports need the extra [report]")

REGIONS = 20


def run_of(dataset, label="01") -> RunFiles:
    found = find_participant(dataset, label, PRESENTATION.run_files, results=PRESENTATION.results)
    (run,) = found.runs
    return run


def draw(panel: Panel, dataset) -> Figure | None:
    run = run_of(dataset)
    return panel.draw(run, Canvas(dataset, dataset.root / "sub-01/figures", run.title))


@pytest.fixture
def output(tmp_path):
    return new_output(tmp_path / "out")


def test_a_run_without_its_file_has_no_such_figure(output):
    write_run(output, names=names_of(REGIONS))
    run = run_of(output)
    canvas = Canvas(output, output.root / "sub-01/figures", run.title)
    for panel in PANELS:
        assert panel.draw(run, canvas) is not None, panel.name
        without = {kind: path for kind, path in run.files.items() if kind != panel.kind}
        assert panel.draw(RunFiles(run.title, {}, without), canvas) is None, panel.name


def test_frames_that_were_left_out_are_shaded_in_the_carpet(output):
    write_run(output, names=names_of(REGIONS), frames=200, censored=10, lost=2)
    figure = draw(CARPET, output)
    plot = figure.pieces[0]
    assert [(part.start, part.size) for part in plot.dropped] == [(0.0, 2.0), (50.0, 5.0)]
    assert [label.text for label in plot.ticks] == ["0", "1", "2", "3", "4", "5", "6"]
    assert "14 of 200 frames were left out" in figure.caption
    assert "2 parcels without a series" in figure.caption


def test_the_worst_parcels_are_listed_first(output):
    names = names_of(REGIONS)
    write_run(output, names=names, lost=3)
    figure = draw(COVERAGE, output)
    listed = [row[0] for row in figure.pieces[1].rows]
    assert set(listed[:3]) == set(names[-3:])
    assert len(listed) <= 10
    assert "3 parcels without a series" in figure.caption


def test_a_page_shows_every_panel_and_loads_nothing_from_elsewhere(output):
    write_run(output, names=names_of(REGIONS))
    page = write_participant_report(output, "01", {}).read_text()
    for panel in PANELS:
        assert f">{panel.title}</h3>" in page
    assert "Series and functional connectivity of 20 parcels from 1 run of rest" in page
    assert "The model was fitted to 30 participants." in page
    assert not re.search(r"(src|href)=\"(https?:|/|file:)", page)
    assert str(output.root) not in page


def test_a_page_says_what_is_missing_and_why(output):
    write_run(output, names=names_of(REGIONS), modelled=False, structural=False)
    page = write_participant_report(output, "01", {}).read_text()
    assert "No effective connectivity: no model was given (--model)." in page
    assert "Effective connectivity</h3>" not in page
    assert "Structural connectome</h3>" not in page
    assert "<dt>Atlas</dt><dd>Toy</dd>" in page


def test_damaged_files_leave_a_page_without_their_panels(output):
    write_run(output, names=names_of(REGIONS))
    run = run_of(output)
    for kind in (CARPET.kind, FUNCTIONAL.kind, EFFECTIVE.kind):
        run.files[kind].write_bytes(b"\xff\xfe\x00")
    page = write_participant_report(output, "01", {}).read_text()
    assert "Series of the parcels" not in page
    assert "Structural connectome" in page


def test_lost_parcels_are_flagged_by_name(output):
    names = names_of(REGIONS)
    write_run(output, names=names, lost=7)
    page = write_participant_report(output, "01", {}).read_text()
    assert "7 parcels without a series, for want of signal" in page
    assert f"{names[-7]}, " in page
    assert "and 2 more" in page
