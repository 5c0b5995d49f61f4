"""What ``--help`` prints: an overview, all options, or those that a workflow or an analysis reads.

All of it is made from the parser's table of options and from the rows of the workflows.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_dtg.settings import OPTIONS, Option
from bids_dtg.workflows import DEFAULT, WORKFLOWS, Analysis, Workflow, all_workflows

_PLACES = "BIDS_DIR OUTPUT_DIR"
USAGE = f"bids_dtg {_PLACES} {{participant,group}} [options]"
_WIDTH, _INDENT = 80, 32  # columns of a page, and of the names in it
_SHORT = 10  # letters of a default that has room in the overview
# Groups of options, and options, that every call reads.
_EVERY_CALL = (
    *("input", "participant_label", "nprocs", "omp_nthreads", "mem_gb", "dry_run"),
    *("verbose", "debug"),
)
Page = Callable[[argparse.ArgumentParser, argparse.Namespace], str]
_OF_ARRAYS = ("input_arrays", "array_key")


@dataclass(frozen=True)
class Topic:
    """A workflow, or one of its analyses, that somebody asks about."""

    workflow: Workflow
    analysis: str | None = None
    group: bool = False  # whether the group level is asked about, without an analysis

    @property
    def _row(self) -> Analysis | None:
        return None if self.analysis is None else self.workflow.analyses[self.analysis]

    @property
    def names(self) -> tuple[str, ...]:
        """Names by which options have defaults of their own, the narrowest first."""
        own = () if self.analysis is None else (self.analysis,)
        return (*own, self.workflow.name)

    @property
    def options(self) -> Mapping[str, Option]:
        """The options that a call on the topic reads."""
        reads = {*_EVERY_CALL}
        if self.analysis is None and not self.group:
            reads |= {*self.workflow.participants.reads}
        for name, row in self.workflow.analyses.items():
            if self.group or name == self.analysis:
                reads |= {*row.reads, *row.statistics, *(_OF_ARRAYS if row.arrays else ())}
        groups = reads - OPTIONS.keys()
        return {
            name: option
            for name, option in OPTIONS.items()
            if (name in reads or option.group in groups)
            and (not option.workflows or self.workflow.name in option.workflows)
        }

    @property
    def usage(self) -> str:
        """How a call on the topic is typed."""
        level = "participant" if self.analysis is None and not self.group else "group"
        chosen = "" if self.workflow.name == DEFAULT else f" --workflow {self.workflow.name}"
        if self.analysis is not None:
            chosen += f" --analysis {self.analysis}"
        elif self.group:
            chosen += " [--analysis NAME]"
        return f"bids_dtg {_PLACES} {level}{chosen} [options]"

    @property
    def description(self) -> str:
        """What it does, and what it needs."""
        row = self._row
        words = self.workflow.help if row is None else row.help
        lines = [f"{self.names[0]}: {words}."]
        if row is not None and row.needs_model:
            instead = f" or --{row.instead_of_model}" if row.instead_of_model else ""
            lines.append(f"It needs --model{instead}.")
        others = [
            other.name
            for other in all_workflows()
            if other.name != self.workflow.name and self.analysis in other.analyses
        ]
        if others:
            lines.append(f"Workflows with their own {self.analysis}: {', '.join(others)}.")
        return textwrap.fill(" ".join(lines), _WIDTH)

    @property
    def epilog(self) -> str:
        """Where to read on."""
        if self.analysis is not None:
            return "bids_dtg --help-all prints all options."
        rows = [(name, row.help) for name, row in self.workflow.analyses.items()]
        return (
            f"values of --analysis, at the level group:\n{_columns(rows)}\n\n"
            "--help after --analysis NAME prints the options of that one; bids_dtg --help-all\n"
            "prints all options."
        )


def find_topic(given: Mapping[str, Any]) -> Topic | None:
    """Return what somebody asks about; None where the words name neither or there is none such.

    Parameters
    ----------
    given
        Values of ``workflow``, ``analysis`` and ``analysis_level``, as far as they were typed.
    """
    rows = {row.name: row for row in all_workflows()}
    name, analysis = given.get("workflow"), given.get("analysis")
    if name is not None:
        row = rows.get(name)
        known = row is not None and (analysis is None or analysis in row.analyses)
        group = analysis is None and given.get("analysis_level") == "group"
        return Topic(row, analysis, group) if row is not None and known else None
    able = [row for row in rows.values() if analysis in row.analyses]
    return Topic(able[0], analysis) if able else None


def overview(parser: argparse.ArgumentParser, examples: str) -> str:
    """Return one screen: the everyday options, and where the rest is."""
    # Spellings of other programs are not shown.
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    actions = {action.dest: action for action in shown}
    places = [action for action in shown if not action.option_strings]
    rows = [(_term(action), OPTIONS[action.dest].brief) for action in places]
    everyday = [
        (_term(actions[name]), _brief(option, actions[name]))
        for name, option in OPTIONS.items()
        if option.everyday
    ]
    analyses = dict.fromkeys(name for row in all_workflows() for name in row.analyses)
    more = [
        ("--workflow NAME --help", "options of a workflow, and its analyses"),
        ("--analysis NAME --help", f"options of {', '.join(analyses)}"),
        ("--help-all", "all options, and exit codes"),
    ]
    return "\n".join(
        (
            f"usage: {parser.usage}",
            "",
            *textwrap.wrap(parser.description or "", _WIDTH),
            "",
            _columns(rows),
            "",
            "options that most calls need:",
            _columns(everyday),
            "",
            "the rest:",
            _columns(more),
            "",
            examples,
        )
    )


def default_shown(option: Option, names: Sequence[str] = ()) -> str:
    """Return an option's default in words.

    Parameters
    ----------
    option
        The option.
    names
        Of an analysis and its workflow, whose default is wanted; none: all that there are.

    Examples
    --------
    >>> default_shown(OPTIONS["epochs"], ("train", "twin"))
    'that of --recipe'
    """
    for name in names:
        if name in option.defaults_of:
            return option.defaults_of[name]
    if names:
        return option.default_words
    parts = [option.default_words]
    for words in dict.fromkeys(option.defaults_of.values()):
        alike = [name for name, other in option.defaults_of.items() if other == words]
        flag = "--workflow" if alike[0] in WORKFLOWS else "--analysis"
        parts.append(f"with {flag} {' or '.join(alike)} {words}")
    return "; ".join(parts)


def _term(action: argparse.Action) -> str:
    if not action.option_strings:
        return str(action.metavar or f"{{{','.join(action.choices or ())}}}")
    flag = max(action.option_strings, key=len)
    value = "" if action.nargs == 0 else f" {action.metavar or 'NAME'}"
    return f"{flag}{value}{' ...' if action.nargs == '+' else ''}"


def _brief(option: Option, action: argparse.Action) -> str:
    values = ", ".join(action.choices or ())
    of = f": {values}" if values and len(values) <= _WIDTH else ""  # of more there is a list below
    default = option.default_words
    return f"{option.brief}{of}" + (f" (default: {default})" if 0 < len(default) <= _SHORT else "")


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    """Return names beside what they are, wrapped."""
    lines = []
    for name, words in rows:
        first = f"  {name}".ljust(_INDENT)
        if len(first) > _INDENT:
            lines.append(first)
            first = ""
        indent = " " * _INDENT
        text = textwrap.wrap(
            words, _WIDTH, break_on_hyphens=False, initial_indent=indent, subsequent_indent=indent
        )
        lines += [first + text[0][len(first) :], *text[1:]] if text else [first]
    return "\n".join(lines)


class HelpAction(argparse.Action):
    """Prints a page that depends on what was typed, and ends the program.

    Parameters
    ----------
    page
        Returns the page, from the parser and the values that were typed before the flag.
    """

    def __init__(
        self, option_strings: Sequence[str], dest: str, *, page: Page, **more: Any
    ) -> None:
        super().__init__(option_strings, dest, nargs=0, **more)
        self._page = page

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        flag: str | None = None,
    ) -> None:
        """Print it."""
        parser._print_message(self._page(parser, namespace), sys.stdout)
        parser.exit()
