"""Covariates of participants, such as age and site, from their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bids_dtg.array_types import Values
from bids_dtg.cohort.group_participants import table_path
from bids_dtg.errors import SettingsError
from bids_dtg.inputs.participants import Column, read_participants
from bids_dtg.notices import counted, named, say
from bids_dtg.settings import Settings
from bids_dtg.twin.adjustment import Adjustment, Covariates


def read_covariates(
    settings: Settings, labels: Sequence[str], adjustment: Adjustment | None = None
) -> Covariates:
    """Read columns of the participants table; sites are categories, even if they are numbers.

    People without a value are reported and kept; the training people's mean is used for them.

    Parameters
    ----------
    settings
        Options of the run.
    labels
        Labels of the people, in this order.
    adjustment
        That of a model, whose columns are read, categories as categories; None: those of
        ``--covariates``.

    Raises
    ------
    SettingsError
        There is no table or no such column, nobody has a value, it is unclear whether a column
        holds numbers, or a column of the model's numbers holds none.
    """
    names = settings.statistics.covariates
    if adjustment is not None:
        names = adjustment.asked
    if not names:
        return Covariates()
    path = table_path(settings)
    if path is None:
        raise SettingsError(
            f"there is no table of participants with a column {names[0]}",
            expected="--participants-file TSV, or participants.tsv in BIDS_DIR",
        )
    table = read_participants(path)
    table.require_labels(labels)
    categories = frozenset() if adjustment is None else adjustment.categories
    values: dict[str, Values] = {}
    for name in names:
        column = _checked(table.find(name).of(labels), labels)
        if adjustment is not None and column.is_category and name not in categories:
            raise SettingsError(
                f"{path}: {column.name} is categorical, and the model adjusts for its numbers",
                expected="the same kind of column as in training",
            )
        cells: Mapping[str, Any] = column.numbers
        missing: object = np.nan
        if column.is_category or name in categories:
            cells, missing = column.texts, ""
        covariate = np.array([cells.get(label, missing) for label in labels])
        values[column.name if adjustment is None else name] = covariate
    return Covariates(values)


def _checked(column: Column, labels: Sequence[str]) -> Column:
    """Refuse a column without values of these people; report people without a value."""
    if not column.texts:
        raise SettingsError(
            f"--covariates {column.name}: none of {counted(labels, 'participant')} has a "
            "value",
            expected=f"labels such as sub-{labels[0]} in the table",
        )
    column.require_usable()
    say(*column.notes)
    if not column.is_number:
        say(column.levels_sentence)
    lacking = [f"sub-{label}" for label in labels if label not in column.texts]
    if lacking:
        say(
            f"{column.name}: {counted(lacking, 'participant')} without a value "
            f"({named(lacking)}); the training people's mean is used"
        )
    return column
