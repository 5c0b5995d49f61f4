"""One long table of rows that come in parts: as compressed text, and as Parquet where it can be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from bids_dtg.errors import OutputError
from bids_dtg.files.atomic import output_error, temporary_name

Kind = Literal["text", "whole", "number"]

# Text that is turned to Parquet at a time, a group of rows: some 100,000 of them.
_GROUP_BYTES = 8 * 2**20
_GZIP_CONTAINER = 31  # wbits; its time stamp is 0, so equal rows give equal bytes
_LEVEL = 1  # ISA-L's; digits hardly shrink beyond it


class LongTable:
    r"""Writes a table part by part, with a few parts in memory; files appear at the end.

    A context manager: at its end the files get their names, unless an exception was raised.

    Parameters
    ----------
    path
        The table, ``.tsv.gz``. Where pyarrow is installed, a ``.parquet`` is written, too.
    columns
        Names and kinds of the columns, in their order. ``n/a`` is no value.

    Raises
    ------
    OutputError
        Any method: a file cannot be written.

    Examples
    --------
    >>> import gzip, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "t.tsv.gz")
    >>> with LongTable(path, {"name": "text", "mean": "number"}) as table:
    ...     table.add(b"a\t1.5\n")
    ...     table.add(b"b\tn/a\n")
    >>> gzip.decompress(path.read_bytes())
    b'name\tmean\na\t1.5\nb\tn/a\n'
    >>> folder.cleanup()
    """

    def __init__(self, path: Path, columns: Mapping[str, Kind]):
        self.path, self.columns = path, dict(columns)
        self.parquet = path.with_name(path.name.removesuffix(".tsv.gz") + ".parquet")
        self._temporary = {
            final: path.parent / temporary_name() for final in (self.path, self.parquet)
        }
        self._pending: list[bytes] = []
        self._writer: Any = None

    def __enter__(self) -> LongTable:
        """Begin the files beside their later names."""
        from isal import isal_zlib

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._temporary[self.path].open("xb")
        except OSError as err:
            raise output_error(self.path, err) from err
        self._compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_CONTAINER)
        self._write_text(("\t".join(self.columns) + "\n").encode())
        if find_spec("pyarrow"):
            self._writer = self._open_parquet()
        return self

    def add(self, rows: bytes) -> None:
        """Add lines, each with a tab between its cells and a line end."""
        self._write_text(rows)
        if self._writer is not None:
            self._pending.append(rows)
            if sum(map(len, self._pending)) >= _GROUP_BYTES:
                self._write_group()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the files their names; remove them after an exception."""
        try:
            if kind is None:
                self._finish()
        except OSError as err:
            raise output_error(self.path, err) from err
        finally:
            self._stream.close()
            for path in self._temporary.values():
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _finish(self) -> None:
        self._stream.write(self._compressor.flush())
        self._stream.close()
        if self._writer is not None:
            self._write_group()
            self._writer.close()
            self._temporary[self.parquet].replace(self.parquet)
        else:
            self.parquet.unlink(missing_ok=True)  # an earlier call's, with other rows
        self._temporary[self.path].replace(self.path)

    def _write_text(self, rows: bytes) -> None:
        try:
            self._stream.write(self._compressor.compress(rows))
        except OSError as err:
            raise output_error(self.path, err) from err

    def _open_parquet(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._schema = pa.schema(
            [(name, _arrow_type(kind, pa)) for name, kind in self.columns.items()]
        )
        return pq.ParquetWriter(self._temporary[self.parquet], self._schema, compression="zstd")

    def _write_group(self) -> None:
        import pyarrow as pa
        from pyarrow import csv

        rows, self._pending = b"".join(self._pending), []
        if not rows:
            return
        try:
            table = csv.read_csv(
                BytesIO(rows),
                read_options=csv.ReadOptions(column_names=list(self.columns), use_threads=False),
                parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
                convert_options=csv.ConvertOptions(
                    column_types={
                        field.name: pa.string()
                        if self.columns[field.name] == "text"
                        else field.type
                        for field in self._schema
                    },
                    null_values=["n/a"],
                    strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid as err:
            raise OutputError(f"{self.parquet} cannot be made: {err}") from err
        self._writer.write_table(table.cast(self._schema))


def _arrow_type(kind: Kind, pa: Any) -> Any:
    """Return pyarrow's type: words that come again and again are kept once a group of rows."""
    if kind == "text":
        return pa.dictionary(pa.int32(), pa.string())
    return pa.int64() if kind == "whole" else pa.float64()
