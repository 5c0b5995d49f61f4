"""Bundles of any kind: folders that hold a model and everything that its use needs.

A bundle is verified when it is loaded. It gets its final name only once it has been written or
fetched completely.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self

import numpy as np
from numpy.typing import ArrayLike

from bids_dtg.array_types import Values
from bids_dtg.bundles.card import CARD_FILE, WEIGHTS_FILE, ModelCard, Part
from bids_dtg.bundles.kinds import Check, all_kinds
from bids_dtg.bundles.store import (
    find_bundle,
    read_card,
    read_verified_card,
    verify_file,
)
from bids_dtg.bundles.training_hashes import PEOPLE_FILE, TrainingHashes
from bids_dtg.errors import BundleError
from bids_dtg.files.atomic import output_error, temporary_name
from bids_dtg.files.tensors import TensorFile, encode_arrays
from bids_dtg.files.text import encoded


@dataclass(frozen=True, eq=False, kw_only=True)
class Bundle(Generic[Part]):
    """A verified model of any kind; its weights are read on demand."""

    PART: ClassVar[type[Any]]  # class of the card's part
    # The remedy where a model has values that are not finite.
    REMEDY: ClassVar[str] = "train with a lower learning rate"

    path: Path  # the folder
    card: ModelCard[Part]  # the model card
    identity: str  # SHA-256 of model.json, which holds the hash of every other file
    # People used to make the model, by name and rest; None: unknown.
    people: TrainingHashes | None = None

    @classmethod
    def load(cls, name_or_path: str | Path) -> Self:
        """Find, verify and load a bundle, without PyTorch.

        Parameters
        ----------
        name_or_path
            As for `find_bundle`.

        Raises
        ------
        BundleError
            There is no such bundle, it is of another kind, a file is missing, damaged or not the
            one that the card lists (SHA-256), or files and card do not belong together.
        TypeError
            It is neither text nor a path, such as a loaded bundle.
        """
        folder = find_bundle(name_or_path)
        card, identity = read_verified_card(folder, cls.PART)
        further = cls.read_files(folder, card)
        people = None
        if PEOPLE_FILE in card.files:
            people = TrainingHashes.read(folder / PEOPLE_FILE)
        return cls(path=folder, card=card, identity=identity, people=people, **further)

    @classmethod
    def read_files(cls, folder: Path, card: ModelCard[Any]) -> dict[str, Any]:
        """Return the kind's further fields, from its files."""
        return {}

    @classmethod
    def write(
        cls,
        folder: str | Path,
        card: ModelCard[Any],
        weights: Mapping[str, ArrayLike],
        files: Mapping[str, bytes],
        people: TrainingHashes | None = None,
    ) -> Self:
        """Write a bundle, and load it back from where it was written.

        All files are written into a hidden folder beside `folder`, loaded once as a check, and
        renamed. The same input gives the same bytes.

        Parameters
        ----------
        folder
            Where the bundle goes. If it already holds the same bundle, nothing is done. Bundles
            that differ only in their scores (`evaluation`) count as the same, as recomputed scores
            may be rounded differently.
        card
            The model card; `files` is filled in here.
        weights
            Tensors of the model by name, arrays or PyTorch's on the CPU.
        files
            Content of the kind's further files, by name.
        people
            People used to make the model; None: the bundle has no list of them.

        Raises
        ------
        BundleError
            The folder holds something else, the files are not a complete bundle, or a value is not
            finite.
        OutputError
            The folder cannot be written.
        """
        require_finite(weights, cls.REMEDY)
        folder = Path(folder)
        files = {WEIGHTS_FILE: encode_arrays(weights), **files}
        if people is not None:
            files[PEOPLE_FILE] = people.encode()
        hashes = {
            name: hashlib.sha256(data).hexdigest() for name, data in files.items()
        }
        card = replace(card, files=hashes)
        hidden = folder.parent / temporary_name()
        try:
            is_file = folder.is_symlink() or folder.is_file()
            if is_file or (folder.is_dir() and any(folder.iterdir())):
                return cls._load_same(folder, card)
            hidden.mkdir(parents=True)
            for name, data in {**files, CARD_FILE: encoded(card.to_json())}.items():
                (hidden / name).write_bytes(data)
            bundle = cls.load(hidden)
            move_folder(hidden, folder)
            return replace(bundle, path=folder)
        except BundleError as err:
            fault = err.found.replace(str(hidden), str(folder))
            raise BundleError(fault, expected=err.expected, remedy=err.remedy) from err
        except OSError as err:
            raise output_error(folder, err) from err
        finally:
            # After the move there is nothing to remove; after any failure, even Ctrl-C, it is
            # removed.
            shutil.rmtree(hidden, ignore_errors=True)

    @classmethod
    def _load_same(cls, folder: Path, card: ModelCard[Any]) -> Self:
        """Load the bundle in a folder; refuse it if it is not the one to be written."""
        with suppress(BundleError):
            bundle = cls.load(folder)
            unscored = replace(card, evaluation=None)
            if replace(bundle.card, evaluation=None).to_json() == unscored.to_json():
                return bundle
        raise BundleError(
            f"{folder} exists and is not this bundle",
            expected="a folder that does not exist yet, or the same bundle, complete",
            remedy="choose another folder, or remove it",
        )

    @property
    def part(self) -> Part:
        """The part of the card for models of this kind."""
        return self.card.part

    @property
    def name(self) -> str:
        """The model's name."""
        return self.card.name

    @property
    def title(self) -> str:
        """The model's name and version."""
        return self.card.title

    @property
    def record(self) -> str:
        """Name, version and digest, as records of results hold them."""
        return f"{self.title} {self.identity}"

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
        """Read all weights, without PyTorch.

        Raises
        ------
        BundleError
            They have changed since the bundle was loaded, are damaged, or do not fit the card.
        """

    def facts(self) -> Iterable[tuple[str, str]]:
        """Return names and texts of the kind's facts, for ``dtg-models info``."""
        return ()

    def tables(self) -> list[str]:
        """Return further lines for it, such as scores."""
        return []

    def selftest(self) -> list[Check]:
        """Run the model on simulated input and check its output; an empty list: no self-check."""
        return []


def load_any_bundle(name_or_path: str | Path) -> Bundle[Any]:
    """Find, verify and load a bundle of any kind, as `Bundle.load` does."""
    folder = find_bundle(name_or_path)
    return all_kinds()[read_card(folder)[0].kind].bundle().load(folder)


def move_folder(folder: Path, target: Path) -> None:
    """Give a complete bundle's folder its final name, on the same disk.

    Raises
    ------
    OutputError
        Something else has that name, or it cannot be written.
    """
    try:
        folder.rename(target)
    except OSError as err:
        raise output_error(target, err) from err


def read_tensors(
    path: Path,
    expected: Mapping[str, tuple[str, tuple[int, ...]]],
    mapped: Sequence[str] = (),
) -> dict[str, Values]:
    """Read a file of tensors, which must have exactly the expected names, types and shapes.

    Those in `mapped` are mapped from the file.

    Raises
    ------
    BundleError
        The file is damaged or has other tensors, or a value is not finite.
    """
    tensors = TensorFile(path).read(mapped)
    actual = {name: (str(array.dtype), array.shape) for name, array in tensors.items()}
    for name in sorted(actual.keys() | expected.keys()):
        if actual.get(name) != expected.get(name):
            raise TensorFile(path).error(
                f": {name} is {actual.get(name, 'missing')}",
                expected=f"{expected.get(name, 'no such tensor')}",
            )
    return tensors


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
