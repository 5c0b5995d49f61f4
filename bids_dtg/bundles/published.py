"""Published models: what is known of any that can be fetched by name, and the look-up of all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from bids_dtg.workflows import all_workflows

if TYPE_CHECKING:
    from bids_dtg.bundles.bundle import Bundle
    from bids_dtg.bundles.card import ModelCard
    from bids_dtg.files.download import FetchedFile, PinnedFile

Made = TypeVar("Made", bound="Bundle[Any]")


@dataclass(frozen=True)
class PublishedModel(ABC, Generic[Made]):
    """A model that can be fetched by name and becomes a bundle."""

    card: ModelCard[Any]  # of the bundle; the conversion fills in what it finds in the files
    outputs: str  # what it predicts, counted, in a few words
    packages: ClassVar[tuple[str, ...]] = ()  # of the extra torch that `convert` needs

    @property
    def name(self) -> str:
        """Name of the bundle and of its folder."""
        return self.card.name

    @property
    def version(self) -> str:
        """The publication's version."""
        return self.card.version

    @property
    @abstractmethod
    def files(self) -> tuple[PinnedFile, ...]:
        """All files that the bundle is made from, small ones first."""

    @abstractmethod
    def convert(
        self,
        files: Mapping[PinnedFile, FetchedFile],
        folder: Path,
        note: Callable[[str], None],
    ) -> Made:
        """Make the bundle from the files, as they were fetched.

        Parameters
        ----------
        files
            What was fetched of each of `files`.
        folder
            Where the bundle is written.
        note
            Takes a line on what is done.
        """

    def load(self, folder: Path) -> Made:
        """Load the bundle, verified, from a folder.

        Raises
        ------
        BundleError
            If the folder holds no such bundle, or it is not whole.
        """
        from bids_dtg.bundles.bundle import load_any_bundle

        return cast("Made", load_any_bundle(folder))


def all_published() -> Mapping[str, PublishedModel[Any]]:
    """Return the published models of all workflows by their names."""
    return {name: model for row in all_workflows() for name, model in row.published().items()}
