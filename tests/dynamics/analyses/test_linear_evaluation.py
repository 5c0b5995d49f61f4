"""Linear cores are judged by people whom they have not seen, beside what is simpler."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_series import FRAMES, PEOPLE, REGIONS, arguments, made_series, write_series

from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows
from bids_dtg.settings import Settings

SCORES = "desc-another_session_scores.tsv"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an output with a core of ten people; `arrays` has all twelve."""
    folder = tmp_path_factory.mktemp("judged")
    arrays = write_series(folder / "arrays")
    words = ("--participant-label", *PEOPLE[:10])
    assert main(arguments(arrays, folder / "out", "train", *words)) == 0
    return folder / "out"


def call(out: Path, analysis: str, *more: str) -> int:
    return main(arguments(out.parent / "arrays", out, analysis, *more))


def test_folds_judge_everybody_once_beside_simple_models(out: Path) -> None:
    assert call(out, "evaluate", "--folds", "3") == 0
    folder = out / "group" / "folds-own"
    rows = {row["name"]: row for row in read_rows(folder / SCORES)}
    assert {row["people"] for row in rows.values()} == {"12"}
    assert [*rows] == [
        *("model", "group", "own_var_1", "mixed_var_1", "factors_1", "factors_2", "factors_3"),
        *("factors_6", "shrunken", "retest", "other_person"),
    ]
    assert float(rows["model"]["fit"]) > float(rows["other_person"]["fit"])
    assert rows["group"]["residual"] == "n/a"
    assert rows["model"]["verdict_fit"] == "n/a"
    assert float(rows["model"]["r2_1"]) > float(rows["model"]["r2_5"])
    assert rows["factors_3"]["r2_1"] == "n/a"
    meanings = json.loads((folder / SCORES).with_suffix(".json").read_text())
    assert "R²" not in meanings["fit"]["Description"]
    page = (folder / "network_report.html").read_text()
    assert "REST1 is read, and REST2 judges" in page


def test_a_model_is_judged_by_others_alone(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ("--model", str(out / "group" / "model-own" / "bundle"))
    assert call(out, "evaluate", *model) == 0
    folder = out / "group" / "evaluation-own"
    assert {row["people"] for row in read_rows(folder / SCORES)} == {"2"}
    assert len(read_rows(folder / "desc-participants_excluded.tsv")) == 10
    assert call(out, "evaluate", *model, "--participant-label", *PEOPLE[:3]) == 2
    assert "was trained on everybody at hand" in capsys.readouterr().err


def test_halves_stand_in_for_another_session(out: Path) -> None:
    words = ("--folds", "2", "--session-label", "REST1")
    assert call(out, "evaluate", *words, "--model-name", "halves") == 0
    page = (out / "group" / "folds-halves" / "network_report.html").read_text()
    assert "The first half of REST1 is read" in page


def test_too_few_people_beside_a_fold_are_refused(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--folds", "2", "--participant-label", *PEOPLE[:8])
    assert call(out, "evaluate", *words) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "there are 4 participants to be trained on beside a fold" in err
    assert "give more folds" in err


def test_simulations_are_written_and_repeat(out: Path) -> None:
    model = ("--model", str(out / "group" / "model-own" / "bundle"), "--simulations", "3")
    path = out / "group" / "simulation-own" / "desc-simulated_series.npz"
    assert call(out, "simulate", *model) == 0
    before = path.read_bytes()
    with np.load(path) as arrays:
        assert arrays["simulated"].shape == (len(PEOPLE), 3, len(REGIONS), FRAMES)
        assert np.isfinite(arrays["simulated"]).all()
    assert call(out, "simulate", *model) == 0
    assert path.read_bytes() == before


def test_statistics_have_five_folds_where_none_are_given() -> None:
    options = {"bids_dir": Path("in"), "output_dir": Path("out"), "analysis_level": "group"}
    assert Settings.of(**options).statistics.cross_validated == 5
    assert Settings.of(**options, folds=3).statistics.cross_validated == 3


def test_people_who_are_in_twice_change_neither_another_person_nor_a_verdict(
    tmp_path: Path,
) -> None:
    """Of one session, halves: another person is nobody's copy; nine people stay nine."""
    (rest,) = made_series(1, 9)
    labels = list(PEOPLE[:9])
    found = {}
    for name, values, people in (
        ("once", rest, labels),
        ("twice", np.concatenate([rest, 2 * rest]), [*labels, *(f"c{own}" for own in labels)]),
    ):
        (tmp_path / name).mkdir()
        np.savez(
            tmp_path / name / "1.npz", rest=values, people=people, places=REGIONS, tr_seconds=0.72
        )
        words = ("--folds", "3")
        assert main(arguments(tmp_path / name, tmp_path / "out", "evaluate", *words)) == 0
        rows = read_rows(tmp_path / "out" / "group" / "folds-own" / SCORES)
        found[name] = {row["name"]: row for row in rows}
        shutil.rmtree(tmp_path / "out")
    once, twice = (found[name]["other_person"] for name in ("once", "twice"))
    assert float(twice["fit"]) == pytest.approx(float(once["fit"]), abs=1e-6)
