"""The configuration file: settings as TOML."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bids_dtg.errors import ForeignFileError, SettingsError
from bids_dtg.files.foreign import read_toml
from bids_dtg.notices import visible
from bids_dtg.settings import FIELDS, Settings, plain
from bids_dtg.settings.option import convert


def to_toml(settings: Settings, shown: Callable[[str], str] = str) -> str:
    """Return settings as TOML text, a table for each group of options.

    Parameters
    ----------
    settings
        All options of the call.
    shown
        Turns each text, as a path, into what is written.
    """
    import tomli_w

    tables: dict[str, dict[str, Any]] = {}
    for name, value in settings.options.items():
        if value is not None:
            tables.setdefault(FIELDS[name].group, {})[name] = _shown(plain(value), shown)
    return "".join(map(_seen, tomli_w.dumps(tables)))


def _seen(char: str) -> str:
    """Return a character of TOML, or its escape where it would act on who reads the file."""
    if char == "\n" or visible(char) == char:
        return char
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


def read_options(
    path: Path, choices: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> dict[str, Any]:
    """Read the options that a TOML file gives.

    Parameters
    ----------
    path
        A file as `to_toml` writes it; any subset of the options.
    choices
        Legal values of options that choose a row of a table, by the option's name.

    Returns
    -------
    dict
        Values by field name, converted to the fields' types.

    Raises
    ------
    SettingsError
        If the file cannot be read, or names an unknown option or a wrong value.
    """
    try:
        tables = read_toml(path)
    except ForeignFileError as err:
        raise err.as_kind(SettingsError) from err
    groups = {option.group for option in FIELDS.values()}
    values: dict[str, Any] = {}
    for table, content in tables.items():
        if table not in groups or not isinstance(content, dict):
            raise SettingsError(
                f"{path} has the entry '{table}'", expected=f"tables {', '.join(sorted(groups))}"
            )
        for name, value in content.items():
            if name not in FIELDS or FIELDS[name].group != table:
                options = [n for n, option in FIELDS.items() if option.group == table]
                near = difflib.get_close_matches(name, options, n=1)
                raise SettingsError(
                    f"{path} sets the unknown option '{name}' in [{table}]",
                    expected=f"'{near[0]}'" if near else f"one of {', '.join(options)}",
                )
            values[name] = convert(value, FIELDS[name].hint, f"{path}: {name}", choices.get(name))
    return values


def _shown(value: Any, shown: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return shown(value)
    return [_shown(item, shown) for item in value] if isinstance(value, list) else value
