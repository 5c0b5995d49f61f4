"""Bundles of any kind: folders that hold a model and everything that its use needs.

A bundle is verified when it is loaded. It gets its final name only once it has been written or
fetched completely.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bids_dtg.bundles.card import CARD_FILE, WEIGHTS_FILE, ModelCard, Part, read_card
from bids_dtg.bundles.kinds import PublishedModel, all_kinds
from bids_dtg.bundles.people import PEOPLE_FILE
from bids_dtg.bundles.store import find_bundle
from bids_dtg.errors import BundleError
from bids_dtg.files.atomic import output_error, temporary_name
from bids_dtg.files.download import (
    OFFLINE_VARIABLE,
    download_folder,
    download_hosts,
    obtain_file,
)
from bids_dtg.files.foreign import reading, sha256_of_file
from bids_dtg.files.tensors import TensorFile
from bids_dtg.files.text import encoded
from bids_dtg.progress import Reporter

PUBLIC_HOST = "https://raw.githubusercontent.com"
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


def load_any_bundle(name_or_path: str | Path) -> Bundle[Any]:
    """Find, verify and load a bundle of any kind.

    Parameters
    ----------
    name_or_path
        Name of an installed bundle (`bids_dtg.bundles.store`), or its folder.

    Raises
    ------
    BundleError
        There is no such bundle, or it is incomplete or damaged.
    """
    folder = find_bundle(name_or_path)
    return all_kinds()[read_card(folder)[0].kind].load(folder)


def kind_of(name_or_path: str | Path) -> str:
    """Return the kind of a bundle; empty if it cannot be read, which loading it would report.

    Parameters
    ----------
    name_or_path
        As for `bids_dtg.bundles.store.find_bundle`.
    """
    try:
        return read_card(find_bundle(name_or_path))[0].kind
    except BundleError:
        return ""


def read_verified_card(folder: Path, part: type[Part]) -> tuple[ModelCard[Part], str]:
    """Read a bundle's card, and compare all files with it.

    Returns
    -------
    The card, and the bundle's identity.

    Raises
    ------
    BundleError
        The card cannot be read or is of another kind, or a file is missing or has changed.
    """
    card, raw = read_card(folder)
    if not (
        folder / PEOPLE_FILE
    ).exists():  # it may be deleted before a bundle is published
        files = {
            name: digest for name, digest in card.files.items() if name != PEOPLE_FILE
        }
        card = replace(card, files=files)
    if not isinstance(card.part, part):
        kinds = all_kinds()
        wanted = next(other for other in kinds.values() if other.part() is part)
        raise BundleError(
            f"{folder} is a model of kind {card.kind}",
            expected=f"one that predicts {wanted.predicts}",
            remedy=kinds[card.kind].remedy,
        )
    for name, digest in card.files.items():
        verify_file(folder / name, digest)
    return card, hashlib.sha256(raw).hexdigest()


def verify_file(path: Path, digest: str) -> None:
    """Refuse a file whose SHA-256 is not `digest` (hexadecimal).

    Raises
    ------
    BundleError
        The message names the file and both hashes.
    """
    with reading(path, BundleError):
        found = sha256_of_file(path)
    if found != digest:
        raise BundleError(
            f"{path} has changed: its SHA-256 is {found}",
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
    found = {name: (str(array.dtype), array.shape) for name, array in tensors.items()}
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            here, wanted = (
                found.get(name, "missing"),
                expected.get(name, "no such tensor"),
            )
            raise TensorFile(path).error(f": {name} is {here}", expected=f"{wanted}")
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
        there = folder.is_symlink() or folder.is_file()
        if there or (folder.is_dir() and any(folder.iterdir())):
            return _same_bundle(folder, card, load)
        hidden.mkdir(parents=True)
        for name, data in {**files, CARD_FILE: encoded(card.to_json())}.items():
            (hidden / name).write_bytes(data)
        return move_bundle(load(hidden), folder)
    except BundleError as err:
        found = err.found.replace(str(hidden), str(folder))
        raise BundleError(found, expected=err.expected, remedy=err.remedy) from err
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
        found = load(folder)
        if (
            len(
                {
                    replace(each, evaluation=None).to_json()
                    for each in (found.card, card)
                }
            )
            == 1
        ):
            return found
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


def fetch_models(
    models: Sequence[PublishedModel], folder: Path, reporter: Reporter
) -> list[Bundle[Any]]:
    """Fetch published models and convert them to bundles; existing bundles are only verified.

    One process at a time works in a folder; others wait, and then find its bundles. Files
    that were fetched for a model are kept until its bundle is complete.

    Parameters
    ----------
    models
        The models to fetch.
    folder
        The bundles become subfolders of it, under the models' names.
    reporter
        Shows the progress of the download.

    Returns
    -------
    The bundles, verified, in the order of `models`.

    Raises
    ------
    BundleError
        A file cannot be fetched with the right content, or an existing bundle is damaged or
        another one.
    OutputError
        The folder cannot be written.

    Notes
    -----
    `requests` reads proxies and certificates from the environment. `DTG_MODEL_MIRROR` has base URLs
    that are tried before GitHub, and `DTG_OFFLINE` forbids all downloads.
    """
    targets = {model: folder / model.card.name for model in models}
    absent = [model for model, target in targets.items() if not target.exists()]
    hosts = download_hosts(os.environ, PUBLIC_HOST) if absent else []
    if absent and not hosts:
        raise BundleError(f"nothing is fetched: {OFFLINE_VARIABLE} is set")
    remedy = "choose a folder with dtg-models fetch --into FOLDER, and name it in DTG_MODEL_DIR"
    if absent:
        with download_folder(folder, reporter, remedy=remedy) as work:
            for model in absent:
                target = targets[model]
                if target.exists():  # made by another process while this one waited
                    continue
                reporter.note(
                    f"fetching {model.card.name} {model.card.version} into {target}"
                )
                reporter.note(model.card.notice)
                with reading(target, BundleError):
                    fetched = {
                        file: obtain_file(file, work, hosts, reporter)
                        for file in model.files
                    }
                move_bundle(
                    model.convert(fetched, work / target.name, reporter.note), target
                )
            for file in {file for model in models for file in model.files}:
                (work / file.local_name).unlink(missing_ok=True)
    return [_verified(target, model) for model, target in targets.items()]


def _verified(target: Path, model: PublishedModel) -> Bundle[Any]:
    remedy, card = f"remove the folder {target}, then fetch it again", model.card
    try:
        bundle = load_any_bundle(target)
    except BundleError as err:
        raise err.as_kind(BundleError, remedy=remedy) from err
    if (bundle.card.name, bundle.card.version) != (card.name, card.version):
        raise BundleError(
            f"{target} holds {bundle.card.name} {bundle.card.version}",
            expected=f"{card.name} {card.version}",
            remedy=remedy,
        )
    return bundle
