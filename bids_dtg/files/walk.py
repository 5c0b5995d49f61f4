"""Files below a folder that others made: each folder once, however it is linked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bids_dtg.errors import ForeignFileError

# Folders in folders. FitLins and XNAT need about ten.
MOST_LEVELS = 40
_FILES = (".nii", ".nii.gz", ".tsv", ".json")


def files_below(root: Path, *, follow_links: bool = True) -> Iterator[Path]:
    """Yield the files below a folder in a steady order, without those that begin with a dot.

    A folder is entered once: known by its device and number, so that links to folders above it, or
    to each other, do not lead round and round. Folders that cannot be listed are left out. A folder
    that is named as a file is yielded as one: whoever opens it reports what it is.

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
                folders.append(entry)
            else:
                yield Path(entry.path)
        # Real folders come first, so that links to them are the ones that are left out.
        folders.sort(key=lambda entry: (entry.is_symlink(), entry.name), reverse=True)
        left += [(Path(entry.path), level + 1) for entry in folders]


def _is_folder(entry: os.DirEntry[str], follow_links: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow_links) and not entry.name.endswith(_FILES)
    except OSError:  # a link to itself
        return False
