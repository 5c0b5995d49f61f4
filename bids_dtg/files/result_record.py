"""Which files of a result folder are the program's own, and whether the folder is whole."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from bids_dtg.errors import ForeignFileError
from bids_dtg.files.atomic import output_error, write_atomic
from bids_dtg.files.foreign import read_text
from bids_dtg.files.text import encoded, read_json, write_json

RECORD, UNFINISHED = "written_files.json", "UNFINISHED.txt"
_HEADING = (
    "These results are not whole: the call that makes them is at work, or was cut off. The same "
    "command makes them whole. Written so far:\n"
)
_FILES = "Files"


@dataclass(frozen=True)
class ResultRecord:
    """The record of one folder: a list when it is whole, a second one that grows until it is."""

    folder: Path

    @property
    def is_unfinished(self) -> bool:
        """Whether a call is at work in the folder, or was cut off."""
        return (self.folder / UNFINISHED).exists()

    def files(self) -> frozenset[str]:
        """Return the program's own files, relative to the folder; a folder ends in a slash."""
        listed = read_json(self.folder / RECORD).get(_FILES)
        whole = [name for name in listed if isinstance(name, str)] if type(listed) is list else []
        return frozenset([*whole, *self._begun()])

    def _begun(self) -> list[str]:
        """Return the files of a call that is at work, or was cut off."""
        try:
            lines = read_text(self.folder / UNFINISHED).splitlines(keepends=True)[1:]
        except ForeignFileError:
            return []
        # A line without its end was cut off, and its file was not begun.
        return [line.rstrip("\n") for line in lines if line.endswith("\n")]

    def begin(self) -> None:
        """Mark the folder as unfinished; what was recorded before stays recorded."""
        lines = "".join(f"{name}\n" for name in self._begun())
        write_atomic(self.folder / UNFINISHED, encoded(_HEADING + lines))

    def add(self, name: str) -> None:
        """Record a file that is about to be written; `name` is relative to the folder."""
        path = self.folder / UNFINISHED
        try:
            # One write of a whole line at the end: nothing that stands there is written again.
            handle = os.open(path, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(handle, encoded(f"{name}\n"))
            finally:
                os.close(handle)
        except OSError as err:
            raise output_error(path, err) from err

    def end(self, files: Collection[str]) -> None:
        """Record the files of a folder that is whole, and take the mark away."""
        words = "Files that bids_dtg wrote here: its next call replaces or removes these alone"
        write_json(self.folder / RECORD, {"Description": words, _FILES: sorted(files)})
        (self.folder / UNFINISHED).unlink(missing_ok=True)
