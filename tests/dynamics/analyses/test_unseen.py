"""Evaluation of a network model on people outside its training set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_networks import PEOPLE, REGIONS, arguments, write_networks

from bids_dtg.cli.run import main
from bids_dtg.dynamics.analyses.unseen import unseen_sections
from bids_dtg.files.text import read_rows
from bids_dtg.stats.paired import Interval

SMALL = ("--epochs", "1", "--states", "2", "--region-parameters", "2")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return an evaluation's folder, and the arrays: fitted to one person, evaluated on three."""
    folder = tmp_path_factory.mktemp("unseen")
    arrays = write_networks(
        folder / "arrays", regions=REGIONS[::2], people=(PEOPLE, PEOPLE), frames=(90, 90)
    )
    out = folder / "out"
    assert main(arguments(arrays, out, "train", *SMALL, "--participant-label", PEOPLE[0])) == 0
    model = ("--model", str(out / "group" / "model-own" / "bundle"))
    assert main(arguments(arrays, out, "evaluate", *model, "--simulations", "2")) == 0
    return out / "group" / "evaluation-own", str(arrays)


def test_only_people_outside_the_training_set_are_judged(judged: tuple[Path, str]) -> None:
    folder, _ = judged
    rows = read_rows(folder / "desc-unseen_scores.tsv")
    assert {row["people"] for row in rows} == {"3"}
    assert not (folder / "desc-connectivity_scores.tsv").exists()
    meanings = json.loads((folder / "desc-unseen_scores.json").read_text())
    assert list(meanings) == ["Description", *rows[0]]


def test_each_figure_of_the_model_stands_beside_those_of_simple_models(
    judged: tuple[Path, str],
) -> None:
    rows = read_rows(judged[0] / "desc-unseen_scores.tsv")
    found = {(row["name"], row["figure"], row["session"]): float(row["score"]) for row in rows}
    for session in ("REST1", "REST2"):
        for figure in ("nll_1", "nll_10", "r2_5", "fit"):
            assert ("model", figure, session) in found
            assert ("var_1", figure, session) in found
        assert ("model", "elbo", session) in found
        assert ("persistence", "nll_1", session) in found
    assert {"white_noise", "global_signal", "group", "other_person", "own_session"} <= {
        name for name, _, _ in found
    }
    assert ("model", "icc_theta_2", "REST2") in found
    assert found[("own_session", "fit", "REST1")] > found[("white_noise", "fit", "REST1")]


def test_few_people_decide_nothing(judged: tuple[Path, str]) -> None:
    page = (judged[0] / "network_report.html").read_text()
    assert "No verdict with 3 participants (8 are needed)" in page
    assert "outside its training set" in page


@pytest.mark.parametrize("analysis", ["simulate", "fixed-points"])
def test_other_analyses_take_people_it_never_saw(
    analysis: str, judged: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, arrays = judged
    out = folder.parent.parent
    model = ("--model", str(out / "group" / "model-own" / "bundle"), "--simulations", "2")
    words = (*model, "--participant-label", PEOPLE[1], "--dry-run")
    assert main(arguments(Path(arrays), out, analysis, *words)) == 0
    assert "1 participant" in "".join(capsys.readouterr())


def test_what_is_better_than_the_model_is_marked_whatever_the_direction() -> None:
    def row(name: str, figure: str, verdict: str | None) -> dict[str, object]:
        what = "model" if verdict is None else "baseline"
        own = {"name": name, "words": name, "what": what, "figure": figure, "session": "REST1"}
        own |= {"people": 12, "score": Interval(0.5, 0.4, 0.6)}
        return own if verdict is None else {**own, "verdict": verdict}

    rows = [
        row(name, figure, verdict)
        for figure in ("fit", "nll_1", "r2_1")
        for name, verdict in (("the network model", None), ("one", "worse"), ("two", "better"))
    ]
    tables = [table for section in unseen_sections(rows) for table in section.tables]
    marks = [tuple(table.better) for table in tables]
    assert marks == [(("one", "REST1"),), (("one", "1 ahead"),), (("one", "1 ahead"),), ()]
