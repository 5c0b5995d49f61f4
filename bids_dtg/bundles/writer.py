"""Writing a model bundle: whole under its final name, or not there."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.bundles.card import CARD_FILE, ModelCard
from bids_dtg.errors import BundleError, OutputError
from bids_dtg.files.atomic import temporary_name
from bids_dtg.files.text import encoded

AnyBundle = TypeVar("AnyBundle", bound=Bundle[Any])


def write_files(
    folder: Path,
    card: ModelCard[Any],
    files: Mapping[str, bytes],
    load: Callable[[Path], AnyBundle],
) -> AnyBundle:
    """Write the files of a bundle of any kind, and its card, which lists them.

    Parameters
    ----------
    folder
        Where the bundle goes. If the same bundle is there already, nothing is done; one that
        differs in its scores alone (`evaluation`) is the same, as scores made again may be
        rounded otherwise.
    card
        What the model says about itself; `files` is filled in here.
    files
        What each holds, by name.
    load
        What loads a bundle of this kind.

    Raises
    ------
    BundleError
        If something else is at `folder`, or the files are no whole bundle.
    OutputError
        If the folder cannot be written.
    """
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    card = replace(card, files=hashes)
    text = encoded(card.to_json())
    if _is_taken(folder):
        return _same_bundle(folder, card, load)
    hidden = folder.parent / temporary_name()
    try:
        hidden.mkdir(parents=True)
        for name, data in {**files, CARD_FILE: text}.items():
            (hidden / name).write_bytes(data)
        return move_bundle(load(hidden), folder)
    except BundleError as err:
        found = err.found.replace(str(hidden), str(folder))
        raise BundleError(found, expected=err.expected) from err
    except OSError as err:
        raise _unwritable(folder, err) from err
    finally:
        # Nothing is left to remove after the move; on any failure, Ctrl-C included, it goes.
        shutil.rmtree(hidden, ignore_errors=True)


def move_bundle(bundle: AnyBundle, folder: Path) -> AnyBundle:
    """Give a bundle's folder its final name, on the same disk; the bundle with its new path.

    Raises
    ------
    OutputError
        If something else is there, or the place cannot be written.
    """
    try:
        bundle.path.rename(folder)
    except OSError as err:
        raise _unwritable(folder, err) from err
    return replace(bundle, path=folder)


def _unwritable(folder: Path, err: OSError) -> OutputError:
    full = err.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "free space there, or choose a folder on another disk" if full else None
    return OutputError(f"{folder} cannot be written: {err.strerror or err}", remedy=remedy)


def _is_taken(folder: Path) -> bool:
    try:
        return folder.is_symlink() or (folder.exists() and any(folder.iterdir()))
    except OSError as err:
        raise BundleError(
            f"{folder} cannot become a bundle: {err.strerror or err}",
            expected="a folder that does not exist yet",
        ) from err


def _same_bundle(
    folder: Path, card: ModelCard[Any], load: Callable[[Path], AnyBundle]
) -> AnyBundle:
    """Load what is at the folder, refused where it is not the bundle to be written."""
    try:
        found = load(folder)
    except BundleError as err:
        raise BundleError(
            f"{folder} exists and is not a whole bundle: {err.found}",
            remedy="choose another folder, or remove it",
        ) from err
    texts = {encoded(replace(each, evaluation=None).to_json()) for each in (found.card, card)}
    if len(texts) > 1:
        raise BundleError(
            f"{folder} holds another bundle, {found.card.name} {found.card.version}",
            expected="a folder that does not exist yet, or this same bundle",
            remedy="choose another folder, or remove it",
        )
    return found


def require_finite(tensors: Mapping[str, ArrayLike], remedy: str) -> None:
    """Refuse to write a model with values that are not finite.

    Parameters
    ----------
    tensors
        Values of the file, by the tensors' names.
    remedy
        What to do about it.

    Raises
    ------
    BundleError
        Naming the tensor.
    """
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise BundleError(
                f"the model was not written: {name} has values that are not finite", remedy=remedy
            )
