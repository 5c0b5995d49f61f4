"""What bundles of models that were fitted to people's regions share.

Such a bundle lists its training set as hashes (`bids_dtg.bundles.training_hashes`), with which
anybody who has the data can recognise the people. It names nobody, but a hash does not hide a short
id from someone who tries all ids.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from bids_dtg.array_types import Float32, Values
from bids_dtg.bundles.bundle import (
    Bundle,
    read_tensors,
)
from bids_dtg.bundles.card import (
    CARD_FILE,
    CardPart,
    ModelCard,
    TrainingData,
    without_times,
)
from bids_dtg.bundles.training_hashes import (
    PEOPLE_FILE,
    TrainingHashes,
    hash_family,
    hash_person,
)
from bids_dtg.errors import MAKE_BUNDLE_AGAIN, BundleError
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
NO_ARRAYS: Mapping[str, Values] = MappingProxyType({})

_PEOPLE = "people"  # its tensor of hashes
_HASH_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class FittedPart(CardPart):
    """The part of a card that all such models have, besides that of their kind."""

    people: int  # how many it was fitted to
    # Value of --recipe; fields of the recipe may have been changed.
    recipe_name: str = "default"
    # Name of the dataset, with which people are hashed; empty: it has none.
    data_set: str = ""
    atlas: str = ""  # key of the atlas whose parcels the regions are; empty: unknown
    atlas_digest: str = ""  # SHA-256 of its parcels, as `Atlas.digest`; empty: unknown

    @property
    @abstractmethod
    def shapes(self) -> Shapes:
        """Shapes of the model's tensors by name, from the card alone."""

    def hashes(self, labels: Sequence[str]) -> list[str]:
        """Return the hashes of people of the dataset."""
        return [hash_person(self.data_set, label) for label in labels]

    def required_files(self, listed: Collection[str]) -> tuple[str, ...]:
        """Return the files that a bundle must have besides the weights."""
        return (FITTED_FILE,)


FittedTo = TypeVar("FittedTo", bound=FittedPart)


@dataclass(frozen=True, eq=False, kw_only=True)
class FittedBundle(Bundle[FittedTo]):
    """A verified model of people's regions."""

    # Lists of names that must be in `FITTED_FILE` where the card's field of this name is not 0.
    LISTS: ClassVar[tuple[str, ...]] = (REGIONS,)

    regions: tuple[str, ...]  # names; empty: unknown
    fitted_people: tuple[str, ...]  # hashes of the training set

    @classmethod
    def read_files(cls, folder: Path, card: ModelCard[Any]) -> dict[str, Any]:
        """Return regions, people and the kind's further fields, from `FITTED_FILE`."""
        path = folder / FITTED_FILE
        with reading(path, BundleError):
            arrays = TensorFile(path).read()
            people = tuple(row.tobytes().hex() for row in arrays.pop(_PEOPLE))
            names = {}
            for tensor, array in list(arrays.items()):
                # One-dimensional arrays of bytes are lists of names.
                if array.dtype == np.uint8 and array.ndim == 1:
                    del arrays[tensor]
                    names[tensor] = tuple(array.tobytes().decode().split("\n"))
            regions = names.get(REGIONS, ())
            further = cls.of_fitted(names, arrays, card.part)
            _require_lengths(path, {**dict.fromkeys(cls.LISTS, ()), **names}, card.part)
        return {"regions": regions, "fitted_people": people, **further}

    @classmethod
    def of_fitted(
        cls,
        names: Mapping[str, tuple[str, ...]],
        arrays: Mapping[str, Values],
        part: FittedTo,
    ) -> dict[str, Any]:
        """Return the kind's further fields, from what `encode_fitted` was given."""
        return {}

    @property
    def by_content(self) -> bool:
        """Whether all people can be recognised by their data, regardless of their labels."""
        return self.people is not None and self.people.by_content

    @property
    def how_known(self) -> str:
        """How the people can be recognised, in words."""
        if self.people is None:
            return f"known only as hashes of their ids, as there is no {PEOPLE_FILE}"
        return "as hashes"

    def hashes(
        self,
        labels: Sequence[str],
        data_set: str | None = None,
        sketches: Sketches = NO_SKETCHES,
    ) -> list[str]:
        """Return the hashes that these people have if they were in the training set.

        People are recognised by dataset and label, and otherwise by their data. If the dataset has
        no name, the label alone counts, and somebody with the same label in another dataset is
        taken for the same person.

        Parameters
        ----------
        labels
            Labels of the people.
        data_set
            Name of their dataset; None: that of the model.
        sketches
            Sketches of their data, where known.
        """
        data_set_name = self.part.data_set if data_set is None else data_set
        training_set = set(self.fitted_people)
        hashes = []
        for label in labels:
            digest = hash_person(data_set_name, label)
            if digest not in training_set and self.people is not None:
                same_data = self.people.persons_alike([*sketches.get(label, ())])
                trained = [person for person in same_data if person in training_set]
                digest = trained[0] if trained else digest
            hashes.append(digest)
        return hashes

    def in_training_set(
        self,
        labels: Sequence[str],
        data_set: str | None = None,
        sketches: Sketches = NO_SKETCHES,
    ) -> tuple[str, ...]:
        """Return the labels that were in the training set, which evaluations leave out.

        Parameters are those of `hashes`.
        """
        training_set = set(self.fitted_people)
        hashes = self.hashes(labels, data_set, sketches)
        return tuple(
            label
            for label, digest in zip(labels, hashes, strict=True)
            if digest in training_set
        )

    def relatives(
        self,
        labels: Sequence[str],
        data_set: str,
        table: Mapping[str, str],
        families: Families,
    ) -> tuple[str, ...]:
        """Return the labels of people with a relative in the training set.

        Parameters
        ----------
        labels, data_set
            Labels of people, and the name of their dataset.
        table
            Names of families by label, where known, as a bundle keeps them.
        families
            The same, with copies of a person as one family.
        """
        training_people = self.people or TrainingHashes({})
        trained_labels = []
        for label in labels:
            family = hash_family(data_set, table.get(label, ""))
            _, sets_with_relatives = training_people.find([family])
            if sets_with_relatives:
                trained_labels.append(label)
        relatives = families.relatives(trained_labels)
        return tuple(label for label in labels if label in relatives)

    def note_on(self, label: str, data_set: str, sketches: Collection[str]) -> str:
        """Return a sentence if a person is in the training set, else an empty text."""
        if not self.in_training_set([label], data_set, {label: sketches}):
            return ""
        model = self.name
        return f"{model} was fitted to this participant, so its fit does not test the model"

    def require_regions(
        self, regions: Sequence[str], *, atlas: str = "", atlas_digest: str = ""
    ) -> None:
        """Refuse data of other regions than the model's.

        Parameters
        ----------
        regions
            Names, in order. If the model has no names of regions, numbers are compared.
        atlas, atlas_digest
            Key and digest of the atlas of these regions; empty: unknown. They are compared if the
            model has some, as different parcels may have equal names.

        Raises
        ------
        BundleError
            Number, names, order or parcels differ.
        """
        part = self.part
        name = self.name
        if not self.fits(regions):
            names = f" ({named(self.regions)})" if self.regions else ""
            remedy = "give data of these regions, and in arrays their names under the key places"
            if part.atlas and atlas:
                remedy = f"choose its atlas {part.atlas} with --atlases"
            raise BundleError(
                f"there are {counted(regions, 'region')} ({named(regions)}) and the model "
                f"{name} was fitted to {self.fitted_to}{names}",
                expected="the same regions in the same order",
                remedy=remedy,
            )
        if part.atlas_digest and atlas_digest and part.atlas_digest != atlas_digest:
            raise BundleError(
                f"the parcels of {atlas or 'the atlas'} have the same names as those of "
                f"{part.atlas}, which the model {name} was fitted to, but other voxels",
                expected="the same label image on the same grid",
                remedy="give the image that the model was fitted with, with --atlases",
            )

    def fits(self, regions: Sequence[str]) -> bool:
        """Return whether the model can use data of these regions."""
        return tuple(regions) == self.regions

    @property
    def fitted_to(self) -> str:
        """The number of regions that it was fitted to, in words."""
        return counted(self.regions, "region")

    def check_weights(self) -> None:
        """Read all weights, as for any bundle; names, types and shapes must be the card's."""
        self.tensors()

    def tensors(self) -> dict[str, Float32]:
        """Read the weights; names, types and shapes must be those of the card.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        expected = {
            name: ("float32", shape) for name, shape in self.part.shapes.items()
        }
        return read_tensors(self.weights().path, expected)

    def state(self) -> dict[str, Tensor]:
        """Read the weights as PyTorch tensors.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        import torch

        return {name: torch.from_numpy(array) for name, array in self.tensors().items()}


