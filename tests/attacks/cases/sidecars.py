"""Attacks on JSON: the sidecar of a run, inherited ones, the description of the dataset."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from attacks.cases.case import add, case, rows
from attacks.scene import Scene, put, put_json

INHERITED = "task-rest_desc-preproc_bold.json"


def own(scene: Scene, content: str | bytes) -> None:
    put(scene["sidecar"], content)


def sidecar(**facts: object) -> str:
    return json.dumps({"SkullStripped": False, "RepetitionTime": 10.0} | facts)


# Times that no scanner has, or that contradict the header (10 s).
rows(
    "repetition-time",
    lambda scene, tr: put_json(scene["sidecar"], RepetitionTime=tr),
    {
        "in-milliseconds": 10_000.0,
        "of-800": 800.0,
        "of-100": 100.0,
        "beside-the-header": 9.0,
        "of-0": 0,
        "negative": -10.0,
        "tiny": 1e-300,
        "huge": 1e300,
        "as-text": "10.0",
        "as-list": [10.0],
        "as-object": {"value": 10.0},
        "as-true": True,
        "of-5000-digits": 10**4000,
    },
    1,
    says="RepetitionTime|repetition time|_bold.json|seconds|minutes",
)
rows(
    "repetition-time",
    own,
    {
        "nan": '{"RepetitionTime": NaN}',
        "infinite": '{"RepetitionTime": Infinity}',
        "of-digits": '{"RepetitionTime": 1' + "0" * 5000 + "}",
        "twice": '{"RepetitionTime": 10.0, "RepetitionTime": -1}',
    },
    1,
    says=r"_bold\.json",
)
rows(
    "sidecar",
    own,
    {
        "empty": "",
        "list": "[]",
        "text": '"RepetitionTime"',
        "number": "10",
        "null": "null",
        "cut": '{"RepetitionTime": 10.0, "Sk',
        "binary": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "not-utf8": b'{"RepetitionTime": 10.0, "Name": "\xff\xfe"}',
        "utf16": '{"RepetitionTime": 10.0}'.encode("utf-16"),
        "nul-bytes": b"\0" * 4096,
        "comment": '// units\n{"RepetitionTime": 10.0}',
        "trailing": '{"RepetitionTime": 10.0}{"RepetitionTime": 5.0}',
    },
    (1, 2),
    says=r"_bold\.json",
)
rows(
    "sidecar",
    own,
    {
        "byte-order-mark": b"\xef\xbb\xbf" + sidecar().encode(),
        "control": sidecar(Name="\x1b[31m\x07\x00"),
        "wrong-types": sidecar(SliceTiming={"a": 1}, SkullStripped="no", StartTime=[]),
        "long-text": sidecar(Name="x" * 5_000_000),
        "many-keys": sidecar(**{f"key{number}": number for number in range(100_000)}),
        "slice-timing-nan": '{"RepetitionTime": 10.0, "SliceTiming": [NaN, Infinity, "x"]}',
        "nested": sidecar(GeneratedBy=[[[[{"Name": None}]]]], Sources=5, Resolution=[1, {}]),
        "space-as-list": sidecar(SpatialReference=["x"], NumberOfVolumesDiscardedByUser="x"),
        "delays": sidecar(DelayTime="x", AcquisitionDuration=None, VolumeTiming=[0, 1]),
    },
)


def huge(scene: Scene) -> None:
    """Make a sparse file of 8 GiB."""
    with put(scene["sidecar"], b"{").open("r+b") as stream:
        stream.truncate(8 * 2**30)


rows(
    "sidecar",
    lambda scene, attack: attack(scene["sidecar"]),
    {
        "fifo": lambda path: (path.unlink(), os.mkfifo(path)),
        "folder": lambda path: (path.unlink(), path.mkdir()),
        "endless": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
        "link-to-itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
        "broken-link": lambda path: (path.unlink(), path.symlink_to("gone")),
        "terminal": lambda path: (path.unlink(), path.symlink_to("/dev/tty")),
        "memory": lambda path: (path.unlink(), path.symlink_to("/proc/self/mem")),
    },
    (0, 1, 2),
    seconds=12,  # what a disk cannot read is tried again
)
add("sidecar-of-8-gibibytes", huge, (1, 2), says=r"_bold\.json")

rows(
    "inherited",
    lambda scene, make: make(scene.bids / INHERITED),
    {
        "fifo": os.mkfifo,
        "folder": Path.mkdir,
        "endless": lambda path: path.symlink_to("/dev/zero"),
        "list": lambda path: path.write_text("[1, 2]"),
        "cut": lambda path: path.write_text('{"Repet'),
        "not-utf8": lambda path: path.write_bytes(b'{"a": "\xff"}'),
    },
    (0, 1, 2),
    healthy=False,
)
rows(
    "description",
    lambda scene, content: put(scene["description"], content),
    {
        "empty": "",
        "list": "[]",
        "text": '"Name"',
        "null": "null",
        "cut": '{"Name": ',
        "binary": bytes(range(256)),
        "generated-by-text": '{"Name": "x", "BIDSVersion": "1", "GeneratedBy": "fMRIPrep"}',
        "generated-by-numbers": '{"Name": 1, "BIDSVersion": 2, "GeneratedBy": [1, null, []]}',
        "nested-names": '{"Name": {"a": 1}, "GeneratedBy": [{"Name": {"a": []}}]}',
        "types": '{"Name": null, "DatasetType": 5, "GeneratedBy": {"Name": "fMRIPrep"}}',
    },
    (0, 1, 2),
    healthy=False,
)
rows(
    "description",
    lambda scene, make: (scene["description"].unlink(), make(scene["description"])),
    {
        "fifo": os.mkfifo,
        "folder": Path.mkdir,
        "endless": lambda path: path.symlink_to("/dev/zero"),
        "link-to-itself": lambda path: path.symlink_to(path.name),
        "gone": lambda path: None,
    },
    2,
    says="dataset_description.json",
    healthy=False,
)


@case((0, 1, 2), healthy=False)
def a_name_with_control_characters(scene: Scene) -> None:
    put_json(scene["description"], Name="\x1b]0;owned\x07\r\nbids_dtg: error: forged\x9b31m")


@case((0, 1, 2), healthy=False)
def a_folder_of_a_participant_that_links_to_itself(scene: Scene) -> None:
    (scene.bids / "sub-01" / "func" / "loop").symlink_to(scene.bids / "sub-01" / "func")
    (scene.bids / "sub-01" / "ses-a").symlink_to(scene.bids / "sub-01")


@case((0, 1, 2), healthy=False)
def folders_700_deep(scene: Scene) -> None:
    folder, here = scene.bids / "sub-01" / "func", os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        for _ in range(700):
            Path("deep").mkdir()
            os.chdir("deep")
    finally:
        os.fchdir(here)
        os.close(here)


@case((0, 1), healthy=True)
def a_participant_that_is_a_file(scene: Scene) -> None:
    shutil.rmtree(scene.bids / "sub-01")
    (scene.bids / "sub-01").write_text("")
