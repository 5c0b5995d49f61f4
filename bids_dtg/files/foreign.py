"""Finding, opening and reading files that this program did not write.

All files of datasets, models and command lines are read through this module. It reads JSON, TOML,
tables and plain text; for other formats, `reading` turns any exception of a library into a
one-line error.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import math
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from bids_dtg.errors import (
    DatasetError,
    DtgError,
    ForeignFileError,
    MissingFileError,
    RunError,
    limit_error,
)
from bids_dtg.files.atomic import STALE, once_more_if_stale
from bids_dtg.notices import with_formula
from bids_dtg.progress import step

# Folders that network drives and operating systems create among users' files. They hold copies,
# thumbnails or deleted files, often under the same names: Synology's @eaDir and #recycle, NetApp's
# .snapshot and ~snapshot, Windows' $RECYCLE.BIN.
_OF_DRIVES = re.compile(r"[.@#$~][^/]*|lost\+found|__MACOSX")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
NO_VALUE = ("", "n/a")  # cells of BIDS tables without a value, in lower case
_MISSING = frozenset((*NO_VALUE, "na", "nan"))  # as other programs write them too
AGAIN = "fetch or make it again"  # what to do about a damaged file
# git-annex does not accept a pointer of more than 32 KiB.
_LONGEST_POINTER = 32_768
_POINTER_START = 1024
_ANNEX = b"/annex/objects/"
_LFS = b"version https://git-lfs"
_NO_CONTENT = (
    "has no content here: it is a broken link, or a git-annex or git-LFS pointer"
)
_UNLISTED = {
    errno.EACCES: "ask its owner for permission to read and enter it (chmod u=rwX,g=rX)",
    errno.ESTALE: STALE,
}
_LONGEST = 200  # characters of a library's message; some quote all columns of a table
# What libraries raise where a file is not what they rely on; they also seek places before it.
_FAULTS_OF_CODE = (AssertionError, AttributeError, IndexError, NameError, TypeError)
# What numpy says of a list that is not as long as its file states.
_OTHER_LENGTH = re.compile(
    r"could not broadcast .* shape \((\d+),?\) into .*\((\d+),?\)"
)


@dataclass(frozen=True)
class Table:
    """A table as read from a file; all cells are text."""

    path: Path
    header: tuple[str, ...]  # column names, unchanged; () for an empty file
    # Each as long as the header; missing cells are empty.
    rows: tuple[tuple[str, ...], ...]
    short: int = 0  # number of lines with fewer cells than the header

    def dicts(self) -> list[dict[str, str]]:
        """Return each row as a dictionary by column name.

        Examples
        --------
        >>> Table(Path("t.tsv"), ("a", "b"), (("1", "2"),)).dicts()
        [{'a': '1', 'b': '2'}]
        """
        return [dict(zip(self.header, row, strict=True)) for row in self.rows]

    def twice(self) -> tuple[str, ...]:
        """Return the names that more than one column has."""
        return tuple(name for name, count in Counter(self.header).items() if count > 1)


@contextmanager
def reading(
    source: Path | str,
    kind: type[DtgError] = ForeignFileError,
    *,
    as_what: str = "",
    remedy: str = "",
) -> Iterator[None]:
    """Turn any exception while a file is being read into a one-line error that names the file.

    Parameters
    ----------
    source
        What the error names, usually the path of the file.
    kind
        Class of the error.
    as_what
        Format that was expected, such as " as JSON".
    remedy
        What to do about a file that a library cannot read.
    """
    try:
        yield
    except DtgError as err:
        if isinstance(err, kind):
            raise
        raise err.as_kind(kind) from err
    except ImportError:
        raise  # a package is missing
    except Exception as err:
        if limit := limit_error(err):
            raise limit.as_kind(kind, f"{source}: ") from err
        number = getattr(err, "errno", None)
        if number not in (None, errno.EINVAL):  # the system's, not the file's
            remedy = STALE if number == errno.ESTALE else ""
        sentence = f"{source} cannot be read{as_what}: {_cause(err)}"
        raise kind(sentence, remedy=remedy or None) from err


def _cause(err: Exception) -> str:
    """Return what an exception says of a file, without what it says of the code that reads it.

    Examples
    --------
    >>> _cause(ValueError("4 columns; use `usecols` to avoid this error."))
    '4 columns'
    >>> _cause(UnboundLocalError("local variable 'arr' referenced before assignment"))
    'it is damaged, or of another kind'
    >>> _cause(KeyError("Name")), _cause(KeyError("Unable to open it"))
    ('it has no Name', 'Unable to open it')
    """
    if isinstance(err, _FAULTS_OF_CODE) or getattr(err, "errno", None) == errno.EINVAL:
        return "it is damaged, or of another kind"
    if isinstance(err, OSError) and err.strerror:
        return err.strerror
    text = str(err)
    if isinstance(err, KeyError) and err.args:  # of a key, or of a sentence, in quotes
        text = str(err.args[0])
        text = text if " " in text else f"it has no {text}"
    text = _OTHER_LENGTH.sub(r"it holds \1 numbers where it states \2", text)
    words = " ".join(text.partition("; use `")[0].split()) or type(err).__name__
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"


# --- Files of a folder


def files_below(root: Path) -> Iterator[Path]:
    """Yield the files below a folder in a fixed order, except those that begin with a dot.

    Special folders of network drives are skipped. Links to folders are followed, but each folder,
    identified by device and inode, is entered only once, so that circular links end.

    Raises
    ------
    ForeignFileError
        Folders are nested too deeply (some hundreds), or one may not be listed.
    """
    entered: set[tuple[int, int]] = set()
    with reading(root):
        for folder, folders, names in os.walk(
            root, onerror=_refuse_unlisted, followlinks=True
        ):
            place = Path(folder)
            status = place.stat()
            if (status.st_dev, status.st_ino) in entered:
                folders.clear()
                continue
            entered.add((status.st_dev, status.st_ino))
            # Real folders come first, so that links to them are skipped, not the folders.
            data_folders = [name for name in folders if not _OF_DRIVES.fullmatch(name)]
            links = {name for name in data_folders if Path(folder, name).is_symlink()}
            folders[:] = sorted(data_folders, key=lambda name: (name in links, name))
            for name in sorted(names):
                if not name.startswith("."):
                    yield place / name


@contextmanager
def folder_entries(root: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
    """List a dataset's folder, in no order.

    Raises
    ------
    DatasetError
        The folder cannot be listed.
    """
    try:
        with once_more_if_stale(partial(os.scandir, root)) as entries:
            yield entries
    except OSError as err:
        raise DatasetError(f"{root} cannot be listed: {err.strerror or err}") from err


def require_listable(*folders: Path) -> None:
    """Refuse folders that exist but may not be listed, as `Path.glob` takes them for empty.

    Raises
    ------
    ForeignFileError
        A folder may not be listed, or its disk does not answer.
    """
    for folder in folders:
        try:
            once_more_if_stale(partial(os.scandir, folder)).close()
        except OSError as err:
            _refuse_unlisted(err)


def _refuse_unlisted(err: OSError) -> None:
    if isinstance(err, (FileNotFoundError, NotADirectoryError)):
        return
    raise ForeignFileError(
        f"{err.filename} cannot be listed: {err.strerror}",
        remedy=_UNLISTED.get(err.errno or 0),
    ) from err


def matching(root: Path, pattern: str) -> list[Path]:
    """List the paths below a folder that match a pattern, sorted; skip drives' special folders.

    Raises
    ------
    ForeignFileError
        The folder may not be listed.

    Examples
    --------
    >>> matching(Path("there is no such folder"), "*/*.nii.gz")
    []
    """
    require_listable(root)
    paths = []
    for path in sorted(root.glob(pattern)):
        names = set(path.relative_to(root).parts) - {".."}
        if not any(map(_OF_DRIVES.fullmatch, names)):
            paths.append(path)
    return paths


# --- Files whose content may be elsewhere or may have changed


def is_pointer(start: bytes) -> bool:
    """Return whether a file that starts with these bytes is a git-annex or git-LFS pointer.

    git-annex writes `/annex/objects/KEY` or, on a file system without links, the text of a
    relative link, `../../.git/annex/objects/...`.

    Examples
    --------
    >>> is_pointer(b"/annex/objects/MD5E-s12--abc.nii.gz")
    True
    """
    first = start.split(b"\n", 1)[0]
    # Image files contain NUL bytes near their start.
    return first.startswith(_LFS) or (_ANNEX in first and b"\0" not in first)


def is_stub(path: Path) -> bool:
    """Return whether the content of a git-annex, DataLad or git-LFS file is not on this machine.

    Examples
    --------
    >>> is_stub(Path("there is no such file"))
    False
    """
    try:
        if path.is_symlink() and not path.exists():
            return True
        # A pipe has size 0 too; reading it would wait for its writer.
        if not 0 < path.stat().st_size <= _LONGEST_POINTER:
            return False
        with path.open("rb") as stream:
            return is_pointer(stream.read(_POINTER_START))
    except OSError:
        return False


def require_contents(paths: Iterable[Path], participant: str) -> None:
    """Check that none of a participant's files is missing, a broken link, a pointer or empty.

    Raises
    ------
    RunError
        A file has no content. If files can be fetched, the remedy is one `datalad get` for all.
    """
    paths = tuple(dict.fromkeys(paths))
    stubs = [str(path) for path in paths if is_stub(path)]
    if stubs:
        further = f" (as are {len(stubs) - 1} other files)" if stubs[1:] else ""
        raise RunError(
            f"sub-{participant}: {stubs[0]} {_NO_CONTENT}{further}",
            expected="the file's content",
            remedy=f"datalad get {shlex.join(stubs)}",
        )
    for path in paths:
        with reading(f"sub-{participant}: {path}", RunError):
            status = path.stat()
            if not path.is_file():  # a pipe has size 0, too
                raise _no_file(path)
        if not status.st_size:
            raise RunError(
                f"sub-{participant}: {path} is empty",
                remedy="copy it again, or rerun fMRIPrep",
            )


def file_state(status: os.stat_result) -> tuple[int, ...]:
    """Return values that differ once a file has changed: device, inode, size and two times."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 (hexadecimal) of a file.

    The result is remembered in this process and its forks, for as long as the file's inode, size
    and times stay the same.

    Raises
    ------
    MissingFileError, ForeignFileError
        As for `open_foreign`.
    """
    with reading(path), open_foreign(path) as file:
        return _sha256(path, file_state(os.fstat(file.fileno())))


@lru_cache(1000)
def _sha256(path: Path, _state: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- Reading


def open_foreign(path: Path) -> io.BufferedReader:
    """Open a regular file to read its bytes.

    Reading from it may still raise an OSError.

    Raises
    ------
    MissingFileError
        There is no such file.
    ForeignFileError
        It is a folder, a pipe, a device or a broken link, or cannot be opened.
    """
    with reading(path):
        if once_more_if_stale(path.is_file):
            step(f"opening {path}")
            return once_more_if_stale(lambda: path.open("rb"))
        if path.exists():  # not opened, as opening a pipe may wait forever
            raise _no_file(path)
        if path.is_symlink():
            raise _no_content(path)
        raise MissingFileError(f"{path} cannot be read: No such file or directory")


def _no_file(path: Path) -> ForeignFileError:
    kind = "a folder" if path.is_dir() else "not a regular file"
    return ForeignFileError(f"{path} cannot be read: it is {kind}", expected="a file")


def _no_content(path: Path) -> ForeignFileError:
    return ForeignFileError(
        f"{path} {_NO_CONTENT}",
        expected="the file's content",
        remedy=f"datalad get {path}",
    )


def require_result(path: Path, root: Path) -> None:
    """Refuse an output whose content is not on this machine, as in a clone by DataLad.

    Parameters
    ----------
    path
        A file that this program wrote; it may be missing.
    root
        The output folder, whose files are probably absent together.

    Raises
    ------
    DatasetError
        The file is a broken link, or a git-annex or git-LFS pointer.
    """
    if is_stub(path):
        raise DatasetError(
            f"{path} {_NO_CONTENT}",
            expected="results with their content",
            remedy=f"datalad get {shlex.quote(str(root))}",
        )


def read_bytes(path: Path, most: int = -1) -> bytes:
    """Read a whole file, or its first bytes.

    Parameters
    ----------
    path
        The file.
    most
        Number of bytes to read; -1 for all.

    Raises
    ------
    MissingFileError
        There is no such file.
    ForeignFileError
        It is not a regular file, is a git-annex or git-LFS pointer, or cannot be read.
    """
    with reading(path), open_foreign(path) as file:
        content = file.read(most)
    if is_pointer(content[:_POINTER_START]):
        raise _no_content(path)
    return content


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Raises
    ------
    MissingFileError, ForeignFileError
        As for `read_bytes`; also if the file has another encoding.
    """
    return as_text(read_bytes(path), path)


