"""Where participants of models of regions come from, and who of them takes part.

A source is files of arrays, or what the participant level has written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mode
from typing import Any, ClassVar, Generic, Self, TypeVar

from bids_dtg.cohort.recognised_participants import (
    Sketches,
    copies_in_words,
    with_copies,
)
from bids_dtg.cohort.region_tables import UNKNOWN_CLEANING, RegionTables, TableContent
from bids_dtg.cohort.splits import outside_split, read_split
from bids_dtg.errors import DatasetError
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.participants import Families
from bids_dtg.notices import counted, named
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import Split

Row = TypeVar("Row")


@dataclass(frozen=True, eq=False, kw_only=True)
class ParticipantSource(ABC):
    """Participants' values, all of the same regions; they are read on request."""

    sketched: ClassVar[str]  # what is sketched, in words
    # Options that leave out a copy of a participant's own values.
    choosing: ClassVar[str] = "--session-label, --participant-label"

    paths: tuple[Path, ...]  # files, or their folder
    labels: tuple[str, ...]  # of all participants, without sub-
    regions: tuple[str, ...]  # names
    families: Families
    notes: tuple[str, ...] = ()  # sentences on assumptions, and on what was left out
    atlas: str = ""  # key of the atlas of the regions; empty: not known
    atlas_digest: str = ""  # SHA-256 of the atlas, as `Atlas.digest`; empty: not known
    cleaning: str = UNKNOWN_CLEANING  # of the runs, in words
    files: tuple[Path, ...] = ()  # that were read, without arrays

    @abstractmethod
    def sketches(self, labels: Sequence[str]) -> Sketches:
        """Return sketches of the values, by which participants are recognised."""

    @classmethod
    def from_tables(
        cls, tables: RegionTables, contents: Sequence[TableContent], **fields: Any
    ) -> Self:
        """Return a source of tables; `fields` are those that its workflow knows."""
        first = contents[0]
        return cls(
            paths=(tables.root,),
            regions=first.names,
            notes=tables.lines,
            atlas=first.table.atlas,
            atlas_digest=first.table.atlas_digest,
            cleaning=mode(content.table.cleaning for content in contents),
            **fields,
        )


Source = TypeVar("Source", bound=ParticipantSource)


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelParticipants(Generic[Source]):
    """Participants to train or evaluate a model on."""

    source: Source
    labels: tuple[str, ...]  # requested participants who lack nothing
    # Training, validation and test sets; without --split-file all are for training.
    split: Split
    # Of the participants; labels with the same values are one family.
    families: Families
    sketches_by_name: Sketches  # by label and name, such as that of a session
    notes: tuple[str, ...]  # sentences on assumptions, and on participants left out
    files: tuple[Path, ...]  # that data are read from, except arrays

    def sketches(self, labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return sketches of participants' values, by which they are recognised."""
        sketches = self.sketches_by_name
        return {label: tuple(sketches.get(label, {}).values()) for label in labels}

    @staticmethod
    def shared_fields(
        settings: Settings,
        source: Source,
        labels: tuple[str, ...],
        left_out: Sequence[str],
        used: Collection[str] | None = None,
    ) -> dict[str, Any]:
        """Return the fields of participants: copies are related, and the split is read.

        Parameters
        ----------
        settings
            Options of the run.
        source
            Where values come from.
        labels
            Participants who take part.
        left_out
            Sentences on the others.
        used
            Names of the sketches of values that are used, as for `with_copies`; None: of all.

        Raises
        ------
        DatasetError
            Values occur twice in one participant.
        SettingsError
            The split cannot be used.
        """
        sketches = source.sketches(labels)
        families = with_copies(
            source.families, sketches, source.sketched, source.choosing, used
        )
        path = settings.modelling.split_file
        split = Split(training=labels, validation=(), test=())
        if path is not None:
            split = read_split(path, labels, families.by_label)
        return {
            "source": source,
            "labels": labels,
            "split": split,
            "families": families,
            "sketches_by_name": sketches,
            "notes": (
                *source.notes,
                *left_out,
                *copies_in_words(families, sketches, source.sketched),
                *outside_split(split, labels, str(path)),
            ),
            "files": source.files,
        }


def participants_without_lack(
    requested: Sequence[str],
    everybody: Sequence[str],
    lacking: Mapping[str, Collection[str]],
) -> tuple[tuple[str, ...], dict[str, str], list[str]]:
    """Return who lacks nothing, why others are left out, and sentences on these.

    Parameters
    ----------
    requested
        Labels of ``--participant-label``; empty: everybody.
    everybody
        Labels of all participants with files.
    lacking
        Participants who lack something, by what they have and lack.

    Raises
    ------
    DatasetError
        A requested participant has no files.
    """
    labels = [plain_label(label, "sub") for label in requested] or everybody
    wanted = tuple(dict.fromkeys(labels))
    present = frozenset(everybody)
    if absent := [label for label in wanted if label not in present]:
        raise DatasetError(
            f"there are no files of {', '.join(absent)}",
            expected=f"labels such as {named(everybody)}",
        )
    notes = []
    reasons: dict[str, str] = {}
    for reason, lacking_labels in lacking.items():
        if people := [label for label in wanted if label in lacking_labels]:
            number = counted(people, "participant")
            notes.append(f"left out: {number} with {reason} ({named(people)})")
            reasons |= dict.fromkeys(people, reason)
    whole = tuple(label for label in wanted if label not in reasons)
    left_out = {label: reasons[label] for label in wanted if label in reasons}
    return whole, left_out, notes


def read_rows(
    title: str,
    read_row: Callable[[str], Row],
    labels: Sequence[str],
    faults: Callable[[Row], list[str]],
    expected: str,
) -> list[Row]:
    """Read participants' rows, in this order; report all faults of all of them in one error.

    Parameters
    ----------
    title
        What is read, for the error message.
    read
        Returns a participant's row.
    labels
        Labels of the participants to read.
    faults
        Returns the faults of a row.
    expected
        Description of valid rows, for the error message.

    Raises
    ------
    DatasetError
        A row has faults; the message names participants and faults.
    """
    rows = [read_row(label) for label in labels]
    faulty = []
    for label, row in zip(labels, rows, strict=True):
        if faults_of_row := faults(row):
            faulty.append(f"sub-{label}: {named(faults_of_row)}")
    if faulty:
        raise DatasetError(
            f"{title} cannot be used for {counted(faulty, 'participant')}: "
            f"{named(faulty)}",
            expected=expected,
            remedy="remove the region for all participants, or name the other participants with "
            "--participant-label",
        )
    return rows
