"""The parser of ``bids_dtg``, other programs' spellings of its options, and ``--help``.

All of it is generated from the table of options and the rows of the workflows.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from bids_dtg.cleaning.strategies import AUTO as AUTO_STRATEGY
from bids_dtg.cleaning.strategies import STRATEGIES
from bids_dtg.cli.exits import Parser
from bids_dtg.errors import did_you_mean
from bids_dtg.option import Option
from bids_dtg.settings import FIELDS, OPTIONS
from bids_dtg.version import __version__
from bids_dtg.workflows import (
    DEFAULT,
    Analysis,
    Workflow,
    all_workflows,
    find_workflow,
)

_GROUPS = {
    "selection": "what to process",
    "model": "model",
    "cleaning": "cleaning of the resting runs",
    "output": "outputs",
    "modelling": "analyses and models of your own (group level)",
    "statistics": "statistics over participants (group level)",
    "dynamics": "models of regions (--workflow dynamics)",
    "twin": "digital twin (--workflow twin)",
    "resources": "resources",
    "behaviour": "behaviour",
}
# The options of the overview, in the order of `OPTIONS`.
EVERYDAY = frozenset(
    (
        "participant_label",
        "session_label",
        "task_id",
        "derivatives",
        "workflow",
        "model",
        "denoise_strategy",
        "analysis",
        "output_spaces",
        "surfaces",
        "atlases",
        "device",
        "nprocs",
        "mem_gb",
        "dry_run",
    )
)
_PLACES = "BIDS_DIR OUTPUT_DIR"
_USAGE = f"bids_dtg {_PLACES} {{participant,group}} [options]"
_DESCRIPTION = (
    "Predicts task-activation maps from resting-state fMRI: reads fMRIPrep derivatives and writes "
    "one map per contrast as BIDS derivatives. --workflow dynamics fits models of brain dynamics; "
    "--workflow twin makes networks from participants' connectomes that perform the same tasks."
)
_EXAMPLES = """\
examples:
  bids_dtg /data/ds001 /data/ds001/derivatives/dtg participant --dry-run
  bids_dtg /data/fmriprep /out participant --participant-label 01 02 --nprocs 2
  bids_dtg /data/fmriprep /out group --analysis stats --help
