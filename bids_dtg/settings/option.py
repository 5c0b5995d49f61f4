"""An option: a field of the settings, written once for all that is made from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bids_dtg.errors import SettingsError

Row = TypeVar("Row")


@dataclass(frozen=True)
class OptionMaker:
    """Makes dataclass fields that are also command-line options and TOML keys."""

    workflows: tuple[str, ...] = ()  # in which its options have a meaning; none: in all

    def __call__(
        self,
        group: str,
        help_text: str,
        *,
        default: Any = dataclasses.MISSING,
        flags: tuple[str, ...] = (),
        metavar: str | None = None,
        shapes_results: bool = False,
        shapes_model: bool = False,
        shown_default: str | None = None,
    ) -> Any:
        """Return such a field.

        Parameters
        ----------
        group
            Heading in ``--help`` and table in the TOML file.
        help_text
            One sentence for ``--help``.
        default
            The default value; a field without one is required.
        flags
            Spellings beside the one that follows from the field's name.
        metavar
            Name of the value in ``--help``.
        shapes_results
            Whether the option changes results, so that it enters the hash.
        shapes_model
            Whether a model that is trained depends on the option.
        shown_default
            What ``--help`` prints as the default where the value itself says little.
        """
        metadata = {
            "group": group,
            "help": help_text,
            "flags": flags,
            "metavar": metavar,
            "shapes_results": shapes_results,
            "shapes_model": shapes_model,
            "shown_default": shown_default,
            "workflows": self.workflows,
        }
        return field(default=default, metadata=metadata)


option = OptionMaker()
map_option = OptionMaker(("contrasts",))
# Of runs of rest, and how they are cleaned.
rest_option = OptionMaker(("contrasts", "dynamics", "twin"))
network_option = OptionMaker(("dynamics",))
twin_option = OptionMaker(("twin",))
map_or_twin_option = OptionMaker(("contrasts", "twin"))


def find_row(rows: Mapping[str, Row], flag: str, name: str) -> Row:
    """Return the row of a table that an option names.

    Raises
    ------
    SettingsError
        There is none: with the names that there are.

    Examples
    --------
    >>> find_row({"one": 1, "two": 2}, "--number", "two")
    2
    """
    if name not in rows:
        raise SettingsError(f"{flag} is '{name}'", expected=f"one of {', '.join(rows)}")
    return rows[name]


def plain(value: Any) -> Any:
    """Return an option's value as JSON and TOML have it."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
