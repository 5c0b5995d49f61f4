"""What the methods text says of the cleaning of runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bids_dtg.cleaning.strategies import SCRUBBING_STD_DVARS, Strategy, find_strategy
from bids_dtg.settings import CleaningOptions

_TISSUE = "the mean signals of white matter and cerebrospinal fluid"
_GLOBAL = "the global signal"
# What is removed for each of nilearn's parts, by its argument, in the order of the text.
PART_WORDS: Mapping[str, Mapping[str | None, str]] = {
    "motion": {
        "basic": "6 motion parameters",
        "derivatives": "6 motion parameters with their derivatives",
        "power2": "6 motion parameters with their squares",
        "full": "24 motion parameters",
    },
    "compcor": {
        "anat_combined": "the components of anatomical CompCor (Behzadi et al., 2007) that "
        "fMRIPrep kept",
    },
    "wm_csf": {
        "basic": _TISSUE,
        "derivatives": f"{_TISSUE} with their derivatives",
        "power2": f"{_TISSUE} with their squares",
        "full": f"{_TISSUE} with their derivatives and squares",
    },
    "global_signal": {
        "basic": _GLOBAL,
        "full": f"{_GLOBAL} with its derivative and squares",
    },
    "high_pass": {None: "fMRIPrep's discrete cosines (high-pass)"},
}
_WHERE = " (in runs whose table of confounds has them)"

CLEANING_REFERENCES = {
    "Abraham": """\
- Abraham, A., et al. (2014). Machine learning for neuroimaging with scikit-learn. *Frontiers in
  Neuroinformatics*, 8, 14. (nilearn, whose choice of confounds was followed)
  https://doi.org/10.3389/fninf.2014.00014
""",
    "Behzadi": """\
- Behzadi, Y., et al. (2007). A component based noise correction method (CompCor) for BOLD and
  perfusion based fMRI. *NeuroImage*, 37, 90-101.
  https://doi.org/10.1016/j.neuroimage.2007.04.042
""",
    "Pruim": """\
- Pruim, R. H. R., et al. (2015). ICA-AROMA: A robust ICA-based strategy for removing motion
  artifacts from fMRI data. *NeuroImage*, 112, 267-277.
  https://doi.org/10.1016/j.neuroimage.2015.02.064
""",
    "DuPre": """\
- DuPre, E., et al. (2021). TE-dependent analysis of multi-echo fMRI with tedana. *Journal of Open
  Source Software*, 6, 3669.
  https://doi.org/10.21105/joss.03669
""",
    "Lindquist": """\
- Lindquist, M. A., et al. (2019). Modular preprocessing pipelines can reintroduce artifacts into
  fMRI data. *Human Brain Mapping*, 40, 2358-2376.
  https://doi.org/10.1002/hbm.24528
""",
    "Power": """\
- Power, J. D., et al. (2014). Methods to detect, characterize, and remove motion artifact in
  resting state fMRI. *NeuroImage*, 84, 320-341.
  https://doi.org/10.1016/j.neuroimage.2013.08.048
""",
}


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

    def __bool__(self) -> bool:
        return bool(self.everywhere or self.somewhere or self.frames)


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
    row = find_strategy(options.denoise_strategy)
    parts = [*_from_table(row, options, lacking), *_further(options)]
    sentences = []
    if options.smoothing_fwhm is not None:
        sentences.append(
            "Each frame was smoothed within the brain by a Gaussian of "
            f"{options.smoothing_fwhm:g} mm full width at half maximum"
        )
    if row.reads_table:
        sentences.append("Confounds were chosen as nilearn does (Abraham et al., 2014)")
    if row.noise is not None:
        sentences.append(
            f"What the noise components of {row.noise} explain beside the other components "
            "was taken away first (non-aggressively)"
        )
    if parts:
        listed = ", ".join(parts[:-1]) + (" and " if parts[1:] else "") + parts[-1]
        how = _by_regression(row, options)
        sentences.append(_capital(f"{listed} were removed from each run {how}"))
    else:
        sentences.append("From these no confounds were removed")
    if row.censors:
        sentences.append(
            f"Frames with a framewise displacement above {options.scrubbing_fd_mm:g} mm or a "
            f"standardised DVARS above {SCRUBBING_STD_DVARS:g} were censored, and with "
            "them pieces of fewer than five frames between censored ones (Power et al., 2014)"
        )
    return ". ".join(sentences) + "."


def _from_table(row: Strategy, options: CleaningOptions, lacking: Lacking) -> list[str]:
    if not row.reads_table:
        return []
    arguments = row.nilearn_arguments(options)
    return [
        words[arguments.get(part)] + _WHERE * (part in lacking.somewhere)
        for part, words in PART_WORDS.items()
        if part in arguments["strategy"] and part not in lacking.everywhere
    ]


def _further(options: CleaningOptions) -> list[str]:
    parts = []
    if options.custom_confounds is not None:
        parts.append("further confounds of our own")
    if options.high_pass is not None:
        parts.append(f"discrete cosines of up to {options.high_pass:g} Hz")
    if options.low_pass is not None:
        parts.append(f"discrete cosines above {options.low_pass:g} Hz")
    return parts


def _by_regression(row: Strategy, options: CleaningOptions) -> str:
    frames = " over the frames that were kept" if row.censors else ""
    if options.high_pass is None and options.low_pass is None:
        return f"by regression{frames}"
    return f"by one regression{frames}, so that none brings back another (Lindquist et al., 2019)"


def _capital(sentence: str) -> str:
    # "fMRIPrep" keeps its small letter.
    return sentence if sentence.startswith("fMRIPrep") else sentence[0].upper() + sentence[1:]
