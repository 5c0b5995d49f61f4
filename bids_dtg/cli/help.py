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
from bids_dtg.workflows import DEFAULT, WORKFLOWS, Workflow, all_workflows

_PLACES = "BIDS_DIR OUTPUT_DIR"
USAGE = f"bids_dtg {_PLACES} {{participant,group}} [options]"
_WIDTH, _INDENT = 80, 32  # columns of a page, and of the names in it
_SHORT = 10  # letters of a default that has room in the overview
# The options of the overview, in the order of `OPTIONS`.
EVERYDAY = frozenset(
    (
        *("participant_label", "session_label", "task_id", "derivatives", "workflow", "model"),
        *("denoise_strategy", "analysis", "output_spaces", "surfaces", "atlases", "device"),
        *("nprocs", "mem_gb", "dry_run"),
    )
)
Page = Callable[[argparse.Namespace], str]


@dataclass(frozen=True)
class Topic:
    """A level of a workflow, or one of its analyses, that somebody asks about."""

    workflow: Workflow
    analysis: str | None = None
    level: str = "participant"

    @property
    def names(self) -> tuple[str, ...]:
        """Names by which options have defaults of their own, the narrowest first."""
        own = () if self.analysis is None else (self.analysis,)
        return (*own, self.workflow.name)

    @property
    def options(self) -> Mapping[str, Option]:
        """The options that a call on the topic reads; at the group level those of all analyses."""
        row, which = self.workflow, [self.analysis]
        if self.level == "group" and self.analysis is None:
            which = [None, *row.analyses] if row.group else [*row.analyses]
        read = frozenset[str]().union(*map(row.reads, which))
        return {name: option for name, option in OPTIONS.items() if name in read}

    @property
    def call(self) -> str:
        """The workflow and the analysis, as they are typed."""
        own = "" if self.analysis is None else f" --analysis {self.analysis}"
        return f"--workflow {self.workflow.name}{own}"

    @property
    def usage(self) -> str:
        """How a call on the topic is typed."""
        chosen = self.call.removeprefix(f"--workflow {DEFAULT}").lstrip()
        if self.level == "group" and self.analysis is None:
            chosen += " [--analysis NAME]"
        return " ".join(f"bids_dtg {_PLACES} {self.level} {chosen} [options]".split())

    @property
    def description(self) -> str:
        """What it does, and what it needs."""
        if self.analysis is None:
            return textwrap.fill(f"{self.workflow.name}: {self.workflow.help}.", _WIDTH)
        row = self.workflow.analyses[self.analysis]
        words = f"{self.analysis}: {row.help}."
        if row.needs_model:
            instead = f" or --{row.instead_of_model}" if row.instead_of_model else ""
            words += f" It needs --model{instead}."
        others = [
            other.name
            for other in all_workflows()
            if other.name != self.workflow.name and self.analysis in other.analyses
        ]
        if others:
            words += f" Workflows with their own {self.analysis}: {', '.join(others)}."
        return textwrap.fill(words, _WIDTH)

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
    name, analysis = given.get("workflow"), given.get("analysis")
    level = "group" if analysis else given.get("analysis_level", "participant")
    if name is None and analysis is None:
        return None
    for row in all_workflows():
        if name in (None, row.name) and (analysis is None or analysis in row.analyses):
            return Topic(row, analysis, level)
    return None


def overview(parser: argparse.ArgumentParser, examples: str) -> str:
    """Return one screen: the everyday options, and where the rest is."""
    # Spellings of other programs are not shown.
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    places = [action for action in shown if not action.option_strings]
    actions = {action.dest: action for action in shown}
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
            _columns([(_term(action), _brief(OPTIONS[action.dest])) for action in places]),
            "",
            "options that most calls need:",
            _columns(
                [
                    (_term(actions[name]), _described(option, actions[name]))
                    for name, option in OPTIONS.items()
                    if name in EVERYDAY
                ]
            ),
            "",
            "the rest:",
            _columns(more),
            "",
            examples,
        )
    )


def default_shown(option: Option, names: Sequence[str] = ()) -> str:
    """Return an option's default in words; empty where that goes without saying.

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
    shown = option.shown
    special = dict(shown) if isinstance(shown, Mapping) else {"": shown}
    usual = special.pop("", None) or option.default
    for name in names:
        if name in special:
            return str(special[name])
    # Of a flag, and of how often one is given, everybody knows it.
    unsaid = usual in (None, (), "") or option.hint is bool or option.name == "verbose"
    parts = ["" if unsaid else str(usual)]
    for words in () if names else dict.fromkeys(special.values()):
        alike = [name for name, other in special.items() if other == words]
        flag = "--workflow" if alike[0] in WORKFLOWS else "--analysis"
        parts.append(f"with {flag} {' or '.join(alike)} {words}")
    return "; ".join(parts)


def _term(action: argparse.Action) -> str:
    if not action.option_strings:
        return str(action.metavar or f"{{{','.join(action.choices or ())}}}")
    flag = max(action.option_strings, key=len)
    value = "" if action.nargs == 0 else f" {action.metavar or 'NAME'}"
    return f"{flag}{value}{' ...' if action.nargs == '+' else ''}"


def _brief(option: Option) -> str:
    return option.help.partition(";")[0]


def _described(option: Option, action: argparse.Action) -> str:
    values = ", ".join(action.choices or ())
    of = f": {values}" if values and len(values) <= _WIDTH else ""  # of more there is a list below
    default = default_shown(option, (DEFAULT,))
    shown = f" (default: {default})" if 0 < len(default) <= _SHORT else ""
    return f"{_brief(option)}{of}{shown}"


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
        Returns the page, from the values that were typed before the flag.
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
        parser._print_message(self._page(namespace), sys.stdout)
        parser.exit()
