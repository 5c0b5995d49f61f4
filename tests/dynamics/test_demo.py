"""The demo: images of simulated people, a core of most of them, and the page of a new one."""

from __future__ import annotations

import json
from argparse import Namespace

import pytest

from bids_dtg.dynamics.row import ROW
from bids_dtg.files.text import read_rows


@pytest.mark.slow
def test_a_small_demo_goes_from_images_to_the_page_of_a_new_person(tmp_path, capsys):
    out = tmp_path / "demo"
    failed = ROW.demo.run(Namespace(out=out, participants=6, seed=0))
    assert not failed, capsys.readouterr().err
    folder = out / "study" / "group" / "model-demo"
    card = json.loads((folder / "bundle" / "model.json").read_text())
    assert (card["kind"], card["people"], card["regions"]) == ("linear-dynamics", 5, 20)
    assert (card["for_science"], card["notice"]) == (
        False,
        "SIMULATED people: not for science",
    )
    assert "Mejia" in card["citation"]
    # The last person is described by a core that has not seen it.
    assert not list((out / "study").glob("sub-sim06*"))
    assert list((out / "new" / "sub-sim06").rglob("*_desc-lag1_relmat.tsv"))
    for name in ("new/sub-sim06.html", "new/index.html", "new/README", "study/README"):
        assert "SIMULATED people: not for science" in (out / name).read_text(), name
    for name in ("study/sub-sim01.html", "study/index.html", "study/group/model-demo"):
        path = out / name
        path = path / "network_report.html" if path.is_dir() else path
        assert "SIMULATED people: not for science" in path.read_text(), name
    described = json.loads((out / "new" / "dataset_description.json").read_text())
    assert any(
        "Yule-Walker" in work or "Mejia" in work
        for work in described["ReferencesAndLinks"]
    )
    assert "Sip" not in json.dumps(described) + (out / "new/README").read_text()
    rows = read_rows(out / "demo.tsv")
    assert [row["description"].split()[-1] for row in rows] == [
        "run",
        "connectivity",
        "people",
    ]
    assert all(-1 <= float(row["r"]) <= 1 for row in rows)
    assert "SIMULATED sub-sim06" in capsys.readouterr().out
    page = (out / "index.html").read_text()
    assert f"{float(rows[1]['r']):.2f}" in page
    assert 'href="new/sub-sim06.html"' in page
