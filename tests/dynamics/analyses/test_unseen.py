"""Evaluation of a network model on people outside its training set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_networks import PEOPLE, REGIONS, arguments, write_networks

from bids_dtg.bundles.people import PEOPLE_FILE
from bids_dtg.cli.run import main
from bids_dtg.cohort.seen_people import SEEN
from bids_dtg.dynamics.analyses.unseen import unseen_sections
from bids_dtg.files.text import read_rows
from bids_dtg.stats.paired import Interval

SMALL = ("--recipe", "amortised", "--epochs", "1", "--states", "2", "--region-parameters", "2")


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
    scores = read_rows(folder / "desc-connectivity_scores.tsv")
    assert {row["people"] for row in scores} == {"3"}
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


def test_people_never_seen_get_all_analyses_of_known_people(judged: tuple[Path, str]) -> None:
    folder, _ = judged
    scores = {row["name"] for row in read_rows(folder / "desc-connectivity_scores.tsv")}
    assert {"model", "another connectome", "network only", "neither", "var_1"} <= scores
    for name in ("predictive_checks", "fcd_distances", "features_regressions", "parameters_roles"):
        assert read_rows(folder / f"desc-{name}.tsv")
    kl = read_rows(folder / "desc-parameters_kl.tsv")
    # The model's own order, whoever is judged.
    assert [row["number_in_model"] for row in kl] == ["1", "2"]
    retest = read_rows(folder / "desc-parameters_retest.tsv")
    assert {row["people"] for row in retest} == {"3"}
    assert not (folder / "desc-series_elbo.tsv").exists()  # series held out are of known people


def test_maps_are_compared_with_parameters_of_people_never_seen(
    judged: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, arrays = judged
    model = ("--model", str(folder.parent / "model-own" / "bundle"))
    maps = ("--region-maps", str(tmp_path / "maps.tsv"), "--dry-run")
    assert main(arguments(Path(arrays), folder.parent.parent, "evaluate", *model, *maps)) == 2
    assert "maps.tsv" in capsys.readouterr().err


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
    model = ("--model", str(out / "group" / "model-own" / "bundle"))
    words = (*model, "--participant-label", PEOPLE[1], "--dry-run")
    assert main(arguments(Path(arrays), out, analysis, *words)) == 0
    assert "1 participant" in "".join(capsys.readouterr())


def renamed(arrays: Path, folder: Path) -> Path:
    """Write the same people in another order, with new labels and their series × 10, rounded."""
    folder.mkdir()
    for path in sorted(arrays.glob("*.npz")):
        content = dict(np.load(path))
        for name in ("subject", "bold", "weights"):
            if name in content:
                content[name] = content[name][::-1]
        content["subject"] = np.array([f"new{label}" for label in content["subject"]])
        if "bold" in content:
            content["bold"] = np.round(content["bold"] * 10, 3)
        np.savez(folder / path.name, **content)
    return folder


def judged_anew(
    judged: tuple[Path, str], folder: Path, capsys: pytest.CaptureFixture[str], model: Path
) -> tuple[Path, str]:
    """Evaluate a model on the same people under other labels; return its folder and the lines."""
    arrays, out = renamed(Path(judged[1]), folder / "new"), folder / "out"
    words = ("--model", str(model), "--simulations", "2", "--data-set", "Another")
    capsys.readouterr()
    assert main(arguments(arrays, out, "evaluate", *words)) == 0
    return next(out.glob("group/evaluation-*")), capsys.readouterr().err


@pytest.mark.slow
def test_new_labels_and_another_scale_hide_nobody(
    judged: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = judged[0].parent / "model-own" / "bundle"
    folder, said = judged_anew(judged, tmp_path, capsys, model)
    assert f"left out: 1 participant; the model was trained on 1 of them (new{PEOPLE[0]})" in said
    assert "are not recognised" not in said
    assert {row["people"] for row in read_rows(folder / "desc-unseen_scores.tsv")} == {"3"}
    rows = read_rows(folder / "desc-participants_excluded.tsv")
    assert rows == [{"participant_id": f"sub-new{PEOPLE[0]}", "reason": SEEN}]
    page = (folder / "network_report.html").read_text()
    assert f"the training or tuning of the model was left out (sub-new{PEOPLE[0]})" in page


@pytest.mark.slow
def test_a_model_of_an_earlier_version_knows_labels_alone(
    judged: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Path(shutil.copytree(judged[0].parent / "model-own" / "bundle", tmp_path / "old"))
    card = json.loads((old / "model.json").read_text())
    del card["files"][PEOPLE_FILE]
    (old / "model.json").write_text(json.dumps(card))
    (old / PEOPLE_FILE).unlink()
    folder, said = judged_anew(judged, tmp_path, capsys, old)
    assert "own lists people by their labels alone: those of them who have other labels" in said
    assert {row["people"] for row in read_rows(folder / "desc-unseen_scores.tsv")} == {"4"}
    assert not (folder / "desc-participants_excluded.tsv").exists()


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
    assert marks == [(("one", "1 ahead"),), (("one", "1 ahead"),), ()]
