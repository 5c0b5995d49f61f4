"""Checks of the options' values and of their combinations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bids_dtg.errors import SettingsError
from bids_dtg.option import flag

if TYPE_CHECKING:
    from bids_dtg.settings import Settings

# Options that exclude each other, and what is expected instead.
_EXCLUSIVE = (
    ("reports_only", "no_reports", "one of them"),
    ("verify", "reports_only", "one of them"),
    ("verify", "dry_run", "one of them"),
    (
        "structural_connectivity",
        "input_arrays",
        "one of them; arrays hold structural connectomes under the key structural",
    ),
    ("input_arrays", "derivatives", "one of them: arrays, or a dataset's files"),
)


def check(settings: Settings) -> None:
    """Raise SettingsError for the first illegal value or contradiction between options."""
    for found, expected in (*_wrong_values(settings), *_wrong_together(settings)):
        raise SettingsError(found, expected=expected)


def _wrong_values(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what was found and what was expected, for illegal values of single options."""
    for option, value in settings.by_option():
        if option.limits is not None and isinstance(value, int | float):
            least, most, words = option.limits
            if not least <= value <= most:
                yield f"{flag(option.name)} is {value}", words
        if option.form is not None and value is not None:
            pattern, words = option.form
            if not re.fullmatch(pattern, value, re.ASCII):
                yield f"{flag(option.name)} is '{value}'", words
    if re.search("[@?]", settings.resources.scheduler or ""):  # logs keep the options
        found = "--scheduler is an address with a user name, password or query"
        yield found, "one such as tcp://node01:8786"


def _wrong_together(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what was found and what was expected, for options that contradict each other."""
    options = settings.options
    level, analysis = settings.inputs.analysis_level, settings.modelling.analysis
    if analysis is not None and level != "group":
        yield f"--analysis {analysis} was given with {level}", "group"
    for name in ("verify", "reports_only", "list_participants"):
        if level == "group" and options[name]:
            yield f"{flag(name)} was given with group", "participant"
    slow, fast = settings.cleaning.high_pass, settings.cleaning.low_pass
    if slow and fast and slow >= fast:
        words = "a band, e.g. --high-pass 0.01 --low-pass 0.1"
        yield f"--high-pass {slow:g} is not below --low-pass {fast:g}", words
    for column in sorted({*options["phenotype"]} & {*options["covariates"]}):
        yield f"{column} is given as --phenotype and as --covariates", "one of them"
    for first, second, words in _EXCLUSIVE:
        if options[first] and options[second]:
            yield f"{flag(first)} and {flag(second)} were given", words
    keys, structural = options["array_key"], options["structural_connectivity"]
    if keys and not (options["input_arrays"] or structural):
        yield "--array-key was given", "--input-arrays with it"
    other_keys = [text for text in keys if not text.startswith("structural=")]
    if structural and other_keys:
        words = "structural=KEY with --structural-connectivity"
        yield f"--array-key is '{other_keys[0]}'", words
