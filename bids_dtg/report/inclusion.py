"""Inclusion in averages over people: decisions made on a page, read by the group level.

Pages keep decisions in the browser and download them as a table. A user puts the table into the
output folder, and the group level then averages without the participants that it excludes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bids_dtg.errors import DatasetError, ForeignFileError, MissingFileError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.foreign import Table, read_table
from bids_dtg.files.text import write_json
from bids_dtg.inputs.participants import ParticipantsTable
from bids_dtg.notices import counted, named
from bids_dtg.report.contents import AverageFiles

FILE = "desc-inclusion_participants.tsv"  # at the output folder's root
COLUMNS = ("participant_id", "include", "reason")
DICTIONARY = {
    "participant_id": {"Description": "Participant with a decision"},
    "include": {
        "Description": "Whether averages over people count the participant; n/a: not decided, who "
        "counts",
        "Levels": {"true": "The participant counts", "false": "The participant is left out"},
    },
    "reason": {"Description": "Why, in the words of who decided; n/a where none was given"},
}
_NOT_KNOWN = ("n/a", "")
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True)
class Inclusion:
    """The decisions that an output folder holds."""

    # By label without sub-: whether averages count the participant, and why ("": not said).
    decisions: Mapping[str, tuple[bool, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # lines on rows that cannot be used

    def lines(self, labels: Collection[str]) -> tuple[str, ...]:
        """Describe the decisions: participants left out, and rows that cannot be used.

        Parameters
        ----------
        labels
            Of the participants that the output folder has.

        Raises
        ------
        SettingsError
            A decision names somebody whose label is written otherwise, as 1 for 01.
        """
        ParticipantsTable(Path(FILE), {}, tuple(self.decisions)).require_labels(labels)
        decided = sorted(self.decisions.items())
        gone = [f"sub-{label}" for label, (kept, _) in decided if label in labels and not kept]
        unknown = [f"sub-{label}" for label, _ in decided if label not in labels]
        lines = list(self.notes)
        if gone:
            lines.append(
                f"{FILE} leaves out {counted(len(gone), 'participant')}: {', '.join(gone)}"
            )
        if unknown:
            lines.append(
                f"{FILE} names {counted(len(unknown), 'participant')} without results here: "
                f"{named(unknown)}"
            )
        return tuple(lines)

    def split(
        self, averages: Iterable[AverageFiles]
    ) -> tuple[list[AverageFiles], list[tuple[str, str]]]:
        """Return the averages of maps that count, and title and reason of the others.

        Raises
        ------
        DatasetError
            None is left.
        """
        kept, gone = [], []
        for made in averages:
            label = made.title.partition("_")[0].removeprefix("sub-")
            counts, reason = self.decisions.get(label, (True, ""))
            if counts:
                kept.append(made)
            else:
                why = f"left out by {FILE}" + (f": {reason}" if reason else "")
                gone.append((made.title, why))
        if gone and not kept:
            raise DatasetError(
                f"{FILE} leaves out everybody who has maps ({counted(len(gone), 'average')})",
                remedy="keep somebody, or remove the file",
            )
        return kept, gone


def read_inclusion(output: DerivativeDataset) -> Inclusion:
    """Read the decisions of an output folder; nobody is left out where it has none.

    Rows that cannot be used are named in a line, and their participants count.

    Raises
    ------
    DatasetError
        The file is there and is no such table: nobody knows who is to be left out.
    """
    path = output.root / FILE
    try:
        table = read_table(path)
    except MissingFileError:
        return Inclusion()
    except ForeignFileError as err:
        raise err.as_kind(DatasetError, remedy="download it again from a page") from err
    missing = [name for name in COLUMNS[:2] if name not in table.header]
    if missing or table.twice():
        raise DatasetError(
            f"{path} has the columns {', '.join(table.header) or 'of an empty file'}",
            expected=f"{' and '.join(COLUMNS[:2])}, each once",
            remedy="download it again from a page, or remove it",
        )
    return _decisions(table)


def describe_inclusion(output: DerivativeDataset) -> None:
    """Write the data dictionary beside the table, where there is a table.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    if (output.root / FILE).is_file():
        write_json(output.path(FILE).with_suffix(".json"), DICTIONARY)


def page_facts(inclusion: Inclusion, labels: Sequence[str]) -> dict[str, Any]:
    """Return the data with which a page asks for decisions and writes them.

    Parameters
    ----------
    inclusion
        Decisions that the output folder holds.
    labels
        Of the participants on the page, without sub-.
    """
    return {
        "file": FILE,
        "columns": list(COLUMNS),
        "people": [f"sub-{label}" for label in labels],
        "decided": {
            f"sub-{label}": {"include": include, "reason": reason}
            for label, (include, reason) in sorted(inclusion.decisions.items())
        },
    }


def _decisions(table: Table) -> Inclusion:
    decisions: dict[str, tuple[bool, str]] = {}
    damaged = []
    for number, row in enumerate(table.dicts(), 2):
        label = row["participant_id"].strip().removeprefix("sub-")
        include, reason = row["include"].strip().lower(), row.get("reason", "").strip()
        if include in _NOT_KNOWN and label not in _NOT_KNOWN:
            continue
        if label in _NOT_KNOWN or include not in _WORDS:
            damaged.append(f"line {number} ({row['participant_id']}, include {row['include']})")
        elif label in decisions:
            damaged.append(f"line {number} (sub-{label} a second time)")
        else:
            decisions[label] = _WORDS[include], "" if reason in _NOT_KNOWN else reason
    if not damaged:
        return Inclusion(decisions)
    note = (
        f"{FILE}: the program passes over {counted(len(damaged), 'row')} that it cannot use: "
        f"{', '.join(damaged[:5])}{', ...' * (len(damaged) > 5)}. Expected: a participant "
        "once, and true, false or n/a"
    )
    return Inclusion(decisions, (note,))
