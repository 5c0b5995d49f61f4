"""The one table of workflows, and what a row says of its slice.

A workflow is a slice of the package, `bids_dtg.<name>`. All that the rest of the program knows of
it stands in its row, in the slice's module `row`; no other room names or imports a slice. A row
imports what it names when that is called, so that ``--help`` and wrong arguments are answered at
once.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bids_dtg.engine.machine import importing
from bids_dtg.settings import FIELDS, Settings
from bids_dtg.settings.option import find_row

if TYPE_CHECKING:
    import argparse

    from bids_dtg.files.names import FileKind

# A new workflow is a line here, and a folder.
WORKFLOWS: Mapping[str, str] = MappingProxyType(
    {
        "contrasts": "bids_dtg.contrasts.row:ROW",
        "dynamics": "bids_dtg.dynamics.row:ROW",
        "twin": "bids_dtg.twin.row:ROW",
    }
)
DEFAULT = next(iter(WORKFLOWS))  # also of an output that names none

Run = Callable[[Settings], int]  # does the work; returns how much of it failed


# Options, and groups of them, that every call reads.
EVERY_CALL = (
    *("input", "workflow", "analysis", "participant_label", "nprocs", "omp_nthreads", "mem_gb"),
    *("dry_run", "no_reports", "verbose"),
)
# What is read on the way from runs of rest to results.
OF_RUNS = ("selection", "cleaning", "resources", "model")


@dataclass(frozen=True)
class Analysis:
    """An analysis of the group level."""

    run: Run  # what it does
    help: str  # for ``--help``
    # Options that it reads and not every call does: names, or whole groups. Others are refused.
    reads: tuple[str, ...]
    needs_model: bool = False  # whether ``--model`` must be given, as its default is no such model
    instead_of_model: str = ""  # an option that makes --model unneeded where it is given


@dataclass(frozen=True)
class FeatureKind:
    """A kind of numbers that each participant has in the output, or beside it."""

    name: str  # in the columns of results
    words: str  # in a sentence, plural
    # Finds features of people: takes the kind and a `bids_dtg.cohort.people.GroupPeople`, returns a
    # `bids_dtg.cohort.features.FeatureSource`. DatasetError: nobody has any.
    find: Callable[[FeatureKind, Any], Any]
    # Returns which file of each run they are read from; None: from no files of runs.
    run_file: Callable[[], FileKind] | None = None
    # Columns of its tables that name a row, and last the column of values.
    columns: tuple[str, ...] = ("name", "score")
    # Whether runs that have this file count as results: of workflows that make no maps.
    counts: bool = False
    synthetic: bool = False  # whether a model predicted them
    # Measures of runs that associations always have as covariates, where people differ in them.
    covariates: tuple[str, ...] = ()


SIMULATED, TABLE, PICTURE = "simulated", "demo.tsv", "demo.png"  # of a demo, below OUT


@dataclass(frozen=True)
class Simulation:
    """What ``dtg-demo``, or ``dtg-phantom``, does."""

    # Takes the arguments; returns whether people failed. ValueError: of frames that it cannot
    # simulate.
    run: Callable[[argparse.Namespace], int | None]
    help: str  # for ``--help``, in a few words
    files: str  # what it makes below OUT, for ``--help``
    people: int = 3  # by default
    fewest: int = 1
    most: int = 999
    takes: tuple[str, ...] = ()  # options of ``dtg-demo`` that not every demo has, as typed
    cores: int | None = None  # that it can use; None: all there are
    needs: str = ""  # what it takes, for ``--help``; empty: nothing to say
    published: Simulation | None = None  # with --published: of the form that was published


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A row: what the program knows of a slice."""

    name: str  # a value of ``--workflow``
    help: str  # for ``--help``
    participants: Run  # makes maps or other results of each participant
    # As `Analysis.reads`; the group level without --analysis takes the same.
    participants_read: tuple[str, ...]
    analyses: Mapping[str, Analysis]  # of the group level, by the values of ``--analysis``
    # Returns how its results are presented: of `bids_dtg.report.presentation.Presentation`.
    presentation: Callable[[], Any]
    # Of models: what ``--architecture`` may be, each in words, empty where the name says it; the
    # first is the default. None: no option.
    architectures: Mapping[str, str] = field(default_factory=dict)
    recipes: tuple[str, ...] = ()  # of training: what ``--recipe`` may be; none: no option
    # Of options that are not given, by name: what the workflow takes in their place.
    defaults: Mapping[str, Any] = field(default_factory=dict)
    # What analyses over people read of its results, by name.
    features: Mapping[str, FeatureKind] = field(default_factory=dict)
    # Kinds of results of a participant, by the values of ``--write``, each in words.
    writes: Mapping[str, str] = field(default_factory=dict)
    # Without ``--analysis``: the table and the pages of all participants. It takes the options of
    # the participant level, so that the same line makes both.
    group: Run | None = None
    demo: Simulation | None = None
    phantom: Simulation | None = None
    # Of its models: rows as `bids_dtg.bundles.kinds.Kind`, and those that can be fetched by name,
    # as `bids_dtg.bundles.kinds.PublishedModel`; both stand above this table.
    kinds: Callable[[], Iterable[Any]] = tuple
    published: Callable[[], Mapping[str, Any]] = dict

    def reads(self, analysis: str | None = None) -> frozenset[str]:
        """Return the names of the options that an analysis reads; None: the participant level."""
        if analysis is None:
            own = (*self.participants_read, "reports_only", "verify")
        else:
            own = self.analyses[analysis].reads
        wanted = {*EVERY_CALL, *own}
        return frozenset(name for name, option in FIELDS.items() if wanted & {name, option.group})

    def legal(self, option: str) -> Collection[str]:
        """Return the legal values of an option: analysis, recipe or architecture.

        Parameters
        ----------
        option
            ``analysis``, ``recipe`` or ``architecture``.
        """
        tables: Mapping[str, Collection[str]] = {
            "analysis": self.analyses,
            "recipe": self.recipes,
            "architecture": self.architectures,
        }
        return tables[option]


def later(name: str) -> Callable[..., Any]:
    """Return a function of the package whose module is imported when it is called.

    Parameters
    ----------
    name
        Of the function, as `module:function`, below the package.
    """

    def call(*arguments: Any) -> Any:
        return _resolve(name)(*arguments)

    return call


def constant(name: str) -> Callable[[], Any]:
    """Return a function that imports a module on its first call and returns its constant.

    Parameters
    ----------
    name
        Of the constant, as `module:NAME`, below the package.
    """
    return lambda: _resolve(name)


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
    row: Workflow = pkgutil.resolve_name(find_row(WORKFLOWS, "--workflow", name))
    return row


def all_workflows() -> Iterator[Workflow]:
    """Yield all rows, the default first."""
    return map(find_workflow, WORKFLOWS)
