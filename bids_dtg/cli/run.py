"""The command line of ``bids_dtg``: arguments to settings, settings to work."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

from bids_dtg.cli.exits import Parser, call
from bids_dtg.cli.help import (
    USAGE,
    HelpAction,
    Topic,
    default_shown,
    find_topic,
    overview,
)
from bids_dtg.cli.spellings import add_spellings, flags_of, with_hyphens
from bids_dtg.cli.tables import explained, legal_values, run_workflow
from bids_dtg.engine.machine import wait_asleep
from bids_dtg.notices import run_program, say
from bids_dtg.settings import FIELDS, OPTIONS, Option, Settings, read_options
from bids_dtg.version import __version__
from bids_dtg.workflows import DEFAULT

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

_EXAMPLES = """\
examples:
  bids_dtg /data/ds001 /data/ds001/derivatives/dtg participant --dry-run
  bids_dtg /data/fmriprep /out participant --participant-label 01 02 --nprocs 2
  bids_dtg /data/fmriprep /out group --analysis stats --help
"""
_EPILOG = f"""\
{_EXAMPLES}
exit codes: 0 done; 1 at least one participant failed, the others are complete;
2 wrong arguments, dataset or model; 70 internal error; 128+n ended by signal n.
"""


_INDENT = 24  # columns before what an option does


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str, **_: Any) -> None:
        super().__init__(prog, max_help_position=_INDENT)

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        if action.nargs == "+":
            return f"{self._metavar_formatter(action, default_metavar)(1)[0]} ..."
        return super()._format_args(action, default_metavar)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """Return all flags before one value, as argparse does from Python 3.13 on."""
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        default = self._get_default_metavar_for_optional(action)
        return f"{', '.join(action.option_strings)} {self._format_args(action, default)}"


def build_parser(topic: Topic | None = None) -> argparse.ArgumentParser:
    """Return the parser, made from the fields of `Settings`.

    Parameters
    ----------
    topic
        What is typed; the parser has only the options that a call on it reads. None: all options.
    """
    parser = Parser(
        prog="bids_dtg",
        usage=USAGE if topic is None else topic.usage,
        description="Synthetic task-activation maps from resting-state fMRI: reads fMRIPrep "
        "derivatives, writes one map for each contrast of the model as BIDS derivatives. With "
        "--workflow dynamics: a model of the activity of people's networks. With "
        "--workflow twin: networks made from connectomes that perform people's tasks."
        if topic is None
        else topic.description,
        epilog=_EPILOG if topic is None else topic.epilog,
        formatter_class=_Formatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    for name in ("bids_dir", "output_dir"):
        parser.add_argument(name, metavar=name.upper(), help=OPTIONS[name].help)
    parser.add_argument(
        "analysis_level",
        choices=get_args(OPTIONS["analysis_level"].hint),
        help=OPTIONS["analysis_level"].help,
    )
    workflow, names = (None, ()) if topic is None else (topic.workflow, topic.names)
    choices, words = legal_values(workflow), explained(workflow)
    shown = OPTIONS if topic is None else topic.options
    typed = () if topic is None else ("workflow", "analysis")  # its help need not repeat them
    for group, title in _GROUPS.items():
        section = parser.add_argument_group(title)
        for name, option in shown.items():
            if option.group == group:
                explanation = "; ".join([option.help, *words.get(name, ())])
                _add_option(
                    section,
                    option,
                    choices.get(name),
                    argparse.SUPPRESS if name in typed else explanation,
                    names,
                )
    section.add_argument(
        "--config-file",
        metavar="FILE",
        type=Path,
        help="TOML file of options; the command line wins",
    )
    section.add_argument(
        "-h",
        "--help",
        action=HelpAction,
        page=_help_page,
        help="the options that most calls need; after --workflow or --analysis, those that it "
        "reads",
    )
    section.add_argument("--help-all", action=HelpAction, page=_all_help, help="all options")
    section.add_argument("--version", action="version", version=f"bids_dtg {__version__}")
    return parser


def _help_page(given: argparse.Namespace) -> str:
    """Return the page of the workflow or the analysis that was typed, else the overview."""
    topic = find_topic(vars(given))
    if topic is None:
        return overview(build_parser(), _EXAMPLES)
    return build_parser(topic).format_help()


def _all_help(_given: argparse.Namespace) -> str:
    return build_parser().format_help()


def _add_option(
    section: argparse._ArgumentGroup,
    option: Option,
    choices: Sequence[str] | None,
    words: str,
    names: Sequence[str],
) -> None:
    """Add an option, with its default in what `names` says; none: in every workflow."""
    hint = option.hint
    default = default_shown(option, names)
    shown = f" (default: {default})" if default else ""
    help_text = words if words == argparse.SUPPRESS else (words + shown).replace("%", "%%")
    arguments: dict[str, Any] = {"dest": option.name, "help": help_text}
    if get_origin(hint) in (Union, UnionType):
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if hint is bool:
        arguments["action"] = "store_true"
    elif option.name == "verbose":
        arguments["action"] = "count"
    elif choices is not None or get_origin(hint) is Literal:
        arguments["choices"] = choices or get_args(hint)
    else:
        arguments["metavar"] = option.metavar or {int: "N", Path: "FILE"}.get(hint)
    if get_origin(hint) is tuple:
        # `-d a b` and `-d a -d b` are the same.
        arguments |= {"nargs": "+", "action": "extend"}
    section.add_argument(*flags_of(option.name), **arguments)


def _first(words: Sequence[str]) -> dict[str, Any]:
    """Return what decides how the rest is read: workflow, analysis, file of options, -v."""
    parser = Parser(prog="bids_dtg", add_help=False, allow_abbrev=False)
    own: dict[str, Any] = {"nargs": "?", "default": argparse.SUPPRESS}
    parser.add_argument("--workflow", **own)
    parser.add_argument("--analysis", **own)
    parser.add_argument("--config-file", "--config_file", type=Path, **own)
    parser.add_argument("-v", "--verbose", action="count", default=0)
    return vars(parser.parse_known_args(words)[0])


def _parse(words: Sequence[str], topic: Topic | None, *, with_file: bool) -> dict[str, Any]:
    """Return what was typed, by the names of options; ends the program where words are wrong."""
    parser = build_parser(topic)
    add_spellings(parser)
    words = with_hyphens(words, parser, topic)
    if not with_file:
        return vars(parser.parse_args(words))
    # The file may have what else must be given; argparse takes such places among options only so.
    for action in parser._actions:
        if not action.option_strings:
            action.nargs, action.required, action.default = "?", False, None
    typed = vars(parser.parse_intermixed_args(words))
    return {name: value for name, value in typed.items() if value is not None}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``bids_dtg`` and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    first = _first(words)

    def action() -> int:
        file = first.get("config_file")
        configured = read_options(file, legal_values()) if file else {}
        topic = find_topic({"workflow": DEFAULT, **configured, **first})
        typed = _parse(words, topic, with_file=file is not None)
        ignored = [*typed.pop("ignored", ())]
        typed.pop("config_file", None)
        if topic is not None:
            unread = configured.keys() - topic.workflow.reads(topic.analysis)
            ignored += [
                f"{name} of {file}"
                for name in sorted(unread)
                if configured.pop(name) != FIELDS[name].default
            ]
        settings = Settings.of(**{**configured, **typed})
        if ignored:
            say(f"bids_dtg: note: without effect here: {', '.join(dict.fromkeys(ignored))}")
        return run_workflow(settings)

    kept = "the same command goes on" if "group" in words else "finished participants are kept"
    return call("bids_dtg", action, debug=first["verbose"] > 1, interrupted=kept)


def run() -> NoReturn:
    """Run ``bids_dtg`` as a program: end the process with its exit code."""
    wait_asleep()
    run_program("bids_dtg", main)


if __name__ == "__main__":
    run()
