"""What was run, on what, with which result: logs of calls, completion records, failures."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from bids_dtg.errors import ForeignFileError, MissingFileError, RunError
from bids_dtg.files.atomic import flush_to_disk
from bids_dtg.files.derivatives import DerivativeDataset, running_container
from bids_dtg.files.foreign import open_foreign, read_json_object, reading, sha256_of_file
from bids_dtg.files.paths import PathNames
from bids_dtg.files.text import read_json, read_rows, write_json, write_text, write_tsv
from bids_dtg.version import __version__

# Enough of a file to notice that it changed, at the price of reading 2 MiB: its size (bytes), the
# time of the last change (mtime_ns), and ends_sha256, of the first and the last MiB.
Fingerprint = Mapping[str, Any]

# Why a piece of work that has no record must be done.
NOT_DONE = "not done yet"
_RECORDS = "logs/complete"  # folder of completion records
_DAMAGED = "Damaged"  # key of the outputs that are not as they were written
_FAILURE_COLUMNS = ("participant_id", "average", "run", "stage", "message")
_END = 2**20  # bytes hashed at the start and at the end of a file
_PACKAGES = ("isal", "nibabel", "nilearn", "numpy", "pandas", "pybids", "scipy", "torch")
_TIME = "%Y%m%dT%H%M%S"  # with which the names of logs begin


def file_fingerprint(path: Path) -> Fingerprint:
    """Take the fingerprint of an input.

    Raises
    ------
    RunError
        If it cannot be read.
    """
    with reading(path, RunError), open_foreign(path) as stream:
        status = os.fstat(stream.fileno())
        digest = hashlib.sha256(stream.read(_END))
        stream.seek(max(_END, status.st_size - _END))
        digest.update(stream.read(_END))
    return {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ends_sha256": digest.hexdigest(),
    }


def input_fingerprints(
    paths: Iterable[Path], root: Path, names: PathNames
) -> dict[str, Fingerprint]:
    """Take the fingerprints of inputs, by their names as `named_files` has them."""
    return {name: file_fingerprint(path) for name, path in named_files(paths, root, names).items()}


def named_files(paths: Iterable[Path], root: Path, names: PathNames) -> dict[str, Path]:
    """Return files by their paths below the input dataset.

    What lies elsewhere is listed below the name of its folder, as `<custom-confounds>/x.tsv`;
    files of one such name are numbered.
    """
    found: dict[str, Path] = {}
    for path in dict.fromkeys(paths):
        inside = path.is_relative_to(root)
        given = path.relative_to(root).as_posix() if inside else names.name(path)
        name, number = given, 1
        while name in found:
            number += 1
            name = f"{given} ({number})"
        found[name] = path
    return found


def write_completion(
    dataset: DerivativeDataset,
    title: str,
    *,
    options: Mapping[str, Any],
    inputs: Mapping[str, Fingerprint],
    outputs: Iterable[Path],
    methods: str = "",
) -> Path:
    """Record that a piece of work is complete: the last file written for it.

    What it describes is forced to the disk first, so that no record outlives a power cut that
    its files do not.

    Parameters
    ----------
    dataset
        The output dataset, where the record is kept.
    title
        Name of the piece of work, e.g. `sub-01_ses-A`.
    options
        All that shapes the results (options, model, version), as JSON has it.
    inputs
        Size, time and hash of each input by name, from `input_fingerprints`.
    outputs
        Every file written for it.
    methods
        Methods text of the work.
    """
    path, outputs, facts = _record_path(dataset, title), sorted(outputs), {}
    flush_to_disk(outputs)
    for output in outputs:
        status, name = output.stat(), output.relative_to(dataset.root).as_posix()
        sizes = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
        facts[name] = {**sizes, "sha256": sha256_of_file(output)}
    record = {
        "Title": title,
        "Methods": methods,
        "Completed": datetime.now(UTC).isoformat(timespec="seconds"),
        "Options": dict(options),
        "Inputs": {name: dict(inputs[name]) for name in sorted(inputs)},
        "Outputs": facts,
    }
    write_json(path, record)
    flush_to_disk([path])
    return path


def completion_record(dataset: DerivativeDataset, title: str) -> dict[str, Any]:
    """Return the record of a piece of work; empty where none can be read."""
    return read_json(dataset.root / _RECORDS / f"{title}.json")


def completed_titles(dataset: DerivativeDataset) -> tuple[str, ...]:
    """List the pieces of work that have a record, by the names of the records."""
    return tuple(sorted(path.stem for path in (dataset.root / _RECORDS).glob("*.json")))


def recorded_outputs(dataset: DerivativeDataset, title: str) -> tuple[PurePosixPath, ...]:
    """List the files of a completion record, relative to the dataset; none where there is none."""
    try:
        return tuple(map(PurePosixPath, _whole_record(dataset, title)["Outputs"]))
    except ForeignFileError:
        return ()


def sets_made_otherwise(
    dataset: DerivativeDataset, participant: str, option: str, value: object
) -> tuple[str, ...]:
    """List a participant's completed pieces of work that had another value of an option."""
    records = map(read_json, sorted(dataset.path(_RECORDS).glob(f"sub-{participant}_*.json")))
    return tuple(
        str(record["Title"])
        for record in records
        if isinstance(options := record.get("Options"), dict) and options.get(option) != value
    )


