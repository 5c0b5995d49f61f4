"""Paths as somebody typed them: with `~` replaced, and such as a system takes."""

from __future__ import annotations

import errno
from pathlib import Path

from bids_dtg.errors import SettingsError

_REFUSED = {errno.ENAMETOOLONG, errno.ELOOP}
_SHOWN = 60  # characters of a path that cannot be


def expand_home(text: str | Path, source: str) -> Path:
    """Return a path with `~` replaced by the home folder that it stands for.

    Parameters
    ----------
    text
        Path as typed by a user.
    source
        The option, for the error.

    Raises
    ------
    SettingsError
        There is no such user, or no home; or the system refuses the path as such: it has a NUL,
        is too long, or is a link to itself.

    Examples
    --------
    >>> expand_home("/data/~old", "BIDS_DIR").as_posix()
    '/data/~old'
    """
    try:
        path = Path(text).expanduser()
    except RuntimeError as err:
        raise SettingsError(
            f"{source} is '{text}', and there is no such home folder",
            remedy="write the path out; ./~NAME is a folder here",
        ) from err
    try:
        path.stat()
    except ValueError as err:
        raise _refused(path, source, "it has a NUL character") from err
    except OSError as err:
        if err.errno in _REFUSED:
            raise _refused(path, source, err.strerror or str(err)) from err
    return path


def _refused(path: Path, source: str, why: str) -> SettingsError:
    text = str(path)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return SettingsError(f"{source} '{shown}' cannot be used: {why}", expected="another path")
