"""Figures for print: whose maps, which contrasts, and what the files hold."""

import json
import re

import pytest
from tiny_job import TinyJob

from bids_dtg.cli.run import main

pytest.importorskip("matplotlib", reason="figures need the extra [report]")


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    job = TinyJob(tmp_path_factory.mktemp("figure"))
    assert job.run() == 0
    return job


def draw(job, *words):
    asked = [job.bids, job.out, "group", "--analysis", "figure", *words]
    return main([str(word) for word in asked])


def test_a_participants_contrasts_are_drawn_in_lines_and_letters(job):
    labels = [contrast.label for contrast in job.bundle.contrasts][1::-1]
    assert draw(job, "--contrast", *labels, "--participant-label", "01") == 0
    folder = job.out / "group/figure"
    assert (folder / "sub-01_task-rest_figure.pdf").read_bytes().startswith(b"%PDF")
    svg = (folder / "sub-01_task-rest_figure.svg").read_text()
    for row in job.bundle.contrasts[:2]:
        assert f": {row.name}</text>" in svg or f">{row.name}</text>" in svg
    assert svg.count(">left</text>") == 2
    assert "z=12" in svg
    assert job.bundle.card.notice in svg  # it is not for science
    facts = json.loads((folder / "sub-01_task-rest_figure.json").read_text())
    assert facts["Contrasts"] == labels  # in the order in which they were named
    assert facts["Sources"][0].startswith("bids::sub-01/func/sub-01_task-rest_")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--analysis figure was given without --contrast"),
        (["--contrast", "nothing"], "has no mean maps over participants.*without --analysis"),
        (["--contrast", "nothing", "-l", "01"], "--contrast names nothing, which no map is of"),
        (["--contrast", "x", "-l", "09"], "has no participant 09"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(job, capsys, words, says):
    words = ["--participant-label" if word == "-l" else word for word in words]
    assert draw(job, *words) == 2
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    assert re.search(says, said), said


def test_the_mean_of_the_group_is_drawn_where_nobody_is_named(job, capsys):
    assert main([str(job.bids), str(job.out), "group", "--no-reports"]) == 0
    label = job.bundle.contrasts[0].label
    assert draw(job, "--contrast", label, "--dry-run") == 0
    assert "would draw 1 contrast of desc-groupMean" in capsys.readouterr().out
