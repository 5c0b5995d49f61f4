"""Values of options, and options together, that make no sense."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from bids_dtg.addresses import without_secrets
from bids_dtg.errors import SettingsError
from bids_dtg.files.home import expand_home

if TYPE_CHECKING:
    from bids_dtg.settings import Settings

# A space as fMRIPrep's --output-spaces has it.
_SPACE = r"[A-Za-z0-9]+(:cohort-[A-Za-z0-9]+)?(:res-[A-Za-z0-9]+)?|fsLR(:(seg|atlas)-[A-Za-z0-9]+)+"
_MOST_DIGITS = 9  # of a count: nothing that is counted here has more
# What numbers may be: the least and the most of counts, and whether measures may be 0.
_COUNTS = {
    **dict.fromkeys(("epochs", "batch_size", "features"), (1, 10**_MOST_DIGITS - 1)),
    **dict.fromkeys(("states", "region_parameters", "restarts", "simulations"), (1, 10**9 - 1)),
    **dict.fromkeys(("nprocs", "omp_nthreads"), (1, math.inf)),
    "folds": (2, 10**_MOST_DIGITS - 1),
    "permutations": (0, 1_000_000),
    "seed": (0, 2**63 - 1),  # what torch and numpy take
}
_MEASURES = {
    **dict.fromkeys(("high_pass", "low_pass", "smoothing_fwhm", "fd_threshold"), False),
    **dict.fromkeys(("learning_rate", "mem_gb"), False),
    "min_minutes": True,
}


def check(settings: Settings) -> None:
    """Raise SettingsError where options have values, or go together, as they cannot."""
    for name in settings.outputs.atlases:
        if name.startswith("~"):
            expand_home(name, "--atlases")
    _check_numbers(settings)
    _check_forms(settings)
    _check_pairs(settings)
    _check_arrays(settings)


def _check_numbers(settings: Settings) -> None:
    options = settings.options
    for name, (least, most) in _COUNTS.items():
        value = options[name]
        if isinstance(value, int) and not least <= value <= most:
            words = f"{least} or more" if value < least else f"{most:,} or less"
            raise SettingsError(f"{_flag(name)} is {value}", expected=words)
    for name, zero in _MEASURES.items():
        value = options[name]
        if value is not None and not (0 < value < math.inf or (zero and value == 0)):
            words = "0 or more, and finite" if zero else "a finite number above 0"
            raise SettingsError(f"{_flag(name)} is {value}", expected=words)


def _check_forms(settings: Settings) -> None:
    """Refuse texts that are not what their options take."""
    dummies = settings.cleaning.dummy_scans
    if dummies != "auto" and not _is_count(dummies):
        raise SettingsError(f"--dummy-scans is '{dummies}'", expected="auto or a whole number")
    device = settings.resources.device
    kind, colon, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (
        colon and (kind != "cuda" or not _is_count(number))
    ):
        raise SettingsError(f"--device is '{device}'", expected="auto, cpu, cuda, cuda:N or mps")
    space = settings.inputs.space
    if space is not None and not re.fullmatch(_SPACE, space):
        raise SettingsError(
            f"--space is '{space}'",
            expected="the name of a space, e.g. MNI152NLin6Asym:res-2, T1w, boldref",
        )
    name = settings.modelling.model_name
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise SettingsError(
            f"--model-name is '{name}'", expected="1 to 100 letters, digits, '.', '-', '_'"
        )
    address = settings.resources.scheduler
    if address is not None and (shown := without_secrets(address)) != address:
        raise SettingsError(
            f"--scheduler is {shown}",
            expected="an address such as tcp://node01:8786, without user name, password or query",
        )


def _check_pairs(settings: Settings) -> None:
    """Refuse options that exclude each other."""
    level, analysis = settings.inputs.analysis_level, settings.modelling.analysis
    if analysis is not None and level != "group":
        raise SettingsError(
            f"--analysis {analysis} was given with {level}",
            expected="group",
            remedy=f"bids_dtg BIDS_DIR OUTPUT_DIR group --analysis {analysis}",
        )
    for name in ("verify", "reports_only"):
        if level == "group" and getattr(settings.behaviour, name):
            raise SettingsError(f"{_flag(name)} was given with group", expected="participant")
    if settings.statistics.folds == "halves" and (settings.inputs.workflow, analysis) != (
        "twin",
        "evaluate",
    ):
        raise SettingsError(
            "--folds is halves", expected="a number, or --workflow twin --analysis evaluate"
        )
    slow, fast = settings.cleaning.high_pass, settings.cleaning.low_pass
    if slow and fast and slow >= fast:
        raise SettingsError(
            f"--high-pass {slow:g} is not below --low-pass {fast:g}",
            expected="a band, e.g. --high-pass 0.01 --low-pass 0.1",
        )
    if both := sorted({*settings.statistics.phenotype} & {*settings.statistics.covariates}):
        raise SettingsError(
            f"{both[0]} is given as --phenotype and as --covariates", expected="one of them"
        )
    behaviour = settings.behaviour
    for one, other in (
        ("reports_only", "no_reports"),
        ("verify", "reports_only"),
        ("verify", "dry_run"),
    ):
        if getattr(behaviour, one) and getattr(behaviour, other):
            raise SettingsError(
                f"{_flag(one)} and {_flag(other)} were given", expected="one of them"
            )


def _check_arrays(settings: Settings) -> None:
    """Refuse what does not go with arrays, and keys of what their files do not hold."""
    modelling, arrays = settings.modelling, settings.modelling.input_arrays
    structural = settings.dynamics.structural_connectivity is not None
    if structural and arrays:
        raise SettingsError(
            "--structural-connectivity and --input-arrays were given",
            expected="one of them: arrays have structural connectomes under the key structural",
        )
    if modelling.array_key and not (arrays or structural):
        raise SettingsError("--array-key was given", expected="--input-arrays with it")
    others = [text for text in modelling.array_key if not text.startswith("structural=")]
    if structural and others:
        raise SettingsError(
            f"--array-key is '{others[0]}'",
            expected="structural=KEY with --structural-connectivity",
        )
    if arrays and settings.inputs.derivatives:
        raise SettingsError(
            "--input-arrays and --derivatives were given", expected="arrays, or a dataset's files"
        )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _is_count(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MOST_DIGITS
