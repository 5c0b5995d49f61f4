"""The methods text: what names exactly what was run, where it is kept, and its paragraphs.

A text is kept for each way in which averages of maps were made, and the record of an average
names its own. `LAST_METHODS` has the texts of all averages that lie in the output.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from bids_dtg.cleaning.design import MIN_DOF
from bids_dtg.cleaning.words import CLEANING_REFERENCES, Lacking, cleaning_text
from bids_dtg.errors import ForeignFileError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.foreign import read_text
from bids_dtg.files.provenance import completed_titles, completion_record
from bids_dtg.files.text import write_text
from bids_dtg.inputs.selection import PARCELS
from bids_dtg.notices import visible
from bids_dtg.settings import CleaningOptions, InputType

LAST_METHODS = "logs/CITATION.md"
_FOLDER = "logs/methods"
_DIGITS = 16
_TITLE = "# Methods"
# Beyond so many records they are read by the group level only: each costs a millisecond.
_MOST_READ = 1000
_TITLES_NAMED = 6  # of averages, above the text of those made otherwise than others
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

_CENSORED = " Frames that XCP-D had flagged for motion were left out."
_INTERPOLATED = {
    "linear": "linear interpolation",
    "nearest": "the nearest voxel",
    "cubic": "cubic B-splines",
}

_SOURCE_REFERENCES = {
    "Esteban": """\
- Esteban, O., et al. (2019). fMRIPrep: a robust preprocessing pipeline for functional MRI.
  *Nature Methods*, 16, 111-116.
  https://doi.org/10.1038/s41592-018-0235-4
""",
    "Mehta": """\
- Mehta, K., et al. (2024). XCP-D: a robust pipeline for the post-processing of fMRI data. *Imaging
  Neuroscience*, 2, 1-26.
  https://doi.org/10.1162/imag_a_00257
""",
    "Glasser": """\
- Glasser, M. F., et al. (2013). The minimal preprocessing pipelines for the Human Connectome
  Project. *NeuroImage*, 80, 105-124.
  https://doi.org/10.1016/j.neuroimage.2013.04.127
""",
    "Salimi": """\
- Salimi-Khorshidi, G., et al. (2014). Automatic denoising of functional MRI data: combining
  independent component analysis and hierarchical fusion of classifiers. *NeuroImage*, 90, 449-468.
  https://doi.org/10.1016/j.neuroimage.2013.11.046
""",
    "Alfaro": """\
- Alfaro-Almagro, F., et al. (2018). Image processing and quality control for the first 10,000 brain
  imaging datasets from UK Biobank. *NeuroImage*, 166, 400-424.
  https://doi.org/10.1016/j.neuroimage.2017.10.034
""",
}


@dataclass(frozen=True)
class MethodsFacts:
    """What the methods text says of one call of any workflow."""

    version: str  # of this program
    model_name: str  # name and version of the bundle; empty: there is none
    model_sha256: str  # identity of the bundle
    model_notice: str  # terms or warnings that go with the bundle; may be empty
    space: str  # template of the model's grid
    input_type: InputType  # what the runs were read from
    cleaning: CleaningOptions  # how runs were cleaned, by a strategy of the table
    lacking: Lacking  # what of it the tables of confounds did not have
    packages: Mapping[str, str]  # versions of what computed the results
    grid: str = "the model's grid"  # where runs were sampled


@dataclass(frozen=True)
class MethodsWords:
    """What a workflow alone says in the methods text."""

    made: str  # what was made of what: the beginning of the first sentence
    method: str  # what the program implements, with the work to cite
    computed: str  # sentences on what was computed from the cleaned runs
    caution: str  # how the results must not be taken
    references: str  # the list of references, with its heading; those of the cleaning follow
    model: str = ""  # sentences on the model: what it is and what it was made from


def _dummy_scans(facts: MethodsFacts) -> str:
    if facts.cleaning.dummy_scans == "auto":
        flagged = "Initial frames that fMRIPrep flagged as not in steady state were dropped."
        return flagged if facts.input_type == "fmriprep" else "No initial frames were dropped."
    number = int(facts.cleaning.dummy_scans)
    return f"The first {number} frames were dropped." if number else "No frames were dropped."


def _least(facts: MethodsFacts) -> str:
    """Describe the runs that were not used; dof are known if this program cleaned."""
    least = f"{facts.cleaning.min_minutes:g} minutes"
    if facts.input_type == "fmriprep":
        least += f" or {MIN_DOF} residual degrees of freedom"
    return f"Runs with less than {least} left were not used."


def _program(facts: MethodsFacts, words: MethodsWords) -> str:
    """Name the program, the method that it implements, and the model, as far as there are any."""
    method = f", {words.method}" if words.method else ""
    model = f"{facts.model_name} (SHA-256 {facts.model_sha256})"
    by = f", and the model {model}" if facts.model_name else ""
    return f"{words.made} with bids_dtg {facts.version}{method}{by}"


def _sampled(facts: MethodsFacts) -> str:
    if facts.space == PARCELS:
        return "Runs were read as CIFTI series of parcels, as the input has them."
    return (
        f"Runs that were not in {facts.space} space on {facts.grid} were sampled there once, by "
        f"{_INTERPOLATED[facts.cleaning.interpolation]}."
    )


def methods_text(facts: MethodsFacts, words: MethodsWords) -> str:
    """Write the methods boilerplate as Markdown.

    Parameters
    ----------
    facts
        Everything that the text names; nothing in it is assumed.
    words
        Sentences of the workflow for the methods text.
    """
    cleaning = facts.cleaning
    packages = ", ".join(f"{name} {version}" for name, version in facts.packages.items())
    paragraphs = [
        f"{_program(facts, words)}. {words.model}",
        f"{_SOURCES[facts.input_type]}.{_CENSORED * facts.lacking.frames} {_sampled(facts)} "
        f"{cleaning_text(cleaning, facts.lacking)} {_dummy_scans(facts)} {_least(facts)} "
        f"{words.computed}",
        words.caution,
        facts.model_notice,
        f"Software: {packages}.",
    ]
    text = " ".join(paragraphs)
    known = _SOURCE_REFERENCES | CLEANING_REFERENCES
    cited = [reference for name, reference in known.items() if name in text]
    return laid_out(paragraphs, words.references + "".join(cited))


def laid_out(paragraphs: Iterable[str], references: str) -> str:
    """Return the text as Markdown: paragraphs, but for empty ones, and references.

    Parameters
    ----------
    paragraphs
        Each without line ends.
    references
        The list of references, with its heading; empty: there are none.
    """
    # A page joins lines by spaces: no line ends within a word.
    filled = [
        textwrap.fill(paragraph.strip(), 99, break_on_hyphens=False)
        for paragraph in paragraphs
        if paragraph
    ]
    return "\n\n".join(filter(None, [_TITLE, *filled, references]))


def methods_path(options_sha256: str, lacking: Lacking) -> PurePosixPath:
    """Return where the text of averages with these options, and tables that lack this, is kept."""
    without = "".join(f"_without-{part.replace('_', '')}" for part in sorted(lacking.everywhere))
    partly = "".join(f"_partly-{part.replace('_', '')}" for part in sorted(lacking.somewhere))
    partly += "_censored" * lacking.frames
    return PurePosixPath(_FOLDER, f"{options_sha256[:_DIGITS]}{without}{partly}.md")


def keep_methods(dataset: DerivativeDataset, path: PurePosixPath, text: str) -> None:
    """Keep the text of an average, unless it is there: many processes make averages alike.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    text = "\n".join(map(visible, text.split("\n")))  # it names a model and a template
    if _read(dataset, path) != text:
        write_text(dataset.path(path), text)


