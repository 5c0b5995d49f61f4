"""Files whose content is not here: git-annex and git-LFS pointers, broken links."""

from __future__ import annotations

from pathlib import Path

from bids_dtg.errors import RunError

# git-annex itself takes nothing longer than 32 KiB for a pointer.
_LONGEST_POINTER = 32_768
_POINTERS = (b"/annex/objects/", b"version https://git-lfs.github.com/")


def require_content(path: Path, participant: str) -> None:
    """Refuse a file that is missing, a broken link, a pointer or empty.

    Raises
    ------
    RunError
        With the `datalad get` command where that would help.
    """
    found = f"sub-{participant}: {path}"
    try:
        if path.is_symlink() and not path.exists():
            raise RunError(f"{found} is a broken link", remedy=f"datalad get {path}")
        size = path.stat().st_size
        if size == 0:
            raise RunError(f"{found} is empty", remedy="copy it again, or rerun fMRIPrep")
        if size <= _LONGEST_POINTER:
            with path.open("rb") as stream:
                start = stream.read(64)
            if start.startswith(_POINTERS):
                raise RunError(
                    f"{found} holds only a git-annex or git-LFS pointer",
                    expected="the file's content",
                    remedy=f"datalad get {path}",
                )
    except OSError as err:
        raise RunError(f"{found} cannot be read: {err.strerror or err}") from err
