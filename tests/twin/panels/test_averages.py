"""Pages of participants of the twin: what is shown of averages, and what is said to be missing."""

from __future__ import annotations

import re

import pytest
from twin_output import PRESENTATION, TASKS, names_of, new_output, write_participant

from bids_dtg.files.text import read_rows
from bids_dtg.report.contents import find_participant
from bids_dtg.report.pages.participant import write_participant_report
from bids_dtg.stats.verdict import NO_EVIDENCE
from bids_dtg.twin.panels import averages, behaviour

pytest.importorskip("PIL", reason="reports need the extra [report]")
pytest.importorskip("jinja2", reason="reports need the extra [report]")

NAMES = names_of(28)
TITLES = (
    "Behaviour",
    "Response times",
    "Time series of the mean trial",
    "Edges",
)


@pytest.fixture
def output(tmp_path):
    return new_output(tmp_path / "out")


def page_of(output) -> str:
    return write_participant_report(output, "01", {}).read_text()


def made_of(output):
    found = find_participant(
        output,
        "01",
        PRESENTATION.run_files,
        results=PRESENTATION.results,
        of_averages=PRESENTATION.of_averages,
    )
    (made,) = found.combined
    return made


def shown(page: str) -> list[str]:
    return [title for title in TITLES if f">{title}" in page]


def test_a_page_shows_every_panel_and_loads_nothing_from_elsewhere(output):
    write_participant(output, names=NAMES)
    page = page_of(output)
    assert shown(page) == list(TITLES)
    for panel in PRESENTATION.panels:
        assert page.count(f">{panel.title}</h3>") == 2  # a run each
    assert "Connectome of 28 parcels from 2 runs of rest, and predicted behaviour by" in page
    assert "The model was fitted to 30 participants." in page
    assert "Mean of 2 runs, weighted by residual degrees of freedom." in page
    assert not re.search(r"(src|href)=\"(https?:|/|file:)", page)
    assert str(output.root) not in page


def test_numbers_shown_are_those_of_the_table(output):
    write_participant(output, names=NAMES)
    made = made_of(output)
    path = made.files[behaviour.FILE]
    rows = read_rows(path)
    text = path.read_text()
    assert text.count("\t0.68\t") == 2  # the person's mean, a row a task
    path.write_text(text.replace("\t0.68\t", "\t0.612\t"))
    page = page_of(output)
    assert page.count('<td class="number">0.612</td>') == 2
    assert '<td class="number">0.680</td>' not in page
    assert [row["condition"] for row in rows][:3] == [*TASKS["faces"][0], behaviour.EFFECT]
    assert "faces: face less shape" in page


def test_without_own_behaviour_the_person_is_not_spoken_for(output):
    write_participant(output, names=NAMES, own=False)
    page = page_of(output)
    assert shown(page) == list(TITLES)
    assert "Person, mean (s)" not in page
    assert "Trials of faces and stroop are those of another participant" in page
    assert page.count("The person has no responses.") == 2
    assert "<title>person</title>" not in page


def test_without_a_model_nothing_is_predicted(output):
    write_participant(output, names=NAMES, modelled=False)
    page = page_of(output)
    assert "Response time, twin (s)" not in page
    assert "No predicted behaviour: no model was given (--model)." in page
    assert NO_EVIDENCE not in page.partition("<main")[2]
    assert "Connectome of 28 parcels from 2 runs of rest" in page
    assert "No time series of trials" not in page


def test_a_connectome_alone_has_a_page(output):
    left = {"sub-01_ses-1_task-rest_run-3": "Only 1.2 minutes are left."}
    write_participant(output, names=NAMES, modelled=False, lost=2, left_out=left)
    page = page_of(output)
    assert shown(page) == ["Edges"]
    assert "sub-01_ses-1_task-rest_run-3 was left out. Only 1.2 minutes are left." in page
    assert "2 parcels without a series, for want of signal" in page
    assert "53 edges without a value, blank" in page  # of 2 parcels: 2 * 26 + 1


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00", b"name\tvalue\na\n"])
def test_damaged_files_leave_a_line_instead_of_their_panels(output, content):
    write_participant(output, names=NAMES)
    made = made_of(output)
    for kind in (averages.FILE, behaviour.SERIES):
        path = made.files[kind]
        path.unlink() if content is None else path.write_bytes(content)
    page = page_of(output)
    assert shown(page) == ["Behaviour"]
    assert "The connectome cannot be read: its file was removed or is damaged." in page
    assert "No time series of trials: their file was removed or is damaged." in page


def test_sidecars_of_other_kinds_do_no_harm(output):
    write_participant(output, names=NAMES)
    for kind in (averages.FILE, behaviour.FILE):
        made_of(output).files[kind].with_suffix(".json").write_text(
            '{"Runs": [1], "ExcludedRuns": "x", "Notes": 3,'
            ' "ModelTraining": "y", "RunsWeightedBy": []}'
        )
    assert shown(page_of(output)) == list(TITLES)


def test_words_from_files_are_escaped(output):
    evil = "<script>alert(1)</script>"
    tasks = {evil: (("a&b", "<i>c</i>"), 40, 2.0)}
    write_participant(output, names=[evil, *NAMES[1:]], tasks=tasks, lost=len(NAMES) - 1)
    page = page_of(output)
    assert "<script>alert(1)" not in page
    assert "<i>c</i>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;: a&amp;b" in page


def test_charts_are_in_the_order_of_the_table_and_part_buttons_by_the_sign(output):
    write_participant(output, names=NAMES)
    made = made_of(output)
    header, *lines = made.files[behaviour.SERIES].read_text().splitlines()
    lines.sort()  # as by name: face before shape
    made.files[behaviour.SERIES].write_text("\n".join([header, *lines]) + "\n")
    figure = behaviour.draw_trial_series(made, canvas=None)
    titles = [piece.title.partition(" (")[0] for piece in figure.pieces]
    assert titles == [f"{task}: {name}" for task, row in TASKS.items() for name in row[0]]
    chart = figure.pieces[0].chart
    zero = next(y for y, text in chart.y_ticks if text == "0.0")
    another, correct = re.findall(r"M([^M]+)", chart.marks[0].line)
    assert float(correct.split()[-1]) < zero < float(another.split()[-1])
