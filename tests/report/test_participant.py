from __future__ import annotations

import json

import pytest

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_json
from bids_dtg.report.flags import Flag, flag_counts
from bids_dtg.report.page import load_template
from bids_dtg.report.participant import write_index
from bids_dtg.report.rows import MOST_LISTED, read_rows

PAGE = "network_report.html"


def test_an_output_of_network_models_lists_its_analyses_and_no_participants(tmp_path):
    generated_by = [{"Name": "bids_dtg", "Workflow": "dynamics"}]
    description = {"Name": "x", "BIDSVersion": "1.9.0", "GeneratedBy": generated_by}
    (tmp_path / "dataset_description.json").write_text(json.dumps(description))
    for name in ("train-a", "fixed points"):
        (tmp_path / "group" / name).mkdir(parents=True)
        (tmp_path / "group" / name / PAGE).write_text("")
    (tmp_path / "group" / "train-a" / "statistics_report.html").write_text("")
    write_index(DerivativeDataset(tmp_path))
    page = (tmp_path / "index.html").read_text("utf-8")
    assert '<a href="group/train-a/statistics_report.html">train-a</a>' in page
    assert f'<a href="group/train-a/{PAGE}">train-a</a>' in page
    assert f'<a href="group/fixed%20points/{PAGE}">fixed points</a>' in page
    assert "Dynamics of resting-state activity" in page
    assert "articipant" not in page


def test_the_index_repeats_that_a_model_is_not_for_science(tmp_path):
    (tmp_path / "dataset_description.json").write_text("{}")
    head = "<meta name=\"bids-dtg-flags\" content='{}'>"
    counts = flag_counts(())
    report = tmp_path / "sub-01.html"
    (tmp_path / "sub-02.html").mkdir()  # it cannot be read
    report.write_text(head.format(json.dumps(counts)))
    write_index(DerivativeDataset(tmp_path))
    page = (tmp_path / "index.html").read_text("utf-8")
    assert page.count(">Good<") == 1
    report.write_text(head.format(json.dumps({**counts, "model": "Demo model <b>"})))
    write_index(DerivativeDataset(tmp_path))
    page = (tmp_path / "index.html").read_text("utf-8")
    assert ">Good<" not in page
    assert page.index("Demo model &lt;b&gt;.") < page.index(
        "None of 1 report flags a problem with"
    )


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (["note"], "1 note"),
        (["problem", "warning"], "2 further flags"),
        (["warning", "note", "note"], "1 further flag, 2 notes"),
    ],
)
def test_notes_are_not_counted_as_flags_as_on_the_index(levels, words):
    flags = [Flag(level, f"Text {number}") for number, level in enumerate(levels)]
    part = load_template("quality.html").render(facts={"figures": [], "flags": flags})
    assert f"<summary>{words}</summary>" in part


def test_where_all_failed_the_index_advises_to_run_again_and_not_to_average(tmp_path):
    (tmp_path / "dataset_description.json").write_text("{}")
    text = f"t.tsv lacks {'trans_x, ' * 99}. To do: choose another strategy."
    counts = flag_counts([Flag("failed", text)])
    head = f"<meta name=\"bids-dtg-flags\" content='{json.dumps(counts)}'>"
    (tmp_path / "sub-01.html").write_text(head)
    output = DerivativeDataset(tmp_path)
    write_index(output)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "trans_x, [...] To do: choose another strategy." in page
    assert "then give the same command again" in page
    assert "bids_dtg . . group" not in page
    assert "results are in" not in page
    # Of another session.
    (tmp_path / "logs/complete").mkdir(parents=True)
    write_json(tmp_path / "logs/complete/sub-01_ses-2_task-rest.json", {})
    write_index(output)
    assert "bids_dtg . . group" in (tmp_path / "index.html").read_text("utf-8")


def test_what_another_job_changes_meanwhile_is_in_the_index(tmp_path, monkeypatch):
    write_reports(tmp_path, 2)
    (tmp_path / "sub-0002.html").symlink_to("removed")
    changes = [
        lambda: (tmp_path / "group.html").touch(),
        lambda: (tmp_path / "sub-0000.html").unlink(),
    ]

    def write_late(path, text):
        if changes:
            changes.pop(0)()
        path.write_text(text, "utf-8")

    monkeypatch.setattr("bids_dtg.report.participant.write_text", write_late)
    write_index(DerivativeDataset(tmp_path))
    page = (tmp_path / "index.html").read_text("utf-8")
    assert 'href="group.html"' in page
    assert "sub-0000" not in page
    assert "sub-0001" in page