def why_incomplete(
    dataset: DerivativeDataset,
    title: str,
    *,
    options: Mapping[str, Any],
    inputs: Mapping[str, Fingerprint],
) -> str | None:
    """Say why a piece of work must be done (again); None where it is complete.

    It is complete if a record says so whose options and inputs are these, and
    all outputs are as they were written. An output of the same size and time is
    taken as unchanged unless `verify_outputs` has found otherwise; one with another
    time is read and compared.
    """
    try:
        record = _whole_record(dataset, title)
    except MissingFileError:
        return NOT_DONE
    except ForeignFileError:
        return f"completion record unreadable: {title}.json"
    before, now = record["Options"], json.loads(json.dumps(dict(options)))
    changed = [
        f"{name} changed ({before.get(name)} to {now.get(name)})"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    if changed:
        return f"option{'s' * (len(changed) > 1)} {', '.join(changed)}"
    for name in sorted({*record["Inputs"], *inputs}):
        if name not in inputs:
            return f"input gone: {name}"
        if name not in record["Inputs"]:
            return f"input new: {name}"
        if not _same_content(name, record["Inputs"][name], inputs[name]):
            return f"input changed: {name}"
    if damaged := record.get(_DAMAGED):
        return f"output damaged: {damaged[0]}"
    for name, recorded in record["Outputs"].items():
        if damage := _damage(dataset.root / name, recorded, by_time=True):
            return f"output {damage}: {name}"
    return None


def verify_outputs(dataset: DerivativeDataset, title: str) -> tuple[str, ...]:
    """Read all files of a piece of work, and compare them with its completion record.

    What is found is kept in the record, so that the next call makes damaged work again, and does
    not where the files have been put back.

    Returns
    -------
    tuple of str
        What is wrong, as ``missing sub-01/x.json``; nothing where all is whole.

    Raises
    ------
    OutputError
        The record cannot be written.
    """
    path = _record_path(dataset, title)
    try:
        record = _whole_record(dataset, title)
    except ForeignFileError:
        return (f"unreadable {_RECORDS}/{path.name}",)
    outputs = sorted(record["Outputs"].items())
    found = {name: _damage(dataset.root / name, one, by_time=False) for name, one in outputs}
    damaged = [name for name, damage in found.items() if damage]
    if damaged != record.pop(_DAMAGED, []):
        write_json(path, {**record, **({_DAMAGED: damaged} if damaged else {})})
    return tuple(f"{found[name]} {name}" for name in damaged)


def _record_path(dataset: DerivativeDataset, title: str) -> Path:
    return dataset.path(f"{_RECORDS}/{title}.json")


def _whole_record(dataset: DerivativeDataset, title: str) -> dict[str, Any]:
    """Read a completion record.

    Raises
    ------
    MissingFileError
        There is none.
    ForeignFileError
        It lacks something, or names a file outside the dataset: none of its files is looked at.
    """
    path = _record_path(dataset, title)
    record = read_json_object(path)
    with reading(path, as_what=" as a completion record"):
        dict(record["Options"])
        for one in record["Inputs"].values():
            _ = one["size"], one["mtime_ns"], one["ends_sha256"]
        for name, one in record["Outputs"].items():
            _ = dataset.path(name), one["size"], one["mtime_ns"], one["sha256"]
    return record


def _same_content(name: str, one: Fingerprint, other: Fingerprint) -> bool:
    """Return whether two fingerprints are of the same content.

    A copy has another time, so the time counts only where a change could
    hide from the ends: in the middle of a large file that is not gzip,
    whose last bytes are a checksum of everything.
    """
    same_ends = (one["size"], one["ends_sha256"]) == (other["size"], other["ends_sha256"])
    covered = name.endswith(".gz") or one["size"] <= 2 * _END
    return same_ends and (covered or one["mtime_ns"] == other["mtime_ns"])


def _damage(path: Path, recorded: Mapping[str, Any], *, by_time: bool) -> str | None:
    """Return a word for the damage of an output, or None; it is read unless its time is enough."""
    if not path.is_file():
        return "missing"
    status = path.stat()
    if status.st_size != recorded["size"]:
        return "changed"
    if by_time and status.st_mtime_ns == recorded["mtime_ns"]:
        return None
    try:
        return None if sha256_of_file(path) == recorded["sha256"] else "changed"
    except ForeignFileError:
        return "unreadable"


# --- Logs of calls


@dataclass(frozen=True)
class Failure:
    """One participant that failed."""

    participant: str  # label without sub-
    stage: str  # what was being done, e.g. "reading"
    message: str  # one line
    title: str = ""  # of the average of maps; empty where none had begun
    run: str = ""  # title of the run; empty where it was none of the runs

    @property
    def what(self) -> str:
        """What failed, for people, as ``reading sub-01_task-rest``."""
        return f"{self.stage} {self.run or self.title}".strip()


def new_log(dataset: DerivativeDataset) -> Path:
    """Choose the folder `logs/<UTC time>-<random part>` of a call; its first file makes it."""
    return dataset.path(f"logs/{datetime.now(UTC):{_TIME}}Z-{secrets.token_hex(3)}")


def write_call(log: Path, toml: str) -> None:
    """Write the configuration of a call, and the versions of program, packages and machine."""
    write_text(log / "config.toml", toml)
    system = {"platform": platform.platform(), "container": running_container()}
    write_json(log / "versions.json", {"bids_dtg": __version__, **system, **package_versions()})


def write_outcome(log: Path, failures: Sequence[Failure], seconds: Mapping[str, float]) -> None:
    """Write who failed (a table without rows: nobody), and how many seconds each part took."""
    write_json(log / "timing.json", {name: round(value, 3) for name, value in seconds.items()})
    rows = [
        (f"sub-{f.participant}", f.title or None, f.run or None, f.stage, f.message)
        for f in failures
    ]
    write_tsv(log / "failures.tsv", _FAILURE_COLUMNS, rows)


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    packages = {name: version for name in _PACKAGES if (version := _version(name))}
    return {"python": platform.python_version(), **packages}


@functools.cache  # a call asks three times
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def all_failures(dataset: DerivativeDataset) -> tuple[Failure, ...]:
    """Return everybody's failures that still stand.

    Of each participant those of the newest call that logged any; and of them only
    those without an average of maps completed since. Each log is read once, whatever the
    number of participants.
    """
    newest: dict[str, tuple[str, list[Failure]]] = {}
    # Names of logs begin with their time: sorted, the newest comes last.
    for table in sorted(dataset.root.glob("logs/*T*Z-*/failures.tsv")):
        begun, logged = table.parent.name, dict[str, list[Failure]]()
        for row in read_rows(table):
            # A log that somebody has changed costs no report.
            person, title, run, stage, message = (
                "" if (cell := row.get(key, "")) == "n/a" else cell for key in _FAILURE_COLUMNS
            )
            label = person.removeprefix("sub-")
            logged.setdefault(label, []).append(Failure(label, stage, message, title, run))
        newest |= {label: (begun, failures) for label, failures in logged.items()}
    completed: dict[str, list[tuple[str, str]]] = {}
    for title in completed_titles(dataset) if newest else ():
        label = title.partition("_")[0].removeprefix("sub-")
        if label in newest:
            # As the names of logs have it.
            since = str(completion_record(dataset, title).get("Completed", ""))
            when = since.replace("-", "").replace(":", "")
            completed.setdefault(label, []).append((title, when))
    return tuple(
        failure
        for label, (begun, failures) in sorted(newest.items())
        for failure in failures
        # What failed outside an average, as the search for runs, any average makes good.
        if not any(
            when[:15] > begun[:15] and failure.title in ("", title)
            for title, when in completed.get(label, ())
        )
    )
