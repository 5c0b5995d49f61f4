"""People of the digital twin: what is read from arrays and event files, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_people import write
from twin_people import (
    LABELS,
    REGIONS,
    TRIALS,
    edges,
    events_of,
    people_of,
    write_twins,
)

from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.inputs.participants import Families, write_sets
from bids_dtg.settings import Settings
from bids_dtg.twin.adjustment import Adjustment
from bids_dtg.twin.participant.connectomes import connectome_notes
from bids_dtg.twin.participant.covariates import read_covariates


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_twins(tmp_path, tasks=("stroopAP",))


def rewrite(folder: Path, **changed: Any) -> None:
    """Write the connectomes anew with other arrays; None leaves one out."""
    arrays = {**edges(), **changed}
    (folder / "connectomes.npz").unlink()
    write(
        folder / "connectomes.npz", **{k: v for k, v in arrays.items() if v is not None}
    )


def test_edges_are_taken_as_they_are_in_the_order_asked_for(folder):
    people = people_of(folder)
    assert (people.labels, people.tasks.names) == (LABELS, ("stroop",))
    assert (people.source.edges, people.split.training) == (28, LABELS)
    some = people.source.connectomes([LABELS[4], LABELS[1]])
    assert np.array_equal(some, edges()["edges"][[4, 1]])
    segments = people.stacked(people.runs([LABELS[4], LABELS[1]]))
    alone = people.stacked(people.runs([LABELS[1]]))
    assert np.array_equal(segments.action[1], alone.action[0])
    assert people.notes == ()
    with pytest.raises(
        DatasetError, match="the trials cannot be used: there is no trial"
    ):
        people.stacked([[]])


def test_families_are_those_of_the_table_that_is_given_else_of_the_arrays(
    folder, tmp_path
):
    def write_table(path: Path, families: str) -> Path:
        rows = [
            f"sub-{label}\t{name}" for label, name in zip(LABELS, families, strict=True)
        ]
        path.write_text("\n".join(["participant_id\tfamily_id", *rows]))
        return path

    given = write_table(tmp_path / "people.tsv", "aabbcd")
    known = people_of(folder, participants_file=given).families.by_label
    assert [known[label] for label in LABELS] == [*"aabbcd"]
    write_table(folder / "bids/participants.tsv", "xyyzzz")
    assert people_of(folder).families.by_label[LABELS[1]] == "y"
    rewrite(folder, families=np.array([*"kkkkmm"]))
    assert people_of(folder).families.by_label[LABELS[1]] == "k"
    assert (
        people_of(folder, participants_file=given).families.by_label[LABELS[1]] == "a"
    )
    given.write_text("age\n20\n")
    (folder / "bids/participants.tsv").unlink()
    rewrite(folder)
    with pytest.raises(
        SettingsError, match=r"the families are not known: .*people\.tsv"
    ):
        people_of(folder, participants_file=given)


def test_series_become_fisher_z(folder):
    rest = (
        np.random.default_rng(0).normal(size=(len(LABELS), REGIONS, 50)).cumsum(axis=-1)
    )
    rewrite(folder, edges=None, rest=rest, tr_seconds=np.array(0.8))
    above = np.triu_indices(REGIONS, 1)
    expected = [np.arctanh(np.corrcoef(series))[above] for series in rest]
    people = people_of(folder)
    assert np.allclose(people.source.connectomes(LABELS), expected, atol=1e-5)
    assert "Pearson correlations of series" in people.source.words


def test_sessions_of_rest_are_averaged_by_their_frames(folder):
    rng = np.random.default_rng(0)
    one, two = (rng.normal(size=(len(LABELS), REGIONS, frames)) for frames in (40, 80))
    common = {"edges": None, "tr_seconds": np.array(0.8)}
    rewrite(folder, **common, rest=one, session=np.array("one"))
    (folder / "connectomes.npz").rename(folder / "one.npz")
    write(folder / "connectomes.npz", **edges())
    rewrite(
        folder,
        **common,
        rest=two[:5],
        session=np.array("two"),
        people=np.array(LABELS[:5]),
    )
    people = people_of(
        folder, input_arrays=(str(folder / "one.npz"), str(folder / "connectomes.npz"))
    )
    above = np.triu_indices(REGIONS, 1)
    z_one, z_two = (np.arctanh(np.corrcoef(series[4]))[above] for series in (one, two))
    found = people.source.connectomes(LABELS[4:])
    assert np.allclose(found[0], (z_one + 2 * z_two) / 3, atol=1e-5)
    assert np.allclose(found[1], np.arctanh(np.corrcoef(one[5]))[above], atol=1e-5)


def test_who_lacks_something_is_left_out_and_named(folder):
    events_of(folder, LABELS[0]).unlink()
    names = np.array([*LABELS[:5], "stranger"])
    rewrite(folder, people=names)
    people = people_of(folder)
    assert people.labels == LABELS[1:5]
    assert people.left_out == {
        LABELS[0]: "a connectome and no events",
        LABELS[5]: "events and no connectome",
        "stranger": "a connectome and no events",
    }
    assert people.notes == (
        f"left out: 2 participants with a connectome and no events ({LABELS[0]}, stranger)",
        f"left out: 1 participant with events and no connectome ({LABELS[5]})",
    )
    few = people_of(folder, participant_label=(f"sub-{LABELS[3]}", LABELS[1]))
    assert (few.labels, dict(few.left_out)) == ((LABELS[3], LABELS[1]), {})
    with pytest.raises(
        DatasetError, match=r"there are no files of nobody\. Expected: labels such as"
    ):
        people_of(folder, participant_label=("nobody",))


def test_trials_that_are_not_scored_and_people_below_chance_are_named_and_kept(folder):
    path = events_of(folder, LABELS[5])
    head, *rows = path.read_text().splitlines()
    columns = head.split("\t")
    rt, right = columns.index("response_time"), columns.index("accuracy_binarized")
    cells = [row.split("\t") for row in rows]
    for row in cells:
        row[rt], row[right] = "0.9", "0.0"
    cells[0][rt], cells[1][right] = "0.05", "1.0"
    path.write_text("\n".join(["\t".join(row) for row in [columns, *cells]]) + "\n")
    people = people_of(folder)
    assert people.labels == LABELS
    assert people.behaviour[LABELS[5]].left_out(people.tasks.tasks[0]) == 1
    every = sum(len(run.onset_seconds) for runs in people.runs(LABELS) for run in runs)
    unscored, low = people.notes
    assert unscored.startswith(f"stroop: 1 of {every} trials not scored")
    assert low.startswith(
        "stroop: 1 participant below chance (1 in 3) with misses as errors"
    )


@pytest.mark.parametrize(
    "other",
    ["beh/{}_run-01", "func/{}_run-1", "func/{}_run-02", "func/{}_acq-old_run-01"],
)
def test_a_copy_of_a_run_does_not_count_as_another(folder, other):
    path, trials = events_of(folder, LABELS[0]), people_of(folder).runs(LABELS[:1])
    copy = (
        path.parents[1] / f"{other.format(path.name.partition('_run')[0])}_events.tsv"
    )
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(path.read_text())
    people = people_of(folder)
    assert [len(runs) for runs in people.runs(LABELS[:1])] == [
        len(runs) for runs in trials
    ]
    (note,) = people.notes
    assert "1 run of 1 participant" in note
    assert all(
        name in note for name in (str(path), str(copy), "has the same trials as")
    )


def change(folder: Path, label: str, column: str, values: list[str]) -> None:
    """Write the first cells of a column of a person's event file anew."""
    path = events_of(folder, label)
    head, *rows = (line.split("\t") for line in path.read_text().splitlines())
    for row, value in zip(rows, values, strict=False):
        row[head.index(column)] = value
    path.write_text("\n".join("\t".join(row) for row in [head, *rows]) + "\n")