"""
_EPILOG = f"""\
{_EXAMPLES}
exit codes: 0 done; 1 a participant or a page failed, all else is complete;
2 wrong arguments, dataset or model; 70 internal error; 128+n ended by signal n.
"""
_METAVARS: Mapping[Any, str] = {int: "N", Path: "FILE"}  # of options without their own
_WIDTH = 80  # columns of a page
_INDENT, _WIDE_INDENT = 24, 32  # columns before what an option does
_SHORT = 10  # characters of the longest default that the overview shows

# Bytes per unit of --mem, as in fMRIPrep; a number without a unit is in megabytes.
_UNITS = {"": 1e6, "B": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
# BIDS-App runners pass these. They have no effect here, as the program validates no input, tracks
# nothing, keeps no intermediate files and predicts maps deterministically.
_IGNORED = ("--skip-bids-validation", "--skip-bids-validator", "--notrack")
_IGNORED_WITH_VALUE = ("-w", "--work-dir", "--random-seed")


def _gigabytes(text: str) -> str:
    amount = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)([BKMGT]?)B?", text.strip().upper())
    if amount is None:
        words = f"'{text}' is not an amount of memory. Expected: megabytes, or e.g. 16G"
        raise argparse.ArgumentTypeError(words)
    return f"{float(amount[1]) * _UNITS[amount[2]] / 1e9:g}"


def _minutes(text: str) -> str:
    try:
        return f"{max(0.0, float(text)) / 60:g}"
    except ValueError as err:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a number of seconds"
        ) from err


_ALIKE = 0.75  # least similarity of flags, by difflib, for one to be suggested
_MEMORY = ("--mem", "--mem-mb")
# Other programs' spellings: flags, the option that they mean, and how its value is converted.
ALIASES: tuple[tuple[tuple[str, ...], str, Callable[[str], str]], ...] = (
    (("--nthreads", "--n-cpus"), "nprocs", str),
    (_MEMORY, "mem_gb", _gigabytes),
    (("--fd-thresh", "-f"), "fd_threshold", str),
    (("--smoothing",), "smoothing_fwhm", str),
    (("--lower-bpf",), "high_pass", str),
    (("--upper-bpf",), "low_pass", str),
    (("--min-time",), "min_minutes", _minutes),
    (("-c",), "custom_confounds", str),
    (("--subject-label",), "participant_label", str),
    (("--fs-subjects-dir",), "derivatives", "freesurfer={}".format),
)


@dataclass(frozen=True)
class Topic:
    """What a command line addresses: a level of a workflow, or one of its analyses."""

    workflow: Workflow
    analysis: str | None = None
    level: str = "participant"

    @property
    def options(self) -> Mapping[str, Option]:
        """The options that such a run reads; at the group level, those of all analyses."""
        row, analyses = self.workflow, [self.analysis]
        if self.level == "group" and self.analysis is None:
            analyses = [None, *row.analyses] if row.group else [*row.analyses]
        names = frozenset[str]().union(*map(row.reads, analyses))
        return {name: option for name, option in OPTIONS.items() if name in names}

    @property
    def call(self) -> str:
        """The workflow and the analysis, as typed."""
        analysis = "" if self.analysis is None else f" --analysis {self.analysis}"
        return f"--workflow {self.workflow.name}{analysis}"

    @property
    def usage(self) -> str:
        """The command line of such a run."""
        chosen = self.call.removeprefix(f"--workflow {DEFAULT}").lstrip()
        if self.level == "group" and self.analysis is None:
            chosen += " [--analysis NAME]"
        return " ".join(f"bids_dtg {_PLACES} {self.level} {chosen} [options]".split())

    @property
    def description(self) -> str:
        """What the workflow or analysis does, and what it needs."""
        if self.analysis is None:
            return f"{self.workflow.name}: {self.workflow.help}."
        row = self.workflow.analyses[self.analysis]
        words = f"{self.analysis}: {row.help}."
        if row.needs_model:
            instead = f" or --{row.instead_of_model}" if row.instead_of_model else ""
            words += f" It needs --model{instead}."
        workflows = [
            workflow.name
            for workflow in all_workflows()
            if self.analysis in workflow.analyses and workflow is not self.workflow
        ]
        if workflows:
            names = ", ".join(workflows)
            words += f" Workflows with their own {self.analysis}: {names}."
        return words

    @property
    def epilog(self) -> str:
        """The last lines of its help: analyses, and where to find more."""
        if self.analysis is not None:
            return "bids_dtg --help-all prints all options."
        rows = [(name, row.help) for name, row in self.workflow.analyses.items()]
        return (
            f"values of --analysis, at the group level:\n{_columns(rows)}\n\n"
            "--analysis NAME --help prints the options of one analysis; bids_dtg --help-all\n"
            "prints all options."
        )

    def words(self, table: str, option: str) -> str:
        """Return the words that its rows have for an option: `helps` or `shown`; empty: none."""
        rows: list[Analysis | Workflow] = [self.workflow]
        if self.analysis is not None:
            rows.insert(0, self.workflow.analyses[self.analysis])
        words = (getattr(row, table).get(option, "") for row in rows)
        return next(filter(None, words), "")

    def readers(self, option: str) -> str:
        """Return in words what reads an option: parts of this workflow, else other workflows."""
        row = self.workflow
        readers = []
        if option in row.reads():
            readers.append("the participant level")
        analyses = [name for name in row.analyses if option in row.reads(name)]
        if analyses:
            readers.append(f"--analysis {' or '.join(analyses)}")
        workflows = [
            workflow.name
            for workflow in all_workflows()
            if workflow.reads_anywhere(option)
        ]
        return " and by ".join(readers) or f"--workflow {' or '.join(workflows)}"


def find_topic(typed: Mapping[str, Any]) -> Topic | None:
    """Return the topic of a command line; None where it names none, or one that does not exist.

    Parameters
    ----------
    typed
        The typed values of ``workflow``, ``analysis`` and ``analysis_level``.
    """
    name, analysis = typed.get("workflow"), typed.get("analysis")
    level = "group" if analysis else typed.get("analysis_level", "participant")
    if name is None and analysis is None:
        return None
    for row in all_workflows():
        if name in (None, row.name) and (analysis is None or analysis in row.analyses):
            return Topic(row, analysis, level)
    return None


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str, *, indent: int, **_: Any) -> None:
        super().__init__(prog, max_help_position=indent, width=_WIDTH)

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        if action.nargs == "+":
            return f"{self._metavar_formatter(action, default_metavar)(1)[0]} ..."
        return super()._format_args(action, default_metavar)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """Return all flags before one value, as argparse does from Python 3.13 on."""
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        default = self._get_default_metavar_for_optional(action)
        return (
            f"{', '.join(action.option_strings)} {self._format_args(action, default)}"
        )


def build_parser(topic: Topic | None = None) -> Parser:
    """Return the parser, made from the fields of `Settings`.

    Parameters
    ----------
    topic
        Limits the parser to the options that such a run reads; None: all options.
    """
    options: Mapping[str, Option] = OPTIONS
    not_in_help: tuple[str, ...] = ()
    parser = _with_places(_USAGE, _DESCRIPTION, _EPILOG)
    if topic is not None:
        parser = _with_places(topic.usage, topic.description, topic.epilog)
        options = topic.options
        not_in_help = ("workflow", "analysis")  # they were typed
    values = values_of(topic.workflow if topic else None)
    for group, title in _GROUPS.items():
        section = parser.add_argument_group(title)
        for name, option in options.items():
            if option.group == group:
                choices = values.get(name, {})
                help_text = _help_text(option, choices, topic)
                if name in not_in_help:
                    help_text = argparse.SUPPRESS
                _add_option(section, option, help_text, option.flags, tuple(choices))
    section.add_argument(
        "--config-file",
        metavar="FILE",
        type=Path,
        help="TOML file of options; the command line takes precedence",
    )
    section.add_argument(
        "-h",
        "--help",
        action="store_true",
        help="show the options that most runs need; after --workflow or --analysis, those that it "
        "reads",
    )
    section.add_argument("--help-all", action="store_true", help="show all options")
    section.add_argument(
        "--version", action="version", version=f"bids_dtg {__version__}"
    )
    return parser


def overview() -> str:
    """Return one screen of help: the everyday options, and where to find the others."""
    analyses = dict.fromkeys(name for row in all_workflows() for name in row.analyses)
    commands = [
        ("--workflow NAME --help", "options of a workflow, and its analyses"),
        ("--analysis NAME --help", f"options of {', '.join(analyses)}"),
        ("--help-all", "all options, and exit codes"),
    ]
    epilog = f"more help:\n{_columns(commands)}\n\n{_EXAMPLES}"
    parser = _with_places(_USAGE, _DESCRIPTION, epilog, brief=True)
    section = parser.add_argument_group("options that most runs need")
    choices, usual = values_of(), Topic(find_workflow(DEFAULT))
    for name, option in OPTIONS.items():
        if name in EVERYDAY:
            default = default_shown(option, usual)
            values = ", ".join(choices.get(name, ()))
            words = option.help.partition(";")[0]
            # Longer lists of values have a line of their own below.
            words += f": {values}" if 0 < len(values) <= _WIDTH else ""
            words += f" (default: {default})" if 0 < len(default) <= _SHORT else ""
            _add_option(section, option, words, [max(option.flags, key=len)])
    return parser.format_help()


def _with_places(
    usage: str, description: str, epilog: str, *, brief: bool = False
) -> Parser:
    """Return a parser with the three positional arguments and no options."""
    parser = Parser(
        prog="bids_dtg",
        usage=usage,
        description=textwrap.fill(description, _WIDTH),
        epilog=epilog,
        formatter_class=partial(_Formatter, indent=_WIDE_INDENT if brief else _INDENT),
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    for name in ("bids_dir", "output_dir", "analysis_level"):
        option = OPTIONS[name]
        choices = get_args(option.hint) or None
        metavar = None if choices else name.upper()
        words = option.help.partition(";")[0] if brief else option.help
        parser.add_argument(name, metavar=metavar, choices=choices, help=words)
    return parser


def _add_option(
    section: argparse._ArgumentGroup,
    option: Option,
    help_text: str,
    flags: Sequence[str],
    choices: Sequence[str] = (),
) -> None:
    hint = option.hint
    if help_text != argparse.SUPPRESS:
        help_text = help_text.replace("%", "%%")
    arguments: dict[str, Any] = {"dest": option.name, "help": help_text}
    if get_origin(hint) in (Union, UnionType):
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if hint is bool:
        arguments["action"] = "store_true"
    elif option.name == "verbose":
        arguments["action"] = "count"
    elif choices or get_origin(hint) is Literal:
        arguments["choices"] = choices or get_args(hint)
    else:
        arguments["metavar"] = option.metavar or _METAVARS.get(hint, "NAME")
    if get_origin(hint) is tuple:
        # `-d a b` and `-d a -d b` are the same.
        arguments |= {"nargs": "+", "action": "extend"}
    section.add_argument(*flags, **arguments)


def _help_text(option: Option, choices: Mapping[str, str], topic: Topic | None) -> str:
    """Return what an option means, with its values and its default."""
    parts = [option.help]
    if topic is None:
        special = _by_row("helps", option.name)
        parts += [f"with {typed}: {words}" for typed, words in special.items()]
    elif words := topic.words("helps", option.name):
        parts = [words, *option.help.split("; ")[1:]]
    explained = {"workflow", "write"}
    if topic is not None:  # the others are long
        explained |= {"architecture", "denoise_strategy"}
    if option.name in explained:
        parts += [f"{value}: {words}" for value, words in choices.items() if words]
    default = default_shown(option, topic)
    return "; ".join(parts) + (f" (default: {default})" if default else "")


def default_shown(option: Option, topic: Topic | None = None) -> str:
    """Return an option's default in words; empty where it goes without saying.

    Parameters
    ----------
    option
        The option.
    topic
        The analysis or the workflow whose default is wanted; None: all defaults.

    Examples
    --------
    >>> default_shown(OPTIONS["epochs"], Topic(find_workflow("twin"), "train"))
    'that of --recipe'
    """
    words = "" if topic is None else topic.words("shown", option.name)
    if words:
        return words
    usual = option.shown or option.default
    # The default of a flag or a count goes without saying.
    unsaid = usual in (None, (), "") or option.hint is bool or option.name == "verbose"
    parts = ["" if unsaid else str(usual)]
    if topic is None:
        special = _by_row("shown", option.name)
        parts += [f"with {typed}: {words}" for typed, words in special.items()]
    return "; ".join(parts)


def _by_row(table: str, option: str) -> dict[str, str]:
    """Return the words that rows of workflows and analyses have for an option.

    Parameters
    ----------
    table
        `helps` or `shown`, a field of the rows.
    option
        Name of the option.

    Returns
    -------
    dict
        Words, by the flag and the values of the rows that have them.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for workflow in all_workflows():
        rows: list[tuple[str, str, Analysis | Workflow]] = [
            ("--workflow", workflow.name, workflow)
        ]
        rows += [("--analysis", name, row) for name, row in workflow.analyses.items()]
        for flag, name, row in rows:
            if words := getattr(row, table).get(option):
                names.setdefault((flag, words), []).append(name)
    return {
        f"{flag} {' or '.join(dict.fromkeys(row_names))}": words
        for (flag, words), row_names in names.items()
    }


