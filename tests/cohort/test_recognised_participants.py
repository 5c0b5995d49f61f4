"""Relatives of a model's training people do not judge it, in any workflow."""

from __future__ import annotations

import json
from pathlib import Path

import array_people
import image_people
import numpy as np
import pytest
import series_arrays
from maps_job import read_table
from split_options import sets
from twin_people import LABELS, TRAIN, edges, write_twins
from twin_people import arguments as twin_arguments

from bids_dtg.cli.run import main

EXCLUDED = "desc-participants_excluded.tsv"
RELATIVE = "the model was trained or tuned on a relative of the participant"
SAID = "left out: {}: the model was trained or tuned on relatives of them ({})\n"


def families(labels: tuple[str, ...], relative: str) -> np.ndarray:
    """Return families in which somebody is a relative of the first person."""
    return np.array(
        ["F" if label in (labels[0], relative) else "n/a" for label in labels]
    )


def require_left_out(folder: Path, relatives: tuple[str, ...], log: str) -> None:
    """Raise unless table and log have a relative and the relative's copy; nobody else is one."""
    count = "1 participant" if len(relatives) == 1 else f"{len(relatives)} participants"
    assert SAID.format(count, ", ".join(relatives)) in log
    rows = read_table(folder / EXCLUDED)
    assert [row["participant_id"] for row in rows if row["reason"] == RELATIVE] == [
        f"sub-{label}" for label in relatives
    ]


@pytest.mark.slow
def test_a_relative_of_training_people_does_not_judge_a_linear_core(tmp_path, capsys):
    arrays = series_arrays.write_series(tmp_path / "arrays")
    relative = "10"
    copy = "11"
    for file in arrays.glob("*.npz"):
        made = dict(np.load(file))
        made["rest"][10] = 2 * made["rest"][9]
        np.savez(file, **made)
    np.savez(
        arrays / "families.npz",
        people=series_arrays.PEOPLE,
        families=families(series_arrays.PEOPLE, relative),
        structural=np.ones((12, 4, 4)) - np.eye(4),
    )
    words = (
        "--architecture",
        "linear",
        "--participant-label",
        *series_arrays.PEOPLE[:9],
    )
    assert main(series_arrays.arguments(arrays, tmp_path / "out", "train", *words)) == 0
    capsys.readouterr()
    words = ("--model", str(tmp_path / "out/group/model-own/bundle"))
    assert (
        main(series_arrays.arguments(arrays, tmp_path / "out", "evaluate", *words)) == 0
    )
    folder = tmp_path / "out/group/evaluation-own"
    require_left_out(folder, (relative, copy), capsys.readouterr().err)
    scores = read_table(folder / "desc-evaluation_scores.tsv")
    assert {row["people"] for row in scores} == {"1"}
    page = " ".join((folder / "network_report.html").read_text().split())
    assert (
        "Left out: 2 participants: the model was trained or tuned on relatives of them"
        in page
    )


@pytest.mark.slow
def test_a_relative_of_training_people_does_not_judge_a_model_of_maps(tmp_path, capsys):
    arrays = image_people.people(number=13)
    labels = tuple(map(str, arrays["people"]))
    relative = labels[8]
    image_people.write(tmp_path, **arrays, families=families(labels, relative))
    words = ("--architecture", "linear", *sets(labels[:8], 0.2, 0))
    chosen = ("--participant-label", *labels[:8])
    assert image_people.call(tmp_path, "train", *words, *chosen) == 0
    people_file = json.loads(
        (tmp_path / "out/group/model-own/bundle/people.json").read_text()
    )
    assert people_file["format_version"] == 1
    assert "F" not in json.dumps(people_file["sets"])
    capsys.readouterr()
    model = tmp_path / "out/group/model-own/bundle"
    assert image_people.call(tmp_path, "evaluate", "--model", model) == 0
    folder = tmp_path / "out/group/evaluation-own"
    require_left_out(folder, (relative,), capsys.readouterr().err)
    assert {
        row["people"] for row in read_table(folder / "desc-contrasts_scores.tsv")
    } == {"4"}


@pytest.mark.slow
def test_a_relative_of_training_people_does_not_judge_a_twin(tmp_path, capsys):
    folder, (relative, copy) = write_twins(tmp_path), LABELS[3:5]
    arrays = edges()
    arrays["edges"][4] = arrays["edges"][3]
    (folder / "connectomes.npz").unlink()
    family_names = families(tuple(map(str, arrays["people"])), relative)
    array_people.write(folder / "connectomes.npz", **arrays, families=family_names)
    assert main(twin_arguments(folder, tmp_path / "out", "train", *TRAIN)) == 0
    capsys.readouterr()
    model = ("--model", str(tmp_path / "out/group/model-own/bundle"))
    assert main(twin_arguments(folder, tmp_path / "out", "evaluate", *model)) == 0
    evaluation = tmp_path / "out/group/evaluation-own"
    require_left_out(evaluation, (relative, copy), capsys.readouterr().err)
    people = {
        row["participant_id"]
        for row in read_table(evaluation / "desc-people_predicted.tsv")
    }
    assert people == {f"sub-{label}" for label in LABELS[5:]}
