"""One long table of rows that come in parts, as compressed text."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from bids_dtg.files.atomic import output_error, temporary_name

_GZIP_CONTAINER = 31  # wbits; its time stamp is 0, so equal rows give equal bytes
_LEVEL = 1  # ISA-L's; digits hardly shrink beyond it


class LongTable:
    r"""Writes a table part by part; the file appears at the end.

    A context manager: at its end the file gets its name, unless an exception was raised.

    Parameters
    ----------
    path
        The table, ``.tsv.gz``.
    columns
        Names of the columns, in their order.

    Raises
    ------
    OutputError
        Any method: a file cannot be written.

    Examples
    --------
    >>> import gzip, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "t.tsv.gz")
    >>> with LongTable(path, ("name", "mean")) as table:
    ...     table.add(b"a\t1.5\n")
    ...     table.add(b"b\tn/a\n")
    >>> gzip.decompress(path.read_bytes())
    b'name\tmean\na\t1.5\nb\tn/a\n'
    >>> folder.cleanup()
    """

    def __init__(self, path: Path, columns: Iterable[str]):
        self.path, self._columns = path, tuple(columns)
        self._temporary = path.parent / temporary_name()

    def __enter__(self) -> LongTable:
        """Begin the file beside its later name."""
        from isal import isal_zlib

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._temporary.open("xb")
        except OSError as err:
            raise output_error(self.path, err) from err
        self._compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_CONTAINER)
        self.add(("\t".join(self._columns) + "\n").encode())
        return self

    def add(self, rows: bytes) -> None:
        """Add lines, each with a tab between its cells and a line end."""
        try:
            self._stream.write(self._compressor.compress(rows))
        except OSError as err:
            raise output_error(self.path, err) from err

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the file its name; remove it after an exception."""
        try:
            if kind is None:
                self._stream.write(self._compressor.flush())
                self._stream.close()
                self._temporary.replace(self.path)
        except OSError as err:
            raise output_error(self.path, err) from err
        finally:
            self._stream.close()
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)
