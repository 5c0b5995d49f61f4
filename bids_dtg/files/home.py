"""Paths as somebody typed them, with `~` replaced."""

from __future__ import annotations

import errno
from pathlib import Path

from bids_dtg.errors import SettingsError


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
        There is no such user, or no home; or the system takes no such path, as a very long one.

    Examples
    --------
    >>> expand_home("/data/~old", "BIDS_DIR").as_posix()
    '/data/~old'
    """
    try:
        path = Path(text).expanduser()
        path.stat()
    except RuntimeError as err:
        raise SettingsError(
            f"{source} is '{text}', and there is no such home folder",
            remedy="write the path out; ./~NAME is a folder here",
        ) from err
    except (OSError, ValueError) as err:
        # What is not there, or not to be seen, is for others to judge.
        if isinstance(err, ValueError) or err.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            why = getattr(err, "strerror", None) or err
            raise SettingsError(
                f"{source} '{str(text)[:60]}' cannot be used: {why}", expected="another path"
            ) from err
    return path
