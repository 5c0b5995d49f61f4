"""Files below a folder that others made: each folder once, however it is linked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from bids_dtg.files.foreign import reading

# Folders that network drives and systems keep among people's own, with copies, thumbnails or what
# was removed, often by the same names: Synology's @eaDir and #recycle, QNAP's @Recycle, NetApp's
# .snapshot and ~snapshot, Apple's .AppleDouble and __MACOSX, Windows' $RECYCLE.BIN.
OF_DRIVES = re.compile(
    r"[.@#$~][^/]*|lost\+found|System Volume Information|Network Trash Folder|Temporary Items|"
    "__MACOSX"
)
_FILES = (".nii", ".nii.gz", ".tsv", ".json")


def files_below(root: Path, *, follow_links: bool = True) -> Iterator[Path]:
    """Yield the files below a folder in a steady order, without those that begin with a dot.

    What network drives keep in folders of their own is left out. A folder is entered once: known
    by its device and number, so that links do not lead round and round.

    Parameters
    ----------
    root
        Folder to walk through.
    follow_links
        Whether links to folders are followed.

    Raises
    ------
    ForeignFileError
        Folders lie in each other deeper than Python looks, some hundreds.
    """
    with reading(root):
        entered: set[tuple[int, int]] = set()
        for folder, folders, names in os.walk(root, followlinks=follow_links):
            if follow_links:
                status = Path(folder).stat()
                if (status.st_dev, status.st_ino) in entered:
                    folders.clear()
                    continue
                entered.add((status.st_dev, status.st_ino))
            kept = [name for name in folders if OF_DRIVES.fullmatch(name) is None]
            # A folder that is named as a file is yielded: whoever opens it reports what it is.
            names += [name for name in kept if name.endswith(_FILES)]
            # Real folders come first, so that links to them are the ones that are left out.
            folders[:] = sorted(
                set(kept) - set(names), key=lambda name: (Path(folder, name).is_symlink(), name)
            )
            yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


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
