"""Attacks by what surrounds a call: streams, disk, descriptors, home, folders, earlier outputs."""

from __future__ import annotations

import gzip
import json
import os
import resource
import shutil
from pathlib import Path

from attacks.cases.case import case, rows
from attacks.scene import Scene, put, put_json, stamp

rows(
    "streams",
    lambda scene, streams: scene.streams.update(streams),
    {
        "stderr-closed": {"stderr": "closed"},
        "stderr-full": {"stderr": "full"},
        "stderr-gone": {"stderr": "gone"},
        "stdout-closed": {"stdout": "closed"},
        "stdout-full": {"stdout": "full"},
        "stdout-gone": {"stdout": "gone"},
        "both-closed": {"stdout": "closed", "stderr": "closed"},
        "both-full": {"stdout": "full", "stderr": "full"},
    },
    0,
    says="-",
)


def dry(scene: Scene, streams: dict[str, str]) -> None:
    scene.streams.update(streams)
    scene.options += ["--dry-run"]


rows(
    "plan",
    dry,
    {
        "stdout-closed": {"stdout": "closed"},
        "stdout-full": {"stdout": "full"},
        "stdout-gone": {"stdout": "gone"},
        "stderr-closed": {"stderr": "closed"},
    },
    (0, 1),
    says="-",
    healthy=False,
)


def no_more(scene: Scene, size: int) -> None:
    scene.limits[resource.RLIMIT_FSIZE] = size


# The streams are files too, and as small.
for size in (0, 1, 100, 500, 1000, 2000, 5000, 20_000):
    name = f"of-{size}-bytes-a-file"
    rows("disk", no_more, {name: size}, (0, 1, 2), healthy=False, says="-", seconds=13)


def few(scene: Scene, number: int) -> None:
    scene.limits[resource.RLIMIT_NOFILE] = number


for number in (4, 6, 8, 10, 12, 14, 16, 20, 24, 32):
    rows("descriptors", few, {f"of-{number}": number}, (0, 1, 2), healthy=False, seconds=13)


def around(scene: Scene, environment: dict[str, str | None]) -> None:
    scene.environment.update(environment)


rows(
    "environment",
    around,
    {
        "no-home": {"HOME": None},
        "home-gone": {"HOME": "/nonexistent"},
        "home-empty": {"HOME": ""},
        "home-a-file": {"HOME": "/dev/null"},
        "home-not-utf8": {"HOME": "/tmp/\udcff"},
        "no-path": {"PATH": None},
        "language-c": {"LC_ALL": "C", "LANG": "C"},
        "language-unknown": {"LC_ALL": "xx_YY.nonsense"},
        "time-zone": {"TZ": "Nowhere/\x1b[31m"},
        "columns": {"COLUMNS": "-5", "LINES": "0"},
        "threads": {"OMP_NUM_THREADS": "many", "MKL_NUM_THREADS": "-1"},
        "templateflow": {"TEMPLATEFLOW_HOME": "/dev/null"},
        "templateflow-empty": {"TEMPLATEFLOW_HOME": ""},
        "cache": {"XDG_CACHE_HOME": "relative"},
        "models": {"DTG_MODEL_DIR": "/dev/null"},
        "mirror": {"DTG_MODEL_MIRROR": "http://user:secret@[::1"},
    },
    0,
    says="-",
)


@case((0, 1, 2), healthy=False)
def no_temporary_folder(scene: Scene) -> None:
    scene.environment["TMPDIR"] = "/nonexistent"


@case((0, 1, 2), healthy=False, says="-")
def a_working_folder_that_is_gone(scene: Scene) -> None:
    gone = scene.place / "gone"
    gone.mkdir()
    scene.options += ["-d", "fmriprep=../fmriprep"]
    scene.work = gone


def linked_output(scene: Scene, target: str) -> None:
    scene.out.symlink_to(target)


rows(
    "output",
    linked_output,
    {
        "link-to-itself": "out",
        "link-to-the-input": "fmriprep",
        "link-to-a-device": "/dev/null",
    },
    2,
    healthy=False,
)


