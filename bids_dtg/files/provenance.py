"""Provenance: logs of runs, completion records and failures."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from bids_dtg.errors import ForeignFileError, MissingFileError, RunError
from bids_dtg.files.atomic import flush_to_disk
from bids_dtg.files.derivatives import DerivativeDataset, running_container
from bids_dtg.files.foreign import (
    is_stub,
    open_foreign,
    read_json_object,
    reading,
    require_result,
    sha256_of_file,
)
from bids_dtg.files.paths import PathNames
from bids_dtg.files.text import read_json, read_rows, write_json, write_text, write_tsv
from bids_dtg.version import __version__

# Detects that a file has changed by reading at most 2 MiB of it: its size (bytes), the time of the
# last change (mtime_ns), and the SHA-256 of its first and last MiB (ends_sha256).
Fingerprint = Mapping[str, Any]

# Reason for doing a piece of work that has no record.
NOT_DONE = "not done yet"
_RECORDS = "logs/complete"  # folder of completion records
# Key of the outputs that are being replaced, or have changed since they were written.
DAMAGED = "Damaged"
_FAILURE_COLUMNS = ("participant_id", "average", "run", "stage", "message")
_END = 2**20  # bytes hashed at the start and at the end of a file
_PACKAGES = (
    "isal",
    "nibabel",
    "nilearn",
    "numpy",
    "pandas",
    "pybids",
    "scipy",
    "torch",
)
# The names of log folders begin with it; two runs may begin within a second.
_TIME = "%Y%m%dT%H%M%S.%f"


def file_fingerprint(path: Path) -> Fingerprint:
    """Return the fingerprint of an input.

    Raises
    ------
    RunError
        The input cannot be read.
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
    """Return the fingerprints of inputs, by their names from `named_files`."""
    return {
        name: file_fingerprint(path)
        for name, path in named_files(paths, root, names).items()
    }


def named_files(paths: Iterable[Path], root: Path, names: PathNames) -> dict[str, Path]:
    """Return files by their paths relative to the input dataset.

    A file elsewhere is listed under the name of its folder, such as `<custom-confounds>/x.tsv`;
    files with the same such name are numbered.
    """
    files: dict[str, Path] = {}
    for path in dict.fromkeys(paths):
        inside = path.is_relative_to(root)
        plain_name = path.relative_to(root).as_posix() if inside else names.name(path)
        name = plain_name
        number = 1
        while name in files:
            number += 1
            name = f"{plain_name} ({number})"
        files[name] = path
    return files


def write_completion(
    dataset: DerivativeDataset,
    title: str,
    *,
    options: Mapping[str, Any],
    inputs: Mapping[str, Fingerprint],
    outputs: Iterable[Path],
    methods: str = "",
) -> Path:
    """Record that a piece of work is complete; this is the last file written for it.

    The output files are flushed to disk first, so that after a power cut no record exists without
    its files.

    Parameters
    ----------
    dataset
        The output dataset, where the record is kept.
    title
        Name of the piece of work, e.g. `sub-01_ses-A`.
    options
        Everything that affects the results (options, model, version), as JSON values.
    inputs
        Size, time and hash of each input by name, from `input_fingerprints`.
    outputs
        Every file written for it.
    methods
        Methods text.
    """
    path = _record_path(dataset, title)
    outputs = sorted(outputs)
    flush_to_disk(outputs)
    output_facts = {}
    for output in outputs:
        status = output.stat()
        output_facts[output.relative_to(dataset.root).as_posix()] = {
            "size": status.st_size,
            "mtime_ns": status.st_mtime_ns,
            "sha256": sha256_of_file(output),
        }
    record = {
        "Title": title,
        "Methods": methods,
        "Completed": datetime.now(UTC).isoformat(timespec="microseconds"),
        "Options": dict(options),
        "Inputs": {name: dict(inputs[name]) for name in sorted(inputs)},
        "Outputs": output_facts,
    }
    write_json(path, record)
    flush_to_disk([path])
    return path


def note_replaced(dataset: DerivativeDataset, title: str) -> None:
    """Note in a piece of work's record, if it has one, that its files are being replaced.

    Its options are no longer those of the files, until `write_completion` records the new ones.
    """
    with suppress(ForeignFileError):
        record = _whole_record(dataset, title)
        record[DAMAGED] = list(record["Outputs"])
        write_json(_record_path(dataset, title), record)


def completion_record(dataset: DerivativeDataset, title: str) -> dict[str, Any]:
    """Return the record of a piece of work; empty if it cannot be read."""
    return read_json(dataset.root / _RECORDS / f"{title}.json")


def has_record(dataset: DerivativeDataset, title: str) -> bool:
    """Return whether a piece of work has a record, which may be damaged."""
    return os.path.lexists(dataset.root / _RECORDS / f"{title}.json")


