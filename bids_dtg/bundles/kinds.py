"""The kinds of model: rows of the workflow that uses the models (`bids_dtg.workflows.Workflow`).

A row imports its class of bundles when it is asked for, so that listing names costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from bids_dtg.workflows import all_workflows


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
    # Imports the class of its bundles, a kind of `bids_dtg.bundles.bundle.Bundle`.
    bundle: Callable[[], type[Any]]

    @property
    def remedy(self) -> str:
        """The remedy in an error if such a model is given where another kind is needed."""
        return f"use it with --workflow {self.workflow}"


def all_kinds() -> Mapping[str, Kind]:
    """Return the kinds of all workflows, by name."""
    return {kind.name: kind for row in all_workflows() for kind in row.kinds()}
