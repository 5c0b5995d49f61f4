"""A bundle of any kind: a folder that holds a model and all that its use needs, verified."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from bids_dtg.bundles.card import WEIGHTS_FILE, ModelCard, Part, read_card
from bids_dtg.bundles.kinds import all_kinds
from bids_dtg.bundles.people import PEOPLE_FILE
from bids_dtg.bundles.store import find_bundle
from bids_dtg.errors import BundleError, ForeignFileError, MissingFileError
from bids_dtg.files.foreign import open_foreign, sha256_of_file
from bids_dtg.files.tensors import TensorFile

_REMEDY = "fetch or make the bundle again"


@dataclass(frozen=True, eq=False)
class Bundle(Generic[Part]):
    """What a verified model has, of whatever kind."""

    path: Path  # the folder
    card: ModelCard[Part]  # what the model says about itself
    identity: str  # SHA-256 of model.json, which holds the hash of every other file

    def weights(self) -> TensorFile:
        """Return the file of weights, verified; nothing of it is kept in memory.

        Raises
        ------
        BundleError
            If it has changed since the bundle was loaded.
        """
        path = self.path / WEIGHTS_FILE
        verify_file(path, self.card.files[WEIGHTS_FILE])
        return TensorFile(path)

    def check_weights(self) -> None:
        """Read all of the weights.

        Raises
        ------
        BundleError
            If they have changed since the bundle was loaded, are damaged, or do not fit the card.
        """
        raise NotImplementedError


def load_any_bundle(name_or_path: str | Path) -> Bundle[Any]:
    """Find, verify and load a bundle of whatever kind.

    Parameters
    ----------
    name_or_path
        Name of an installed bundle (`bids_dtg.bundles.store`), or its folder.

    Raises
    ------
    BundleError
        If there is no such bundle, or it is not whole.
    """
    folder = find_bundle(name_or_path)
    card, _ = read_card(folder)
    return all_kinds()[card.kind].load(folder)


def kind_of(name_or_path: str | Path) -> str:
    """Return the kind of a bundle; empty where none can be read: who loads it says why.

    Parameters
    ----------
    name_or_path
        As `bids_dtg.bundles.store.find_bundle` takes it.
    """
    try:
        return read_card(find_bundle(name_or_path))[0].kind
    except BundleError:
        return ""


def read_verified_card(folder: Path, part: type[Part]) -> tuple[ModelCard[Part], str]:
    """Read a bundle's card, and compare all files with it.

    Returns and errors are those of `verified_card`.
    """
    with verified_card(folder, part) as found:
        return found


@contextmanager
def verified_card(folder: Path, part: type[Part]) -> Iterator[tuple[ModelCard[Part], str]]:
    """Read a bundle's card, and compare all files with it: the weights while others are read.

    That the weights have changed goes before an error in the meantime.

    Yields
    ------
    The card, and the bundle's identity.

    Raises
    ------
    BundleError
        If the card cannot be read or its part is another one, or a file is missing or has changed.
    """
    card, raw_card = read_card(folder)
    if not (folder / PEOPLE_FILE).exists():  # deleted before the bundle was published
        files = {name: digest for name, digest in card.files.items() if name != PEOPLE_FILE}
        card = replace(card, files=files)
    if not isinstance(card.part, part):
        kinds = all_kinds()
        wanted = next(other for other in kinds.values() if other.part() is part)
        raise BundleError(
            f"{folder} is a model of kind {card.kind}",
            expected=f"one that predicts {wanted.predicts}",
            remedy=kinds[card.kind].remedy,
        )
    with ThreadPoolExecutor(1) as thread:
        weights = thread.submit(verify_file, folder / WEIGHTS_FILE, card.files[WEIGHTS_FILE])
        for name, digest in card.files.items():
            if name != WEIGHTS_FILE:
                verify_file(folder / name, digest)
        try:
            yield card, hashlib.sha256(raw_card).hexdigest()
        finally:
            weights.result()


def verify_file(path: Path, digest: str) -> None:
    """Refuse a file whose SHA-256 is not `digest` (hexadecimal).

    Raises
    ------
    BundleError
        Naming the file and both hashes.
    """
    try:
        found = sha256_of_file(path)
    except MissingFileError as err:
        raise BundleError(
            f"{path} is missing", expected="it is in model.json", remedy=_REMEDY
        ) from err
    except ForeignFileError as err:
        raise err.as_kind(BundleError) from err
    if found != digest:
        raise BundleError(
            f"{path} has changed: its SHA-256 is {found}",
            expected=f"{digest} (model.json)",
            remedy=_REMEDY,
        )


def read_tensors(
    path: Path, expected: Mapping[str, tuple[str, tuple[int, ...]]]
) -> dict[str, NDArray[Any]]:
    """Read a file of tensors: all that are expected, by name, type and shape, and no other.

    Raises
    ------
    BundleError
        If the file is damaged or holds something else, or a value is not finite.
    """
    try:
        with open_foreign(path) as file:  # the library takes no name that is not UTF-8
            tensors = safetensors.numpy.load(file.read())
    except (SafetensorError, OSError) as err:
        raise BundleError(f"{path} cannot be read: {err}") from err
    found = {name: (str(array.dtype), array.shape) for name, array in tensors.items()}
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            here, wanted = found.get(name, "missing"), expected.get(name, "no such tensor")
            raise BundleError(f"{path}: {name} is {here}", expected=f"{wanted}", remedy=_REMEDY)
        if not np.isfinite(tensors[name]).all():
            raise BundleError(f"{path} has values that are not finite in {name}")
    return tensors
