"""Pages of participants of the twin: what is shown of averages, and what is said to be missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from network_job import network_bold, slabs
from twin_job import FACES, STROOP, TwinJob

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.report.contents import RunFiles, find_participant
from bids_dtg.report.participant import write_participant_report
from bids_dtg.stats.verdict import NO_EVIDENCE
from bids_dtg.twin.panels import averages, behaviour
from bids_dtg.twin.panels.averages import PRESENTATION

TITLES = ("Behaviour", "Response times", "Time series of the mean trial", "Edges")


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> TwinJob:
    """Return two runs of a person who did both tasks, and runs of one who did none."""
    twin_job = TwinJob(tmp_path_factory.mktemp("twins"), ("02",))
    for number in (1, 2):
        twin_job.add_run("01", entities=f"run-{number}", seed=number)
    dead = network_bold(3)
    dead[slabs() == 3] = 0
    twin_job.add_run("03", entities="run-1", bold=dead)
    twin_job.add_run("03", entities="run-2", bold=network_bold(4, 30), frames=30)
    for task in (FACES, STROOP):
        twin_job.give("01", task)
    people = ("--participant-label", "01", "02")
    assert (
        twin_job.run(
            "--model", twin_job.model(), *people, out=twin_job.folder / "modelled"
        )
        == 0
    )
    alone = ("--participant-label", "03", "--min-minutes", 3)
    assert twin_job.run(*alone, out=twin_job.folder / "alone") == 0
    return twin_job


@pytest.fixture
def output(job, tmp_path) -> DerivativeDataset:
    """Return a copy of the output with a model, which a test may change."""
    return DerivativeDataset(
        Path(shutil.copytree(job.folder / "modelled", tmp_path / "out"))
    )


def page_of(output: DerivativeDataset, label: str = "01") -> str:
    return write_participant_report(output, label, {}).read_text()


def made_of(output: DerivativeDataset) -> RunFiles:
    (average,) = find_participant(
        output,
        "01",
        PRESENTATION.run_files,
        results=PRESENTATION.results,
        average_kinds=PRESENTATION.average_kinds,
    ).combined
    return average


def shown(page: str) -> list[str]:
    return [title for title in TITLES if f">{title}" in page]


@pytest.mark.slow
def test_a_page_shows_every_panel_and_loads_nothing_from_elsewhere(output):
    page = page_of(output)
    assert shown(page) == list(TITLES)
    for panel in PRESENTATION.panels:
        assert page.count(f">{panel.title}</h3>") == 2  # a run each
    section = page.partition('id="set-1"')[2].partition("</section>")[0]
    assert NO_EVIDENCE in section
    assert "is a prediction, not a measurement" in section
    assert not re.search(r"(src|href)=\"(https?:|/|file:)", page)
    assert str(output.root) not in page


def test_without_a_model_there_is_a_connectome_alone(job, tmp_path):
    page = page_of(
        DerivativeDataset(
            Path(shutil.copytree(job.folder / "alone", tmp_path / "out"))
        ),
        "03",
    )
    assert shown(page) == ["Edges"]
    assert "No predicted behaviour: no model was given (--model)." in page
    assert "sub-03_task-rest_run-2 was left out." in page
    assert "1 parcel without a series" in page
    assert "5 edges without a value, blank" in page


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00", b"name\tvalue\na\n"])
def test_damaged_files_leave_a_line_instead_of_their_panels(output, content):
    average = made_of(output)
    for kind in (averages.RELMAT, behaviour.SERIES):
        path = average.files[kind]
        path.unlink() if content is None else path.write_bytes(content)
    page = page_of(output)
    assert shown(page) == ["Behaviour"]
    assert "The connectome cannot be read: its file was removed or is damaged." in page
    assert "No time series of trials: their file was removed or is damaged." in page
