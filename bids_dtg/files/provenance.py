"""What was run, on what, with which result: run folders, completion records, failures."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import Any

from bids_dtg.errors import ForeignFileError, MissingFileError, OutputError, RunError
from bids_dtg.files.atomic import flush_to_disk
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.foreign import open_foreign, read_json_object, reading
from bids_dtg.files.paths import PathNames
from bids_dtg.files.text import read_json, read_rows, write_json, write_text, write_tsv

# Why a piece of work that has no record must be done.
NOT_DONE = "not done yet"
_RECORDS = "logs/complete"  # folder of completion records
_DAMAGED = "Damaged"  # key of the outputs that are not as they were written
_FAILURE_COLUMNS = ("participant_id", "average", "run", "stage", "message")
_END = 2**20  # bytes hashed at the start and at the end of a file
_PACKAGES = ("isal", "nibabel", "nilearn", "numpy", "pandas", "pybids", "scipy", "torch")


@dataclass(frozen=True)
class Fingerprint:
    """Enough of a file to notice that it changed, at the price of reading 2 MiB."""

    size: int  # bytes
    mtime_ns: int  # time of the last change
    ends_sha256: str  # of the first and the last MiB

    def same_content(self, other: Fingerprint, *, compressed: bool) -> bool:
        """Return whether two fingerprints are of the same content.

        A copy has another time, so the time counts only where a change could
        hide from the ends: in the middle of a large file that is not gzip,
        whose last bytes are a checksum of everything.
        """
        same_ends = (self.size, self.ends_sha256) == (other.size, other.ends_sha256)
        covered = compressed or self.size <= 2 * _END
        return same_ends and (covered or self.mtime_ns == other.mtime_ns)


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
    return Fingerprint(status.st_size, status.st_mtime_ns, digest.hexdigest())


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
        if path.is_relative_to(root):
            name = path.relative_to(root).as_posix()
        else:
            given = names.name(path)
            numbered = (f"{given} ({number})" for number in count(2))
            name = next(free for free in chain([given], numbered) if free not in found)
        found[name] = path
    return found


def write_completion(
    dataset: DerivativeDataset,
    title: str,
    *,
    options: Mapping[str, Any],
    inputs: Mapping[str, Fingerprint],
    outputs: Iterable[Path],
    methods: PurePosixPath | None = None,
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
        File of the dataset with the methods text of the work; None where there is none.
    """
    path, outputs = _record_path(dataset, title), sorted(outputs)
    flush_to_disk(outputs)
    record = {
        "Title": title,
        **({"Methods": methods.as_posix()} if methods else {}),
        "Completed": datetime.now(UTC).isoformat(timespec="seconds"),
        "Options": dict(options),
        "OptionsSHA256": options_hash(options),
        "Inputs": {name: asdict(inputs[name]) for name in sorted(inputs)},
        "Outputs": {
            output.relative_to(dataset.root).as_posix(): _describe_output(output)
            for output in outputs
        },
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
        record = read_json_object(_record_path(dataset, title))
        return tuple(PurePosixPath(name) for name in _outputs_of(dataset, record))
    except (ForeignFileError, ValueError, TypeError, KeyError):
        return ()


def sets_made_otherwise(
    dataset: DerivativeDataset, participant: str, option: str, value: object
) -> tuple[str, ...]:
    """List a participant's completed pieces of work that had another value of an option."""
    records = sorted(dataset.path(_RECORDS).glob(f"sub-{participant}_*.json"))
    made = [
        record for path in records if isinstance((record := read_json(path)).get("Options"), dict)
    ]
    return tuple(str(own["Title"]) for own in made if own["Options"].get(option) != value)


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
    path = _record_path(dataset, title)
    try:
        record = read_json_object(path)
        changed = _changed_options(record["Options"], json.loads(json.dumps(dict(options))))
        recorded = {name: Fingerprint(**value) for name, value in record["Inputs"].items()}
        outputs = _outputs_of(dataset, record)
        found = [f"output damaged: {name}" for name in record.get(_DAMAGED, ())]
        return (
            changed
            or _changed_input(recorded, inputs)
            or next(iter(found), None)
            or next(filter(None, (_damage(dataset, *item) for item in outputs.items())), None)
        )
    except MissingFileError:
        return NOT_DONE
    except (ForeignFileError, OSError, ValueError, TypeError, KeyError, AttributeError):
        return f"completion record unreadable: {path.name}"


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
    path, record = _record_path(dataset, title), completion_record(dataset, title)
    try:
        outputs = _outputs_of(dataset, record)
    except (ValueError, TypeError, KeyError):
        return (f"unreadable {_RECORDS}/{path.name}",)
    found = {name: _compared(dataset, name, recorded) for name, recorded in outputs.items()}
    damaged = sorted(name for name, why in found.items() if why)
    if damaged != record.pop(_DAMAGED, []):
        write_json(path, {**record, **({_DAMAGED: damaged} if damaged else {})})
    return tuple(f"{found[name]} {name}" for name in damaged)


def options_hash(options: Mapping[str, Any]) -> str:
    """Hash options whatever their order.

    Examples
    --------
    >>> options_hash({"gsr": True}) == options_hash({"gsr": True})
    True
    """
    return hashlib.sha256(json.dumps(dict(options), sort_keys=True).encode()).hexdigest()


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


@dataclass(frozen=True)
class RunFolder:
    """The folder `logs/<run id>` of one call of the program."""

    path: Path  # absolute; named by UTC time and a random part, e.g. 20260131T120000Z-1a2b3c

    @classmethod
    def create(cls, dataset: DerivativeDataset) -> RunFolder:
        """Choose a new run id; the folder is made with its first file."""
        run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        return cls(dataset.path(f"logs/{run_id}"))

    def write_configuration(self, toml: str) -> None:
        """Write the resolved configuration."""
        write_text(self.path / "config.toml", toml)

    def write_versions(self, version: str, container: str | None = None) -> None:
        """Write the versions of the program, its packages and its machine."""
        system = {"platform": platform.platform(), "container": container}
        content = {"bids_dtg": version, **system, **package_versions()}
        write_json(self.path / "versions.json", content)

    def write_timing(self, seconds: Mapping[str, float]) -> None:
        """Write how many seconds each part took."""
        write_json(self.path / "timing.json", {k: round(v, 3) for k, v in seconds.items()})

    def write_failures(self, failures: Sequence[Failure]) -> None:
        """Write the participants that failed; a table without rows says that none did."""
        rows = [
            (f"sub-{f.participant}", f.title or None, f.run or None, f.stage, f.message)
            for f in failures
        ]
        write_tsv(self.path / "failures.tsv", _FAILURE_COLUMNS, rows)


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    packages = {name: version for name in _PACKAGES if (version := _version(name))}
    return {"python": platform.python_version(), **packages}


def running_container(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return `docker:<tag>` or `apptainer:<image>` where the environment says so."""
    if tag := environment.get("DTG_CONTAINER_TAG"):
        return f"docker:{tag}"
    image = environment.get("APPTAINER_CONTAINER") or environment.get("SINGULARITY_CONTAINER")
    return f"apptainer:{image}" if image else None


def all_failures(dataset: DerivativeDataset) -> tuple[Failure, ...]:
    """Return everybody's failures that still stand.

    Of each participant those of the newest call that logged any; and of them only
    those without an average of maps completed since. Each log is read once, whatever the
    number of participants.
    """
    newest: dict[str, tuple[datetime, list[Failure]]] = {}
    for begun, failure in _logged(dataset):
        if newest.get(failure.participant, (begun, []))[0] != begun:
            newest[failure.participant] = (begun, [])
        newest.setdefault(failure.participant, (begun, []))[1].append(failure)
    completed: dict[str, list[str]] = {}
    for title in completed_titles(dataset) if newest else ():
        completed.setdefault(title.partition("_")[0].removeprefix("sub-"), []).append(title)
    return tuple(
        failure
        for participant, (begun, failures) in sorted(newest.items())
        for failure in failures
        if not any(
            _is_later(completion_record(dataset, title).get("Completed"), begun)
            for title in completed.get(participant, ())
            # What failed outside an average, as the search for runs, any average makes good.
            if failure.title in ("", title)
        )
    )


def _record_path(dataset: DerivativeDataset, title: str) -> Path:
    return dataset.path(f"{_RECORDS}/{title}.json")


def _outputs_of(dataset: DerivativeDataset, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outputs of a record, by their paths in the dataset.

    Raises
    ------
    ValueError
        A path is none, or leads out of the dataset: none of its files is looked at.
    TypeError, KeyError
        The record lists no outputs.
    """
    outputs = record["Outputs"]
    if not isinstance(outputs, dict):
        raise TypeError("outputs are an object")
    for name in outputs:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name:
            raise ValueError(f"{name!r} is no path of the dataset")
        try:
            dataset.path(path)
        except OutputError as err:
            raise ValueError(err.found) from err
    return outputs


def _describe_output(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _changed_options(recorded: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
    changed = [
        f"{name} changed ({recorded.get(name)} to {options.get(name)})"
        for name in sorted({*recorded, *options})
        if recorded.get(name) != options.get(name)
    ]
    return f"option{'s' * (len(changed) > 1)} {', '.join(changed)}" if changed else None


def _changed_input(
    recorded: Mapping[str, Fingerprint], inputs: Mapping[str, Fingerprint]
) -> str | None:
    for name in sorted({*recorded, *inputs}):
        if name not in inputs:
            return f"input gone: {name}"
        if name not in recorded:
            return f"input new: {name}"
        if not recorded[name].same_content(inputs[name], compressed=name.endswith(".gz")):
            return f"input changed: {name}"
    return None


def _compared(dataset: DerivativeDataset, name: str, recorded: Mapping[str, Any]) -> str | None:
    """Read an output whole; return a word for its damage, or None."""
    path = dataset.root / name
    if not path.is_file():
        return "missing"
    try:
        return None if _sha256(path) == recorded.get("sha256") else "changed"
    except (OSError, AttributeError):
        return "unreadable"


def _damage(dataset: DerivativeDataset, name: str, recorded: Mapping[str, Any]) -> str | None:
    path = dataset.root / name
    try:
        status = path.stat()
    except OSError:
        return f"output missing: {name}"
    if not stat.S_ISREG(status.st_mode) or status.st_size != recorded["size"]:
        return f"output changed: {name}"
    if status.st_mtime_ns != recorded["mtime_ns"] and _sha256(path) != recorded["sha256"]:
        return f"output changed: {name}"
    return None


@functools.cache  # a call asks three times
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _logged(dataset: DerivativeDataset) -> Iterator[tuple[datetime, Failure]]:
    # Names of run folders begin with their time: sorted, the newest comes last.
    for table in sorted(dataset.root.glob("logs/*/failures.tsv")):
        try:
            begun = datetime.strptime(table.parent.name.partition("-")[0], "%Y%m%dT%H%M%SZ")
        except ValueError:
            continue
        for row in read_rows(table):
            # A log that somebody has changed costs no report.
            cells = [row.get(key) or "n/a" for key in _FAILURE_COLUMNS]
            person, *cells = ("" if cell == "n/a" else cell for cell in cells)
            title, run, stage, message = cells
            failure = Failure(person.removeprefix("sub-"), stage, message, title, run)
            yield begun.replace(tzinfo=UTC), failure


def _is_later(when: object, begun: datetime) -> bool:
    try:
        return datetime.fromisoformat(str(when)) > begun
    except (ValueError, TypeError):
        return False
