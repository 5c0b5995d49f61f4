"""The kinds of model, and the published models: what is known of any, and the look-up of all.

Both are rows of the workflow that uses the models (`bids_dtg.workflows.Workflow`). A row imports
what it names when it is called, not before: names and words cost nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from bids_dtg.workflows import all_workflows

if TYPE_CHECKING:
    from bids_dtg.bundles.bundle import Bundle
    from bids_dtg.bundles.card import CardPart, ModelCard
    from bids_dtg.files.download import PinnedFile


class Check(NamedTuple):
    """One thing that the self-check of a model looked at."""

    name: str  # what, in a few words
    passed: bool | None  # None: it cannot be looked at here
    words: str  # what was found, or why nothing was


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A row: what is known of any kind of model."""

    name: str  # in cards and tables
    workflow: str  # a value of --workflow: which uses such models
    predicts: str  # what its models predict, in words
    part: Callable[[], type[CardPart]]  # its own part of the card
    load: Callable[[Path], Bundle[Any]]  # finds, verifies and loads the bundle in a folder
    # What ``dtg-models info`` says of its bundles alone: names of facts, and texts.
    facts: Callable[[Any], list[tuple[str, str]]]
    tables: Callable[[Any], list[str]] = lambda bundle: []  # lines that it adds, as scores
    # Puts a simulated input through a model and judges what comes out; no checks: there is none.
    selftest: Callable[[Any], list[Check]] = lambda bundle: []

    @property
    def remedy(self) -> str:
        """What to do with such a model where another kind was wanted."""
        return f"use it with --workflow {self.workflow}"


def all_kinds() -> Mapping[str, Kind]:
    """Return the rows of all workflows by their names."""
    return {kind.name: kind for row in all_workflows() for kind in row.kinds()}


@dataclass(frozen=True)
class PublishedModel(ABC):
    """A model that can be fetched by name and becomes a bundle."""

    card: ModelCard[Any]  # of the bundle; the conversion fills in what it finds in the files
    outputs: str  # what it predicts, counted, in a few words
    packages: ClassVar[tuple[str, ...]] = ()  # of the extra torch that `convert` needs

    @property
    @abstractmethod
    def files(self) -> tuple[PinnedFile, ...]:
        """All files that the bundle is made from, small ones first."""

    @abstractmethod
    def convert(
        self,
        files: Mapping[PinnedFile, Path],
        folder: Path,
        note: Callable[[str], None],
    ) -> Bundle[Any]:
        """Make the bundle in a folder from `files` as they were fetched; `note` takes lines."""


def all_published() -> Mapping[str, PublishedModel]:
    """Return the published models of all workflows by their names."""
    return {name: model for row in all_workflows() for name, model in row.published().items()}
