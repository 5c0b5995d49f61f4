"""How fMRIPrep and XCP-D spell options that mean the same here, and flags that runners pass."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bids_dtg.cli.help import Topic
from bids_dtg.settings import OPTIONS
from bids_dtg.workflows import all_workflows

# Bytes in a unit of --mem, as fMRIPrep has them; without one they are megabytes.
_UNITS = {"": 1e6, "B": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
# Runners of BIDS-Apps pass them, and they change nothing: no input is validated, nothing tracked,
# no intermediate file kept, and maps are made without chance.
IGNORED = ("--skip-bids-validation", "--notrack")
IGNORED_VALUES = ("-w", "--work-dir", "--random-seed")


@dataclass(frozen=True)
class Alias:
    """Another spelling of an option of this program."""

    flags: tuple[str, ...]
    option: str  # name of the option that it stands for
    convert: Callable[[str], str] = str  # of the value, to what the option takes


def _gigabytes(text: str) -> str:
    found = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)([BKMGT]?)B?", text.strip().upper())
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no memory. Expected: megabytes, or e.g. 16G")
    return f"{float(found[1]) * _UNITS[found[2]] / 1e9:g}"


def _minutes(text: str) -> str:
    try:
        return f"{max(0.0, float(text)) / 60:g}"
    except ValueError as err:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds") from err


ALIASES: tuple[Alias, ...] = (
    Alias(("--mem", "--mem-mb"), "mem_gb", _gigabytes),
    Alias(("--fd-thresh", "-f"), "fd_threshold"),
    Alias(("--smoothing",), "smoothing_fwhm"),
    Alias(("--lower-bpf",), "high_pass"),
    Alias(("--upper-bpf",), "low_pass"),
    Alias(("--min-time",), "min_minutes", _minutes),
    Alias(("-c",), "custom_confounds"),
)


def flags_of(name: str) -> tuple[str, ...]:
    """Return the flags of an option of this program.

    Examples
    --------
    >>> flags_of("mem_gb"), flags_of("verbose")
    (('--mem-gb',), ('-v', '--verbose'))
    """
    return OPTIONS[name].flags or ("--" + name.replace("_", "-"),)


class _Ignore(argparse.Action):
    """Keeps the flags that were given and change nothing."""

    def __call__(
        self, _parser: object, given: Any, _values: object, flag: str | None = None
    ) -> None:
        given.ignored = [*getattr(given, "ignored", ()), flag]


def add_spellings(parser: argparse.ArgumentParser) -> None:
    """Have a parser understand other programs' spellings too; its help does not show them."""
    own = {action.dest for action in parser._actions}
    for alias in ALIASES:
        if alias.option in own:
            parser.add_argument(
                *alias.flags, dest=alias.option, type=alias.convert, help=argparse.SUPPRESS
            )
    for flags, values in ((IGNORED, 0), (IGNORED_VALUES, None)):
        parser.add_argument(
            *flags, dest="ignored", action=_Ignore, nargs=values, help=argparse.SUPPRESS
        )


def with_hyphens(
    words: Sequence[str], parser: argparse.ArgumentParser, topic: Topic | None = None
) -> list[str]:
    """Write flags of a parser that were typed with `_` in place of `-` as it knows them.

    Parameters
    ----------
    words
        As the shell hands them on. What follows `--` is left alone.
    parser
        Whose flags are meant. It ends the program where a flag is of no option.
    topic
        What the parser's options are for; None: everything.
    """
    known = [flag for action in parser._actions for flag in action.option_strings]
    elsewhere = {flag: name for name in OPTIONS for flag in flags_of(name) if flag not in known} | {
        flag: row.option for row in ALIASES for flag in row.flags if flag not in known
    }
    end = words.index("--") if "--" in words else len(words)
    plain = []
    for word in words[:end]:
        flag, equals, value = word.partition("=")
        if flag.startswith("--") and " " not in flag:
            flag = flag.replace("_", "-")
        if topic is not None and flag in elsewhere:
            parser.error(
                f"{flag} is not read by {topic.call}, but by {_readers(elsewhere[flag], topic)}"
            )
        if flag.startswith("--") and " " not in flag and flag not in known:
            given = word.partition("=")[0]
            parser.error(f"there is no option {given}{_nearest(flag)}")
        plain.append(f"{flag}{equals}{value}")
    return [*plain, *words[end:]]


def _readers(option: str, topic: Topic) -> str:
    """Return what reads an option, in words: of the topic's workflow, else other workflows."""
    row = topic.workflow
    able = [name for name in row.analyses if option in row.reads(name)]
    words = ["the participant level"] * (option in row.reads())
    words += [f"--analysis {' or '.join(able)}"] * bool(able)
    if not words:
        others = [
            other.name
            for other in all_workflows()
            if any(option in other.reads(name) for name in (None, *other.analyses))
        ]
        words = [f"--workflow {' or '.join(others)}"]
    return " and by ".join(words)


def _nearest(flag: str) -> str:
    own = [flag for name in OPTIONS for flag in flags_of(name)]
    begun = [name for name in own if name.startswith(flag)]
    near = dict.fromkeys([*begun, *difflib.get_close_matches(flag, own, n=3)])
    return f"; near ones are {', '.join([*near][:3])}" if near else ""
