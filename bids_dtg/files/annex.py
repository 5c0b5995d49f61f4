"""Files whose content may not be here: git-annex and git-LFS pointers, broken links."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from bids_dtg.errors import RunError

# git-annex itself takes nothing longer than 32 KiB for a pointer.
_LONGEST_POINTER = 32_768
_START_BYTES = 1024
_ANNEX, _LFS = b"/annex/objects/", b"version https://git-lfs"


def is_pointer(start: bytes) -> bool:
    """Return whether a small file that starts so is a git-annex or git-LFS pointer.

    git-annex leaves `/annex/objects/KEY`, or, where a file system has no links,
    the text of a link: `../../.git/annex/objects/...`, as deep as the file is.

    Examples
    --------
    >>> is_pointer(b"/annex/objects/MD5E-s12--abc.nii.gz")
    True
    """
    first = start.split(b"\n", 1)[0]
    # Images have NUL bytes from the start.
    return first.startswith(_LFS) or (_ANNEX in first and b"\0" not in first)


def is_stub(path: Path) -> bool:
    """Return whether git-annex, DataLad or git-LFS have a file whose content is not here.

    Examples
    --------
    >>> is_stub(Path("there is no such file"))
    False
    """
    try:
        if path.is_symlink() and not path.exists():
            return True
        # A pipe has size 0 too, and reading it waits for its writer.
        if not 0 < path.stat().st_size <= _LONGEST_POINTER:
            return False
        with path.open("rb") as stream:
            return is_pointer(stream.read(_START_BYTES))
    except OSError:
        return False


def require_contents(paths: Iterable[Path], participant: str) -> None:
    """Refuse files of which one is missing, a broken link, a pointer or empty.

    Raises
    ------
    RunError
        Where several could be fetched: with one `datalad get` for all of them.
    """
    paths = tuple(dict.fromkeys(paths))
    stubs = [str(path) for path in paths if is_stub(path)]
    if len(stubs) > 1:
        raise RunError(
            f"sub-{participant}: {len(stubs)} files have no content here, as {stubs[0]}",
            expected="the content of all files of the runs, not git-annex or git-LFS pointers",
            remedy=f"datalad get {shlex.join(stubs)}",
        )
    for path in paths:
        require_content(path, participant)


def require_content(path: Path, participant: str) -> None:
    """Refuse a file that is missing, a broken link, a pointer or empty.

    Raises
    ------
    RunError
        With the `datalad get` command where that would help.
    """
    found = f"sub-{participant}: {path}"
    if is_stub(path):
        what = (
            "is a broken link" if path.is_symlink() else "holds only a git-annex or git-LFS pointer"
        )
        raise RunError(
            f"{found} {what}", expected="the file's content", remedy=f"datalad get {path}"
        )
    try:
        if path.stat().st_size == 0:
            raise RunError(f"{found} is empty", remedy="copy it again, or rerun fMRIPrep")
    except OSError as err:
        raise RunError(f"{found} cannot be read: {err.strerror or err}") from err
