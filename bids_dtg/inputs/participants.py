"""Tables of participants: variables, families, and the sets of a split."""

from __future__ import annotations

import dataclasses
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bids_dtg.errors import (
    DtgError,
    ForeignFileError,
    MissingFileError,
    SettingsError,
    did_you_mean,
)
from bids_dtg.files.foreign import (
    NO_VALUE,
    Table,
    is_missing,
    plain_number,
    read_json_object,
    read_table,
)
from bids_dtg.files.text import write_tsv
from bids_dtg.notices import counted, named, visible

# Names of columns in lower case without punctuation, which match HCP's Family_ID, for example.
_SESSION_COLUMN = "sessionid"  # as `plain_column` writes it
FAMILY_COLUMNS = ("familyid", "family", "famid")
SITE_COLUMNS = (
    "site",
    "siteid",
    "scanner",
    "scannerid",
    "acquisitionsite",
    "center",
    "centre",
)
PERSON_COLUMNS = ("participantid", "subjectid", "subject", "participant")
# Words that are values of a column, although they may have been meant as missing.
_MAYBE_NONE = ("0", "-1", "-", "none", "null", "unknown", "missing")
# Numbers that often stand for missing values, where no other number of a column is negative.
_USUAL_CODES = (-9, -99, -999, -9999)
# A spread below this share of the values' size is rounding.
_ROUNDING = 1e-9
# Columns whose values are names, even if some look like numbers.
_NAMES = (*SITE_COLUMNS, *FAMILY_COLUMNS, "session", "sessionid", "ses")
# What a data dictionary says of a code of missing values, in lower case without punctuation; and
# words that may stand beside it.
_MISSING = (
    "unknown",
    "missing",
    "not available",
    "not applicable",
    "not asked",
    "not known",
    "n a",
    "refused",
    "declined",
    "no answer",
    "invalid",
)
_NEUTRAL = frozenset(
    {
        *("a", "an", "by", "is", "item", "no", "not", "of", "or", "the", "to", "was"),
        *("answer", "code", "data", "entry", "information", "participant", "question"),
        *("recorded", "reported", "response", "score", "subject", "value", "values"),
    }
)
# Values between two listed ones, which are then the ends of a scale.
_FEWEST_BETWEEN = 3
# With this many cells, mostly numbers, text is taken for a mistake.
_FEWEST_CELLS = 5
# A decimal comma or commas between thousands: spreadsheets write these in many countries.
_WITH_COMMA = re.compile(r"[+-]?[\d.]*,[\d.,]*\d([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True)
class Column:
    """A column of a table of participants."""

    name: str  # as in the table
    # By label without sub-; participants without a value are absent.
    texts: Mapping[str, str]
    # Levels of a category in the data dictionary; empty: none, or Units say that it has numbers.
    listed_levels: tuple[str, ...] = ()
    # Sentences on what the data dictionary says of the values; empty: nothing unusual.
    notes: tuple[str, ...] = ()
    # Why the data dictionary, which may describe the column, cannot be read.
    fault: DtgError | None = None
    # Words that count as missing, such as NA, by label; without empty cells and n/a.
    missing: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _cells_as_numbers(self) -> Mapping[str, float]:
        """The cells as finite numbers, by label; empty if any cell is not one."""
        if self.words:
            return {}
        return {label: float(text) for label, text in self.texts.items()}

    @property
    def numbers(self) -> Mapping[str, float]:
        """The values as finite numbers, by label; empty if any is not one, or for a category."""
        return {} if self.listed_levels else self._cells_as_numbers

    @property
    def stray(self) -> str | None:
        """Description of cells that seem to be meant as numbers, but are none; None if none.

        These are numbers with a comma, and any text in a mostly numeric column. Columns of sites,
        families and sessions may hold any text, and so may categories with listed levels.

        Examples
        --------
        >>> Column("age", {"01": "9", "02": "8", "03": "7", "04": "8", "05": "?"}).stray
        "'?' of sub-05"
        >>> Column("age", {"01": "27,5", "02": "31"}).stray
        "'27,5' of sub-01"
        """
        if self.listed_levels or plain_column(self.name) in _NAMES:
            return None
        words = self.words
        cells = len(self.texts)
        with_comma = any(map(_WITH_COMMA.fullmatch, words.values()))
        mostly_numbers = cells >= _FEWEST_CELLS and 2 * len(words) < cells
        if not words or not (with_comma or mostly_numbers):
            return None
        in_order = sorted(words.items())
        return named([f"'{visible(text)}' of sub-{label}" for label, text in in_order])

    @property
    def words(self) -> dict[str, str]:
        """The cells that are not numbers, by label."""
        return {
            label: text
            for label, text in self.texts.items()
            if plain_number(text) is None
        }

    def require_usable(self) -> Column:
        """Return the column, unless some cells leave open whether it holds numbers.

        Raises
        ------
        SettingsError
            Cells look like misspelt numbers, or are numbers that are missing in listed levels; or
            the data dictionary cannot be read.
        """
        if self.fault is not None:
            raise self.fault
        if self.stray:
            has_numbers = len(self.texts) > len(self.words)
            numbers = ", and numbers for the others" if has_numbers else ""
            raise SettingsError(
                f"{self.name} has {self.stray}{numbers}",
                expected="numbers with a decimal point, or n/a where the value is unknown",
                remedy=f"if {self.name} is categorical, list its Levels, without Units, in the "
                "table's JSON file",
            )
        listed = {plain_number(level) for level in self.listed_levels}
        values = self._cells_as_numbers if self.listed_levels else {}
        unlisted = sorted(set(values.values()) - listed)
        if unlisted and plain_column(self.name) not in _NAMES:
            raise SettingsError(
                f"the table's JSON file lists Levels of {self.name}, but not "
                f"{named([f'{value:g}' for value in unlisted])}",
                expected=f"all Levels, or Units if {self.name} holds numbers",
            )
        return self

    def described(self, description: object, file: Path) -> Column:
        """Return the column as its description in a data dictionary says, with notes on it.

        Codes of missing values become n/a. Other `Levels` make a category, unless there are
        `Units`, or they are the two ends of a scale.

        Examples
        --------
        >>> levels = {"Levels": {"1": "control", "2": "patient", "9": "unknown"}}
        >>> group = Column("group", {"01": "1", "02": "9"}).described(levels, Path("p.json"))
        >>> group.listed_levels, dict(group.texts)
        (('1', '2'), {'01': '1'})
        >>> group.notes[0].partition(" in ")[0]
        'group: 9 is a code of missing values'
        """
        if not isinstance(description, Mapping):
            return self
        listed = description.get("Levels")
        if not isinstance(listed, Mapping | list):
            return self
        meanings = {str(level): _meaning(listed, level) for level in listed}
        codes: dict[str, str] = {}  # and why each of them means that there is no value
        for level, meaning in meanings.items():
            if self._says_missing(meaning or level):
                codes[level] = f"'{visible(meaning)}'" if meaning else "as it says"
            elif _is_outside(level, description):
                codes[level] = "outside its range"
        levels = tuple(level for level in meanings if level not in codes)
        column, notes = self._without(codes, file)
        units = str(description.get("Units") or "")
        if not is_missing(units) or not levels:
            return dataclasses.replace(column, notes=tuple(notes))
        if column._lies_between(levels):
            notes.append(
                f"{self.name} holds numbers, as {file.name} lists only its ends, "
                f"{' and '.join(levels)}"
            )
            return dataclasses.replace(column, notes=tuple(notes))
        are_numbers = all(plain_number(level) is not None for level in levels)
        if are_numbers and len(levels) > 2 and plain_column(self.name) not in _NAMES:
            notes.append(
                f"{self.name} is a category, as {file.name} lists its {len(levels)} Levels without "
                "Units; with Units, it would hold numbers"
            )
        return dataclasses.replace(column, listed_levels=levels, notes=tuple(notes))

    def with_note_on_codes(self, description: object, file: Path) -> Column:
        """Return the column with a note if negative numbers look like codes of missing values.

        Numbers that the data dictionary lists, or has in its range, are what it says.
        """
        numbers = {} if plain_column(self.name) in _NAMES else self.numbers
        measured = [value for value in numbers.values() if value not in _USUAL_CODES]
        codes = [
            value
            for value in numbers.values()
            if value in _USUAL_CODES and not _is_listed(value, description)
        ]
        if not codes or not measured or min(measured) < 0:
            return self
        written = [f"{code:g}" for code in sorted({*codes})]
        levels = {self.name: {"Levels": dict.fromkeys(written, "missing")}}
        note = (
            f"{self.name}: {' or '.join(written)} of {counted(codes, 'participant')} in the table "
            "is taken as a value; if it is a code of missing values, put "
            f"{json.dumps(levels, ensure_ascii=False)} into {file.name}"
        )
        return dataclasses.replace(self, notes=(*self.notes, note))

    def _says_missing(self, meaning: str) -> bool:
        """Return whether a level's text says that there is no value, and nothing else."""
        words = " ".join(re.findall(r"[^\W_]+", meaning.casefold()))
        name_words = re.findall(r"[^\W_]+", self.name.casefold())
        rest = f" {words} "
        for code in _MISSING:
            rest = rest.replace(f" {code} ", " ")
        return rest.split() != words.split() and set(rest.split()) <= {
            *_NEUTRAL,
            *name_words,
        }

    def _without(
        self, codes: Mapping[str, str], file: Path
    ) -> tuple[Column, list[str]]:
        """Return the column without cells that are codes, and a note on each code that occurs."""
        texts, notes = dict(self.texts), []
        for code, why in codes.items():
            number = plain_number(code)
            coded = [
                label
                for label, text in texts.items()
                if text == code or (number is not None and plain_number(text) == number)
            ]
            for label in coded:
                del texts[label]
            if coded:
                people = f"{counted(coded, 'participant')} without a value"
                notes.append(
                    f"{self.name}: {code} is a code of missing values in {file.name} ({why}), "
                    f"{people}"
                )
        return dataclasses.replace(self, texts=texts), notes

    def _lies_between(self, levels: Sequence[str]) -> bool:
        """Return whether two levels are the ends of a scale, by the numbers between them."""
        if len(levels) != 2 or None in map(plain_number, levels):
            return False
        low, high = sorted(map(float, levels))
        values = set(self._cells_as_numbers.values()) - {low, high}
        return (
            len(values) >= _FEWEST_BETWEEN and low < min(values) <= max(values) < high
        )

    @property
    def is_number(self) -> bool:
        """Whether all values are finite numbers, and the column is not a category."""
        return bool(self.numbers)

    @property
    def is_category(self) -> bool:
        """Whether it is a category as a covariate: sites are, even if they are numbers."""
        return not self.is_number or plain_column(self.name) in SITE_COLUMNS

    @property
    def is_constant(self) -> bool:
        """Whether everybody has the same value, but for rounding; whole numbers are exact.

        Examples
        --------
        >>> Column("minutes", {"01": "6.667", "02": "6.666999999999999"}).is_constant
        True
        """
        if len(set(self.texts.values())) < 2:
            return True
        values = self.numbers.values()
        if all(value.is_integer() for value in values):  # of words, there are none
            return False
        spread = max(values) - min(values)
        return spread < _ROUNDING * max(map(abs, values))

    def of(self, labels: Iterable[str]) -> Column:
        """Return the column of some participants; 1 and 1.0 become one level.

        Examples
        --------
        >>> Column("group", {"01": "1", "02": "1.0", "03": "0"}).of(["01", "02"]).levels
        ('1',)
        """
        texts = {label: self.texts[label] for label in labels if label in self.texts}
        column = dataclasses.replace(self, texts=texts)
        spelling: dict[float, str] = {}  # the first of each number
        same_spelling = {
            label: spelling.setdefault(number, texts[label])
            for label, number in column._cells_as_numbers.items()
        }
        return dataclasses.replace(self, texts=same_spelling or texts)

    @property
    def levels(self) -> tuple[str, ...]:
        """The different values, sorted; numbers in numerical order."""
        levels = set(self.texts.values())
        if self._cells_as_numbers:
            return tuple(sorted(levels, key=float))
        return tuple(sorted(levels))

    @property
    def levels_sentence(self) -> str:
        """The levels in words, for the log and pages."""
        return f"{self.name} has the levels {', '.join(map(visible, self.levels))}"


@dataclass(frozen=True)
class ParticipantsTable:
    """A table with one row per participant."""

    path: Path
    # By name, in the table's order; without the column of labels.
    columns: Mapping[str, Column]
    labels: tuple[str, ...] = ()  # of all rows, without sub-

    def find(self, name: str) -> Column:
        """Return the column of a name, in upper or lower case.

        Raises
        ------
        SettingsError
            There is no such column; the most similar name is suggested.
        """
        column = self.columns.get(name) or self.first_of([plain_column(name)])
        if column is None:
            raise SettingsError(
                f"{self.path} has no column {name}",
                expected=f"one of {named(list(self.columns)) or 'that name'}",
                remedy=did_you_mean(name, self.columns),
            )
        return column

    def first_of(self, names: Sequence[str]) -> Column | None:
        """Return the column that matches the first possible of several `plain_column` names."""
        columns = {plain_column(name): column for name, column in self.columns.items()}
        return next((columns[name] for name in names if name in columns), None)

    def require_labels(self, labels: Collection[str]) -> None:
        """Refuse labels that are written differently from the data's, as 1, 1.0 or SUB-01 for 01.

        Raises
        ------
        SettingsError
            The table has such a label, but not the label of the data.
        """
        listed = set(self.labels)
        unlisted = {
            _plain_label(label): label for label in labels if label not in listed
        }
        for label in sorted(listed - set(labels)):
            fitting = unlisted.get(_plain_label(label))
            if fitting is not None:
                raise SettingsError(
                    f"{self.path} has participant {label}, but the data have sub-{fitting}, who "
                    "is not in the table",
                    expected=f"{fitting} or sub-{fitting}",
                    remedy="write labels as text, as spreadsheets drop zeros before a number and "
                    "add .0",
                )

    def note_on_labels(self, labels: Collection[str]) -> str | None:
        """Return a note on the table's participants who are not among these labels."""
        strangers = sorted(set(self.labels) - set(labels))
        if not strangers:
            return None
        count = counted(strangers, "participant")
        without = f"{count} in the table without maps here"
        return f"{self.path}: {without} ({named(strangers)})"


def read_participants(path: Path, sessions: Sequence[str] = ()) -> ParticipantsTable:
    """Read a table of participants, with tabs or commas, and the data dictionary beside it.

    Of a table with the column session_id, a row a session, one session is read: that of `sessions`,
    which are those of the call.

    Parameters
    ----------
    path
        ``participants.tsv`` of a dataset, or any table with the column participant_id. A JSON file
        of the same name may list ``Levels``, which make a column a category, unless they are codes
        of missing values or the ends of a scale, and ``Units``, which make it a column of numbers
        even so.

    Raises
    ------
    SettingsError
        It cannot be read, has no column of labels, has two columns of the same name, or has a
        participant twice with different values. A JSON file that cannot be read is an error of
        each column, once it is used.
    """
    table = _read_table_of_people(path, sessions)
    file = path.with_suffix(".json")
    columns = {}
    try:
        descriptions = read_json_object(file)
    except MissingFileError:
        descriptions = {}
    except ForeignFileError as err:
        fault = err.as_kind(SettingsError, remedy="repair or remove it")
        for name, column in table.columns.items():
            columns[name] = dataclasses.replace(column, fault=fault)
        return dataclasses.replace(table, columns=columns)
    for name, column in table.columns.items():
        description = descriptions.get(name)
        described = column.described(description, file)
        columns[name] = described.with_note_on_codes(description, file)
    return dataclasses.replace(table, columns=columns)


def _meaning(levels: Mapping[str, object] | list[object], level: object) -> str:
    """Return what a data dictionary says of a level; empty where it lists names only."""
    meaning = levels.get(str(level)) if isinstance(levels, Mapping) else None
    if isinstance(meaning, Mapping):
        meaning = meaning.get("Description")
    return str(meaning or "")


def _is_listed(number: float, description: object) -> bool:
    """Return whether a description lists a number, or has it in the range that it states."""
    if not isinstance(description, Mapping):
        return False
    levels = description.get("Levels")
    listed = levels if isinstance(levels, Mapping | list) else ()
    low = plain_number(str(description.get("Minimum", "")))
    in_range = low is not None and low <= number
    return in_range or number in {plain_number(str(level)) for level in listed}


def _is_outside(level: str, description: Mapping[str, object]) -> bool:
    """Return whether a number is outside the range that a description states for its column."""
    number = plain_number(level)
    if number is None:
        return False
    low = plain_number(str(description.get("Minimum", "")))
    high = plain_number(str(description.get("Maximum", "")))
    return (low is not None and number < low) or (high is not None and number > high)


def _read_table_of_people(
    path: Path, sessions: Sequence[str] = ()
) -> ParticipantsTable:
    """Read a table of participants, or of one of their sessions, without its data dictionary."""
    expected = "a table with the column participant_id and one row per participant"
    try:
        table = read_table(path, None)
    except ForeignFileError as err:
        raise err.as_kind(SettingsError, expected=expected) from err
    plain_names = [plain_column(name) for name in table.header]
    label_names = [name for name in PERSON_COLUMNS if name in plain_names]
    if not label_names or table.twice():
        fault = f"has the columns {named(table.header)}" if table.header else "is empty"
        raise SettingsError(
            f"{path} {fault}", expected=f"{expected}, and each column once"
        )
    label_column = plain_names.index(label_names[0])
    table = _session_rows(table, plain_names, sessions)
    labels = [row[label_column].strip().removeprefix("sub-") for row in table.rows]
    columns = {
        name: _column(table, labels, number)
        for number, name in enumerate(table.header)
        if number != label_column
    }
    return ParticipantsTable(path, columns, tuple(dict.fromkeys(labels)))


def _session_rows(
    table: Table, plain_names: Sequence[str], sessions: Sequence[str]
) -> Table:
    """Return the rows of the only session of a call, if the table has a row a session."""
    if len(sessions) != 1 or _SESSION_COLUMN not in plain_names:
        return table
    column = plain_names.index(_SESSION_COLUMN)
    wanted = sessions[0].removeprefix("ses-")
    rows = [
        row for row in table.rows if row[column].strip().removeprefix("ses-") == wanted
    ]
    if not rows:
        raise SettingsError(
            f"{table.path} has no row of session {wanted}",
            expected="a row for each participant's session, by its column session_id",
        )
    return dataclasses.replace(table, rows=tuple(rows))


def _plain_label(label: str) -> str:
    """Simplify a label, so that variants typed by people or made by spreadsheets are equal.

    Examples
    --------
    >>> [_plain_label(label) for label in ("01", "1", "1.0", "SUB-01", "Sub-1", "00", "")]
    ['1', '1', '1', '1', '1', '0', '']
    >>> _plain_label("sim01"), _plain_label("sim10")
    ('sim1', 'sim10')
    """
    plain = re.sub(r"^sub-|\.0+$", "", label.casefold())
    return re.sub(r"(?<!\d)0+(?=\d)", "", plain)


def plain_text(text: str) -> str:
    """Return a cell with composed letters, so that two spellings of a word are one level."""
    return unicodedata.normalize("NFC", text.strip())


def _column(table: Table, labels: Sequence[str], column: int) -> Column:
    """Return a column, given the label of each row."""
    texts: dict[str, str] = {}  # by label
    missing: dict[str, str] = {}
    for label, row in zip(labels, table.rows, strict=True):
        text = plain_text(row[column])
        if not label:
            continue
        if is_missing(text):
            if text.casefold() not in NO_VALUE:
                missing[label] = text
            continue
        if texts.setdefault(label, text) != text:
            raise SettingsError(
                f"{table.path} has two values of {table.header[column]} for sub-{label}, "
                f"{texts[label]} and {text}",
                expected="one row per participant",
                remedy="choose one session with --session-label"
                if _SESSION_COLUMN in map(plain_column, table.header)
                else "",
            )
    missing = {label: word for label, word in missing.items() if label not in texts}
    return Column(table.header[column], texts, missing=missing)


def plain_column(name: str) -> str:
    """Simplify a column's name, so that names are equal whatever their case and punctuation.

    Examples
    --------
    >>> plain_column("Family_ID")
    'familyid'
    """
    composed = unicodedata.normalize("NFC", name)
    return "".join(letter for letter in composed.casefold() if letter.isalnum())


def words_for_missing(
    texts: Mapping[str, str],
    missing: Mapping[str, str],
    labels: Iterable[str],
    meanings: tuple[str, str],
) -> list[str]:
    """Describe words of a column that count as missing, and words that may have been meant so.

    Parameters
    ----------
    texts, missing
        As in `Column`.
    labels
        Labels of the people in question.
    meanings
        What a missing word counts as, and what another word does.

    Examples
    --------
    >>> sites = {"01": "none", "02": "none", "03": "Oslo"}
    >>> words_for_missing(sites, {"04": "NA"}, ["01", "02", "04"], ("no site", "a site"))
    ["'NA' of 1 participant counts as no site", "'none' of 2 participants counts as a site"]
    """
    people = list(labels)
    missing_counts = Counter(missing[label] for label in people if label in missing)
    words = [texts[label] for label in people if label in texts]
    maybe = Counter(word for word in words if word.casefold() in _MAYBE_NONE)
    return [
        f"'{visible(word)}' of {counted(count, 'participant')} counts as {meaning}"
        for counts, meaning in zip((missing_counts, maybe), meanings, strict=True)
        for word, count in counts.items()
    ]


_TABLES = ("participants.tsv", "participants.csv")


@dataclass(frozen=True)
class Families:
    """The family of each participant."""

    # Label -> family; participants not listed count as unrelated.
    by_label: Mapping[str, str] = field(default_factory=dict)
    source: str = ""  # the table and its column; empty if there is none
    trouble: str = ""  # why the first table could not be used, if no other has families
    # Why no families are known.
    absent: str = "no column family_id in participants.tsv or .csv"
    # Labels with the same rest, which form one family.
    copies: tuple[tuple[str, ...], ...] = ()
    # Words of the column that count as missing, by label.
    missing: Mapping[str, str] = field(default_factory=dict)

    def require_known(self) -> None:
        """Raise an error if a table that may list families exists but cannot be used.

        Raises
        ------
        SettingsError
            The message names the table and its fault.
        """
        if self.trouble:
            raise SettingsError(
                f"the families are not known: {self.trouble}",
                expected="a table with the columns participant_id and family_id, or none",
                remedy="repair or remove it, or give a split with --split-file, as a random split "
                "may have relatives on both sides",
            )

    def relatives(self, labels: Iterable[str]) -> set[str]:
        """Return participants together with all members of their families.

        Examples
        --------
        >>> sorted(Families({"01": "A", "02": "B", "03": "A"}, "").relatives(["01", "04"]))
        ['01', '03', '04']
        """
        people = set(labels)
        families = {self.by_label[label] for label in people if label in self.by_label}
        for label, family in self.by_label.items():
            if family in families:
                people.add(label)
        return people

    def line(
        self,
        labels: Sequence[str],
        unknown: str = "relatives may be on both sides of a split",
    ) -> str:
        """Describe the number of families or, if none are known, the consequence."""
        families = [self.by_label[label] for label in labels if label in self.by_label]
        members = Counter(families)
        shared = {
            label: family
            for label, family in self.by_label.items()
            if members[family] > 1
        }
        meanings = "no family", "one family"
        notes = words_for_missing(shared, self.missing, labels, meanings)
        noted = "".join(f"; {note}" for note in notes)
        if not families:
            why = self.trouble or self.absent
            return f"families: none are known ({why}): {unknown}{noted}"
        number = counted(members, "family", "families")
        words = f"{counted(families, 'participant')} in {number}"
        rest = len(labels) - len(families)
        alone = f"; {rest} without a family count as unrelated" if rest else ""
        return f"{words} ({self.source}){alone}{noted}"


def read_families(
    roots: Sequence[Path], tables: Sequence[Path] = (), labels: Collection[str] = ()
) -> Families:
    """Read the families of participants from the first table that has them.

    These are tried in order: `tables`, then `participants.tsv` and `participants.csv` of each
    folder, with tabs or commas. The column may be called family_id, Family_ID, familyID or family.

    Raises
    ------
    SettingsError
        The table has another spelling of one of `labels`, the participants in question.
    """
    trouble = ""
    paths = [*tables, *(root / name for root in roots for name in _TABLES)]
    for path in dict.fromkeys(paths):
        if not path.exists():
            continue
        try:
            table = _read_table_of_people(path)
        except SettingsError as err:
            trouble = trouble or err.found
            continue
        column = table.first_of(FAMILY_COLUMNS)
        if column is not None and (column.texts or column.missing):
            table.require_labels(labels)
            source = f"{path}, column {column.name}"
            absent = f"{source}, has no value"
            return Families(column.texts, source, absent=absent, missing=column.missing)
    return Families(trouble=trouble)


def read_sets(
    path: Path, sets: Sequence[str], labels: Collection[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Read the labels of each set from a table with the columns participant_id and set.

    Raises
    ------
    SettingsError
        It cannot be read, has an unknown set, has a participant in two sets, or has another
        spelling of one of `labels`, the participants to be split.
    """
    table = _read_table_of_people(path)
    column = table.find("set")
    set_of_label = {label: column.texts.get(label, "") for label in table.labels}
    unknown = sorted(set(set_of_label.values()) - set(sets))
    if unknown:
        raise SettingsError(
            f"{path} has the set {unknown[0]!r}", expected=f"{', '.join(sets)}"
        )
    table.require_labels(labels)
    return {
        name: tuple(label for label in set_of_label if set_of_label[label] == name)
        for name in sets
    }


def write_sets(path: Path, sets: Mapping[str, Sequence[str]]) -> None:
    """Write a table with the columns participant_id and set, for `read_sets`."""
    rows = sorted(
        (f"sub-{label}", name) for name, labels in sets.items() for label in labels
    )
    write_tsv(path, ["participant_id", "set"], rows)