def values_of(workflow: Workflow | None = None) -> dict[str, dict[str, str]]:
    """Return the values of the options that choose a row of a table, with explanations or "".

    Parameters
    ----------
    workflow
        The workflow whose values are wanted; None: all workflows.
    """
    rows = tuple(all_workflows()) if workflow is None else (workflow,)
    strategies = {row.name: row.help for row in STRATEGIES.values()}
    return {
        "workflow": {row.name: row.help.partition(";")[0] for row in all_workflows()},
        "denoise_strategy": {AUTO_STRATEGY: "", **strategies},
        "write": {name: words for row in rows for name, words in row.writes.items()},
        "architecture": {
            name: words for row in rows for name, words in row.architectures.items()
        },
        "recipe": {name: "" for row in rows for name in row.recipes},
        "analysis": {name: "" for row in rows for name in row.analyses},
    }


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    """Return names and their meanings in two columns, wrapped."""
    indent = " " * _WIDE_INDENT
    lines = []
    for name, words in rows:
        meaning = textwrap.fill(
            words,
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_on_hyphens=False,
        )
        lines.append(f"  {name}".ljust(_WIDE_INDENT) + meaning[_WIDE_INDENT:])
    return "\n".join(lines)


def add_spellings(parser: argparse.ArgumentParser) -> None:
    """Make a parser accept other programs' spellings, which its help does not show."""
    hidden: dict[str, Any] = {"help": argparse.SUPPRESS}
    readable = {action.dest: action for action in parser._actions}
    for flags, option, convert in ALIASES:
        if option in readable:
            several: dict[str, Any] = {}
            if readable[option].nargs == "+":
                several = {"nargs": "+", "action": "extend"}
            parser.add_argument(*flags, dest=option, type=convert, **several, **hidden)
    # Flags without effect are collected in `ignored`.
    for flag in _IGNORED:
        parser.add_argument(
            flag, dest="ignored", action="append_const", const=flag, **hidden
        )
    # Runners of BIDS-Apps give it to every level; some analyses do all their work in one process.
    memory = () if "mem_gb" in readable else ("--mem-gb", *_MEMORY)
    for flag in (*_IGNORED_WITH_VALUE, *memory):
        parser.add_argument(
            flag, dest="ignored", action="append", type=_always(flag), **hidden
        )


