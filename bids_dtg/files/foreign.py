"""The one door for files that others wrote.

Whatever lies in a dataset, beside a model or on a command line passes here: JSON, TOML, tables and
plain text are read, and `reading` turns all that a library raises on another file into one line.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_dtg.errors import DtgError, ForeignFileError, MissingFileError
from bids_dtg.files.annex import is_pointer, require_content

if TYPE_CHECKING:
    import pandas as pd

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_POINTER_BYTES = 1024
GZIP_MAGIC = b"\x1f\x8b"
# What libraries raise on files that are not as they say, as nibabel AssertionError; and their own
# kinds, which need not be imported to be known.
_OF_DAMAGE = (
    *(OSError, ValueError, EOFError, LookupError, TypeError, AttributeError, AssertionError),
    *(OverflowError, RuntimeError, SyntaxError),
)
_LIBRARIES = frozenset(
    {
        *("_csv", "h5py", "igzip_lib", "nibabel", "pandas", "pickle", "pyexpat", "safetensors"),
        *("struct", "tokenize", "torch", "xml", "zipfile", "zlib", "scipy", "_pickle"),
    }
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Table:
    """A table as its file has it: all cells are text."""

    path: Path
    header: tuple[str, ...]  # names as they are; () for an empty file
    rows: tuple[tuple[str, ...], ...]  # of as many cells as the header has; absent ones are empty
    short: int = 0  # how many lines had fewer cells than the header

    def dicts(self) -> list[dict[str, str]]:
        """Return each row by the names of the columns.

        Examples
        --------
        >>> Table(Path("t.tsv"), ("a", "b"), (("1", "2"),)).dicts()
        [{'a': '1', 'b': '2'}]
        """
        return [dict(zip(self.header, row, strict=True)) for row in self.rows]

    def twice(self) -> tuple[str, ...]:
        """Return the names that stand for more than one column."""
        return tuple(name for name, count in Counter(self.header).items() if count > 1)


@contextmanager
def reading(
    source: Path | str, kind: type[DtgError] = ForeignFileError, *, as_what: str = ""
) -> Iterator[None]:
    """Turn all that a library raises on a file into one line that names it: the one door.

    Parameters
    ----------
    source
        What the error names, usually the path of the file.
    kind
        Class of the error.
    as_what
        What it was read as, as in " as JSON".
    """
    try:
        yield
    except DtgError as err:
        if isinstance(err, kind):
            raise
        raise err.as_kind(kind) from err
    except MemoryError as err:
        raise kind(f"{source}: not enough memory to read it{as_what}") from err
    except Exception as err:
        of_library = type(err).__module__.partition(".")[0] in _LIBRARIES
        if not of_library and not isinstance(err, _OF_DAMAGE):
            raise  # a fault of this program
        said = err.strerror if isinstance(err, OSError) else None
        raise kind(f"{source} cannot be read{as_what}: {said or _shortened(err)}") from err


def open_foreign(path: Path) -> io.BufferedReader:
    """Open a file to read its bytes, once it is known to be a regular file.

    What is read of it may still raise an OSError.

    Raises
    ------
    MissingFileError
        There is no such file.
    ForeignFileError
        It is a folder, a pipe or a device, a broken link, or cannot be opened.
    """
    with reading(path):
        if path.is_file():
            return path.open("rb")
        if path.exists():  # it is not even opened: that alone may wait
            kind = "a folder" if path.is_dir() else "no regular file"
            raise ForeignFileError(f"{path} cannot be read: it is {kind}", expected="a file")
        if path.is_symlink():
            raise ForeignFileError(
                f"{path} cannot be read: it is a broken link",
                expected="the file's content",
                remedy=f"datalad get {path}",
            )
        raise MissingFileError(f"{path} cannot be read: No such file or directory")


def inflated_start(raw: bytes, size: int) -> bytes:
    """Inflate the first bytes of a file, if it is compressed; damage behind them is not seen.

    Examples
    --------
    >>> import gzip
    >>> inflated_start(gzip.compress(b"header and values"), 6), inflated_start(b"plain", 6)
    (b'header', b'plain')
    """
    from isal import isal_zlib

    if not raw.startswith(GZIP_MAGIC):
        return raw
    inflated = b""
    while raw and len(inflated) < size:
        member = isal_zlib.decompressobj(wbits=31)
        inflated += member.decompress(raw, size - len(inflated))
        raw = member.unused_data
    return inflated


def read_bytes(path: Path) -> bytes:
    """Read a file whole.

    Raises
    ------
    MissingFileError
        There is no such file.
    ForeignFileError
        It is no regular file, a pointer of git-annex or LFS, or cannot be read.
    """
    with reading(path), open_foreign(path) as file:
        content = file.read()
    if is_pointer(content[:_POINTER_BYTES]):
        raise ForeignFileError(
            f"{path} holds only a git-annex or git-LFS pointer",
            expected="the file's content",
            remedy=f"datalad get {path}",
        )
    return content


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a mark at its start.

    Raises
    ------
    MissingFileError, ForeignFileError
        As `read_bytes`; also for another encoding.
    """
    return as_text(read_bytes(path), path)


def as_text(content: bytes, path: Path) -> str:
    r"""Return the text of a file's bytes in UTF-8, with or without a mark at its start.

    Raises
    ------
    ForeignFileError
        It is in another encoding, or has NUL characters.

    Examples
    --------
    >>> as_text(b"\xef\xbb\xbfcsf", Path("t.tsv"))
    'csf'
    """
    try:
        if "\0" not in (text := content.decode("utf-8-sig")):  # numpy drops those at the end
            return text
        found = "binary, or UTF-16"
    except UnicodeDecodeError as err:
        # As Excel exports "Unicode text".
        found = "UTF-16" if content.startswith(_UTF16) else f"no UTF-8 at byte {err.start}"
    raise ForeignFileError(
        f"{path} cannot be read as text: it is {found}",
        expected="text in UTF-8",
        remedy="save it as UTF-8",
    )


