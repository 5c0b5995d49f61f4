"""The published models: their source files and cards, from `published.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from bids_dtg.bundles.card import JsonFields, ModelCard, TrainingData
from bids_dtg.bundles.store import PublishedModel
from bids_dtg.bundles.training_hashes import TrainingHashes
from bids_dtg.contrasts.bundle.kinds import ATTENTION_UNET
from bids_dtg.contrasts.bundle.part import MapsPart
from bids_dtg.files.download import PinnedFile
from bids_dtg.files.foreign import sha256_of_file
from bids_dtg.files.text import read_packaged

# Files and facts about all models.
_TABLE = tomllib.loads(read_packaged(__package__, "published.toml"))
SERIN: str = _TABLE["card"]["citation"]

# Hashes of training people's IDs, from lists that the authors published; made by
# `scripts/published_people.py`.
_PEOPLE = "published_people.json"
# IDs of a published dataset, with the suffixes that other studies add.
_IDS = {
    "HCP-YA": re.compile(r"(?:HCP)?(\d{6})(?:MR|V1MR)?", re.IGNORECASE),
    "HCP-D": re.compile(r"(HCD\d{7})(?:V1MR)?", re.IGNORECASE),
}
# Names of these datasets, reduced to letters and digits.
_NAMES = {
    "HCP-YA": ("hcpya", "hcpyoungadult", "hcp1200", "hcps1200", "hcp"),
    "HCP-D": ("hcpd", "hcpdevelopment", "hcplifespandevelopment"),
}


@dataclass(frozen=True, kw_only=True)
class PublishedMaps(PublishedModel):
    """A published model of contrast maps."""

    outputs: str = "47 contrasts"
    checkpoint: PinnedFile  # Lightning checkpoint
    maps: PinnedFile  # group-ICA maps, 4-D
    brain_mask: PinnedFile  # where the ROI series are computed
    mask: PinnedFile  # defines the grid
    # Datasets whose published lists name the people it was made with.
    data_sets: tuple[str, ...]
    unlisted: tuple[str, ...]  # further people it was made with, in words

    @classmethod
    def of(cls, name: str, facts: Mapping[str, Any]) -> PublishedMaps:
        """Make a model's row from its facts in the table."""
        card = ModelCard(
            name=name,
            kind=ATTENTION_UNET.name,
            part=MapsPart((), **facts["part"]),
            training=TrainingData(**facts["training"]),
            sources=_TABLE["sources"] | facts.get("sources", {}),
            **_TABLE["card"],
            **facts["card"],
        )
        pinned = _TABLE["files"] | {"checkpoint": facts["checkpoint"]}
        files: dict[str, Any] = {
            part: PinnedFile(
                f"{file['repository']}/{file['commit']}/{file['path']}",
                f"git:{file['blob_id']}",
                file.get("size"),
            )
            for part, file in pinned.items()
        }
        return cls(
            card=card,
            **files,
            data_sets=tuple(facts["data_sets"]),
            unlisted=tuple(facts["unlisted"]),
        )

    @property
    def files(self) -> tuple[PinnedFile, ...]:
        """All source files of the bundle, small ones first."""
        return (self.brain_mask, self.mask, self.checkpoint, self.maps)

    @property
    def people(self) -> TrainingHashes:
        """The people that it was made with, as published."""
        seen = TrainingHashes({}, self.unlisted)
        for name in self.data_sets:
            seen = seen.joined(_lists()[name])
        return seen

    def convert(
        self,
        files: Mapping[PinnedFile, Path],
        folder: Path,
        note: Callable[[str], None],
    ) -> None:
        """Make the bundle from the fetched files."""
        from bids_dtg.contrasts.bundle.convert import convert_checkpoint

        note(f"converting {self.checkpoint.name}")
        record = {"published_files": [_entry(file, files[file]) for file in self.files]}
        card = replace(self.card, record=record)
        convert_checkpoint(
            files[self.checkpoint],
            folder,
            card,
            maps=files[self.maps],
            brain_mask=files[self.brain_mask],
            mask=files[self.mask],
            people=self.people,
        )


def _entry(file: PinnedFile, path: Path) -> dict[str, Any]:
    """Return the card's record of an input file."""
    algorithm, _, digest = file.digest.partition(":")
    return {
        "location": file.location,
        "algorithm": algorithm,
        "digest": digest,
        "sha256": sha256_of_file(path),
        "size": path.stat().st_size,
    }


PUBLISHED: Mapping[str, PublishedMaps] = {
    name: PublishedMaps.of(name, facts) for name, facts in _TABLE["models"].items()
}


def canonical_name(data_set: str) -> str | None:
    """Return the usual name of a published dataset; None: it is not one of them.

    Examples
    --------
    >>> canonical_name("HCP Young Adult"), canonical_name("My study")
    ('HCP-YA', None)
    """
    plain = "".join(letter for letter in data_set.casefold() if letter.isalnum())
    return next(
        (name for name, spellings in _NAMES.items() if plain in spellings), None
    )


def published_id(data_set: str, label: str) -> str | None:
    """Return the ID of a label in a published dataset; None: it has another form.

    Examples
    --------
    >>> published_id("HCP-D", "HCD0000000V1MR"), published_id("HCP-YA", "01")
    ('HCD0000000', None)
    """
    match = _IDS[data_set].fullmatch(label)
    return match and match[1].upper()


def published_names(label: str) -> tuple[str, ...]:
    """Return the published datasets whose IDs have the form of a label."""
    return tuple(name for name in _IDS if published_id(name, label))


@cache
def _lists() -> dict[str, TrainingHashes]:
    text = read_packaged("bids_dtg.contrasts.bundle", _PEOPLE)
    fields = JsonFields.parse(text, _PEOPLE)
    return {name: TrainingHashes.of(fields.nested(name)) for name in fields.items()}
