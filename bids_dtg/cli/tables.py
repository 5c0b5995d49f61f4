"""Options that choose a row of a table: their legal values, for the parser, TOML and the docs.

The tables stand where people add to them. This module gives their names to whatever checks
or lists them, so it imports no more than the tables, and those nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bids_dtg.bundles.kinds import KINDS
from bids_dtg.cleaning.strategies import AUTO, AUTO_MEANS, STRATEGIES
from bids_dtg.cli.workflows import DEFAULT, WORKFLOWS


@dataclass(frozen=True)
class Choices:
    """What an option may be that chooses a row of a table."""

    values: tuple[str, ...]  # legal values, in the order of ``--help``
    words: tuple[str, ...] = ()  # on single values, for ``--help``
    shown_default: str | None = None  # for ``--help`` where the default itself says little


def table_choices() -> Mapping[str, Choices]:
    """Return the options that choose a row of a table, by name."""
    analyses = WORKFLOWS[DEFAULT].analyses
    return {
        "analysis": Choices(
            tuple(analyses), tuple(f"{name}: {row.help}" for name, row in analyses.items())
        ),
        "denoise_strategy": Choices(
            (AUTO, *STRATEGIES),
            tuple(f"{row.name}: {row.help}" for row in STRATEGIES.values()),
            AUTO_MEANS,
        ),
        "architecture": Choices(
            tuple(KINDS),
            tuple(f"{row.name}: {row.help}" for row in KINDS.values() if row.help),
        ),
    }


def legal_values() -> dict[str, tuple[str, ...]]:
    """Return the legal values of the options that choose a row of a table, by name."""
    return {name: choices.values for name, choices in table_choices().items()}