def as_text(content: bytes, path: Path) -> str:
    r"""Decode a file's bytes as UTF-8, with or without a byte order mark.

    Raises
    ------
    ForeignFileError
        The bytes are in another encoding, or have NUL characters.

    Examples
    --------
    >>> as_text(b"\xef\xbb\xbfcsf", Path("t.tsv"))
    'csf'
    """
    encoding = "binary, or UTF-16"  # Excel exports "Unicode text" as UTF-16
    try:
        text = content.decode("utf-8-sig")
        if "\0" not in text:  # numpy would drop trailing NULs
            return text
    except UnicodeDecodeError as err:
        encoding = f"not UTF-8 at byte {err.start}"
    raise ForeignFileError(
        f"{path} cannot be read as text: it is {encoding}",
        expected="text in UTF-8",
        remedy="save it as UTF-8",
    )


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object, as those of BIDS do.

    NaN and Infinity are accepted, as by Python's own reader; callers that need a number check it.

    Raises
    ------
    MissingFileError, ForeignFileError
        As for `read_text`; also if it is not JSON, or holds something else.
    """
    return parse_json_object(read_text(path), str(path))


def parse_json_object(text: str, source: str) -> dict[str, Any]:
    """Parse JSON that holds one object.

    Parameters
    ----------
    text
        Content of the file.
    source
        What errors name, usually the path of the file.

    Raises
    ------
    ForeignFileError
        The text is not JSON, or holds something else.

    Examples
    --------
    >>> parse_json_object('{"RepetitionTime": 0.72}', "a sidecar")
    {'RepetitionTime': 0.72}
    """
    with reading(source, as_what=" as JSON"):
        content = json.loads(text)
    if not isinstance(content, dict):
        raise ForeignFileError(
            f"{source} holds no JSON object", expected='e.g. {"Name": "value"}'
        )
    return content


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    MissingFileError, ForeignFileError
        As for `read_text`; also if it is not TOML.
    """
    import tomllib

    text = read_text(path)
    with reading(path, as_what=" as TOML"):
        return tomllib.loads(text)


