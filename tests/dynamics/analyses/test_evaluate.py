"""Linear cores are evaluated on new people, against simpler predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from series_arrays import PEOPLE, REGIONS, arguments, write_series

from bids_dtg.cli.run import main
from bids_dtg.dynamics.analyses.evaluate import (
    score_section,
    score_table,
    score_warnings,
)
from bids_dtg.dynamics.judging.predictions import ANOTHER, MODEL, Judge, Scored
from bids_dtg.dynamics.networks import PeopleSeries, standardised
from bids_dtg.files.text import read_rows

pytestmark = pytest.mark.slow

SCORES = "desc-evaluation_scores.tsv"


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """Return an output with a core of ten people; `arrays` has all twelve."""
    folder = tmp_path_factory.mktemp("judged")
    arrays = write_series(folder / "arrays")
    words = ("--participant-label", *PEOPLE[:10])
    assert main(arguments(arrays, folder / "out", "train", *words)) == 0
    return folder / "out"


def call(out: Path, analysis: str, *words: str) -> int:
    return main(arguments(out.parent / "arrays", out, analysis, *words))


def test_folds_judge_everybody_once_beside_what_is_simpler(out):
    assert call(out, "evaluate", "--folds", "3") == 0
    folder = out / "group" / "folds-own"
    rows = {row["name"]: row for row in read_rows(folder / SCORES)}
    assert [*rows] == ["model", "group", "retest", "half_way", "var_1", "other_person"]
    assert {
        (row["people"], row["session"], row["relation"]) for row in rows.values()
    } == {("12", "REST2", "another session")}
    assert "of the person's own FC, and its process" in rows["model"]["words"]
    assert float(rows["model"]["fit"]) > float(rows["other_person"]["fit"])
    assert rows["group"]["residual"] == "n/a"
    assert rows["model"]["verdict_fit"] == "n/a"
    assert rows["half_way"]["nll"] == "n/a"
    meanings = json.loads((folder / SCORES).with_suffix(".json").read_text())
    assert list(meanings) == ["Description", *rows["model"]]


def test_a_model_is_judged_by_others_alone(out, capsys):
    model = ("--model", str(out / "group" / "model-own" / "bundle"))
    assert call(out, "evaluate", *model) == 0
    folder = out / "group" / "evaluation-own"
    assert {row["people"] for row in read_rows(folder / SCORES)} == {"2"}
    assert len(read_rows(folder / "desc-participants_excluded.tsv")) == 10
    assert call(out, "evaluate", *model, "--participant-label", *PEOPLE[:3]) == 2
    assert "was trained on all of these participants" in capsys.readouterr().err


def test_halves_of_a_session_are_called_halves(out):
    words = ("--folds", "2", "--session-label", "REST1")
    assert call(out, "evaluate", *words, "--model-name", "halves") == 0
    folder = out / "group" / "folds-halves"
    assert {
        (row["session"], row["relation"]) for row in read_rows(folder / SCORES)
    } == {("second half of REST1", "other half of the session")}
    assert "nother session" not in (folder / "network_report.html").read_text()


def test_simulations_are_written_and_repeat(out):
    model = (
        "--model",
        str(out / "group" / "model-own" / "bundle"),
        "--simulations",
        "3",
    )
    path = out / "group" / "simulation-own" / "desc-simulated_series.npz"
    assert call(out, "simulate", *model) == 0
    before = path.read_bytes()
    with np.load(path) as arrays:
        assert arrays["simulated"].shape[:3] == (len(PEOPLE), 3, len(REGIONS))
        assert np.isfinite(arrays["simulated"]).all()
    assert call(out, "simulate", *model) == 0
    assert path.read_bytes() == before


def scored(name: str, fits: np.ndarray) -> Scored:
    series = np.random.default_rng(0).standard_normal((len(fits), 3, 60))
    labels = tuple(f"{number:02}" for number in range(len(fits)))
    people = PeopleSeries(labels, ("a", "b", "c"), standardised(series), 0.72)
    row = Scored(name, f"words of {name}", Judge("REST2", ANOTHER, people, {}))
    row.figures["fit"][:] = fits
    return row


def test_a_row_is_judged_by_the_people_that_both_predict():
    """Means that overlap far more than people's differences decide nothing by themselves."""
    people = np.linspace(0.1, 0.9, 12)
    higher = people + 0.02 + 0.001 * np.arange(12)
    for count, verdict in ((12, "worse"), (7, "too few people")):
        model = scored(MODEL, people[:count])
        table = score_table([model, scored("var_1", higher[:count])])
        assert "verdict_fit" not in table.rows[0]
        assert table.rows[1]["verdict_fit"] == verdict
        warnings = " ".join(score_warnings(table, count))
        (shown,) = score_section(table, model.judge).tables
        assert (("words of var_1", "FC r") in shown.better) is (verdict == "worse")
        assert ("predicted better than by the model by words of var_1" in warnings) is (
            count == 12
        )
    assert table.rows[1]["advantage_fit"].mean == pytest.approx(-0.023)
