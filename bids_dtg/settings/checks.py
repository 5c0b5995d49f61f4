"""Values of options, and options together, that make no sense."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bids_dtg.addresses import without_secrets
from bids_dtg.errors import SettingsError
from bids_dtg.files.home import expand_home

if TYPE_CHECKING:
    from bids_dtg.settings import (
        CleaningOptions,
        DynamicsOptions,
        ModellingOptions,
        ResourceOptions,
        Settings,
        StatisticsOptions,
    )

# A space as fMRIPrep's --output-spaces has it.
_SPACE = r"[A-Za-z0-9]+(:cohort-[A-Za-z0-9]+)?(:res-[A-Za-z0-9]+)?|fsLR(:(seg|atlas)-[A-Za-z0-9]+)+"
_SEEDS = 1 << 63  # what torch and numpy take
_MOST_PERMUTATIONS = 1_000_000
_MOST_DIGITS = 9  # of a count: nothing that is counted here has more


def check_meaning(given: Mapping[str, Sequence[str]], workflow: str) -> None:
    """Refuse options that were given and have no meaning in the workflow.

    Parameters
    ----------
    given
        Options that are not as by default: the workflows that each is for; none: for all.
    workflow
        Name of the workflow of this call.

    Raises
    ------
    SettingsError
        Naming them, and the workflow that they are for.
    """
    others = {name: of for name, of in given.items() if of and workflow not in of}
    if others:
        flags = " and ".join("--" + name.replace("_", "-") for name in others)
        named = dict.fromkeys(name for of in others.values() for name in of)
        shared = [name for name in named if all(name in of for of in others.values())]
        owners = " or ".join(shared or named)
        raise SettingsError(
            f"{flags} {'was' if len(others) == 1 else 'were'} given with --workflow {workflow}",
            expected=f"--workflow {owners}, or no {flags.replace(' and ', ', no ')}",
        )


def check(settings: Settings) -> None:
    """Raise SettingsError where options have values, or go together, as they cannot."""
    for name in settings.outputs.atlases:
        if name.startswith("~"):
            expand_home(name, "--atlases")
    _check_cleaning(settings.cleaning)
    _check_modelling(settings)
    _check_dynamics(settings.dynamics)
    _check_statistics(settings.statistics)
    call = settings.inputs.workflow, settings.modelling.analysis
    if settings.statistics.folds == "halves" and call != ("twin", "evaluate"):
        raise SettingsError(
            "--folds is halves", expected="a number, or --workflow twin --analysis evaluate"
        )
    _check_resources(settings.resources)
    kind, _, number = settings.resources.device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (
        ":" in settings.resources.device and (kind != "cuda" or not _is_count(number))
    ):
        raise SettingsError(
            f"--device is '{settings.resources.device}'", expected="auto, cpu, cuda, cuda:N or mps"
        )
    if settings.inputs.space is not None and not re.fullmatch(_SPACE, settings.inputs.space):
        raise SettingsError(
            f"--space is '{settings.inputs.space}'",
            expected="the name of a space, e.g. MNI152NLin6Asym:res-2, T1w, boldref",
        )
    if not 0 <= settings.outputs.min_coverage <= 1:
        raise SettingsError(
            f"--min-coverage is {settings.outputs.min_coverage:g}", expected="a share, 0 to 1"
        )
    if settings.behaviour.reports_only and settings.behaviour.no_reports:
        raise SettingsError("--reports-only and --no-reports were given", expected="one of them")
    _check_alone(settings)


def _check_alone(settings: Settings) -> None:
    """Refuse a second thing to do beside --verify."""
    behaviour = settings.behaviour
    if not behaviour.verify:
        return
    for name in ("reports_only", "dry_run"):
        if getattr(behaviour, name):
            flag = "--" + name.replace("_", "-")
            raise SettingsError(f"--verify and {flag} were given", expected="one of them")
    if settings.inputs.analysis_level != "participant":
        raise SettingsError(
            f"--verify was given with {settings.inputs.analysis_level}", expected="participant"
        )


def _check_cleaning(cleaning: CleaningOptions) -> None:
    for name in ("high_pass", "low_pass", "smoothing_fwhm"):
        value = getattr(cleaning, name)
        if value is not None and not 0 < value < math.inf:
            flag = "--" + name.replace("_", "-")
            raise SettingsError(
                f"{flag} is {value}",
                expected="a finite number above 0",
                remedy=f"leave {flag} out where nothing is wanted",
            )
    if cleaning.high_pass and cleaning.low_pass and cleaning.high_pass >= cleaning.low_pass:
        raise SettingsError(
            f"--high-pass {cleaning.high_pass:g} is not below --low-pass {cleaning.low_pass:g}",
            expected="a band, e.g. --high-pass 0.01 --low-pass 0.1",
        )
    if (value := cleaning.fd_threshold) is not None and not 0 < value < math.inf:
        raise SettingsError(f"--fd-threshold is {value}", expected="a finite number above 0")
    if cleaning.dummy_scans != "auto" and not _is_count(cleaning.dummy_scans):
        raise SettingsError(
            f"--dummy-scans is '{cleaning.dummy_scans}'", expected="auto or a whole number"
        )
    if not 0 <= cleaning.min_minutes < math.inf:
        raise SettingsError(
            f"--min-minutes is {cleaning.min_minutes}", expected="0 or more, and finite"
        )
    if not 0 <= cleaning.min_dof < math.inf:
        raise SettingsError(f"--min-dof is {cleaning.min_dof}", expected="0 or more, and finite")


def _check_modelling(settings: Settings) -> None:
    modelling, level = settings.modelling, settings.inputs.analysis_level
    if modelling.analysis is not None and level != "group":
        raise SettingsError(
            f"--analysis {modelling.analysis} was given with {level}",
            expected="group",
            remedy=f"bids_dtg BIDS_DIR OUTPUT_DIR group --analysis {modelling.analysis}",
        )
    _check_counts(modelling, "epochs", "batch_size", "features")
    _check_arrays(settings)
    if not 0 <= modelling.seed < _SEEDS:
        raise SettingsError(f"--seed is {modelling.seed}", expected="0 or more, below 2^63")
    if modelling.learning_rate is not None and not 0 < modelling.learning_rate < math.inf:
        raise SettingsError(f"--learning-rate is {modelling.learning_rate}", expected="above 0")
    name = modelling.model_name
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise SettingsError(
            f"--model-name is '{name}'",
            expected="1 to 100 letters, digits, '.', '-', '_'",
        )
    shares = [text for text in modelling.held_out if re.fullmatch(r"0?\.\d+|0", text)]
    wrong = len(modelling.held_out) != 2 or len(shares) != 2 or sum(map(float, shares)) >= 1
    if modelling.held_out and wrong:
        raise SettingsError(
            f"--held-out is {' '.join(modelling.held_out)}",
            expected="two shares from 0 to 1 that leave somebody to train on, e.g. 0.1 0.1",
        )


def _check_dynamics(dynamics: DynamicsOptions) -> None:
    _check_counts(dynamics, "states", "region_parameters", "restarts", "simulations")


def _check_statistics(statistics: StatisticsOptions) -> None:
    if isinstance(statistics.folds, int) and not 2 <= statistics.folds < 10**_MOST_DIGITS:
        raise SettingsError(f"--folds is {statistics.folds}", expected="2 or more")
    if not 0 <= statistics.map_permutations <= _MOST_PERMUTATIONS:
        raise SettingsError(
            f"--permutations is {statistics.permutations}", expected=f"0 to {_MOST_PERMUTATIONS}"
        )
    if both := sorted({*statistics.phenotype} & {*statistics.covariates}):
        raise SettingsError(
            f"{both[0]} is given as --phenotype and as --covariates", expected="one of them"
        )


def _check_counts(part: ModellingOptions | DynamicsOptions, *names: str) -> None:
    """Refuse numbers of things that are none, or more than there can be."""
    for name in names:
        number, flag = getattr(part, name), "--" + name.replace("_", "-")
        if number is not None and not 1 <= number < 10**_MOST_DIGITS:
            raise SettingsError(f"{flag} is {number}", expected="1 or more, and under a billion")


def _check_arrays(settings: Settings) -> None:
    """Refuse what does not go with arrays, and what goes with nothing else."""
    modelling, arrays = settings.modelling, settings.modelling.input_arrays
    _check_structural(settings)
    keyed = () if settings.dynamics.structural_connectivity else modelling.array_key
    if keyed and not arrays:
        raise SettingsError("--array-key was given", expected="--input-arrays with it")
    if arrays and settings.inputs.derivatives:
        raise SettingsError(
            "--input-arrays and --derivatives were given", expected="arrays, or a dataset's files"
        )


def _check_structural(settings: Settings) -> None:
    """Refuse structural connectomes twice, and keys of what their files do not hold."""
    modelling = settings.modelling
    if settings.dynamics.structural_connectivity is None:
        return
    if modelling.input_arrays:
        raise SettingsError(
            "--structural-connectivity and --input-arrays were given",
            expected="one of them: arrays have structural connectomes under the key structural",
        )
    if others := [text for text in modelling.array_key if not text.startswith("structural=")]:
        raise SettingsError(
            f"--array-key is '{others[0]}'",
            expected="structural=KEY with --structural-connectivity",
        )


def _check_resources(resources: ResourceOptions) -> None:
    for flag, number in (
        ("--omp-nthreads", resources.omp_nthreads),
        ("--nprocs", resources.nprocs),
    ):
        if number is not None and number < 1:
            raise SettingsError(f"{flag} is {number}", expected="1 or more")
    if resources.mem_gb is not None and not 0 < resources.mem_gb < math.inf:
        raise SettingsError(f"--mem-gb is {resources.mem_gb}", expected="a finite number above 0")
    address = resources.scheduler
    if address is not None and (shown := without_secrets(address)) != address:
        raise SettingsError(
            f"--scheduler is {shown}",
            expected="an address such as tcp://node01:8786, without user name, password or query",
        )


def _is_count(text: str) -> bool:
    return text.isdecimal() and len(text) <= _MOST_DIGITS