def read_table(path: Path, delimiter: str | None = "\t") -> Table:
    """Read a table with a header.

    Cells may be in double quotes, as spreadsheets write them. If the file cannot be read that
    way, quotes are kept as part of the text, as BIDS defines them.

    Parameters
    ----------
    path
        A text file in UTF-8 whose first line holds the column names.
    delimiter
        Character between cells; None means a tab if the first line has one, else a comma.

    Raises
    ------
    MissingFileError, ForeignFileError
        As for `read_text`; also if a line has more cells than the header.
    """
    return parse_table(read_text(path), path, delimiter)


def is_missing(cell: str) -> bool:
    """Return whether a cell is empty or says that there is no value, in upper or lower case.

    Examples
    --------
    >>> is_missing(" N/A"), is_missing("NaN"), is_missing("0")
    (True, True, False)
    """
    return cell.strip().casefold() in _MISSING


def plain_number(text: str) -> float | None:
    """Return a cell's text as a number; None if it is not one.

    A number consists of the digits 0 to 9 with an optional sign, decimal point and exponent.
    Digits of other scripts, ``1_0`` and ``inf``, which Python accepts, are not numbers here.

    Examples
    --------
    >>> plain_number("-1.5e3"), plain_number("1_0"), plain_number("inf")
    (-1500.0, None, None)
    """
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def parse_table(
    text: str | bytes,
    path: Path,
    delimiter: str | None = "\t",
    wanted: Callable[[str], bool] | None = None,
) -> Table:
    """Parse the text of a table, as `read_table` does.

    Parameters
    ----------
    text
        Text of the table; bytes are decoded as UTF-8, with or without a byte order mark.
    path
        File that the text was read from, for errors.
    delimiter
        Character between cells, as for `read_table`.
    wanted
        Returns whether the column of a name is kept; None keeps all. Only these take memory.

    Raises
    ------
    ForeignFileError
        As for `read_table`.
    """
    with reading(path, as_what=" as a table"):
        text = text if isinstance(text, str) else text.decode("utf-8-sig")
        if "\r" in text:  # accepts the line ends of all systems
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if delimiter is None:
            delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
        if _has_semicolons(text, delimiter):
            raise ValueError(
                "semicolons separate its columns, instead of tabs or commas"
            )
        if '"' in text:
            with suppress(csv.Error, ValueError):
                lines = io.StringIO(text)
                quoted = csv.reader(lines, delimiter=delimiter, strict=True)
                return _table(path, quoted, wanted, has_formulas="'" in text)
        # Without quotes, splitting takes a third of csv's time on a table of confounds.
        plain = _plain_cells(text, delimiter)
        return _table(path, plain, wanted, has_formulas="'" in text)