def _require_lengths(
    path: Path, names: Mapping[str, Sequence[str]], part: FittedPart
) -> None:
    """Refuse lists of names that are not as long as the card's fields of their names state."""
    for tensor, listed in names.items():
        stated = vars(part).get(tensor, len(listed))
        if len(listed) != stated:
            raise BundleError(
                f"{path} names {len(listed)} {tensor}",
                expected=f"{stated}, as {CARD_FILE} states",
                remedy=MAKE_BUNDLE_AGAIN,
            )


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
        Fields of the part that come from the fit.
    facts
        Further fields of the part and of the card, and `cleaning` of the runs, in words.
    record
        Record of how the model was fitted.
    """
    names = {field.name for field in fields(part)}
    facts_of_part = {name: fact for name, fact in facts.items() if name in names}
    facts_of_card = {
        name: fact
        for name, fact in facts.items()
        if name not in names and name != "cleaning"
    }
    card_part = part(**fit, **facts_of_part)
    return ModelCard(
        version="1",
        kind=kind,
        part=card_part,
        training=TrainingData(
            data=card_part.data_set or "unknown",
            repetition_time_s=getattr(card_part, "tr_seconds", None),
            cleaning=facts.get("cleaning", "unknown"),
            participants=card_part.people,
        ),
        record=without_times(record),
        for_science=not facts.get("notice"),
        **facts_of_card,
    )


def encode_fitted(
    people: Sequence[str],
    names: Mapping[str, Sequence[str]],
    arrays: Mapping[str, Values] = NO_ARRAYS,
) -> dict[str, bytes]:
    """Return `FITTED_FILE` and its content; equal content gives equal bytes.

    Parameters
    ----------
    people
        Hashes of the training set.
    names
        Lists of names, e.g. of regions, by tensor.
    arrays
        Further arrays, by name.
    """
    letters = {
        tensor: np.frombuffer("\n".join(words).encode(), np.uint8)
        for tensor, words in names.items()
    }
    hashes = np.frombuffer(bytes.fromhex("".join(people)), np.uint8)
    hashes = hashes.reshape(-1, _HASH_BYTES)
    return {FITTED_FILE: encode_arrays({_PEOPLE: hashes, **letters, **arrays})}


def state_arrays(model: Module) -> dict[str, Values]:
    """Return the tensors of a PyTorch model, as arrays."""
    return {name: tensor.numpy() for name, tensor in model.cpu().state_dict().items()}
