"""The converter of TCP's parcellated rest, on files of its size: one table a run, or a refusal."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
from tiny_job import read_table
from tiny_twins import LABELS, write_twins

from bids_dtg.cli.run import main as program
from bids_dtg.twin.participant.connectomes import find_array_connectomes

SCRIPT = Path(__file__).parents[2] / "examples" / "tcp" / "convert.py"
PEOPLE = ("AB123CD4", "EF567GH8", "ZZ999ZZ9")
PARCELS, FRAMES = 434, 488


@pytest.fixture(scope="module")
def converter() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tcp_convert", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["tcp_convert"] = module  # where dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def convert(converter, tmp_path, monkeypatch) -> Callable[..., int]:
    """Return a call of the script: exit code."""

    def call(out: Path = tmp_path / "out") -> int:
        monkeypatch.setattr(sys, "argv", ["convert", str(tmp_path / "source"), str(out)])
        return converter.main()

    return call


def series(seed: int, frames: int = FRAMES) -> np.ndarray:
    """Make series (parcels, frames) with some structure."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(PARCELS, 5)) @ rng.normal(size=(5, frames))
    return shared + 2 * rng.normal(size=(PARCELS, frames))


def add(source: Path, person: str, run: str, **arrays: np.ndarray) -> Path:
    """Write a run: arrays by their names, where double underscores are groups."""
    path = source / f"NDAR_INV{person}" / f"task-rest{run}_space-x_parcellated.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name.replace("__", "/")] = values
    return path


def plain(source: Path, people: tuple[str, ...] = PEOPLE) -> None:
    for number, person in enumerate(people):
        add(source, person, "AP_run-01", data=series(number))


def fisher_z(values: np.ndarray) -> np.ndarray:
    above = np.triu_indices(len(values), 1)
    return np.arctanh(np.corrcoef(values)[above])


def test_connectomes_are_those_of_the_series_in_any_orientation_and_group(
    tmp_path, convert, capsys
):
    source, long, short = tmp_path / "source", series(1), series(2, 300)
    names = np.array([b"a", b"b"])
    add(source, PEOPLE[0], "AP_run-01", data=long.astype(np.float32))
    add(source, PEOPLE[0], "PA_run-02", a__b__c=short.T, a__time=np.arange(300.0), names=names)
    add(source, PEOPLE[1], "PA_run-01", ts=series(3).T, tr=np.array(0.8), pairs=np.ones((7, 2)))
    (source / "README").write_text("no folder of a person")
    (source / "code").mkdir()
    assert convert() == 0
    assert "2 people, 434 of 434 parcels, 3 of 3 runs" in capsys.readouterr().out
    found = find_array_connectomes([str(tmp_path / "out" / "connectomes.npz")], [])
    assert found.labels == ("NDARINVAB123CD4", "NDARINVEF567GH8")
    assert (found.regions[0], found.regions[-1]) == ("parcel001", "parcel434")
    edges = found.connectomes(found.labels)
    mean = (FRAMES * fisher_z(long) + 300 * fisher_z(short)) / (FRAMES + 300)
    np.testing.assert_allclose(edges[0], mean, atol=1e-5)
    np.testing.assert_allclose(edges[1], fisher_z(series(3)), atol=1e-5)
    rows = read_table(tmp_path / "out" / "runs.tsv")
    assert [(row["run"], row["frames"], row["array"], row["used"]) for row in rows] == [
        ("restAP_run-01", "488", "data", "true"),
        ("restPA_run-02", "300", "a/b/c", "true"),
        ("restPA_run-01", "488", "ts", "true"),
    ]


@pytest.mark.parametrize(
    ("arrays", "fact"),
    [
        ({"raw": series(0), "clean": series(1)}, r"has 2 arrays .*Found: clean \(434, 488\) f"),
        ({"g__x": series(0), "y": series(1).T}, r"has 2 arrays .*g/x .*, y \(488, 434\)"),
        ({"data": np.ones((446, 488))}, r"has 0 arrays .* side of 434\. Expected: 1.*\(446, 488\)"),
        ({"fc": np.eye(434)}, r"has 0 arrays .*fc \(434, 434\) float64"),
        ({"data": np.ones((434, 488, 1))}, "has 0 arrays"),
        ({"data": np.ones((434, 60), "S3")}, "has 0 arrays"),
        ({}, "has 0 arrays .*Found: no array"),
        ({"centres": np.ones((434, 3))}, r"has 3 frames\. Expected: 50 to 100000"),
        ({"bad\nname": np.ones(3)}, r"Found: bad\\nname \(3,\)"),
    ],
    ids=["two", "two-nested", "446", "square", "3-D", "text", "empty", "places", "newline"],
)
def test_a_file_of_another_layout_is_refused_with_what_it_has(
    tmp_path, convert, capsys, arrays, fact
):
    plain(tmp_path / "source")
    path = add(tmp_path / "source", PEOPLE[1], "PA_run-01", **arrays)
    assert convert() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line
    assert re.search(fact, line), line
    assert not (tmp_path / "out").exists()


