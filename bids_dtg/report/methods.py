"""The methods text: what names exactly what was run, where it is kept, and its paragraphs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from bids_dtg.cleaning.words import CLEANING_REFERENCES, cleaning_text
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.settings import CleaningOptions, InputType

LAST_METHODS = "logs/CITATION.md"
_DIGITS = 16
_SOURCES = {
    "fmriprep": "Preprocessed resting-state runs were read from fMRIPrep derivatives (Esteban et "
    "al., 2019)",
    "xcpd": "Resting-state runs were read that fMRIPrep (Esteban et al., 2019) had preprocessed "
    "and XCP-D (Mehta et al., 2024) had denoised",
    "hcp": "Resting-state runs of the Human Connectome Project were read as its pipelines provide "
    "them: minimally preprocessed (Glasser et al., 2013) and denoised by ICA-FIX "
    "(Salimi-Khorshidi et al., 2014)",
    "ukb": "Resting-state runs of UK Biobank were read as its pipeline provides them, denoised by "
    "ICA-FIX (Alfaro-Almagro et al., 2018; Salimi-Khorshidi et al., 2014)",
}

_INTERPOLATED = {"linear": "linear interpolation", "nearest": "the nearest voxel"}

_SOURCE_REFERENCES = {
    "Esteban": """\
- Esteban, O., et al. (2019). fMRIPrep: a robust preprocessing pipeline for functional MRI.
  *Nature Methods*, 16, 111-116.
""",
    "Mehta": """\
- Mehta, K., et al. (2024). XCP-D: a robust pipeline for the post-processing of fMRI data. *Imaging
  Neuroscience*, 2, 1-26.
""",
    "Glasser": """\
- Glasser, M. F., et al. (2013). The minimal preprocessing pipelines for the Human Connectome
  Project. *NeuroImage*, 80, 105-124.
""",
    "Salimi": """\
- Salimi-Khorshidi, G., et al. (2014). Automatic denoising of functional MRI data: combining
  independent component analysis and hierarchical fusion of classifiers. *NeuroImage*, 90, 449-468.
""",
    "Alfaro": """\
- Alfaro-Almagro, F., et al. (2018). Image processing and quality control for the first 10,000 brain
  imaging datasets from UK Biobank. *NeuroImage*, 166, 400-424.
""",
}


@dataclass(frozen=True)
class MethodsFacts:
    """What the methods text says of one call of any workflow."""

    version: str  # of this program
    model_name: str  # name and version of the bundle
    model_sha256: str  # identity of the bundle
    model_notice: str  # terms or warnings that go with the bundle; may be empty
    space: str  # template of the model's grid
    input_type: InputType  # what the runs were read from
    cleaning: CleaningOptions  # how runs were cleaned, by a strategy of the table
    packages: Mapping[str, str]  # versions of what computed the results


@dataclass(frozen=True)
class MethodsWords:
    """What a workflow alone says in the methods text."""

    made: str  # what was made of what: the beginning of the first sentence
    method: str  # what the program implements, with the work to cite
    computed: str  # sentences on what was computed from the cleaned runs
    caution: str  # how the results must not be taken
    references: str  # the list of references, with its heading; those of the cleaning follow


def _dummy_scans(facts: MethodsFacts) -> str:
    if facts.cleaning.dummy_scans == "auto":
        flagged = "Initial frames that fMRIPrep flagged as not in steady state were dropped."
        return flagged if facts.input_type == "fmriprep" else "No initial frames were dropped."
    number = int(facts.cleaning.dummy_scans)
    return f"The first {number} frames were dropped." if number else "No frames were dropped."


def methods_text(facts: MethodsFacts, words: MethodsWords) -> str:
    """Write the methods boilerplate as Markdown.

    Parameters
    ----------
    facts
        Everything that the text names; nothing in it is assumed.
    words
        Of the workflow.
    """
    cleaning = facts.cleaning
    packages = ", ".join(f"{name} {version}" for name, version in facts.packages.items())
    paragraphs = [
        f"{words.made} with bids_dtg {facts.version}, {words.method}, and the model "
        f"{facts.model_name} (SHA-256 {facts.model_sha256}).",
        f"{_SOURCES[facts.input_type]}. Runs that were not in {facts.space} space on the model's "
        f"grid were sampled there once, by {_INTERPOLATED[cleaning.interpolation]}. "
        f"{cleaning_text(cleaning)} {_dummy_scans(facts)} Runs with less than "
        f"{cleaning.min_minutes:g} minutes left were not used. {words.computed}",
        words.caution,
        facts.model_notice,
        f"Software: {packages}.",
    ]
    filled = [textwrap.fill(paragraph, 99) for paragraph in paragraphs if paragraph]
    text = " ".join(paragraphs)
    known = _SOURCE_REFERENCES | CLEANING_REFERENCES
    cited = [reference for name, reference in known.items() if name in text]
    return "\n\n".join(["# Methods", *filled, words.references + "".join(cited)])


def methods_path(options_sha256: str) -> PurePosixPath:
    """Return where the text of calls with these options is kept."""
    return PurePosixPath("logs/methods", f"{options_sha256[:_DIGITS]}.md")


def find_methods(dataset: DerivativeDataset, records: Sequence[Mapping[str, Any]]) -> str:
    """Return the text that belongs to completed sets, that of the last call if there is none."""
    digests = {str(record.get("OptionsSHA256") or "") for record in records} - {""}
    named = [methods_path(digest) for digest in sorted(digests) if digest.isalnum()]
    for path in (*named, PurePosixPath(LAST_METHODS)):
        try:
            return dataset.path(path).read_text("utf-8")
        except (OSError, ValueError):
            continue
    return ""


def parse_markdown(text: str) -> list[tuple[str, Any]]:
    """Take the few kinds of blocks apart that the text has: headings, lists, paragraphs."""
    blocks: list[tuple[str, Any]] = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.strip()]
        if not lines:
            continue
        if lines[0].startswith("#"):
            title = lines[0].lstrip("# ").strip()
            if title != "Methods":  # the page has that heading
                blocks.append(("heading", title))
            lines = lines[1:]
        if lines and lines[0].startswith("- "):
            items: list[str] = []
            for line in lines:
                if line.startswith("- "):
                    items.append(line.removeprefix("- "))
                else:
                    items[-1] += " " + line.strip()
            blocks.append(("list", [item.replace("*", "") for item in items]))
        elif lines:
            blocks.append(("paragraph", " ".join(line.strip() for line in lines)))
    return blocks
