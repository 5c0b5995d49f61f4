"""The requested phenotypes, and how files are named after them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from bids_dtg.cohort.people import GroupPeople
from bids_dtg.errors import SettingsError
from bids_dtg.inputs.participants import (
    FAMILY_COLUMNS,
    PERSON_COLUMNS,
    SITE_COLUMNS,
    Column,
    plain_column,
)
from bids_dtg.notices import say


def phenotypes_asked(people: GroupPeople) -> tuple[str, ...]:
    """Return the phenotypes of ``--phenotype``, else all columns of numbers or of two levels.

    Covariates, families and sites are none of these.

    Raises
    ------
    SettingsError
        There is no table, no such column, no column that can be one, or two whose files would
        have the same names.
    """
    options = people.settings.statistics
    if options.phenotype:
        return _named_apart([people.column(name).name for name in options.phenotype])
    if people.table is None:
        raise SettingsError(
            "there is no table of participants with phenotypes",
            expected="--participants-file TSV, or participants.tsv in BIDS_DIR",
        )
    addresses = (*PERSON_COLUMNS, *FAMILY_COLUMNS, *SITE_COLUMNS)
    taken = {people.column(name).name for name in options.covariates}
    found = []
    for name in people.table.columns:
        if name in taken or plain_column(name) in addresses:
            continue
        column = people.any_column(name)
        if column.stray:
            say(f"{name} is no phenotype: it has {column.stray}, and numbers of the others")
        elif is_phenotype(column):
            found.append(name)
    if not found:
        raise SettingsError(
            f"{people.table.path} has no column of numbers or of two levels besides families, "
            "sites and covariates",
            remedy="name a phenotype with --phenotype",
        )
    return _named_apart(found)


def _named_apart(names: Sequence[str]) -> tuple[str, ...]:
    """Refuse phenotypes whose files would have the same names."""
    by_label: dict[str, str] = {}
    for name in dict.fromkeys(names):
        # Some file systems do not distinguish Score and score.
        if (other := by_label.setdefault(camel_case(name).casefold(), name)) != name:
            raise SettingsError(
                f"the phenotypes {other} and {name} would have files of the same names",
                remedy="name one of them with --phenotype",
            )
    return tuple(by_label.values())


def is_phenotype(column: Column) -> bool:
    """Return whether a column has two levels, or numbers that differ.

    Examples
    --------
    >>> is_phenotype(Column("sex", {"01": "F", "02": "M"}))
    True
    >>> is_phenotype(Column("eyes", {"01": "blue", "02": "brown", "03": "green"}))
    False
    """
    return len(column.levels) == 2 or (column.is_number and len(column.levels) > 2)


def camel_case(words: str) -> str:
    """Convert text to a value of a BIDS entity: letters without accents, and digits.

    Examples
    --------
    >>> camel_case("family_score edges")
    'familyScoreEdges'
    >>> camel_case("Körpergröße, cm")
    'KorpergroeCm'
    """
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    first, *others = list[str](re.findall("[^\\W_]+", plain)) or ["phenotype"]
    return first + "".join(word[0].upper() + word[1:] for word in others)
