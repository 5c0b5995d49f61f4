"""Covariates of people: columns of the table of participants that ``--covariates`` names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bids_dtg.cohort.people import table_path
from bids_dtg.errors import SettingsError
from bids_dtg.inputs.participants import SITE_COLUMNS, Column, plain_column, read_participants
from bids_dtg.notices import counted, named, say
from bids_dtg.settings import Settings
from bids_dtg.twin.adjustment import Covariates


def read_covariates(
    settings: Settings, labels: Sequence[str], names: Sequence[str] | None = None
) -> Covariates:
    """Read columns of the table; sites are categories, whatever they are written as.

    People without a value are reported, and stay: baselines take the training people's mean.

    Parameters
    ----------
    settings
        Options of the call.
    labels
        Labels of the people, in this order.
    names
        Names of the columns; None: those of ``--covariates``.

    Raises
    ------
    SettingsError
        There is no table or no such column, nobody has a value, or a cell is no number where most
        are.
    """
    asked = settings.statistics.covariates if names is None else names
    if not asked:
        return Covariates()
    path = table_path(settings)
    if path is None:
        raise SettingsError(
            f"there is no table of participants with a column {asked[0]}",
            expected="--participants-file TSV, or participants.tsv in BIDS_DIR",
        )
    table = read_participants(path)
    table.require_labels(labels)
    columns = [_checked(table.find(name).of(labels), labels) for name in asked]
    numbers = [column for column in columns if _is_number(column)]
    categories = [column for column in columns if not _is_number(column)]
    return Covariates(
        tuple(column.name for column in numbers),
        np.array([[own.numbers.get(label, np.nan) for own in numbers] for label in labels])
        if numbers
        else None,
        tuple(column.name for column in categories),
        np.array([[own.texts.get(label, "") for own in categories] for label in labels], np.str_)
        if categories
        else None,
    )


def _is_number(column: Column) -> bool:
    return column.is_number and plain_column(column.name) not in SITE_COLUMNS


def _checked(column: Column, labels: Sequence[str]) -> Column:
    """Refuse a column that says nothing of these people; report those without a value."""
    if not column.texts:
        raise SettingsError(
            f"--covariates {column.name}: none of {counted(len(labels), 'participant')} has a "
            "value",
            expected=f"labels such as sub-{labels[0]} in the table",
        )
    if column.stray:
        raise SettingsError(
            f"{column.name} has {column.stray}, and numbers of the others",
            expected="numbers, or n/a where nothing is known",
            remedy=f"if {column.name} is no number, list its Levels in the table's JSON file",
        )
    lacking = [f"sub-{label}" for label in labels if label not in column.texts]
    if lacking:
        say(
            f"{column.name}: {counted(len(lacking), 'participant')} without a value "
            f"({named(lacking)}): the training people's mean is taken"
        )
    return column
