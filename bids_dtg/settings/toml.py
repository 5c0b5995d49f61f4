"""The configuration file: settings as TOML, and how it merges with the command line."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from bids_dtg.errors import ForeignFileError, SettingsError, did_you_mean
from bids_dtg.files.foreign import read_toml
from bids_dtg.files.home import expand_home
from bids_dtg.notices import visible
from bids_dtg.settings import FIELDS, Settings, plain
from bids_dtg.settings.option import describe_kind


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
            values[name] = convert(name, value, f"{path}: {name}", choices.get(name))
    return values


def make_settings(
    given: Mapping[str, Any],
    configured: Mapping[str, Any] = MappingProxyType({}),
    choices: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Settings:
    """Merge the command line with a configuration file; the command line wins.

    Parameters
    ----------
    given
        Options named on the command line, by field name.
    configured
        Options of the file, as `read_options` returns them.
    choices
        Legal values of options that choose a row of a table, by the option's name.

    Raises
    ------
    SettingsError
        Options have values, or go together, as they cannot.
    """
    values = {**configured}
    for name, value in given.items():
        values[name] = convert(name, value, typed(name), choices.get(name))
    required = [name for name, option in FIELDS.items() if option.default is MISSING]
    if lacking := [typed(name) for name in required if name not in values]:
        raise SettingsError(
            f"{', '.join(lacking)}: neither on the command line nor in a file of options",
            expected=" ".join(typed(name) for name in required),
        )
    return Settings.of(**values)


def typed(name: str) -> str:
    """Return an option as it is typed: a flag, or the name of an argument without one.

    Examples
    --------
    >>> typed("mem_gb"), typed("output_dir")
    ('--mem-gb', 'OUTPUT_DIR')
    """
    places = ("bids_dir", "output_dir", "analysis_level")
    return name.upper() if name in places else "--" + name.replace("_", "-")


def convert(name: str, value: Any, source: str, choices: Sequence[str] | None = None) -> Any:
    """Convert a plain value to the type of an option.

    Parameters
    ----------
    name
        The option as Python spells it, e.g. ``mem_gb``.
    value
        As TOML or the command line has it.
    source
        Where it stands, for the error.
    choices
        Legal values, if the option chooses a row of a table.

    Raises
    ------
    SettingsError
        It is no value of the option.
    """
    hint = FIELDS[name].hint
    if get_origin(hint) in (Union, UnionType):
        kinds = [arg for arg in get_args(hint) if arg is not type(None)]
        # A word in place of a number has the last kind.
        hint = kinds[-1 if value in get_args(kinds[-1]) else 0]
    legal = choices or (get_args(hint) if get_origin(hint) is Literal else None)
    expected = describe_kind(hint) if legal is None else "one of " + ", ".join(map(str, legal))
    near = did_you_mean(value, map(str, legal)) if legal and isinstance(value, str) else None
    wrong = SettingsError(f"{source} is {value!r}", expected=expected, remedy=near)
    if get_origin(hint) is tuple:
        try:
            return _items(value, get_args(hint)[0], legal)
        except ValueError:
            raise wrong from None
    if legal is not None:
        if value not in legal:
            raise wrong
        return value
    if hint is bool or isinstance(value, bool):
        if hint is not bool or not isinstance(value, bool):
            raise wrong
        return value
    if hint is int and isinstance(value, float):
        raise wrong
    if hint is Path and isinstance(value, str | Path):
        if not str(value):
            raise wrong  # as by a variable of the shell that is not set; it would be `.`
        return expand_home(value, source)
    try:
        return hint(value)
    except (TypeError, ValueError, OverflowError):
        raise wrong from None


def _items(value: Any, kind: type, legal: Sequence[str] | None) -> tuple[Any, ...]:
    """Return a list's items of a kind; ValueError if it is none."""
    if not _is_list(value, legal):
        raise ValueError
    return tuple(kind(item) for item in value)


def _is_list(value: Any, legal: Sequence[str] | None) -> bool:
    """Return whether a value is a list, of legal items where only some are."""
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return False
    return legal is None or all(item in legal for item in value)


def _shown(value: Any, shown: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return shown(value)
    return [_shown(item, shown) for item in value] if isinstance(value, list) else value
