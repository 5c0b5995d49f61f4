"""Bundles of any kind: folders that hold a model and everything that its use needs.

A bundle is verified when it is loaded. It gets its final name only once it has been written or
fetched completely.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_dtg.bundles.card import CARD_FILE, WEIGHTS_FILE, ModelCard, Part
from bids_dtg.errors import BundleError
from bids_dtg.files.atomic import output_error, temporary_name
from bids_dtg.files.foreign import reading, sha256_of_file
from bids_dtg.files.tensors import TensorFile
from bids_dtg.files.text import encoded

AnyBundle = TypeVar("AnyBundle", bound="Bundle[Any]")


@dataclass(frozen=True, eq=False)
class Bundle(Generic[Part]):
    """A verified model of any kind."""

    path: Path  # the folder
    card: ModelCard[Part]  # the model card
    identity: str  # SHA-256 of model.json, which holds the hash of every other file

    @property
    def record(self) -> str:
        """Name, version and digest, as records of results hold them."""
        return f"{self.card.name} {self.card.version} {self.identity}"

    def weights(self) -> TensorFile:
        """Return the file of weights, verified but not loaded into memory.

        Raises
        ------
        BundleError
            The file has changed since the bundle was loaded.
        """
        path = self.path / WEIGHTS_FILE
        verify_file(path, self.card.files[WEIGHTS_FILE])
        return TensorFile(path)

    def check_weights(self) -> None:
        """Read all weights.

        Raises
        ------
        BundleError
            They have changed since the bundle was loaded, are damaged, or do not fit the card.
        """


def verify_file(path: Path, digest: str) -> None:
    """Refuse a file whose SHA-256 is not `digest` (hexadecimal).

    Raises
    ------
    BundleError
        The message names the file and both hashes.
    """
    with reading(path, BundleError):
        actual = sha256_of_file(path)
    if actual != digest:
        raise BundleError(
            f"{path} has changed: its SHA-256 is {actual}",
            expected=f"{digest} (model.json)",
            remedy="fetch or make the bundle again",
        )


def read_tensors(
    path: Path, expected: Mapping[str, tuple[str, tuple[int, ...]]]
) -> dict[str, NDArray[Any]]:
    """Read a file of tensors, which must have exactly the expected names, types and shapes.

    Raises
    ------
    BundleError
        The file is damaged or has other tensors, or a value is not finite.
    """
    tensors = TensorFile(path).read()
    actual = {name: (str(array.dtype), array.shape) for name, array in tensors.items()}
    for name in sorted(actual.keys() | expected.keys()):
        if actual.get(name) != expected.get(name):
            raise TensorFile(path).error(
                f": {name} is {actual.get(name, 'missing')}",
                expected=f"{expected.get(name, 'no such tensor')}",
            )
    return tensors


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
        Where the bundle goes. If it already holds the same bundle, nothing is done. Bundles
        that differ only in their scores (`evaluation`) count as the same, as recomputed scores
        may be rounded differently.
    card
        The model card; `files` is filled in here.
    files
        Content of each file, by name.
    load
        Loads a bundle of this kind.

    Raises
    ------
    BundleError
        The folder holds something else, or the files are not a complete bundle.
    OutputError
        The folder cannot be written.
    """
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    card = replace(card, files=hashes)
    hidden = folder.parent / temporary_name()
    try:
        is_file = folder.is_symlink() or folder.is_file()
        if is_file or (folder.is_dir() and any(folder.iterdir())):
            return _same_bundle(folder, card, load)
        hidden.mkdir(parents=True)
        for name, data in {**files, CARD_FILE: encoded(card.to_json())}.items():
            (hidden / name).write_bytes(data)
        return move_bundle(load(hidden), folder)
    except BundleError as err:
        fault = err.found.replace(str(hidden), str(folder))
        raise BundleError(fault, expected=err.expected, remedy=err.remedy) from err
    except OSError as err:
        raise output_error(folder, err) from err
    finally:
        # After the move there is nothing to remove; after any failure, even Ctrl-C, it is removed.
        shutil.rmtree(hidden, ignore_errors=True)


def move_bundle(bundle: AnyBundle, folder: Path) -> AnyBundle:
    """Rename a bundle's folder to its final name, on the same disk; return the moved bundle.

    Raises
    ------
    OutputError
        Something else has that name, or it cannot be written.
    """
    try:
        bundle.path.rename(folder)
    except OSError as err:
        raise output_error(folder, err) from err
    return replace(bundle, path=folder)


def _same_bundle(
    folder: Path, card: ModelCard[Any], load: Callable[[Path], AnyBundle]
) -> AnyBundle:
    """Load the bundle in a folder; refuse it if it is not the one to be written."""
    with suppress(BundleError):
        bundle = load(folder)
        unscored = replace(card, evaluation=None)
        if replace(bundle.card, evaluation=None).to_json() == unscored.to_json():
            return bundle
    raise BundleError(
        f"{folder} exists and is not this bundle",
        expected="a folder that does not exist yet, or the same bundle, complete",
        remedy="choose another folder, or remove it",
    )


def require_finite(tensors: Mapping[str, ArrayLike], remedy: str) -> None:
    """Refuse to write a model with values that are not finite.

    Parameters
    ----------
    tensors
        Values of the file, by the tensors' names.
    remedy
        Remedy for the error message.

    Raises
    ------
    BundleError
        The message names the tensor.
    """
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise BundleError(
                f"the model was not written: {name} has values that are not finite",
                remedy=remedy,
            )
