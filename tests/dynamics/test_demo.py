"""The demo: images of simulated people, a core of most of them, and the page of a new one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bids_dtg.cli.demo import main
from bids_dtg.dynamics.demo import DemoSize, run_core_demo
from bids_dtg.files.text import read_rows


@pytest.mark.slow
def test_a_small_demo_goes_from_images_to_the_page_of_a_new_person(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    failed = run_core_demo(out, participants=6, size=DemoSize(regions=4, frames=180))
    assert not failed, capsys.readouterr().err
    folder = out / "study" / "group" / "model-demo"
    card = json.loads((folder / "bundle" / "model.json").read_text())
    assert (card["kind"], card["people"], card["regions"]) == ("linear-dynamics", 5, 4)
    # The last person is described by a core that has not seen it.
    assert not list((out / "study").glob("sub-sim06*"))
    assert list((out / "new" / "sub-sim06").rglob("*_desc-lag1_relmat.tsv"))
    page = (out / "new" / "sub-sim06.html").read_text()
    assert "<html" in page
    rows = read_rows(out / "demo.tsv")
    assert [row["description"].split()[-1] for row in rows] == ["run", "itself", "people"]
    assert all(-1 <= float(row["r"]) <= 1 for row in rows)
    assert "SIMULATED sub-sim06" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--participants", "5"), "--participants is 5. Expected: 6 to 99"),
        (("--published", "--participants", "1"), "--participants is 1. Expected: 2 to 99"),
        (
            ("--workflow", "twin", "--published"),
            "--published was given with --workflow twin, which has one form alone. Expected: "
            "--workflow dynamics",
        ),
    ],
)
def test_a_demo_that_cannot_be_is_refused(
    words: tuple[str, ...],
    found: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([str(tmp_path / "out"), "--workflow", "dynamics", *words]) == 2
    assert found in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
