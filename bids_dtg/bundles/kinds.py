"""The kinds of model, and the published models.

Both are rows of the workflow that uses the models (`bids_dtg.workflows.Workflow`). A row imports
its functions when they are called, so that listing names costs nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bids_dtg.workflows import all_workflows

if TYPE_CHECKING:
    from bids_dtg.bundles.bundle import Bundle
    from bids_dtg.bundles.card import ModelCard
    from bids_dtg.files.download import PinnedFile


class Check(NamedTuple):
    """One check of a model's self-check."""

    name: str  # what is checked, in a few words
    passed: bool | None  # None: it was skipped
    words: str  # what was found, or why it was skipped


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A row of the table: a kind of model."""

    name: str  # in cards and tables
    workflow: str  # the value of --workflow that uses such models
    predicts: str  # what its models predict, in words
    bundle: Callable[[], type[Bundle[Any]]]  # imports the class of its bundles

    @property
    def remedy(self) -> str:
        """The remedy in an error if such a model is given where another kind is needed."""
        return f"use it with --workflow {self.workflow}"


def all_kinds() -> Mapping[str, Kind]:
    """Return the kinds of all workflows, by name."""
    return {kind.name: kind for row in all_workflows() for kind in row.kinds()}


@dataclass(frozen=True)
class PublishedModel(ABC):
    """A model that can be fetched by name and becomes a bundle."""

    card: ModelCard[Any]  # of the bundle; the conversion adds facts from the files
    outputs: str  # what it predicts, with numbers, in a few words

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
    ) -> None:
        """Make the bundle in a folder from the fetched `files`; `note` is called with lines."""


def all_published() -> Mapping[str, PublishedModel]:
    """Return the published models of all workflows, by name."""
    models: dict[str, PublishedModel] = {}
    for row in all_workflows():
        models |= row.published()
    return models
