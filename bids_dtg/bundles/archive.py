"""Bundles as one `.tar` file: equal bytes for equal bundles, and read with distrust."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterable
from io import BufferedReader
from pathlib import Path, PurePosixPath

from bids_dtg.bundles.card import CARD_FILE, read_card
from bids_dtg.errors import BundleError, ForeignFileError
from bids_dtg.files.foreign import open_foreign

ARCHIVE_SUFFIX = ".tar"
# The largest model at half a millimetre stays below; an archive is not compressed, so what
# comes out of it is not larger than itself.
_LARGEST = 1 << 32
_MOST_ENTRIES = 64
# No read takes more, so that a header cannot ask for all of the memory.
_BLOCK = 1 << 20
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXPECTED = "one bundle's own files, as dtg-models pack writes them"


class _SmallReads:
    """A file that refuses to be read in large pieces, as tarfile does with long headers."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _BLOCK:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)


def write_archive(path: Path, folder: Path, names: Iterable[str], title: str) -> None:
    """Write files of a folder below one entry called `title`; without owners and times."""
    with (
        path.open("xb") as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(names):
            with (folder / name).open("rb") as file:
                entry = tarfile.TarInfo(f"{title}/{name}")
                entry.size = (folder / name).stat().st_size
                entry.mode = 0o644
                archive.addfile(entry, file)


def check_archive(path: Path) -> None:
    """Read the names and sizes in an archive, so that nothing is made for one that is refused.

    Raises
    ------
    BundleError
        As `extract_archive`, of what the names and sizes show.
    """
    names = _walk(path, lambda archive, entry, name: None)
    if CARD_FILE not in names:
        raise BundleError(f"{path} holds no {CARD_FILE}", expected=_EXPECTED)


def extract_archive(path: Path, folder: Path) -> None:
    """Write the files of an archived bundle into an empty folder; what they hold is not looked at.

    Raises
    ------
    BundleError
        If the archive is damaged, or holds anything but plain files that the bundle's card
        lists: other paths, links, devices, sparse files, entries larger than the archive.
    OSError
        If a file cannot be written.
    """
    try:
        _walk(path, lambda archive, entry, name: _extract(archive, entry, folder / name))
    except FileExistsError as err:
        raise BundleError(f"{path} holds a name twice: {err.filename}") from err
    _check_names(path, folder)


def _walk(path: Path, use: Callable[[tarfile.TarFile, tarfile.TarInfo, str], None]) -> set[str]:
    """Call `use` with each plain file of an archive and its own name; return the names."""
    names = set()
    try:
        file = open_foreign(path)
    except ForeignFileError as err:
        raise err.as_kind(BundleError) from err
    size = path.stat().st_size
    if size > _LARGEST:
        raise BundleError(f"{path} has {size} bytes", expected=f"at most {_LARGEST}")
    try:
        with file, tarfile.open(fileobj=_SmallReads(file), mode="r:") as archive:  # type: ignore[call-overload]
            for count, entry in enumerate(archive, start=1):
                if count > _MOST_ENTRIES:
                    raise BundleError(f"{path} has over {count - 1} entries", expected=_EXPECTED)
                name = _parts(entry, path, size)[-1]
                if entry.isreg():
                    use(archive, entry, name)
                    names.add(name)
    except (tarfile.TarError, ValueError, EOFError) as err:
        raise BundleError(
            f"{path} is damaged or no tar file: {err}",
            expected="an archive without compression, as dtg-models pack writes it",
        ) from err
    return names


def _parts(entry: tarfile.TarInfo, path: Path, size: int) -> tuple[str, ...]:
    """Return the entry's path as a bundle may have it: a file, a folder, or a file in one."""
    parts = PurePosixPath(entry.name).parts or (".",)
    if entry.issparse() or not (entry.isreg() or entry.isdir()):
        fault = "which is no plain file"
    elif not all(_PLAIN_NAME.fullmatch(part) for part in parts) and not (
        entry.isdir() and parts == (".",)
    ):
        fault = "which leads elsewhere"
    elif len(parts) > (2 if entry.isreg() else 1):
        fault = "in a folder of a folder"
    elif not 0 <= entry.size <= size:
        fault = f"of {entry.size} bytes, more than the archive has"
    else:
        return parts
    raise BundleError(f"{path} has the entry {entry.name!r}, {fault}", expected=_EXPECTED)


def _extract(archive: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
    source = archive.extractfile(entry)
    if source is None:
        raise tarfile.ReadError(f"no content of {entry.name}")
    with source, target.open("xb") as out:
        left = entry.size
        while left:
            block = source.read(min(_BLOCK, left))
            if not block:
                raise tarfile.ReadError(f"{entry.name} is cut off")
            out.write(block)
            left -= len(block)


def _check_names(path: Path, folder: Path) -> None:
    found = {child.name for child in folder.iterdir()}
    if CARD_FILE not in found:
        raise BundleError(f"{path} holds no {CARD_FILE}", expected=_EXPECTED)
    try:
        card, _ = read_card(folder)
    except BundleError as err:
        raise BundleError(
            err.found.replace(str(folder), str(path)), expected=err.expected, remedy=err.remedy
        ) from err
    unlisted = sorted(found - {CARD_FILE} - card.files.keys())
    if unlisted:
        raise BundleError(
            f"{path} holds {unlisted[0]}, which its {CARD_FILE} does not list", expected=_EXPECTED
        )
