"""Paths that begin with somebody's home folder."""

from __future__ import annotations

from pathlib import Path

from bids_dtg.errors import SettingsError


def expand_home(text: str | Path, source: str) -> Path:
    """Return a path with `~` replaced by the home folder that it stands for.

    Parameters
    ----------
    text
        As somebody typed it.
    source
        The option, for the error.

    Raises
    ------
    SettingsError
        There is no such user, or no home.

    Examples
    --------
    >>> expand_home("/data/~old", "BIDS_DIR").as_posix()
    '/data/~old'
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as err:
        raise SettingsError(
            f"{source} is '{text}', and there is no such home folder",
            remedy="write the path out; ./~NAME is a folder here",
        ) from err
