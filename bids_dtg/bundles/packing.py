"""Bundles of any kind: put into one file for the way to another machine, and out again."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from bids_dtg.bundles.archive import check_archive, extract_archive, write_archive
from bids_dtg.bundles.bundle import Bundle, load_any_bundle
from bids_dtg.bundles.card import CARD_FILE
from bids_dtg.bundles.writer import install_bundle
from bids_dtg.errors import OutputError
from bids_dtg.files.atomic import temporary_name


def pack_bundle(bundle: Bundle[Any], out: Path) -> None:
    """Write a verified bundle as a `.tar` file; equal bundles give equal bytes.

    Raises
    ------
    OutputError
        If something is at `out` already, or it cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise OutputError(f"{out} is there already", remedy="choose another name, or remove it")
    hidden = out.parent / temporary_name()
    try:
        write_archive(hidden, bundle.path, [CARD_FILE, *bundle.card.files], bundle.card.name)
        hidden.rename(out)
    except OSError as err:
        raise OutputError(f"{out} cannot be written: {err.strerror or err}") from err
    finally:
        with suppress(OSError):
            hidden.unlink(missing_ok=True)


def unpack_bundle(archive: Path, folder: Path) -> Bundle[Any]:
    """Make a bundle's folder from its `.tar` file, verified.

    Raises
    ------
    BundleError
        If the archive or the bundle in it cannot be used.
    OutputError
        If something is at `folder` already, or it cannot be written.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise OutputError(f"{folder} is there already", remedy="choose another one, or remove it")
    check_archive(archive)
    return install_bundle(folder, lambda hidden: extract_archive(archive, hidden), load_any_bundle)
