"""People as arrays: what files hold, how they are joined, and what is refused."""

from __future__ import annotations

import io
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from array_people import write

from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.inputs.arrays import read_arrays

SHARED = Path(os.environ.get("DTG_SHARED", "../shared"))
REST = np.random.default_rng(0).standard_normal((3, 5, 40)).astype(np.float16)
STRUCTURAL = np.random.default_rng(1).random((3, 5, 5))
ABC = np.array(["a", "b", "c"])
GOOD: dict[str, Any] = {
    "rest": REST,
    "tr_seconds": 0.72,
    "structural": STRUCTURAL,
    "people": ABC,
}
BOLD: dict[str, Any] = {
    "task_bold": np.random.default_rng(2).normal(size=(3, 2, 5, 20)).astype(np.float32),
    "task_bold_runs": np.array(["hammerAP", "stroopAP"]),
    "task_bold_tr_seconds": 0.8,
    "people": np.array(["c", "a", "x"]),
}


def changed(arrays: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {
        key: array for key, array in {**arrays, **changes}.items() if array is not None
    }


@pytest.mark.parametrize("name", ["all.npz", "all.h5"])
def test_formats_hold_the_same(tmp_path: Path, name: str) -> None:
    optional = {
        "places": np.array([f"V{n}" for n in range(5)]),
        "families": np.array([7, 7, 8]),
    }
    path = write(tmp_path / name, **GOOD, **optional)
    if name == "all.h5":  # what is no array is passed over
        with h5py.File(path, "a") as file:
            file.create_group("session")
    people = read_arrays([path])
    assert (people.labels, people.places[-1]) == (("a", "b", "c"), "V4")
    assert people.structural is not None
    for row, label in enumerate("abc"):
        assert np.array_equal(people.rest[0].of(label), REST[row])
        assert np.array_equal(people.structural.of(label), STRUCTURAL[row])
    assert people.sketches("a") == read_arrays([path]).sketches("a")
    assert people.sketches("a") != people.sketches("b")
    assert people.families.by_label == {"a": "7", "b": "7", "c": "8"}
    assert people.notes == ()


def test_axes_that_may_be_swapped_are_said_where_places_have_no_names(tmp_path):
    swapped = {**GOOD, "rest": REST.swapaxes(1, 2), "structural": None}
    (note, warning) = read_arrays(
        [write(tmp_path / "r.npz", **changed(swapped, {}))]
    ).notes
    assert "no names" in note
    assert warning.startswith("warning: r.npz: rest is read as (people, places")
    assert (
        "3 people, 40 places, and 5 frames of 0.72 s, which are 0.1 minutes" in warning
    )
    named = changed(swapped, {"places": [f"V{number}" for number in range(40)]})
    assert read_arrays([write(tmp_path / "n.npz", **named)]).notes == ()


def test_rest_that_is_the_same_everywhere_or_not_finite_has_no_sketch(
    tmp_path: Path,
) -> None:
    rest = REST.copy()
    rest[0], rest[1, 2, 3] = 1, np.nan
    people = read_arrays([write(tmp_path / "r.npz", **{**GOOD, "rest": rest})])
    assert [list(people.sketches(label)) for label in "abcx"] == [[], [], [""], []]


def test_files_are_joined_by_people(tmp_path: Path) -> None:
    rest = write(tmp_path / "r.npz", rest=REST, tr_seconds=2.0, people=ABC)
    structural_file = write(
        tmp_path / "s.npz", structural=STRUCTURAL, people=["sub-c", "sub-a", "sub-d"]
    )
    people = read_arrays([rest, structural_file])
    assert people.labels == ("a", "b", "c", "d")
    assert people.structural is not None
    assert [{*array.rows} for array in (*people.rest, people.structural)] == [
        {"a", "b", "c"},
        {"c", "a", "d"},
    ]
    assert np.array_equal(people.structural.of("c"), STRUCTURAL[0])
    assert people.notes == ("r.npz, s.npz: places have no names and are numbered",)
    unnamed = write(tmp_path / "t.npz", structural=STRUCTURAL)
    with pytest.raises(
        DatasetError, match=r"t\.npz names no people\. Expected: the key people in"
    ):
        read_arrays([rest, unnamed])
    with pytest.raises(
        DatasetError, match=r"structural is in .*s\.npz and in .*all\.npz"
    ):
        read_arrays([structural_file, write(tmp_path / "all.npz", **GOOD)])


def test_sessions_are_files_of_their_own(tmp_path: Path) -> None:
    names = {"people": ABC, "tr_seconds": 2.0}
    first = write(tmp_path / "1.npz", rest=REST, session="one", **names)
    second = write(tmp_path / "2.npz", rest=REST[:, :, :20], session="two", **names)
    people = read_arrays([first, second])
    sessions = [
        (array.session, array.values.shape[2], array.tr_seconds)
        for array in people.rest
    ]
    assert sessions == [("one", 40, 2.0), ("two", 20, 2.0)]
    with pytest.raises(DatasetError, match=r"rest is in .*1\.npz and in .*again\.npz"):
        read_arrays(
            [first, write(tmp_path / "again.npz", rest=REST, session="one", **names)]
        )
    arrays_of_file = {"rest": REST, **names}
    paths = [
        write(tmp_path / f"{n}.npz", places=[*"abcd", n], session=n, **arrays_of_file)
        for n in "xy"
    ]
    with pytest.raises(
        DatasetError, match=r"x\.npz: places and .*y\.npz: places differ"
    ):
        read_arrays(paths)


ODD = np.array([{"a": 1}], object)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rest": None}, r"the files have people, .* Expected: rest \(people"),
        ({"tr_seconds": None}, "has rest but no tr_seconds"),
        ({"tr_seconds": -1.0}, r"tr_seconds is -1\.0\. Expected: one number, seconds"),
        ({"tr_seconds": [1.0, 2.0]}, "Expected: one number"),
        ({"tr_seconds": 720.0}, "is it in milliseconds"),
        ({"tr_seconds": True}, "Expected: one number, seconds"),
        ({"session": "one\ntwo"}, r"session has the name 'one\\ntwo'"),
        ({"session": "../../x"}, "session has the name"),
        (
            {"rest": REST[0]},
            r"rest is float16 of shape \(5, 40\)\..*\(people, places, frames\)",
        ),
        ({"rest": REST[:2]}, "rest has 2 people, and .*people has 3"),
        ({"rest": REST[:, :4]}, "has 5 places, and .*rest has 4"),
        ({"rest": REST[:, :, :0]}, "not empty"),
        ({"rest": REST.astype(complex)}, r"rest is complex128 .*Expected: numbers"),
        ({"rest": REST.astype(str)}, r"rest is <U.*Expected: numbers"),
        (
            {"people": ODD.repeat(3)},
            r"all\.npz: people is an array of Python objects, .*np\.array\(people, dtype=str\)",
        ),
        ({"people": np.array([b"a", b"\xe9", b"c"])}, r"all\.npz cannot be read"),
        ({"people": [1.0, 2.0, 3.0]}, "people is float64"),
        ({"people": ["a", "A", "b"]}, "has the name 'a' twice.*each session is a file"),
        ({"people": ["a", "../b", "c"]}, r"has the name '\.\./b'"),
        ({"places": ["x"] * 5}, "the name 'x' twice"),
        ({"places": [""] * 5}, "has an empty name"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_arrays([write(tmp_path / "all.npz", **changed(GOOD, changes))])


def test_bold_of_tasks_and_edges_have_a_meaning_only_for_those_who_ask(
    tmp_path: Path,
) -> None:
    rest, tasks = write(tmp_path / "r.npz", **GOOD), write(tmp_path / "t.h5", **BOLD)
    bold = read_arrays([rest, tasks], tasks=True).task_bold
    assert bold is not None
    assert (bold.tasks, bold.tr_seconds) == (("hammerAP", "stroopAP"), 0.8)
    assert np.array_equal(bold.of("a"), BOLD["task_bold"][1])
    edges = np.random.default_rng(0).normal(size=(3, 10)).astype(np.float32)
    path = write(tmp_path / "both.npz", **{**BOLD, **GOOD}, edges=edges)
    people = read_arrays([path])
    assert people.task_bold is people.edges is None
    unread = "keys that are not used here: edges, task_bold, task_bold_runs"
    assert any(line.startswith(unread) for line in people.notes)
    with pytest.raises(
        DatasetError,
        match=r"the files have edges, .*Expected: either rest \(.*or edges",
    ):
        read_arrays([path], tasks=True)
    alone = write(tmp_path / "edges.npz", connectomes=edges, people=ABC)
    people = read_arrays([alone], ["edges=connectomes"], tasks=True)
    assert people.edges is not None
    assert np.array_equal(people.edges.of("b"), edges[1])
    assert people.places == ()
    with pytest.raises(DatasetError, match="the files have connectomes"):
        read_arrays([alone], ["edges=connectomes"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"task_bold_runs": None},
            r"t\.npz has task_bold but no task_bold_runs\. Expected",
        ),
        ({"task_bold_tr_seconds": None}, "has task_bold but no task_bold_tr_seconds"),
        ({"task_bold_tr_seconds": 800.0}, "is it in milliseconds"),
        ({"task_bold_runs": np.array(["a", "a"])}, "has the name 'a' twice"),
        (
            {"task_bold_runs": np.array(["a", "b", "c"])},
            "task_bold.* has . runs, and .* has .",
        ),
        (
            {"task_bold": BOLD["task_bold"][:, :, :4]},
            "task_bold has 4 places, and .*rest has 5",
        ),
        ({"task_bold": BOLD["task_bold"][:, 0]}, r"\(people, runs, places, frames\)"),
    ],
)
def test_bold_of_tasks_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    tasks = write(tmp_path / "t.npz", **changed(BOLD, changes))
    with pytest.raises(DatasetError, match=message):
        read_arrays([write(tmp_path / "r.npz", **GOOD), tasks], tasks=True)


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        (["rest"], SettingsError, "'rest'. Expected: NAME=KEY"),
        (["bold=rest"], SettingsError, "NAME is one of people"),
        (
            ["rest=a", "rest=b"],
            SettingsError,
            "'rest=b'. Expected: NAME=KEY, each NAME once",
        ),
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
    write(tmp_path / "other.npz", x=np.ones(2))
    for name, message in {
        "short.npz": r"cannot be read.* To do: fetch or make it again",
        "text.npz": "not a file of arrays",
        "other.npz": r"the files have x\. Expected: rest",
        "none.npz": "No such file",
    }.items():
        with pytest.raises(DatasetError, match=message):
            read_arrays([tmp_path / name])


def with_member(path: Path, key: str, member: bytes) -> Path:
    """Put bytes in the place of an array of an npz file."""
    with zipfile.ZipFile(write(path, **changed(GOOD, {key: None})), "a") as archive:
        archive.writestr(f"{key}.npy", member, zipfile.ZIP_DEFLATED)
    return path


def test_an_npz_file_that_would_inflate_beyond_its_headers_or_memory_is_refused(
    tmp_path,
):
    stream = io.BytesIO()
    np.save(stream, GOOD["rest"])
    rest = stream.getvalue()
    path = tmp_path / "all.npz"
    assert read_arrays([with_member(path, "rest", rest)]).labels
    with_member(path, "rest", rest + bytes(10**7))
    size = f"{len(rest) + 10**7:,}"
    with pytest.raises(DatasetError, match=rf"rest has {size} bytes, and its header"):
        read_arrays([path])
    with_member(path, "rest", rest[:-8])
    with pytest.raises(DatasetError, match=f"its header states {len(rest):,}"):
        read_arrays([path])
    large = write(path, **changed(GOOD, {"rest": np.zeros((3, 5, 10**5), "f4")}))
    assert read_arrays([large], mem_gb=0.01).labels
    with pytest.raises(DatasetError, match=r"0.0 GB of memory.*--mem-gb"):
        read_arrays([large], mem_gb=0.005)


def as_stored(path: Path, **storage: Any) -> Path:
    """Write rest of 20 people as integers in another storage of HDF5."""
    people = np.array([f"p{number}" for number in range(20)])
    rest = np.random.default_rng(0).integers(0, 9, (20, 5, 40))
    write(path, people=people, tr_seconds=0.72)
    with h5py.File(path, "r+") as file:
        file.create_dataset("rest", data=rest, **storage)
    return path


@pytest.fixture
def logged(monkeypatch, tmp_path) -> Path:
    """Have each row of an array of HDF5 logged, in all processes."""
    log, read_dataset = tmp_path / "log", h5py.Dataset.__getitem__

    def row(self, *words):
        with log.open("a") as file:
            file.write(f"{self.name}\n")
        return read_dataset(self, *words)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", row)
    log.touch()
    return log


@pytest.mark.parametrize(
    ("storage", "rows"),
    [
        ({}, 0),
        ({"chunks": (1, 5, 40)}, 0),
        ({"chunks": (1, 5, 40), "compression": "gzip", "shuffle": True}, 0),
        ({"chunks": (1, 5, 40), "scaleoffset": 0}, 20),
    ],
    ids=["contiguous", "chunked", "gzip", "scale-offset"],
)
def test_large_arrays_are_not_read_before_they_are_used(
    tmp_path, logged, storage, rows
):
    people = read_arrays([as_stored(tmp_path / "all.h5", **storage)])
    assert logged.read_text().count("/rest\n") == rows
    assert people.rest[0].of("p3").shape == (5, 40)
    assert logged.read_text().count("/rest\n") == rows + 1


@pytest.mark.parametrize(
    ("shape", "attribute", "message"),
    [
        (
            (40, 5, 3),
            "",
            r"\(40, 5, 3\), and people are 3: .*\(frames, places, people\)",
        ),
        ((3, 5, 3), "MATLAB_class", r"MATLAB_class: .*\(frames, places, people\)"),
        ((3, 5, 40), "_FillValue", "has the attribute _FillValue. Expected: values as"),
        ((3, 5, 40), "scale_factor", "has the attribute scale_factor"),
        ((3, 5, 40), "add_offset", "has the attribute add_offset"),
    ],
)
def test_reversed_and_scaled_arrays_of_hdf5_are_refused(
    tmp_path, shape, attribute, message
):
    path = write(tmp_path / "all.h5", **changed(GOOD, {"rest": None}))
    with h5py.File(path, "a") as file:
        file["rest"] = np.ones(shape)
        if attribute:
            file["rest"].attrs[attribute] = 2.0
    with pytest.raises(DatasetError, match=message):
        read_arrays([path])


@pytest.mark.slow
def test_long_reading_is_no_damage(tmp_path, monkeypatch):
    """A row takes .4 s here, and a process without a step for 4 s is stuck."""
    monkeypatch.setattr("bids_dtg.engine.pool._STUCK_SECONDS", 4.0)
    monkeypatch.setattr("bids_dtg.engine.pool._LOOK_SECONDS", 0.2)
    path = as_stored(tmp_path / "all.h5", chunks=(1, 5, 40), scaleoffset=0)
    read_dataset = h5py.Dataset.__getitem__

    def slowly(self, *words):
        time.sleep(0.4)
        return read_dataset(self, *words)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", slowly)
    assert len(read_arrays([path]).labels) == 20


def test_a_key_of_hdf5_that_is_not_utf8_is_named(tmp_path):
    path = write(tmp_path / "all.h5", **GOOD)
    with h5py.File(path, "r+") as file:
        file[b"gr\xf6\xdfe"] = 1.0
    assert "not used here: gr\\xf6\\xdfe" in " ".join(read_arrays([path]).notes)


@pytest.mark.parametrize("way", ["external storage", "virtual"])
def test_values_in_another_file_are_not_read(tmp_path: Path, way: str) -> None:
    path, source = (
        write(tmp_path / "all.h5", **GOOD),
        write(tmp_path / "other.h5", **GOOD),
    )
    with h5py.File(path, "r+") as file:
        shape, dtype = file["rest"].shape, file["rest"].dtype
        del file["rest"]
        if way == "virtual":
            layout = h5py.VirtualLayout(shape, dtype)
            layout[:] = h5py.VirtualSource(source, "rest", shape)
            file.create_virtual_dataset("rest", layout)
        else:
            file.create_dataset("rest", shape, dtype, external=[(str(source), 0, 1200)])
    with pytest.raises(
        DatasetError, match=r"all\.h5.*rest has its values in another file"
    ):
        read_arrays([path])


@pytest.mark.skipif(
    not (SHARED / "sip/data/sc_50.npz").is_file(), reason="needs the data of DTG_SHARED"
)
def test_real_data_are_read_unchanged() -> None:
    folder = SHARED / "sip/data"
    names = ("bold_REST1_LR_50.npz", "bold_REST2_LR_50.npz", "sc_50.npz")
    keys = [
        "people=subject",
        "places=region",
        "rest=bold",
        "tr_seconds=tr",
        "structural=weights",
    ]
    people = read_arrays([folder / name for name in names], keys)
    assert len(people.labels) == 50
    assert [array.session for array in people.rest] == ["REST1-LR", "REST2-LR"]
    assert people.rest[0].of(people.labels[3]).shape == (68, 1200)
    assert people.structural is not None
    assert people.structural.of(people.labels[3]).shape == (68, 68)
    assert people.notes == ()
