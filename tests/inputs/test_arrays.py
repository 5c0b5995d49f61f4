"""People as arrays: what files hold, how they are joined, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_people import write
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.inputs.arrays import ArrayPeople, read_arrays

SHARED = Path(os.environ.get("DTG_SHARED", "../shared"))
REST = np.random.default_rng(0).standard_normal((3, 5, 40)).astype(np.float16)
STRUCTURAL = np.random.default_rng(1).random((3, 5, 5))


def rest_of(people: ArrayPeople, label: str) -> NDArray[np.float32]:
    return people.rest[0].of(label).astype(np.float32)


@pytest.mark.parametrize("name", ["all.npz", "all.h5"])
def test_formats_hold_the_same(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / name,
        rest=REST,
        tr_seconds=0.72,
        people=np.array(["a", "b", "c"]),
        places=np.array([f"V{n}" for n in range(5)]),
        structural=STRUCTURAL,
        families=np.array([7, 7, 8]),
    )
    people = read_arrays([path])
    assert people.labels == ("a", "b", "c")
    assert people.structural is not None
    assert people.places[-1] == "V4"
    # Backwards too: a compressed file has to begin anew.
    for row, label in reversed([*enumerate("abc")]):
        assert np.array_equal(rest_of(people, label), REST[row].astype(np.float32))
        assert np.array_equal(people.structural.of(label), STRUCTURAL[row])
    assert people.sketches("a") == read_arrays([path]).sketches("a")
    assert people.sketches("a") != people.sketches("b")
    assert people.families.by_label == {"a": "7", "b": "7", "c": "8"}


def test_files_are_joined_by_people(tmp_path: Path) -> None:
    rest = write(tmp_path / "r.npz", rest=REST, tr_seconds=2.0, people=["a", "b", "c"])
    other = write(tmp_path / "s.npz", structural=STRUCTURAL, people=["sub-c", "sub-a", "sub-d"])
    people = read_arrays([rest, other])
    assert people.labels == ("a", "b", "c", "d")
    assert people.structural is not None
    assert {*people.rest[0].rows} == {"a", "b", "c"}
    assert {*people.structural.rows} == {"c", "a", "d"}
    assert np.array_equal(people.structural.of("c"), STRUCTURAL[0])


def test_a_file_without_people_is_refused(tmp_path: Path) -> None:
    named = write(tmp_path / "r.npz", rest=REST, tr_seconds=2.0, people=["a", "b", "c"])
    unnamed = write(tmp_path / "s.npz", structural=STRUCTURAL)
    with pytest.raises(DatasetError, match=r"s\.npz names no people\. Expected: a key people in"):
        read_arrays([named, unnamed])


def test_sessions_are_files_of_their_own(tmp_path: Path) -> None:
    names = {"people": ["a", "b", "c"], "tr_seconds": 2.0}
    first = write(tmp_path / "1.npz", rest=REST, session="one", **names)
    second = write(tmp_path / "2.npz", rest=REST[:, :, :20], session="two", **names)
    people = read_arrays([first, second])
    assert [array.session for array in people.rest] == ["one", "two"]
    with pytest.raises(DatasetError, match=r"rest is in .*1\.npz and in .*again\.npz"):
        read_arrays([first, write(tmp_path / "again.npz", rest=REST, session="one", **names)])


GOOD: dict[str, Any] = {
    "rest": REST,
    "tr_seconds": 0.72,
    "structural": STRUCTURAL,
    "people": ["a", "b", "c"],
}
ODD = np.array([{"a": 1}], object)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rest": None}, "no file has rest; there are"),
        ({"tr_seconds": None}, "has rest and no tr_seconds"),
        ({"tr_seconds": -1.0}, r"tr_seconds is -1\. Expected: seconds"),
        ({"tr_seconds": [1.0, 2.0]}, "Expected: one number"),
        ({"tr_seconds": 720.0}, "is it in milliseconds"),
        ({"tr_seconds": True}, "Expected: one number, in seconds"),
        ({"session": "one\ntwo"}, r"session names 'one\\ntwo'"),
        ({"session": "../../x"}, "session names"),
        ({"rest": REST[0]}, r"rest has shape \(5, 40\)\. Expected: \(people, places, frames\)"),
        ({"rest": REST[:2]}, "different numbers of people: people 3, rest 2, structural 3"),
        ({"rest": REST[:, :4]}, "has 5 places, and .*rest has 4"),
        ({"rest": REST[:, :, :0]}, "it is empty"),
        ({"rest": ODD.reshape(1, 1, 1)}, "rest is of type object"),
        ({"people": ODD.repeat(3)}, "Object arrays cannot be loaded when allow_pickle=False"),
        ({"people": ["a", "A", "b"]}, "names a more than once"),
        ({"people": ["a", "../b", "c"]}, r"names '\.\./b'"),
        ({"people": ["a", "b"]}, "different numbers of people"),
        ({"places": ["x"] * 5}, "the name 'x' twice"),
        ({"families": ["x"]}, "different numbers of people"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    arrays = {key: values for key, values in {**GOOD, **changed}.items() if values is not None}
    with pytest.raises(DatasetError, match=message):
        read_arrays([write(tmp_path / "all.npz", **arrays)])


BOLD: dict[str, Any] = {
    "task_bold": np.random.default_rng(2).normal(size=(3, 2, 5, 20)).astype(np.float32),
    "task_bold_runs": np.array(["hammerAP", "stroopAP"]),
    "task_bold_tr_seconds": 0.8,
    "people": np.array(["c", "a", "x"]),
}


def test_bold_of_tasks_has_a_meaning_only_for_those_who_ask(tmp_path: Path) -> None:
    files = [write(tmp_path / "r.npz", **GOOD), write(tmp_path / "t.h5", **BOLD)]
    people = read_arrays(files, tasks=True)
    assert people.task_bold is not None
    assert (people.task_bold.tasks, people.task_bold.tr_seconds) == (("hammerAP", "stroopAP"), 0.8)
    assert np.array_equal(people.task_bold.of("a"), BOLD["task_bold"][1])
    people = read_arrays([write(tmp_path / "both.npz", **{**BOLD, **GOOD})])
    assert people.task_bold is None
    assert any("not read, as they have no meaning here: task_bold" in line for line in people.notes)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"task_bold_runs": None},
            r"t\.npz has task_bold and no task_bold_runs\. Expected: the ta",
        ),
        ({"task_bold_tr_seconds": None}, "has task_bold and no task_bold_tr_seconds"),
        ({"task_bold_tr_seconds": 800.0}, "is it in milliseconds"),
        ({"task_bold_runs": np.array(["a", "a"])}, "has the name 'a' twice"),
        ({"task_bold_runs": np.array(["a", "b", "c"])}, "task_bold.* has . runs, and .* has ."),
        ({"task_bold": BOLD["task_bold"][:, :, :4]}, "task_bold has 4 places, and .*rest has 5"),
        ({"task_bold": BOLD["task_bold"][:, 0]}, r"Expected: \(people, runs, places, frames\)"),
    ],
)
def test_bold_of_tasks_that_does_not_fit_is_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    arrays = {key: values for key, values in {**BOLD, **changed}.items() if values is not None}
    files = [write(tmp_path / "r.npz", **GOOD), write(tmp_path / "t.npz", **arrays)]
    with pytest.raises(DatasetError, match=message):
        read_arrays(files, tasks=True)


def test_two_files_with_the_same_are_refused(tmp_path: Path) -> None:
    first, second = (
        write(tmp_path / "1.npz", **GOOD),
        write(tmp_path / "2.npz", structural=STRUCTURAL, people=["a", "b", "c"]),
    )
    with pytest.raises(DatasetError, match=r"structural is in .*1\.npz and in .*2\.npz"):
        read_arrays([first, second])


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        (["rest"], SettingsError, "'rest'. Expected: NAME=KEY"),
        (["bold=rest"], SettingsError, "NAME one of people"),
        (["rest=a", "rest=b"], SettingsError, "names rest twice"),
        (["rest=other"], DatasetError, "no file has the key other"),
    ],
)
def test_keys_are_checked(
    tmp_path: Path, keys: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_arrays([write(tmp_path / "all.npz", **GOOD)], keys)


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "all.npz", **GOOD).read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[:-100])
    (tmp_path / "text.npz").write_text("rest")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    for name, message in {
        "short.npz": "cannot be read",
        "text.npz": "no file of arrays that is known",
        "pipe.npz": "no regular file",
        "none.npz": "No such file",
    }.items():
        with pytest.raises(DatasetError, match=message):
            read_arrays([tmp_path / name])


@pytest.mark.skipif(
    not (SHARED / "sip/data/sc_50.npz").is_file(), reason="needs the data of DTG_SHARED"
)
def test_real_data_are_read_unchanged() -> None:
    folder = SHARED / "sip/data"
    names = ("bold_REST1_LR_50.npz", "bold_REST2_LR_50.npz", "sc_50.npz")
    keys = ["people=subject", "places=region", "rest=bold", "tr_seconds=tr", "structural=weights"]
    people = read_arrays([folder / name for name in names], keys)
    assert len(people.labels) == 50
    assert [array.session for array in people.rest] == ["REST1-LR", "REST2-LR"]
    assert rest_of(people, people.labels[3]).shape == (68, 1200)
    assert people.structural is not None
    assert people.structural.of(people.labels[3]).shape == (68, 68)
    assert people.notes == ()


def test_edges_have_a_meaning_only_for_those_who_ask(tmp_path: Path) -> None:
    names = {"people": np.array(["a", "b", "c"])}
    edges = np.random.default_rng(0).normal(size=(3, 10)).astype(np.float32)
    both = write(tmp_path / "both.npz", rest=REST, tr_seconds=2.0, edges=edges, **names)
    people = read_arrays([both])
    assert people.edges is None
    assert any("not read, as they have no meaning here: edges" in line for line in people.notes)
    alone = write(tmp_path / "edges.npz", connectomes=edges, **names)
    people = read_arrays([alone], ["edges=connectomes"], of=("edges",))
    assert people.edges is not None
    assert np.array_equal(people.edges.of("b"), edges[1])
    assert people.places == ()
    with pytest.raises(DatasetError, match=r"no file has rest; there are conn"):
        read_arrays([alone], ["edges=connectomes"])
    with pytest.raises(DatasetError, match="there are rest and edges"):
        read_arrays([both], of=("rest", "edges"))