def test_values_in_other_files_are_not_read(tmp_path, convert, capsys):
    source, secret = tmp_path / "source", tmp_path / "secret.h5"
    plain(source)
    with h5py.File(secret, "w") as file:
        file["data"] = series(9)
    path = add(source, PEOPLE[0], "PA_run-01")
    with h5py.File(path, "w") as file:
        file["data"] = h5py.ExternalLink(str(secret), "data")
    assert convert() == 2
    assert "Found: no array" in capsys.readouterr().err
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout(shape=(PARCELS, FRAMES), dtype="f8")
        layout[:] = h5py.VirtualSource(str(secret), "data", shape=(PARCELS, FRAMES))
        file.create_virtual_dataset("data", layout)
    assert convert() == 2
    assert "has its values in other files" in capsys.readouterr().err
    with h5py.File(path, "w") as file:
        file.create_dataset("data", (PARCELS, FRAMES), "f8", external=[(str(secret), 0, 9**9)])
    assert convert() == 2
    assert "has its values in other files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda s: (s / "NDAR_INVAB123CD4").rename(s / "sub-01"), "sub-01 is no label of TCP"),
        (lambda s: (s / "NDAR_INVAB123CD4").rename(s / "NDAR_INVab..3CD4"), "is no label of TCP"),
        (
            lambda s: shutil.copy(
                s / "NDAR_INVAB123CD4" / "task-restAP_run-01_space-x_parcellated.h5",
                s / "NDAR_INVAB123CD4" / "task-restAP_run-01_space-y_parcellated.h5",
            ),
            "NDARINVAB123CD4 has two files of restAP_run-01",
        ),
        (
            lambda s: next(s.glob("*/*.h5")).write_bytes(b"\x89HDF\r\n\x1a\nno more"),
            "cannot be read",
        ),
        (lambda s: shutil.rmtree(s), "is no folder"),
        (lambda s: [path.unlink() for path in s.glob("*/*.h5")], "has no NDAR_INV"),
        (lambda s: [shutil.rmtree(path) for path in sorted(s.iterdir())[1:]], "1 people are left"),
    ],
    ids=["label", "odd-label", "twice", "damaged", "no-folder", "nobody", "one"],
)
def test_what_cannot_be_used_ends_the_call_with_a_line(tmp_path, convert, capsys, change, fact):
    plain(tmp_path / "source")
    change(tmp_path / "source")
    assert convert() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert fact in line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_parcels_and_runs_without_series_are_left_out_and_named(tmp_path, convert, capsys):
    source = tmp_path / "source"
    for number in range(21):
        values = series(number, 60)
        values[7, 3] = np.nan if number < 2 else values[7, 3]  # 2 of 20 runs: out for all
        if number == 5:
            values[9] = 4.0  # in one of 20: this run is left out
        if number == 6:
            values[:60] = np.nan  # a bad run
        if number == 8:
            values[11] = values[12]
        add(source, f"{number:08d}", "AP_run-01", data=values)
    gone = source / "NDAR_INV00000000" / "task-restPA_run-01_parcellated.h5"
    gone.symlink_to("../.git/annex/objects/not-here")
    assert convert() == 0
    assert "18 people, 433 of 434 parcels, 18 of 22 runs" in capsys.readouterr().out
    rows = read_table(tmp_path / "out" / "runs.tsv")
    reasons = {(r["participant_id"][-2:], r["run"][4:6]): r["why_not"] for r in rows}
    assert {key: why for key, why in reasons.items() if why != "n/a"} == {
        ("00", "PA"): "not fetched",
        ("05", "AP"): "1 parcels without a series that most have",
        ("06", "AP"): "60 of 434 parcels without a series",
        ("08", "AP"): "two parcels have the same series",
    }
    with np.load(tmp_path / "out" / "connectomes.npz") as file:
        assert "parcel008" not in file["places"]
        values = np.delete(series(3, 60), 7, axis=0)
        (row,) = np.flatnonzero(file["people"] == "NDARINV00000003")
        np.testing.assert_allclose(file["edges"][row], fisher_z(values), atol=1e-5)


def test_nothing_is_written_elsewhere(tmp_path, convert, capsys):
    plain(tmp_path / "source")
    assert convert(tmp_path / "source" / "out") == 2
    assert "Expected: a folder outside the data set" in capsys.readouterr().err
    other = tmp_path / "other.npz"
    other.write_bytes(b"mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "connectomes.npz").symlink_to(other)
    assert convert() == 0
    assert other.read_bytes() == b"mine"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "connectomes.npz",
        "runs.tsv",
    ]


def test_the_program_takes_them(tmp_path, convert, capsys):
    people = tuple(f"TCP0000{number}" for number in range(len(LABELS)))
    plain(tmp_path / "source", people)
    assert convert() == 0
    study = write_twins(tmp_path / "study") / "bids"
    for lender, person in zip(LABELS, people, strict=True):
        for path in study.glob(f"sub-{lender}/func/*"):
            name = path.name.replace(lender, f"NDARINV{person}")
            own = study / f"sub-NDARINV{person}" / "func" / name
            own.parent.mkdir(parents=True, exist_ok=True)
            path.rename(own)
        shutil.rmtree(study / f"sub-{lender}")
    words = ("group", "--workflow", "twin", "--analysis", "train", "--dry-run")
    arrays = ("--input-arrays", str(tmp_path / "out" / "connectomes.npz"))
    assert program([str(study), str(tmp_path / "twins"), *words, *arrays]) == 0
    printed = capsys.readouterr().out
    assert "93961 edges a connectome (edges from arrays, Fisher z)" in printed
    assert "to work on: 6 participants (NDARINVTCP00000, " in printed
