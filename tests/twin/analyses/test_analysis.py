"""Twins that are trained on connectomes without what covariates explain."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_twins import arguments, write_twins

from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows
from bids_dtg.twin.adjustment import Adjustment, Covariates
from bids_dtg.twin.bundle.bundle import load_twin_bundle

PEOPLE = 14


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of people with a table of ages and sites."""
    folder = write_twins(tmp_path_factory.mktemp("covariates") / "inputs", number=PEOPLE)
    with np.load(folder / "connectomes.npz") as arrays:
        labels = [str(label).removeprefix("sub-") for label in arrays["people"]]
    rows = [f"sub-{label}\t{20 + 3 * n}\t{'ab'[n % 2]}" for n, label in enumerate(labels)]
    text = "\n".join(["participant_id\tage\tsite", *rows, ""])
    (folder / "bids" / "participants.tsv").write_text(text)
    return folder


@pytest.fixture(scope="module")
def out(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output with a model that was trained with covariates on all but two people."""
    found = tmp_path_factory.mktemp("out")
    (found / "split.tsv").write_text(
        "participant_id\tset\n"
        + "".join(
            f"{row['participant_id']}\t{'test' if n < 2 else 'training'}\n"
            for n, row in enumerate(read_rows(inputs / "bids" / "participants.tsv"))
        )
    )
    more = ("--covariates", "age", "site", "--split-file", str(found / "split.tsv"))
    assert main(arguments(inputs, found, "train", "--epochs", "1", *more)) == 0
    return found


def model(out: Path) -> Path:
    return out / "group" / "model-own" / "bundle"


def test_the_regression_is_that_of_training_people_and_comes_back(inputs: Path, out: Path) -> None:
    bundle = load_twin_bundle(model(out))
    assert bundle.adjustment is not None
    assert bundle.adjustment.asked == ("age", "site")
    rows = read_rows(inputs / "bids" / "participants.tsv")[2:]
    with np.load(inputs / "connectomes.npz") as arrays:
        edges = arrays["edges"][2:]
    known = Covariates(
        ("age",),
        np.array([[float(row["age"])] for row in rows]),
        ("site",),
        np.array([[row["site"]] for row in rows]),
    )
    own = Adjustment.fit(edges, known)
    assert bundle.adjustment.names == own.names
    np.testing.assert_allclose(bundle.adjustment.slopes, own.slopes, atol=1e-12)
    np.testing.assert_allclose(bundle.adjustment.mean, own.mean)


@pytest.mark.slow
def test_evaluations_and_interventions_need_the_columns(
    inputs: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--model", str(model(out)))
    assert main(arguments(inputs, out, "evaluate", *given)) == 0
    other = tmp_path / "other.tsv"
    table = read_rows(inputs / "bids" / "participants.tsv")
    other.write_text(
        "participant_id\tsite\n"
        + "".join(f"{row['participant_id']}\t{row['site']}\n" for row in table)
    )
    for analysis in ("evaluate", "intervene"):
        capsys.readouterr()
        call = arguments(inputs, tmp_path / "out", analysis, *given, "--permutations", "0")
        if analysis == "evaluate":
            call = arguments(inputs, tmp_path / "out", analysis, *given)
        assert main([*call, "--participants-file", str(other)]) == 2
        assert "has no column age" in capsys.readouterr().err


@pytest.mark.slow
def test_people_of_another_age_with_its_edges_are_predicted_the_same(
    inputs: Path, out: Path, tmp_path: Path
) -> None:
    slopes = load_twin_bundle(model(out)).adjustment.slopes
    older = tmp_path / "older"
    older.mkdir()
    (older / "bids").symlink_to(inputs / "bids")
    with np.load(inputs / "connectomes.npz") as arrays:
        changed = {name: arrays[name] for name in arrays.files}
    changed["edges"] = changed["edges"] + 10 * slopes[0]
    np.savez(older / "connectomes.npz", **changed)
    table = tmp_path / "older.tsv"
    table.write_text(
        "participant_id\tage\tsite\n"
        + "".join(
            f"{row['participant_id']}\t{float(row['age']) + 10}\t{row['site']}\n"
            for row in read_rows(inputs / "bids" / "participants.tsv")
        )
    )
    found = []
    for folder, more in ((inputs, ()), (older, ("--participants-file", str(table)))):
        name = folder.name
        call = arguments(folder, tmp_path / name, "evaluate", "--model", str(model(out)), *more)
        assert main(call) == 0
        (own,) = (tmp_path / name).glob("group/evaluation-*/desc-people_predicted.tsv")
        found.append(read_rows(own))
    for one, other in zip(*found, strict=True):
        assert float(one["twin_stroop_rt"]) == pytest.approx(float(other["twin_stroop_rt"]), 1e-4)


def test_ridges_beside_the_model_take_covariates_out_of_times_too(
    inputs: Path, out: Path, tmp_path: Path
) -> None:
    """They are the same where times are longer by what goes with age."""
    slower = tmp_path / "slower"
    shutil.copytree(inputs, slower)
    for row in read_rows(inputs / "bids" / "participants.tsv"):
        for file in (slower / "bids" / row["participant_id"]).rglob("*_events.tsv"):
            later(file, 0.001 * float(row["age"]))
    edges, people = [], []
    for folder in (inputs, slower):
        for analysis in ("intervene", "evaluate"):
            to = tmp_path / "out" / folder.name
            call = arguments(folder, to, analysis, "--model", str(model(out)))
            more = ("--permutations", "0") if analysis == "intervene" else ()
            assert main([*call, *more]) == 0
        found = tmp_path / "out" / folder.name / "group"
        (table,) = found.glob("intervention-*/desc-edges_attribution.tsv")
        edges.append([float(row["ridge_seconds_per_z"]) for row in read_rows(table)])
        (table,) = found.glob("evaluation-*/desc-people_predicted.tsv")
        people.append([float(row["connectome_ridge_stroop_rt"]) for row in read_rows(table)])
    assert edges[0] == pytest.approx(edges[1], rel=1e-3, abs=1e-6)
    assert np.any(edges[0])
    assert np.diff(people[0]) == pytest.approx(np.diff(people[1]), rel=1e-3, abs=1e-6)


def later(file: Path, seconds: float) -> None:
    """Make all response times of a table of events longer."""
    rows = read_rows(file)
    for row in rows:
        if row["response_time"] != "n/a":
            row["response_time"] = f"{float(row['response_time']) + seconds:.6f}"
    lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
    file.write_text("\n".join(lines) + "\n")
