"""Completion records say what must be done again; logs list failures that remain."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from bids_dtg.errors import DatasetError, OutputError, RunError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.paths import PathNames
from bids_dtg.files.provenance import (
    Failure,
    all_failures,
    file_fingerprint,
    input_fingerprints,
    last_model,
    new_log,
    recorded_outputs,
    verify_outputs,
    why_incomplete,
    write_call,
    write_completion,
    write_outcome,
)
from bids_dtg.version import __version__

OPTIONS = {"fd_threshold": 0.5, "model": "abc", "tasks": ("rest",)}
MIB = 2**20


@pytest.fixture
def dataset(tmp_path) -> DerivativeDataset:
    return DerivativeDataset(tmp_path / "out")


@pytest.fixture
def bold(tmp_path):
    path = tmp_path / "in" / "sub-01" / "bold.nii.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"bold" * 1000)
    return path


def inputs_of(bold):
    return input_fingerprints([bold], bold.parent.parent, PathNames())


@pytest.fixture
def done(dataset, bold):
    outputs = [
        dataset.write(f"sub-01/{name}", name.encode())
        for name in ("a.nii.gz", "b.json")
    ]
    write_completion(
        dataset, "sub-01", options=OPTIONS, inputs=inputs_of(bold), outputs=outputs
    )

    def why(**changes):
        facts = {"options": OPTIONS, "inputs": inputs_of(bold)} | changes
        return why_incomplete(dataset, "sub-01", **facts)

    return why


def test_complete_work_has_no_reason(done):
    assert done() is None


def test_work_never_done(dataset, bold):
    assert why_incomplete(dataset, "sub-01", options={}, inputs={}) == "not done yet"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fd_threshold": 0.3}, "option fd_threshold changed (0.5 to 0.3)"),
        ({"new": 1}, "option new changed (None to 1)"),
        ({"model": None}, "option model changed (abc to None)"),
        ({"model": 32 * "3f"}, "option model changed (abc to 3f3f3f3f…)"),
        (
            {"fd_threshold": 0.3, "model": "x"},
            "options fd_threshold changed (0.5 to 0.3), model changed (abc to x)",
        ),
    ],
)
def test_changed_options(done, change, reason):
    assert done(options=OPTIONS | change) == reason


def test_changed_inputs(done, bold):
    content = bold.read_bytes()
    bold.write_bytes(content[:-1] + b"!")
    assert done() == "input changed: sub-01/bold.nii.gz"
    bold.write_bytes(content)
    os.utime(bold, ns=(1, 1))
    assert done() is None  # a copy of the same bytes
    assert done(inputs={}) == "input gone: sub-01/bold.nii.gz"
    assert (
        done(inputs=inputs_of(bold) | {"x": file_fingerprint(bold)}) == "input new: x"
    )


def test_damaged_outputs(done, dataset):
    target = dataset.root / "sub-01" / "a.nii.gz"
    content, stat = target.read_bytes(), target.stat()
    target.write_bytes(content[:-1])
    assert done() == "output changed: sub-01/a.nii.gz"
    target.write_bytes(bytes(len(content)))
    os.utime(target, ns=(1, 1))
    assert done() == "output changed: sub-01/a.nii.gz"
    target.write_bytes(content)
    os.utime(target, ns=(2, 2))
    assert done() is None  # moved to another disk
    target.unlink()
    assert done() == "output missing: sub-01/a.nii.gz"
    assert stat.st_size == len(content)


def test_files_are_on_the_disk_before_the_record_says_so(dataset, bold, monkeypatch):
    outputs = [
        dataset.write(f"sub-01/func/{name}", b"x") for name in ("a.nii.gz", "b.json")
    ]
    record = dataset.root / "logs/complete/sub-01.json"
    real = os.fsync
    flushed = {}

    def fsync(handle):
        flushed[Path(f"/proc/self/fd/{handle}").readlink()] = record.exists()
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_completion(
        dataset, "sub-01", options=OPTIONS, inputs=inputs_of(bold), outputs=outputs
    )
    before = dict.fromkeys([*outputs, dataset.root / "sub-01/func"], False)
    assert flushed == before | dict.fromkeys([record, record.parent], True)


def test_a_disk_that_cannot_keep_a_file_leaves_no_record(dataset, bold, monkeypatch):
    def fsync(handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    output = dataset.write("sub-01/a.nii.gz", b"x")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(
        OutputError, match=r"a\.nii\.gz cannot be written: Input/output error"
    ):
        write_completion(
            dataset, "sub-01", options={}, inputs=inputs_of(bold), outputs=[output]
        )
    assert not (dataset.root / "logs").exists()


def test_damage_that_size_and_time_hide_is_found_and_made_good(done, dataset):
    target = dataset.root / "sub-01/a.nii.gz"
    content, status = target.read_bytes(), target.stat()

    def put(data):
        target.write_bytes(data)
        os.utime(target, ns=(status.st_mtime_ns, status.st_mtime_ns))

    assert verify_outputs(dataset, "sub-01") == ()
    put(bytes(len(content)))
    assert done() is None  # its size and time are those of the record
    assert verify_outputs(dataset, "sub-01") == ("changed sub-01/a.nii.gz",)
    assert done() == "output damaged or half replaced: sub-01/a.nii.gz"
    put(content)
    assert verify_outputs(dataset, "sub-01") == ()
    assert done() is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"Options": 1}'])
def test_damaged_record(done, dataset, content):
    (dataset.root / "logs" / "complete" / "sub-01.json").write_bytes(content)
    assert done() == "completion record unreadable: sub-01.json"


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "", "away/x"])
def test_a_record_that_leads_out_of_the_dataset_is_unreadable(
    done, dataset, tmp_path, name
):
    for folder in (tmp_path, tmp_path / "elsewhere"):
        folder.mkdir(exist_ok=True)
        (folder / "secret").write_text("x")
    (dataset.root / "away").symlink_to(tmp_path / "elsewhere")
    path = dataset.root / "logs" / "complete" / "sub-01.json"
    facts = {"size": 1, "mtime_ns": 0, "sha256": "0"}
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"Outputs": {name: facts}})
    )
    assert done() == "completion record unreadable: sub-01.json"
    assert verify_outputs(dataset, "sub-01") == (
        "unreadable logs/complete/sub-01.json",
    )
    assert recorded_outputs(dataset, "sub-01") == ()


def test_dataset_may_move(done, dataset, bold, tmp_path):
    shutil.move(dataset.root, tmp_path / "moved")
    moved = DerivativeDataset(tmp_path / "moved")
    assert (
        why_incomplete(moved, "sub-01", options=OPTIONS, inputs=inputs_of(bold)) is None
    )


@pytest.mark.parametrize("size", [1, MIB, MIB + 1, 2 * MIB + 7])
@pytest.mark.parametrize("where", [0, -1])
def test_fingerprint_sees_both_ends_whatever_the_size(tmp_path, size, where):
    path = tmp_path / "x.nii.gz"
    content = bytearray(size)
    path.write_bytes(content)
    before = file_fingerprint(path)
    assert before["size"] == size
    content[where] = 1
    path.write_bytes(content)
    assert before["ends_sha256"] != file_fingerprint(path)["ends_sha256"]


@pytest.mark.parametrize(
    ("name", "size", "changed"),
    [("x.nii.gz", 3 * MIB, False), ("x.nii", 3 * MIB, True), ("x.nii", 9, False)],
)
def test_the_middle_of_a_large_plain_file_counts_by_its_time(
    dataset, name, size, changed
):
    fingerprint = {"size": size, "mtime_ns": 1, "ends_sha256": "a"}
    write_completion(
        dataset, "sub-01", options={}, inputs={name: fingerprint}, outputs=[]
    )
    later = {name: {**fingerprint, "mtime_ns": 2}}
    reason = why_incomplete(dataset, "sub-01", options={}, inputs=later)
    assert reason == (f"input changed: {name}" if changed else None)


def test_inputs_elsewhere_of_one_name_are_numbered(tmp_path, bold):
    (tmp_path / bold.name).write_bytes(b"other")
    fingerprints = input_fingerprints(
        [bold, tmp_path / bold.name], tmp_path / "x", PathNames()
    )
    assert list(fingerprints) == [
        "<elsewhere>/bold.nii.gz",
        "<elsewhere>/bold.nii.gz (2)",
    ]


def test_unreadable_input(tmp_path):
    with pytest.raises(RunError, match=r"gone\.nii cannot be read: No such file"):
        file_fingerprint(tmp_path / "gone.nii")


def test_the_log_of_a_call(dataset, monkeypatch):
    first, second = new_log(dataset), new_log(dataset)
    assert first != second
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{6}", first.name)
    monkeypatch.setenv("DTG_CONTAINER_TAG", "x")
    write_call(first, "a = 1\n")
    failed = Failure(
        "01", "reading", "broken\tfile\nhere", "sub-01_ses-a", "sub-01_ses-a_run-1"
    )
    write_outcome(first, [failed, Failure("02", "finding runs", "no runs")], 1.23456)
    folder = dataset.root / "logs" / first.name
    assert (folder / "config.toml").read_text() == "a = 1\n"
    versions = json.loads((folder / "versions.json").read_text())
    assert (versions["bids_dtg"], versions["container"]) == (__version__, "docker:x")
    assert {"python", "numpy", "torch", "platform"} <= set(versions)
    assert json.loads((folder / "timing.json").read_text()) == {"seconds": 1.235}
    assert (folder / "failures.tsv").read_text().splitlines() == [
        "participant_id\taverage\trun\tstage\tmessage",
        "sub-01\tsub-01_ses-a\tsub-01_ses-a_run-1\treading\tbroken file here",
        "sub-02\tn/a\tn/a\tfinding runs\tno runs",
    ]
    assert all_failures(dataset)[0].what == "reading sub-01_ses-a_run-1"


def test_the_newest_of_calls_within_a_second(dataset):
    for model in map("model {}".format, range(5)):
        write_call(new_log(dataset), "", model=model)
        assert last_model(dataset) == model
        write_outcome(
            new_log(dataset), [Failure("01", "reading", model, "sub-01")], 0.1
        )
        assert [failure.message for failure in all_failures(dataset)] == [model]
        write_completion(dataset, "sub-01", options={}, inputs={}, outputs=[])
        assert not all_failures(dataset)


def logged(dataset, name: str, *failures: Failure) -> None:
    write_outcome(dataset.path(f"logs/{name}"), failures, 0.0)


def test_of_a_participant_s_failures_those_of_the_newest_call_stand(dataset):
    logged(dataset, "20260101T000000Z-aaaaaa", Failure("01", "reading", "old"))
    logged(dataset, "20260102T000000Z-aaaaaa", Failure("01", "reading", "new"))
    logged(dataset, "20260103T000000Z-aaaaaa", Failure("02", "reading", "other"))
    logged(dataset, "notes", Failure("01", "reading", "of no call"))
    assert [
        (failure.participant, failure.message) for failure in all_failures(dataset)
    ] == [
        ("01", "new"),
        ("02", "other"),
    ]


@pytest.mark.parametrize(
    ("completed", "stands"),
    [
        ("2026-01-02T00:00:00+00:00", False),
        ("2025-12-31T00:00:00+00:00", True),
    ],
)
def test_a_failure_stands_until_its_work_was_completed_later(
    dataset, completed, stands
):
    logged(
        dataset,
        "20260101T000000Z-aaaaaa",
        Failure("01", "reading", "broken", "sub-01_ses-a"),
        Failure("01", "reading", "broken", "sub-01_ses-b"),
    )
    path = write_completion(dataset, "sub-01_ses-a", options={}, inputs={}, outputs=[])
    path.write_text(json.dumps(json.loads(path.read_text()) | {"Completed": completed}))
    expected = ["sub-01_ses-a", "sub-01_ses-b"] if stands else ["sub-01_ses-b"]
    assert [failure.title for failure in all_failures(dataset)] == expected


@pytest.mark.parametrize("name", ["sub-01/a.nii.gz", "logs/complete/sub-01.json"])
def test_results_whose_content_is_elsewhere_are_not_made_again(done, dataset, name):
    path = dataset.root / name
    path.unlink()
    path.symlink_to("../.git/annex/objects/zV/8w/MD5E-s1--abc/x")
    with pytest.raises(DatasetError, match=f"{name} has no content here") as caught:
        done()
    assert f"datalad get {dataset.root}" in str(caught.value)
    assert verify_outputs(dataset, "sub-01") == (f"without content here: {name}",)
