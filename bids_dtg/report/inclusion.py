"""Decisions on who is included in group averages, made on a page and read by the group level.

Pages keep decisions in the browser and download them as a table. A user puts the table into the
output folder, and the group level then averages without the participants that it excludes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_dtg.errors import DatasetError, ForeignFileError, MissingFileError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.foreign import NO_VALUE, read_table
from bids_dtg.inputs.participants import ParticipantsTable
from bids_dtg.notices import counted, named
from bids_dtg.report.contents import AverageFiles

FILE = "desc-inclusion_participants.tsv"  # at the output folder's root
COLUMNS = ("participant_id", "include", "reason")
_WORDS = {"true": True, "false": False}
# By label without sub-: whether the participant is included, and the reason, which may be empty.
Decisions = Mapping[str, tuple[bool, str]]


def read_inclusion(output: DerivativeDataset) -> Decisions:
    """Read the decisions of an output folder; nobody is left out where it has none.

    Raises
    ------
    DatasetError
        The file exists, but is not clear about who is left out.
    """
    path = output.root / FILE
    try:
        table = read_table(path)
    except MissingFileError:
        return {}
    except ForeignFileError as err:
        raise err.as_kind(DatasetError, remedy="download it again from a page") from err
    decisions: dict[str, tuple[bool, str]] = {}
    has_columns = set(COLUMNS[:2]) <= set(table.header) and not table.twice()
    wrong = ""
    if not has_columns:
        wrong = f"its columns are {', '.join(table.header) or 'none'}"
    for number, row in enumerate(table.dicts() if has_columns else (), 2):
        label = row["participant_id"].strip().removeprefix("sub-")
        include = row["include"].strip().lower()
        reason = row.get("reason", "").strip()
        if label in (*NO_VALUE, *decisions) or include not in (*_WORDS, *NO_VALUE):
            wrong = f"line {number} is participant {label or 'n/a'}, include {row['include']}"
        elif include in _WORDS:
            decisions[label] = _WORDS[include], "" if reason in NO_VALUE else reason
    if wrong:
        raise DatasetError(
            f"{path}: {wrong}",
            expected="participant_id, each once, and include: true, false or n/a",
            remedy="correct it, download it again from a page, or remove it",
        )
    return decisions


def decision_lines(decisions: Decisions, labels: Collection[str]) -> list[str]:
    """Describe decisions in lines: participants who are left out, and unknown ones.

    Parameters
    ----------
    decisions
        Decisions of the output folder.
    labels
        Labels of its participants.

    Raises
    ------
    SettingsError
        A decision writes a label differently, e.g. 1 for 01.
    """
    ParticipantsTable(Path(FILE), {}, tuple(decisions)).require_labels(labels)
    left_out, unknown = [], []
    for label, (included, _) in sorted(decisions.items()):
        if label not in labels:
            unknown.append(f"sub-{label}")
        elif not included:
            left_out.append(f"sub-{label}")
    lines = []
    if left_out:
        number = counted(left_out, "participant")
        lines.append(f"{FILE} leaves out {number}: {', '.join(left_out)}")
    if unknown:
        number = counted(unknown, "participant")
        lines.append(f"{FILE} names {number} without results here: {named(unknown)}")
    return lines


def split_by_inclusion(
    decisions: Decisions, averages: Iterable[AverageFiles]
) -> tuple[list[AverageFiles], list[tuple[str, str]]]:
    """Return the averages that are included, and title and reason for the others.

    Raises
    ------
    DatasetError
        No average is left.
    """
    included, left_out = [], []
    for average in averages:
        counts, reason = decisions.get(average.participant, (True, ""))
        if counts:
            included.append(average)
        else:
            why = f"left out by {FILE}" + (f": {reason}" if reason else "")
            left_out.append((average.title, why))
    if left_out and not included:
        number = counted(left_out, "set")
        raise DatasetError(
            f"{FILE} leaves out everybody who has maps ({number})",
            remedy="include at least one participant, or remove the file",
        )
    return included, left_out


def page_facts(decisions: Decisions, labels: Sequence[str]) -> dict[str, Any]:
    """Return the data with which a page asks for decisions and writes them.

    Parameters
    ----------
    decisions
        Decisions in the output folder.
    labels
        Labels of the participants on the page, without sub-.
    """
    return {
        "file": FILE,
        "columns": list(COLUMNS),
        "people": [f"sub-{label}" for label in labels],
        "decided": {
            f"sub-{label}": {"include": include, "reason": reason}
            for label, (include, reason) in sorted(decisions.items())
        },
    }
