"""The script for sealed people, on simulated ones whose training people are known."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from array_people import arrays, call
from tiny_series import PEOPLE, arguments, write_series

from bids_dtg.cli.run import main as program

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

from sealed_people import main

TRAINED = 7  # too few for cross-validation
MEAN = r"(-?\d\.\d+)"


def table_of(printed: str) -> dict[str, list[str]]:
    rows = [line.strip("| ").split(" | ") for line in printed.splitlines() if "|" in line]
    return {row[0].strip(): [text.strip() for text in row[1:]] for row in rows}


def first(text: str) -> float:
    found = re.match(MEAN, text)
    assert found, text
    return float(found[1])


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """A folder with people, a model of them, and others."""
    folder = tmp_path_factory.mktemp("sealed")
    given = arrays(people=TRAINED)
    np.savez(folder / "all.npz", **given)
    assert call(folder, "train", "--architecture", "linear", "--rois", 4) == 0
    new = arrays(seed=1)
    # The two files of real data; the second has a contrast that the model lacks, and another order.
    task = {key: new.pop(key) for key in ("targets", "contrasts")}
    np.savez(folder / "rest.npz", **new)
    more = np.concatenate([task["targets"][:, ::-1], task["targets"][:, :1]], axis=1)
    names = [*task["contrasts"][::-1], "extra"]
    np.savez(folder / "task.npz", people=new["people"], beta=more, conditions=names)
    return folder


def words(folder, *names):
    files = [str(folder / name) for name in names]
    keys = ["--array-key", "targets=beta", "contrasts=conditions"] if len(names) > 1 else []
    model = folder / "out/group/model-own/bundle"
    return ["--workflow", "maps", "--model", str(model), "--data", *files, *keys]


@pytest.mark.slow
def test_new_people_are_judged_by_the_training_peoples_mean(maps, tmp_path, capsys):
    main([*words(maps, "rest.npz", "task.npz"), "--out", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "own 1 (" in printed
    assert "12 people, 2 contrasts" in printed
    rows = table_of(printed)
    residual, identified, above, share, another, own_mean = rows["own"]
    assert first(residual) > 0.5
    assert first(identified) > 0.5
    assert first(another) > 0.05
    assert first(own_mean) > 0
    given, new = arrays(people=TRAINED), arrays(seed=1)
    mean = given["targets"].mean(axis=0)
    r = [np.corrcoef(mean[q], own[q])[0, 1] for own in new["targets"] for q in range(2)]
    assert f"training people's mean map: {np.mean(r):.3f}"[:-1] in printed
    with np.load(tmp_path / "out/group/evaluation-sealed/desc-predictions.npz") as found:
        ours = [
            np.corrcoef(found["values"][n, q], own[1 - q])[0, 1]
            for n, own in enumerate(new["targets"])
            for q in range(2)
        ]
    assert first(above) == pytest.approx(np.mean(ours) - np.mean(r), abs=2e-3)
    assert 0 < first(share) <= 1


def test_people_whom_the_model_knows_are_not_judged(maps, capsys):
    with pytest.raises(SystemExit):
        main(words(maps, "all.npz"))
    assert "outside the model's training" in " ".join(capsys.readouterr().err.split())


def test_a_model_without_a_mean_map_is_refused(maps):
    assert call(maps, "train", "--architecture", "linear-parcel", "--rois", 4, out="other") == 0
    given = words(maps, "rest.npz", "task.npz")
    given[3] = str(maps / "other/group/model-own/bundle")
    with pytest.raises(SystemExit, match="keeps no mean map of its training people"):
        main(given)


@pytest.mark.slow
def test_another_session_of_new_people_is_judged(tmp_path, capsys):
    folder = write_series(tmp_path / "arrays")
    few = ("--recipe", "linear", "--participant-label", *PEOPLE[:8])
    assert program(arguments(folder, tmp_path / "out", "train", *few)) == 0
    capsys.readouterr()
    model = tmp_path / "out/group/model-own/bundle"
    files = [str(path) for path in sorted(folder.glob("*.npz"))]
    out = tmp_path / "judged"
    main(["--workflow", "dynamics", "--model", str(model), "--data", *files, "--out", str(out)])
    printed = capsys.readouterr().out
    assert "4 people, two sessions" in printed
    rows = table_of(printed)
    assert first(rows["the linear core"][0]) > first(rows["another person's first session"][0])
    assert (out / "group/evaluation-sealed/desc-another_session_scores.tsv").is_file()
