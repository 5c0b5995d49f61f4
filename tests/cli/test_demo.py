from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from bids_check import require_every_file_seen, validate
from hidden_packages import EXTRAS, without
from scipy.stats import spearmanr

from bids_dtg.cli.demo import main
from bids_dtg.files.sidecars import read_inherited

PROGRAM = Path(sys.executable).with_name("dtg-demo")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--participants 0", "--participants is 0. Expected: 1 to 99"),
        ("--participants 100", "--participants is 100. Expected: 1 to 99"),
        ("--workflow dynamics --published --participants 1", "Expected: 2 to 99"),
        (
            "--workflow twin --participants 29",
            "--participants is 29. Expected: 30 to 999",
        ),
        ("--seed 1", "--seed was given with --workflow contrasts"),
        ("--workflow twin --seed -1", "--seed is -1. Expected: 0 or more"),
        (
            "--workflow dynamics --broken-run",
            "--broken-run was given with --workflow dynamics",
        ),
    ],
)
def test_wrong_arguments_end_with_2(tmp_path, words, line, capsys):
    out = tmp_path / "out"
    assert main([str(out), *words.split()]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").write_text("")
    assert main([str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.fixture(scope="module")
def whole_job(tmp_path_factory):
    """Run the demo with a broken run, without torch; return its folder and what it printed."""
    folder = tmp_path_factory.mktemp("whole")
    out = folder / "demo"
    done = subprocess.run(
        [PROGRAM, out, "--participants", "2", "--broken-run"],
        env=without(folder / "hidden", *EXTRAS),
        capture_output=True,
        text=True,
        check=False,
    )
    return out, done


@pytest.mark.slow
def test_the_whole_job_with_a_broken_run(whole_job):
    out, done = whole_job
    assert done.returncode == 1, done.stderr
    # One participant failed with its reason; the other is whole.
    assert "failed:" in done.stderr
    assert "ends at frame" in done.stderr
    assert not list(out.glob("maps/sub-sim002/func/*statmap.nii.gz"))
    maps = list(out.glob("maps/sub-sim001/func/*desc-synthetic_statmap.nii.gz"))
    assert len(maps) == 47
    sidecar = read_inherited(maps[0])
    assert sidecar["ModelName"] == "demo"
    for text in (done.stdout, done.stderr, (out / "maps" / "README").read_text()):
        assert "not for science" in text.lower()

    files = [path for path in (out / "maps/sub-sim001").rglob("*") if path.is_file()]
    figures = [path for path in files if path.parent.name == "figures"]
    tables = [path for path in files if path not in figures]
    assert (len(tables) <= 75, len(figures) <= 65) == (True, True)
    assert sum(path.stat().st_size for path in tables) < 35e6
    assert sum(path.stat().st_size for path in figures) < 12e6

    with (out / "demo.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 47
    predicted, group = (
        sum(float(row[column]) for row in rows) / len(rows)
        for column in ("r_predicted_truth", "r_group_truth")
    )
    assert predicted > group > 0.5
    assert (out / "demo.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "index.html").read_text()
    assert f"{predicted:.3f}" in page[: page.index("<img")]
    assert 'href="maps/index.html"' in page
    assert (
        sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        < 400e6 * 2 / 3
    )


@pytest.mark.slow
def test_what_the_whole_job_wrote_is_bids(whole_job, tmp_path):
    maps = whole_job[0] / "maps"
    validation = validate(maps)
    assert (validation.errors, validation.warnings) == ([], [])
    assert require_every_file_seen(maps, tmp_path) > 47 * 2


@pytest.mark.slow
def test_the_published_network_recovers_what_was_simulated(tmp_path):
    pytest.importorskip("lightning", reason="training needs lightning")
    out = tmp_path / "demo"
    words = [
        PROGRAM,
        out,
        "--workflow",
        "dynamics",
        "--published",
        "--participants",
        "2",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "SIMULATED" in done.stdout
    with (out / "demo.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    true, recovered = (
        [float(row[name]) for row in rows] for name in ("a_true", "a_recovered")
    )
    assert len(rows) == 2 * 34
    assert spearmanr(true, recovered).statistic >= 0.5
    assert (out / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "simulated" / "networks.npz").exists()
    assert "Compared with the truth" in (out / "index.html").read_text()
