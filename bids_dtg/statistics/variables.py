"""The requested phenotypes and covariates as numbers, and as parts of file names."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np

from bids_dtg.array_types import Float64
from bids_dtg.cohort.group_participants import GroupParticipants, gather_participants
from bids_dtg.errors import SettingsError
from bids_dtg.inputs.participants import (
    FAMILY_COLUMNS,
    PERSON_COLUMNS,
    SITE_COLUMNS,
    Column,
    plain_column,
)
from bids_dtg.notices import counted, say
from bids_dtg.settings import Settings
from bids_dtg.statistics.options import PhenotypeOptions
from bids_dtg.stats.coding import Coded, add_levels, scaled
from bids_dtg.workflows import FeatureKind

_LONGEST_NAME = 100  # characters of a phenotype in the name of a file
_NOTHING = 1e-8  # of a phenotype's size: what rounding leaves of it
_LARGEST = 1e100  # largest value of a phenotype; squares of larger ones may overflow


def gather_with_covariates(settings: Settings) -> GroupParticipants:
    """Find people with results and all covariates; refuse covariates that cannot be used.

    Raises
    ------
    DatasetError, SettingsError
        As `gather_participants`, or a covariate cannot be used.
    """
    names = settings.statistics.covariates
    people = gather_participants(settings).complete(names)
    people.covariates(people.varying(names))
    return people


def phenotype_names(people: GroupParticipants) -> tuple[str, ...]:
    """Return the phenotypes of ``--phenotype``, else all numeric or two-level columns.

    Covariates, families and sites are never phenotypes.

    Raises
    ------
    SettingsError
        There is no table, no such column, or no column that can be a phenotype.
    """
    options = people.settings.statistics
    names = people.settings.part(PhenotypeOptions).phenotype
    if names:
        named = tuple(dict.fromkeys(people.column(name).name for name in names))
        return require_unexplained(people, named)
    reserved = (*PERSON_COLUMNS, *FAMILY_COLUMNS, *SITE_COLUMNS)
    covariates = {people.column(name).name for name in options.covariates}
    columns = people.table.columns if people.table else {}
    phenotypes = []
    for name, whole_column in columns.items():
        if name in covariates or plain_column(name) in reserved:
            continue
        try:
            column = whole_column.of(people.labels).require_usable()
        except SettingsError as err:
            say(f"not a phenotype: {err.found}")
            continue
        if is_phenotype(column):
            phenotypes.append(name)
    if not phenotypes:
        raise SettingsError(
            "there is no table of participants with a numeric or two-level column besides "
            "families, sites and covariates",
            expected="--participants-file TSV, or participants.tsv in BIDS_DIR",
            remedy="name a phenotype with --phenotype",
        )
    return require_unexplained(people, phenotypes)


def require_unexplained(
    people: GroupParticipants, names: Sequence[str]
) -> tuple[str, ...]:
    """Return the phenotypes that the covariates do not determine; name the others.

    Raises
    ------
    SettingsError
        There is none.
    """
    reasons = {name: _why_explained(people, people.column(name)) for name in names}
    explained = [reason for reason in reasons.values() if reason]
    if len(explained) == len(names):
        raise SettingsError(
            explained[0],
            expected="a phenotype that they do not determine",
            remedy="leave one of them out",
        )
    for reason in explained:
        people.note(f"not predicted: {reason}")
    return tuple(name for name in names if not reasons[name])


def is_phenotype(column: Column) -> bool:
    """Return whether a column has two levels, or different numbers.

    Examples
    --------
    >>> is_phenotype(Column("sex", {"01": "F", "02": "M"}))
    True
    >>> is_phenotype(Column("eyes", {"01": "blue", "02": "brown", "03": "green"}))
    False
    """
    if column.is_constant:
        return False
    return len(column.levels) == 2 or (column.is_number and len(column.levels) > 2)


def values_of(column: Column, labels: Sequence[str]) -> Float64:
    """Return a phenotype of people as numbers; of two sorted levels, the second is 1.

    Raises
    ------
    ValueError
        There are three or more levels of text, or numbers are too large or too close for squares.

    Examples
    --------
    >>> values_of(Column("sex", {"01": "F", "02": "M"}), ["02", "01"])
    array([1., 0.])
    """
    if column.is_number:
        values = np.array([column.numbers[label] for label in labels])
        if np.abs(values).max() > _LARGEST or 0 < np.ptp(values) < 1 / _LARGEST:
            raise ValueError(
                f"its values exceed {_LARGEST:g}, or differ by less than its inverse"
            )
        return values
    if len(column.levels) > 2:
        raise ValueError(
            f"it has {len(column.levels)} levels; numbers or two levels are expected"
        )
    second = column.levels[-1]
    return np.array([float(column.texts[label] == second) for label in labels])


def _why_explained(people: GroupParticipants, column: Column) -> str:
    """Say that the requested covariates determine a phenotype; empty if they do not."""
    covariates = people.settings.statistics.covariates
    names = [name for name in covariates if name != column.name]
    people = people.of(column.texts)
    try:
        values = values_of(column, people.labels)
        coded = people.covariates(names).values
    except (ValueError, SettingsError):  # reported where these people are tested
        return ""
    if not names or len(people) < coded.shape[1] + 3:  # so few people fit anything
        return ""
    design = np.column_stack([np.ones(len(people)), scaled(coded)])
    residuals = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    if np.linalg.norm(residuals) > _NOTHING * np.linalg.norm(values - values.mean()):
        return ""
    return f"{column.name} is a linear combination of the covariates {', '.join(names)}"


def covariates_of(
    people: GroupParticipants,
    kind: FeatureKind,
    name: str,
    tested: Float64,
    remark: Callable[[str], None],
) -> Coded:
    """Return the covariates of people: the requested ones, those of the features, and the sites.

    Parameters
    ----------
    people
        The people of a test.
    kind
        The kind of features, which may have covariates of its own.
    name, tested
        The phenotype and its values, (people,), which the covariates must not fully explain.
    remark
        Called with a sentence where sites cannot be a covariate.
    """
    options = people.settings.statistics
    chosen = [people.column(covariate).name for covariate in options.covariates]
    varying = people.varying(list(dict.fromkeys((*chosen, *kind.covariates))))
    for covariate in chosen:
        if covariate not in varying:
            number = counted(people, "participant")
            people.note(f"{covariate} is the same for all {number}: no covariate", name)
    covariates, sites = people.covariates(varying), people.site_column
    if sites is None or sites.name in chosen:
        return covariates
    # Without sites as a covariate, differences between sites would add noise to the test.
    levels = [sites.texts.get(label, "") for label in people.labels]
    try:
        return add_levels(covariates, sites.name, levels, tested)
    except ValueError as err:
        remark(f"Sites: {sites.name} is not a covariate of {name}: {err}")
        return covariates


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
    first, *later = list[str](re.findall("[^\\W_]+", plain)) or ["phenotype"]
    joined = first + "".join(word[0].upper() + word[1:] for word in later)
    if len(joined) <= _LONGEST_NAME:
        return joined
    # A file's name has 255 bytes at most; two names with the same beginning stay two.
    digest = hashlib.sha256(joined.encode()).hexdigest()[:8]
    return joined[: _LONGEST_NAME - len(digest)] + digest