def _plain_cells(text: str, delimiter: str) -> Iterator[list[str]]:
    """Yield the cells of each line of a table without quotes."""
    most = csv.field_size_limit()
    for line in text.split("\n"):
        cells = line.split(delimiter)
        if len(line) > most and max(map(len, cells)) > most:
            raise ValueError(f"field larger than field limit ({most})")
        yield cells


def _has_semicolons(text: str, delimiter: str) -> bool:
    """Return whether semicolons separate the columns, as Excel writes CSV in much of Europe."""
    header, _, rest = text.partition("\n")
    number = 0 if delimiter in header else header.count(";")
    return number > 0 and rest.partition("\n")[0].count(";") == number


def _table(
    path: Path,
    lines: Iterator[list[str]],
    wanted: Callable[[str], bool] | None,
    *,
    has_formulas: bool,
) -> Table:
    """Make a table of the cells of its lines.

    `has_formulas`: whether cells may begin with the apostrophe of `without_formula`.
    """
    header = [*map(with_formula, next(lines, []))]
    while header and not header[-1].strip():
        header.pop()  # a tab at the end of the line
    places = [
        place for place, name in enumerate(header) if wanted is None or wanted(name)
    ]
    rows = []
    short = 0  # number of lines with fewer cells than the header
    columns = len(header)
    for number, cells in enumerate(lines, 2):
        if not any(cells):
            continue
        if len(cells) > columns and any(cells[columns:]):
            raise ValueError(
                f"line {number} has {len(cells)} cells, the header {columns}"
            )
        if len(cells) < columns:
            short += 1
            cells += [""] * (columns - len(cells))
        row = [cells[place] for place in places]
        rows.append(tuple(map(with_formula, row) if has_formulas else row))
    return Table(path, tuple([header[place] for place in places]), tuple(rows), short)
