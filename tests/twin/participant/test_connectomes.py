"""Connectomes of digital twins from the output of participants: what is read and left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from split_options import split
from twin_people import (
    LABELS,
    PARCELS,
    arguments,
    edges,
    write_average,
    write_sets,
    write_twins,
)

from bids_dtg.cli.run import main
from bids_dtg.errors import DatasetError
from bids_dtg.settings import Settings
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.participant.connectomes import (
    ConnectomeSource,
    find_output_connectomes,
)

ONE, TWO, THREE = edges()["edges"][:3].astype(np.float64)


def find(root: Path, atlas: str = "", **options: Any) -> ConnectomeSource:
    settings = Settings.of(
        bids_dir=root,
        output_dir=root,
        analysis_level="group",
        workflow="twin",
        analysis="train",
        **options,
    )
    return find_output_connectomes(settings, atlas)


def test_connectomes_come_back_as_they_were_written(tmp_path):
    found = find(write_sets(tmp_path))
    assert (found.labels, found.regions, found.edges) == (LABELS, PARCELS, 28)
    assert np.allclose(
        found.connectomes([LABELS[3], LABELS[0]]), edges()["edges"][[3, 0]]
    )
    assert (found.atlas, found.atlas_digest) == ("Tiny_seg-8n", "abc")
    assert (found.cleaning, found.notes) == ("fMRIPrep derivatives, simple", ())
    assert find(tmp_path, participant_label=(f"sub-{LABELS[2]}",)).labels == LABELS[2:3]


@pytest.mark.parametrize(
    ("facts", "weights"),
    [
        (({}, {"ResidualDegreesOfFreedom": 300.0}), (1, 3)),
        (({}, {"ResidualDegreesOfFreedom": None}), (1, 1)),
        (
            (
                {"MinutesKept": 5.0},
                {"ResidualDegreesOfFreedom": None, "MinutesKept": 10.0},
            ),
            (1, 2),
        ),
    ],
)
def test_sets_are_averaged_by_what_is_known_of_all(tmp_path, facts, weights):
    for session, values, more in zip("12", (ONE, TWO), facts, strict=True):
        write_average(tmp_path, "a", values, session=session, **more)
    expected = np.average([ONE, TWO], axis=0, weights=weights)
    found = find(tmp_path)
    assert np.allclose(found.connectomes(["a"])[0], expected, atol=1e-6)
    assert found.notes == ()


def test_connectomes_of_tasks_count_only_where_they_are_asked_for(tmp_path):
    for task, values in (("rest", ONE), ("restEyes", THREE), ("stroopAP", TWO)):
        runs = [{"Run": f"sub-a_task-{task}"}]
        write_average(tmp_path, "a", values, task=task, Runs=runs)
    found = find(tmp_path)
    assert np.allclose(found.connectomes(["a"])[0], (ONE + THREE) / 2, atol=1e-6)
    assert found.notes == (
        "left out: 1 connectome: a task, not rest; --task-id chooses other tasks "
        "(sub-a_task-stroopAP)",
    )
    asked = find(tmp_path, task_id=("task-stroopAP",))
    assert np.allclose(asked.connectomes(["a"])[0], TWO)


def test_connectomes_of_sessions_that_were_not_asked_for_are_left_out(tmp_path):
    write_average(tmp_path, "a", ONE, session="1")
    write_average(tmp_path, "a", TWO, session="2")
    write_average(tmp_path, "b", THREE, Runs=[{"Run": "sub-b_ses-1_task-rest"}])
    found = find(tmp_path, session_label=("ses-1",))
    assert np.allclose(found.connectomes(["a", "b"]), [ONE, THREE], atol=1e-6)
    assert found.notes == (
        "left out: 1 connectome: another session (sub-a_ses-2_task-rest)",
    )
    with pytest.raises(
        DatasetError, match=r"has no usable connectome for a twin: .*another sess"
    ):
        find(tmp_path, session_label=("3",))


def test_no_run_counts_twice(tmp_path):
    write_average(tmp_path, "a", ONE, session="1", run="1", Runs=[{"Run": "one"}])
    write_average(
        tmp_path, "a", TWO, session="1", Runs=[{"Run": "one"}, {"Run": "two"}]
    )
    write_average(
        tmp_path, "b", ONE, session="1", Runs=[{"Run": "one"}]
    )  # of another participant
    found = find(tmp_path)
    assert np.allclose(found.connectomes(["a", "b"]), [TWO, ONE])
    assert found.notes == (
        "left out: 1 connectome: its runs are in another one, too (sub-a_ses-1_task-rest_run-1)",
    )


def without_parcel() -> np.ndarray:
    matrix = np.zeros((8, 8))
    matrix[2] = matrix[:, 2] = np.nan
    return ONE + matrix[np.triu_indices(8, 1)]


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"Atlas": {"SHA256": "other"}}, "another label image"),
        ({"names": PARCELS[::-1]}, "other parcel"),
        ({"values": without_parcel()}, "1 parcel without a series"),
        (
            {"values": np.where(np.arange(28) == 4, np.nan, ONE)},
            "1 of 28 edges are NaN or inf",
        ),
        ({"values": np.zeros(28)}, "all edges"),
    ],
)
def test_a_connectome_that_cannot_be_used_is_left_out_with_a_line(
    tmp_path, changed, line
):
    for label, values in zip("acd", (ONE, TWO, THREE), strict=True):
        write_average(tmp_path, label, values)
    write_average(tmp_path, "b", **{"values": TWO, **changed})
    found = find(tmp_path)
    assert found.labels == ("a", "c", "d")
    (note,) = found.notes
    assert note.startswith(f"left out: 1 connectome: {line}")
    assert note.endswith("(sub-b_task-rest)")


def test_one_atlas_is_read(tmp_path):
    with pytest.raises(
        DatasetError, match=r"has no connectomes of regions \(_relmat.tsv\)"
    ):
        find(tmp_path)
    write_average(tmp_path, "a", ONE)
    write_average(tmp_path, "b", ONE, atlas={"atlas": "Other"})
    with pytest.raises(
        DatasetError, match="has connectomes of several atlases: Other, Tiny_seg-8"
    ):
        find(tmp_path)
    assert find(tmp_path, atlas="Other").labels == ("b",)
    with pytest.raises(
        DatasetError, match=r"no connectomes of Third .*but of Other, Tiny_seg-8n"
    ):
        find(tmp_path, atlas="Third")


@pytest.mark.slow
def test_a_twin_is_trained_and_judged_by_the_output_alone(tmp_path, capsys):
    people, out = (
        write_twins(tmp_path, tasks=("stroopAP",)),
        write_sets(tmp_path / "out"),
    )
    sets = split(LABELS[:4], LABELS[4:])
    train = arguments(people, out, "train", "--epochs", "1", *sets, arrays=None)
    assert main([*train, "--dry-run"]) == 0
    assert (
        "28 edges a connectome (Pearson correlations of parcel series"
        in capsys.readouterr().out
    )
    assert main(train) == 0
    bundle = TwinBundle.load(out / "group/model-own/bundle")
    assert (bundle.regions, bundle.part.people) == (PARCELS, 4)
    assert (bundle.part.atlas, bundle.part.atlas_digest) == ("Tiny_seg-8n", "abc")
    assert bundle.card.training.cleaning == "fMRIPrep derivatives, simple"
    judge = arguments(people, out, "evaluate", "--model", str(bundle.path), arrays=None)
    assert main([*judge, "--dry-run"]) == 0
    assert (
        f"would process 2 participants ({LABELS[4]}, {LABELS[5]})"
        in capsys.readouterr().out
    )
    for label, values in zip(LABELS, edges()["edges"], strict=True):
        write_average(
            out, label, values, Atlas={"SHA256": "other"}, DenoiseStrategy="36p"
        )
    assert main([*judge, "--dry-run"]) == 2
    assert "the parcels of Tiny_seg-8n" in capsys.readouterr().err
    for label, values in zip(LABELS, edges()["edges"], strict=True):
        write_average(out, label, values, DenoiseStrategy="36p")
    assert main([*judge, "--dry-run"]) == 0
    assert (
        "cleaned by fMRIPrep derivatives, 36p; the training set of"
        in capsys.readouterr().err
    )