def read_json(path: Path) -> Any:
    """Read what a JSON file holds.

    NaN and Infinity pass, as in Python's own reader: callers that need a number check it.

    Raises
    ------
    MissingFileError, ForeignFileError
        As `read_text`; also where it is no JSON.
    """
    return parse_json(read_text(path), str(path))


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object, as BIDS' do.

    Raises
    ------
    MissingFileError, ForeignFileError
        As `read_json`; also where it holds something else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ForeignFileError(f"{path} holds no JSON object", expected='e.g. {"Name": "value"}')
    return content


def parse_json(text: str, source: str) -> Any:
    """Parse JSON.

    Parameters
    ----------
    text
        Content of the file.
    source
        What errors name, usually the path of the file.

    Raises
    ------
    ForeignFileError
        It is no JSON.

    Examples
    --------
    >>> parse_json('{"RepetitionTime": 0.72}', "a sidecar")
    {'RepetitionTime': 0.72}
    """
    with reading(source, as_what=" as JSON"):
        return json.loads(text)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    MissingFileError, ForeignFileError
        As `read_text`; also where it is no TOML.
    """
    return parse_toml(read_text(path), str(path))


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """Parse TOML.

    Parameters
    ----------
    text
        Content of the file.
    source
        What errors name, usually the path of the file.

    Raises
    ------
    ForeignFileError
        It is no TOML.

    Examples
    --------
    >>> parse_toml("window_seconds = 2.0", "a task file")
    {'window_seconds': 2.0}
    """
    import tomllib

    with reading(source, as_what=" as TOML"):
        return tomllib.loads(text)


def read_table(path: Path, delimiter: str | None = "\t") -> Table:
    """Read a table with a header.

    Cells may be in double quotes, as spreadsheets write them; where quotes are part of the text,
    as BIDS has it, they stay.

    Parameters
    ----------
    path
        A text file in UTF-8 whose first line has the names of the columns.
    delimiter
        Between cells; None is a tab where the first line has one, else a comma.

    Raises
    ------
    MissingFileError, ForeignFileError
        As `read_text`; also where a line has more cells than the header, or a quote does not end.
    """
    return parse_table(read_text(path), path, delimiter)


def plain_number(text: str) -> float | None:
    """Return the number that a cell is; None where it is none.

    A number has the digits 0 to 9, a point, a sign and an exponent: other scripts' digits, ``1_0``
    and ``inf``, which Python takes as numbers, are text.

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
    """Take the text of a table apart, as `read_table` does.

    Parameters
    ----------
    text
        Of the table; as bytes UTF-8, of which a spreadsheet may have put a mark at the start.
    path
        Where the text was read, as errors name it.
    delimiter
        Character between cells, as for `read_table`.
    wanted
        Whether the column of a name is kept; None keeps all. Only those take memory.

    Raises
    ------
    ForeignFileError
        As `read_table`.
    """
    with reading(path, as_what=" as a table"):
        text = text if isinstance(text, str) else text.decode("utf-8-sig")
        lines = io.StringIO(text, newline=None)  # line ends of all systems become one
        if delimiter is None:
            delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
        try:
            return _table(path, lines, delimiter, csv.QUOTE_MINIMAL, wanted)
        except (csv.Error, ValueError):
            if '"' not in text:
                raise
            lines.seek(0)
            return _table(path, lines, delimiter, csv.QUOTE_NONE, wanted)


def read_content(path: Path, participant: str) -> bytes:
    """Read a participant's file whole, once it is known to have content.

    Raises
    ------
    RunError
        It is missing, a broken link, a pointer or empty.
    ForeignFileError
        As `read_bytes`.
    """
    require_content(path, participant)
    return read_bytes(path)


def text_columns(
    content: bytes, path: Path, wanted: Callable[[str], bool] | None = None
) -> pd.DataFrame:
    """Parse a tab-separated table with a header; cells stay text, so that nothing is rounded.

    Parameters
    ----------
    content
        UTF-8; a spreadsheet may have put a mark before the header.
    path
        Where the table was read, as errors name it.
    wanted
        Whether the column of a name is kept; None keeps all. Only those take memory.

    Raises
    ------
    ForeignFileError
        It is no such table.
    """
    import pandas as pd

    with reading(path, as_what=" as a table"):
        return pd.read_csv(
            io.BytesIO(content),
            sep="\t",
            dtype=str,
            keep_default_na=False,
            index_col=False,
            encoding="utf-8-sig",
            usecols=wanted,
        )


def _shortened(err: Exception, longest: int = 200) -> str:
    """Shorten another program's message: some quote all columns of the table."""
    text = " ".join(str(err).split())
    text = text or type(err).__name__
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _table(
    path: Path,
    lines: io.StringIO,
    delimiter: str,
    quoting: Any,
    wanted: Callable[[str], bool] | None,
) -> Table:
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    header = next(reader, [])
    while header and not header[-1].strip():
        header.pop()  # a tab at the end of the line
    kept = [place for place, name in enumerate(header) if wanted is None or wanted(name)]
    rows, short = [], 0
    for cells in reader:
        if not any(cells):
            continue
        if any(cells[len(header) :]):
            raise ValueError(
                f"line {reader.line_num} has {len(cells)} cells, the header {len(header)}"
            )
        short += len(cells) < len(header)
        cells += [""] * (len(header) - len(cells))
        rows.append(tuple([cells[place] for place in kept]))
    return Table(path, tuple([header[place] for place in kept]), tuple(rows), short)
