"""The machine's folder for temporary files: for libraries that read nothing but files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bids_dtg.errors import SettingsError

_NEEDED_BYTES = 1 << 22  # a table of confounds may take as much


def check_temporary_folder() -> None:
    """Write a few megabytes and remove them: a full disk must not end each participant.

    Raises
    ------
    SettingsError
        No folder for temporary files can be used.
    """
    try:
        with tempfile.TemporaryFile(prefix="dtg-", buffering=0) as file:
            left = memoryview(bytes(_NEEDED_BYTES))
            while left:
                left = left[file.write(left) :]
    except OSError as err:
        raise temporary_error(err) from err


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is removed at the end, with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="dtg-") as folder:
        yield Path(folder)


def temporary_error(err: OSError) -> SettingsError:
    """Make the error for a folder of temporary files that cannot be used."""
    try:
        places = [tempfile.gettempdir()]
    except OSError:  # several were tried in vain
        names = ("TMPDIR", "TEMP", "TMP")
        places = [os.environ[name] for name in names if os.environ.get(name)] + ["/tmp"]
    return SettingsError(
        f"{', '.join(places)} cannot be used for temporary files: {err.strerror or err}",
        remedy="set TMPDIR to a folder that can be written to and has some megabytes free",
    )
