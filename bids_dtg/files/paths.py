"""Paths on this machine: paths that users type, temporary files, and hiding paths in shared text.

Paths contain names of people, laboratories and machines. Messages show them in full to the user
who runs the program. Tables, pages and sidecars show names instead, such as `<input>/sub-01/…`.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from urllib.parse import quote

from bids_dtg.errors import SettingsError
from bids_dtg.notices import one_line, visible

ELSEWHERE = "<elsewhere>"
# Start of an absolute path: not inside an address (https://), a relative path or a fraction, nor
# directly after a name.
_BEGIN = r"(?<![\w.~+%@<>/\-])(?:file://)?(?=/[^/\s])"
# End of a folder's name: /a/bc does not contain /a/b.
_END = r"(?![\w~+%@=\-]|\.\w)"
# Paths without a known name; they need two parts or more, and may have spaces only within quotes.
_QUOTED = r"""(?<=')/[^'\n]*/[^'\n]*(?=')|(?<=")/[^"\n]*/[^"\n]*(?=")"""
_UNKNOWN = r"(?:/[^\s/'\"<>|:;,]+){2,}/?"
_NEEDED_BYTES = 1 << 22  # of a temporary file; a confounds table may take as much


def expand_home(text: str | Path, source: str) -> Path:
    """Return a path with a leading `~` or `~user` replaced by the home folder.

    Parameters
    ----------
    text
        Path as typed by a user.
    source
        Name of the option, for the error.

    Raises
    ------
    SettingsError
        The user or the home folder is unknown.

    Examples
    --------
    >>> expand_home("/data/~old", "BIDS_DIR").as_posix()
    '/data/~old'
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as err:
        raise SettingsError(
            f"{source} is '{text}', but there is no such home folder",
            remedy="give the full path; for a folder whose name begins with ~, write ./~NAME",
        ) from err


def named_paths(texts: Iterable[str], *names: str) -> list[str]:
    """Return the paths of the `NAME=PATH` texts with one of some names, in upper or lower case.

    Examples
    --------
    >>> named_paths(["Atlas=/data/atlases", "/data/atlas"], "atlas", "atlases")
    ['/data/atlases']
    """
    parts = [text.partition("=") for text in texts]
    return [path for name, sign, path in parts if sign and name.casefold() in names]


def check_temporary_folder() -> None:
    """Check that a few megabytes can be written, before a full disk fails every participant.

    Raises
    ------
    SettingsError
        Temporary files cannot be written.
    """
    try:
        with tempfile.TemporaryFile(prefix="dtg-") as file:
            file.write(bytes(_NEEDED_BYTES))
    except OSError as err:
        raise temporary_error(err) from err


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a temporary folder; it is removed with its content at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="dtg-") as folder:
        yield Path(folder)


def temporary_error(err: OSError, needed: str = "some megabytes") -> SettingsError:
    """Return the error for a temporary folder that cannot be used or is too small."""
    # If there is none, the error names it.
    place = f" in {tempfile.tempdir}" if tempfile.tempdir else ""
    return SettingsError(
        f"temporary files cannot be written{place}: {err.strerror or err}",
        remedy=f"set TMPDIR to a writable folder with {needed} free",
    )


@dataclass(frozen=True)
class PathNames:
    """Folders, and the names that replace them in shared text.

    Examples
    --------
    >>> names = PathNames((("/home/ann/bids", "input"), ("/home/ann", "home")))
    >>> names.hide("/home/ann/bids/sub-01 is empty, /home/ann/x and /mnt/lab/x are not")
    '<input>/sub-01 is empty, <home>/x and <elsewhere> are not'
    """

    # Absolute folder, name; longest folder first.
    folders: tuple[tuple[str, str], ...] = ()

    def plus(self, folders: Mapping[str, Path | None]) -> PathNames:
        """Name further folders; the targets of links and file:// spellings are included.

        Parameters
        ----------
        folders
            Folders by name. None and the root of a file system are ignored. If a folder has two
            names, the first counts.
        """
        named = dict(self.folders)
        for name, folder in folders.items():
            for text in _spellings(folder):
                named.setdefault(text, name)

        def longest_first(folder_and_name: tuple[str, str]) -> tuple[int, str]:
            folder, _ = folder_and_name
            return -len(folder), folder

        return PathNames(tuple(sorted(named.items(), key=longest_first)))

    def hide(self, text: str) -> str:
        """Return a text with absolute paths replaced by the names of their folders.

        Parameters
        ----------
        text
            Text for people; relative paths in it are kept.
        """
        names = dict(self.folders)
        folders = "|".join(map(re.escape, names)) or "(?!)"  # matches nothing

        def replacement(path: re.Match[str]) -> str:
            return f"<{names[path['folder']]}>" if path["folder"] else ELSEWHERE

        pattern = f"{_BEGIN}(?:(?P<folder>{folders}){_END}|{_QUOTED}|{_UNKNOWN})"
        return re.sub(pattern, replacement, text)

    def name(self, path: Path) -> str:
        """Return a path that starts with its folder's name; `<elsewhere>/FILE` if it has none.

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


def machine_folders() -> dict[str, Path | None]:
    """Return folders that may occur in any run, by the names that replace them."""
    templateflow = os.environ.get("TEMPLATEFLOW_HOME")
    home = os.path.expanduser("~")  # noqa: PTH111 (stays `~` if unknown)
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
    # Of a path pattern with entities in braces, take the folder before them.
    before_braces = takewhile(lambda part: "{" not in part, folder.parts)
    absolute = Path(*before_braces).absolute()
    paths = [absolute]
    with suppress(OSError, RuntimeError):  # a circular link
        paths.append(absolute.resolve())
    for path in paths:
        if path == Path(path.anchor):
            continue
        text = path.as_posix()
        yield text
        yield quote(os.fsencode(text))  # in addresses
        yield visible(text)  # in notes
        yield one_line(text)  # in errors
