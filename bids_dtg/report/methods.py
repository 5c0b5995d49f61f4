"""The methods text: what names exactly what was run, where it is kept, and its paragraphs.

A text is kept for each way in which averages of maps were made, and the record of an average
names its own. `LAST_METHODS` has the texts of all averages that lie in the output.
"""

from __future__ import annotations

import textwrap
import tomllib
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
from bids_dtg.files.text import read_packaged, write_text
from bids_dtg.inputs.run import PARCELS
from bids_dtg.notices import visible
from bids_dtg.settings import CleaningOptions, InputType

LAST_METHODS = "logs/CITATION.md"
_FOLDER = "logs/methods"
_DIGITS = 16
_TITLE = "# Methods"
# Beyond so many records they are read by the group level only: each costs a millisecond.
_MOST_READ = 1000
_TITLES_NAMED = 6  # of averages, above the text of those made otherwise than others
SAID: dict[str, Any] = tomllib.loads(read_packaged(__package__, "methods.toml"))


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
    computed: str  # sentences on what was computed from the cleaned runs
    references: str  # the list of references, with its heading; those of the cleaning follow
    method: str = ""  # what the program implements, with the work to cite
    caution: str = ""  # how the results must not be taken
    model: str = ""  # sentences on the model: what it is and what it was made from


def _dummy_scans(facts: MethodsFacts) -> str:
    if facts.cleaning.dummy_scans == "auto":
        return str(SAID["flagged" if facts.input_type == "fmriprep" else "none_flagged"])
    number = int(facts.cleaning.dummy_scans)
    return str(SAID["dropped"].format(number=number) if number else SAID["none_dropped"])


def _runs(facts: MethodsFacts) -> str:
    """Describe what runs were, where they were sampled, how they were cleaned, which were used."""
    cleaning = facts.cleaning
    how = SAID["interpolated"][cleaning.interpolation]
    sampled = SAID["sampled"].format(space=facts.space, grid=facts.grid, how=how)
    # Degrees of freedom are known if this program cleaned.
    least = SAID["least_dof" if facts.input_type == "fmriprep" else "least"]
    sentences = (
        SAID["sources"][facts.input_type],
        SAID["censored"] * facts.lacking.frames,
        SAID["parcels"] if facts.space == PARCELS else sampled,
        cleaning_text(cleaning, facts.lacking),
        _dummy_scans(facts),
        least.format(minutes=cleaning.min_minutes, dof=MIN_DOF),
    )
    return " ".join(filter(None, sentences))


def _program(facts: MethodsFacts, words: MethodsWords) -> str:
    """Name the program, the method that it implements, and the model, as far as there are any."""
    method = f", {words.method}" if words.method else ""
    model = f"{facts.model_name} (SHA-256 {facts.model_sha256})"
    by = f", and the model {model}" if facts.model_name else ""
    return f"{words.made} with bids_dtg {facts.version}{method}{by}"


def methods_text(facts: MethodsFacts, words: MethodsWords) -> str:
    """Write the methods boilerplate as Markdown.

    Parameters
    ----------
    facts
        Everything that the text names; nothing in it is assumed.
    words
        Sentences of the workflow for the methods text.
    """
    packages = ", ".join(f"{name} {version}" for name, version in facts.packages.items())
    paragraphs = [
        f"{_program(facts, words)}. {words.model}",
        f"{_runs(facts)} {words.computed}",
        words.caution,
        facts.model_notice,
        f"Software: {packages}.",
    ]
    text = " ".join(paragraphs)
    known = SAID["references"] | CLEANING_REFERENCES
    cited = "".join(reference for name, reference in known.items() if name in text)
    # A page joins lines by spaces: no line ends within a word.
    filled = [
        textwrap.fill(paragraph.strip(), 99, break_on_hyphens=False)
        for paragraph in paragraphs
        if paragraph
    ]
    return "\n\n".join(filter(None, [_TITLE, *filled, words.references + cited]))


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
        textwrap.fill(SAID["several"].format(number=len(found)), 99),
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
