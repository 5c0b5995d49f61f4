"""What the methods text says of the cleaning of runs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bids_dtg.cleaning.strategies import SCRUBBING_STD_DVARS, find_strategy
from bids_dtg.files.text import read_packaged
from bids_dtg.settings import CleaningOptions

_WORDS = tomllib.loads(read_packaged(__package__, "words.toml"))
# What is removed for each of nilearn's parts, by its argument ("always" without one).
PART_WORDS: Mapping[str, Mapping[str, str]] = _WORDS["parts"]
CLEANING_REFERENCES: dict[str, str] = _WORDS["references"]


@dataclass(frozen=True)
class Lacking:
    """What runs lack: parts of a strategy in their tables, or frames."""

    everywhere: frozenset[str] = frozenset()  # in no run's table
    somewhere: frozenset[str] = frozenset()  # in the tables of some runs, or nobody knows yet
    frames: bool = False  # whether frames of a run were left out, as XCP-D had flagged them

    @classmethod
    def of_runs(cls, runs: Iterable[Iterable[str]], *, frames: bool = False) -> Lacking:
        """Sum up what the table of each run lacks.

        Examples
        --------
        >>> Lacking.of_runs([["motion"], []]).somewhere
        frozenset({'motion'})
        """
        sets = [frozenset(parts) for parts in runs]
        everywhere = frozenset.intersection(*sets) if sets else frozenset()
        return cls(everywhere, frozenset().union(*sets) - everywhere, frames)

    @classmethod
    def possible(cls, options: CleaningOptions) -> Lacking:
        """Return what tables may lack by the strategy, before any has been read."""
        row = find_strategy(options.denoise_strategy)
        return cls(somewhere=frozenset(row.optional) & frozenset(row.parts))


_NOTHING_LACKING = Lacking()


def cleaning_text(options: CleaningOptions, lacking: Lacking = _NOTHING_LACKING) -> str:
    """Write sentences on what was removed, and how.

    Parameters
    ----------
    options
        How runs were cleaned; the strategy is one of `STRATEGIES`.
    lacking
        What of it the tables of confounds did not have.

    Returns
    -------
    Sentences with full stops; works cited as in `CLEANING_REFERENCES`.
    """
    row, say = find_strategy(options.denoise_strategy), _WORDS
    arguments = row.nilearn_arguments(options)
    removed = [
        words[arguments.get(part, "always")] + say["somewhere"] * (part in lacking.somewhere)
        for part, words in PART_WORDS.items()
        if row.reads_table and part in set(arguments["strategy"]) - lacking.everywhere
    ]
    asked = {name: getattr(options, name) for name in say["further"]}
    removed += [say["further"][name].format(x) for name, x in asked.items() if x is not None]
    sentences = []
    if options.smoothing_fwhm is not None:
        sentences.append(say["smoothed"].format(fwhm=options.smoothing_fwhm))
    if row.reads_table:
        sentences.append(say["chosen"])
    if row.noise is not None:
        sentences.append(say["noise"].format(noise=row.noise))
    if removed:
        filtered = options.high_pass is not None or options.low_pass is not None
        how = say["one_regression" if filtered else "regression"]
        listed = ", ".join(removed[:-1]) + " and " * bool(removed[1:]) + removed[-1]
        # "fMRIPrep" keeps its small letter.
        listed = listed if listed.startswith("fMRIPrep") else listed[0].upper() + listed[1:]
        how = how.format(kept=say["kept"] * row.censors)
        sentences.append(say["removed"].format(listed=listed, how=how))
    else:
        sentences.append(say["nothing"])
    if row.censors:
        limits = {"fd": options.scrubbing_fd_mm, "dvars": SCRUBBING_STD_DVARS}
        sentences.append(say["censored"].format(**limits))
    return ". ".join(sentences) + "."
