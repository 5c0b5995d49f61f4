"""Denoising strategies: a table of what each one removes from runs, and its description.

To add a strategy, add a row to `STRATEGIES`. The command line, the checks, the reading of tables,
the documentation and the methods text all follow from it. A strategy that removes ICA components
also needs a row in `noise_components`.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from bids_dtg.errors import SettingsError
from bids_dtg.files.text import read_packaged
from bids_dtg.option import find_row
from bids_dtg.settings import OPTIONS, CleaningOptions, InputChoice

AUTO = "auto"  # the strategy that suits the input type
# Scrubbing drops frames with a larger standardised DVARS, and stretches of fewer frames between
# censored ones (Power et al. 2014).
SCRUBBING_STD_DVARS = 1.5
SHORTEST_STRETCH = 5


@dataclass(frozen=True)
class Strategy:
    """A row of the table: what a strategy removes, in terms of nilearn's `load_confounds`.

    nilearn's presets (`load_confounds_strategy`) are such arguments. Strategies with noise
    components use more than columns of the table; for non-aggressive ICA-AROMA, nilearn instead
    reads fMRIPrep's denoised image.
    """

    name: str  # on the command line, in TOML files and in sidecars
    removes: str  # removed columns, for ``--help`` and the documentation
    parts: tuple[str, ...] = ()  # nilearn's names; empty if the table is not read
    # Extent of each part, for nilearn.
    arguments: Mapping[str, str] = field(default_factory=dict)
    # Parts that are skipped if the table has none of their columns.
    optional: tuple[str, ...] = ()
    # Whether the table's cosines are removed even with --high-pass.
    keeps_cosines: bool = False
    # Program whose noise components are also removed, for the methods text.
    noise: str | None = None
    # Input types for which ``auto`` chooses it.
    default_for: tuple[InputChoice, ...] = ()

    @property
    def reads_table(self) -> bool:
        """Whether it uses any column of the confounds table."""
        return bool(self.parts)

    @property
    def censors(self) -> bool:
        """Whether it drops high-motion frames."""
        return "scrub" in self.parts

    @property
    def help(self) -> str:
        """What it does, for ``--help``."""
        if self.censors:
            return f"{self.removes}, and censoring by FD and DVARS"
        return self.removes

    @property
    def in_words(self) -> str:
        """What it does to runs, for the plan of a run."""
        return f"cleaned by {self.name}" if self.reads_table else "nothing is removed"

    def thresholds(self, options: CleaningOptions) -> dict[str, float]:
        """Return the thresholds above which it drops frames; empty if it does not censor."""
        if not self.censors:
            return {}
        return {
            "fd_threshold": options.scrubbing_fd_mm,
            "std_dvars_threshold": SCRUBBING_STD_DVARS,
        }

    def nilearn_arguments(self, options: CleaningOptions) -> dict[str, Any]:
        """Return the arguments of nilearn's `load_confounds`; `strategy` lists the parts."""
        parts = list(self.parts)
        arguments: dict[str, Any] = {
            "demean": False,
            "motion": "full",
            "scrub": SHORTEST_STRETCH,
            **self.arguments,
        }
        replaces_cosines = options.high_pass is not None and not self.keeps_cosines
        if replaces_cosines and "high_pass" in parts:
            parts.remove("high_pass")
        if options.gsr and "global_signal" not in parts:
            parts.append("global_signal")
            arguments["global_signal"] = "basic"
        return {**arguments, **self.thresholds(options), "strategy": tuple(parts)}


_ROWS = (
    Strategy(
        "simple",
        "24 motion parameters, mean white matter and CSF signals, cosines",
        parts=("high_pass", "motion", "wm_csf"),
        arguments={"wm_csf": "basic"},
        default_for=("auto", "fmriprep"),
    ),
    Strategy(
        "scrubbing",
        "the same, with derivatives and squares of the tissue signals",
        parts=("high_pass", "motion", "wm_csf", "scrub"),
        arguments={"wm_csf": "full"},
    ),
    Strategy(
        "36p",
        "24 motion parameters, white matter, CSF and global signals with their derivatives and "
        "squares, cosines",
        parts=("high_pass", "motion", "wm_csf", "global_signal"),
        arguments={"wm_csf": "full", "global_signal": "full"},
    ),
    Strategy(
        "compcor",
        "24 motion parameters where the table has them, the components of anatomical CompCor "
        "(combined mask) that fMRIPrep kept, cosines",
        parts=("high_pass", "motion", "compcor"),
        arguments={"compcor": "anat_combined"},
        optional=("motion",),
        # CompCor's components were computed after these cosines had been removed from the data.
        keeps_cosines=True,
    ),
    Strategy(
        "ica_aroma",
        "mean white matter and CSF signals, cosines, after the noise components of ICA-AROMA",
        parts=("high_pass", "wm_csf"),
        arguments={"wm_csf": "basic"},
        noise="ICA-AROMA (Pruim et al., 2015)",
    ),
    Strategy(
        "tedana",
        "cosines, after the components that tedana rejected in a multi-echo run",
        parts=("high_pass",),
        noise="tedana (DuPre et al., 2021)",
    ),
    Strategy("none", "nothing", default_for=("xcpd", "hcp", "ukb")),
)
# Every strategy by its name, in the order of ``--help``.
STRATEGIES: dict[str, Strategy] = {row.name: row for row in _ROWS}


