"""Twins that are trained on connectomes without what covariates explain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from split_options import split
from twin_people import arguments, write_twins

from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows
from bids_dtg.twin.adjustment import Adjustment, Covariates
from bids_dtg.twin.bundle.bundle import TwinBundle

PEOPLE, UNSEEN = 24, 10


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """Return the folder of people with a table of ages and sites."""
    folder = write_twins(
        tmp_path_factory.mktemp("covariates") / "inputs",
        tasks=("stroopAP",),
        number=PEOPLE,
    )
    with np.load(folder / "connectomes.npz") as arrays:
        rows = [
            f"sub-{str(label).removeprefix('sub-')}\t{20 + 3 * n}\t{'ab'[n % 2]}"
            for n, label in enumerate(arrays["people"])
        ]
    text = "\n".join(["participant_id\tage\tsite", *rows, ""])
    (folder / "bids" / "participants.tsv").write_text(text)
    return folder


def table_of(inputs: Path) -> list[dict[str, str]]:
    return read_rows(inputs / "bids" / "participants.tsv")


@pytest.fixture(scope="module")
def out(inputs, tmp_path_factory) -> Path:
    """Return the output with a model that was trained with covariates on some of the people."""
    folder = tmp_path_factory.mktemp("out")
    labels = [row["participant_id"].removeprefix("sub-") for row in table_of(inputs)]
    sets = split(labels[UNSEEN:], labels[:UNSEEN])
    options = ("--covariates", "age", "site", *sets)
    assert main(arguments(inputs, folder, "train", "--epochs", "1", *options)) == 0
    return folder


def model(out: Path) -> Path:
    return out / "group" / "model-own" / "bundle"


def test_the_regression_is_that_of_training_people_and_comes_back(inputs, out):
    bundle = TwinBundle.load(model(out))
    assert bundle.adjustment is not None
    assert bundle.adjustment.asked == ("age", "site")
    rows = table_of(inputs)[UNSEEN:]
    with np.load(inputs / "connectomes.npz") as arrays:
        edges = arrays["edges"][UNSEEN:]
    covariates = Covariates(
        {
            "age": np.array([float(row["age"]) for row in rows]),
            "site": np.array([row["site"] for row in rows]),
        }
    )
    adjustment = Adjustment.fit(edges, covariates)
    assert bundle.adjustment.names == adjustment.names
    np.testing.assert_allclose(bundle.adjustment.slopes, adjustment.slopes, atol=1e-12)
    np.testing.assert_allclose(bundle.adjustment.mean, adjustment.mean)


@pytest.mark.slow
def test_evaluations_and_interventions_need_the_columns(inputs, out, tmp_path, capsys):
    table = tmp_path / "other.tsv"
    rows = [f"{row['participant_id']}\t{row['site']}" for row in table_of(inputs)]
    table.write_text("\n".join(["participant_id\tsite", *rows, ""]))
    for analysis in ("evaluate", "intervene"):
        call = arguments(inputs, tmp_path / "out", analysis, "--model", str(model(out)))
        options = ("--covariates", "Site", "age") if analysis == "evaluate" else ()
        assert main([*call, *options]) == 0
        capsys.readouterr()
        assert main([*call, "--participants-file", str(table)]) == 2
        assert "has no column age" in capsys.readouterr().err
    (scores,) = tmp_path.rglob("desc-scores_models.tsv")
    assert "covariates" in {row["model"] for row in read_rows(scores)}
