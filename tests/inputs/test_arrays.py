"""People as arrays: what files hold, how they are joined, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_people import write
from numpy.typing import NDArray

from bids_dtg.errors import DatasetError, RunError, SettingsError
from bids_dtg.inputs.arrays import ArrayPeople, read_arrays

SHARED = Path(os.environ.get("DTG_SHARED", "../shared"))
REST = np.random.default_rng(0).standard_normal((3, 5, 40)).astype(np.float16)
TARGETS = np.random.default_rng(1).standard_normal((3, 2, 5)).astype(np.float32)


def rest_of(people: ArrayPeople, label: str) -> NDArray[np.float32]:
    return people.read(people.rest[0], label)


@pytest.mark.parametrize("name", ["all.npz", "all.h5"])
def test_formats_hold_the_same(tmp_path: Path, name: str) -> None:
    path = write(
        tmp_path / name,
        rest=REST,
        tr_seconds=0.72,
        people=np.array(["a", "b", "c"]),
        places=np.array([f"V{n}" for n in range(5)]),
        targets=TARGETS,
        contrasts=np.array(["left hand", "tongue"]),
        families=np.array([7, 7, 8]),
        adjacency=np.array([[1, 0], [3, 4]]),
    )
    people = read_arrays([path])
    assert (people.labels, people.contrasts) == (("a", "b", "c"), ("left hand", "tongue"))
    assert people.places[-1] == "V4"
    # Backwards too: a compressed file has to begin anew.
    for row, label in reversed([*enumerate("abc")]):
        assert np.array_equal(rest_of(people, label), REST[row].astype(np.float32))
        assert np.array_equal(people.read_targets(label), TARGETS[row])
    assert people.fingerprint("a") == read_arrays([path]).fingerprint("a")
    assert people.fingerprint("a") != people.fingerprint("b")
    assert people.families.by_label == {"a": "7", "b": "7", "c": "8"}
    assert people.adjacency is not None
    assert people.adjacency.tolist() == [[0, 1], [3, 4]]


def test_files_are_joined_by_people(tmp_path: Path) -> None:
    rest = write(tmp_path / "r.npz", rest=REST, tr_seconds=2.0, people=["a", "b", "c"])
    task = write(tmp_path / "t.npz", targets=TARGETS, people=["sub-c", "sub-a", "sub-d"])
    people = read_arrays([rest, task])
    assert people.labels == ("a", "b", "c", "d")
    assert not people.has_rest("d")
    assert not people.has_targets("b")
    assert np.array_equal(people.read_targets("c"), TARGETS[0])
    assert people.contrasts == ("contrast1", "contrast2")


def test_people_without_names_are_taken_by_order(tmp_path: Path) -> None:
    rest = write(tmp_path / "r.npz", rest=REST, tr_seconds=2.0)
    task = write(tmp_path / "t.npz", targets=TARGETS)
    people = read_arrays([rest, task])
    assert people.labels == ("p01", "p02", "p03")
    assert people.numbered
    assert "rows are called p01 to p03" in people.notes[0]
    with pytest.raises(DatasetError, match=r"different numbers of them: .*has 3.*has 2"):
        read_arrays([rest, write(tmp_path / "two.npz", targets=TARGETS[:2])])


def test_sessions_are_files_of_their_own(tmp_path: Path) -> None:
    names = {"people": ["a", "b", "c"], "tr_seconds": 2.0}
    first = write(tmp_path / "1.npz", rest=REST, session="one", **names)
    second = write(tmp_path / "2.npz", rest=REST[:, :, :20], session="two", **names)
    people = read_arrays([first, second])
    assert [array.session for array in people.sessions_of("b")] == ["one", "two"]
    with pytest.raises(DatasetError, match=r"rest is in .*1\.npz and in .*again\.npz"):
        read_arrays([first, write(tmp_path / "again.npz", rest=REST, session="one", **names)])


GOOD: dict[str, Any] = {"rest": REST, "tr_seconds": 0.72, "targets": TARGETS}
ODD = np.array([{"a": 1}], object)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rest": None}, "no file has rest or connectomes"),
        ({"tr_seconds": None}, "has rest and no tr_seconds"),
        ({"tr_seconds": -1.0}, r"tr_seconds is -1\. Expected: seconds"),
        ({"tr_seconds": [1.0, 2.0]}, "Expected: one number"),
        ({"tr_seconds": 720.0}, "is it in milliseconds"),
        ({"tr_seconds": True}, "Expected: one number, in seconds"),
        ({"session": "one\ntwo"}, r"session names 'one\\ntwo'"),
        ({"session": "../../x"}, "session names"),
        ({"people": ["a", "b" * 150, "c"]}, "people names"),
        ({"rest": REST[0]}, r"rest has shape \(5, 40\)\. Expected: \(people, places, frames\)"),
        ({"rest": REST[:2]}, "different numbers of people: rest 2, targets 3"),
        ({"rest": REST[:, :4]}, "has 5 places, and .*rest has 4"),
        ({"rest": REST[:, :, :0]}, "it is empty"),
        ({"rest": ODD.reshape(1, 1, 1)}, "rest is of type object"),
        ({"people": ODD.repeat(3)}, "Python objects, which are never unpickled"),
        ({"people": ["a", "A", "b"]}, "names a more than once"),
        ({"people": ["a", "../b", "c"]}, r"names '\.\./b'"),
        ({"people": ["a", "b"]}, "different numbers of people"),
        ({"places": ["x"] * 5}, "the name 'x' twice"),
        ({"places": ["a", "b", "c", "d", "e\nf"]}, r"the name 'e\\nf'\. Expected: letters"),
        ({"places": ["a", "b", "c", "d", "e\x1b[2J"]}, r"the name 'e\\x1b\[2J'"),
        ({"places": ["a", "b", "c", "d", "\udcff"]}, r"the name '\\udcff'"),
        ({"contrasts": ["x"]}, "has 1 contrasts, and .*targets has 2"),
        ({"roi_maps": np.zeros((2, 5))}, "map 0 .* is constant or not finite"),
        ({"connectomes": np.zeros((3, 2, 5))}, "rest and connectomes"),
        ({"adjacency": np.array([[0, 9]])}, "names places up to 9"),
        ({"adjacency": np.zeros((5, 3))}, r"Expected: \(5, 5\), or pairs"),
        ({"families": ["x"]}, "different numbers of people"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    arrays = {key: values for key, values in {**GOOD, **changed}.items() if values is not None}
    with pytest.raises(DatasetError, match=message):
        read_arrays([write(tmp_path / "all.npz", **arrays)])


def test_two_files_with_the_same_are_refused(tmp_path: Path) -> None:
    first, second = write(tmp_path / "1.npz", **GOOD), write(tmp_path / "2.npz", targets=TARGETS)
    with pytest.raises(DatasetError, match=r"targets is in .*1\.npz and in .*2\.npz"):
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


def test_rest_that_is_not_finite_is_refused_when_read(tmp_path: Path) -> None:
    wrong = REST.astype(np.float32)
    wrong[1, 2, 3] = np.nan
    people = read_arrays([write(tmp_path / "all.npz", **{**GOOD, "rest": wrong})])
    assert np.isfinite(rest_of(people, "p01")).all()
    with pytest.raises(RunError, match="1 NaN or infinite value of sub-p02"):
        rest_of(people, "p02")


@pytest.mark.parametrize(
    ("key", "scale", "expected"),
    [
        ("rest", 1e25, "1e-12 to 1e\\+12"),
        ("rest", 1e-25, "1e-12 to 1e\\+12"),
        ("connectomes", 1e6, "0.001 to 60000"),
        ("connectomes", 1e-9, "0.001 to 60000"),
    ],
)
def test_values_that_cannot_be_computed_with_are_refused(
    tmp_path: Path, key: str, scale: float, expected: str
) -> None:
    values = np.random.default_rng(0).normal(size=(2, 5, 5))
    values[0] *= scale
    path = write(tmp_path / "a.npz", **{key: values}, tr_seconds=1.0, people=["a", "b"])
    people = read_arrays([path])
    for array in people.sessions_of("a"):
        with pytest.raises(RunError, match=f"largest value of sub-a. Expected: {expected}"):
            people.read(array, "a")
        people.read(array, "b")


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "all.npz", **GOOD).read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[:-100])
    (tmp_path / "text.npz").write_text("rest")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    for name, message in {
        "short.npz": "cannot be read",
        "text.npz": "no file of arrays that is known",
        "pipe.npz": "named pipe",
        "none.npz": "No such file",
    }.items():
        with pytest.raises(DatasetError, match=message):
            read_arrays([tmp_path / name])


def test_arrays_of_other_files_are_not_followed(tmp_path: Path) -> None:
    import h5py

    write(tmp_path / "real.h5", **GOOD)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["rest"] = h5py.ExternalLink("real.h5", "rest")
        file["tr_seconds"] = 0.72
    with pytest.raises(DatasetError, match="no file has rest"):
        read_arrays([tmp_path / "link.h5"])


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
    hcp = SHARED / "data/real/hcp30"
    keys = ["targets=beta", "contrasts=conditions"]
    people = read_arrays([hcp / "rest.npz", hcp / "task.npz"], keys)
    assert (len(people.labels), len(people.places), len(people.contrasts)) == (20, 360, 24)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="is a folder"):
        read_arrays([tmp_path])


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
    with pytest.raises(DatasetError, match=r"no file has rest or connectomes; there are conn"):
        read_arrays([alone], ["edges=connectomes"])
    with pytest.raises(DatasetError, match="there are rest and edges"):
        read_arrays([both], of=("rest", "edges"))
