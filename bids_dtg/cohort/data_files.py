"""The files that a model was made of: whether they are still the same when a call is repeated.

Names, sizes and times are compared first, so that nothing is read where nothing was touched. Where
these differ the content decides: data that were copied or touched are the same data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_dtg.errors import DatasetError, RunError
from bids_dtg.files.digest import read_digests
from bids_dtg.files.path_names import PathNames
from bids_dtg.files.provenance import file_fingerprint, named_files
from bids_dtg.files.text import read_json, write_json
from bids_dtg.notices import named

RECORD = "data_sha256.json"
# Both end with a checksum of all that is in them, so that their ends are enough.
_WITH_CHECKSUM = (".gz", ".npz")
_SMALL = 2**21  # bytes: of such a file the two ends are all


@dataclass(frozen=True)
class DataFiles:
    """Files by the names that others may read."""

    files: Mapping[str, Path]

    @classmethod
    def of(cls, paths: Iterable[Path], root: Path, names: PathNames) -> DataFiles:
        """Return files by names for others.

        Parameters
        ----------
        paths
            Of the files; what is not there is left out.
        root
            The data set, below which paths are written.
        names
            Names that stand for other folders of this machine.
        """
        whole = [path for path in dict.fromkeys(paths) if path.is_file()]
        return cls(named_files(whole, root, names))

    def write(self, folder: Path) -> None:
        """Write names, sizes, times and hashes of content."""
        write_json(folder / RECORD, {name: _facts(path) for name, path in self.files.items()})

    def changed(self, folder: Path) -> str:
        """Return which files are others than those that were recorded, in words; else nothing.

        Raises
        ------
        DatasetError
            A file cannot be read.
        """
        recorded = read_json(folder / RECORD)
        trouble = [
            *(f"{name} is new" for name in self.files if name not in recorded),
            *(f"{name} is not there" for name in recorded if name not in self.files),
            *(
                f"{name} has changed"
                for name, path in self.files.items()
                if name in recorded and not _is_same(path, recorded[name])
            ),
        ]
        return named(trouble)


def _is_same(path: Path, recorded: Mapping[str, Any]) -> bool:
    status = path.stat()
    if status.st_size != recorded.get("size"):
        return False
    return status.st_mtime_ns == recorded.get("mtime_ns") or _content(path) == recorded["sha256"]


def _facts(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "sha256": _content(path),
    }


def _content(path: Path) -> str:
    """Return a hash of a file's content.

    Raises
    ------
    DatasetError
        It cannot be read.
    """
    try:
        if path.name.endswith(_WITH_CHECKSUM) or path.stat().st_size <= _SMALL:
            return file_fingerprint(path).ends_sha256
        return read_digests(path, ["sha256"])["sha256"].hexadecimal
    except RunError as err:
        raise err.as_kind(DatasetError) from err
    except OSError as err:
        raise DatasetError(f"{path} cannot be read: {err.strerror or err}") from err
