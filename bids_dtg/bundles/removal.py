"""Removing an installed bundle: its own files, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bids_dtg.bundles.card import CARD_FILE, REQUIRED_FILES, read_card
from bids_dtg.bundles.reference import REFERENCE_FILE
from bids_dtg.bundles.store import (
    IMAGE_FOLDER,
    PACKAGE_FOLDER,
    find_bundle,
    user_cache,
)
from bids_dtg.errors import BundleError, OutputError
from bids_dtg.files.atomic import temporary_name


def remove_bundle(name: str, env: Mapping[str, str] | None = None) -> Path:
    """Remove the bundle that `name` stands for; a damaged one too.

    Parameters
    ----------
    name
        Name of an installed bundle, or its folder.
    env
        Environment; that of the process if None.

    Returns
    -------
    The folder that is gone.

    Raises
    ------
    BundleError
        If there is no such bundle, it belongs to the package or the image, or something
        that is not the bundle's lies in its folder.
    OutputError
        If it cannot be removed.
    """
    folder = _find(name, os.environ if env is None else env)
    if folder.parent in (IMAGE_FOLDER, PACKAGE_FOLDER):
        raise BundleError(f"{folder} is a part of the program", remedy="leave it there")
    try:
        if folder.is_symlink():
            folder.unlink()
            return folder
        _check_content(folder)
        hidden = folder.parent / temporary_name()
        folder.rename(hidden)
        shutil.rmtree(hidden)
    except OSError as err:
        raise OutputError(f"{folder} cannot be removed: {err.strerror or err}") from err
    return folder


def _find(name: str, env: Mapping[str, str]) -> Path:
    cache = user_cache(env)
    # Without its card a bundle is found by no name, but is in the way of a new one.
    if cache is not None and name and Path(name).name == name and (cache / name).is_dir():
        damaged = cache / name
        if not (damaged / CARD_FILE).is_file():
            return damaged
    if Path(name).is_file():
        raise BundleError(f"{name} is a file", expected="a bundle's name or folder")
    return find_bundle(name, env)


def _check_content(folder: Path) -> None:
    own = {CARD_FILE, REFERENCE_FILE, *REQUIRED_FILES}
    with suppress(BundleError):  # a damaged card lists nothing
        own |= read_card(folder)[0].files.keys()
    others = sorted(child.name for child in folder.iterdir() if child.name not in own)
    if others:
        raise BundleError(
            f"{folder} holds {others[0]}, which is not the bundle's",
            remedy="move it away, or remove the folder yourself",
        )
