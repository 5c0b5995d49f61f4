"""The contrasts that a model predicts: their order, labels and meaning."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from bids_dtg.files.text import read_packaged

if TYPE_CHECKING:
    from bids_dtg.cohort.features import FeatureSource
    from bids_dtg.cohort.group_participants import GroupParticipants
    from bids_dtg.workflows import FeatureKind

_NAMES = tomllib.loads(read_packaged("bids_dtg.contrasts", "names.toml"))
_LABEL = re.compile(r"[A-Za-z0-9]+")


@dataclass(frozen=True)
class Contrast:
    """One output channel of a model."""

    index: int  # channel, from 0
    label: str  # value of the BIDS entity contrast-, letters and digits
    task: str  # task that the contrast belongs to, such as "LANGUAGE"
    name: str  # name of the contrast within its task, such as "MATH-STORY"
    description: str  # one line in plain words

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.label):
            raise ValueError(
                f"contrast {self.index} has the label {self.label!r}; "
                "a BIDS label has letters and digits only"
            )


@functools.cache
def hcp_contrasts() -> tuple[Contrast, ...]:
    """Return the 47 HCP-YA contrasts in the order of the published models' outputs.

    Examples
    --------
    >>> contrasts = hcp_contrasts()
    >>> len(contrasts), contrasts[0].label
    (47, 'languageMath')
    """
    return parse_contrasts(read_packaged("bids_dtg.contrasts", "hcp47.tsv"))


def check_contrasts(contrasts: Sequence[Contrast]) -> tuple[Contrast, ...]:
    """Return the contrasts of a model after checking that they can name its maps.

    Raises
    ------
    ValueError
        If there are none, they are not numbered 0, 1, 2, … in order, or two labels are the same
        but for case (on some disks they would share one file).
    """
    if not contrasts:
        raise ValueError("there are no contrasts")
    first_of: dict[str, str] = {}
    for position, contrast in enumerate(contrasts):
        if contrast.index != position:
            raise ValueError(
                f"contrast {contrast.label} has index {contrast.index} at position {position}"
            )
        folded = contrast.label.casefold()
        if folded in first_of:
            raise ValueError(
                f"the labels {first_of[folded]} and {contrast.label} are the same"
            )
        first_of[folded] = contrast.label
    return tuple(contrasts)


def parse_contrasts(text: str) -> tuple[Contrast, ...]:
    """Read contrasts from the text of a tab-separated table.

    Parameters
    ----------
    text
        A header and one line per contrast, in the order of the model's outputs. The
        column `label` is required; `task`, `name`, `description` and `index` (0, 1, 2, …) are
        optional. Columns may be in any order.

    Raises
    ------
    ValueError
        If a column is missing, unknown or given twice, a line has too many or too few cells, or
        the contrasts are not valid (`check_contrasts`).
    """
    header, *lines = [line.split("\t") for line in text.splitlines()] or [[]]
    columns = {field.name for field in fields(Contrast)}
    is_legal = "label" in header and columns.issuperset(header)
    if not is_legal or len(set(header)) < len(header):
        raise ValueError(
            f"the columns are {', '.join(header) or 'none'}; label is required, "
            f"and the known ones are {', '.join(sorted(columns))}"
        )
    contrasts = []
    for position, cells in enumerate(line for line in lines if line != [""]):
        if len(cells) != len(header):
            raise ValueError(
                f"contrast {position} has {len(cells)} cells, the header {len(header)}"
            )
        row = dict(zip(header, cells, strict=True))
        index = row.pop("index", str(position))
        if not index.isdecimal():
            raise ValueError(
                f"contrast {position} has index {index!r}, which is not a number"
            )
        usual = {"task": "", "name": row["label"], "description": ""}
        contrasts.append(Contrast(int(index), **usual | row))
    return check_contrasts(contrasts)


def by_plain_label(contrasts: Iterable[Contrast]) -> dict[str, Contrast]:
    """Return contrasts by their label as `plain_contrast` spells it, in their order."""
    from bids_dtg.inputs.statmaps import plain_contrast

    return {plain_contrast(contrast.label): contrast for contrast in contrasts}


def tasks_by_contrast(contrasts: Iterable[Contrast]) -> dict[str, str]:
    """Return the task of each contrast, both as `plain_contrast` spells them."""
    from bids_dtg.inputs.statmaps import plain_contrast

    return {
        label: plain_contrast(contrast.task)
        for label, contrast in by_plain_label(contrasts).items()
    }


def rows_in_model(
    contrasts: Iterable[Contrast], model_contrasts: Iterable[Contrast]
) -> dict[int, int]:
    """Return the row of each contrast in a model, by its row here, if the model has it."""
    from bids_dtg.inputs.statmaps import plain_contrast

    in_model = by_plain_label(model_contrasts)
    labels = [plain_contrast(contrast.label) for contrast in contrasts]
    return {
        row: in_model[label].index
        for row, label in enumerate(labels)
        if label in in_model
    }


def task_in_words(task: str) -> str:
    """Return a task's name for a page."""
    return str(_NAMES["tasks"].get(task, task))


def contrast_in_words(task: str, name: str) -> str:
    """Return a contrast's name for a page: HCP's in words, others nearly as they are.

    Examples
    --------
    >>> contrast_in_words("LANGUAGE", "MATH-STORY"), contrast_in_words("WM", "2BK_FACE")
    ('Maths minus stories', '2-back, faces')
    >>> contrast_in_words("NBACK", "2BK_1BK")
    '2BK 1BK'
    """
    words = _NAMES.get(task, {}) if task in _NAMES["tasks"] else {}
    sides = []
    for side in name.split("-"):
        parts = [str(words.get(part, "")) for part in side.split("_")]
        if not all(parts):
            return name.replace("-", " \N{MINUS SIGN} ").replace("_", " ")
        sides.append(", ".join(parts))
    text = " minus ".join(sides)
    return text[0].upper() + text[1:]


def title_in_words(task: str, name: str) -> str:
    """Return the names of a task and its contrast as a title.

    Examples
    --------
    >>> title_in_words("MOTOR", "AVG"), title_in_words("EMOTION", "XYZ"), title_in_words("", "a")
    ('Movement: mean of all movements', 'Emotion: XYZ', 'a')
    """
    words = contrast_in_words(task, name)
    if not task:
        return words
    if words[1:2].islower():  # no abbreviation
        words = words[0].lower() + words[1:]
    return f"{task_in_words(task)}: {words}"


def find_measured(kind: FeatureKind, people: GroupParticipants) -> FeatureSource:
    """Find measured maps for analyses over people, with the tasks of HCP contrasts."""
    from bids_dtg.cohort import features

    return features.find_measured(kind, people, tasks_by_contrast(hcp_contrasts()))
