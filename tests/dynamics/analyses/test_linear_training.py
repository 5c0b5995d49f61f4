"""Linear cores are trained by the command line, from series alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hidden_packages import without
from tiny_series import PEOPLE, arguments, write_series

from bids_dtg.bundles.site_sums import hidden
from bids_dtg.cli.run import main
from bids_dtg.dynamics.bundle.linear import load_linear_bundle
from bids_dtg.dynamics.bundle.sums import SUMS
from bids_dtg.files.text import read_rows


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("linear") / "arrays")


def test_a_core_is_trained_of_series_alone(arrays: Path, tmp_path: Path) -> None:
    words = ("--recipe", "linear", "--participant-label", *PEOPLE[:10])
    assert main(arguments(arrays, tmp_path / "out", "train", *words)) == 0
    folder = tmp_path / "out" / "group" / "model-own"
    card = json.loads((folder / "bundle" / "model.json").read_text())
    assert (card["kind"], card["recipe_name"], card["people"]) == ("linear-dynamics", "linear", 10)
    assert (card["chosen_by"], card["order"]) == ("another session", 2)
    rows = read_rows(folder / "desc-strengths_scores.tsv")
    assert len(rows) == 8
    chosen = {
        name: float(row["frames"])
        for row in rows
        for name in ("transition", "covariance")
        if row["chosen"] in (name, "both")
    }
    assert chosen == {
        "transition": card["transition_strength"],
        "covariance": card["covariance_strength"],
    }
    page = (folder / "network_report.html").read_text()
    assert "counts as much as" in page
    assert "found on 10 training participants with two sessions" in page
    features = read_rows(folder / "desc-features_scores.tsv")
    assert [row["what"] for row in features] == ["feature"] * 5 + ["description"] * 4
    assert [float(row["icc"]) for row in features[:5]] == pytest.approx(card["component_icc"])
    minutes = read_rows(folder / "desc-minutes_scores.tsv")
    assert [float(row["minutes"]) for row in minutes] == [0.72, 1.44]  # 60 frames, and all
    assert card["spreads_judged"] == 10
    before = (folder / "bundle" / "model.json").read_bytes()
    assert main(arguments(arrays, tmp_path / "out", "train", *words)) == 0
    assert (folder / "bundle" / "model.json").read_bytes() == before


@pytest.mark.slow
def test_few_people_have_fixed_strengths_and_fewer_are_refused(
    arrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--recipe", "linear", "--participant-label")
    assert main(arguments(arrays, tmp_path / "out", "train", *words, *PEOPLE[:5])) == 0
    folder = tmp_path / "out" / "group" / "model-own"
    card = json.loads((folder / "bundle" / "model.json").read_text())
    assert (card["transition_strength"], card["covariance_strength"]) == (2400.0, 500.0)
    assert card["chosen_by"] == ""
    assert (card["transition_spread"], card["covariance_spread"]) == (1.1, 3.6)
    assert (card["spreads_judged"], card["minutes"], card["component_icc"]) == (0, [], [])
    assert not (folder / "desc-minutes_scores.tsv").exists()
    assert "fixed, as fewer than 10 people" in (folder / "network_report.html").read_text()
    assert main(arguments(arrays, tmp_path / "none", "train", *words, *PEOPLE[:4])) == 2
    assert "there are 4 participants with rest of session REST1" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_neither_torch_nor_a_structural_connectome_is_needed(arrays: Path, tmp_path: Path) -> None:
    call = arguments(arrays, tmp_path / "out", "train")
    found = subprocess.run(
        [sys.executable, "-m", "bids_dtg.cli.run", *call],
        env=without(tmp_path / "bare", "torch", "lightning"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    card = json.loads((tmp_path / "out/group/model-own/bundle/model.json").read_text())
    assert (card["kind"], card["recipe_name"]) == ("linear-dynamics", "linear")  # by default


def test_the_training_of_a_network_is_not_taken_for_that_of_a_core(
    arrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "group" / "model-own" / "checkpoints").mkdir(parents=True)
    assert main(arguments(arrays, tmp_path / "out", "train", "--recipe", "linear")) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "holds the training of a network. Expected: --recipe " in err


def test_sums_of_another_site_make_the_model_of_all(
    arrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def trained(name: str, people: tuple[str, ...], *more: str) -> Path:
        words = ("--participant-label", *people, "--model-name", name, *more)
        assert main(arguments(arrays, tmp_path / "out", "train", *words)) == 0
        return tmp_path / "out" / "group" / f"model-{name}"

    def group(folder: Path) -> np.ndarray:
        return load_linear_bundle(folder / "bundle").model().group

    theirs = trained("theirs", PEOPLE[:6]) / SUMS
    both = trained("both", PEOPLE[6:], "--add-sums", str(theirs))
    np.testing.assert_allclose(group(both), group(trained("whole", PEOPLE)), rtol=0, atol=1e-7)
    card = json.loads((both / "bundle" / "model.json").read_text())
    assert (card["people"], card["record"]["participants_of_other_sites"]) == (6, 6)
    assert card["chosen_by"] == "another session"  # six people of each site would be too few
    assert (
        "6 participants and the sums of 6 of other sites"
        in (both / "network_report.html").read_text()
    )
    # Sums are of one's own people, with and without those of others.
    assert (both / SUMS).read_bytes() == (trained("own", PEOPLE[6:]) / SUMS).read_bytes()
    content = theirs.read_bytes()
    people = json.loads((theirs.parent / "bundle" / "people.json").read_text())["sets"]["training"]
    identities = {own for hashes in people for own in hashes}
    assert not any(own.encode() in content for own in identities)
    # Nor labels as hashes: anybody who knows some could try them.
    assert not any(own.encode() in content for own in hidden(PEOPLE))
    capsys.readouterr()
    call = ("evaluate", "--model", str(both / "bundle"), "--participant-label", *PEOPLE[:6])
    assert main(arguments(arrays, tmp_path / "out", *call)) == 0
    assert "was made with people who are on no list" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--participant-label", *PEOPLE[4:9]), "2 participants whose data were added already"),
        (("--participant-label", PEOPLE[8]), "2 or more of one's own"),
        (("--recipe", "amortised"), "--recipe linear, or no --add-sums"),
    ],
)
def test_sums_that_do_not_fit_are_refused_before_anything_is_written(
    words, found: str, arrays: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ("--participant-label", *PEOPLE[:6])
    assert main(arguments(arrays, tmp_path / "out", "train", *call)) == 0
    sums = str(tmp_path / "out" / "group" / "model-own" / SUMS)
    capsys.readouterr()
    call = (*words, "--model-name", "more", "--add-sums", sums)
    assert main(arguments(arrays, tmp_path / "out", "train", *call)) == 2
    assert found in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out" / "group" / "model-more").exists()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda rest: np.where(np.arange(4)[:, None] == 1, 3.0, rest), "lh_cuneus is constant"),
        (lambda rest: rest[..., :40], "has 40 frames. Expected: 60 or more"),
    ],
)
def test_series_that_have_no_process_are_refused_in_a_line(
    change, found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_series(tmp_path / "odd", names=("REST1",))
    (path,) = folder.glob("*.npz")
    with np.load(path) as file:
        content = dict(file)
    np.savez(path, **{**content, "rest": change(content["rest"])})
    assert main(arguments(folder, tmp_path / "out", "train")) == 2
    error = capsys.readouterr().err
    assert found in error
    assert len([line for line in error.splitlines() if "error:" in line]) == 1
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "group" / "model-own" / "bundle").exists()
