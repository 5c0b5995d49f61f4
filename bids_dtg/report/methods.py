"""The methods text, which describes exactly what was run, with citations.

The record of each average of maps holds its own text. `LAST_METHODS` has the texts of all
averages in the output, one for each way in which they were made.
"""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.cleaning.design import MIN_DOF
from bids_dtg.cleaning.strategies import cleaning_text, cleaning_words
from bids_dtg.errors import ForeignFileError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.foreign import read_text
from bids_dtg.files.provenance import completed_titles, completion_record
from bids_dtg.files.text import read_packaged, write_text
from bids_dtg.imaging.atlas import MIN_COVERAGE
from bids_dtg.inputs.run import PARCELS, RestRun
from bids_dtg.notices import counted, in_minutes, visible_lines
from bids_dtg.settings import Settings
from bids_dtg.version import __version__

LAST_METHODS = "logs/CITATION.md"
# Other processes may add reports and texts at the same time, so each checks again after writing.
TRIES = 5
_TITLE = "# Methods"
# Works that introduced atlases, by the label of the entity atlas-.
_WORKS = {"Schaefer2018": "Schaefer et al., 2018", "Glasser": "Glasser et al., 2016"}
_TITLES_NAMED = 6  # most averages named above a text, where there are several texts
_SENTENCES: dict[str, Any] = tomllib.loads(read_packaged(__package__, "methods.toml"))


@dataclass(frozen=True)
class MethodsWords:
    """A workflow's own part of the methods text."""

    opening: str  # of the first sentence: what was made from what
    computed: str  # sentences on what was computed from the cleaned runs
    # The list of references, with its heading; those of the cleaning follow.
    references: str
    method: str = ""  # the method that the program implements, with the work to cite
    caution: str = ""  # how the results must not be interpreted
    model: str = ""  # sentences on the model and its training data
    on_template: str = ""  # a sentence for runs that were read at a template's surface


def parcel_methods(
    opening: str, computed: Sequence[str], cited: Mapping[str, str], **model_words: str
) -> MethodsWords:
    """Return the part of the methods text of a workflow on parcels.

    Parameters
    ----------
    opening
        What was made from resting-state fMRI, and how.
    computed
        Sentences on what was computed from the cleaned runs; empty ones are left out.
    cited
        References, by the name with which sentences cite them.
    **model_words
        `method`, `caution` and `model` of `MethodsWords`, where there is a model.
    """
    text = " ".join(filter(None, computed))
    citing_text = f"{text} {model_words.get('method', '')}"
    works = {**cited, **_SENTENCES["parcel_references"]}
    list_of_works = "".join(
        work for name, work in works.items() if f"{name} " in citing_text
    )
    references = f"## References\n\n{list_of_works}"
    opening = f"{opening} from resting-state fMRI"
    return MethodsWords(opening, text, references, **model_words)


def averaged_within(atlas: str, parcels: int, *, at_vertices: bool = False) -> str:
    """Return the sentences on the series of an atlas's parcels, of voxels or of vertices.

    Examples
    --------
    >>> averaged_within("HCP", 19).partition(";")[0]
    'The series of voxels were averaged within the 19 parcels of the atlas HCP'
    """
    text: str = _SENTENCES["averaged_over" if at_vertices else "averaged_within"]
    return text.format(parcels=parcels, atlas=with_work(atlas), least=MIN_COVERAGE)


def with_work(atlas: str) -> str:
    """Return the key of an atlas with the work to cite, if it is known.

    Examples
    --------
    >>> with_work("Schaefer2018_seg-7n_scale-400"), with_work("HCP")
    ('Schaefer2018_seg-7n_scale-400 (Schaefer et al., 2018)', 'HCP')
    """
    work = _WORKS.get(atlas.partition("_")[0])
    return f"{atlas} ({work})" if work else atlas


def fitted_to(people: int, data_set: str) -> str:
    """State the number of people a model was fitted to.

    Examples
    --------
    >>> fitted_to(2, "hcp")
    'was fitted to 2 participants of hcp.'
    """
    source = f" of {data_set}" if data_set else ""
    return f"was fitted to {counted(people, 'participant')}{source}."