@pytest.mark.parametrize(
    ("rt", "fact"),
    [
        ("n/a", f"has no response in {TRIALS} trials"),
        ("0.01", "has no trial that can be scored"),
    ],
)
def test_somebody_without_a_response_is_left_out_by_name(folder, rt, fact):
    change(folder, LABELS[4], "response_time", [rt] * TRIALS)
    change(folder, LABELS[4], "accuracy_binarized", ["n/a"] * TRIALS)
    people = people_of(folder)
    assert people.left_out == {LABELS[4]: "no event file that can be used"}
    (note,) = (line for line in people.notes if "1 run of" in line)
    assert f"({LABELS[4]})" in note
    assert fact in note


def wrong(values: np.ndarray, where: object, value: float) -> np.ndarray:
    changed = values.astype(float)
    changed[where] = value
    return changed


SERIES = np.random.default_rng(0).normal(size=(6, 8, 9))


def of_edges(where: object, value: object) -> dict[str, Any]:
    return {"edges": wrong(edges()["edges"], where, value)}


def of_rest(series: np.ndarray) -> dict[str, Any]:
    return {"edges": None, "tr_seconds": np.array(2.0), "rest": series}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            of_edges((1, 3), np.nan),
            f"1 participant: sub-{LABELS[1]}: 1 of 28 edges are NaN or inf",
        ),
        (of_edges(2, 0.5), f"{LABELS[2]}: all edges are the same"),
        (
            of_edges(2, 1e4 * edges()["edges"][2]),
            ".* of 28 edges are beyond 3 .*: not Fisher z",
        ),
        (of_rest(wrong(SERIES, (4, 2), 3.0)), f"sub-{LABELS[4]}: r2 is constant"),
        (of_rest(SERIES[:, [0, 1, 2, 3, 4, 5, 6, 0]]), "the same series at r0 and r7"),
    ],
)
def test_values_that_cannot_be_used_name_people_and_regions(folder, changed, message):
    rewrite(folder, **changed)
    people = people_of(folder)
    with pytest.raises(DatasetError, match=message):
        people.source.connectomes(LABELS)


