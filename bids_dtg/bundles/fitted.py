"""Bundles of models that were fitted to people's regions: what all of these share.

Such a bundle has what the model needs and says who was in its training set, as hashes
(`bids_dtg.bundles.people`), by which those who have the data find them again. It names nobody. A
hash does not hide a short id from whoever tries all ids.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import (
    Bundle,
    read_tensors,
    read_verified_card,
    require_finite,
    write_files,
)
from bids_dtg.bundles.card import (
    WEIGHTS_FILE,
    CardPart,
    ModelCard,
    TrainingData,
    without_times,
)
from bids_dtg.bundles.people import PEOPLE_FILE, ModelPeople, hash_family, hash_person
from bids_dtg.bundles.store import find_bundle
from bids_dtg.errors import BundleError
from bids_dtg.files.foreign import reading
from bids_dtg.files.tensors import TensorFile, encode_arrays
from bids_dtg.inputs.participants import Families
from bids_dtg.notices import counted, named

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

FITTED_FILE = "fitted.safetensors"  # names of regions, and the training set
REGIONS = "regions"  # its tensor of the regions' names
Shapes = Mapping[str, tuple[int, ...]]
Sketches = Mapping[str, Collection[str]]  # of people's data, by label
NO_SKETCHES: Sketches = MappingProxyType({})

_PEOPLE = "people"  # its tensor of hashes
_HASH_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class FittedPart(CardPart):
    """The part of a card that such models have, beside what their kind says."""

    people: int  # how many it was fitted to
    recipe_name: str = "default"  # what --recipe named; fields of the recipe may have been changed
    data_set: str = ""  # its name, which people are hashed with; empty: it has none
    atlas: str = ""  # key of the atlas whose parcels the regions are; empty: not known
    atlas_digest: str = ""  # SHA-256 of its parcels, as `Atlas.digest`; empty: not known

    @property
    @abstractmethod
    def shapes(self) -> Shapes:
        """Shapes of the model's tensors by name, known without a model."""

    @property
    def required_files(self) -> tuple[str, ...]:
        """Names of the files that a bundle must have, beside the weights."""
        return (FITTED_FILE,)