# Earlier outputs, damaged.


def of_earlier(pattern: str, edit):
    """Return an attack on the first file of an earlier call that matches."""

    def attack(scene: Scene) -> None:
        edit(min(scene.out.rglob(pattern)))

    return attack


def zeroed(path: Path) -> None:
    """Zero a file as a power cut does: size and time are kept."""
    facts = path.stat()
    put(path, bytes(facts.st_size))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


RECORD, MAP = "sub-01_task-rest.json", "sub-01*desc-synthetic_statmap.nii.gz"
SIDECAR, QUALITY = "sub-01*_statmap.json", "sub-01*_qc.tsv"


def with_content(content: str | bytes):
    return lambda path: put(path, content)


def made(make):
    def edit(path: Path) -> None:
        path.unlink()
        make(path)

    return edit


DAMAGE = {
    "empty": with_content(""),
    "list": with_content("[]"),
    "number": with_content("5"),
    "cut": lambda path: put(path, path.read_bytes()[: path.stat().st_size // 2]),
    "not-utf8": with_content(b'{"a": "\xff"}'),
    "binary": with_content(bytes(range(256))),
    "folder": made(Path.mkdir),
    "fifo": made(os.mkfifo),
    "endless": made(lambda path: path.symlink_to("/dev/zero")),
    "link-to-itself": made(lambda path: path.symlink_to(path.name)),
    "gone": made(lambda path: None),
    "read-only": lambda path: path.chmod(0),
}
for kind, pattern in {
    "record": RECORD,
    "map": MAP,
    "map-sidecar": SIDECAR,
    "quality": QUALITY,
    "people": "participants.tsv",
    "output-description": "dataset_description.json",
    "frames": "sub-01*frames_timeseries.tsv",
    "methods": "logs/methods/*.md",
}.items():
    rows(
        f"earlier-{kind}",
        lambda scene, edit, pattern=pattern: of_earlier(pattern, edit)(scene),
        DAMAGE,
        (0, 1, 2),
        fixture="earlier",
        healthy=False,
    )
RECORDS = {
    "options": {"Options": []},
    "inputs": {"Inputs": [1]},
    "inputs-null": {"Inputs": {"x": None}},
    "outputs-types": {"Outputs": {"README": {"Size": "x", "MTimeNs": [], "SHA256": 5}}},
    "methods": {"Methods": "../../../../etc/passwd"},
    "methods-types": {"Methods": 5},
    "title": {"Title": "\x1b[31m../../x"},
    "title-types": {"Title": []},
    "empty": {"Outputs": {}, "Inputs": {}},
}
rows(
    "earlier-record-with",
    lambda scene, facts: put_json(scene.out / "logs" / "complete" / RECORD, **facts),
    RECORDS,
    (0, 1),
    fixture="earlier",
)
OUTSIDE = {
    "outputs": {"Outputs": {"../../../etc/passwd": {"size": 1}}},
    "outputs-list": {"Outputs": [1, 2]},
    "outputs-absolute": {"Outputs": {"/etc/passwd": {}}},
    "outputs-nul": {"Outputs": {"a\0b": {}}},
}
rows(
    "earlier-record-with",
    lambda scene, facts: put_json(scene.out / "logs" / "complete" / RECORD, **facts),
    OUTSIDE,
    0,
    fixture="earlier",
    says="sub-01: sub-01_task-rest: .* maps from",  # made again
)
rows(
    "verify-record-with",
    lambda scene, facts: (
        put_json(scene.out / "logs" / "complete" / RECORD, **facts),
        scene.options.append("--verify"),
    ),
    OUTSIDE,
    1,
    fixture="earlier",
    says="-",
)
SIDECARS = {
    "runs-of-5": {"Runs": 5},
    "runs-of-text": {"Runs": ["x", None]},
    "runs-empty": {"Runs": []},
    "minutes": {"Minutes": "x"},
    "notes": {"Notes": {"a": 1}},
    "model": {"ModelName": {"a": []}, "ModelKind": 5},
    "escape": {"ModelName": "<script>alert(1)</script>\x1b[31m"},
    "contrast": {"Contrast": 5, "ContrastDescription": []},
    "sources": {"Sources": 5},
}


def report_of(scene: Scene, facts: dict[str, object]) -> None:
    for path in scene.out.rglob(SIDECAR):
        put_json(path, **facts)
    scene.options += ["--reports-only"]
    scene.reports = True


rows(
    "report-of-a-sidecar-with",
    report_of,
    SIDECARS,
    (0, 1, 2),
    fixture="earlier",
    healthy=False,
    seconds=20,
)


def group_level(scene: Scene, edit) -> None:
    edit(scene)
    scene.level = "group"


def each(pattern: str, edit):
    """Return an attack on all files of an earlier call that match."""

    def attack(scene: Scene) -> None:
        for path in sorted(scene.out.rglob(pattern)):
            edit(path)

    return attack


rows(
    "group",
    group_level,
    {
        "untouched": lambda scene: None,
        "sidecars-of-wrong-types": each(SIDECAR, lambda path: put_json(path, Runs=5, Minutes=[])),
        "sidecars-fifo": each(SIDECAR, made(os.mkfifo)),
        "tables-empty": each("*_qc.tsv", with_content("")),
        "tables-of-words": each("*_qc.tsv", with_content("a\tb\nx\ty\n")),
        "tables-fifo": each("*_qc.tsv", made(os.mkfifo)),
        "tables-endless": each("*_qc.tsv", made(lambda path: path.symlink_to("/dev/zero"))),
        "maps-cut": each(MAP, with_content(b"\x1f\x8b\x08\0")),
        "maps-of-text": each(MAP, with_content("text")),
        "maps-gone": each(MAP, made(lambda path: None)),
        "maps-endless": each(MAP, made(lambda path: path.symlink_to("/dev/zero"))),
        "maps-nan": each(MAP, lambda path: stamp(path, 352, b"\0\0\xc0\x7f" * 1080)),
        "people-open-quote": each("participants.tsv", with_content('participant_id\n"sub-01\n')),
        "people-not-utf8": each("participants.tsv", with_content(b"participant_id\n\xff\n")),
        "people-fifo": each("participants.tsv", made(os.mkfifo)),
    },
    (0, 1, 2),
    fixture="earlier",
    healthy=False,
    seconds=10,
)


@case(1, fixture="earlier", says="-")
def maps_zeroed_by_a_power_cut_are_found_by_verify(scene: Scene) -> None:
    """The map has its size and its time: the option reads it, and prints who is damaged."""
    of_earlier(MAP, zeroed)(scene)
    scene.options += ["--verify"]


@case(0, fixture="earlier")
def a_tree_of_links_in_the_output(scene: Scene) -> None:
    for name in ("a", "b"):
        (scene.out / "sub-01" / name).symlink_to(scene.out / "sub-01")


@case((0, 1, 2), fixture="earlier", healthy=False)
def stale_temporaries_that_are_folders(scene: Scene) -> None:
    (scene.out / ".dtg-tmp-x").mkdir()
    (scene.out / "sub-01" / "func" / ".dtg-x.json").mkdir()
    shutil.rmtree(scene.out / ".dtg-tmp-x")
    shutil.rmtree(scene.out / "sub-01" / "func" / ".dtg-x.json")


@case((0, 1), fixture="earlier")
def a_map_that_decompresses_to_a_gibibyte(scene: Scene) -> None:
    path = min(scene.out.rglob(MAP))
    put(path, gzip.compress(bytes(2**26), 1))


@case(2, fixture="earlier", healthy=False, says="XCP-D|another")
def an_output_description_that_is_another_program_s(scene: Scene) -> None:
    path = scene.out / "dataset_description.json"
    put(path, json.dumps({"Name": 5, "GeneratedBy": [{"Name": "XCP-D"}], "Authors": {"a": None}}))