def find_methods(dataset: DerivativeDataset, records: Iterable[Mapping[str, Any]]) -> str:
    """Return the text of completed averages; that of the last call if there is none."""
    found = _texts_of(dataset, records)
    return _join(found) if found else _read(dataset, PurePosixPath(LAST_METHODS))


def write_all_methods(dataset: DerivativeDataset, own: str, *, thorough: bool = False) -> None:
    """Write the texts of all averages that lie in the output, so that nothing there is unexplained.

    Parameters
    ----------
    dataset
        The output dataset.
    own
        Text of the call, for an output without any average; empty where it has none.
    thorough
        Whether the records of any number of averages are read. Else, where they are many and there
        are several texts, all texts are taken that were ever kept.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    titles = completed_titles(dataset)
    if len(titles) <= _MOST_READ or thorough:
        found = _texts_of(dataset, (completion_record(dataset, title) for title in titles))
    else:
        kept = sorted(path.name for path in (dataset.root / _FOLDER).glob("*.md"))
        found = {_read(dataset, PurePosixPath(_FOLDER, name)): [] for name in kept}
    if text := _join(found) if found else own:
        keep_methods(dataset, PurePosixPath(LAST_METHODS), text)


def _texts_of(
    dataset: DerivativeDataset, records: Iterable[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """Return the texts of averages, each with the titles of its averages."""
    by_path: dict[PurePosixPath, list[str]] = {}
    for record in records:
        by_path.setdefault(_path_of(record), []).append(str(record.get("Title") or ""))
    found: dict[str, list[str]] = {}
    for path, titles in by_path.items():
        if text := _read(dataset, path):
            found.setdefault(text, []).extend(titles)
    return found


def _path_of(record: Mapping[str, Any]) -> PurePosixPath:
    """Return where the text of an average is kept, in the folder of these texts."""
    return PurePosixPath(_FOLDER, PurePosixPath(str(record.get("Methods") or "-")).name)


def _join(found: Mapping[str, Sequence[str]]) -> str:
    """Make one text of several, each below a heading that names its averages."""
    if len(found) == 1:
        return next(iter(found))
    parts = [
        _TITLE,
        textwrap.fill(f"The maps were made in {len(found)} ways. Each is described below.", 99),
    ]
    for number, (text, titles) in enumerate(found.items(), 1):
        more = f" and {len(titles) - _TITLES_NAMED} more" if titles[_TITLES_NAMED:] else ""
        heading = f"## {number}. {', '.join(titles[:_TITLES_NAMED])}{more}"
        parts += [heading, text.removeprefix(_TITLE).strip().replace("\n## ", "\n### ")]
    return "\n\n".join(parts) + "\n"


def _read(dataset: DerivativeDataset, path: PurePosixPath) -> str:
    try:
        return read_text(dataset.path(path))
    except ForeignFileError:
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