FittedTo = TypeVar("FittedTo", bound=FittedPart)
Made = TypeVar("Made", bound="FittedBundle[Any]")


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedBundle(Bundle[FittedTo]):
    """A verified model of people's regions: what it was fitted to; the model itself on demand."""

    PART: ClassVar[type[FittedPart]]  # the part of its card

    regions: tuple[str, ...]  # names; (): not known
    fitted_people: tuple[str, ...]  # hashes
    people: ModelPeople | None = None  # the same people by name and rest; None: not known

    @property
    def part(self) -> FittedTo:
        """What the card says of models of this kind alone."""
        return self.card.part

    @classmethod
    def load(cls: type[Made], name_or_path: str | Path) -> Made:
        """Find, verify and load a bundle, without torch.

        Parameters
        ----------
        name_or_path
            Name of an installed bundle (`bids_dtg.bundles.store`), or its folder.

        Raises
        ------
        BundleError
            If there is no such bundle, it is of another kind, a file is missing, damaged or not the
            one that the card lists (SHA-256), or names, people and weights do not fit the card.
        """
        folder = find_bundle(name_or_path)
        card, identity = read_verified_card(folder, cls.PART)
        with reading(folder / FITTED_FILE, BundleError):
            people, names, arrays = read_fitted(folder / FITTED_FILE)
            more = cls.of_fitted(names, arrays, card.part)
        regions = names.get(REGIONS, ())
        for name, listed in (("people", people), ("regions", regions)):
            if listed and len(listed) != (number := getattr(card.part, name)):
                raise BundleError(
                    f"{folder / FITTED_FILE} lists {len(listed)} {name}",
                    expected=f"{number}, as the card says",
                    remedy="fetch or make the bundle again",
                )
        return cls(
            path=folder,
            card=card,
            identity=identity,
            regions=regions,
            fitted_people=people,
            people=ModelPeople.read(folder / PEOPLE_FILE) if PEOPLE_FILE in card.files else None,
            **more,
        )

    @classmethod
    def of_fitted(
        cls,
        names: Mapping[str, tuple[str, ...]],
        arrays: Mapping[str, NDArray[Any]],
        part: FittedTo,
    ) -> dict[str, Any]:
        """Return the further fields of a bundle of the kind, of what `read_fitted` returns."""
        return {}

    @property
    def by_content(self) -> bool:
        """Whether all people are known by sketches of their data, whatever their labels."""
        return self.people is not None and self.people.by_content

    @property
    def how_known(self) -> str:
        """How the people are known, in words."""
        if self.people is None:
            return f"unknown but for hashes of their ids: there is no {PEOPLE_FILE}"
        return "as hashes"

    def hashes(
        self,
        labels: Sequence[str],
        data_set: str | None = None,
        sketches: Sketches = NO_SKETCHES,
    ) -> list[str]:
        """Return the hashes that these people have if they were in the training set.

        The data set and the label decide first, and then the data. Where the data set has no name,
        the label alone decides: somebody of another data set who is called the same is taken for
        the same person.

        Parameters
        ----------
        labels
            Labels of the people of a call.
        data_set
            Name of the data set that they are from; None: that of the model.
        sketches
            Of the data of these people, where they are known.
        """
        name, known = self.part.data_set if data_set is None else data_set, set(self.fitted_people)
        found = []
        for label in labels:
            own = hash_person(name, label)
            if own not in known and self.people is not None:
                alike = self.people.persons_alike([*sketches.get(label, ())])
                own = next((person for person in alike if person in known), own)
            found.append(own)
        return found

    def in_training_set(
        self,
        labels: Sequence[str],
        data_set: str | None = None,
        sketches: Sketches = NO_SKETCHES,
    ) -> tuple[str, ...]:
        """Return the labels that were in the training set, parameters as for `hashes`.

        Evaluations leave them out.
        """
        known, hashes = set(self.fitted_people), self.hashes(labels, data_set, sketches)
        return tuple(label for label, own in zip(labels, hashes, strict=True) if own in known)

    def relatives(
        self, labels: Sequence[str], data_set: str, table: Mapping[str, str], families: Families
    ) -> tuple[str, ...]:
        """Return the labels of people of whose families somebody was in the training set.

        Parameters
        ----------
        labels, data_set
            Labels of people, and the name of their data set.
        table
            Names of families by label, where known, as a bundle keeps them.
        families
            The same, where copies of a person are one family.
        """
        known = self.people or ModelPeople({})
        found = families.relatives(
            label
            for label in labels
            if known.find([hash_family(data_set, table.get(label, ""))])[1]
        )
        return tuple(label for label in labels if label in found)

    def note_on(self, label: str, data_set: str, sketches: Collection[str]) -> str:
        """Return a sentence if a person is in the training set; else nothing."""
        if not self.in_training_set([label], data_set, {label: sketches}):
            return ""
        return f"{self.card.name} was fitted to this participant: its fit does not test the model"

    def require_regions(
        self, regions: Sequence[str], *, atlas: str = "", atlas_digest: str = ""
    ) -> None:
        """Refuse data of other regions than the model's.

        Parameters
        ----------
        regions
            Names, in order. They are compared where the model knows its own, else their number is.
        atlas, atlas_digest
            Key and digest of the atlas whose parcels they are; empty: not known. They are compared
            where the model knows its own: equal names may be of other parcels.

        Raises
        ------
        BundleError
            Number, names, order or parcels differ.
        """
        part, name = self.part, self.card.name
        if not self.fits(regions):
            own = f" ({named(self.regions)})" if self.regions else ""
            raise BundleError(
                f"there are {counted(len(regions), 'region')} ({named(regions)}) and the model "
                f"{name} was fitted to {self.fitted_to}{own}",
                expected="the same regions in the same order",
                remedy=f"choose its atlas {part.atlas} with --atlases"
                if part.atlas
                else "give data of these regions, and in arrays their names under the key places",
            )
        if part.atlas_digest and atlas_digest and part.atlas_digest != atlas_digest:
            raise BundleError(
                f"the parcels of {atlas or 'the atlas'} are not those of {part.atlas} that the "
                f"model {name} was fitted to, though their names are",
                expected="the same label image on the same grid",
                remedy="choose the file that the model was fitted with, with --atlases",
            )

    def fits(self, regions: Sequence[str]) -> bool:
        """Return whether data of these regions fit the model, which may not know its own."""
        return tuple(regions) == self.regions

    @property
    def fitted_to(self) -> str:
        """What it reads of a person, counted, in words."""
        return counted(len(self.regions), "region")

    def check_weights(self) -> None:
        """Read all of the weights, without torch.

        Raises
        ------
        BundleError
            If they have changed since the bundle was loaded, are damaged, or do not fit the card.
        """
        self.tensors()

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Read the weights; shapes are compared with the card's before anything else is.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        expected = {name: ("float32", shape) for name, shape in self.part.shapes.items()}
        return read_tensors(self.weights().path, expected)

    def state(self) -> dict[str, Tensor]:
        """Read the weights as tensors of torch, which this imports.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        import torch

        return {name: torch.from_numpy(array) for name, array in self.tensors().items()}


def fitted_card(
    kind: str,
    part: type[FittedTo],
    fit: Mapping[str, Any],
    facts: Mapping[str, Any],
    record: Mapping[str, Any],
) -> ModelCard[FittedTo]:
    """Return the card of a fitted model, without the files.

    Parameters
    ----------
    kind, part
        Name of the model's kind, and class of its part of the card.
    fit
        Fields of the part that the fit knows.
    facts
        What the fit does not know: further fields of the part and of the card, and `cleaning` of
        the runs, in words.
    record
        Record of how the model was fitted.
    """
    names = {own.name for own in fields(part)}
    of_part = part(**fit, **{name: fact for name, fact in facts.items() if name in names})
    return ModelCard(
        version="1",
        kind=kind,
        part=of_part,
        training=TrainingData(
            data=of_part.data_set or "unknown",
            repetition_time_s=getattr(of_part, "tr_seconds", None),
            cleaning=facts.get("cleaning", "unknown"),
            participants=of_part.people,
        ),
        record=without_times(record),
        **{name: fact for name, fact in facts.items() if name not in names | {"cleaning"}},
    )


def encode_fitted(
    people: Sequence[str], names: Mapping[str, Sequence[str]], arrays: Mapping[str, NDArray[Any]]
) -> bytes:
    """Make the bytes of a file of what a model was fitted to; equal content gives equal bytes.

    Parameters
    ----------
    people
        Hashes.
    names
        Lists of names, as of regions, by their tensor.
    arrays
        What else, by name.

    Raises
    ------
    BundleError
        Somebody is in it twice, or a region's name is one that a list cannot hold.
    """
    if len(set(people)) < len(people):
        raise BundleError("the model was not written: it was fitted to somebody twice")
    for listed in names.values():
        for name, number in Counter(listed).items():
            if number > 1 or not name.strip() or not name.isprintable():
                raise BundleError(
                    f"a region is called {name!r}",
                    expected="names of visible characters, each of one region",
                )
    letters = {own: np.frombuffer("\n".join(names[own]).encode(), np.uint8) for own in names}
    rows = np.frombuffer(bytes.fromhex("".join(people)), np.uint8).reshape(-1, _HASH_BYTES)
    return encode_arrays({_PEOPLE: rows, **letters, **arrays})


def read_fitted(
    path: Path,
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]], dict[str, NDArray[Any]]]:
    """Return people, names and arrays of a file as `encode_fitted` makes it.

    Lists of names are its bytes along one axis.

    Raises
    ------
    BundleError
        If the file is damaged.
    """
    arrays = TensorFile(path).read()
    people = tuple(row.tobytes().hex() for row in arrays.pop(_PEOPLE))
    letters = [own for own, array in arrays.items() if array.dtype == np.uint8 and array.ndim == 1]
    names = {own: tuple(arrays.pop(own).tobytes().decode().split("\n")) for own in letters}
    return people, names, arrays


def state_arrays(model: Module) -> dict[str, NDArray[Any]]:
    """Return the tensors of a model of torch, for `write_fitted`."""
    return {name: tensor.numpy() for name, tensor in model.cpu().state_dict().items()}


def write_fitted(
    folder: str | Path,
    card: ModelCard[Any],
    weights: Mapping[str, NDArray[Any]],
    fitted: bytes,
    people: ModelPeople | None,
    load: Callable[[Path], Made],
) -> Made:
    """Write the bundle of a fitted model, and load it back from where it was written.

    All is written into a hidden folder beside `folder`, loaded once as a check, and renamed. The
    same input gives the same bytes.

    Parameters
    ----------
    folder
        Where the bundle goes. If the same bundle is there already, nothing is done.
    card
        What the model says about itself; `files` is filled in here.
    weights
        Tensors of the model by name, as of `state_arrays`.
    fitted
        What it was fitted to, as of `encode_fitted`.
    people
        The same people by name and rest; None: the bundle does not know them.
    load
        What loads a bundle of this kind.

    Raises
    ------
    BundleError
        If something else is at `folder`, the parts do not belong together, or a value is not
        finite.
    OutputError
        If the folder cannot be written.
    """
    require_finite(weights, remedy="train with a lower learning rate")
    files = {WEIGHTS_FILE: encode_arrays(weights), FITTED_FILE: fitted}
    if people is not None:
        files[PEOPLE_FILE] = people.encode()
    return write_files(Path(folder), card, files, load)
