"""What the methods text says of the cleaning of runs."""

from __future__ import annotations

from dataclasses import dataclass

from bids_dtg.settings import AromaDenoising, ConfoundModel, DenoiseStrategy, Settings

_EXPANDED = " with their derivatives and squares"
_TISSUE = "the mean signals of white matter and cerebrospinal fluid"
_NON_AGGRESSIVE = (
    "What the noise components of ICA-AROMA (Pruim et al., 2015) explain beside the other "
    "components was taken away first (non-aggressively)"
)

CLEANING_REFERENCES = {
    "Abraham": """\
- Abraham, A., et al. (2014). Machine learning for neuroimaging with scikit-learn. *Frontiers in
  Neuroinformatics*, 8, 14. (nilearn, which read the confounds)
""",
    "Behzadi": """\
- Behzadi, Y., et al. (2007). A component based noise correction method (CompCor) for BOLD and
  perfusion based fMRI. *NeuroImage*, 37, 90-101.
""",
    "Pruim": """\
- Pruim, R. H. R., et al. (2015). ICA-AROMA: A robust ICA-based strategy for removing motion
  artifacts from fMRI data. *NeuroImage*, 112, 267-277.
""",
    "Lindquist": """\
- Lindquist, M. A., et al. (2019). Modular preprocessing pipelines can reintroduce artifacts into
  fMRI data. *Human Brain Mapping*, 40, 2358-2376.
""",
    "Power": """\
- Power, J. D., et al. (2014). Methods to detect, characterize, and remove motion artifact in
  resting state fMRI. *NeuroImage*, 84, 320-341.
""",
}


@dataclass(frozen=True)
class CleaningFacts:
    """How runs were cleaned; fields are options of the same names."""

    strategy: DenoiseStrategy
    confound_model: ConfoundModel = "24P"
    gsr: bool = False
    aroma_denoising: AromaDenoising = "nonaggr"
    custom_confounds: bool = False  # whether there were any
    high_pass: float | None = None  # Hz
    low_pass: float | None = None  # Hz
    smoothing_fwhm: float | None = None  # mm
    fd_threshold: float | None = None  # mm; only with scrubbing
    std_dvars_threshold: float | None = None  # only with scrubbing

    @classmethod
    def of(cls, settings: Settings) -> CleaningFacts:
        """Take the facts from the options of a call."""
        return cls(
            strategy=settings.strategy,
            confound_model=settings.cleaning.confound_model,
            gsr=settings.cleaning.gsr,
            aroma_denoising=settings.cleaning.aroma_denoising,
            custom_confounds=settings.cleaning.custom_confounds is not None,
            high_pass=settings.cleaning.high_pass,
            low_pass=settings.cleaning.low_pass,
            smoothing_fwhm=settings.cleaning.smoothing_fwhm,
            fd_threshold=settings.cleaning.scrubbing_fd_mm,
            std_dvars_threshold=settings.cleaning.scrubbing_std_dvars,
        )


def cleaning_text(facts: CleaningFacts) -> str:
    """Write sentences on what was removed, and how.

    Returns
    -------
    Sentences with full stops; works cited as in `CLEANING_REFERENCES`.
    """
    parts = [*_from_table(facts), *_further(facts)]
    sentences = []
    if facts.smoothing_fwhm is not None:
        sentences.append(
            f"Each frame was smoothed within the brain by a Gaussian of {facts.smoothing_fwhm:g} "
            "mm full width at half maximum"
        )
    if facts.strategy != "none":
        sentences.append("Confounds were read with nilearn (Abraham et al., 2014)")
    if facts.strategy == "ica_aroma" and facts.aroma_denoising == "nonaggr":
        sentences.append(_NON_AGGRESSIVE)
    if parts:
        listed = ", ".join(parts[:-1]) + (" and " if parts[1:] else "") + parts[-1]
        sentences.append(_capital(f"{listed} were removed from each run {_by_regression(facts)}"))
    else:
        sentences.append("From these no confounds were removed")
    if facts.strategy == "scrubbing":
        sentences.append(
            f"Frames with a framewise displacement above {facts.fd_threshold:g} mm or a "
            f"standardised DVARS above {facts.std_dvars_threshold:g} were censored, and with them "
            "pieces of fewer than five frames between censored ones (Power et al., 2014)"
        )
    return ". ".join(sentences) + "."


def _from_table(facts: CleaningFacts) -> list[str]:
    if facts.strategy == "none":
        return []
    full = facts.confound_model == "36P"
    parts = [] if facts.strategy == "ica_aroma" else ["24 motion parameters"]
    if facts.strategy == "compcor":
        parts.append(
            "the components of anatomical CompCor (Behzadi et al., 2007) that fMRIPrep kept"
        )
    else:
        parts.append(_TISSUE + (_EXPANDED if full or facts.strategy == "scrubbing" else ""))
    if full:
        parts.append("the global signal with its derivative and squares")
    elif facts.gsr:
        parts.append("the global signal")
    if facts.strategy == "ica_aroma" and facts.aroma_denoising == "aggr":
        parts.append("the noise components of ICA-AROMA (Pruim et al., 2015)")
    if facts.high_pass is None or facts.strategy == "compcor":
        parts.append("fMRIPrep's discrete cosines (high-pass)")
    return parts


def _further(facts: CleaningFacts) -> list[str]:
    parts = []
    if facts.custom_confounds:
        parts.append("further confounds of our own")
    if facts.high_pass is not None:
        parts.append(f"discrete cosines of up to {facts.high_pass:g} Hz")
    if facts.low_pass is not None:
        parts.append(f"discrete cosines above {facts.low_pass:g} Hz")
    return parts


def _by_regression(facts: CleaningFacts) -> str:
    frames = " over the frames that were kept" if facts.strategy == "scrubbing" else ""
    if facts.high_pass is None and facts.low_pass is None:
        return f"by regression{frames}"
    return f"by one regression{frames}, so that none brings back another (Lindquist et al., 2019)"


def _capital(sentence: str) -> str:
    # "fMRIPrep" keeps its small letter.
    return sentence if sentence.startswith("fMRIPrep") else sentence[0].upper() + sentence[1:]
