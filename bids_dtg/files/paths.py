"""Paths of this machine: as people type them, for temporary files, and hidden in what others read.

Paths hold names of people, laboratories and machines. Whoever runs the program sees them whole in
its messages; tables, pages and sidecars have names in their place: `<input>/sub-01/…`.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bids_dtg.errors import SettingsError
from bids_dtg.notices import visible

ELSEWHERE = "<elsewhere>"
# Where an absolute path begins: not in an address (https://), a relative path, a fraction or after
# a name.
_BEGIN = r"(?<![\w.~+%@<>/\-])(?:file://)?(?=/[^/\s])"
# Where a folder's name ends: /a/b is not in /a/bc.
_END = r"(?![\w~+%@=\-]|\.\w)"
# Paths that no name is known for: with blanks between quotes, else of two parts or more.
_QUOTED = r"""(?<=')/[^'\n]*/[^'\n]*(?=')|(?<=")/[^"\n]*/[^"\n]*(?=")"""
_UNKNOWN = r"(?:/[^\s/'\"<>|:;,]+){2,}/?"
_NEEDED_BYTES = 1 << 22  # of a temporary file; a table of confounds may take as much


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


def check_temporary_folder() -> None:
    """Write a few megabytes and remove them: a full disk must not end each participant.

    Raises
    ------
    SettingsError
        No folder for temporary files can be used.
    """
    try:
        with tempfile.TemporaryFile(prefix="dtg-") as file:
            file.write(bytes(_NEEDED_BYTES))
    except OSError as err:
        raise temporary_error(err) from err


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is removed at the end, with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="dtg-") as folder:
        yield Path(folder)


def temporary_error(err: OSError, needed: str = "some megabytes") -> SettingsError:
    """Make the error for a folder of temporary files that cannot be used, or is too small."""
    place = f" in {tempfile.tempdir}" if tempfile.tempdir else ""  # else the error lists some
    return SettingsError(
        f"temporary files cannot be written{place}: {err.strerror or err}",
        remedy=f"set TMPDIR to a folder that can be written to and has {needed} free",
    )


@dataclass(frozen=True)
class PathNames:
    """Folders and the names that stand for them.

    Examples
    --------
    >>> names = PathNames((("/home/ann/bids", "input"), ("/home/ann", "home")))
    >>> names.hide("/home/ann/bids/sub-01 is empty, /home/ann/x and /mnt/lab/x are not")
    '<input>/sub-01 is empty, <home>/x and <elsewhere> are not'
    """

    folders: tuple[tuple[str, str], ...]  # absolute folder, name; longest folder first

    @classmethod
    def of(cls, folders: Mapping[str, Path | None]) -> PathNames:
        """Name folders; each also where its links lead, and as a file:// address has it.

        Parameters
        ----------
        folders
            By name; None, and a root of a file system, get no name. Of two names of one folder
            the first counts.
        """
        return cls(()).plus(folders)

    def plus(self, folders: Mapping[str, Path | None]) -> PathNames:
        """Name further folders; those that have a name keep it.

        Parameters
        ----------
        folders
            Folders whose names are hidden, as for `of`.
        """
        named = dict(self.folders)
        for name, folder in folders.items():
            for text in _spellings(folder):
                named.setdefault(text, name)
        return PathNames(tuple(sorted(named.items(), key=lambda item: (-len(item[0]), item[0]))))

    def hide(self, text: str) -> str:
        """Return text with names in place of folders, and of paths elsewhere.

        Parameters
        ----------
        text
            One that people read; its relative paths stay.
        """
        if "/" not in text:
            return text
        names = dict(self.folders)
        known = [re.escape(folder) for folder, _ in self.folders]
        kinds = [*([f"(?P<known>{'|'.join(known)}){_END}"] if known else []), _QUOTED, _UNKNOWN]
        return re.sub(
            f"{_BEGIN}(?:{'|'.join(kinds)})",
            lambda found: f"<{names[found['known']]}>" if known and found["known"] else ELSEWHERE,
            text,
        )

    def name(self, path: Path) -> str:
        """Return a path below the name of its folder; its own name alone where that has none.

        Examples
        --------
        >>> PathNames((("/home/ann/bids", "input"),)).name(Path("/home/ann/bids/sub-01/x.json"))
        '<input>/sub-01/x.json'
        """
        path = path.absolute()
        for folder, name in self.folders:
            if path.is_relative_to(folder):
                below = path.relative_to(folder).as_posix()
                return f"<{name}>" if below == "." else f"<{name}>/{below}"
        return f"{ELSEWHERE}/{path.name}"


def machine_folders(environment: Mapping[str, str] = os.environ) -> dict[str, Path | None]:
    """Return folders that every call may meet, by the names that stand for them."""
    templateflow = environment.get("TEMPLATEFLOW_HOME")
    home = os.path.expanduser("~")  # noqa: PTH111 (stays `~` where nobody knows it)
    return {
        "templateflow": Path(templateflow) if templateflow else None,
        "home": None if home == "~" else Path(home),
        "tmp": Path(tempfile.gettempdir()),
        "program": Path(sys.prefix),
        "package": Path(__file__).parent.parent,
    }


def _spellings(folder: Path | None) -> Iterator[str]:
    """Yield the spellings of a folder that a message may contain."""
    if folder is None:
        return
    if "{" in str(folder):  # a path with entities in braces: the folder that all of them lie in
        parts = folder.parts
        folder = Path(*parts[: next(n for n, part in enumerate(parts) if "{" in part)])
    absolute = folder.absolute()
    places = [absolute]
    with suppress(OSError, RuntimeError):  # a link that leads in circles
        places.append(absolute.resolve())
    for place in places:
        if place == Path(place.anchor):
            continue
        text = place.as_posix()
        shown = (visible(text), visible(" ".join(text.split())))  # as lines and errors have it
        yield from dict.fromkeys((text, quote(os.fsencode(text)), *shown))