def find_strategy(name: str) -> Strategy:
    """Return the row of a strategy.

    Raises
    ------
    SettingsError
        There is no such strategy; `AUTO` must have been resolved before.
    """
    return find_row(STRATEGIES, "--denoise-strategy", name)


def resolve(options: CleaningOptions, input_type: InputChoice) -> CleaningOptions:
    """Replace the strategy `AUTO` by the one that suits the input type, and check the options.

    Parameters
    ----------
    options
        Cleaning options of a run of the program.
    input_type
        Type of the input; "auto" while it is unknown.

    Returns
    -------
    The options with a strategy of the table.

    Raises
    ------
    SettingsError
        There is no such strategy, or an option does not apply to it.

    Examples
    --------
    >>> from bids_dtg.settings import CleaningOptions
    >>> resolve(CleaningOptions(), "hcp").denoise_strategy
    'none'
    """
    name = options.denoise_strategy
    if name == AUTO:
        name = next(
            row.name for row in STRATEGIES.values() if input_type in row.default_for
        )
    strategy = find_strategy(name)
    misuse = f"was given with --denoise-strategy {name}"
    if options.gsr and not strategy.reads_table:
        first = next(iter(STRATEGIES))
        raise SettingsError(
            f"--gsr {misuse}",
            expected=f"a strategy that reads the confounds table, e.g. {first}",
        )
    if options.fd_threshold != OPTIONS["fd_threshold"].default and not strategy.censors:
        censoring = [row.name for row in STRATEGIES.values() if row.censors]
        raise SettingsError(
            f"--fd-threshold {misuse}",
            expected=f"--denoise-strategy {' or '.join(censoring)}, which censors frames",
        )
    return dataclasses.replace(options, denoise_strategy=name)


@cache
def cleaning_words() -> dict[str, Any]:
    """Return the sentences of the methods text, from `words.toml`."""
    return tomllib.loads(read_packaged(__package__, "words.toml"))


def cleaning_text(options: CleaningOptions) -> str:
    """Return sentences on what was removed, and how.

    Parameters
    ----------
    options
        Cleaning options; the strategy is one of `STRATEGIES`.

    Returns
    -------
    Sentences with full stops, which cite the keys of `cleaning_words()["references"]`.
    """
    strategy = find_strategy(options.denoise_strategy)
    words = cleaning_words()
    removed = _removed_confounds(strategy, options)
    sentences = []
    if options.smoothing_fwhm is not None:
        sentences.append(words["smoothed"].format(fwhm=options.smoothing_fwhm))
    if strategy.reads_table:
        sentences.append(words["chosen"])
    if strategy.noise is not None:
        sentences.append(words["noise"].format(noise=strategy.noise))
    if removed:
        filtered = options.high_pass is not None or options.low_pass is not None
        how = words["one_regression" if filtered else "regression"]
        *earlier, last = removed
        listed = f"{', '.join(earlier)} and {last}" if earlier else last
        # "fMRIPrep" keeps its lower-case f.
        if not listed.startswith("fMRIPrep"):
            listed = listed[0].upper() + listed[1:]
        how = how.format(kept=words["kept"] if strategy.censors else "")
        sentences.append(words["removed"].format(listed=listed, how=how))
    else:
        sentences.append(words["nothing"])
    if strategy.censors:
        limits = {"fd": options.scrubbing_fd_mm, "dvars": SCRUBBING_STD_DVARS}
        sentences.append(words["censored"].format(**limits))
    return ". ".join(sentences) + "."


def _removed_confounds(strategy: Strategy, options: CleaningOptions) -> list[str]:
    """Return what is removed from the runs, in the words of `words.toml`."""
    words = cleaning_words()
    arguments = strategy.nilearn_arguments(options)
    removed = []
    for part, phrases in words["parts"].items():
        if not strategy.reads_table or part not in arguments["strategy"]:
            continue
        phrase = phrases[arguments.get(part, "always")]
        if part in strategy.optional:
            phrase += words["somewhere"]
        removed.append(phrase)
    for option, phrase in words["further"].items():
        value = getattr(options, option)
        if value is not None:
            removed.append(phrase.format(value))
    return removed
