"""Checks of the options' values and of their combinations."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bids_dtg.errors import SettingsError
from bids_dtg.settings.option import flag

if TYPE_CHECKING:
    from bids_dtg.settings import Settings

_MOST = 10**9 - 1  # upper limit of counts
_MEASURE = sys.float_info.min, sys.float_info.max, "a finite number above 0"
# Limits of numbers: the least, the most, and both in words.
_LIMITS = {
    **dict.fromkeys(
        ("epochs", "batch_size", "features", "states"), (1, _MOST, f"1 to {_MOST:,}")
    ),
    **dict.fromkeys(("region_parameters", "restarts"), (1, _MOST, f"1 to {_MOST:,}")),
    **dict.fromkeys(
        ("simulations", "nprocs", "omp_nthreads"), (1, _MOST, f"1 to {_MOST:,}")
    ),
    "folds": (2, _MOST, "2 or more"),
    "permutations": (0, 1_000_000, "0 to 1,000,000"),
    "seed": (
        0,
        2**63 - 1,
        "0 or more, and less than 2^63",
    ),  # as PyTorch and NumPy accept
    **dict.fromkeys(
        ("high_pass", "low_pass", "smoothing_fwhm", "fd_threshold"), _MEASURE
    ),
    **dict.fromkeys(("learning_rate", "mem_gb"), _MEASURE),
    "min_minutes": (0, sys.float_info.max, "0 or more, and finite"),
}
# Legal texts, as a pattern and in words.
_FORMS = {
    "dummy_scans": (r"auto|\d{1,9}", "auto or a whole number"),
    "device": (r"auto|cpu|cuda(:\d{1,9})?|mps", "auto, cpu, cuda, cuda:N or mps"),
    "space": (  # written as in fMRIPrep's --output-spaces
        r"[A-Za-z0-9]+(:cohort-[A-Za-z0-9]+)?(:res-[A-Za-z0-9]+)?"
        r"|fsLR(:(seg|atlas)-[A-Za-z0-9]+)+",
        "the name of a space, e.g. MNI152NLin6Asym:res-2, T1w, boldref",
    ),
    "model_name": (
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}",
        "1 to 100 letters, digits, '.', '-', '_'",
    ),
}
# Options that exclude each other, and what is expected instead.
_EXCLUSIVE = (
    ("reports_only", "no_reports", "one of them"),
    ("verify", "reports_only", "one of them"),
    ("verify", "dry_run", "one of them"),
    (
        *("structural_connectivity", "input_arrays"),
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
    options = settings.options
    for name, (least, most, words) in _LIMITS.items():
        value = options[name]
        if isinstance(value, int | float) and not least <= value <= most:
            yield f"{flag(name)} is {value}", words
    for name, (pattern, words) in _FORMS.items():
        if options[name] is not None and not re.fullmatch(
            pattern, options[name], re.ASCII
        ):
            yield f"{flag(name)} is '{options[name]}'", words
    if re.search("[@?]", settings.resources.scheduler or ""):  # logs keep the options
        found = "--scheduler is an address with a user name, password or query"
        yield found, "one such as tcp://node01:8786"


def _wrong_together(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what was found and what was expected, for options that contradict each other."""
    options, statistics = settings.options, settings.statistics
    level, analysis = settings.inputs.analysis_level, settings.modelling.analysis
    if analysis is not None and level != "group":
        yield f"--analysis {analysis} was given with {level}", "group"
    for name in ("verify", "reports_only", "list_participants"):
        if level == "group" and options[name]:
            yield f"{flag(name)} was given with group", "participant"
    of_halves = settings.inputs.workflow == "twin" and analysis == "evaluate"
    if statistics.folds == "halves" and not of_halves:
        yield "--folds is halves", "a number, or --workflow twin --analysis evaluate"
    slow, fast = settings.cleaning.high_pass, settings.cleaning.low_pass
    if slow and fast and slow >= fast:
        words = "a band, e.g. --high-pass 0.01 --low-pass 0.1"
        yield f"--high-pass {slow:g} is not below --low-pass {fast:g}", words
    for both in sorted({*statistics.phenotype} & {*statistics.covariates}):
        yield f"{both} is given as --phenotype and as --covariates", "one of them"
    for one, other, words in _EXCLUSIVE:
        if options[one] and options[other]:
            yield f"{flag(one)} and {flag(other)} were given", words
    keys, structural = options["array_key"], options["structural_connectivity"]
    if keys and not (options["input_arrays"] or structural):
        yield "--array-key was given", "--input-arrays with it"
    others = [text for text in keys if not text.startswith("structural=")]
    if structural and others:
        yield (
            f"--array-key is '{others[0]}'",
            "structural=KEY with --structural-connectivity",
        )