def completed_titles(dataset: DerivativeDataset) -> tuple[str, ...]:
    """List the pieces of work that have a record, by the names of the records."""
    return tuple(sorted(path.stem for path in (dataset.root / _RECORDS).glob("*.json")))


def recorded_outputs(
    dataset: DerivativeDataset, title: str
) -> tuple[PurePosixPath, ...]:
    """List the files of a completion record, relative to the dataset; empty without a record."""
    try:
        return tuple(map(PurePosixPath, _whole_record(dataset, title)["Outputs"]))
    except ForeignFileError:
        return ()


def _shortened(value: object) -> str:
    """Return a value of an option in words; of a hash, which nobody reads, only the start."""
    text = str(value)
    return f"{text[:8]}…" if re.fullmatch("[0-9a-f]{64}", text) else text


def why_incomplete(
    dataset: DerivativeDataset,
    title: str,
    *,
    options: Mapping[str, Any],
    inputs: Mapping[str, Fingerprint],
) -> str | None:
    """Return the reason why a piece of work must be done (again); None if it is complete.

    It is complete if it has a record with the same options and inputs, and all outputs are
    unchanged. An output of the same size and time counts as unchanged unless `verify_outputs` has
    found otherwise; if its time differs, it is read and compared.

    Raises
    ------
    DatasetError
        The content of the record or of an output is not on this machine.
    """
    require_result(_record_path(dataset, title), dataset.root)
    try:
        record = _whole_record(dataset, title)
    except MissingFileError:
        return NOT_DONE
    except ForeignFileError:
        return f"completion record unreadable: {title}.json"
    before = record["Options"]
    now = json.loads(json.dumps(dict(options)))
    changed = [
        f"{name} changed ({_shortened(before.get(name))} to {_shortened(now.get(name))})"
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
    if damaged := record.get(DAMAGED):
        return f"output damaged or half replaced: {damaged[0]}"
    for name, recorded in record["Outputs"].items():
        if damage := _damage(dataset.root / name, recorded, by_time=True):
            require_result(dataset.root / name, dataset.root)
            return f"output {damage}: {name}"
    return None


def verify_outputs(dataset: DerivativeDataset, title: str) -> tuple[str, ...]:
    """Read all files of a piece of work, and compare them with its completion record.

    Damaged files are noted in the record, so that the next run redoes the work. The note is
    removed once the files have been restored.

    Returns
    -------
    tuple of str
        Problems, such as ``missing sub-01/x.json``; empty if all files are intact.

    Raises
    ------
    OutputError
        The record cannot be written.
    """
    path = _record_path(dataset, title)
    try:
        record = _whole_record(dataset, title)
    except ForeignFileError:
        return (f"{_fault(path, 'unreadable')} {_RECORDS}/{path.name}",)
    damages: dict[str, str] = {}
    for name, recorded in sorted(record["Outputs"].items()):
        damage = _damage(dataset.root / name, recorded, by_time=False)
        if damage:
            damages[name] = damage
    if list(damages) != record.pop(DAMAGED, []):
        if damages:
            record[DAMAGED] = list(damages)
        write_json(path, record)
    return tuple(f"{damage} {name}" for name, damage in damages.items())


def _record_path(dataset: DerivativeDataset, title: str) -> Path:
    return dataset.path(f"{_RECORDS}/{title}.json")


def _whole_record(dataset: DerivativeDataset, title: str) -> dict[str, Any]:
    """Read a completion record.

    Raises
    ------
    MissingFileError
        There is no record.
    ForeignFileError
        It is incomplete, or names a file outside the dataset; then none of its files is opened.
    """
    path = _record_path(dataset, title)
    record = read_json_object(path)
    with reading(path, as_what=" as a completion record"):
        _ = {**record["Options"], **record["Inputs"]}  # both must be objects
        for output in record["Outputs"]:
            dataset.path(output)
    return record


def _same_content(name: str, recorded: Fingerprint, current: Fingerprint) -> bool:
    """Return whether two fingerprints are of the same content.

    A copy has another time, so the time counts only if the ends of the file might not reveal a
    change. That is so for large files, except gzip files, which end with a checksum of their
    content.
    """
    same_size = recorded["size"] == current["size"]
    same_ends = recorded["ends_sha256"] == current["ends_sha256"]
    same_time = recorded["mtime_ns"] == current["mtime_ns"]
    covered = name.endswith(".gz") or recorded["size"] <= 2 * _END
    return same_size and same_ends and (covered or same_time)


def _fault(path: Path, fault: str) -> str:
    """Return a fault of a file that cannot be read, or that only its content is elsewhere."""
    return "without content here:" if is_stub(path) else fault


def _damage(path: Path, recorded: Mapping[str, Any], *, by_time: bool) -> str | None:
    """Return a word for an output's damage, or None; read it unless its time shows no change."""
    if not path.is_file():
        return _fault(path, "missing")
    status = path.stat()
    if status.st_size != recorded["size"]:
        return "changed"
    if by_time and status.st_mtime_ns == recorded["mtime_ns"]:
        return None
    try:
        return None if sha256_of_file(path) == recorded["sha256"] else "changed"
    except ForeignFileError:
        return "unreadable"


# --- Logs of runs


@dataclass(frozen=True)
class Failure:
    """A failure in the processing of a participant."""

    participant: str  # label without sub-
    stage: str  # what was being done, e.g. "reading"
    message: str  # one line
    # Title of the averaged maps; empty if their processing had not begun.
    title: str = ""
    run: str = ""  # title of the run; empty if no single run caused it

    @property
    def what(self) -> str:
        """What failed, such as ``reading sub-01_task-rest``."""
        return f"{self.stage} {self.run or self.title}".strip()


def new_log(dataset: DerivativeDataset) -> Path:
    """Choose a run's log folder, `logs/<UTC time>-<random part>`; writing a file creates it."""
    return dataset.path(f"logs/{datetime.now(UTC):{_TIME}}Z-{secrets.token_hex(3)}")


def write_call(
    log: Path, toml: str, *, model: str | None = None, why_model: str = ""
) -> None:
    """Write a run's configuration, and the versions of program, model, packages and platform."""
    write_text(log / "config.toml", toml)
    versions: dict[str, str | None] = {"bids_dtg": __version__}
    if model is not None:
        versions["model"] = model
    if why_model:
        versions["model_choice"] = why_model
    versions["platform"] = platform.platform()
    versions["container"] = running_container()
    write_json(log / "versions.json", {**versions, **package_versions()})


def last_model(dataset: DerivativeDataset) -> str:
    """Return the record of the model that the newest run used; empty if no run used any."""
    logs = dataset.root / "logs"
    names = [path.name for path in logs.glob("*T*Z-*")] if logs.is_dir() else []
    for name in sorted(names, reverse=True):  # they begin with the time
        if model := read_json(logs / name / "versions.json").get("model"):
            return str(model)
    return ""


def write_outcome(log: Path, failures: Sequence[Failure], seconds: float) -> None:
    """Write the table of failures, which may have no rows, and the seconds that the run took."""
    write_json(log / "timing.json", {"seconds": round(seconds, 3)})
    rows = [
        (
            f"sub-{failure.participant}",
            failure.title,
            failure.run,
            failure.stage,
            failure.message,
        )
        for failure in failures
    ]
    write_tsv(log / "failures.tsv", _FAILURE_COLUMNS, rows)


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def all_failures(dataset: DerivativeDataset) -> tuple[Failure, ...]:
    """Return the failures of all participants that have not been resolved since.

    For each participant, these are the failures of the newest run that logged any, except those
    whose averaged maps have been completed later. Each log is read only once.
    """
    newest: dict[str, tuple[str, list[Failure]]] = {}  # when the run began, failures
    # Names of log folders begin with the time, so the newest comes last.
    for table in sorted(dataset.root.glob("logs/*T*Z-*/failures.tsv")):
        for label, failures in _logged_failures(table).items():
            newest[label] = (_time_of(table.parent.name), failures)
    if not newest:
        return ()
    completed: dict[str, list[tuple[str, str]]] = {}  # title, time of completion
    for title in completed_titles(dataset):
        label = title.partition("_")[0].removeprefix("sub-")
        if label in newest:
            when = str(completion_record(dataset, title).get("Completed", ""))
            completed.setdefault(label, []).append((title, _time_of(when)))
    unresolved = []
    for label, (begun, failures) in sorted(newest.items()):
        later = [title for title, when in completed.get(label, ()) if when > begun]
        for failure in failures:
            # One without a title, such as one in the search for runs, is resolved by any maps.
            if failure.title not in later and (failure.title or not later):
                unresolved.append(failure)
    return tuple(unresolved)


def _logged_failures(table: Path) -> dict[str, list[Failure]]:
    """Read a log's table of failures, by participant."""
    logged: dict[str, list[Failure]] = {}
    for row in read_rows(table):
        # An edited log may lack columns; it must not prevent the report.
        cells = [row.get(column, "") for column in _FAILURE_COLUMNS]
        participant, title, run, stage, message = (
            "" if cell == "n/a" else cell for cell in cells
        )
        label = participant.removeprefix("sub-")
        failure = Failure(label, stage, message, title, run)
        logged.setdefault(label, []).append(failure)
    return logged


def _time_of(text: str) -> str:
    """Return the time at the start of a log folder's name or an ISO date, to compare them."""
    return text.replace("-", "").replace(":", "")[:22]