def test_large_edges_and_people_with_one_connectome_are_named(folder):
    values = edges()["edges"].copy()
    alone = Families({}, "", copies=(LABELS[:2],))
    assert connectome_notes(values, LABELS, alone) == ()
    values[1, 0] = -3.5
    (large,) = connectome_notes(values, LABELS, alone)
    assert large.startswith(
        f"1 participant with edges beyond 3 in Fisher z (sub-{LABELS[1]}: -3.5"
    )
    rewrite(folder, edges=np.repeat(values[:1], 6, axis=0))
    people = people_of(folder)
    with pytest.raises(DatasetError, match="6 participants have the same connectome"):
        connectome_notes(people.source.connectomes(LABELS), LABELS, people.families)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"edges": None}, r"the files have .*edges \(people, edges\)"),
        ({"edges": edges()["edges"][:, :14]}, "has 14 edges, and there are 8 places"),
        ({"edges": edges()["edges"][:4]}, "edges has 4 people, and .*people has 6"),
        (
            {"people": np.array([f"x{n}" for n in range(6)])},
            "nobody has both a connectome and eve",
        ),
        (
            {**of_rest(np.ones((6, 2830, 2))), "places": None},
            "4003035 edges.*regions, not voxels",
        ),
    ],
)
def test_arrays_that_are_no_connectomes_are_refused_before_values_are_read(
    folder, changed, message
):
    rewrite(folder, **changed)
    with pytest.raises(DatasetError, match=message):
        people_of(folder)


def test_tasks_are_those_with_event_files_or_those_named(folder, tmp_path):
    write_twins(tmp_path / "both")
    assert people_of(tmp_path / "both").tasks.names == ("faces", "stroop")
    assert people_of(tmp_path / "both", task_file=("stroop", "faces")).tasks.names == (
        "stroop",
        "faces",
    )
    with pytest.raises(
        DatasetError, match=r"no event files of 1 task of --task-file \(faces\)"
    ):
        people_of(folder, task_file=("stroop", "faces"))
    with pytest.raises(SettingsError, match="there is no task 'flanker'"):
        people_of(folder, task_file=("flanker",))
    with pytest.raises(SettingsError, match="two tasks have the name stroop"):
        people_of(folder, task_file=("stroop", "stroop"))


