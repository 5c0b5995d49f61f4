"""The kinds of model: what is known of any kind, and the look-up of all kinds.

A kind is a row of the workflow that uses its models (`bids_dtg.workflows.Workflow.kinds`). A row
imports what it names when it is called, not before: names and words cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_dtg.workflows import all_workflows

if TYPE_CHECKING:
    from bids_dtg.bundles.bundle import Bundle
    from bids_dtg.bundles.card import CardPart
    from bids_dtg.bundles.selftest import Check


def _nothing(_bundle: Any) -> list[str]:
    return []


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
    tables: Callable[[Any], list[str]] = _nothing  # lines that it adds, as scores
    # Puts a simulated input through a model and judges what comes out; None: there is no such.
    selftest: Callable[[Any], list[Check]] | None = None

    @property
    def remedy(self) -> str:
        """What to do with such a model where another kind was wanted."""
        return f"use it with --workflow {self.workflow}"


def all_kinds() -> Mapping[str, Kind]:
    """Return the rows of all workflows by their names."""
    return {kind.name: kind for row in all_workflows() for kind in row.kinds()}