def _always(flag: str) -> Callable[[str], str]:
    return lambda _value: flag


def folders_taken(words: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """Say which option with several values took the places after it; empty if none did.

    Examples
    --------
    >>> folders_taken(["--participant-label", "01", "in", "out", "group"], build_parser())
    '--participant-label took in out group: type BIDS_DIR OUTPUT_DIR group first'
    """
    several = {
        flag
        for action in parser._actions
        if action.nargs == "+"
        for flag in action.option_strings
    }
    for place, word in enumerate(words):
        if word not in several:
            continue
        values = [
            *takewhile(lambda value: not value.startswith("-"), words[place + 1 :])
        ]
        level = values[-1] if values else ""
        if level in ("participant", "group"):
            taken = " ".join(values[-3:])
            return f"{word} took {taken}: type {_PLACES} {level} first"
    return ""


def with_hyphens(
    words: Sequence[str], parser: argparse.ArgumentParser, topic: Topic | None = None
) -> list[str]:
    """Replace `_` by `-` in typed flags, and refuse flags that the parser does not know.

    Parameters
    ----------
    words
        Words of the command line. What follows `--` is left unchanged.
    parser
        Has the known flags, and ends the program at an unknown one.
    topic
        What the parser was built for; None: everything.
    """
    readable_flags = {
        flag for action in parser._actions for flag in action.option_strings
    }
    option_of = {flag: option for flags, option, _ in ALIASES for flag in flags}
    option_of |= {
        flag: name for name, option in OPTIONS.items() for flag in option.flags
    }
    end = words.index("--") if "--" in words else len(words)
    plain = []
    for word in words[:end]:
        typed, equals, value = word.partition("=")
        is_flag = typed.startswith("--") and " " not in typed
        flag = typed.replace("_", "-") if is_flag else typed
        if flag not in readable_flags and topic is not None and flag in option_of:
            readers = topic.readers(option_of[flag])
            parser.error(f"{flag} is not read by {topic.call}, but by {readers}")
        name = flag[2:].replace("-", "_")
        if is_flag and name in FIELDS and FIELDS[name].file_only:
            parser.error(
                f"{flag} is not an option; in a --config-file, it is {name} = VALUE"
            )
        if flag not in readable_flags and is_flag:
            # Other programs' options are as similar as --fs-license-file and --split-file.
            near = did_you_mean(flag, option_of, least=_ALIKE)
            parser.error(f"there is no option {typed}" + (f"; {near}" if near else ""))
        plain.append(f"{flag}{equals}{value}")
    return [*plain, *words[end:]]
