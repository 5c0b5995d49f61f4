"""Checks of the options' values and of their combinations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bids_dtg.errors import SettingsError
from bids_dtg.option import Option, flag

Values = Mapping[str, Any]

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


def check(options: Mapping[str, Option], values: Values) -> None:
    """Raise SettingsError for the first illegal value or contradiction between options.

    Parameters
    ----------
    options
        Every option, by name.
    values
        Its value, by the same names.
    """
    for fault, expected in (*_wrong_values(options, values), *_wrong_together(values)):
        raise SettingsError(fault, expected=expected)


def _wrong_values(
    options: Mapping[str, Option], values: Values
) -> Iterator[tuple[str, str]]:
    """Yield what was found and what was expected, for illegal values of single options."""
    for name, option in options.items():
        value = values[name]
        if option.limits is not None and isinstance(value, int | float):
            least, most, words = option.limits
            if not least <= value <= most:
                yield f"{flag(name)} is {value}", words
        if option.form is not None and value is not None:
            pattern, words = option.form
            if not re.fullmatch(pattern, value, re.ASCII):
                yield f"{' or '.join(option.flags)} is '{value}'", words
    if re.search("[@?]", values["scheduler"] or ""):  # logs keep the options
        fault = "--scheduler is an address with a user name, password or query"
        yield fault, "one such as tcp://node01:8786"


def _wrong_together(values: Values) -> Iterator[tuple[str, str]]:
    """Yield what was found and what was expected, for options that contradict each other."""
    level, analysis = values["analysis_level"], values["analysis"]
    if analysis is not None and level != "group":
        yield f"--analysis {analysis} was given with {level}", "group"
    for name in ("verify", "reports_only", "list_participants"):
        if level == "group" and values[name]:
            yield f"{flag(name)} was given with group", "participant"
    high_pass, low_pass = values["high_pass"], values["low_pass"]
    if high_pass and low_pass and high_pass >= low_pass:
        words = "a band, e.g. --high-pass 0.01 --low-pass 0.1"
        yield f"--high-pass {high_pass:g} is not below --low-pass {low_pass:g}", words
    for column in sorted({*values["phenotype"]} & {*values["covariates"]}):
        yield f"{column} is given as --phenotype and as --covariates", "one of them"
    for first, second, words in _EXCLUSIVE:
        if values[first] and values[second]:
            yield f"{flag(first)} and {flag(second)} were given", words
    keys, structural = values["array_key"], values["structural_connectivity"]
    if keys and not (values["input_arrays"] or structural):
        yield "--array-key was given", "--input-arrays with it"
    other_keys = [text for text in keys if not text.startswith("structural=")]
    if structural and other_keys:
        words = "structural=KEY with --structural-connectivity"
        yield f"--array-key is '{other_keys[0]}'", words