def write_reports(root, people: int, text: str = "Much motion") -> None:
    """Write what the index reads of reports: every fifth flags a problem, sub-0003 failed."""
    (root / "dataset_description.json").write_text("{}")
    for number in range(people):
        flags = [Flag("problem", text)] if number % 5 == 0 else []
        if number == 3:
            flags = [Flag("failed", text)]
        counts = json.dumps(flag_counts(flags)).replace("'", "\\u0027")
        head = f"<meta name=\"bids-dtg-flags\" content='{counts}'>"
        (root / f"sub-{number:04d}.html").write_text(head)


def test_the_rows_of_many_participants_are_in_a_script(tmp_path):
    text = """</script>'"\\<!--"""
    write_reports(tmp_path, MOST_LISTED + 1, text)
    output = DerivativeDataset(tmp_path)
    write_index(output)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert '<script src="index.js"></script>' in page
    assert "1 participant failed" in page
    assert "41 of 201 reports flag a problem" in page
    # Without a script, those who failed are listed.
    assert 'href="sub-0003.html"' in page
    assert 'href="sub-0005.html"' not in page
    script = tmp_path / "index.js"
    assert "<" not in script.read_text("utf-8")
    rows = read_rows(script)["people"]
    assert len(rows) == MOST_LISTED + 1
    kind, (person, *figures, words), _ = rows[3]
    assert (kind, words["t"]) == ("failed", f"Failed: {text}")
    assert figures == ["n/a"] * 3
    assert person == {"t": "sub-0003", "h": "sub-0003.html"}
    # Rows without changes stay as they are.
    before = script.read_bytes()
    write_index(output)
    assert script.read_bytes() == before
    # A report that changes is read again, and a script that somebody edited is written again.
    (tmp_path / "sub-0003.html").write_text("")
    write_index(output)
    assert "participant failed" not in (tmp_path / "index.html").read_text("utf-8")
    script.write_text("edited")
    write_index(output)
    assert len(read_rows(script)["people"]) == MOST_LISTED + 1
    # With fewer, the page lists them itself.
    (tmp_path / "sub-0000.html").unlink()
    write_index(output)
    assert not script.exists()
    assert 'href="sub-0005.html"' in (tmp_path / "index.html").read_text("utf-8")


def write_pictured(root, people: int) -> None:
    """Write reports that tell the index minutes, motion, coverage and a picture."""
    (root / "dataset_description.json").write_text("{}")
    facts = {"minutes": 2.13, "motion": None, "coverage": 0.987}
    facts |= {"picture": "figures/a%20b.webp", "pictured": "Movement: <hand>"}
    counts = {**flag_counts([Flag("problem", "2.1 minutes are left")]), **facts}
    for number in range(people):
        head = f"<meta name=\"bids-dtg-flags\" content='{json.dumps(counts)}'>"
        (root / f"sub-{number:04d}.html").write_text(head)


def test_the_index_says_of_each_participant_what_decides_on_its_use(tmp_path):
    write_pictured(tmp_path, 50)
    write_index(DerivativeDataset(tmp_path))
    page = (tmp_path / "index.html").read_text("utf-8")
    row = page.split("<tr>")[-1]
    for cell in ('data-value="2.13">2.1<', ">n/a<", ">0.987<"):
        assert cell in row
    assert ">Do not use: 2.1 minutes are left<" in row
    assert '<img src="figures/a%20b.webp"' in row
    assert "Movement: &lt;hand&gt;" in page
    # The next step can be copied, and no document is named that an installed user lacks.
    assert '<code id="next">bids_dtg . . group</code>' in page
    assert "docs/" not in page
    # More people's pictures would be too much for a page.
    write_pictured(tmp_path, 51)
    write_index(DerivativeDataset(tmp_path))
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "<img" not in page
    assert page.count("Do not use: 2.1 minutes are left") == 51