def test_a_task_without_a_run_to_train_on_is_left_out_or_refused(tmp_path):
    write_twins(tmp_path)
    for label in LABELS[:4]:
        change(tmp_path, label, "response_time", ["800"] * TRIALS)
    split = tmp_path / "split.tsv"
    write_sets(split, {"training": LABELS[:4], "test": LABELS[4:]})
    assert people_of(tmp_path).tasks.names == ("faces", "stroop")
    assert people_of(tmp_path, split_file=split).tasks.names == ("faces",)
    for label in LABELS[4:]:
        change(tmp_path, label, "response_time", ["800"] * TRIALS)
    people = people_of(tmp_path)
    assert (people.tasks.names, people.labels) == (("faces",), LABELS)
    assert (
        people.notes[-1]
        == "left out: 1 task without a run that can be used for training (stroop)"
    )
    with pytest.raises(
        DatasetError,
        match=r"1 task without .* \(stroop\); .*milliseconds.*leave the task",
    ):
        people_of(tmp_path, task_file=("stroop", "faces"))


TABLE = """participant_id\tage\tsex\tsite\tempty\tIQ
sub-01\t20\tF\t1\tn/a\t99
sub-02\t31.5\tM\t2\tn/a\t101
sub-03\tn/a\tF\t2\tn/a\thigh
sub-04\t40\tn/a\t1\tn/a\t98
sub-05\t50\tF\t1\tn/a\t90
"""
COVERED = ("02", "01", "04", "03")


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "participants.tsv").write_text(TABLE)

    def of(*names: str, **options: object) -> Settings:
        return Settings.of(
            bids_dir=tmp_path,
            output_dir="out",
            analysis_level="group",
            workflow="twin",
            covariates=names,
            **options,
        )

    return of


def test_numbers_and_categories_are_in_the_order_of_the_people(settings, capsys):
    found = read_covariates(settings("site", "age", "SEX"), COVERED)
    assert found.number_names == ("age",)
    np.testing.assert_array_equal(found.values["age"], [31.5, 20.0, 40.0, np.nan])
    # A site is a name, also where it is written as a number.
    assert found.values["site"].tolist() == ["2", "1", "1", "2"]
    assert found.values["sex"].tolist() == ["M", "F", "", "F"]
    said = capsys.readouterr().err
    assert "age: 1 participant without a value (sub-03)" in said
    assert "sex: 1 participant without a value (sub-04)" in said


def test_covariates_that_cannot_be_used_are_refused(settings, tmp_path):
    for name, line in (
        ("empty", "empty: none of 5"),
        ("IQ", "IQ has 'high' of sub-03, and numb"),
    ):
        with pytest.raises(SettingsError, match=line):
            read_covariates(settings(name), (*COVERED, "05"))
    table = tmp_path / "participants.tsv"
    table.write_text(TABLE.replace("31.5", "31,5"))
    with pytest.raises(SettingsError, match=r"age has '31,5' of sub-02.*decimal point"):
        read_covariates(settings("age"), COVERED)
    table.unlink()
    with pytest.raises(
        SettingsError, match="there is no table of participants with a column age"
    ):
        read_covariates(settings("age"), COVERED)


def test_a_column_with_levels_is_a_category_in_training_and_for_one_person(
    settings, tmp_path
):
    levels = {"20": "twenty", "31.5": "more", "40": "old"}
    (tmp_path / "participants.json").write_text(json.dumps({"age": {"Levels": levels}}))
    found = read_covariates(settings("age"), COVERED)
    assert found.values["age"].tolist() == ["31.5", "20", "40", ""]
    connectomes = np.array([[3.0, 1], [0, 2], [5, 1], [4, 4]])
    adjustment = Adjustment.fit(connectomes, found)
    # Without the file the column is one of numbers, which the model does not take for unknown.
    (tmp_path / "participants.json").unlink()
    alone = read_covariates(settings(), COVERED[:1], adjustment)
    np.testing.assert_allclose(
        adjustment.apply(connectomes[:1], alone),
        adjustment.apply(connectomes, found)[:1],
    )
    of_numbers = Adjustment.fit(connectomes, read_covariates(settings("age"), COVERED))
    (tmp_path / "participants.json").write_text(json.dumps({"age": {"Levels": levels}}))
    with pytest.raises(
        SettingsError, match="age is categorical, and the model adjusts for its"
    ):
        read_covariates(settings(), COVERED[:1], of_numbers)
