from __future__ import annotations

import json

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.report.flags import flag_counts
from bids_dtg.report.participant import write_index

PAGE = "network_report.html"


def test_an_output_of_network_models_lists_its_analyses_and_no_participants(tmp_path):
    made = [{"Name": "bids_dtg", "Workflow": "dynamics"}]
    description = {"Name": "x", "BIDSVersion": "1.9.0", "GeneratedBy": made}
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