# Long, as it gathers the facts of a run in the order of the text.
def methods_text(
    words: MethodsWords,
    settings: Settings,
    *,
    bundle: Bundle[Any] | None,
    space: str,
    grid: str,
    packages: Mapping[str, str],
    runs: Sequence[RestRun] = (),
) -> str:
    """Write the methods text as Markdown, only from facts of the run.

    Parameters
    ----------
    words
        The workflow's part of the text.
    settings
        All options of the run.
    bundle
        The model; None: there is none.
    space
        Template space of the model's grid.
    grid
        The grid on which runs were sampled, in words.
    packages
        Versions of the software, by name.
    runs
        The runs of an average, for the surface over whose vertices parcels were averaged, and for
        their brain masks; empty: not known.
    """
    input_type = settings.inputs.input_type
    cleaning = settings.cleaning
    # Runs of other types were cleaned elsewhere, and have no degrees of freedom.
    cleaned_here = input_type == "fmriprep"
    ways = ["sampled"]
    if space == PARCELS:
        ways = [*dict.fromkeys(run.cortex or "parcels" for run in runs)] or ["parcels"]
    reading = " ".join(_SENTENCES[way] for way in ways)
    least = _SENTENCES["least_dof" if cleaned_here else "least"]
    sentences = (
        _SENTENCES["sources"][input_type],
        reading.format(
            space=space,
            grid=grid,
            how=_SENTENCES["interpolated"][cleaning.interpolation],
            outside=_outside_masks(runs),
        ),
        words.on_template if "template" in ways else "",
        cleaning_text(cleaning),
        _dropped_frames(cleaning.dummy_scans, cleaned_here),
        least.format(minutes=in_minutes(cleaning.min_minutes), dof=MIN_DOF),
        words.computed,
    )
    method = f", {words.method}" if words.method else ""
    model = notice = ""
    if bundle:
        card = bundle.card
        identity = f"{card.title} (SHA-256 {bundle.identity})"
        model = f", and the model {identity}"
        notice = card.notice
    software = ", ".join(f"{name} {version}" for name, version in packages.items())
    paragraphs = [
        f"{words.opening} with bids_dtg {__version__}{method}{model}. {words.model}",
        " ".join(filter(None, sentences)),
        words.caution,
        notice,
        f"Software: {software}.",
    ]
    text = " ".join(paragraphs)
    works = _SENTENCES["references"] | cleaning_words()["references"]
    cited = "".join(reference for name, reference in works.items() if name in text)
    # A page joins lines by spaces, so no line may end within a word.
    filled = [
        textwrap.fill(paragraph.strip(), 99, break_on_hyphens=False)
        for paragraph in paragraphs
        if paragraph
    ]
    text = "\n\n".join(filter(None, [_TITLE, *filled, words.references + cited]))
    return visible_lines(text)  # it names a model and a template


def _outside_masks(runs: Iterable[RestRun]) -> str:
    """Name the vertices outside brain masks, if runs have some; followed by those without data."""
    has_mask = {run.mask is not None for run in runs}
    if True not in has_mask:
        return ""
    key = "outside_some_masks" if False in has_mask else "outside_masks"
    return _SENTENCES[key]


def _dropped_frames(dummy_scans: str, cleaned_here: bool) -> str:
    """Return the sentence on initial frames."""
    if dummy_scans == "auto":
        return _SENTENCES["flagged" if cleaned_here else "none_flagged"]
    number = int(dummy_scans)
    sentence = _SENTENCES["dropped" if number else "none_dropped"]
    return sentence.format(number=number)


def find_methods(
    dataset: DerivativeDataset, records: Iterable[Mapping[str, Any]]
) -> str:
    """Return the text of completed averages, or that of the last run if there is none."""
    return _texts_of(records) or _read_last(dataset)


def write_all_methods(dataset: DerivativeDataset, text_of_run: str) -> None:
    """Write the methods texts of all averages in the output.

    Parameters
    ----------
    dataset
        The output dataset.
    text_of_run
        Text of the current run, for an output without averages; may be empty.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    for _ in range(TRIES):
        titles = completed_titles(dataset)
        records = (completion_record(dataset, title) for title in titles)
        text = _texts_of(records) or text_of_run
        if not text or _read_last(dataset) == text:
            return
        write_text(dataset.path(LAST_METHODS), text)


def _texts_of(records: Iterable[Mapping[str, Any]]) -> str:
    """Return the text of averages; if there are several, each has a heading with its averages."""
    titles_by_text: dict[str, list[str]] = {}
    for record in records:
        if text := str(record.get("Methods") or ""):
            titles = titles_by_text.setdefault(visible_lines(text), [])
            titles.append(str(record.get("Title")))
    if len(titles_by_text) < 2:
        return next(iter(titles_by_text), "")
    several = _SENTENCES["several"].format(number=len(titles_by_text))
    parts = [_TITLE, textwrap.fill(several, 99)]
    for number, (text, titles) in enumerate(titles_by_text.items(), 1):
        unnamed = len(titles) - _TITLES_NAMED
        rest = f" and {unnamed} more" if unnamed > 0 else ""
        heading = f"## {number}. {', '.join(titles[:_TITLES_NAMED])}{rest}"
        parts += [heading, text.removeprefix(_TITLE).strip().replace("\n## ", "\n### ")]
    return "\n\n".join(parts) + "\n"


def _read_last(dataset: DerivativeDataset) -> str:
    try:
        return read_text(dataset.path(LAST_METHODS))
    except ForeignFileError:
        return ""
