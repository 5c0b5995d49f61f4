"""Files below a folder that others made: each folder once, however it is linked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from bids_dtg.errors import ForeignFileError

# Folders in folders. FitLins and XNAT need about ten.
MOST_LEVELS = 40
_FILES = (".nii", ".nii.gz", ".tsv", ".json")
# Folders that network drives and systems keep among people's own, with copies, thumbnails or what
# was removed, often by the same names: Synology's @eaDir and #recycle, QNAP's @Recycle, NetApp's
# .snapshot and ~snapshot, Apple's .AppleDouble and __MACOSX, Windows' $RECYCLE.BIN.
OF_DRIVES = re.compile(
    r"[.@#$~][^/]*|lost\+found|System Volume Information|Network Trash Folder|Temporary Items|"
    "__MACOSX"
)


def files_below(root: Path, *, follow_links: bool = True) -> Iterator[Path]:
    """Yield the files below a folder in a steady order, without those that begin with a dot.

    What network drives keep in folders of their own is left out. A folder is entered once: known
    by its device and number, so that links to folders above it, or to each other, do not lead round
    and round. Folders that cannot be listed are left out. A folder that is named as a file is
    yielded as one: whoever opens it reports what it is.

    Parameters
    ----------
    root
        Folder to walk through.
    follow_links
        Whether links to folders are followed; else they are yielded as files are.

    Raises
    ------
    ForeignFileError
        Folders lie in each other deeper than `MOST_LEVELS`.
    """
    entered: set[tuple[int, int]] = set()
    left = [(root, 0)]
    while left:
        folder, level = left.pop()
        if level > MOST_LEVELS:
            raise ForeignFileError(
                f"{root} has folders in each other deeper than {MOST_LEVELS}: "
                f"{str(folder.relative_to(root))[:100]}…",
                expected="a folder of data",
            )
        try:
            status = folder.stat()
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        folders = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry, follow_links):
                if OF_DRIVES.fullmatch(entry.name) is None:
                    folders.append(entry)
            else:
                yield Path(entry.path)
        # Real folders come first, so that links to them are the ones that are left out.
        folders.sort(key=lambda entry: (entry.is_symlink(), entry.name), reverse=True)
        left += [(Path(entry.path), level + 1) for entry in folders]


def matching(root: Path, pattern: str) -> list[Path]:
    """List what matches a pattern below a folder, sorted, without what network drives keep there.

    Examples
    --------
    >>> matching(Path("there is no such folder"), "*/*.nii.gz")
    []
    """
    return [
        path
        for path in sorted(root.glob(pattern))
        if not any(
            part != ".." and OF_DRIVES.fullmatch(part) for part in path.relative_to(root).parts
        )
    ]


def _is_folder(entry: os.DirEntry[str], follow_links: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow_links) and not entry.name.endswith(_FILES)
    except OSError:  # a link to itself
        return False
