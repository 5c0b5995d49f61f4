"""The rows of the workflows, and what each of them holds.

A workflow is a slice of the package, `bids_dtg.<name>`; `bids_dtg.settings.WORKFLOWS` lists them.
The rest of the program knows a slice only by its row, `bids_dtg.<name>.row.ROW`; nothing else names
or imports it. A row imports its functions when they are first called, so that ``--help`` and wrong
arguments are answered at once.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from bids_dtg.engine.machine import importing
from bids_dtg.option import find_row
from bids_dtg.settings import FIELDS, WORKFLOWS, Settings

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from bids_dtg.files.names import FileKind

DEFAULT = next(iter(WORKFLOWS))  # also assumed for an output that names no workflow

Run = Callable[[Settings], int]  # does the work; returns the number of failures

# Options, and groups of options, that every run reads.
EVERY_CALL = (
    "input",
    "workflow",
    "analysis",
    "participant_label",
    "nprocs",
    "omp_nthreads",
    "dry_run",
    "no_reports",
    "verbose",
)
# Options that only the participant level reads.
OF_PARTICIPANTS = ("reports_only", "verify", "list_participants")
# Options, and groups of options, that are read on the way from resting runs to results.
OF_RUNS = ("selection", "cleaning", "mem_gb", "model")
# Options that each training of a network reads.
OF_TRAINING = ("recipe", "epochs", "batch_size", "learning_rate")


@dataclass(frozen=True)
class Analysis:
    """An analysis of the group level."""

    run: Run  # what it does
    help: str  # for ``--help``
    # Options that it reads besides those of every run: names, or whole groups. Others are refused.
    reads: tuple[str, ...]
    needs_model: bool = False  # whether ``--model`` must be given
    expects: str = (
        ""  # the model that it needs, where that is not one trained by the workflow
    )
    instead_of_model: str = ""  # an option that can be given instead of ``--model``
    # Words for ``--help`` where they differ here: the first part of what an option does, up to the
    # semicolon, and its default.
    helps: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
    halves: bool = False  # whether ``--folds halves`` is possible


@dataclass(frozen=True)
class FeatureKind:
    """A kind of features, i.e. numbers that each participant has, e.g. in maps."""

    name: str  # in the columns of results
    words: str  # in a sentence, plural
    # Finds features of people: takes the kind and `GroupParticipants`, returns a
    # `bids_dtg.cohort.features.FeatureSource`, raises DatasetError where nobody has any.
    find: Callable[[FeatureKind, Any], Any]
    # Returns the kind of run file that holds them; None: they are not in files of runs.
    run_file: Callable[[], FileKind] | None = None
    # Columns that identify a row of its tables, then the column of values.
    columns: tuple[str, ...] = ("name", "score")
    # Whether a run with this file counts as a result, in workflows that make no maps.
    counts: bool = False
    synthetic: bool = False  # whether a model predicted them
    # Measures of runs that every association has as covariates, where participants differ in them.
    covariates: tuple[str, ...] = ()


# Files of a demo, below OUT.
SIMULATED = "simulated"
TABLE = "demo.tsv"
PICTURE = "demo.png"


@dataclass(frozen=True)
class Simulation:
    """What ``dtg-demo`` or ``dtg-phantom`` does for a workflow."""

    # Takes the arguments and returns whether participants failed. ValueError: it cannot simulate
    # so many, or so long, frames.
    run: Callable[[argparse.Namespace], int | None]
    help: str  # for ``--help``, in a few words
    files: str  # what it makes below OUT, for ``--help``
    people: int = 3  # by default
    fewest: int = 1
    most: int = 999
    # Options of ``dtg-demo`` that not every demo has, as typed.
    takes: tuple[str, ...] = ()
    cores: int | None = None  # how many it can use; None: all
    needs: str = ""  # extra packages and time that it needs, for ``--help``
    # The demo of the published model, for ``--published``.
    published: Simulation | None = None


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A row of the table: what the program knows of a slice."""

    name: str  # a value of ``--workflow``
    help: str  # for ``--help``
    participants: Run  # makes maps or other results of each participant
    # Options that the participant level reads, as in `Analysis.reads`; the group level without
    # --analysis reads the same.
    participants_read: tuple[str, ...]
    # Of the group level, by the values of ``--analysis``.
    analyses: Mapping[str, Analysis]
    # Returns its `bids_dtg.report.presentation.Presentation`.
    presentation: Callable[[], Any]
    # Values of ``--architecture`` with their explanations, which may be empty; the first is the
    # default. An empty mapping: no such option.
    architectures: Mapping[str, str] = field(default_factory=dict)
    recipes: tuple[str, ...] = ()  # values of ``--recipe``; empty: no such option
    # The workflow's own values of options that are not given, by name.
    defaults: Mapping[str, Any] = field(default_factory=dict)
    # What options mean and their defaults in this workflow, as in `Analysis`.
    helps: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
    # Kinds of features that statistics read from its results, by name.
    features: Mapping[str, FeatureKind] = field(default_factory=dict)
    # Kinds of results of a participant, by the values of ``--write``, with their explanations.
    writes: Mapping[str, str] = field(default_factory=dict)
    # Rooms of the package whose folders ``pages`` hold templates of its pages.
    pages: tuple[str, ...] = ()
    # Makes the table and the pages of all participants, without ``--analysis``. It takes the
    # options of the participant level, so that one command line serves both.
    group: Run | None = None
    demo: Simulation | None = None
    phantom: Simulation | None = None
    # Return the kinds of its models (`bids_dtg.bundles.kinds.Kind`), and its models that can be
    # fetched by name (`bids_dtg.bundles.store.PublishedModel`).
    kinds: Callable[[], Iterable[Any]] = tuple
    published: Callable[[], Mapping[str, Any]] = dict
    # Reads its network from a published checkpoint (Lightning); None: there is none.
    read_checkpoint: Callable[[str | Path], Any] | None = None

    def reads(self, analysis: str | None = None) -> frozenset[str]:
        """Return the names of the options that an analysis reads; None: the participant level."""
        names = {*EVERY_CALL}
        if analysis is None:
            names |= {*self.participants_read, *OF_PARTICIPANTS}
        else:
            names |= {*self.analyses[analysis].reads}
        groups = names - FIELDS.keys()  # an option may have the name of a group
        return frozenset(
            name
            for name, option in FIELDS.items()
            if name in names or option.group in groups
        )

    def reads_anywhere(self, option: str) -> bool:
        """Return whether the participant level or an analysis reads an option."""
        return any(option in self.reads(name) for name in (None, *self.analyses))

    @property
    def rows(self) -> Mapping[str, Collection[str]]:
        """Legal values of the options that choose a row of its tables; empty: no such option."""
        return {
            "analysis": self.analyses,
            "recipe": self.recipes,
            "architecture": self.architectures,
        }


def later(name: str) -> Callable[..., Any]:
    """Return a function of the package whose module is imported when it is called.

    Parameters
    ----------
    name
        `module:function`, relative to the package.
    """

    def call(*arguments: Any) -> Any:
        return _resolve(name)(*arguments)

    return call


def constant(name: str) -> Callable[[], Any]:
    """Return a function that imports a module on its first call and returns its constant.

    Parameters
    ----------
    name
        `module:NAME`, relative to the package.
    """
    return lambda: _resolve(name)


@cache
def _resolve(name: str) -> Any:
    with importing():
        return pkgutil.resolve_name(f"bids_dtg.{name}")


def find_workflow(name: str) -> Workflow:
    """Return the row of a workflow.

    Raises
    ------
    SettingsError
        No workflow has that name; the error lists the names.
    """
    find_row(WORKFLOWS, "--workflow", name)
    return pkgutil.resolve_name(f"bids_dtg.{name}.row:ROW")


def all_workflows() -> Iterator[Workflow]:
    """Yield all rows, the default first."""
    return map(find_workflow, WORKFLOWS)
